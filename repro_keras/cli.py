"""The commands: `repro-keras COMMAND`, or `python -m repro_keras COMMAND`.

Exit codes are those of `diff`: 0 the same, 1 different, 2 could not tell, or trouble.
"""

import json
import os
import re
import sys
from pathlib import Path

import click

from repro_keras._src.digest import digest
from repro_keras._src.errors import ReproError
from repro_keras._src.version import __version__

SAME, DIFFERENT, TROUBLE = 0, 1, 2

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow says of the machine


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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
    found = [_digest_of(name) for name in files]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    for result in found:
        if "error" in result:
            click.echo(f"repro-keras: {result['error']}", err=True)
        elif not as_json:
            click.echo(_line(result["digest"], result["file"]))
    sys.exit(TROUBLE if any("error" in result for result in found) else SAME)


def _digest_of(name: str) -> dict[str, str]:
    try:
        return {"file": name, "digest": digest(Path(name))}
    except ReproError as error:
        return {"file": name, "error": str(error)}


def _check(lists: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Checks the files of lists; returns the exit code."""
    found = []
    for name in lists:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            found.append({"file": name, "error": f"The list {name} could not be read: {error}"})
            continue
        for number, line in enumerate(text.split("\n"), 1):
            listed = _listed(line)
            if listed is not None:
                expected, file = listed
                found.append({**_digest_of(file), "expected": expected})
            elif line.strip():
                found.append(
                    {
                        "file": name,
                        "error": f"{name}, line {number}: expected 'sha256:<64 digits>  <file>'. "
                        f"Received: {line[:80]!r}",
                    }
                )
        if not text.strip():
            found.append({"file": name, "error": f"The list {name} is empty."})
    for result in found:
        if "error" not in result:
            same = result["digest"] == result["expected"]
            result["verdict"] = "OK" if same else "FAILED"
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
                click.echo(f"{_escaped(result['file'])}: FAILED open or read")
        elif result["verdict"] == "FAILED" or not quiet:
            click.echo(f"{_escaped(result['file'])}: {result['verdict']}")
    different = sum(result.get("verdict") == "FAILED" for result in found)
    if different:
        what = "digest does" if different == 1 else "digests do"
        click.echo(f"repro-keras: WARNING: {different} {what} NOT match", err=True)


def _line(value: str, name: str) -> str:
    """A line of a list, as `sha256sum` writes it: a name that needs it is escaped and marked."""
    escaped = _escaped(name)
    mark = "\\" if escaped != name else ""
    return f"{mark}{value}  {escaped}"


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _listed(line: str) -> tuple[str, str] | None:
    """The digest and the file of a line of a list."""
    found = re.fullmatch(r"(\\?)(sha256:[0-9a-f]{64})  (.+)", line)
    if found is None:
        return None
    marked, value, name = found.groups()
    if marked:
        name = re.sub(r"\\([\\nr])", lambda m: {"\\": "\\", "n": "\n", "r": "\r"}[m[1]], name)
    return value, name


@main.command("doctor")
def doctor_command() -> None:
    """Print the configuration, and what in this environment is not reproducible."""
    from repro_keras._src.doctor import doctor

    sys.exit(DIFFERENT if doctor() else SAME)
