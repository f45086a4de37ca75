"""Lists of digests, as `repro-keras digest` prints and checks them, in the form of `sha256sum`."""

import re
import sys
from pathlib import Path

from repro_keras._src.digest import digest
from repro_keras._src.errors import ReproError


def of(name: str) -> dict[str, str]:
    """The digest of a file, or why it has none."""
    try:
        return {"file": name, "digest": digest(Path(name))}
    except ReproError as error:
        return {"file": name, "error": str(error)}


def check(lists: tuple[str, ...]) -> list[dict[str, str]]:
    """What became of the files of lists: each with its `verdict`, or an `error`."""
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
                found.append({**of(file), "expected": expected})
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
    return found


def line(value: str, name: str) -> str:
    """A line of a list, as `sha256sum` writes it: a name that needs it is escaped and marked."""
    text = escaped(name)
    mark = "\\" if text != name else ""
    return f"{mark}{value}  {text}"


def escaped(name: str) -> str:
    """A file's name on one line."""
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
