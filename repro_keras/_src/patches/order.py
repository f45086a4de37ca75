"""The order of data in `fit`: counted here by fit and pass, computed by `_src/order.py`.

A pass is counted when its first step is asked for: Keras makes iterators that it never uses.
"""

import contextlib
import functools
import itertools
import threading
import warnings
import weakref
from collections.abc import Callable, Generator

import numpy as np
import tensorflow as tf
from keras.src import tree
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from tensorflow.python.ops.resource_variable_ops import ResourceVariable

from repro_keras._src import backends, loading, order, seeding
from repro_keras._src.errors import ReproWarning
from repro_keras._src.patches import generators, names
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity


class Passes:
    """The passes over the data of one `fit`, `evaluate` or `predict`.

    Attributes:
        fit: the `fit` whose data these are.
        number: which pass it is, from 0; read by the pipeline as it starts a pass.
        log: the marks of the passes that were begun, in order; shared with the validation data's.
        mark: its own mark.
        begun: the iterator of the next pass, where it is made already.
        kept: whether its position is kept, so that another process can go on.
        iterator: TensorFlow's, of the pass that was begun last.
    """

    def __init__(self, fit: order.Fit, kept: bool = False):
        self.fit = fit
        self.number = -1
        self.log: list[str] = []
        self.mark = "t"
        self.begun = None
        self.kept = kept
        self.iterator = None
        self.owner: Callable = lambda: None  # Keras's epoch iterator
        self.prepare: Callable[[], None] = lambda: None  # called as a pass begins
        self._continued = (-1, 0)
        self._items: Generator | None = None

    def continue_at(self, number: int, start: int) -> None:
        """Pass `number` comes next, and begins after `start` batches."""
        self.number = number - 1
        self._continued = (number, start)

    @property
    def start(self) -> int:
        """How many batches of this pass another process has used."""
        number, start = self._continued
        return start if number == self.number else 0

    def begin(self, dataset):
        """Begins a pass over a data set, and returns its iterator."""
        self.number += 1
        self.prepare()
        if self.begun is None:
            self.log.append(self.mark)
            self.begun = iter(dataset)
        self.iterator, self.begun = self.begun, None
        return self.iterator

    def loading(self, items: Generator) -> Generator:
        """Remembers what loads the items of the pass that begins, to end its workers."""
        self.close()
        self._items = items
        return items

    def close(self) -> None:
        """Ends the workers of a pass that was not finished."""
        if self._items is not None:
            self._items.close()

    def end(self) -> None:
        """There are no more passes: what they held on to, threads and data, is free at once.

        Otherwise it would wait for the garbage collector. TensorFlow can take a minute to end the
        threads of an iterator that has not been used for long.
        """
        self.close()
        self.iterator = self.begun = self._items = None
        self.prepare = lambda: None


class _Pass:
    """One pass over a data set, which begins when it is first used."""

    def __init__(self, passes: Passes, dataset):
        self._passes = passes
        self._dataset = dataset
        self._iterator = None

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.begun())

    def begun(self):
        """The iterator of the data set, which TensorFlow's functions take."""
        if self._iterator is None:
            self._iterator = self._passes.begin(self._dataset)
        return self._iterator


class _Current(threading.local):
    """What the functions of Keras that are called next do not get as an argument."""

    def __init__(self):
        self.fit: order.Fit | None = None  # that has begun and has no data yet
        self.iterator = None  # the epoch iterator that is being made
        self.passes: list[list[Passes]] = []  # for each `fit` or the like that runs, of its data
        self.keep = False  # whether the position of the `fit` that begins is kept


_current = _Current()
_model_names: ByIdentity[str] = ByIdentity()
_fits: ByIdentity[tuple[int, int]] = ByIdentity()  # by model: the session, and how many in it
_passes: ByIdentity[Passes] = ByIdentity()  # by epoch iterator


def _count_fits(original):
    @functools.wraps(original)
    def fit(self, *args, **kwargs):
        _current.fit = _next_fit(self)
        try:
            with _ending_passes():
                return original(self, *args, **kwargs)
        finally:
            _current.fit = None

    return fit


@contextlib.contextmanager
def keeping(kept: bool):
    """Inside, the position in the data of a `fit` is kept, or not."""
    outer, _current.keep = _current.keep, kept
    try:
        yield
    finally:
        _current.keep = outer


def training() -> Passes | None:
    """The passes over the training data of the innermost `fit`."""
    return _current.passes[-1][0] if _current.passes and _current.passes[-1] else None


def passes_of(epoch_iterator) -> Passes | None:
    """The passes that an epoch iterator makes."""
    return _passes.get(epoch_iterator)


def passes_being_made() -> Passes | None:
    """The passes of the epoch iterator that is being made."""
    return _passes.get(_current.iterator)


def _end_passes(original):
    @functools.wraps(original)
    def evaluate_or_predict(*args, **kwargs):
        with _ending_passes():
            return original(*args, **kwargs)

    return evaluate_or_predict


@contextlib.contextmanager
def _ending_passes():
    """Ends, after it, the passes over data that were made inside."""
    _current.passes.append([])
    try:
        yield
    finally:
        for passes in _current.passes.pop():
            passes.end()


def _next_fit(model) -> order.Fit:
    name = _model_names.get(model)
    if name is None:
        node = names.place(model)
        name = str(node.frame.take(node.path))
        _model_names.set(model, name)
    session, number = _fits.get(model) or (seeding.session(), 0)
    if session != seeding.session():
        session, number = seeding.session(), 0
    _fits.set(model, (session, number + 1))
    return order.Fit(seeding.current_frame().root_seed, name, number)


def _claim_fit() -> order.Fit:
    """The `fit` whose data is asked for: within one, the training data comes first.

    `evaluate` and `predict` count as the fit of no model, the same in every call.
    """
    fit, _current.fit = _current.fit, None
    return fit or order.Fit(seeding.current_frame().root_seed, "", 0)


def _count_passes(original):
    @functools.wraps(original)
    def __init__(self, distribute_strategy=None, *args, **kwargs):
        kept = _current.fit is not None and _current.keep
        passes = Passes(_claim_fit(), kept)
        passes.owner = weakref.ref(self)
        _passes.set(self, passes)
        if _current.passes:
            _current.passes[-1].append(passes)
        outer, _current.iterator = _current.iterator, self
        try:
            original(self, distribute_strategy, *args, **kwargs)
        finally:
            _current.iterator = outer

    return __init__


def _count_from_zero(original):
    @functools.wraps(original)
    def reset(self):
        original(self)
        passes = _passes.get(self)
        if passes is not None:
            passes.number = -1

    return reset


def _begin_later(original):
    @functools.wraps(original)
    def _get_iterator(self):
        passes = _passes.get(self)
        dataset = original(self)
        return dataset if passes is None else _Pass(passes, dataset)

    return _get_iterator


def _begin_now(original):
    @functools.wraps(original)
    def __next__(self):
        begin, end, iterator = original(self)
        return begin, end, iterator.begun() if isinstance(iterator, _Pass) else iterator

    return __next__


def _order_arrays(original):
    @functools.wraps(original)
    def get_tf_dataset(self):
        passes = _passes.get(_current.iterator)
        if passes is None or not (self._shuffle or passes.kept):
            return original(self)
        size, batch_size = self._num_samples, self._batch_size
        inside = batch_size if self._shuffle == "batch" else None
        arrays = array_slicing.convert_to_sliceable(self._inputs, target_backend="tensorflow")
        arrays = tree.lists_to_tuples(arrays)

        # A variable and no function of Python's: the thread that reads ahead needs no lock for it,
        # and the data set does not hold on to `passes`, and so to its own iterator.
        indices = ResourceVariable(np.zeros(0, "int64"), shape=[None], trainable=False)

        def prepare():
            if self._shuffle:
                found = passes.fit.permutation(passes.number, size, inside)
            else:
                found = np.arange(size)
            indices.assign(found[passes.start * batch_size :])

        passes.prepare = prepare

        def batch_at(indices, arrays):
            def gather(x):
                if isinstance(x, array_slicing.TensorflowSparseWrapper):
                    return array_slicing.slice_tensorflow_sparse_wrapper(x, indices)
                return tf.gather(x, indices) if tf.is_tensor(x) else None

            return tree.traverse(gather, arrays)

        batches = tf.data.Dataset.from_tensors(0).map(lambda _: indices.read_value())
        batches = batches.rebatch(batch_size, drop_remainder=size % batch_size == 0)
        # Zipped and not captured: in the graph of `map`, arrays would be constants.
        dataset = tf.data.Dataset.zip(batches, tf.data.Dataset.from_tensors(arrays).repeat())
        dataset = dataset.map(batch_at, num_parallel_calls=tf.data.AUTOTUNE)
        return dataset.with_options(_as_keras_does()).prefetch(tf.data.AUTOTUNE)

    return get_tf_dataset


def _as_keras_does() -> tf.data.Options:
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options


def _order_items(original):
    @functools.wraps(original)
    def get_tf_dataset(self):
        iterator = _current.iterator
        passes = _passes.get(iterator)
        if passes is None:
            return original(self)
        self.enqueuer = None  # `loading` has workers of its own
        dataset = self.py_dataset
        drawn = _probe(self, passes)
        load = _way_of_loading(dataset, drawn)

        def items():
            steps = iterator.steps_per_epoch
            if steps is not None:  # Keras asks for whole executions
                at_once = iterator.steps_per_execution
                steps = -(-steps // at_once) * at_once
            parts = loading.epochs(_indices(dataset, self.shuffle, passes), steps)
            for part in loading.without(parts, passes.start):
                for item in load(passes, part):
                    yield self._standardize_batch(item)

        def one_pass():
            return passes.loading(items())

        # Nothing is read ahead here: it would reach beyond the epoch.
        return tf.data.Dataset.from_generator(one_pass, output_signature=self._output_signature)

    return get_tf_dataset


def _indices(dataset, shuffle, passes: Passes):
    size = dataset.num_batches
    if size is None:
        return itertools.count()
    if shuffle:
        return passes.fit.permutation(passes.number, size).tolist()
    return range(size)


def _probe(adapter, passes: Passes) -> tuple[bool, bool]:
    """Looks at the first items, as Keras does, for their types and shapes.

    Returns:
        Whether making them drew from Python's or NumPy's global generator, and whether from
        Keras's or TensorFlow's.
    """
    dataset = adapter.py_dataset
    size = dataset.num_batches
    at_most = data_adapter_utils.NUM_BATCHES_FOR_TENSOR_SPEC
    items = []
    globally = False
    before = generators.draws(), backends.drawn()
    for index in range(at_most if size is None else min(at_most, size)):
        with order.seeded_globally(passes.fit.item_seed(0, index)):
            state = order.global_state()
            items.append(adapter._standardize_batch(dataset[index]))
            globally = globally or order.drawn_since(state)
    if not items:
        raise ValueError("The PyDataset has length 0")
    adapter._output_signature = data_adapter_utils.get_tensor_spec(items)
    return globally, (generators.draws(), backends.drawn()) != before


def _way_of_loading(dataset, drawn: tuple[bool, bool]):
    """How items are loaded: a function of the passes and the indices of one epoch."""
    drawn_globally, drawn_by_keras = drawn
    workers, ahead = max(1, dataset.workers), max(1, dataset.max_queue_size)
    processes = dataset.use_multiprocessing and dataset.workers > 0

    def seeded(passes):
        return loading.SeededItems(dataset, passes.fit, passes.number)

    if drawn_by_keras or (drawn_globally and not processes):
        if workers > 1 or processes:
            _warn_of_draws(dataset, drawn_by_keras)
        return lambda passes, part: loading.one_by_one(seeded(passes), part)
    if processes:
        return lambda passes, part: loading.by_processes(seeded(passes), part, workers, ahead)
    return lambda passes, part: loading.by_threads(dataset.__getitem__, part, workers, ahead)


def _warn_of_draws(dataset, by_keras: bool) -> None:
    whose = "a generator of Keras or TensorFlow" if by_keras else "Python's or NumPy's generator"
    ways = ["np.random.default_rng([repro.seed_for('data/augment'), index])"]
    if not by_keras:
        ways.append("use_multiprocessing=True, where each item has a seed of its own")
    warnings.warn(
        f"{type(dataset).__name__}.__getitem__ draws from {whose}, which all of its "
        f"{dataset.workers} workers share, so that what an item draws would hang on which comes "
        "first. The items are loaded one at a time instead. To load them at once, draw in "
        f"__getitem__ from {', or take '.join(ways)}.",
        ReproWarning,
        stacklevel=2,
    )


PATCHES = (
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer.fit",
        parameters=(
            "self",
            "x",
            "y",
            "batch_size",
            "epochs",
            "verbose",
            "callbacks",
            "validation_split",
            "validation_data",
            "shuffle",
            "class_weight",
            "sample_weight",
            "initial_epoch",
            "steps_per_epoch",
            "validation_steps",
            "validation_batch_size",
            "validation_freq",
        ),
        make=_count_fits,
        why="each `fit` call on a model has orders of its own",
        issue="keras-team/keras#22621",
    ),
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer.evaluate",
        parameters=(
            "self",
            "x",
            "y",
            "batch_size",
            "verbose",
            "sample_weight",
            "steps",
            "callbacks",
            "return_dict",
            "kwargs",
        ),
        make=_end_passes,
        why="workers of a PyDataset that was not used up would stay",
    ),
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer.predict",
        parameters=("self", "x", "batch_size", "verbose", "steps", "callbacks"),
        make=_end_passes,
        why="the same",
    ),
    Patch(
        target="keras.src.backend.tensorflow.trainer:TFEpochIterator.__init__",
        parameters=("self", "distribute_strategy", "args", "kwargs"),
        make=_count_passes,
        why="tells the training data of a `fit` from its validation data",
    ),
    Patch(
        target="keras.src.trainers.epoch_iterator:EpochIterator.reset",
        parameters=("self",),
        make=_count_from_zero,
        why="validation data comes out the same in each epoch",
    ),
    Patch(
        target="keras.src.backend.tensorflow.trainer:TFEpochIterator._get_iterator",
        parameters=("self",),
        make=_begin_later,
        why="Keras makes iterators that it never uses, which would be counted as passes",
    ),
    Patch(
        target="keras.src.backend.tensorflow.trainer:TFEpochIterator.__next__",
        parameters=("self",),
        make=_begin_now,
        why="a pass begins with its first step, and a graph of many steps needs its iterator",
    ),
    Patch(
        target="keras.src.trainers.data_adapters.array_data_adapter:ArrayDataAdapter.get_tf_dataset",
        parameters=("self",),
        make=_order_arrays,
        why="`fit(shuffle=True)` on arrays has one order for all epochs, or hangs on other draws",
    ),
    Patch(
        target="keras.src.trainers.data_adapters.py_dataset_adapter:PyDatasetAdapter.get_tf_dataset",
        parameters=("self",),
        make=_order_items,
        why="a PyDataset is shuffled by Python's `random`, and its workers draw as they come",
    ),
)
