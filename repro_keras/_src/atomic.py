"""Writing files so that a crash, a full disk or a killed process leaves the old one or the new.

What is written goes into a hidden folder beside its place, is flushed to the disk, and is moved to
its place at the end, which file systems do at once or not at all.
"""

import contextlib
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from repro_keras._src.errors import ReproWarning, SaveError

try:
    import fcntl
except ImportError:  # Windows: what a killed process left behind is not cleaned up there
    fcntl = None

_SUFFIX = ".repro-saving"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Inside, what is to be at `path` is written somewhere else; it is moved there at the end.

    A symbolic link is written through, and a file keeps its permissions. What is no plain file (a
    device, a pipe), or lies in a folder that cannot be written to, is written in place.

    Args:
        path: the place of a file, or of a folder of files. Further files that are written beside
            it are moved too, before it; of a folder that exists, the files are replaced one by one.

    Yields:
        Where to write instead: the same name in another folder.

    Raises:
        SaveError: where writing fails; what was at `path` is untouched then.

    Example:

    ```python
    with replacing("model.keras") as place:
        place.write_bytes(content)
    ```
    """
    target = Path(os.path.realpath(path))
    if not _replaceable(target):
        yield Path(path)
        return
    prefix = f".{target.name[:100]}."
    _remove_leftovers(target.parent, prefix)
    try:
        folder, lock = _locked_folder(target.parent, prefix)
    except PermissionError:
        warnings.warn(
            f"{target.parent} cannot be written to, so that {target.name} is written in place: a "
            "crash meanwhile would leave half of it.",
            ReproWarning,
            stacklevel=4,
        )
        yield Path(path)
        return
    except OSError as error:
        raise _failed(path, error, error.errno) from error
    try:
        yield folder / target.name
        _move_in(folder, target)
    except (OSError, RuntimeError) as error:
        number = _error_number(error)
        if number is None:
            raise
        raise _failed(path, error, number) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def meant(path: str) -> str:
    """The file that a path is for, where it is the hidden folder beside it; else the path."""
    folder, name = os.path.split(path)
    if not name.endswith(_SUFFIX):
        return path
    return os.path.join(folder, name[1:].removesuffix(_SUFFIX).rpartition(".")[0])


def _failed(path: str | os.PathLike, error: Exception, number: int | None) -> SaveError:
    return SaveError(
        f"{path} could not be saved: {error}. What was there before is untouched. Make room, or "
        "save to another place.",
        number,
    )


def _error_number(error: OSError | RuntimeError) -> int | None:
    """The number of the system's error; HDF5 may have it in the text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else None


def _replaceable(target: Path) -> bool:
    """Whether something can be moved to a place, by what is there now."""
    if not target.parent.is_dir():
        return False  # whoever writes gives the error that users know
    if not target.exists():
        return True
    return (target.is_file() or target.is_dir()) and os.access(target, os.W_OK)


def _move_in(folder: Path, target: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    main = folder / target.name
    if main in files:  # last: an index must not come before what it lists
        files.remove(main)
        files.append(main)
    for file in files:
        _flush(file)
    for file in files:
        place = target.parent / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            shutil.copymode(place, file)
        os.replace(file, place)
    _flush(target.parent)


def _flush(path: Path) -> None:
    """Waits until a file, or a folder's list of files, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """A new folder that others see is in use, and the descriptor that holds the lock."""
    while True:
        folder = Path(tempfile.mkdtemp(suffix=_SUFFIX, prefix=prefix, dir=parent))
        if fcntl is None:
            return folder, None
        # Another process that saves the same file may take the folder for a leftover until the
        # lock is held; then this one makes another.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            except OSError:  # a file system without locks: nobody removes leftovers there either
                return folder, lock
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_leftovers(parent: Path, prefix: str) -> None:
    """Removes what killed processes have left of the same file."""
    if fcntl is None:
        return
    for folder in parent.glob(f"{_escaped(prefix)}*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _escaped(name: str) -> str:
    """A name as a pattern that matches itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
