"""`fit`, `evaluate` and `predict`, for the record: their data, epochs and outcomes."""

import functools
import inspect

from keras.src.backend.common import global_state

from repro_keras._src import seeding
from repro_keras._src.patches import batches, rows, steps
from repro_keras._src.patches.patch import Patch
from repro_keras._src.runs import recorder as recording


def generators() -> dict:
    """The states of what Keras draws from without a name."""
    found = global_state.get_global_attribute("global_seed_generator")
    return {"keras": None if found is None else found.state}


def begin(recorder) -> None:
    """Recording begins."""
    recorder.generators = generators
    recorder.begin_pass, recorder.end_pass = batches.begin_pass, batches.end_pass
    batches.begin()
    rows.begin()
    for model in steps.models():
        # Those that were made before do not write the trail, nor see batches.
        model.train_function = model.test_function = model.predict_function = None


def _record_fit(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def fit(self, *args, **kwargs):
        if seeding.hooks.trains:
            seeding.hooks.trains(self)
        recorder = recording.current
        if recorder is None:
            return original(self, *args, **kwargs)
        with recorder.fitting(self, signature.bind(self, *args, **kwargs).arguments):
            batches.prepare(self, recorder.wants_batches)
            return original(self, *args, **kwargs)

    return fit


def _record_call(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def evaluate_or_predict(self, *args, **kwargs):
        if recording.current is None:
            return original(self, *args, **kwargs)
        arguments = signature.bind(self, *args, **kwargs).arguments
        with recording.current.calling(original.__name__, arguments):
            return original(self, *args, **kwargs)

    return evaluate_or_predict


def _record_begin(original):
    @functools.wraps(original)
    def on_train_begin(self, logs=None):
        if recording.current is not None:
            recording.current.training_begins()
        return original(self, logs)

    return on_train_begin


def _record_batch(original):
    @functools.wraps(original)
    def on_train_batch_end(self, batch, logs=None):
        if recording.current is not None and logs:
            recording.current.batch(batch, logs)
        return original(self, batch, logs)

    return on_train_batch_end


def _record_epoch(original):
    @functools.wraps(original)
    def on_epoch_end(self, epoch, logs=None):
        if recording.current is not None:
            recording.current.epoch(epoch, logs or {})
        return original(self, epoch, logs)

    return on_epoch_end


_TRAINER = "keras.src.backend.tensorflow.trainer:TensorFlowTrainer"
_CALLBACKS = "keras.src.callbacks.callback_list:CallbackList"

PATCHES = (
    Patch(
        target=f"{_TRAINER}.fit",
        parameters=None,
        make=_record_fit,
        why="the record has the data and the outcome of each fit; cells are told what they train",
    ),
    Patch(
        target=f"{_TRAINER}.evaluate",
        parameters=None,
        make=_record_call,
        why="the record has the data of each evaluation",
    ),
    Patch(
        target=f"{_TRAINER}.predict",
        parameters=None,
        make=_record_call,
        why="the record has the data of each prediction",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_train_begin",
        parameters=("self", "logs"),
        make=_record_begin,
        why="the record has the weights that a model starts with",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_train_batch_end",
        parameters=("self", "batch", "logs"),
        make=_record_batch,
        why="the record has the metrics of each batch",
    ),
    Patch(
        target=f"{_CALLBACKS}.on_epoch_end",
        parameters=("self", "epoch", "logs"),
        make=_record_epoch,
        why="the record has the metrics and the layers of each epoch",
    ),
)
