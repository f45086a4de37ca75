"""In the process that runs a record again: what it writes goes into its copy of the project.

A script that names its output by an absolute path would write over the user's files instead.
"""

import contextlib
import os
import sys
from pathlib import Path

from repro_keras._src import atomic, project
from repro_keras._src.errors import RunError
from repro_keras._src.runs import recorder
from repro_keras._src.runs.request import Request

NAME = "untouched.txt"
_OURS = (project.RUNS, "__pycache__")


def guard(folder: Path, wanted: Request) -> None:
    """Lets this process change none of the user's files, from here to its end.

    Args:
        folder: the run's.
        wanted: what is run.
    """
    found = _Guard(folder, wanted)
    sys.addaudithook(found.audit)


def refused(folder: Path) -> str | None:
    """Why a run was not let go on; `None` where it was."""
    try:
        return (folder / NAME).read_text()
    except FileNotFoundError:
        return None


class _Guard:
    def __init__(self, folder: Path, wanted: Request):
        self._folder = folder
        self._copy = project.Project(Path(wanted.root))
        self._free = [os.path.realpath(folder), os.path.realpath(sys.prefix)]
        self._projects = [os.path.realpath(root) for root in wanted.untouched]
        self._given = [os.path.realpath(path) for path in wanted.given]
        self._made: list[str] = []  # by this process, beside what it was given

    def audit(self, event: str, arguments: tuple) -> None:
        """Looks at what Python is about to do.

        Raises:
            RunError: where that would change one of the user's files.
        """
        if event == "open":
            path, _, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._written(path)
        elif event in ("sqlite3.connect", "os.truncate", "os.chmod", "os.utime"):
            self._written(arguments[0])
        elif event == "os.mkdir":
            if not self._is_there(arguments[0]):  # `exist_ok` makes none
                self._placed(arguments[0])
        elif event in ("os.remove", "os.rmdir", "shutil.rmtree"):
            if self._is_there(arguments[0]):
                self._placed(arguments[0])
        elif event in ("os.link", "os.symlink"):
            self._placed(arguments[1])
        elif event == "os.rename":
            for path in arguments[:2]:
                self._placed(path)

    def _is_there(self, path) -> bool:
        return isinstance(path, (str, bytes, os.PathLike)) and os.path.lexists(path)

    def _written(self, path) -> None:
        """A file is about to be opened to be written; through a link, that is the file it names."""
        if isinstance(path, (str, bytes, os.PathLike)):
            recording = recorder.current
            quiet = contextlib.nullcontext() if recording is None else recording.quietly()
            with contextlib.suppress(OSError, ValueError), quiet:
                self._copy.own(os.fsdecode(path))
            self._check(os.path.realpath(os.fsdecode(path)))

    def _placed(self, path) -> None:
        """Something is about to be put at a path or taken away there, be it a link."""
        if isinstance(path, (str, bytes, os.PathLike)):
            folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
            self._check(os.path.join(os.path.realpath(folder), name))

    def _check(self, path: str) -> None:
        if any(_is_in(path, free) for free in (*self._free, *self._made)):
            return
        for root in self._projects:
            if _is_in(path, root) and not set(_OURS) & set(Path(path).relative_to(root).parts):
                self._refuse(path)
        if any(_is_in(path, given) for given in self._given):
            if os.path.isfile(path) or os.path.isdir(path):
                self._refuse(path)
            self._made.append(path)

    def _refuse(self, path: str) -> None:
        said = (
            f"The script writes to {atomic.meant(path)}, which is yours: `verify` and `diff "
            "--replay` leave your files as they are, and have stopped it. Let the script write to "
            "paths relative to its working directory or to its own file, and record it again; or, "
            "if this lies outside of the project, move it away."
        )
        with contextlib.suppress(FileExistsError), open(self._folder / NAME, "x") as file:
            file.write(said)
        raise RunError(said)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
