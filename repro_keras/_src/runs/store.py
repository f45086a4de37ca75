"""The folder of recorded runs, `.repro/runs` in a project's folder."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import platform
import shutil
import time
from pathlib import Path

from repro_keras._src import atomic, record
from repro_keras._src.errors import RecordError, RunError
from repro_keras._src.project import RUNS, Project
from repro_keras._src.runs import journal, process

RECORD = "record.json"
ABOUT = "about.json"
COPY = "project"
EXPORT = "export"
DIFF = "git.diff"
_SILENT = 600  # seconds after which a run on another host is taken to be over


@dataclasses.dataclass(frozen=True)
class Listed:
    """A run, as far as it can be read.

    Attributes:
        id: its name: when it began, and four more digits.
        folder: where it is.
        about: when, where and by whom it was run; not part of the record.
        statement: its record; `None` where there is none.
        trouble: why there is none, or it cannot be read.
    """

    id: str
    folder: Path
    about: dict
    statement: record.Statement | None
    trouble: str | None

    @property
    def path(self) -> Path:
        return self.folder / RECORD

    @property
    def is_running(self) -> bool:
        if self.path.exists():
            return False
        if self.about.get("host") != platform.node():  # processes there are not seen from here
            return time.time() - _changed(self.folder) < _SILENT
        for name in ("pid", "child"):
            pid = self.about.get(name)
            if isinstance(pid, int) and process.is_alive(pid, self.about.get(f"{name}_identity")):
                return True
        return False


def written_by_others(folder: Path) -> set[str]:
    """The files that runs which overlapped with this one have opened to write."""
    began = about(folder).get("began", 0.0)
    found: set[str] = set()
    for other in folder.parent.iterdir():
        facts = about(other)
        if other == folder or facts.get("began", math.inf) + facts.get("seconds", math.inf) < began:
            continue
        found.update(facts.get("wrote", []))
        if not (other / RECORD).exists():
            found |= journal.Story(other).wrote
    return found


def _changed(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return max((path.stat().st_mtime for path in folder.iterdir()), default=0.0)
    return 0.0


def folder_of(project: Project) -> Path:
    """The folder of all runs of a project; it need not be there."""
    return project.root / RUNS / "runs"


def ids(project: Project) -> list[str]:
    """The ids of all runs of a project, the oldest first."""
    runs = folder_of(project)
    return sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []


def new(project: Project) -> Path:
    """Makes the folder of a new run.

    Raises:
        RunError: where that cannot be.
    """
    runs = folder_of(project)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        ignore = runs.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("# Records of runs: copy those to publish to another folder.\n*\n")
        while True:
            second = time.strftime("%Y%m%d-%H%M%S")
            name = f"{second}-{os.urandom(2).hex()}"
            if name < max((id for id in ids(project) if id.startswith(second)), default=""):
                continue  # what begins later comes later, within a second too
            try:
                (runs / name).mkdir()
            except FileExistsError:
                continue
            return runs / name
    except OSError as error:
        raise RunError(
            f"Runs are recorded in {runs}, which cannot be written to: {error}"
        ) from None


def owner(path: Path) -> Project | None:
    """The project among whose runs a record lies; `None` for one that lies elsewhere."""
    runs = Path(os.path.abspath(path)).parent.parent
    return Project(runs.parent.parent) if runs.parts[-2:] == (RUNS, "runs") else None


def id_of(path: Path) -> str | None:
    """The id of the run that a record is of; `None` for one that lies elsewhere."""
    return None if owner(path) is None else path.parent.name


def say(folder: Path, **facts) -> None:
    """Adds to what is known about a run beside its record."""
    with atomic.replacing(folder / ABOUT) as place:
        place.write_text(json.dumps({**about(folder), **facts}, indent=1) + "\n")


def about(folder: Path) -> dict:
    try:
        found = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def git_diff(path: Path, git: record.Git | None) -> bytes | None:
    """What `git diff HEAD` said before a run; `None` where it is not kept beside its record."""
    if git is None or git.diff is None:
        return None
    try:
        content = (path.parent / DIFF).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == git.diff else None


def every(project: Project, *, read: bool = True) -> list[Listed]:
    """All runs of a project, the oldest first.

    Args:
        project: the project.
        read: whether to read their records.
    """
    runs = folder_of(project)
    if not runs.is_dir():
        return []
    return [_listed(folder, read) for folder in sorted(runs.iterdir()) if folder.is_dir()]


def _listed(folder: Path, read: bool) -> Listed:
    statement, trouble = None, None
    if not read:
        return Listed(folder.name, folder, about(folder), None, None)
    if (folder / RECORD).exists():
        try:
            statement = record.read(folder / RECORD)
        except RecordError as error:
            trouble = str(error)
    else:
        trouble = "it has not come to its end"
    return Listed(folder.name, folder, about(folder), statement, trouble)


def find(project: Project, wanted: str | None) -> Path:
    """The record that somebody means.

    Args:
        project: where to look for runs.
        wanted: a file or the folder of a run, the beginning or the last digits of a run's id, or
            `None` for the latest run that is no verification.

    Raises:
        RunError: where there is none, or more than one.
    """
    if wanted is not None and (Path(wanted).is_file() or wanted.endswith(".json")):
        return Path(wanted)
    if wanted is not None and (Path(wanted) / RECORD).is_file():
        return Path(wanted) / RECORD
    if wanted is None:
        return latest(project)
    runs = folder_of(project)
    found = [n for n in ids(project) if wanted and (n.startswith(wanted) or n.endswith(wanted))]
    if len(found) == 1:
        return runs / found[0] / RECORD
    if found:
        raise RunError(f"{wanted!r} is the beginning of {len(found)} runs: {', '.join(found)}")
    raise RunError(
        f"There is neither a file nor a run {wanted!r} in {project.root}. `repro-keras ls` lists "
        "the runs."
    )


def latest(project: Project, besides: Path | None = None) -> Path:
    """The record of the latest run that is no verification.

    Args:
        project: where to look for runs.
        besides: a record that is not meant.

    Raises:
        RunError: where there is none.
    """
    for name in reversed(ids(project)):
        path = folder_of(project) / name / RECORD
        if not path.exists() or "verifies" in about(path.parent):
            continue
        if besides is None or not path.samefile(besides):
            return path
    other = "other " * (besides is not None)
    raise RunError(
        f"There is no {other}recorded run in {project.root}. Record one: `repro-keras run SCRIPT`"
    )


def remove(folder: Path) -> None:
    """Removes a run; what its copy of the project links to stays.

    Raises:
        RunError: where that cannot be.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return  # somebody else has removed it
    except OSError as error:
        raise RunError(f"{folder} could not be removed: {error}") from None


def size(folder: Path) -> int:
    """How many bytes a run takes."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
