"""The states of the global generators: Python's, NumPy's, the backend's."""

import random
from typing import Any

import numpy as np

from repro_keras._src import backends


def capture() -> dict[str, Any]:
    """The states of all of them, as `plain` takes them."""
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": [version, np.array(numbers, "uint32"), gauss],
        "numpy": [kind, keys, *rest],
        "backend": backends.draws(),
    }


def restore(states: dict[str, Any]) -> None:
    """Puts them back."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    np.random.set_state(tuple(states["numpy"]))
    backends.set_draws(states["backend"])
