"""The place in the data of a `fit`: taken, and gone back to in another process.

Arrays and `PyDataset`s are sliced (`patches/order.py`), whatever the place. A `tf.data.Dataset` is
put there by TensorFlow's own checkpoint of its iterator, or where it has something that cannot be
saved (a Python function, a random operation), by running through it again. So is a generator.
"""

import functools
import itertools
import warnings
import weakref
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.generator_data_adapter import GeneratorDataAdapter
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter

from repro_keras._src import backends, digest, order
from repro_keras._src.errors import CanonicalError, ReproWarning, StateError
from repro_keras._src.patches import generators, shuffles
from repro_keras._src.patches import order as orders
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity
from repro_keras._src.state import plain, value

OPAQUE = value.OPAQUE
_ITERATOR = f"{OPAQUE}iterator"


class Place:
    """The place in the training data of one `fit`.

    Args:
        passes: its passes.
        epoch_iterator: Keras's, which makes them.
        validation_data: as `fit` was given it.
    """

    def __init__(self, passes: orders.Passes, epoch_iterator, validation_data=None):
        self._validation_data = validation_data
        self._passes = passes
        self._epochs = epoch_iterator
        self._adapter = epoch_iterator.data_adapter
        self._validation = None  # the epoch iterator of the validation data, once it is made
        self._validated = None  # what another process has called of its hooks
        self._restored: dict = {}
        self._warned = False
        _places.set(passes, self)
        kinds = (ArrayDataAdapter, PyDatasetAdapter, TFDatasetAdapter, GeneratorDataAdapter)
        if not isinstance(self._adapter, kinds):
            raise StateError(
                "The place in arrays, PyDatasets, tf.data.Datasets and generators can be kept. "
                f"Received data for {type(self._adapter).__name__}. Give `fit` one of those, e.g. "
                "a PyDataset that makes each batch of its index."
            )

    def is_last(self, steps: int) -> bool:
        """Whether an epoch is known to be over after `steps` steps."""
        known = self._epochs.steps_per_epoch or self._epochs._num_batches
        return bool(known) and steps >= known

    def stop(self) -> None:
        """The epoch in progress has no more steps, and none comes after it."""
        _skips.set(self._epochs, -1)
        self._passes.number, self._passes.log[:] = self._restored["pass"], self._restored["log"]
        if self._epochs.steps_per_epoch:
            self._epochs._steps_seen = self._restored["used"]
            self._epochs._current_iterator = iter(self._epochs._get_iterator())

    @property
    def element_spec(self):
        """The form of what a step gets."""
        return self._epochs._distributed_dataset.element_spec

    def capture(self, steps: int | None, arrays: plain.Arrays) -> dict:
        """Where training is.

        Args:
            steps: how many steps of the epoch in progress are done; `None` between epochs.
            arrays: gets arrays.
        """
        epochs, passes = self._epochs, self._passes
        if steps is not None:
            used, before = epochs._steps_seen, epochs._steps_seen - steps
        else:
            going_on = epochs.steps_per_epoch and epochs._current_iterator is not None
            used = before = epochs._steps_seen if going_on else 0
        place = {
            "pass": passes.number,
            "used": used,
            "before": before,
            "batches": None if self._adapter.num_batches else epochs._num_batches,
        }
        if isinstance(self._adapter, PyDatasetAdapter):
            place["hooks"] = _hooks_of(self._adapter).capture()
        elif isinstance(self._adapter, TFDatasetAdapter) and passes.iterator is not None:
            self._checkpoint(passes.iterator, arrays)
        elif isinstance(self._adapter, GeneratorDataAdapter):
            place["last"] = _stream_of(self._adapter).last()
        place["validation"] = self._capture_validation()
        place["log"] = "".join(mark for mark in passes.log if self._dataset(mark) is not None)
        return plain.pack(place, arrays, "data")

    def restore(self, packed, steps: int | None, arrays: plain.Arrays) -> None:
        """Makes the next step go on there; before any pass of this process has begun."""
        place = self._restored = plain.unpack(packed, arrays)
        epochs, passes = self._epochs, self._passes
        if place["batches"] is not None:
            epochs._num_batches = place["batches"]
        if steps is not None:
            _skips.set(epochs, steps)
        if place["before"]:
            epochs._steps_seen = place["before"]
            epochs._current_iterator = iter(epochs._get_iterator())
        self._validated = place["validation"]
        done, used = place["pass"], place["used"]
        if isinstance(self._adapter, PyDatasetAdapter):
            _hooks_of(self._adapter).replay(place["hooks"])
        elif isinstance(self._adapter, GeneratorDataAdapter):
            _stream_of(self._adapter).go_on(done, used, place["last"])
        self._go_back(used, place, arrays)
        if used:
            passes.continue_at(done, used)
        else:
            passes.number = done

    def _capture_validation(self):
        """The calls of the hooks of a `PyDataset` of validation data."""
        if self._validation is None:
            return self._validated
        hooks = _hooks.get(self._validation.data_adapter)
        return None if hooks is None else hooks.capture()

    def validation_made(self, epoch_iterator) -> None:
        """The validation data is there, and has yielded nothing yet."""
        self._validation = epoch_iterator
        hooks = _hooks.get(epoch_iterator.data_adapter)
        passes = orders.passes_of(epoch_iterator)
        assert passes is not None
        passes.log, passes.mark = self._passes.log, "v"
        if hooks is not None and self._validated is not None:
            hooks.replay(self._validated)
            hooks.made_already = False

    def _checkpoint(self, iterator, arrays: plain.Arrays) -> None:
        files = shuffles.checkpoint(iterator)
        if files is None:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    "The data set has a Python function or a random operation, so that its place "
                    "cannot be saved: a run that is resumed goes through it again from its "
                    "beginning. That is exact where it yields the same again.",
                    ReproWarning,
                    stacklevel=2,
                )
            return
        if not shuffles.are_known(files, self._dataset("t")):
            return  # it is gone through again: the passes to come are not in it
        for name, content in files.items():
            arrays[f"{_ITERATOR}/{name}"] = content

    def _dataset(self, mark: str) -> tf.data.Dataset | None:
        """The training data or the validation data, where it is a data set of TensorFlow's."""
        if mark == "v":
            found = self._validation_data
        elif isinstance(self._adapter, TFDatasetAdapter):
            found = self._epochs._distributed_dataset
        else:
            found = None
        return found if isinstance(found, tf.data.Dataset) else None

    def _go_back(self, used: int, place: dict, arrays: plain.Arrays) -> None:
        """Puts the passes over a `tf.data.Dataset`, and over the validation data, where they were.

        How often a data set was begun decides its order where it is shuffled, and the validation
        data may be made of the same one: all passes are begun again, in their order, and gone
        through where that is not enough.
        """
        names = [name for name in arrays if name.startswith(f"{_ITERATOR}/")]
        files = {name.removeprefix(f"{_ITERATOR}/"): arrays[name] for name in names}
        log, passes = place["log"], self._passes
        current = log.rindex("t") if used and "t" in log else None
        is_enough: dict[str, bool] = {}
        for number, mark in enumerate(log):
            if mark == "t" and files and used:
                continue  # below
            dataset = self._dataset(mark)
            iterator = iter(dataset)
            if mark not in is_enough:
                can_be_saved = bool(files) if mark == "t" else bool(shuffles.checkpoint(iterator))
                is_enough[mark] = can_be_saved and shuffles.follow_passes(dataset)
            count = 0 if is_enough[mark] else None
            if number == current:
                passes.begun, count = iterator, used
            for _ in itertools.islice(iterator, count):
                pass
        if files and used:
            passes.begun = shuffles.continued(self._dataset("t"), files, log.count("t"))
        passes.log[:] = log


class _Hooks:
    """The calls of a PyDataset's epoch hooks, so that another process can make them again."""

    def __init__(self, dataset):
        self._dataset = weakref.ref(dataset)
        self.calls: list[list] = []
        self.made_already = False  # the one that begins the epoch in progress

    def call(self, name: str, hook) -> None:
        state = order.global_state()
        drawn = generators.draws(), backends.drawn()
        hook()
        if (generators.draws(), backends.drawn()) != drawn:
            raise StateError(
                f"{type(self._dataset()).__name__}.{name} draws from a generator of Keras or "
                "TensorFlow, so that it cannot be called again as it was. Draw in it from "
                "np.random.default_rng(repro.seed_for('data/shuffle')), kept in the data set, or "
                "give the data set get_state() and set_state(state)."
            )
        python, (kind, keys, *rest) = state
        before = None
        if order.drawn_since(state):
            version, numbers, gauss = python
            before = [[version, np.array(numbers, "uint32"), gauss], [kind, keys, *rest]]
        self.calls.append([name, before])

    def capture(self):
        dataset = self._dataset()
        if hasattr(dataset, "get_state") and hasattr(dataset, "set_state"):
            return {"state": dataset.get_state(), "calls": len(self.calls), "last": self._last()}
        return {"calls": self.calls}

    def _last(self) -> str | None:
        return self.calls[-1][0] if self.calls else None

    def replay(self, captured) -> None:
        import random

        dataset = self._dataset()
        if "state" in captured:
            dataset.set_state(captured["state"])
            self.made_already = captured["last"] == "on_epoch_begin"
            self.calls = self.calls + [[captured["last"], None]] * (
                captured["calls"] - len(self.calls)
            )
            return
        with order.seeded_globally(0):
            for name, before in captured["calls"][len(self.calls) :]:
                if before is not None:
                    (version, numbers, gauss), numpy = before
                    random.setstate((version, tuple(numbers.tolist()), gauss))
                    np.random.set_state(tuple(numpy))
                getattr(dataset, name)()
        self.calls = captured["calls"]
        self.made_already = self._last() == "on_epoch_begin"


class _Stream:
    """The batches of a generator, which is asked for each when it is used, and not before."""

    def __init__(self, passes: orders.Passes, make):
        self._passes = passes
        self._make = make
        self._last = None
        self._begun: Iterator | None = None  # the pass that another process has begun

    def last(self) -> str | None:
        """The digest of the batch that was used last."""
        return None if self._last is None else _digest(self._last)

    def go_on(self, done: int, used: int, last: str | None) -> None:
        """Goes through what another process has used, and checks that it comes to the same."""
        for _ in range(done if used else done + 1):
            for batch in self._make():
                self._last = batch
        if used:
            self._begun = iter(self._make())
            for batch in itertools.islice(self._begun, used):
                self._last = batch
        if used or done >= 0:
            self._check(last)

    def __call__(self):
        batches, self._begun = self._begun or iter(self._make()), None
        for batch in batches:
            self._last = batch
            yield batch

    def _check(self, last: str | None) -> None:
        if self.last() != last:
            raise StateError(
                "The generator has come to another batch than the one that was used last when "
                "the state was saved, so that training cannot go on exactly. It has to yield the "
                "same batches in each process: let it draw from np.random.default_rng("
                "repro.seed_for('data/augment')), or use a PyDataset."
            )


def _digest(batch) -> str:
    try:
        return digest.digest(batch)
    except CanonicalError:
        return "unknown"


_places: ByIdentity[Place] = ByIdentity()  # by the passes over the training data
_hooks: ByIdentity[_Hooks] = ByIdentity()
_streams: ByIdentity[_Stream] = ByIdentity()
_skips: ByIdentity[int] = ByIdentity()  # by epoch iterator: steps of its next epoch that are done


def _hooks_of(adapter) -> _Hooks:
    found = _hooks.get(adapter)
    assert found is not None
    return found


def _stream_of(adapter) -> _Stream:
    found = _streams.get(adapter)
    assert found is not None
    return found


def _note_begin(original):
    @functools.wraps(original)
    def on_epoch_begin(self):
        hooks = _hooks.get(self)
        if hooks is None:
            original(self)
        elif hooks.made_already:
            hooks.made_already = False
            self._within_epoch = True
        else:
            hooks.call("on_epoch_begin", lambda: original(self))

    return on_epoch_begin


def _note_end(original):
    @functools.wraps(original)
    def on_epoch_end(self):
        hooks = _hooks.get(self)
        if hooks is None:
            original(self)
        else:
            hooks.call("on_epoch_end", lambda: original(self))

    return on_epoch_end


def _note_iterator(original):
    @functools.wraps(original)
    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        training, passes = orders.training(), orders.passes_of(self)
        if training is None or not training.kept:
            return
        if isinstance(self.data_adapter, PyDatasetAdapter):
            _hooks.set(self.data_adapter, _Hooks(self.data_adapter.py_dataset))
        place = _places.get(training)
        if place is not None and passes is not training:
            place.validation_made(self)

    return __init__


def _ask_when_used(original):
    @functools.wraps(original)
    def get_tf_dataset(self):
        passes = orders.passes_being_made()
        if passes is None or not passes.kept:
            return original(self)
        stream = _Stream(passes, self.generator)
        _streams.set(self, stream)
        self.generator = stream
        return original(self)._input_dataset  # what it is without reading ahead

    return get_tf_dataset


def _skip_steps(original):
    @functools.wraps(original)
    def _enumerate_iterator(self):
        steps = original(self)
        skipped = _skips.pop(self)
        if skipped is not None:
            if skipped < 0:
                return
            for step in steps:
                if step[0] >= skipped:
                    yield step
                    break
            else:  # the pass was used up, and another is not begun
                passes = orders.passes_of(self)
                if passes is not None and not self._steps_seen:
                    passes.number += 1
        yield from steps

    return _enumerate_iterator


_ADAPTER = "keras.src.trainers.data_adapters.py_dataset_adapter:PyDatasetAdapter"

PATCHES = (
    Patch(
        target="keras.src.backend.tensorflow.trainer:TFEpochIterator.__init__",
        parameters=None,
        make=_note_iterator,
        why="a fit that is resumed makes the calls of a PyDataset's hooks again",
    ),
    Patch(
        target=f"{_ADAPTER}.on_epoch_begin",
        parameters=("self",),
        make=_note_begin,
        why="the same",
    ),
    Patch(
        target=f"{_ADAPTER}.on_epoch_end",
        parameters=("self",),
        make=_note_end,
        why="the same",
    ),
    Patch(
        target="keras.src.trainers.data_adapters.generator_data_adapter:GeneratorDataAdapter.get_tf_dataset",
        parameters=("self",),
        make=_ask_when_used,
        why="a generator that is read ahead is further than training is",
    ),
    Patch(
        target="keras.src.trainers.epoch_iterator:EpochIterator._enumerate_iterator",
        parameters=("self",),
        make=_skip_steps,
        why="a fit that is resumed goes on in the middle of an epoch",
    ),
)
