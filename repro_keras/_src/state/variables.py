"""The variables of what is trained: weights, metrics, optimizers, generators, and all others.

They are found by Keras's own lists first, and then by walking the attributes, where a model may
keep a second optimizer or a counter. They are told by their order, form and name.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_KEEPERS = (
    keras.Layer,
    keras.callbacks.Callback,
    keras.Optimizer,
    keras.Metric,
    keras.Loss,
    keras.random.SeedGenerator,
    keras.optimizers.schedules.LearningRateSchedule,
    tf.Module,
    tf.random.Generator,
)


def collect(roots: dict[str, Any]) -> dict[str, Any]:
    """The variables of models, optimizers and the like, by name, in a defined order.

    Args:
        roots: what to look in, by the names that its variables' names begin with.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def take(group: str, variables: Iterable) -> None:
        for variable in variables:
            if id(variable) not in seen:
                seen.add(id(variable))
                path = getattr(variable, "path", None) or variable.name
                # Automatic names have the process's numbers, which another process may not have.
                name = re.sub(r"_\d+(?=[_/:]|$)", "", path)
                found[f"{group}/{len(found):04d}/{name}"] = variable

    for name, root in roots.items():
        take(f"{name}/weights", getattr(root, "weights", []) if _is_layer(root) else [])
        take(f"{name}/states", getattr(root, "variables", []) if _is_layer(root) else [])
        if isinstance(root, keras.Model):
            take(f"{name}/metrics", root.metrics_variables)
            if isinstance(getattr(root, "optimizer", None), keras.Optimizer):
                take(f"{name}/optimizer", root.optimizer.variables)
        take(f"{name}/others", _walked(root, set()))
    return found


def _is_layer(x) -> bool:
    return isinstance(x, keras.Layer)


def _walked(x, visited: set[int]) -> Iterator:
    """Every variable that is reached over attributes, lists and dicts."""
    if isinstance(x, (keras.Variable, tf.Variable)):
        yield x
        return
    if id(x) in visited:
        return
    if isinstance(x, dict):
        inner = list(x.values())
    elif isinstance(x, (list, tuple)):
        inner = list(x)
    elif isinstance(x, _KEEPERS):
        inner = list(vars(x).values())
    else:
        return
    visited.add(id(x))
    for value in inner:
        yield from _walked(value, visited)


def read(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    """The values of variables; no later change of a variable changes them."""
    return {name: _value(variable) for name, variable in variables.items()}


def _value(variable) -> np.ndarray:
    if isinstance(variable, keras.Variable):
        variable = variable.value
    # Of a tensor that is not a variable, this copies nothing.
    return np.asarray(tf.convert_to_tensor(variable))


def forms(variables: dict[str, Any]) -> dict[str, list]:
    """The type and shape of each variable."""
    return {name: [_dtype(variable), list(variable.shape)] for name, variable in variables.items()}


def listed(forms: dict[str, list]) -> dict[str, list[str]]:
    """The same as texts."""
    return {name: [dtype, *map(str, shape)] for name, (dtype, shape) in forms.items()}


def is_keeper(x) -> bool:
    """Whether something has variables, or is one."""
    return isinstance(x, (*_KEEPERS, keras.Variable, tf.Variable))


def _dtype(variable) -> str:
    dtype = variable.dtype
    return dtype if isinstance(dtype, str) else dtype.name


def write(variables: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Gives variables the values that were read."""
    for name, variable in variables.items():
        variable.assign(arrays[name])
