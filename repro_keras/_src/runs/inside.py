"""How a script that records itself ends: `atexit` is not told, so that it is watched for."""

import sys
import types
from collections.abc import Callable


class Ending:
    """How the process is about to end, by what was seen on the way.

    `sys.exit` and exceptions are seen; a `raise SystemExit(3)` of the script's own is not.

    Attributes:
        frame: the script's outermost frame.
    """

    def __init__(self):
        self.frame = _outermost(sys._getframe())
        self._error: type[BaseException] | None = None
        self._exit: SystemExit | None = None
        self._left_at = -1  # where the outermost frame was then; it goes on where that is caught
        self._watch()

    def _watch(self) -> None:
        hook, leave = sys.excepthook, sys.exit

        def failed(kind, error, trace):
            self._error = kind
            hook(kind, error, trace)

        def exit(status=None, /):
            try:
                leave(status)
            except SystemExit as error:
                self._exit, self._left_at = error, self.frame.f_lasti
                raise

        sys.excepthook, sys.exit = failed, exit

    def told(self) -> tuple[str, str | None, int]:
        """The status, the class of the error, and the exit code, as `repro-keras run` has them."""
        if self._error is not None:
            interrupted = issubclass(self._error, KeyboardInterrupt)
            status = "interrupted" if interrupted else "failed"
            return status, self._error.__name__, 130 if interrupted else 1
        if self._exit is not None and self._left_at == self.frame.f_lasti:  # it was not caught
            code = self._exit.code
            if code not in (None, 0):
                return "failed", "SystemExit", code if isinstance(code, int) else 1
        return "finished", None, 0


def _outermost(frame: types.FrameType) -> types.FrameType:
    """The frame of the `__main__` module's code, or the one that nothing called."""
    outermost = frame
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__") == "__main__":
            outermost = frame
    return outermost


def main_module() -> tuple[str, bool] | None:
    """What runs in this process: a script's path, or a module's name and True; `None` for neither.

    `python -m package.train` is a module: as a script it could not import what is beside it.
    """
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return spec.name.removesuffix(".__main__"), True
    file = getattr(main, "__file__", None)
    return None if file is None else (file, False)


def at_exit(finish: Callable[[], None]) -> None:
    """Calls `finish` at the end of this process, not of one that it forks."""
    import atexit
    import os

    own = os.getpid()
    atexit.register(lambda: finish() if os.getpid() == own else None)
