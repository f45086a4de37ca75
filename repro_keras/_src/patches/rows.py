"""Rows for the record, a row a step, brought out of graphs without anything that waits for them.

A graph puts each of its rows into a queue as it is, by one operation, and a thread takes them out
now and then: no operation of its own is spent on what can be worked out later. XLA knows no queues;
what it compiles writes into a buffer.
"""

import threading
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from repro_keras._src.patches import tracing
from repro_keras._src.runs import journal
from repro_keras._src.runs import recorder as recording

_PATIENCE = 0.5  # seconds that steps may wait in a graph: what a kill can lose
_PAUSE = 0.05  # seconds between two looks at how full the buffer is
_SIZE = 4096  # the rows of the buffer
_ENDLESS = 2**62
_WEIGHTS, _ELEMENTS = 3, 4
_SMALL = 256  # elements of a weight that is taken whole
_NUMBER, _LOSS, _RATE, _META, _BATCH, _STATE = range(6)  # the columns of a row of the buffer
_COLUMNS = _STATE + _WEIGHTS * _ELEMENTS
# Odd numbers, so that elements that change places are told apart.
_FACTORS = (np.arange(_WEIGHTS * _ELEMENTS, dtype="int64") * 0x5851F42D4C957F2D) | 1

_Numbered = tuple[int, journal.Row]
"""A row, and how many steps were in a graph before it."""


def write(losses: list, rate, floats: list, optimizer: int, batch) -> None:
    """Writes the row of a step: now, or by a graph whenever it makes one.

    Args:
        losses: scalars, or tensors whose sums are meant; none where the loss is not known.
        rate: the learning rate.
        floats: the weights that are trained, as variables; a few elements of a few are taken.
        optimizer: its number.
        batch: the fingerprint of the step's batch: a number now, a variable of it in a graph, or
            `None`.
    """
    floats = [variable for variable in floats if variable.shape.is_fully_defined()]
    last = len(floats) - 1
    picked = sorted({round(i * last / (_WEIGHTS - 1)) for i in range(_WEIGHTS)}) if floats else []
    sampled = [floats[i] for i in picked]
    if tf.executing_eagerly():
        if _rows is not None:
            _rows.drain()  # the order of steps
        (state,) = _fingerprints([read(variable)[None] for variable in sampled], 1)
        (loss,) = _sums([read(t)[None] for t in losses]) if losses else (None,)
        recording.current.row(loss, float(read(rate)), state, optimizer, batch)
    elif hasattr(tf.compat.v1.get_default_graph(), "outer_graph"):
        with tf.name_scope("record"):
            elements = [_elements(variable) for variable in sampled]
            rate = tf.convert_to_tensor(rate)
            rate = rate if rate.shape.rank == 0 else tf.reshape(rate, [])
            the_rows().write(losses, rate, elements, optimizer, batch)


def read(x) -> np.ndarray:
    """The value of a variable or tensor."""
    if isinstance(x, tf.Variable):  # four times as fast as `numpy()`
        x = tf.raw_ops.ReadVariableOp(resource=x.handle, dtype=x.dtype)
    return np.asarray(x)


def _elements(variable):
    """A few elements of a weight, from all over it, in as few operations as can be.

    Not by `ResourceGatherNd`, which would be one less: after it, each reading of the weight by
    anyone makes a copy of it. A small weight is taken whole, which has the next step copy it; of
    that, the elements are taken once it is out of the graph.
    """
    value, size = variable.read_value(), variable.shape.num_elements()
    if size <= _SMALL:
        return value
    places = np.arange(_ELEMENTS) * (size // _ELEMENTS)
    return tf.gather_nd(value, np.stack(np.unravel_index(places, variable.shape), axis=-1))


def _few(flat):
    """The same of flat arrays or tensors, one or many."""
    return flat[..., :: max(1, flat.shape[-1] // _ELEMENTS)][..., :_ELEMENTS]


def _fingerprints(parts: list[np.ndarray], count: int) -> list[int]:
    """For each of so many rows, a number that hangs on all bits of a few elements of its parts."""
    elements = np.zeros([count, _WEIGHTS * _ELEMENTS])
    start = 0
    for part in parts:
        few = _few(part.reshape(count, -1))
        elements[:, start : start + few.shape[1]] = few
        start += few.shape[1]
    return _combined(elements)


def _combined(elements: np.ndarray) -> list[int]:
    bits = np.ascontiguousarray(elements).view("int64")
    return (bits * _FACTORS).sum(1).view("uint64").tolist()


def _sums(losses: list[np.ndarray]) -> list[float]:
    """The loss of each row, of the losses that it is made of."""
    sums = [loss.reshape(len(loss), -1).sum(1, dtype="float64") for loss in losses]
    return sum(sums[1:], sums[0]).tolist()


class Rows:
    """Where graphs write rows, and a thread that takes them away.

    A row has the number of steps before it, by which rows from several places come in their order.
    """

    def __init__(self, recorder: recording.Recorder):
        with tf.init_scope(), tf.device("CPU:0"):
            self._count = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._recorder = recorder
        self._taken = 0
        self._early: list[_Numbered] = []  # were seen after one that may be seen later only
        self._queues: dict[tuple, _Queue] = {}
        self._buffer: _Buffer | None = None
        threading.Thread(target=self._watch, name="repro_keras recorder", daemon=True).start()

    def write(self, losses: list, rate, elements: list, optimizer: int, batch) -> None:
        """Adds the writing of a row to the graph; with few operations, for each takes its time."""
        losses = [t if t.shape.rank == 0 else tf.reduce_sum(_wide(t)) for t in losses]
        if tracing.for_xla():
            self._buffer = self._buffer or _Buffer()
            number = self._count.read_value()
            written = self._buffer.write(number, losses, rate, elements, optimizer, batch)
            with tf.control_dependencies([written]):
                self._count.assign_add(1)
            return
        number = tf.raw_ops.ResourceCountUpTo(
            resource=self._count.handle, limit=_ENDLESS, T=tf.int64
        )
        batches = [] if batch is None else [batch.read_value()]
        optimizer = tf.constant(optimizer, tf.int64)
        parts = [number, optimizer, rate, *batches, *losses, *elements]
        form = (len(batches), len(losses), *((part.dtype, *part.shape) for part in parts))
        if form not in self._queues:
            self._queues[form] = _Queue(parts, len(batches), len(losses))
        self._queues[form].write(parts)

    def _watch(self) -> None:
        pause, last = threading.Event(), time.monotonic()
        while self._recorder is recording.current:
            pause.wait(_PAUSE)
            late = time.monotonic() - last > _PATIENCE
            if late or (self._buffer and int(read(self._count)) - self._taken > _SIZE // 4):
                self.drain()
                self._recorder.flush()
                last = time.monotonic()

    def drain(self) -> None:
        """Brings the rows of all steps that are over to the recorder, in their order."""
        with self._recorder.lock, tf.init_scope():
            if int(read(self._count)) == self._taken:
                return
            found, self._early = [*self._early, *self._in_queues()], []
            if self._buffer is not None:
                found += self._buffer.take(self._taken, int(read(self._count)))
            if not found:
                return
            # The steps before one that was seen are over, and their rows can be had: but maybe
            # from a queue that was looked into before they were there.
            last = max(number for number, _ in found)
            found += self._in_queues()
            found.sort(key=lambda numbered: numbered[0])
            self._early = [numbered for numbered in found if numbered[0] > last]
            rows = [row for number, row in found if number <= last]
            # A step that failed has a number and no row; those of the buffer were written over.
            lost = last + 1 - self._taken - len(rows) if self._buffer is not None else 0
            self._recorder.rows(rows, max(0, lost))
            self._taken = last + 1

    def _in_queues(self) -> list[_Numbered]:
        queues = list(self._queues.values())  # others may be traced meanwhile
        return [numbered for queue in queues for numbered in queue.take()]


class _Queue:
    """A queue of the rows of one form."""

    def __init__(self, parts: list, batches: int, losses: int):
        with tf.init_scope(), tf.device("CPU:0"):
            types, shapes = [part.dtype for part in parts], [part.shape for part in parts]
            self._queue = tf.queue.FIFOQueue(-1, types, shapes)  # without an end: nothing waits
        self._batches, self._losses = batches, losses

    def write(self, parts: list) -> None:
        tf.raw_ops.QueueEnqueueV2(handle=self._queue.queue_ref, components=parts, timeout_ms=-1)

    def take(self) -> Iterator[_Numbered]:
        count = int(self._queue.size())
        if not count:
            return
        numbers, optimizers, rates, *rest = map(np.asarray, self._queue.dequeue_many(count))
        nothing = [None] * count
        batches = rest.pop(0).view("uint64").reshape(-1).tolist() if self._batches else nothing
        losses = _sums(rest[: self._losses]) if self._losses else nothing
        states = _fingerprints(rest[self._losses :], count)
        rows = zip(losses, rates.tolist(), states, optimizers.tolist(), batches, strict=True)
        yield from zip(numbers.tolist(), rows, strict=True)


class _Buffer:
    """Rows that XLA writes over the oldest ones; in float64, and with their numbers in them."""

    def __init__(self):
        with tf.init_scope(), tf.device("CPU:0"):
            self._rows = tf.Variable(np.full([_SIZE, _COLUMNS], -1.0), trainable=False)

    def write(self, number, losses: list, rate, elements: list, optimizer: int, batch):
        total = tf.add_n([_wide(loss) for loss in losses]) if losses else 0.0
        bits = 0.0 if batch is None else tf.bitcast(batch.read_value()[0], tf.float64)
        # The number of the optimizer comes with whether there are a loss and a batch.
        meta = 4.0 * optimizer + 2 * (batch is not None) + bool(losses)
        row = [tf.stack([_wide(number), total, _wide(rate), meta, bits])]
        row += [_wide(_few(tf.reshape(part, [-1]))) for part in elements]
        missing = _COLUMNS - sum(part.shape[0] for part in row)
        row.append(tf.zeros([missing], tf.float64))
        return tf.raw_ops.ResourceScatterUpdate(
            resource=self._rows.handle, indices=number % _SIZE, updates=tf.concat(row, 0)
        )

    def take(self, first: int, count: int) -> list[_Numbered]:
        """The rows from a number on that are here."""
        numbers = np.arange(max(first, count - _SIZE), count)
        rows = read(self._rows)[numbers % _SIZE]
        whole = rows[:, _NUMBER] == numbers  # others were written over, or are in a queue
        rows = rows[whole]
        meta = rows[:, _META].astype("int64")
        states = _combined(rows[:, _STATE:])
        batches = rows[:, _BATCH].copy().view("uint64").tolist()
        losses = rows[:, _LOSS].tolist()
        found = [
            (loss if known & 1 else None, rate, state, known >> 2, batch if known & 2 else None)
            for loss, rate, state, known, batch in zip(
                losses, rows[:, _RATE].tolist(), states, meta.tolist(), batches, strict=True
            )
        ]
        return list(zip(numbers[whole].tolist(), found, strict=True))


def _wide(x):
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float64)


_rows: Rows | None = None


def the_rows() -> Rows:
    """Those of this recording, made where there are none yet."""
    global _rows
    if _rows is None:
        assert recording.current is not None
        _rows = Rows(recording.current)
        recording.current.drain = _rows.drain
    return _rows


def begin() -> None:
    """Recording begins: graphs that were traced under another recorder write to nobody."""
    global _rows
    _rows = None
