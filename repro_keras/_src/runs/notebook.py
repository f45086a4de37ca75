"""Runs the code cells of a notebook one after the other, in this process."""

import importlib.util
import json
import sys
import types
from pathlib import Path

from repro_keras._src.errors import CellError, RunError


def run(path: Path, main: types.ModuleType) -> None:
    """Runs a notebook from top to bottom with IPython, magics included; stops at an error.

    Args:
        path: an `.ipynb` file, of format 4. It is not changed.
        main: the module that its names go into.

    Raises:
        CellError: where a cell fails.
        RunError: where IPython is missing, or the file is no notebook.
    """
    check(path)
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance(user_module=main, user_ns=main.__dict__)
    shell.cache_size = 0
    for number, source in enumerate(cells(path), 1):
        result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            print(f"{path.name}: code cell {number} failed.", file=sys.stderr)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise error
            raise CellError(f"{path.name}: code cell {number} failed", error)


def check(path: Path) -> None:
    """Checks that a notebook can be run, without running it.

    Raises:
        RunError: where IPython is missing, or the file is no notebook.
    """
    if importlib.util.find_spec("IPython") is None:
        raise RunError("A notebook needs IPython to run. `pip install 'repro_keras[notebook]'`")
    cells(path)


def cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        sources = [cell["source"] for cell in found]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{path} should be a Jupyter notebook of format 4, and cannot be read as one: {error!r}"
        ) from None
    return ["".join(source) for source in sources]
