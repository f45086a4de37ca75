"""The guard: what the user's own code draws from the operating system, caught as it is drawn.

Only what is certain at the moment of the call is caught: a generator that is made without a seed,
and entropy that is asked for. Whether a listing of files will be sorted cannot be known there, nor
whether another thread draws too: `repro-keras doctor SCRIPT` reads the script for these.
"""

import linecache
import os
import sys
import types
import warnings

from repro_keras._src import config, hints
from repro_keras._src.errors import GuardError, ReproWarning

caught: dict[tuple[str, int], str] = {}
"""What was caught so far, by file and line: once per place."""

_passed_over: set[tuple[str, int]] = set()

_LIBRARY = os.path.dirname(os.__file__) + os.sep
_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def user_frame(*, through: tuple[str, ...] = ()) -> types.FrameType | None:
    """The frame that called the function that asks, where it runs a file of the user's.

    Args:
        through: modules of the standard library that only pass the call on.

    Returns:
        The frame; `None` where a library made the call, which is its own affair.
    """
    passed = {f"{_LIBRARY}{name}.py" for name in through}
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename in passed:
        frame = frame.f_back
    return frame if frame is not None and _is_users(frame) else None


def _is_users(frame: types.FrameType) -> bool:
    file = frame.f_code.co_filename
    if file.startswith("<"):  # code without a file: typed in, or made by a library
        return frame.f_globals.get("__name__") == "__main__"
    return not file.startswith((_LIBRARY, _OURS)) and not any(part in file for part in _INSTALLED)


def line_of(frame: types.FrameType) -> str:
    """The line of source that a frame is at; empty where there is no source."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)


def catch(what: str, fix: str, frame: types.FrameType | None) -> None:
    """Warns or raises, as `guard` says, for a call that a frame of the user's makes.

    Args:
        what: what the call does.
        fix: what to do about it.
        frame: of `user_frame`; where it is `None`, nothing is done.

    Raises:
        GuardError: with `guard="error"`.
    """
    mode = config.config().guard
    if frame is None or mode == "off":
        return
    file, line = place = frame.f_code.co_filename, frame.f_lineno
    is_new = place not in caught
    if place in _passed_over or not (is_new or mode == "error"):
        return  # it may be called very often
    said, text = line_of(frame), "".join(linecache.getlines(file))
    if hints.is_ignored(said) or hints.is_set_later(said, text):
        _passed_over.add(place)
        return
    message = (
        f"{what}, which is another in each run. {fix} Where no result depends on it, end the line "
        "with `# repro: ignore`."
    )
    caught[place] = message
    if mode == "error":
        raise GuardError(f"{file}, line {line}: {message}")
    if is_new:
        warnings.warn_explicit(message, ReproWarning, file, line)
