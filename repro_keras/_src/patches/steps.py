"""The steps of training, for the record: a step is what an optimizer applies, by whomever called.

The true loss of a step is the target of the gradient that the optimizer applies. In a graph, a row
is written into a buffer of the graph, and a thread takes it away now and then: nothing waits.
"""

import collections
import contextlib
import functools
import hashlib
import os
import threading
import time
import weakref

import numpy as np
import tensorflow as tf
from keras.src import backend

from repro_keras._src.patches.patch import Patch
from repro_keras._src.runs import recorder as recording

_SIZE = 4096
_PAUSE = 0.05  # seconds between two looks at how full the buffer is
_PATIENCE = 0.5  # seconds that steps may wait in it: what a kill can lose
_WEIGHTS, _ELEMENTS = 3, 4
_NUMBER, _LOSS, _RATE, _META, _BATCH, _STATE = range(6)  # the columns of a row
_COLUMNS = _STATE + _WEIGHTS * _ELEMENTS
# Odd numbers, so that elements that change places are told apart.
_FACTORS = (np.arange(_WEIGHTS * _ELEMENTS, dtype="int64") * 0x5851F42D4C957F2D) | 1


class _Gradient:
    """A gradient that was taken and not applied yet."""

    def __init__(self, targets: list, variables: set[int], gradients: list):
        self.targets = targets
        self._variables = variables
        self._gradients = [weakref.ref(g) for g in gradients if tf.is_tensor(g)]

    def is_in(self, gradients: list) -> bool:
        ids = {id(gradient) for gradient in gradients}
        return any(id(reference()) in ids for reference in self._gradients)

    def is_of(self, variables: set[int]) -> bool:
        return bool(self._variables & variables)


class _Current(threading.local):
    def __init__(self):
        self.gradients: collections.deque[_Gradient] = collections.deque(maxlen=64)
        self.scaled: collections.deque[tuple] = collections.deque(maxlen=8)
        self.applying = False
        self.rate = None  # that the optimizer has used in this step
        self.making = ""  # the name of the step that a function is being made of, if it is watched
        self.batch: int | _Buffer | None = None  # a fingerprint of this step's, or where it is


_current = _Current()
_models: list[weakref.ref] = []


def begin() -> None:
    """Recording begins: graphs that were traced under another recorder write to nobody."""
    global _buffer
    _buffer = None


def models() -> list:
    """The models that are there, in the order in which they were made."""
    return [model for reference in _models if (model := reference()) is not None]


def backing(x):
    """The backend's variable, as Keras's own and the user's are told by."""
    return x._value if isinstance(x, backend.Variable) else x


def is_variable(x) -> bool:
    return isinstance(x, (backend.Variable, tf.Variable))


def _remember_loss(original):
    @functools.wraps(original)
    def gradient(self, target, sources, *args, **kwargs):
        result = original(self, target, sources, *args, **kwargs)
        if recording.current is not None:
            variables = {id(backing(s)) for s in tf.nest.flatten(sources) if is_variable(s)}
            if variables:
                targets = [_unscaled(t) for t in tf.nest.flatten(target)]
                _current.gradients.append(_Gradient(targets, variables, tf.nest.flatten(result)))
        return result

    return gradient


def _remember_scaled(original):
    @functools.wraps(original)
    def scale_loss(self, loss):
        scaled = original(self, loss)
        if recording.current is not None and scaled is not loss:
            _current.scaled.append((scaled, loss))
        return scaled

    return scale_loss


def _unscaled(target):
    for scaled, loss in _current.scaled:
        if scaled is target:
            return _unscaled(loss)
    return target


def _remember_rate(original):
    @functools.wraps(original)
    def _get_current_learning_rate(self):
        rate = original(self)
        if _current.applying and _current.rate is None:
            _current.rate = rate
        return rate

    return _get_current_learning_rate


def _record_step(original):
    @functools.wraps(original)
    def apply(self, grads, trainable_variables=None):
        recorder = recording.current
        if recorder is None or _current.applying:  # LossScaleOptimizer applies another
            return original(self, grads, trainable_variables)
        variables = list(
            self._trainable_variables if trainable_variables is None else trainable_variables
        )
        if trainable_variables is not None:
            trainable_variables = variables
        number = recorder.optimizer(self, lambda: _owners(variables))
        _current.applying, _current.rate = True, None
        try:
            result = original(self, grads, trainable_variables)
        finally:
            _current.applying = False
        losses = _claim_losses(list(grads), variables)
        rate, _current.rate = _current.rate, None
        if rate is None or not _reachable(rate):
            rate = self.learning_rate
        _write(recorder, losses, rate, variables, number)
        return result

    return apply


def _owners(variables: list) -> list:
    """The models that have variables, without those inside others; or the variables themselves."""
    wanted = {id(v) for v in variables}
    owners: list[tuple[set[int], object]] = []
    for model in sorted(models(), key=lambda model: -len(model.variables)):
        own = {id(v) for v in model.variables}
        if own & wanted and not any(own <= others for others, _ in owners):
            owners.append((own, model))
    return [model for _, model in owners] or [_Variables(variables)]


class _Variables:
    """Variables without a model, as something that can be recorded like one."""

    def __init__(self, variables: list):
        self.variables = [v for v in variables if isinstance(v, backend.Variable)]
        self.name = "variables"


def _claim_losses(gradients: list, variables: list) -> list:
    """The targets of the gradients that are applied, taken off the list of those that wait."""
    ids = {id(backing(v)) for v in variables}
    waiting = [g for g in _current.gradients if all(map(_reachable, g.targets))]
    found = [g for g in waiting if g.is_in(gradients)]
    found = found or [g for g in waiting if g.is_of(ids)]  # they were clipped, or added up
    for gradient in found:
        _current.gradients.remove(gradient)
    return [target for gradient in found for target in gradient.targets]


def _reachable(x) -> bool:
    """Whether a tensor can be used where we are: eager ones can, and those of graphs around."""
    if isinstance(x, backend.Variable) or not tf.is_tensor(x) or hasattr(x, "numpy"):
        return True
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        if x.graph is graph:
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def _write(recorder, losses: list, rate, variables: list, number: int) -> None:
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return
    floats = [v for v in map(backing, variables) if v.dtype.is_floating]
    last = len(floats) - 1
    picked = sorted({round(i * last / (_WEIGHTS - 1)) for i in range(_WEIGHTS)}) if floats else []
    sampled = [floats[i] for i in picked]
    if tf.executing_eagerly():
        if _buffer is not None:
            _buffer.drain()  # the order of steps
        batch = _current.batch if isinstance(_current.batch, int) else None
        elements = np.zeros(_WEIGHTS * _ELEMENTS)
        parts = [_elements_now(_read(v).reshape(-1)).astype("float64") for v in sampled]
        if parts:
            together = np.concatenate(parts)
            elements[: len(together)] = together
        loss = sum(float(np.sum(_read(t), dtype="float64")) for t in losses) if losses else None
        (state,) = _fingerprints(elements[None])
        recorder.row(loss, float(_read(rate)), state, number, batch)
    elif hasattr(tf.compat.v1.get_default_graph(), "outer_graph"):
        _graph_row(_the_buffer(), losses, rate, sampled, number)


def _elements(variable):
    """A few elements of a weight, from all over it, in as few operations as can be.

    Not by `ResourceGatherNd`, which would be one less: after it, each reading of the weight by
    anyone makes a copy of it.
    """
    shape = variable.shape
    value = variable.read_value()
    if not shape.rank or not shape.is_fully_defined():
        return tf.reshape(value, [-1])[:_ELEMENTS]
    places = _elements_now(range(shape.num_elements()))
    return tf.gather_nd(value, np.stack(np.unravel_index(places, shape.as_list()), axis=-1))


def _elements_now(flat):
    """The same of a flat array, or of anything that can be cut like one."""
    return flat[:: max(1, len(flat) // _ELEMENTS)][:_ELEMENTS]


def _fingerprints(elements: np.ndarray) -> list[int]:
    """For each row of elements, a number that hangs on all their bits."""
    bits = np.ascontiguousarray(elements).view("int64")
    return (bits * _FACTORS).sum(1).view("uint64").tolist()


def _read(x) -> np.ndarray:
    x = backing(x)
    if isinstance(x, tf.Variable):  # four times as fast as `numpy()`
        x = tf.raw_ops.ReadVariableOp(resource=x.handle, dtype=x.dtype)
    return np.asarray(x)


def _graph_row(buffer: "_Buffer", losses: list, rate, sampled: list, number: int) -> None:
    """Adds the writing of a row to the graph; with few operations, for each takes its time."""

    def wide(x):
        return x if x.dtype == tf.float64 else tf.cast(x, tf.float64)

    loss = [wide(t if t.shape.rank == 0 else tf.reduce_sum(wide(t))) for t in losses]
    total = loss[0] if len(loss) == 1 else tf.add_n(loss) if loss else 0.0
    count = buffer.count.read_value()
    has_batch = _current.batch is buffer
    batch = buffer.batch.read_value() if has_batch else 0.0
    # The number of the optimizer comes with whether there are a loss and a batch.
    meta = 4.0 * number + 2 * has_batch + bool(loss)
    row = [tf.stack([count, total, wide(tf.convert_to_tensor(backing(rate))), meta, batch])]
    by_dtype: dict[tf.DType, list] = {}
    for variable in sampled:
        by_dtype.setdefault(variable.dtype, []).append(_elements(variable))
    for parts in by_dtype.values():
        row.append(wide(tf.concat(parts, 0)))
    missing = _COLUMNS - sum(part.shape[0] for part in row)
    if missing:
        row.append(tf.zeros([missing], tf.float64))
    written = tf.raw_ops.ResourceScatterUpdate(
        resource=buffer.rows.handle,
        indices=tf.cast(count % _SIZE, tf.int64),
        updates=tf.concat(row, 0),
    )
    with tf.control_dependencies([written]):
        buffer.count.assign_add(1)


class _Buffer:
    """Rows that graphs write, and a thread that takes them away.

    A row begins with its number: `count` may be seen before the row that it counts.
    """

    def __init__(self, recorder):
        with tf.init_scope(), tf.device("CPU:0"):
            self.rows = tf.Variable(np.full([_SIZE, _COLUMNS], -1.0), trainable=False)
            self.count = tf.Variable(0.0, dtype=tf.float64, trainable=False)
            self.batch = tf.Variable(0.0, dtype=tf.float64, trainable=False)  # its bits tell
            self.seen = tf.Variable(0.0, dtype=tf.float64, trainable=False)  # and these of a pass
        self._recorder = recorder
        self._taken = 0
        threading.Thread(target=self._watch, name="repro_keras recorder", daemon=True).start()

    def add_to_pass(self, data) -> None:
        """Adds a batch to those that were seen in this pass, in their order."""
        self.seen.assign(_fingerprint((self.seen.read_value(), data)))

    def _watch(self) -> None:
        pause, last = threading.Event(), time.monotonic()
        while self._recorder is recording.current:
            pause.wait(_PAUSE)
            late = time.monotonic() - last > _PATIENCE
            if late or int(_read(self.count)) - self._taken > _SIZE // 4:
                self.drain()
                self._recorder.flush()
                last = time.monotonic()

    def drain(self) -> None:
        with self._recorder.lock, tf.init_scope():
            count = int(_read(self.count))
            if count == self._taken:
                return
            rows = _read(self.rows)
            first = max(self._taken, count - _SIZE)
            wanted = np.arange(first, count)
            rows = rows[wanted % _SIZE]
            if rows[-1, _NUMBER] < count - 1:
                rows, wanted, count = rows[:-1], wanted[:-1], count - 1  # it is being written
            whole = rows[:, _NUMBER] == wanted  # others were written over meanwhile
            lost = first - self._taken + int((~whole).sum())
            rows = rows[whole]
            meta = rows[:, _META].astype("int64")
            losses = [
                loss if known else None
                for loss, known in zip(rows[:, _LOSS].tolist(), (meta & 1).tolist(), strict=True)
            ]
            states = _fingerprints(rows[:, _STATE:])
            batches = [
                batch if known else None
                for batch, known in zip(
                    rows[:, _BATCH].copy().view("uint64").tolist(), (meta & 2).tolist(), strict=True
                )
            ]
            columns = (losses, rows[:, _RATE].tolist(), states, (meta >> 2).tolist(), batches)
            self._recorder.rows(zip(*columns, strict=True), lost)
            self._taken = count


_buffer: _Buffer | None = None


def _the_buffer() -> _Buffer:
    global _buffer
    if _buffer is None:
        assert recording.current is not None
        _buffer = _Buffer(recording.current)
        recording.current.drain = _buffer.drain
    return _buffer


_sees_batches: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
"""Whether the function that trains a model, as Keras has made it, writes down its batches."""


def prepare(model, wants_batches: bool) -> None:
    """Has Keras make the function that trains a model again where it does not do what is wanted."""
    if _sees_batches.get(model, wants_batches) is not wants_batches:
        model.train_function = None


def begin_pass() -> None:
    """Data are about to be gone through that are not digested as a whole."""
    if _buffer is not None:
        _buffer.seen.assign(0.0)


def end_pass() -> str | None:
    """The digest of the fingerprints of the batches since then; `None` where none was seen."""
    if _buffer is None:
        return None
    seen = _read(_buffer.seen).tobytes()
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
                _the_buffer().add_to_pass(data)
                return converted(data)
            # Here, outside of what XLA compiles; the step reads it from the variable.
            fingerprint = _fingerprint(data)
            if tf.executing_eagerly():
                _current.batch = int(fingerprint.numpy().view("uint64"))
            else:
                _current.batch = _the_buffer()
                _current.batch.batch.assign(fingerprint)
            try:
                return converted(data)
            finally:
                _current.batch = None

        return step

    return _autoconvert_optionals


def _fingerprint(data):
    """FarmHash64 of all bytes of a batch, as the bits of a float64."""
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
            return tf.constant(0.0, tf.float64)
        if len(found) > 1:
            together = tf.concat(found, 1)
            found = [tf.raw_ops.Fingerprint(data=together, method="farmhash64")]
        return tf.bitcast(found[0][0], tf.float64)


def _before_fork() -> None:
    if recording.current is not None:
        recording.current.lock.acquire()


def _after_fork() -> None:
    if recording.current is not None:
        recording.current.lock.release()


def _in_fork() -> None:
    _after_fork()
    recording.current = None  # workers are not recorded


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_fork)


def _remember_model(original):
    @functools.wraps(original)
    def __init__(self, *args, **kwargs):
        # Before: the model that a Sequential makes inside comes after it.
        if not any(reference() is self for reference in _models[-8:]):
            _models[:] = [reference for reference in _models if reference() is not None]
            _models.append(weakref.ref(self))
        original(self, *args, **kwargs)

    return __init__


PATCHES = (
    Patch(
        target="tensorflow.python.eager.backprop:GradientTape.gradient",
        parameters=("self", "target", "sources", "output_gradients", "unconnected_gradients"),
        make=_remember_loss,
        why="the record has the true loss of each step, not a running mean",
    ),
    Patch(
        target="keras.src.optimizers.base_optimizer:BaseOptimizer.apply",
        parameters=("self", "grads", "trainable_variables"),
        make=_record_step,
        why="the record has each step, also of loops written by hand",
    ),
    Patch(
        target="keras.src.optimizers.loss_scale_optimizer:LossScaleOptimizer.apply",
        parameters=("self", "grads", "trainable_variables"),
        make=_record_step,
        why="a step with mixed precision is recorded where its gradients are finite and where not",
    ),
    Patch(
        target="keras.src.optimizers.loss_scale_optimizer:LossScaleOptimizer.scale_loss",
        parameters=("self", "loss"),
        make=_remember_scaled,
        why="the record has the loss itself, not the loss times its scale",
    ),
    Patch(
        target="keras.src.optimizers.base_optimizer:BaseOptimizer.scale_loss",
        parameters=("self", "loss"),
        make=_remember_scaled,
        why="the same for a fixed scale",
    ),
    Patch(
        target="keras.src.optimizers.base_optimizer:BaseOptimizer._get_current_learning_rate",
        parameters=("self",),
        make=_remember_rate,
        why="the record has the learning rate that a step used, without asking a schedule twice",
    ),
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
    Patch(
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer.__init__",
        parameters=("self",),
        make=_remember_model,
        why="the record has the models that a loop written by hand trains",
    ),
)
