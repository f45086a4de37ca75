"""Functions that run right after a module was imported, by whomever.

`wrapt` has such hooks too, and TensorFlow brings it along, but importing it takes more than the
50 ms that `import repro_keras` may take.
"""

import contextlib
import gc
import importlib.util
import random
import sys
import threading
from collections.abc import Callable

_waiting: dict[str, list[Callable[[], None]]] = {}
_finding = threading.local()


def after_import(name: str, function: Callable[[], None]) -> None:
    """Calls `function` once, right after the module `name` was imported, in the order of asking.

    Where the module is there already, nothing is called: the caller knows best what is still
    possible then.

    Args:
        name: the full name of a module.
        function: takes nothing; an exception of it fails the import.
    """
    if name not in sys.modules:
        _waiting.setdefault(name, []).append(function)
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)


class _Finder:
    """Finds a module as everybody else would, and lends it a loader that calls the function."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in _waiting or getattr(_finding, "name", None) == fullname:
            return None
        _finding.name = fullname
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            _finding.name = None
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader)  # pyright: ignore
        return spec


class _Loader:
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        # The module must never see the lent loader: tools ask it for sources and data.
        module.__spec__.loader = module.__loader__ = self._loader
        # TensorFlow's import draws from Python's generator; that must not shift the user's draws.
        drawn = random.getstate()
        with _uncollected():
            self._loader.exec_module(module)
        random.setstate(drawn)
        for function in _waiting[module.__name__]:
            function()
        del _waiting[module.__name__]


@contextlib.contextmanager
def _uncollected():
    """Inside, the garbage collector waits.

    Importing Keras makes a million objects that stay, and each full collection walks over them:
    without this, how many there are, and with it the time, hangs on how many objects we make.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_finder = _Finder()
