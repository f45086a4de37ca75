"""Names that only `tf.keras` has, for scripts that said `from tensorflow import keras`."""

import importlib
import sys

from repro_keras._src.patches.patch import Patch


def tf_twin(module_name: str):
    """The module of `tf.keras` that stands beside a public module of Keras, or `None`."""
    name = "keras._tf_keras." + module_name
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            return None
        raise


def public_modules() -> list[str]:
    """The names of Keras's public modules that are loaded."""
    return sorted(
        name
        for name in sys.modules
        if (name == "keras" or name.startswith("keras."))
        and not name.startswith(("keras.src", "keras._"))
    )


def fallback(module_name: str):
    """A module's `__getattr__` that looks in its twin of `tf.keras`."""

    def __getattr__(name):
        if not name.startswith("_"):
            twin = tf_twin(module_name)
            if twin is not None and hasattr(twin, name):
                return getattr(twin, name)
        raise AttributeError(f"module {module_name!r} has no attribute {name!r}")

    return __getattr__


def names_only_in_tf(module_name: str) -> set[str]:
    """The public names of a module's twin that the module lacks."""
    twin = tf_twin(module_name)
    if twin is None:
        return set()
    here = vars(sys.modules[module_name])
    return {name for name in vars(twin) if not name.startswith("_") and name not in here}


def patches() -> list[Patch]:
    """A row for each loaded public module of Keras that lacks a name of its twin."""
    return [
        Patch(
            target=f"{name}:__getattr__",
            parameters=None,
            make=lambda _, name=name: fallback(name),
            is_new=True,
            why="finds the names that only `tf.keras` has, when they are asked for",
        )
        for name in public_modules()
        if names_only_in_tf(name)
    ]
