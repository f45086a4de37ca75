"""Runs a script, module or notebook in this fresh process, and records it.

    python -P -m repro_keras._src.runs.child FOLDER

`launch` starts it; FOLDER holds the request, and gets the journal.
"""

import io
import os
import runpy
import signal
import sys
import traceback
import types
from pathlib import Path

import repro_keras  # noqa: F401 - the configuration, before anything of the user's
from repro_keras._src.errors import CellError
from repro_keras._src.runs import before, process, recorder, request, store, terminal, untouched


def main() -> None:
    folder = Path(sys.argv[1])
    wanted = request.read(folder)
    status, error, code = "finished", None, None
    own = os.getpid()
    looking = _looking(folder, wanted)
    try:
        store.say(folder, child=own, child_identity=process.identity(own))
        if wanted.untouched:
            untouched.guard(folder, wanted)
        if wanted.from_inside:
            recorder.expected = lambda: _begin(folder, wanted)
        else:
            _begin(folder, wanted)
        terminal.note_signals(folder / terminal.HEARD)
        _RUNNERS[wanted.kind](wanted.target, wanted.arguments)
    except SystemExit as exit_:
        code = exit_.code
        if code not in (None, 0):
            status, error = "failed", "SystemExit"
    except KeyboardInterrupt as interrupt:
        status, error, code = "interrupted", "KeyboardInterrupt", 130
        _print(interrupt)
    except CellError as failure:  # IPython has printed it
        status, error, code = "failed", type(failure.error).__name__, 1
    except BaseException as failure:
        status, error, code = "failed", type(failure).__name__, 1
        _print(failure)
    if os.getpid() == own:  # and no child that the script forked
        if looking is not None:
            looking.leave()
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what came out is digested whole
        (recorder.current or _begin(folder, wanted)).finish(status, error)
        signal.signal(signal.SIGINT, handler or signal.default_int_handler)
    sys.exit(code)


def _looking(folder: Path, wanted: request.Request):
    """What looks at this process, where it replays a run."""
    if wanted.look is None:
        return None
    from repro_keras._src.replaying import look

    return look.begin(folder, wanted.look)


def _begin(folder: Path, wanted: request.Request) -> recorder.Recorder:
    if wanted.from_inside:
        before.note_files(folder, Path(wanted.root))
    recording = recorder.start(folder, Path(wanted.root), continues=wanted.parent is not None)
    if not wanted.from_inside and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin = _noting_reads(sys.stdin)
    return recording


class _Input(io.FileIO):
    """The standard input, which says so when it is read."""

    def readinto(self, buffer, /):
        count = super().readinto(buffer)
        if count and recorder.current is not None:
            recorder.current.read_input()
        return count


def _noting_reads(stdin: io.TextIOWrapper) -> io.TextIOWrapper:
    raw = _Input(stdin.fileno(), closefd=False)
    raw.name = stdin.name
    return io.TextIOWrapper(
        io.BufferedReader(raw), encoding=stdin.encoding, errors=stdin.errors, line_buffering=True
    )


def _script(path: str, arguments: list[str]) -> None:
    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = _main_module(os.path.abspath(path))
    with open(path, "rb") as file:
        code = compile(file.read(), os.path.abspath(path), "exec", dont_inherit=True)
    exec(code, module.__dict__)


def _module(name: str, arguments: list[str]) -> None:
    sys.argv = [name, *arguments]
    sys.path.insert(0, os.getcwd())
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _notebook(path: str, arguments: list[str]) -> None:
    from repro_keras._src.runs import notebook

    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    os.environ.setdefault("MPLBACKEND", "agg")
    notebook.run(Path(path), _main_module(None))


_RUNNERS = {"script": _script, "module": _module, "notebook": _notebook}


_OURS = (__file__, runpy.__file__, "<frozen runpy>")


def _main_module(file: str | None) -> types.ModuleType:
    """A `__main__` as Python makes it, so that the script's classes can be pickled."""
    module = types.ModuleType("__main__")
    if file is not None:
        module.__file__ = file
    sys.modules["__main__"] = module
    return module


def _print(error: BaseException) -> None:
    """Prints a traceback that begins in the user's code, as plain Python does."""
    trace = error.__traceback__
    inside = trace
    while inside is not None and inside.tb_frame.f_code.co_filename in _OURS:
        inside = inside.tb_next
    if inside is None and not isinstance(error, SyntaxError):  # it is ours
        inside = trace
    traceback.print_exception(type(error), error, inside)


if __name__ == "__main__":
    main()
