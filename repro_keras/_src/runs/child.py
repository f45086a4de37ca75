"""Runs a script, module or notebook in this fresh process, and records it.

    python -P -m repro_keras._src.runs.child FOLDER

`launch` starts it; FOLDER holds the request, and gets the journal.
"""

import os
import runpy
import sys
import traceback
import types
from pathlib import Path

import repro_keras  # noqa: F401 - the configuration, before anything of the user's
from repro_keras._src.runs import recorder, request


def main() -> None:
    folder = Path(sys.argv[1])
    wanted = request.read(folder)
    recording = recorder.start(folder, Path(wanted.root), wanted.parent is not None)
    status, error, code = "finished", None, None
    try:
        _RUNNERS[wanted.kind](wanted.target, wanted.arguments)
    except SystemExit as exit_:
        code = exit_.code
        if code not in (None, 0):
            status, error = "failed", "SystemExit"
    except KeyboardInterrupt as interrupt:
        status, error, code = "interrupted", "KeyboardInterrupt", 130
        _print(interrupt)
    except BaseException as failure:
        status, error, code = "failed", type(failure).__name__, 1
        _print(failure)
    recording.finish(status, error)
    sys.exit(code)


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
    while inside is not None and inside.tb_frame.f_code.co_filename in (__file__, runpy.__file__):
        inside = inside.tb_next
    traceback.print_exception(type(error), error, inside or trace)


if __name__ == "__main__":
    main()
