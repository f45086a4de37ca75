"""The commands: `repro-keras COMMAND`, or `python -m repro_keras COMMAND`.

Exit codes are those of `diff`: 0 the same, 1 different, 2 could not tell, or trouble.
"""

from repro_keras._src import quiet  # before all that takes its time

# isort: split
import contextlib
import dataclasses
import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.markup import escape

from repro_keras._src import digest_lists, project, record, tables, words
from repro_keras._src.cells import again
from repro_keras._src.comparing import causes, compare
from repro_keras._src.errors import ReproError, RunError
from repro_keras._src.exports import archive, making, reading, sign
from repro_keras._src.runs import checks, launch, orphans, removal, store, terminal, verify
from repro_keras._src.tables import console as _console
from repro_keras._src.tables import table as _table
from repro_keras._src.version import __version__

quiet.over()
SAME, DIFFERENT, TROUBLE = 0, 1, 2
INTERRUPTED = 130


class _Commands(click.Group):
    """Commands whose errors are one line, with the exit code for trouble."""

    def invoke(self, ctx: click.Context):
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # what cannot be shown there is no trouble
        try:
            return super().invoke(ctx)
        except ReproError as error:
            click.echo(f"repro-keras: {error}", err=True)
            sys.exit(TROUBLE)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever reads has seen enough; click ends quietly
            click.echo(f"repro-keras: {error}", err=True)
            sys.exit(TROUBLE)
        except (KeyboardInterrupt, click.Abort) as error:
            if isinstance(error.__context__, EOFError):  # Ctrl-D at a question
                click.echo("repro-keras: nobody answered", err=True)
                sys.exit(TROUBLE)
            terminal.clear()
            click.echo("repro-keras: interrupted", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="repro-keras")
def main() -> None:
    """Keras, with results that come out the same again."""


@main.command("digest")
@click.argument("files", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("-c", "--check", is_flag=True, help="Read digests from FILES and check them.")
@click.option("--quiet", is_flag=True, help="With --check: say nothing of what is the same.")
def digest_command(files: tuple[str, ...], as_json: bool, check: bool, quiet: bool) -> None:
    """Print the digest of what files hold, whatever their incidental bytes.

    FILES are .keras, .h5, .npz, .npy and .safetensors files, TensorFlow checkpoints (their
    prefix), folders, and any other files. With --check they are lists that this command printed
    (- is the standard input); the exit code is then 0 where all are the same, 1 where one differs,
    2 where one could not be checked.
    """
    if quiet and not check:
        raise click.UsageError("--quiet is for --check: without it, there is nothing to leave out.")
    if check:
        sys.exit(_check(files, as_json, quiet))
    found = [digest_lists.of(name) for name in files]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    for result in found:
        if "error" in result:
            click.echo(f"repro-keras: {result['error']}", err=True)
        elif not as_json:
            click.echo(digest_lists.line(result["digest"], result["file"]))
    sys.exit(TROUBLE if any("error" in result for result in found) else SAME)


def _check(lists: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Checks the files of lists; returns the exit code."""
    found = digest_lists.check(lists)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print_verdicts(found, quiet)
    verdicts = {result.get("verdict") for result in found}
    if None in verdicts:
        return TROUBLE
    return DIFFERENT if "FAILED" in verdicts else SAME


def _print_verdicts(found: list[dict[str, str]], quiet: bool) -> None:
    for result in found:
        if "error" in result:
            click.echo(f"repro-keras: {result['error']}", err=True)
            if "expected" in result:
                click.echo(f"{digest_lists.escaped(result['file'])}: FAILED open or read")
        elif result["verdict"] == "FAILED" or not quiet:
            click.echo(f"{digest_lists.escaped(result['file'])}: {result['verdict']}")
    different = sum(result.get("verdict") == "FAILED" for result in found)
    if different:
        what = "digest does" if different == 1 else "digests do"
        click.echo(f"repro-keras: WARNING: {different} {what} NOT match", err=True)


def _complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    folder = project.find(Path.cwd()).root / project.RUNS / "runs"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if name.startswith(incomplete)]


def _here() -> project.Project:
    """The project of the working directory; runs that were cut off there get their records."""
    found = project.find(Path.cwd())
    orphans.recover(found)
    return found


_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@main.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("-m", "is_module", is_flag=True, help="TARGET is a module, as for `python -m`.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="GLOB",
    help="Do not compare the files written that match (e.g. 'logs/*'); may be repeated.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="At the end, print what was recorded as JSON."
)
@click.argument("target", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(
    is_module: bool, ignored: tuple[str, ...], as_json: bool, target: str, arguments: tuple[str]
) -> None:
    """Run a script, module or notebook under the configuration, and record it.

    Its output and exit code are passed on. The record is written to `.repro/runs` in the project's
    folder; `repro-keras verify` runs it again and compares.
    """
    wanted = launch.requested(target, list(arguments), is_module=is_module, ignored=list(ignored))
    folder = store.new(project.find(Path.cwd()))  # where `show` and `verify` look
    finished = launch.run(wanted, folder)
    _say_recorded(finished, as_json)


def _say_recorded(finished: launch.Finished, as_json: bool) -> None:
    """Says what was recorded, and ends with the script's exit code."""
    run = finished.statement.predicate
    steps = sum(len(segment.steps.loss) for segment in run.trail)
    place = os.path.relpath(finished.path)
    if as_json:
        found = {"id": finished.folder.name, "record": place, "status": run.status, "steps": steps}
        click.echo(json.dumps({**found, "exit_code": finished.exit_code}))
    else:
        said = [run.status] * (run.status != "finished")
        said += ["cut off, as the disk was full"] * run.cut_off
        what = f" ({', '.join(said)})" if said else ""
        click.echo(f"repro-keras: recorded {steps} steps{what} in {place}", err=True)
    code = finished.exit_code
    sys.exit(128 - code if code < 0 else code)


@main.command("verify")
@click.argument("run", required=False, shell_complete=_complete_run)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before running.")
@click.option("--allow", is_flag=True, help="Go on with another CPU or other versions.")
@click.option("--keep", is_flag=True, help="Keep the copy that it ran in, whatever comes out.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PUB.pem",
    help="Refuse an export that was not signed with this key.",
)
@click.option("--twice", is_flag=True, help="Compare two runs of a notebook, not its outputs.")
@click.option("--update", is_flag=True, help="Write what comes out into the notebook.")
@click.option(
    "--timeout", type=click.IntRange(1), metavar="SECONDS", help="How long a cell may take."
)
@_AS_JSON
def verify_command(
    run: str | None,
    yes: bool,
    allow: bool,
    keep: bool,
    key: Path | None,
    twice: bool,
    update: bool,
    timeout: int | None,
    as_json: bool,
) -> None:
    """Run a record or a notebook again, in a copy of its project, and compare what comes out.

    RUN is a run's id (the beginning or the last digits), the file of a record, or an export (.zip);
    without it, the latest run. Or it is a notebook (.ipynb), whose outputs are compared with those
    of a fresh kernel (--twice, --update and --timeout are for these). Exit code 0: the same; 1:
    different; 2: it could not be told, as the CPU or the versions are others (--allow goes on), or
    something is missing or was changed.
    """
    if run is not None and run.endswith(".ipynb"):
        with _told_as_json(as_json):
            sys.exit(_verify_notebook(Path(run), yes, keep, twice, update, timeout, as_json))
    if twice or update or timeout:
        raise click.UsageError("--twice, --update and --timeout are for notebooks (.ipynb).")
    with _told_as_json(as_json):
        here = _here()
        path = store.find(here, run)
        with _opened(path, here, key) as (statement, home, folder, signature):
            reasons = checks.before(home, statement, allow)
            if not yes:
                _ask(path, statement, home)
        finished = verify.again(path, statement, home, folder)
        terminal.clear()
        checks.after(statement, finished)
    verdict = compare.compare(statement, finished.statement, alone=True)
    _show_verdict(path, statement, finished, verdict, reasons, signature, as_json)
    if verdict.same and not keep:
        store.remove(finished.folder / store.COPY)
        store.remove(finished.folder / store.EXPORT)
    sys.exit(_code_of(verdict.same))


def _verify_notebook(
    path: Path,
    yes: bool,
    keep: bool,
    twice: bool,
    update: bool,
    timeout: int | None,
    as_json: bool,
) -> int:
    """Runs a notebook and says what came out; returns the exit code."""
    notebook = again.read(path)
    if not (notebook.has_outputs or twice or update):
        raise RunError(
            f"{path} has no outputs to compare with. --twice compares two runs with each other, "
            "--update writes outputs into it."
        )
    if not yes:
        home = project.find(path).root
        click.echo(f"This runs the cells of {path} in a copy of {home}.", err=True)
        _confirm()
    then, what = notebook.node, "its outputs and a run"
    try:
        if twice:
            then = again.run(notebook, timeout=timeout, progress=terminal.show).node
            what = "two runs"
        ran = again.run(notebook, timeout=timeout, keep=keep, progress=terminal.show)
    finally:
        terminal.clear()
    cells = again.compare(then, ran) if twice or notebook.has_outputs else []
    if update:
        again.update(notebook, ran)
    same = again.same(cells)
    if as_json:
        first = next((cell for cell in cells if cell.same is not True), None)
        found = {
            "verdict": tables.VERDICTS[same],
            "notebook": str(path),
            "cells": [
                {**dataclasses.asdict(cell), "same": tables.VERDICTS[cell.same]} for cell in cells
            ],
            "first_difference": first and {"cell": first.cell, "what": first.difference},
            "failed": ran.failed or None,
            "reasons": [],
            "updated": update,
        }
        click.echo(json.dumps(found, indent=2))
        return _code_of(same)
    if cells:
        tables.show_cells(cells, f"{path}: {what}")
    if ran.failed:
        tables.say(f"Cell {ran.failed} failed; those after it were not run.")
    if ran.folder is not None:
        tables.say(f"It ran in {ran.folder}")
    if update:
        tables.say(f"Its outputs are now those of the run: {path}")
    if cells:
        tables.show_word(same)
    return _code_of(same)


@contextlib.contextmanager
def _opened(
    path: Path, here: project.Project, key: Path | None
) -> Iterator[tuple[record.Statement, project.Project, Path | None, str | None]]:
    """A record with its project; an export is unpacked, and removed where an error comes inside.

    Yields:
        The record, where its code and data are, the folder of the run that will verify it where
        there has to be one already, and whether a signature was `"good"` or `"not checked"`.
    """
    if not archive.is_one(path):
        if key is not None:
            raise RunError(
                f"--key checks the signature of an export (.zip), and {path} is a record, which "
                "has none."
            )
        statement = record.read(path)
        yield statement, verify.home_of(path, statement), None, None
        return
    export = reading.read(path)
    signature = None
    if key is not None:
        sign.check(export.signature, export.contents[making.RECORD], key)
        signature = "good"
    elif export.signature is not None:
        signature = "not checked"
        click.echo("repro-keras: it is signed, which was not checked: --key PUB.pem", err=True)
    with reading.unpacked(export, here) as (folder, home):
        yield export.statement, home, folder, signature


@contextlib.contextmanager
def _told_as_json(as_json: bool) -> Iterator[None]:
    """Inside, what stops a comparison is told to programs too."""
    try:
        yield
    except (ReproError, OSError, KeyboardInterrupt, click.Abort) as error:
        if as_json:
            reasons = getattr(error, "reasons", [str(error) or "it was interrupted"])
            click.echo(json.dumps({"verdict": "could not tell", "reasons": reasons}, indent=2))
        raise


def _ask(
    path: Path, statement: record.Statement, home: project.Project, where: str = "a copy of "
) -> None:
    command = compare.command_of(statement)
    click.echo(f"This runs `{command}` in {where}{home.root}, as {path} says.", err=True)
    _confirm()


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise RunError(
            "Nobody can be asked whether to run it, as the input is no terminal. If you trust the "
            "code, say --yes."
        )
    if not click.confirm("Run it?", default=True, err=True):
        raise RunError("It was not run.")


def _show_verdict(path, statement, finished, verdict, reasons, signature, as_json: bool) -> None:
    likely = causes.likely(statement, finished.statement, verdict)
    if as_json:
        found = tables.as_json(verdict, "recorded", "now", likely)
        about = {"record": str(path), "run": finished.folder.name, "reasons": reasons}
        about.update({"signature": signature} if signature else {})
        click.echo(json.dumps({**found, **about}, indent=2))
        return
    tables.show_rows(verdict, compare.command_of(statement), "recorded", "now")
    for reason in reasons:
        tables.say(f"Not covered by the guarantee: {reason}")
    tables.show_reasons(verdict, "{where}: {what} was {recorded} and is {now}", likely)
    if verdict.same is not True:
        run = finished.statement.predicate
        recorded = statement.predicate.status
        if run.status == "failed" and recorded != "failed":
            tail = (finished.folder / launch.OUTPUT).read_text(errors="replace")[-2000:]
            tables.say(f"It failed this time:\n{tail}")
        if recorded in ("killed", "interrupted"):
            tables.say(f"The recorded run was {recorded}: its end is not known.")
        tables.say(f"What it wrote this time is in {os.path.relpath(finished.folder)}")
    tables.show_word(verdict.same)


@main.command("diff")
@click.argument("first", metavar="[A]", required=False, shell_complete=_complete_run)
@click.argument("second", metavar="[B]", required=False, shell_complete=_complete_run)
@_AS_JSON
def diff_command(first: str | None, second: str | None, as_json: bool) -> None:
    """Compare two recorded runs, and say where they differ first and why; nothing is run.

    A and B are runs' ids (the beginning or the last digits), folders of runs, files of records, or
    exports (.zip).
    Without B, A is compared with the latest other run; without both, the latest two are compared.
    Exit code 0: the same; 1: different, as runs of different scripts are; 2: it could not be told,
    as one was killed or interrupted, or a record cannot be read.
    """
    with _told_as_json(as_json):
        home = _here()
        path = store.find(home, first) if first else store.latest(home, besides=store.latest(home))
        one, difference = _read(path)
        other = store.find(home, second) if second else store.latest(home, besides=path)
        two, other_difference = _read(other)
    verdict = compare.compare(one, two)
    likely = causes.likely(one, two, verdict)
    lines = causes.code_lines(difference, one, other_difference, two)
    reasons = [
        f"{letter} was {'cut off' if run.cut_off else run.status}: it is compared as far as it came"
        for letter, run in (("A", one.predicate), ("B", two.predicate))
        if not run.ended
    ]
    if as_json:
        found = tables.as_json(verdict, "a", "b", likely)
        about = {"a": str(path), "b": str(other), "reasons": reasons, "git_diff": lines}
        click.echo(json.dumps({**found, **about}, indent=2))
        sys.exit(_code_of(verdict.same))
    for letter, place, statement in (("A", path, one), ("B", other, two)):
        name = os.path.relpath(place) if store.owner(place) is None else place.parent.name
        tables.say(f"{letter}: {name}, {compare.command_of(statement)}")
    tables.show_rows(verdict, None, "A", "B")
    tables.show_reasons(verdict, "{where}, {what}: {recorded} in A and {now} in B", likely)
    tables.show_lines("What `git diff HEAD` said in A only (-) and in B only (+):", lines)
    for reason in reasons:
        tables.say(f"{reason}.")
    tables.show_word(verdict.same)
    sys.exit(_code_of(verdict.same))


def _read(path: Path) -> tuple[record.Statement, bytes | None]:
    """A record, also of an export, and what `git diff HEAD` said before the run."""
    if archive.is_one(path):
        export = reading.read(path)
        return export.statement, export.contents.get(making.DIFF)
    statement = record.read(path)
    return statement, store.git_diff(path, statement.predicate.code.git)


def _code_of(same: bool | None) -> int:
    return {True: SAME, False: DIFFERENT, None: TROUBLE}[same]


@main.command("export")
@click.argument("run", required=False, shell_complete=_complete_run)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.zip",
    help="Where to write it; without this, here, under the run's id.",
)
@click.option(
    "--max-data",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="MB",
    help="How much data goes in, in all; the smallest files first.",
)
@click.option("--crate", "with_crate", is_flag=True, help="Make it a Process Run Crate (RO-Crate).")
@click.option(
    "--sign",
    "key",
    type=click.Path(path_type=Path),
    metavar="KEY.pem",
    help="Sign the record with a private key.",
)
@_AS_JSON
def export_command(
    run: str | None,
    output: Path | None,
    max_data: int,
    with_crate: bool,
    key: Path | None,
    as_json: bool,
) -> None:
    """Put a run into one zip file, which `repro-keras verify` takes on another machine.

    RUN is a run's id, or the file of a record; without it, the latest run. In the zip are the
    record, the code and small data as they were, the versions of packages, and what `git diff` said
    (docs/export.md). The same run gives the same file, byte for byte. Exit code 2: some of the code
    was changed since, or is missing.
    """
    path = store.find(_here(), run)
    name = path.stem if store.owner(path) is None else path.parent.name
    place = output or Path(f"{name}.zip")
    made = making.make(path, place, max_data=max_data * 1_000_000, with_crate=with_crate, key=key)
    if as_json:
        found = {"file": str(place), "sha256": project.sha256(place)}
        click.echo(json.dumps({**found, **msgspec.to_builtins(made)}, indent=2))
        return
    click.echo(f"{place}: {made.files} files, {place.stat().st_size / 1e6:.1f} MB")
    click.echo(
        f"pylock.toml has {made.packages} packages, {made.hashed} of them with a hash or commit: "
        "installed packages do not know the hashes of their wheels."
    )
    for file in made.left_out:
        click.echo(f"Left out: {words.plain(file.path)}, {file.size / 1e6:.1f} MB ({file.why})")


@main.command("resume")
@click.argument("run", required=False, shell_complete=_complete_run)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before running.")
@click.option("--allow", is_flag=True, help="Go on with another CPU or other versions.")
@click.option("--json", "as_json", is_flag=True, help="At the end, print what was recorded.")
def resume_command(run: str | None, yes: bool, allow: bool, as_json: bool) -> None:
    """Go on with a run that was killed, interrupted or failed, as a new run.

    RUN is a run's id; without it, the latest run. It must have kept the state of training
    (`repro.TrainingState`). The new record has the whole trail, and names the record that it
    continues. Its output and exit code are passed on.
    """
    from repro_keras._src.runs import resuming

    found = resuming.find(_here(), run)
    if not yes:
        _ask(found.path, found.statement, verify.home_of(found.path, found.statement), "")
    finished = resuming.go_on(found, allow=allow)
    _say_recorded(finished, as_json)


@main.command("ls")
@_AS_JSON
def ls_command(as_json: bool) -> None:
    """List the runs of this project, the oldest first."""
    found = [_summary(run) for run in store.every(_here())]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("There are no runs here yet. Record one: repro-keras run SCRIPT", err=True)
        return
    table = _table(None, "run", "status", "steps", "last loss", "seconds", "what")
    for run in found:
        loss = "" if run["loss"] is None else f"{run['loss']:.6g}"
        cells = (run["status"], run["steps"], loss, run["seconds"], run["command"])
        texts = ("" if cell is None else escape(str(cell)) for cell in cells)
        table.add_row(run["id"], *texts)
    _console().print(table)


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
        result["steps"] = sum(len(segment.steps.loss) for segment in predicate.trail)
        result["loss"] = float.fromhex(losses[-1]) if losses else None
        result["command"] = compare.command_of(run.statement)
    elif run.path.exists():
        result["status"] = "unreadable"
    if result["verifies"]:
        result["command"] = f"verify {result['command']}"
    if result["resumes"]:
        result["command"] = f"{result['command']} (goes on from {result['resumes']})"
    return result


@main.command("show")
@click.argument("run", required=False, shell_complete=_complete_run)
@_AS_JSON
def show_command(run: str | None, as_json: bool) -> None:
    """Show a record; nothing in it is run.

    RUN is a run's id, the file of a record, or an export (.zip); without it, the latest run.
    """
    path = store.find(_here(), run)
    statement, _ = _read(path)
    if as_json:
        exported = archive.is_one(path)
        content = archive.read(path)[making.RECORD] if exported else path.read_bytes()
        click.echo(content, nl=False)
        return
    about, predicate = store.about(path.parent), statement.predicate
    table = _table(str(path), "", "")
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
    console = _console()
    console.print(table)
    if predicate.trail:
        table = _table("Trail", "part", "steps", "first loss", "last loss", "metrics")
        for number, segment in enumerate(predicate.trail):
            losses = [float.fromhex(loss) for loss in segment.steps.loss if loss]
            ends = (f"{losses[0]:.6g}", f"{losses[-1]:.6g}") if losses else ("", "")
            metrics = ", ".join(f"{k} {float.fromhex(v):.6g}" for k, v in segment.metrics.items())
            name = record.name_of(segment, number) + ("" if segment.complete else " (cut off)")
            table.add_row(name, str(len(segment.steps.loss)), *ends, escape(metrics))
        console.print(table)
    table = _table("Outcome", "subject", "SHA-256")
    for name, value in record.subjects(statement).items():
        table.add_row(escape(name), value[:16] + "…")
    console.print(table)


def _named(data: record.Data) -> str:
    return f"{record.name_of_data(data)}: {data.digest[:12] if data.digest else data.type}"


@main.command("gc")
@click.option("--keep", default=20, show_default=True, help="How many of the latest runs stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_AS_JSON
def gc_command(keep: int, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove old runs, those without a record, and copies made to verify.

    The latest runs stay, and as many of the latest verifications with the records they verify.
    """
    if keep < 0:
        raise click.UsageError(f"--keep must be 0 or more. Received: {keep}")
    every = [run for run in store.every(_here()) if not run.is_running]
    gone = removal.old(every, keep)
    names, failed = [os.path.relpath(folder) for folder in gone], []
    freed = sum(map(store.size, gone))
    if not dry_run and names and not yes:
        click.echo("\n".join(names), err=True)
        if not sys.stdin.isatty() or not click.confirm("Remove these?", err=True):
            raise RunError("Nothing was removed. Say --yes to remove them without being asked.")
    if not dry_run:
        failed = removal.remove(gone)
    if as_json:
        names = [name for name in names if dry_run or not os.path.exists(name)]
        click.echo(json.dumps({"removed": names, "bytes": freed, "dry_run": dry_run}))
    else:
        would = "would be " if dry_run else ""
        size = f"{freed / 1e6:.1f} MB" if not failed else "not all"
        click.echo(f"{len(names) - len(failed)} {would}removed, {size}")
    if failed:
        raise RunError("; ".join(map(str, failed)))


@main.command("migrate")
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--write", is_flag=True, help="Rewrite the files; else nothing is written.")
@click.option(
    "--v1/--no-v1",
    "v1",
    default=None,
    help="Take PATHS for scripts of TensorFlow 1, or of TensorFlow 2. [default: as each says]",
)
@click.option("--check", is_flag=True, help="Say also what `doctor` finds in the files.")
@_AS_JSON
def migrate_command(
    paths: tuple[str, ...], write: bool, v1: bool | None, check: bool, as_json: bool
) -> None:
    """Rewrite scripts that use Keras to use repro_keras; show what would change.

    PATHS are scripts, notebooks and folders of them. Imports and names of keras, tf.keras and
    TensorFlow 1 are rewritten, and the lines of recipes for reproducible results go where they are
    not needed any more. The exit code is 0 where nothing is left to do by hand, 1 where something
    is, which is listed, and 2 where a file could not be read or written.
    """
    from repro_keras._src import advice, migrate

    found = list(migrate.migrate(paths, v1=v1, write=write))
    read = [file.file for file in found if not file.trouble]
    findings, errors, _ = advice.check(read if check else [])  # as they are now
    if as_json:
        rows = [{**dataclasses.asdict(file), "diff": file.diff()} for file in found]
        for row in rows:
            del row["before"], row["after"]
            row["doctor"] = [dataclasses.asdict(f) for f in findings if f.file == row["file"]]
        click.echo(json.dumps(rows, indent=2))
    else:
        for file in found:
            _show_migrated(file)
        for finding in findings:
            click.echo(str(finding), err=True)
    for error in errors:
        click.echo(f"repro-keras: {error}", err=True)
    if errors or any(file.trouble for file in found):
        sys.exit(TROUBLE)
    sys.exit(DIFFERENT if findings or any(file.left for file in found) else SAME)


def _show_migrated(file) -> None:
    """Shows the diff, and on the standard error what is to be said of it."""
    click.echo(file.diff(), nl=False)
    for finding in file.removed:
        click.echo(f"not needed: {finding}", err=True)
    for finding in file.left:
        click.echo(f"left: {finding}", err=True)
    for trouble in file.trouble:
        click.echo(f"repro-keras: {trouble}", err=True)
    if file.written:
        click.echo(f"rewritten: {file.file}", err=True)


@main.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print a script that completes commands and runs: eval "$(repro-keras completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "repro-keras", "_REPRO_KERAS_COMPLETE").source())


@main.command("doctor")
@click.argument("scripts", nargs=-1, type=click.Path())
@_AS_JSON
def doctor_command(scripts: tuple[str, ...], as_json: bool) -> None:
    """Print what in scripts, or else in this environment, is not reproducible.

    SCRIPTS are Python files, notebooks, and folders of them. They are read and not run. Exit code
    0: nothing was found; 1: something was; 2: a script could not be read. A line that ends with
    `# repro: ignore` is passed over; docs/doctor.md has the rules.

    Without SCRIPTS, print the configuration, and what is amiss in this environment.
    """
    if scripts:
        sys.exit(_check_scripts(scripts, as_json))
    from repro_keras._src import config
    from repro_keras._src.doctor import doctor, findings

    if as_json:
        amiss = findings()
        settings = dataclasses.asdict(config.config())
        click.echo(json.dumps({"configuration": settings, "amiss": amiss}, indent=2))
    else:
        amiss = doctor()
    sys.exit(DIFFERENT if amiss else SAME)


def _check_scripts(scripts: tuple[str, ...], as_json: bool) -> int:
    """Says what is found in scripts; returns the exit code."""
    from repro_keras._src import advice

    found, errors, count = advice.check(scripts)
    if as_json:
        result = {
            "findings": [dataclasses.asdict(finding) for finding in found],
            "errors": [str(error) for error in errors],
        }
        click.echo(json.dumps(result, indent=2))
    else:
        for finding in found:
            click.echo(str(finding))
        files = "1 file" if count == 1 else f"{count} files"
        click.echo(f"{len(found) or 'Nothing'} found in {files}.")
    for error in errors:
        click.echo(f"repro-keras: {error}", err=True)
    if errors:
        return TROUBLE
    return DIFFERENT if found else SAME
