"""What the commands share: exit codes, options, the project, and asking a person."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from repro_keras._src import project, record
from repro_keras._src.comparing import compare
from repro_keras._src.errors import ReproError, RunError
from repro_keras._src.exports import archive, layout, reading
from repro_keras._src.runs import orphans, store

SAME, DIFFERENT, TROUBLE = 0, 1, 2
INTERRUPTED = 130


def _complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    names = store.ids(project.find(Path.cwd()))
    return [name for name in names if name.startswith(incomplete)]


def run_argument(name: str, **options: Any):
    """An argument that is a run, whose id a shell completes."""
    return click.argument(name, required=False, shell_complete=_complete_run, **options)


RUN = run_argument("run")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask before running.")
ALLOW = click.option("--allow", is_flag=True, help="Go on with another CPU or other versions.")


def print_json(found: Any) -> None:
    """Prints what was found, for programs."""
    click.echo(json.dumps(found, indent=2))


def note(said: object) -> None:
    """Says a line of ours where no program reads."""
    click.echo(f"repro-keras: {said}", err=True)


def current_project() -> project.Project:
    """The project of the working directory; runs that were cut off there get their records."""
    found = project.find(Path.cwd())
    orphans.recover(found)
    return found


def read(path: Path) -> tuple[record.Statement, bytes | None]:
    """A record, also of an export, and what `git diff HEAD` said before the run."""
    if archive.is_one(path):
        export = reading.read(path)
        return export.statement, export.contents.get(layout.DIFF)
    statement = record.read(path)
    return statement, store.git_diff(path, statement.predicate.code.git)


def code_of(same: bool | None) -> int:
    """The exit code for what a comparison came to."""
    return {True: SAME, False: DIFFERENT, None: TROUBLE}[same]


@contextlib.contextmanager
def told_as_json(as_json: bool) -> Iterator[None]:
    """Inside, what stops a comparison is told to programs too."""
    try:
        yield
    except (ReproError, OSError, KeyboardInterrupt, click.Abort) as error:
        if as_json:
            reasons = getattr(error, "reasons", [str(error) or "it was interrupted"])
            print_json({"verdict": "could not tell", "reasons": reasons})
        raise


def ask(
    path: Path, statement: record.Statement, home: project.Project, where: str = "a copy of "
) -> None:
    """Asks whether to run a record.

    Raises:
        RunError: where it is not to be run, or nobody can be asked.
    """
    command = compare.command_of(statement)
    click.echo(f"This runs `{command}` in {where}{home.root}, as {path} says.", err=True)
    confirm()


def confirm() -> None:
    """Asks whether to run what was just named.

    Raises:
        RunError: where it is not to be run, or nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise RunError(
            "Nobody can be asked whether to run it, as the input is no terminal. If you trust the "
            "code, say --yes."
        )
    if not click.confirm("Run it?", default=True, err=True):
        raise RunError("It was not run.")
