"""Runs whose process was killed, or whose terminal was closed, before it made their record."""

import contextlib
import os

import msgspec

from repro_keras._src import project
from repro_keras._src.errors import ReproError
from repro_keras._src.runs import before, journal, launch, request, store


def recover(home: project.Project) -> None:
    """Makes the records of such runs from their journals, as far as these go."""
    for run in store.every(home, read=False):
        if run.path.exists() or run.is_running:
            continue
        with contextlib.suppress(OSError, ReproError, msgspec.MsgspecError):
            path = journal.path(run.folder)
            launch.assemble(
                request.read(run.folder),
                run.folder,
                before.read(run.folder),
                None,
                until=os.stat(path).st_mtime,
            )
