"""The names of `repro_keras.v1.keras`: tf_keras's API of TensorFlow 1, and where Keras 2 had them.

A script of 2018 says `from keras.layers.core import Dense`, `from keras.utils import np_utils`.
"""

import importlib
import importlib.util
import sys

from repro_keras._src import backends
from repro_keras._src.errors import MissingExtraError, StageError
from repro_keras._src.patches.patch import Patch

API = "tf_keras.api._v1.keras"

_LAYERS = (
    "advanced_activations convolutional convolutional_recurrent core embeddings local merge noise "
    "normalization pooling recurrent wrappers"
)

# Submodules of Keras 2.2 that tf_keras has elsewhere.
MOVED = {
    **{f"layers.{name}": "layers" for name in _LAYERS.split()},
    "engine": "layers",
    "engine.topology": "layers",
    "engine.training": "models",
    "objectives": "losses",
}

# Those that are where they were, but in no API.
_UTILS = ("conv_utils", "data_utils", "generic_utils", "io_utils", "layer_utils", "np_utils")
ALL_MOVED = (*MOVED, *(f"utils.{name}" for name in (*_UTILS, "vis_utils")))


def module(name: str):
    """The module of tf_keras that `repro_keras.v1.keras.NAME` is, or `None`; `""` is the top.

    Raises:
        MissingExtraError: where tf_keras is not installed.
        StageError: where TensorFlow runs eagerly already.
    """
    if sys.modules.get("tf_keras") is None and importlib.util.find_spec("tf_keras") is None:
        raise MissingExtraError(
            "repro_keras.v1.keras is Keras 2 (tf_keras), which is not installed. "
            "`pip install 'repro_keras[legacy]'`"
        )
    importlib.import_module("repro_keras.v1")  # makes graphs the default, where it still can
    _require_graphs()
    if not name:
        return importlib.import_module(API)
    name = MOVED.get(name, name)
    return next(filter(None, (_found(f"{parent}.{name}") for parent in _PARENTS)), None)


_PARENTS = (API, "tf_keras", "tf_keras.src")


def _require_graphs() -> None:
    from tensorflow.python.framework import ops

    if backends.started() and ops.executing_eagerly_outside_functions():
        raise StageError(
            "repro_keras.v1.keras is Keras 2 in graphs and sessions, and TensorFlow has run "
            "eagerly in this process already (Keras 3, or an operation, was used before "
            "`import repro_keras.v1`). The two cannot train in one process: use Keras 3 and v1 in "
            "processes of their own, or import repro_keras.v1 first if Keras 3 was only in the way."
        )


def _found(name: str):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(error.name or " "):
            raise  # tf_keras has it, and misses something else
    return None


def names_elsewhere(name: str) -> set[str]:
    """The names that a module of the API lacks: those of TensorFlow 2's, and moved submodules."""
    here = vars(sys.modules[f"{API}.{name}" if name else API])
    twin = _found(f"tf_keras.{name}" if name else "tf_keras")
    names = {other for other in vars(twin or object) if not other.startswith("_")} | {
        moved.rpartition(".")[2] for moved in ALL_MOVED if moved.rpartition(".")[0] == name
    }
    return {other for other in names if other not in here}


def fallback(public_name: str):
    """A module's `__getattr__` that looks in the API of TensorFlow 2 and for submodules."""

    def __getattr__(name):
        if not name.startswith("_") or name == "__version__":
            twin = _found(f"tf_keras.{public_name}" if public_name else "tf_keras")
            if hasattr(twin, name):
                return getattr(twin, name)
            found = module(f"{public_name}.{name}" if public_name else name)
            if found is not None:
                return found
        own = f"repro_keras.v1.keras.{public_name}".rstrip(".")
        raise AttributeError(f"module {own!r} has no attribute {name!r}")

    return __getattr__


def public_modules() -> list[str]:
    """The modules of the API below `keras`, which is `""`."""
    importlib.import_module(API)
    names = (name[len(API) + 1 :] for name in sys.modules if f"{name}.".startswith(f"{API}."))
    return sorted(name for name in names if not name.startswith("_"))


def patches() -> list[Patch]:
    """A row for each module of the API that lacks a name."""
    return [
        Patch(
            target=f"{API}.{name}:__getattr__".replace(".:", ":"),
            parameters=None,
            make=lambda _, name=name: fallback(name),
            is_new=True,
            why="finds names that only the API of TensorFlow 2 has, and submodules of Keras 2.2",
        )
        for name in public_modules()
        if names_elsewhere(name)
    ]
