"""The states of callbacks: what they remember, taken and put back.

A callback of the user's that has `get_state()` and `set_state(state)` says itself what its state
is. Of others, what their attributes hold is taken, where it is plain.
"""

import inspect
import logging
import pathlib
import re
import types
import warnings

import keras
import tensorflow as tf

from repro_keras._src.errors import ReproWarning, StateError
from repro_keras._src.state import plain

_OF_CALLBACKS = {"_model", "model", "params", "validation_data"}
_OF_BARS = {"epochs", "verbose"}  # given by `set_params`; they may be others than before
_TIMES = {"_epoch_start_time", "_batch_start_time"}
_UNCHANGING = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    pathlib.PurePath,
    re.Pattern,
    logging.Logger,
    tf.data.Dataset,
    keras.utils.PyDataset,
    keras.Model,
)
_WITH_VARIABLES = (keras.Variable, keras.Layer, keras.Optimizer, keras.Metric, tf.Variable)


def named(callbacks: list) -> dict[str, object]:
    """Callbacks by class and number among those of their class: `"CSVLogger#0"`."""
    result: dict[str, object] = {}
    for callback in callbacks:
        name = type(callback).__name__
        number = sum(other.rpartition("#")[0] == name for other in result)
        result[f"{name}#{number}"] = callback
    return result


def capture(callbacks: dict[str, object], arrays: plain.Arrays) -> list:
    """The states of callbacks.

    Args:
        callbacks: by name.
        arrays: gets their arrays.

    Returns:
        Pairs of a name and a packed state.

    Raises:
        StateError: where `get_state` of one returns what cannot be kept.
    """
    return [[name, _capture(name, callback, arrays)] for name, callback in callbacks.items()]


def restore(callbacks: dict[str, object], states: list, arrays: plain.Arrays) -> None:
    """Puts states back into the callbacks of the same names."""
    for name, state in states:
        if name in callbacks:
            _restore(callbacks[name], state, arrays)


def _capture(name: str, callback, arrays: plain.Arrays):
    where = f"callbacks/{name}"
    if _has_protocol(callback):
        try:
            return {"own": plain.pack(callback.get_state(), arrays, where)}
        except plain.NotPlainError as error:
            raise StateError(
                f"{type(callback).__name__}.get_state() must return numbers, strings, arrays, and "
                f"lists and dicts of these. Received: an object of type {error.type} "
                f"at {error.where}."
            ) from None
    state = {}
    for attribute, value in _attributes(callback).items():
        if isinstance(value, keras.Variable | tf.Variable):
            continue  # it is among the variables
        try:
            state[attribute] = plain.pack(value, arrays, f"{where}.{attribute}")
        except plain.NotPlainError:
            for left in [n for n in arrays if n.startswith(f"{where}.{attribute}/")]:
                del arrays[left]
    if isinstance(callback, keras.callbacks.CSVLogger):
        # True until the first row in Keras, which then never looks again.
        state["append_header"] = callback.append_header and callback.keys is None
        state["#file"] = plain.pack(_content(callback), arrays, f"{where}#file")
    if isinstance(callback, keras.callbacks.ProgbarLogger) and callback.progbar is not None:
        bar = callback.progbar
        state["#bar"] = plain.pack(
            [bar._values, bar._values_order, bar._seen_so_far], arrays, f"{where}#bar"
        )
    return state


def _restore(callback, state: dict, arrays: plain.Arrays) -> None:
    if "own" in state:
        callback.set_state(plain.unpack(state["own"], arrays))
        return
    for attribute, packed in state.items():
        if not attribute.startswith("#"):
            old = vars(callback).get(attribute)
            setattr(callback, attribute, plain.unpack(packed, arrays, old))
    if isinstance(callback, keras.callbacks.CSVLogger):
        _restore_file(callback, plain.unpack(state["#file"], arrays))
    bar = getattr(callback, "progbar", None)
    if "#bar" in state and bar is not None:
        bar._values, bar._values_order, bar._seen_so_far = plain.unpack(state["#bar"], arrays)


def _content(logger) -> bytes:
    if logger.csv_file is not None and not logger.csv_file.closed:
        logger.csv_file.flush()
    try:
        with open(logger.filename, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _restore_file(logger, content: bytes) -> None:
    """The file as it was: rows that came after it are gone, and those that were lost are back."""
    if logger.csv_file is not None and not logger.csv_file.closed:
        logger.csv_file.close()
    with open(logger.filename, "wb") as file:
        file.write(content)
    logger.csv_file = open(logger.filename, "a")  # noqa: SIM115 - the logger closes it
    logger.writer = None


def _has_protocol(callback) -> bool:
    has = [callable(getattr(callback, name, None)) for name in ("get_state", "set_state")]
    if any(has) and not all(has):
        raise StateError(
            f"{type(callback).__name__} has only one of get_state() and set_state(state); what the "
            "one returns, the other must take. Add the other, or remove it."
        )
    return all(has)


def is_of_keras(callback) -> bool:
    return type(callback).__module__.split(".")[0] == "keras"


def _attributes(callback) -> dict[str, object]:
    """The attributes that can be state: of Keras's own callbacks, not what they were made with."""
    given = set()
    for kind in type(callback).__mro__:
        if kind.__module__.split(".")[0] == "keras" and "__init__" in vars(kind):
            given |= set(inspect.signature(kind.__init__).parameters)
    without = given | _OF_CALLBACKS | _TIMES
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        without |= _OF_BARS
    return {name: value for name, value in vars(callback).items() if name not in without}


def settings(callback) -> dict[str, str]:
    """What one of Keras's own callbacks was made with, where that decides what it does."""
    if not is_of_keras(callback):
        return {}
    given = inspect.signature(type(callback).__init__).parameters
    return {
        name: repr(value)
        for name, value in vars(callback).items()
        if name in given
        and name not in ("verbose", "min_delta")
        and isinstance(value, (int, float, str, bool, type(None)))
        and not (isinstance(value, str) and "/" in value)
    }


def warn_of_unknown(callbacks: dict[str, object]) -> None:
    """Warns of what callbacks of the user's hold and no state can keep."""
    for callback in callbacks.values():
        if is_of_keras(callback) or _has_protocol(callback):
            continue
        unknown = []
        for attribute, value in _attributes(callback).items():
            if isinstance(value, _UNCHANGING + _WITH_VARIABLES):
                continue
            try:
                plain.pack(value, {}, attribute)
            except plain.NotPlainError as error:
                unknown.append(f"{attribute} ({error.type})")
        if unknown:
            warnings.warn(
                f"{type(callback).__name__} keeps {', '.join(unknown)}, which is not part of the "
                "state of training. If training changes it, give the callback get_state() and "
                "set_state(state), which return and take numbers, strings, arrays, and lists and "
                "dicts of these.",
                ReproWarning,
                stacklevel=3,
            )
