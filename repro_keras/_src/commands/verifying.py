"""`repro-keras verify`: a record, an export or a notebook is run again, and compared."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from repro_keras._src import project, record
from repro_keras._src.commands import notebooks, tables
from repro_keras._src.commands.common import (
    ALLOW,
    AS_JSON,
    RUN,
    YES,
    ask,
    code_of,
    current_project,
    note,
    print_json,
    told_as_json,
)
from repro_keras._src.comparing import causes, compare, saying
from repro_keras._src.errors import RunError
from repro_keras._src.exports import archive, layout, reading, sign
from repro_keras._src.runs import checks, launch, store, terminal, verify
from repro_keras._src.words import shell


@click.command("verify")
@RUN
@YES
@ALLOW
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
@AS_JSON
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
        with told_as_json(as_json):
            sys.exit(notebooks.verify(Path(run), yes, keep, twice, update, timeout, as_json))
    if twice or update or timeout:
        raise click.UsageError("--twice, --update and --timeout are for notebooks (.ipynb).")
    with told_as_json(as_json):
        here = current_project()
        path = store.find(here, run)
        with _opened(path, here, key) as (statement, home, folder, signature):
            reasons = checks.before(home, statement, allow)
            if not yes:
                ask(path, statement, home)
        finished = verify.again(path, statement, home, folder)
        terminal.clear()
        checks.after(statement, finished)
    verdict = compare.compare(statement, finished.statement, alone=True)
    _show_verdict(path, statement, finished, verdict, reasons, signature, as_json)
    if verdict.same and not keep:
        store.remove(finished.folder / store.COPY)
        store.remove(finished.folder / store.EXPORT)
    sys.exit(code_of(verdict.same))


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
        sign.check(export.signature, export.contents[layout.RECORD], key)
        signature = "good"
    elif export.signature is not None:
        signature = "not checked"
        note("it is signed, which was not checked: --key PUB.pem")
    with reading.unpacked(export, here) as (folder, home):
        yield export.statement, home, folder, signature


def _show_verdict(path, statement, finished, verdict, reasons, signature, as_json: bool) -> None:
    likely = causes.likely(statement, finished.statement, verdict)
    if as_json:
        found = tables.as_json(verdict, "recorded", "now", likely)
        doubts = [saying.doubt(verdict.files)] if verdict.same is None and verdict.files else []
        about = {"record": str(path), "run": finished.folder.name, "reasons": reasons + doubts}
        about.update({"signature": signature} if signature else {})
        print_json({**found, **about})
        return
    tables.show_rows(verdict, compare.command_of(statement), "recorded", "now")
    for reason in reasons:
        tables.say(f"Not covered by the guarantee: {reason}")
    tables.show_reasons(verdict, "{where}: {what} was {recorded} and is {now}", likely)
    if verdict.difference is not None:
        both = f"{store.id_of(path) or shell([str(path)])} {finished.folder.name}"
        tables.say(f"`repro-keras diff {both} --replay` runs both again, and names the tensor.")
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
