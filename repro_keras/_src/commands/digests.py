"""`repro-keras digest`: digests of files, printed and checked."""

import sys

import click

from repro_keras._src import digest_lists
from repro_keras._src.commands.common import (
    AS_JSON,
    DIFFERENT,
    SAME,
    TROUBLE,
    note,
    print_json,
)


@click.command("digest")
@click.argument("files", nargs=-1, required=True)
@AS_JSON
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
        print_json(found)
    for result in found:
        if "error" in result:
            note(result["error"])
        elif not as_json:
            click.echo(digest_lists.line(result["digest"], result["file"]))
    sys.exit(TROUBLE if any("error" in result for result in found) else SAME)


def _check(lists: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Checks the files of lists; returns the exit code."""
    found = digest_lists.check(lists)
    if as_json:
        print_json(found)
    else:
        _print_verdicts(found, quiet)
    verdicts = {result.get("verdict") for result in found}
    if None in verdicts:
        return TROUBLE
    return DIFFERENT if "FAILED" in verdicts else SAME


def _print_verdicts(found: list[dict[str, str]], quiet: bool) -> None:
    for result in found:
        if "error" in result:
            note(result["error"])
            if "expected" in result:
                click.echo(f"{digest_lists.escaped(result['file'])}: FAILED open or read")
        elif result["verdict"] == "FAILED" or not quiet:
            click.echo(f"{digest_lists.escaped(result['file'])}: {result['verdict']}")
    different = sum(result.get("verdict") == "FAILED" for result in found)
    if different:
        what = "digest does" if different == 1 else "digests do"
        note(f"WARNING: {different} {what} NOT match")
