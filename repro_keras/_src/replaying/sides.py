"""The code and data of a run as they were, wherever they are: in its project, kept, or exported."""

import contextlib
import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from repro_keras._src import project, record
from repro_keras._src.errors import FileFormatError, RunError
from repro_keras._src.exports import archive, layout, reading
from repro_keras._src.runs import kept, store, verify
from repro_keras._src.words import listed


@dataclasses.dataclass(frozen=True)
class Side:
    """A run that can be replayed.

    Attributes:
        path: the file of its record.
        statement: the record.
        home: its project, with what it needs but for `instead`.
        instead: files that lie elsewhere, by their paths in the project.
        runs: the project that the replay is made in.
    """

    path: Path
    statement: record.Statement
    home: project.Project
    instead: dict[str, Path]
    runs: project.Project

    def states(self, until: int) -> list[str]:
        """Its states of training that are there, of not more than so many steps.

        Args:
            until: the most steps of the run that may have been made.
        """
        from repro_keras._src.state import files  # loads NumPy

        found = []
        for name, digest in sorted(layout.states(self.statement).items()):
            path = self.home.root / name
            if not path.is_file() or project.sha256(path) != digest:
                continue  # it went, or is another run's
            with contextlib.suppress(FileFormatError):
                steps = files.read(path).content.recorded
                if steps is not None and steps <= until:
                    found.append(name)
        return found


@contextlib.contextmanager
def opened(path: Path, here: project.Project) -> Iterator[Side]:
    """A run with its code and data; what was unpacked or fetched for that is removed at the end.

    Args:
        path: a record or an export.
        here: the current project.

    Raises:
        RunError: where some of it is missing, or it cannot be replayed.
    """
    with contextlib.ExitStack() as stack:
        if archive.is_one(path):
            export = reading.read(path)
            folder, home = stack.enter_context(reading.unpacked(export, here))
            stack.callback(store.remove, folder)
            place = folder / store.EXPORT / store.RECORD
            place.write_bytes(export.contents[layout.RECORD])
            side = Side(place, export.statement, home, {}, here)
        else:
            statement = record.read(path)
            home = store.owner(path) or verify.home_of(path, statement)
            fetched = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            instead = _elsewhere(home, statement, fetched)
            side = Side(path, statement, home, instead, store.owner(path) or here)
        _check(side.statement)
        yield side


def _check(statement: record.Statement) -> None:
    run = statement.predicate
    if run.read_input:
        raise RunError("it read its standard input, which a record does not keep")
    if any(model.type == "Session" for model in run.models):
        raise RunError("it trained in a session of TensorFlow 1, whose steps are not looked into")


def _elsewhere(
    home: project.Project, statement: record.Statement, fetched: Path
) -> dict[str, Path]:
    """The files of a run that are not in its project as they were, and where they are."""
    found, missing = {}, []
    code = statement.predicate.code
    for file in {f.path: f for f in (*code.files, *statement.predicate.read)}.values():
        place = kept.as_it_was(home, file) or _of_commit(home, code.git, file, fetched)
        if place is None:
            missing.append(file.path)
        elif place != home.root / file.path:
            found[file.path] = place
    if missing:
        raise RunError(
            f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not there as "
            f"{'it was' if len(missing) == 1 else 'they were'}, and kept are files of at most "
            f"{kept.LARGEST // 2**20} MB"
        )
    return found


def _of_commit(
    home: project.Project, git: record.Git | None, file: record.File, fetched: Path
) -> Path | None:
    """A file as it is in the commit that was checked out."""
    if git is None or not re.fullmatch("[0-9a-f]{7,64}", git.commit):
        return None
    name = f"{git.commit}:./{file.path}"
    result = subprocess.run(
        ["git", "-C", str(home.root), "show", "--no-textconv", name], capture_output=True
    )
    place = fetched / file.sha256
    place.write_bytes(result.stdout)
    return place if project.is_file(place, file.sha256, file.size) else None
