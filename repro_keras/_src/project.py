"""The folder that a run belongs to: its files before and after, and a copy to run again in."""

import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from repro_keras._src.errors import RunError

RUNS = ".repro"
_MARKS = (".git", "pyproject.toml", "setup.py", RUNS)
_LARGE = 64 * 2**20
_MANY = 100_000
_Stat = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Project:
    """A project by its folder.

    Attributes:
        root: the folder; paths in a record are relative to it.
    """

    root: Path

    def relative(self, path: str | os.PathLike) -> str | None:
        """A path relative to the root, with `/`; `None` for what is not below it."""
        try:
            below = Path(os.path.abspath(path)).relative_to(self.root)
        except ValueError:
            try:
                below = Path(os.path.realpath(path)).relative_to(self.root)
            except ValueError:
                return None
        return below.as_posix()

    def is_of_user(self, path: str) -> bool:
        """Whether a relative path is one of the user's files, not a tool's."""
        parts = PurePosixPath(path).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            return False
        return "site-packages" not in parts and not path.endswith((".pyc", ".egg-info"))

    def snapshot(self) -> dict[str, _Stat]:
        """For each file of the user's: its time of change, size and number on the disk.

        Raises:
            RunError: where there are too many.
        """
        found: dict[str, _Stat] = {}
        folders = [self.root]
        while folders:
            for entry in _entries(folders.pop()):
                path = Path(entry.path).relative_to(self.root).as_posix()
                if not self.is_of_user(path):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                        folders.append(Path(entry.path))
                elif entry.is_file():
                    stat = entry.stat()
                    found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if len(found) > _MANY:
                raise RunError(
                    f"The project folder {self.root} has more than {_MANY:,} files, too many to "
                    "look for those that the run writes. Run the script in a folder of its own, "
                    "and mark it with an empty folder `.repro`."
                )
        return found

    def copy_to(self, folder: Path, copied: Iterable[str], written: Iterable[str]) -> None:
        """Makes a folder that a script finds its files in, and that it can write to.

        Files that the run is known to read are copied, so that nothing changes them; others, and
        large ones, are links to the project's. What the run wrote is not there yet.

        Args:
            folder: a new folder.
            copied: relative paths of files to copy.
            written: relative paths of files that the run made.
        """
        own = set(copied)
        without = set(written) - own
        inside = {str(parent) for path in own | without for parent in PurePosixPath(path).parents}
        self._fill(folder, PurePosixPath(), own, without, inside)

    def _fill(self, folder: Path, at: PurePosixPath, own, without, inside) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in _entries(self.root / at):
            path = at / entry.name
            name, place = str(path), folder / entry.name
            if entry.name in (RUNS, ".git", "__pycache__") or name in without:
                continue
            if name in inside:
                self._fill(place, path, own, without, inside)
            elif name in own and entry.stat().st_size <= _LARGE:
                shutil.copy2(entry.path, place)
            else:
                place.symlink_to(entry.path)
        # Folders that the run made have to be there only where it did not make them itself.
        for name in inside:
            if PurePosixPath(name).parent == at and name != ".":
                (folder / PurePosixPath(name).name).mkdir(exist_ok=True)


def find(start: Path) -> Project:
    """The project that a file or folder belongs to.

    It is the nearest folder around it with a `.git`, `pyproject.toml`, `setup.py` or `.repro`, and
    without one the folder itself. The user's home folder and the file system's root are none.
    """
    start = Path(os.path.abspath(start))
    folder = start if start.is_dir() else start.parent
    for parent in (folder, *folder.parents):
        if parent == Path.home() or parent == parent.parent:
            break
        if any((parent / mark).exists() for mark in _MARKS):
            return Project(parent)
    return Project(folder)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def local_modules(project: Project) -> list[Path]:
    """The source files of loaded modules that are the project's own."""
    ours = Path(__file__).parents[1]
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py") or not os.path.isfile(file):
            continue
        path = project.relative(file)
        inside_us = ours in Path(file).parents
        if path is not None and project.is_of_user(path) and not inside_us:
            found.add(Path(file))
    return sorted(found)


def git(root: Path) -> tuple[str, bytes] | None:
    """The commit that is checked out, and what differs from it; `None` outside of git."""
    try:
        commit = _git(root, "rev-parse", "HEAD").decode().strip()
        return commit, _git(root, "diff", "--no-color", "--no-ext-diff", "HEAD", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []  # it went meanwhile, or is not ours to read
