"""Naming what a record shall hold of a graph made by hand."""

from typing import Any

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError
from repro_keras._src.patches import session_steps
from repro_keras._src.runs import recorder


def record(
    loss: tf.Tensor | None = None,
    *,
    step: tf.Operation | tf.Tensor | tf.Variable,
    learning_rate: tf.Tensor | float | None = None,
) -> None:
    """Names an op that makes a step, and its loss, for `repro-keras run`.

    Each run of a session that runs `step` is a step on the record, with the values of the tensors
    in that run. Steps that a `tf.train` optimizer makes are known without this, with the loss that
    it minimizes; naming one again replaces what is known of it.

    Args:
        loss: a tensor of any shape (its sum is recorded); `None` for a step without one.
        step: the op that changes the variables, as `optimizer.minimize` returns it, or a tensor
            that it makes.
        learning_rate: a scalar tensor or number.

    Raises:
        ConfigError: where one is not of those types, or of another graph than `step`.

    Example:

    ```python
    update = v1.assign_sub(w, 0.1 * gradient)
    v1.record(loss, step=update, learning_rate=0.1)
    ```
    """
    op: Any = step if isinstance(step, tf.Operation) else getattr(step, "op", None)
    if not isinstance(op, tf.Operation):
        raise ConfigError(f"step must be an op of a graph, or what it makes. {_received(step)}")
    if loss is not None:
        _check("loss", loss, "a tensor", op.graph)
    if learning_rate is not None and not isinstance(learning_rate, (int, float)):
        _check("learning_rate", learning_rate, "a tensor or a number", op.graph)
    if recorder.current is not None:
        session_steps.name_step(op, loss, learning_rate)


def _check(name: str, value: object, expected: str, graph: tf.Graph) -> None:
    if getattr(value, "graph", None) is not graph or not isinstance(value, tf.Tensor):
        raise ConfigError(f"{name} must be {expected} of the graph of step. {_received(value)}")


def _received(value: object) -> str:
    return f"Received: {value!r} (of type {type(value).__name__})"
