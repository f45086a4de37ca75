"""Copies of the code and small data of runs, beside their records: they may be changed later.

They lie in `.repro/kept` under their SHA-256, so that many runs of the same files keep them once.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from repro_keras._src import project, record
from repro_keras._src.project import RUNS, Project
from repro_keras._src.runs import store

LARGEST = 2**20
"""Bytes of a file that is kept."""


def keep(folder: Path, place: Path, sha256: str, size: int) -> None:
    """Keeps a file of a run, if it is small; where that cannot be, the run goes on all the same.

    Args:
        folder: the run's.
        place: the file.
        sha256: its digest.
        size: its size.
    """
    home = store.owner(folder / store.RECORD)
    if home is None or size > LARGEST:
        return
    kept = _folder(home) / sha256
    with contextlib.suppress(OSError):
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            # Not flushed to the disk, for there may be many: its digest says whether it is whole.
            new = kept.with_name(f".{sha256}.{os.getpid()}")
            shutil.copy2(place, new)
            os.replace(new, kept)


def as_it_was(home: Project, file: record.File) -> Path | None:
    """Where a file of a run is as it was: in its place or kept; `None` where it is nowhere."""
    for path in (home.root / file.path, _folder(home) / file.sha256):
        if project.is_file(path, file.sha256, file.size):
            return path
    return None


def unused(home: Project, statements: Iterable[record.Statement]) -> list[Path]:
    """The copies that none of some records needs."""
    if not _folder(home).is_dir():
        return []
    needed = {
        file.sha256
        for statement in statements
        for file in (*statement.predicate.code.files, *statement.predicate.read)
    }
    return sorted(path for path in _folder(home).iterdir() if path.name not in needed)


def _folder(home: Project) -> Path:
    return home.root / RUNS / "kept"
