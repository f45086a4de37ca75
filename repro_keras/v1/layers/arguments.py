"""What the arguments of layers may be, and what they mean."""

import operator

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError

ZEROS = tf.zeros_initializer()
"""The default initializer of biases."""

_INITIALIZERS = {
    "zeros": tf.zeros_initializer,
    "ones": tf.ones_initializer,
    "constant": tf.constant_initializer,
    "random_uniform": tf.random_uniform_initializer,
    "random_normal": tf.random_normal_initializer,
    "truncated_normal": tf.truncated_normal_initializer,
    "orthogonal": tf.orthogonal_initializer,
    "identity": tf.initializers.identity,
    "glorot_uniform": tf.glorot_uniform_initializer,
    "glorot_normal": tf.glorot_normal_initializer,
    "he_uniform": tf.initializers.he_uniform,
    "he_normal": tf.initializers.he_normal,
    "lecun_uniform": tf.initializers.lecun_uniform,
    "lecun_normal": tf.initializers.lecun_normal,
}

_ACTIVATIONS = {
    "linear": tf.identity,
    "relu": tf.nn.relu,
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "sigmoid": tf.nn.sigmoid,
    "tanh": tf.nn.tanh,
    "softmax": tf.nn.softmax,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
}


def initializer(value, argument: str = "initializer"):
    """The initializer itself, or by its name; None leaves the choice to the variable scope."""
    if isinstance(value, str) and value in _INITIALIZERS:
        return _INITIALIZERS[value]()
    return function(value, argument, sorted(_INITIALIZERS))


def activation(value):
    """The activation itself, or by its name; None is the identity."""
    if isinstance(value, str) and value in _ACTIVATIONS:
        return _ACTIVATIONS[value]
    return function(value, "activation", sorted(_ACTIVATIONS))


def function(value, argument: str, names: list[str] | None = None):
    """A function, or None."""
    if value is None or callable(value):
        return value
    choice = f", or one of {', '.join(names)}" if names else ""
    raise ConfigError(
        f"Argument `{argument}` must be a function or None{choice}. {received(argument, value)}"
    )


def size(value, argument: str) -> int:
    """A positive integer, of any type that has such values."""
    try:
        if int(value) == value and value > 0:
            return int(value)
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        f"Argument `{argument}` must be a positive integer. {received(argument, value)}"
    )


def per_axis(value, rank: int, argument: str) -> tuple[int, ...]:
    """One positive integer for each spatial axis."""
    try:
        sizes = tuple(map(operator.index, value if _is_sequence(value) else [value] * rank))
    except TypeError:
        sizes = ()
    if len(sizes) != rank or min(sizes) < 1:
        raise ConfigError(
            f"Argument `{argument}` must be a positive integer or {rank} of them. "
            f"{received(argument, value)}"
        )
    return sizes


def padding(value) -> str:
    return _one_of(("valid", "same"), value, "padding")


def data_format(value) -> str:
    return _one_of(("channels_last", "channels_first"), value, "data_format")


def flag(value, argument: str = "training"):
    """A Python bool where the value is known as the graph is built, else the tensor."""
    if value is None:
        return False
    if tf.is_tensor(value):
        known = tf.get_static_value(value) if isinstance(value, tf.Tensor) else None
        if value.dtype.base_dtype == tf.bool and value.shape.is_compatible_with([]):
            return value if known is None else bool(known)
    elif not isinstance(value, str) and value in (0, 1):
        return bool(value)
    raise ConfigError(
        f"Argument `{argument}` must be a bool, or a tensor of type tf.bool and shape (). "
        f"{received(argument, value)}"
    )


def choose(condition, if_true, if_false):
    """What the one function or the other returns; `tf.cond` where only the run can tell."""
    if isinstance(condition, bool):
        return if_true() if condition else if_false()
    return tf.cond(condition, if_true, if_false)


def received(argument: str, value) -> str:
    return f"Received: {argument}={value!r} (of type {type(value).__name__})"


def _is_sequence(value) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)


def _one_of(choices: tuple[str, ...], value, argument: str) -> str:
    if isinstance(value, str) and value.lower() in choices:
        return value.lower()
    raise ConfigError(
        f"Argument `{argument}` must be {' or '.join(map(repr, choices))}. "
        f"{received(argument, value)}"
    )
