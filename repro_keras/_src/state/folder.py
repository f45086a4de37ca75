"""The folder of states: who may write there, which state is the newest whole one, which go."""

import contextlib
import errno
import os
import re
import threading
import time
import warnings
from pathlib import Path

from repro_keras._src.errors import FileFormatError, ReproWarning, StateError
from repro_keras._src.state import files, value

try:
    import fcntl
except ImportError:  # Windows: two processes on one folder are not told apart there
    fcntl = None

_NAME = re.compile(r"fit(\d+)-epoch(\d+)-step(\d+)\.safetensors")
_LOCK = ".lock"
_PATIENCE = 2.0  # seconds for a process that was killed to be gone

_held: set[str] = set()  # by this process, whose own locks do not exclude each other


class Folder:
    """A folder of states.

    Args:
        path: where it is; made where it is missing.
        keep: how many of the last whole states of a fit stay.
    """

    def __init__(self, path: Path, keep: int):
        self.path = path
        self._keep = keep
        self._lock: int | None = None
        self._removing: threading.Thread | None = None

    def lock(self) -> None:
        """Takes the folder for this process, until `unlock`.

        Raises:
            StateError: where another process has it.
            OSError: where the folder cannot be written to.
        """
        place = os.path.realpath(self.path)
        if place in _held:
            raise self._taken("another fit of this process")
        self.path.mkdir(parents=True, exist_ok=True)
        if fcntl is not None:
            # Not flock: workers that are forked would hold it for a parent that was killed.
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._wait(self._lock)
            except BaseException:
                os.close(self._lock)
                self._lock = None
                raise
        _held.add(place)

    def _wait(self, lock: int) -> None:
        assert fcntl is not None
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    return  # a file system without locks
                if time.monotonic() > end:
                    raise self._taken("another process") from None
            time.sleep(0.05)

    def _taken(self, whom: str) -> StateError:
        return StateError(
            f"The states in {self.path} are in use by {whom}, and two that train there would take "
            "each other's states. Wait for it to end, or give each a folder of its own."
        )

    def unlock(self) -> None:
        """Gives the folder back."""
        self._finish()
        place = os.path.realpath(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        _held.discard(place)

    def newest(self, fit: int) -> value.State | None:
        """The newest whole state of a fit; a broken one is named in a warning and passed over."""
        for path in reversed(self._of(fit)):
            try:
                return _read(path)
            except FileFormatError as error:
                warnings.warn(
                    f"{error} The state before it is used, or where there is none, training "
                    "begins at its beginning.",
                    ReproWarning,
                    stacklevel=2,
                )
        return None

    def latest(self) -> value.State | None:
        """The newest whole state of the last fit."""
        fits = self._fits()
        return self.newest(fits[-1]) if fits else None

    def newest_of_all(self) -> list[value.State]:
        """The newest whole state of each fit."""
        return [state for fit in self._fits() if (state := self.newest(fit)) is not None]

    def file(self, fit: int, position: value.Position) -> Path:
        """The place of a state."""
        name = f"fit{fit:03d}-epoch{position.epoch:05d}-step{position.step:08d}.safetensors"
        return self.path / name

    def save(self, fit: int, state: value.State) -> Path:
        """Writes a state, and removes those that are not needed any more.

        Raises:
            SaveError: where it cannot be written.
        """
        path = self.file(fit, state.position)
        files.write(path, state)
        before = [other for other in self._of(fit) if _place(other) <= _place(path)]
        # Those after it are broken, or training would have gone on from them.
        self._remove({*self._of(fit)} - {*before[-self._keep :]})
        return path

    def _remove(self, paths: set[Path]) -> None:
        """Removes files in a thread: of a large one, it takes as long as a part of writing it."""

        def remove():
            for path in paths:
                with contextlib.suppress(OSError):
                    path.unlink()

        self._finish()
        if paths:
            self._removing = threading.Thread(target=remove, name="repro_keras states")
            self._removing.start()

    def _finish(self) -> None:
        if self._removing is not None:
            self._removing.join()
            self._removing = None

    def _fits(self) -> list[int]:
        """The numbers of the fits that have states, in their order."""
        return sorted({_place(path)[0] for path in self._of(None)})

    def _of(self, fit: int | None) -> list[Path]:
        """The states of a fit, or of all, the oldest first."""
        found = []
        if self.path.is_dir():
            for path in self.path.iterdir():
                match = _NAME.fullmatch(path.name)
                if match and fit in (None, int(match[1])):
                    found.append(path)
        return sorted(found, key=_place)


def _read(path: Path) -> value.State:
    """The state of a file, which is of the place that its name says.

    Raises:
        FileFormatError: where it is not, or no whole state.
    """
    state = files.read(path)
    position = state.position
    if _place(path)[1:] != (position.epoch, position.step):
        raise files.broken(path, f"it is of epoch {position.epoch}, step {position.step}")
    return state


def _place(path: Path) -> tuple[int, ...]:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return tuple(map(int, match.groups()))
