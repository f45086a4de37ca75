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

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

RUNS = ".repro"
OUTSIDE = "{outside}"
"""Stands in a record for the folders around a path that is not below the project's."""

_MARKS = (".git", "pyproject.toml", "setup.py", RUNS)
_LARGE = 64 * 2**20
_TOTAL = 2 * 2**30
_CLONE = 0x40049409  # Linux: FICLONE
_MANY = 100_000
_INSTALLED = f"{os.sep}site-packages{os.sep}"
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
                    if not _is_a_tools(entry.name, entry.path):
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

    def copy_to(
        self, folder: Path, copied: Iterable[str], written: Iterable[str]
    ) -> dict[Path, _Stat]:
        """Makes a folder that a script finds its files in, and that it can write to.

        Its folders are real ones and its files copies, so that nothing which is written, moved or
        removed there changes the project. Files that are too large for that share their blocks with
        the copy where the file system can do so, and are links where not: `own` makes a copy of one
        before it is written to. What the run wrote is not there yet, nor are environments of
        Python and hidden caches of tools, which `CACHEDIR.TAG` tells.

        Args:
            folder: a new folder.
            copied: relative paths of files that the run needs, which are copied first.
            written: relative paths of files that the run made.

        Returns:
            What is linked to, and its state.

        Raises:
            RunError: where there are too many files.
        """
        own = set(copied)
        copy = _Copy(self.root, folder, own, set(written) - own)
        for path in sorted(own):
            copy.file(PurePosixPath(path))
        real = Path(os.path.realpath(self.root))
        copy.fill(PurePosixPath(), tuple(map(str, (real, *real.parents))))
        # Folders that the run made have to be there only where it did not make them itself.
        for path in copy.without:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        return copy.links

    def own(self, path: str) -> None:
        """In a copy: makes a file that is a link out of the project a file of its own."""
        place = Path(os.path.abspath(path))
        if self.root not in place.parents or not place.is_symlink():
            return
        if Path(os.path.realpath(self.root)) not in Path(os.path.realpath(place)).parents:
            new = place.with_name(f".{place.name}.{os.getpid()}")
            shutil.copy2(place, new)
            os.replace(new, place)


class _Copy:
    """Fills a copy of a project."""

    def __init__(self, root: Path, folder: Path, own: set[str], without: set[str]):
        self.without = without
        self.links: dict[Path, _Stat] = {}
        self._root, self._folder, self._own = root, folder, own
        self._bytes = self._count = 0
        folder.mkdir(parents=True, exist_ok=True)

    def fill(self, at: PurePosixPath, inside: tuple[str, ...]) -> None:
        """Fills a folder of it; `inside` are those around it, which a link may lead back to."""
        (self._folder / at).mkdir(parents=True, exist_ok=True)
        for entry in _entries(self._root / at):
            path = at / entry.name
            if entry.name in (RUNS, ".git", "__pycache__") or str(path) in self.without:
                continue
            if entry.is_symlink() and self._leads_inside(path):
                continue
            if not entry.is_dir():
                self.file(path)
                continue
            real = os.path.realpath(entry.path)
            if real not in inside and not _is_a_tools(path.name, real):
                self.fill(path, (*inside, real))

    def _leads_inside(self, path: PurePosixPath) -> bool:
        """Makes a link that stays inside of the project the same link in the copy."""
        target = os.path.join(os.path.dirname(self._root / path), os.readlink(self._root / path))
        try:
            below = Path(os.path.normpath(target)).relative_to(self._root)
        except ValueError:
            return False
        place = self._folder / path
        if not os.path.lexists(place):
            place.symlink_to(os.path.relpath(self._folder / below, place.parent))
        return True

    def file(self, path: PurePosixPath) -> None:
        """Copies a file, or links to it."""
        source, place = self._root / path, self._folder / path
        if not source.is_file() or os.path.lexists(place):
            return
        self._count += 1
        if self._count > _MANY:
            raise RunError(
                f"The project folder {self._root} has more than {_MANY:,} files, too many to copy. "
                "Mark a folder of its own for the script with an empty folder `.repro`."
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        stat = source.stat()
        fits = stat.st_size <= _LARGE and self._bytes + stat.st_size <= _TOTAL
        if fits or (str(path) in self._own and stat.st_size <= _LARGE):
            self._bytes += stat.st_size
            shutil.copy2(source, place)
        elif not _cloned(source, place):
            real = source.resolve()
            place.symlink_to(real)
            self.links[real] = _stat(real)


def _is_a_tools(name: str, folder: str) -> bool:
    """Whether a folder is an environment of Python, or a hidden cache."""
    marks = ["pyvenv.cfg", *(["CACHEDIR.TAG"] if name.startswith(".") else [])]
    return any(os.path.exists(os.path.join(folder, mark)) for mark in marks)


def changed(files: dict[Path, _Stat]) -> list[str]:
    """Those of some files that are no longer as they were."""
    return [str(path) for path, stat in files.items() if not path.exists() or _stat(path) != stat]


def _stat(path: Path) -> _Stat:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _cloned(source: Path, place: Path) -> bool:
    """Copies a file without its bytes, where the file system can (Btrfs, XFS, …)."""
    if fcntl is None:
        return False
    try:
        with open(source, "rb") as one, open(place, "xb") as other:
            fcntl.ioctl(other, _CLONE, one.fileno())
        shutil.copystat(source, place)
    except OSError:
        place.unlink(missing_ok=True)
        return False
    return True


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


def is_file(place: Path, digest: str, size: int) -> bool:
    """Whether a file with this digest and size lies somewhere."""
    try:
        return place.stat().st_size == size and sha256(place) == digest
    except OSError:
        return False


def local_modules(project: Project, names: Iterable[str] | None = None) -> list[Path]:
    """The source files of loaded modules that are the project's own.

    Args:
        project: the project.
        names: the modules to look at; `None` for all.
    """
    ours = Path(__file__).parents[1]
    found = set()
    for name in list(sys.modules) if names is None else names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py") or _INSTALLED in file:
            continue
        if not os.path.isfile(file):
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
