"""The order of data in `fit` of tf_keras in graph mode, as `order.py` keeps it for Keras 3."""

import contextlib
import functools
import threading
import types
import warnings

import numpy as np
from tf_keras.src.utils import data_utils

from repro_keras._src import loading, order, seeding
from repro_keras._src.errors import ReproWarning
from repro_keras._src.patches import legacy_names
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity


class _Loop:
    """A loop over data: the training of one `fit`, or an evaluation.

    Attributes:
        fit: the `fit` whose data these are.
        passes: how many passes over arrays it has begun.
        waits: whether its `Sequence` or generator has not been asked for yet.
    """

    def __init__(self, fit: order.Fit):
        self.fit = fit
        self.passes = 0
        self.waits = True


class _Current(threading.local):
    def __init__(self):
        self.loops: list[_Loop] = []


_current = _Current()
_model_names: ByIdentity[str] = ByIdentity()
_fits: ByIdentity[tuple[int, int]] = ByIdentity()  # by model: the session, and how many in it


@contextlib.contextmanager
def _looping(loop: _Loop):
    _current.loops.append(loop)
    try:
        yield
    finally:
        _current.loops.pop()


def _of_no_fit() -> order.Fit:
    """The data of `evaluate`, `predict` and validation: the same in every call."""
    return order.Fit(seeding.current_frame().root_seed, "", 0)


def _next_fit(model) -> order.Fit:
    name = _model_names.get(model)
    if name is None:
        node = legacy_names.place(model)
        assert node is not None
        name = str(node.frame.take(node.path))
        _model_names.set(model, name)
    session, number = _fits.get(model) or (seeding.session(), 0)
    if session != seeding.session():
        session, number = seeding.session(), 0
    _fits.set(model, (session, number + 1))
    return order.Fit(seeding.current_frame().root_seed, name, number)


def _count_fits(original):
    @functools.wraps(original)
    def fit(self, *args, **kwargs):
        with _looping(_Loop(_next_fit(self))):
            return original(self, *args, **kwargs)

    return fit


def _validate_apart(original):
    @functools.wraps(original)
    def model_iteration(*args, **kwargs):
        # Only validation comes by here: the loops themselves hold the original.
        with _looping(_Loop(_of_no_fit())):
            return original(*args, **kwargs)

    return model_iteration


class _Random:
    """Stands for `numpy.random` where tf_keras shuffles what it trains on."""

    def __getattr__(self, name):
        return getattr(np.random, name)

    @staticmethod
    def shuffle(indices):
        if not _current.loops:
            np.random.shuffle(indices)
            return
        loop = _current.loops[-1]
        indices[:] = indices[loop.fit.permutation(loop.passes, len(indices))]
        loop.passes += 1


def _shuffle_by_name(original):
    """Stands for the module `numpy` there."""
    assert original is np
    module = types.ModuleType("numpy")
    vars(module).update(vars(np), random=_Random())
    return module


class _Items:
    """The items of a `Sequence` in order, pass after pass, as they are asked for.

    Stands for Keras's enqueuer, which reads ahead into the next pass. Items are loaded by workers
    unless they draw from Python's or NumPy's global generator, which all threads share.
    """

    def __init__(self, sequence, fit, *, shuffle, workers, processes, ahead):
        self._sequence = sequence
        self._fit = fit
        self._shuffle = shuffle
        self._workers = workers
        self._processes = processes
        self._ahead = ahead
        self._ended = True
        self._rest = iter(())

    def get(self):
        pass_ = 0
        while True:
            size = len(self._sequence)
            indices = range(size)
            if self._shuffle:
                indices = self._fit.permutation(pass_, size).tolist()
            self._ended = False
            for position, item in enumerate(self._load(pass_, list(indices))):
                self._ended = position == size - 1
                if item is not None:
                    yield item
            self._end_epoch()
            pass_ += 1

    def stop(self):
        if self._ended:
            self._end_epoch()
        if hasattr(self._rest, "close"):
            self._rest.close()

    def _end_epoch(self):
        self._ended = False
        self._sequence.on_epoch_end()

    def _load(self, pass_, indices):
        load = loading.SeededItems(self._sequence, self._fit, pass_)
        with order.seeded_globally(self._fit.item_seed(pass_, indices[0])):
            before = order.global_state()
            first = self._sequence[indices[0]]
            draws = order.drawn_since(before)
        yield first
        if self._processes:
            self._rest = loading.by_processes(load, indices[1:], self._workers, self._ahead)
        elif draws:
            if self._workers > 1:
                _warn_of_draws(self._sequence, self._workers)
            self._rest = loading.one_by_one(load, indices[1:])
        else:
            self._rest = loading.by_threads(
                self._sequence.__getitem__, indices[1:], self._workers, self._ahead
            )
        yield from self._rest


def _warn_of_draws(sequence, workers) -> None:
    warnings.warn(
        f"{type(sequence).__name__}.__getitem__ draws from Python's or NumPy's generator, which "
        f"all of its {workers} workers share, so that what an item draws would hang on which comes "
        "first. The items are loaded one at a time instead. To load them at once, draw in "
        "__getitem__ from np.random.default_rng([repro.seed_for('data/augment'), index]), or take "
        "use_multiprocessing=True, where each item has a seed of its own.",
        ReproWarning,
        stacklevel=2,
    )


def _load_in_order(original):
    @functools.wraps(original)
    def _make_enqueued_generator(
        generator, workers=1, use_multiprocessing=False, max_queue_size=10, shuffle=False
    ):
        loop = _current.loops[-1] if _current.loops else None
        fit = _of_no_fit()
        if loop is not None and loop.waits:  # what comes after it is validation data
            loop.waits = False
            fit = loop.fit
        if not isinstance(generator, data_utils.Sequence):
            return generator, None  # read ahead, it would be left at another place in each run
        items = _Items(
            generator,
            fit,
            shuffle=shuffle,
            workers=max(1, workers),
            processes=use_multiprocessing and workers > 0,
            ahead=max(1, max_queue_size),
        )
        return items.get(), items

    return _make_enqueued_generator


PATCHES = (
    Patch(
        target="tf_keras.src.engine.training_v1:Model.fit",
        parameters=None,  # they are handed on as they come
        make=_count_fits,
        why="each `fit` call on a model has orders of its own",
    ),
    Patch(
        target="tf_keras.src.engine.training_arrays_v1:model_iteration",
        parameters=None,
        make=_validate_apart,
        why="validation data is shuffled too, and would be counted as a pass over the other",
    ),
    Patch(
        target="tf_keras.src.engine.training_arrays_v1:np",
        parameters=None,
        make=_shuffle_by_name,
        why="`fit(shuffle=True)` on arrays hangs on other draws from NumPy's global generator",
    ),
    Patch(
        target="tf_keras.src.engine.training_utils_v1:np",
        parameters=None,
        make=_shuffle_by_name,
        why='the same for `shuffle="batch"`',
    ),
    Patch(
        target="tf_keras.src.engine.training_generator_v1:_make_enqueued_generator",
        parameters=(
            "generator",
            "workers",
            "use_multiprocessing",
            "max_queue_size",
            "shuffle",
        ),
        make=_load_in_order,
        why="a Sequence is shuffled by Python's `random`, and is read beyond the epoch by threads",
    ),
)
