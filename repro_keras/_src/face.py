"""The face: `repro_keras.X` is `keras.X`, by every form of import."""

import importlib
import importlib.machinery
import sys
import types

from repro_keras._src import config, hooks

OURS = ("repro", "v1")
"""The submodules that Keras does not have."""

_INSIDE = (*OURS, "_src", "cli", "notebook", "__main__")

_OF_IPYTHON = ("load_ipython_extension", "unload_ipython_extension")
"""What `%load_ext repro_keras` asks for."""

_PACKAGE = "repro_keras"
_BACKEND = "keras.src.backend.config"

# The finders and loaders here and in `hooks` derive from nothing: `importlib.abc` costs 15 ms.


def begin(package: str) -> None:
    """Puts the configuration in force and the import finder in place."""
    assert package == _PACKAGE
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return  # `importlib.reload`
    config.begin()
    # First in line: the folders of the stubs must not be found as namespace packages.
    sys.meta_path.insert(0, _Finder())
    for module, install in (  # Keras loads its backend after it has read which one
        ("tensorflow", _install_in_backend),
        (_BACKEND, _check_backend),
        ("keras", _install_seam),
        ("tf_keras", _install_in_legacy),
    ):
        if module in sys.modules:
            install()
        else:
            hooks.after_import(module, install)


def get(name: str):
    """A name of Keras's, or one that only `tf.keras` has."""
    if name == "__all__":
        return sorted(n for n in vars(_keras()) if not n.startswith("_"))
    if name in _OF_IPYTHON:
        return getattr(importlib.import_module(f"{_PACKAGE}.notebook"), name)
    if name.startswith("__") and name != "__version__":
        # What the import machinery and tools ask any module for must not load Keras.
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")
    if name in OURS:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    try:
        value = getattr(_keras(), name)
    except AttributeError:
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}") from None
    return value


def names() -> list[str]:
    return sorted({*dir(_keras()), *OURS})


def _keras():
    return importlib.import_module("keras")


def _install_seam() -> None:
    from repro_keras._src import patches

    patches.install()


def _check_backend() -> None:
    """Refuses another backend before Keras loads it, which may fail for other reasons."""
    if not config.OFF:
        from repro_keras._src import backends

        backends.require_supported(sys.modules[_BACKEND].backend())


def _install_in_backend() -> None:
    if not config.OFF:
        from repro_keras._src import patches

        patches.install_in_backend()


def _install_in_legacy() -> None:
    from repro_keras._src import patches

    patches.install_in_legacy()


class _Finder:
    """Finds `repro_keras.layers` as the module `keras.layers`, the same object."""

    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.partition(".")
        if package != _PACKAGE or not name:
            return None
        if name.startswith("v1."):
            module = _v1_module(name.removeprefix("v1."), fullname, path)
        elif name.split(".")[0] in _INSIDE:
            return None
        else:
            module = _module(name)
        if module is None:
            return None
        is_package = hasattr(module, "__path__")
        loader = _Loader(module)
        return importlib.machinery.ModuleSpec(fullname, loader, is_package=is_package)  # pyright: ignore


def _module(name: str):
    """Keras's module of that name, or the one that only `tf.keras` has."""
    _keras()
    for parent in ("keras", "keras._tf_keras.keras"):
        try:
            return importlib.import_module(f"{parent}.{name}")
        except ModuleNotFoundError as error:
            if not f"{parent}.{name}".startswith(error.name or " "):
                raise  # Keras has it, and misses something else
    return None


def _v1_module(name: str, fullname: str, path):
    """Keras 2's module of that name, or TensorFlow 1's; `None` for those that are here."""
    first, _, rest = name.partition(".")
    if first == "keras":
        from repro_keras._src.patches import legacy_api

        return legacy_api.module(rest)
    here = importlib.machinery.PathFinder.find_spec(fullname, path)
    if here is not None and here.loader is not None:
        return None
    found = importlib.import_module("tensorflow.compat.v1")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, types.ModuleType) else None


class _Loader:
    """Hands over a module that is loaded already, and leaves it as it was."""

    def __init__(self, module):
        self._module = module

    def create_module(self, spec):
        module = self._module
        self._own = {
            name: getattr(module, name, None) for name in ("__spec__", "__loader__", "__package__")
        }
        return module

    def exec_module(self, module):
        for name, value in self._own.items():
            setattr(module, name, value)
