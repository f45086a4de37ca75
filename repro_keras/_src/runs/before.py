"""What was there before a run began, written down: whoever makes its record later needs it."""

import contextlib
import os
import platform
import stat
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from repro_keras._src import machine, project, record
from repro_keras._src.runs import kept, store
from repro_keras._src.runs.request import Request

NAME = "before.json"


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What was there before a run.

    Attributes:
        files: the project's files.
        target: the script or notebook.
        git: the commit, and what differs from it.
        environment: the variables that a record names.
        python: Python's version.
        packages: the versions of all that is installed.
        machine: the machine.
        outputs: the files that the standard output and the errors go to: whose shell has sent them
            there, as it may with each run, so that they are not the run's.
    """

    files: dict[str, tuple[int, int, int]]
    target: record.File | None
    git: record.Git | None
    environment: dict[str, str]
    python: str
    packages: dict[str, str]
    machine: record.Machine
    outputs: list[str] = []


def note(wanted: Request, folder: Path, environment: dict[str, str]) -> Before:
    """Looks at what is there now.

    Raises:
        RunError: where the project has too many files.
    """
    home = project.Project(Path(wanted.root))
    target = None
    if wanted.kind != "module":
        place = Path(wanted.folder, wanted.target)
        target = file_of(home, home.relative(place) or wanted.target)
        kept.keep(folder, place, target.sha256, target.size)
    files = home.snapshot()
    return write(
        folder,
        Before(
            files=files,
            target=target,
            git=_git(home, folder),
            environment=machine.environment(environment),
            python=platform.python_version(),
            packages=dict(sorted(machine.packages().items())),
            machine=record.Machine(**machine.describe()),
            outputs=_outputs(home, files),
        ),
    )


def note_files(folder: Path, root: Path) -> None:
    """Looks at the files again: a recording that begins inside a script begins with these."""
    files = project.Project(root).snapshot()
    write(folder, msgspec.structs.replace(read(folder), files=files))


def file_of(home: project.Project, path: str) -> record.File:
    """A file of a project, as it is now."""
    place = home.root / path
    return record.File(path=path, sha256=project.sha256(place), size=place.stat().st_size)


def write(folder: Path, before: Before) -> Before:
    (folder / NAME).write_bytes(msgspec.json.encode(before))
    return before


def read(folder: Path) -> Before:
    return msgspec.json.decode((folder / NAME).read_bytes(), type=Before)


def changed(before: Before, home: project.Project, until: float | None) -> list[str]:
    """The files that are new or changed.

    Args:
        before: what was there.
        home: the project.
        until: the time after which changes are not the run's; `None` where it is just over.
    """
    last = (time.time() if until is None else until) * 1e9 + 1e9
    return [
        path
        for path, found in sorted(home.snapshot().items())
        if before.files.get(path) != found and found[0] <= last and path not in before.outputs
    ]


def _outputs(home: project.Project, files: Iterable[str]) -> list[str]:
    ours = []
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # closed
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode):
                ours.append(found)
    return [path for path in files if any(_is(home.root / path, one) for one in ours)]


def _is(path: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), file)
    except OSError:
        return False


def _git(home: project.Project, folder: Path) -> record.Git | None:
    found = project.git(home.root)
    if found is None:
        return None
    commit, difference = found
    changed = None
    if difference:
        (folder / store.DIFF).write_bytes(difference)
        changed = project.sha256(folder / store.DIFF)
    return record.Git(commit=commit, diff=changed)
