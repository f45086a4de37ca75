"""`repro-keras doctor` and `migrate`: scripts are read, and not run."""

import dataclasses
import sys

import click

from repro_keras._src.commands.common import (
    AS_JSON,
    DIFFERENT,
    SAME,
    TROUBLE,
    note,
    print_json,
)


@click.command("doctor")
@click.argument("scripts", nargs=-1, type=click.Path())
@AS_JSON
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
        print_json({"configuration": settings, "amiss": amiss})
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
        print_json(result)
    else:
        for finding in found:
            click.echo(str(finding))
        files = "1 file" if count == 1 else f"{count} files"
        click.echo(f"{len(found) or 'Nothing'} found in {files}.")
    for error in errors:
        note(error)
    if errors:
        return TROUBLE
    return DIFFERENT if found else SAME


@click.command("migrate")
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--write", is_flag=True, help="Rewrite the files; else nothing is written.")
@click.option(
    "--v1/--no-v1",
    "v1",
    default=None,
    help="Take PATHS for scripts of TensorFlow 1, or of TensorFlow 2. [default: as each says]",
)
@click.option("--check", is_flag=True, help="Say also what `doctor` finds in the files.")
@AS_JSON
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
        print_json(rows)
    else:
        for file in found:
            _show_migrated(file)
        for finding in findings:
            click.echo(str(finding), err=True)
    for error in errors:
        note(error)
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
        note(trouble)
    if file.written:
        click.echo(f"rewritten: {file.file}", err=True)
