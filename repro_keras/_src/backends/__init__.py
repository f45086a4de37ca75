"""What differs between backends, behind one interface; TensorFlow is the one there is.

A backend module offers what this one calls: `started`, `session_was_made`,
`check_before`, `apply`, `seed`, `drawn`, `draws`, `set_draws`, `require_gpu`, `amiss`,
`operations` and `outside_graph`. It is loaded only when its library is.
"""

import importlib
import sys
from typing import TYPE_CHECKING

from repro_keras._src.errors import SeamError

if TYPE_CHECKING:
    from repro_keras._src.config import ReproConfig

LIBRARIES = {"tensorflow": "tensorflow"}
"""The module that each supported backend loads."""


def loaded() -> bool:
    """Whether the backend's library is imported."""
    return "tensorflow" in sys.modules


def started() -> bool:
    """Whether the backend has started its thread pools, so that they can no longer be sized."""
    return loaded() and _backend().started()


def check_before(config: "ReproConfig") -> None:
    """Raises `StageError` where the library was used before us in a way that cannot be undone."""
    _backend().check_before(config)


def apply(config: "ReproConfig") -> None:
    """Sizes the thread pools, hides devices and makes operations deterministic."""
    _backend().apply(config)


def session_was_made() -> None:
    """A session of TensorFlow 1 was made: the thread pools are started."""
    _backend().session_was_made()


def seed(number: int) -> None:
    """Seeds the library's global generator."""
    _backend().seed(number)


def drawn() -> object:
    """The state of what the library draws from by itself: equal where nothing was drawn."""
    return _backend().drawn()


def draws() -> object:
    """The states of all generators of the library, as numbers and arrays."""
    return _backend().draws()


def set_draws(states) -> None:
    """Puts back what `draws` returned."""
    _backend().set_draws(states)


def require_gpu(config: "ReproConfig") -> None:
    """Raises `ConfigError` where there is no GPU; it loads the library to find out."""
    _backend().require_gpu(config)


def amiss(config: "ReproConfig") -> list[str]:
    """What in the library is not as configured, a sentence each with the fix."""
    return _backend().amiss(config) if loaded() else []


def operations(functions: list) -> set[str]:
    """The kinds of operations that compute something in what was traced of functions."""
    return _backend().operations(functions)


def outside_graph():
    """A context in which variables can be read and set although a graph is being traced."""
    return _backend().outside_graph()


def require_supported(name: str) -> None:
    """Raises where Keras runs on a backend that is not supported."""
    if name not in LIBRARIES:
        raise SeamError(
            f"Keras runs on the backend {name!r}; repro_keras works on "
            f"{', '.join(sorted(LIBRARIES))}. Set KERAS_BACKEND=tensorflow, or REPRO_KERAS_OFF=1 "
            "for plain Keras."
        )


def _backend():
    importlib.import_module("tensorflow")  # first: the hook on its import needs the module below
    from repro_keras._src.backends import tensorflow

    return tensorflow
