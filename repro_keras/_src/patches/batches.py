"""The batches of data that come batch by batch, for the record: a fingerprint of each."""

import contextlib
import functools
import hashlib
import threading
import weakref

import numpy as np
import tensorflow as tf

from repro_keras._src.patches import rows
from repro_keras._src.patches.patch import Patch
from repro_keras._src.runs import recorder as recording


class _Current(threading.local):
    def __init__(self):
        self.making = ""  # the name of the step that a function is being made of, if it is watched
        self.batch: int | tf.Variable | None = None  # a fingerprint of this step's, or where it is


class _Variables:
    """Where graphs write fingerprints of batches."""

    def __init__(self):
        with tf.init_scope(), tf.device("CPU:0"):
            self.of_step = tf.Variable(_NOTHING, trainable=False)
            self.of_pass = tf.Variable(_NOTHING, trainable=False)


_NOTHING = np.zeros([1, 8], "uint8")
_current = _Current()
_variables: _Variables | None = None

_sees_batches: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
"""Whether the function that trains a model, as Keras has made it, writes down its batches."""


def begin() -> None:
    """Recording begins: graphs that were traced under another recorder write to nobody."""
    global _variables
    _variables = None


def of_step() -> int | tf.Variable | None:
    """The fingerprint of the batch of the step that is made; a variable of it in a graph."""
    return _current.batch


def _the_variables() -> _Variables:
    global _variables
    if _variables is None:
        _variables = _Variables()
    return _variables


def prepare(model, wants_batches: bool) -> None:
    """Has Keras make the function that trains a model again where it does not do what is wanted."""
    if _sees_batches.get(model, wants_batches) is not wants_batches:
        model.train_function = None


def begin_pass() -> None:
    """Data are about to be gone through that are not digested as a whole."""
    if _variables is not None:
        _variables.of_pass.assign(_NOTHING)


def end_pass() -> str | None:
    """The digest of the fingerprints of the batches since then; `None` where none was seen."""
    if _variables is None:
        return None
    seen = rows.read(_variables.of_pass).tobytes()
    return hashlib.sha256(seen).hexdigest() if any(seen) else None


def _watch_functions(original):
    @functools.wraps(original)
    def _make_function(self, step_function):
        recorder, name = recording.current, getattr(step_function, "__name__", "")
        if recorder is None:
            return original(self, step_function)
        if name == "train_step":
            _sees_batches[self] = recorder.wants_batches
            if not recorder.wants_batches:
                name = ""
        with _making(name):
            return original(self, step_function)

    return _make_function


def _watch_predictions(original):
    @functools.wraps(original)
    def make_predict_function(self, force=False):
        with _making("predict_step" if recording.current is not None else ""):
            return original(self, force)

    return make_predict_function


@contextlib.contextmanager
def _making(name: str):
    _current.making = name
    try:
        yield
    finally:
        _current.making = ""


def _see_batches(original):
    @functools.wraps(original)
    def _autoconvert_optionals(self, step_func):
        converted = original(self, step_func)
        if not _current.making:
            return converted
        trains = _current.making == "train_step"

        @functools.wraps(converted)
        def step(data):
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            if recording.current is None or replicas > 1:
                return converted(data)
            if not trains:
                seen = _the_variables().of_pass
                seen.assign(_fingerprint((seen.read_value(), data)))
                return converted(data)
            # Here, outside of what XLA compiles; the step reads it from the variable.
            fingerprint = _fingerprint(data)
            if tf.executing_eagerly():
                _current.batch = int(fingerprint.numpy().view("uint64")[0, 0])
            else:
                _current.batch = _the_variables().of_step
                _current.batch.assign(fingerprint)
            try:
                return converted(data)
            finally:
                _current.batch = None

        return step

    return _autoconvert_optionals


def _fingerprint(data):
    """FarmHash64 of all bytes of a batch, as bytes of the shape `[1, 8]`."""
    found = []
    with tf.device("CPU:0"):
        for part in tf.nest.flatten(data, expand_composites=True):
            if part is None or not hasattr(part, "dtype") or part.dtype == tf.variant:
                continue  # that is an `Optional`, which stands for `None`
            flat = tf.reshape(part, [1, -1])
            if flat.dtype == tf.string:  # what the operation makes of no strings is not defined
                flat = tf.concat([[[""]], flat], 1)
            found.append(tf.raw_ops.Fingerprint(data=flat, method="farmhash64"))
        if not found:
            return tf.constant(_NOTHING)
        if len(found) == 1:
            return found[0]
        return tf.raw_ops.Fingerprint(data=tf.concat(found, 1), method="farmhash64")


PATCHES = (
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer._make_function",
        parameters=("self", "step_function"),
        make=_watch_functions,
        why="the record has the batches of data sets, generators and PyDatasets",
    ),
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer.make_predict_function",
        parameters=("self", "force"),
        make=_watch_predictions,
        why="the same for what is predicted",
    ),
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer._autoconvert_optionals",
        parameters=("self", "step_func"),
        make=_see_batches,
        why="batches are seen where each step is given its own, outside of what XLA compiles",
    ),
)
