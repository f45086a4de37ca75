"""`repro-keras ls`, `show` and `gc`: the runs that are stored here."""

import json
import os
import sys

import click
from rich.markup import escape

from repro_keras._src import record
from repro_keras._src.commands import tables
from repro_keras._src.commands.common import AS_JSON, RUN, current_project, print_json, read
from repro_keras._src.comparing import compare
from repro_keras._src.errors import RunError
from repro_keras._src.exports import archive, layout
from repro_keras._src.runs import removal, store


@click.command("ls")
@AS_JSON
def ls_command(as_json: bool) -> None:
    """List the runs of this project, the oldest first."""
    found = [_summary(run) for run in store.every(current_project())]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no runs here yet. Record one: repro-keras run SCRIPT", err=True)
        return
    table = tables.table(None, "run", "status", "steps", "last loss", "seconds", "what")
    for run in found:
        loss = "" if run["loss"] is None else f"{run['loss']:.6g}"
        cells = (run["status"], run["steps"], loss, run["seconds"], run["command"])
        texts = ("" if cell is None else escape(str(cell)) for cell in cells)
        table.add_row(run["id"], *texts)
    tables.console().print(table)


def _summary(run: store.Listed) -> dict:
    result = {
        "id": run.id,
        "status": "running" if run.is_running else "unfinished",
        "steps": None,
        "loss": None,
        "seconds": run.about.get("seconds"),
        "command": " ".join(run.about.get("command", [])),
        "verifies": run.about.get("verifies"),
        "resumes": run.about.get("resumes"),
    }
    if run.statement is not None:
        predicate = run.statement.predicate
        losses = [loss for segment in predicate.trail for loss in segment.steps.loss if loss]
        result["status"] = predicate.status
        result["steps"] = record.steps_of(predicate.trail)
        result["loss"] = float.fromhex(losses[-1]) if losses else None
        result["command"] = compare.command_of(run.statement)
    elif run.path.exists():
        result["status"] = "unreadable"
    if result["verifies"]:
        result["command"] = f"verify {result['command']}"
    if result["resumes"]:
        result["command"] = f"{result['command']} (goes on from {result['resumes']})"
    return result


@click.command("show")
@RUN
@AS_JSON
def show_command(run: str | None, as_json: bool) -> None:
    """Show a record; nothing in it is run.

    RUN is a run's id, the file of a record, or an export (.zip); without it, the latest run.
    """
    path = store.find(current_project(), run)
    statement, _ = read(path)
    if as_json:
        exported = archive.is_one(path)
        content = archive.read(path)[layout.RECORD] if exported else path.read_bytes()
        click.echo(content, nl=False)
        return
    about, predicate = store.about(path.parent), statement.predicate
    table = tables.table(str(path), "", "")
    table.show_header = False
    software = predicate.software
    versions = {n: software.packages.get(n) for n in ("keras", "tensorflow", "numpy")}
    code = predicate.code
    git = "" if code.git is None else f"{code.git.commit[:12]}{', changed' * bool(code.git.diff)}"
    facts = {
        "what": compare.command_of(statement),
        "when": about.get("started", ""),
        "outcome": predicate.status + (f" ({predicate.error})" if predicate.error else ""),
        "code": ", ".join(file.path for file in code.files),
        "git": git,
        "configuration": ", ".join(
            f"{k}={v}" for k, v in predicate.configuration.items() if v is not None
        ),
        "software": ", ".join(
            [f"python {software.python}", *(f"{k} {v}" for k, v in versions.items())]
        ),
        "CPU": f"{predicate.machine.model} ({predicate.machine.architecture})",
        "data": ", ".join(_named(data) for data in predicate.data[:8]),
        "files read": ", ".join(file.path for file in predicate.read),
        "models": ", ".join(f"{model.name} ({model.type})" for model in predicate.models),
    }
    for name, value in facts.items():
        if value:
            table.add_row(name, escape(value))
    console = tables.console()
    console.print(table)
    if predicate.trail:
        table = tables.table("Trail", "part", "steps", "first loss", "last loss", "metrics")
        for number, segment in enumerate(predicate.trail):
            losses = [float.fromhex(loss) for loss in segment.steps.loss if loss]
            ends = (f"{losses[0]:.6g}", f"{losses[-1]:.6g}") if losses else ("", "")
            metrics = ", ".join(f"{k} {float.fromhex(v):.6g}" for k, v in segment.metrics.items())
            name = record.name_of(segment, number) + ("" if segment.complete else " (cut off)")
            table.add_row(name, str(len(segment.steps.loss)), *ends, escape(metrics))
        console.print(table)
    table = tables.table("Outcome", "subject", "SHA-256")
    for name, value in record.subjects(statement).items():
        table.add_row(escape(name), value[:16] + "…")
    console.print(table)


def _named(data: record.Data) -> str:
    return f"{record.name_of_data(data)}: {data.digest[:12] if data.digest else data.type}"


@click.command("gc")
@click.option("--keep", default=20, show_default=True, help="How many of the latest runs stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@AS_JSON
def gc_command(keep: int, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove old runs, those without a record, copies made to verify, and of code no run needs.

    The latest runs stay, and as many of the latest verifications with the records they verify.
    """
    if keep < 0:
        raise click.UsageError(f"--keep must be 0 or more. Received: {keep}")
    home = current_project()
    every = store.every(home)
    gone = removal.old([run for run in every if not run.is_running], keep)
    copies = removal.unused_copies(home, every, gone)
    names, failed = [os.path.relpath(folder) for folder in gone], []
    freed = sum(map(store.size, gone)) + sum(copy.stat().st_size for copy in copies)
    if not dry_run and names and not yes:
        click.echo("\n".join(names), err=True)
        if not sys.stdin.isatty() or not click.confirm("Remove these?", err=True):
            raise RunError("Nothing was removed. Say --yes to remove them without being asked.")
    if not dry_run:
        failed = removal.remove(gone)
        for copy in copies:
            copy.unlink(missing_ok=True)
    if as_json:
        names = [name for name in names if dry_run or not os.path.exists(name)]
        click.echo(json.dumps({"removed": names, "bytes": freed, "dry_run": dry_run}))
    else:
        if dry_run and names:
            click.echo("\n".join(names))
        would = "would be " if dry_run else ""
        size = f"{freed / 1e6:.1f} MB" if not failed else "not all"
        click.echo(f"{len(names) - len(failed)} {would}removed, {size}")
    if failed:
        raise RunError("; ".join(map(str, failed)))
