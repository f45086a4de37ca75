"""The steps of sessions, their saves and their ends, for the record.

A step is a run of a session that runs the op which applies the gradients. An optimizer's is known,
with the loss that it minimizes; any other can be named.
"""

import functools
import weakref
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from repro_keras._src import digest
from repro_keras._src.patches import sessions
from repro_keras._src.patches.patch import Patch
from repro_keras._src.runs import recorder as recording

_WEIGHTS, _ELEMENTS = 3, 4
_RATES = ("_lr_t", "_learning_rate_tensor", "_lr", "_learning_rate")  # as optimizers call them


class Step(NamedTuple):
    """An op that makes a step, and what is recorded of it.

    Attributes:
        op: the op.
        number: which of the graph's.
        loss: a tensor, or `None`.
        rate: a tensor or number, or `None`.
        state: a few elements of variables after it, as float64.
    """

    op: tf.Operation
    number: int
    loss: tf.Tensor | None
    rate: object
    state: tf.Tensor


_steps: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # by graph
_losses: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # by gradient's graph: by name
_in_run: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # by graph: by fetches


class _Sessions:
    """The sessions of a recorded process, in the order in which they were made."""

    def __init__(self):
        self.all: list = []  # until they are closed: nobody may hold one that matters
        self.busy = False
        self.started: set[int] = set()
        self.outcomes: dict[str, str] = {}

    def number(self, session) -> int:
        for number, known in enumerate(self.all):
            if known is session:
                return number
        self.all.append(session)
        return len(self.all) - 1

    def end(self, session) -> None:
        """Digests the variables of a session that is over."""
        number = self.number(session)
        if session._closed:
            return
        values = _quietly(session)
        if values:
            self.outcomes[f"session/{number}/variables"] = _hex(values)

    def finish(self) -> dict[str, str]:
        for session in self.all:
            self.end(session)
        return self.outcomes


_sessions = _Sessions()


def begin(recorder) -> None:
    """Recording begins."""
    recorder.endings.append(_sessions.finish)


def _quietly(session) -> dict:
    _sessions.busy = True
    try:
        return sessions.values(session)
    finally:
        _sessions.busy = False


def _hex(x) -> str:
    return digest.digest(x).removeprefix("sha256:")


def name_step(op: tf.Operation, loss: tf.Tensor | None, rate: object) -> None:
    """Names the op that makes a step, its loss and its learning rate.

    It adds a few ops to the graph, which read some elements of variables after the step.
    """
    steps = _steps.setdefault(op.graph, {})
    before = steps.get(op.name)
    with op.graph.as_default(), tf.name_scope("repro_keras/record/"):
        state = _sampled(op) if before is None else before.state
    number = len(steps) if before is None else before.number
    steps[op.name] = Step(op, number, loss, rate, state)
    _in_run.pop(op.graph, None)


def _sampled(op: tf.Operation) -> tf.Tensor:
    floats = [v for v in tf.trainable_variables() if v.dtype.base_dtype.is_floating]
    last = len(floats) - 1
    picked = sorted({round(i * last / (_WEIGHTS - 1)) for i in range(_WEIGHTS)}) if floats else []
    with tf.control_dependencies([op]):
        parts = [_elements(floats[i]) for i in picked]
        return tf.concat([*parts, tf.zeros([1], tf.float64)], 0)


def _elements(variable) -> tf.Tensor:
    """A few elements of a variable, from all over it."""
    stride = max(1, (variable.shape.num_elements() or 1) // _ELEMENTS)
    flat = tf.reshape(variable.read_value(), [-1])
    return tf.cast(flat[::stride][:_ELEMENTS], tf.float64)


def _steps_in(graph: tf.Graph, fetches) -> list[Step]:
    """The steps that a run with these fetches makes."""
    steps = _steps.get(graph)
    if not steps:
        return []
    ops = [_op(graph, fetch) for fetch in tf.nest.flatten(fetches)]
    key = tuple(op.name for op in ops if op is not None)
    known = _in_run.setdefault(graph, {})
    if key not in known:
        above = _ancestors([op for op in ops if op is not None])
        known[key] = [step for step in steps.values() if step.op in above]
    return known[key]


def _op(graph: tf.Graph, fetch) -> tf.Operation | None:
    try:
        element = graph.as_graph_element(fetch, allow_tensor=True, allow_operation=True)
    except (TypeError, ValueError, KeyError):
        return None  # the session says what is wrong with it
    return getattr(element, "op", element)


def _ancestors(ops: list) -> set:
    found, waiting = set(ops), list(ops)
    while waiting:
        op = waiting.pop()
        for before in (*op.control_inputs, *(x.op for x in op.inputs)):
            if before not in found:
                found.add(before)
                waiting.append(before)
    return found


def _record_run(original):
    @functools.wraps(original)
    def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
        recorder = recording.current
        if recorder is None or _sessions.busy:
            return original(self, fetches, feed_dict, options, run_metadata)
        number = _sessions.number(self)
        steps = _steps_in(self.graph, fetches)
        if not steps:
            return original(self, fetches, feed_dict, options, run_metadata)
        if number not in _sessions.started:
            _sessions.started.add(number)
            initial = {name: _hex(value) for name, value in _quietly(self).items()}
            recorder.session(f"session {number}", initial)
        facts = [_fetched(step) for step in steps]
        result, facts = original(self, [fetches, facts], feed_dict, options, run_metadata)
        for step, fact in zip(steps, facts, strict=True):
            loss = None if step.loss is None else float(np.sum(fact["loss"], dtype="float64"))
            rate = fact.get("rate", step.rate)
            rate = float("nan") if rate is None else float(rate)
            bits = fact["state"].view("int64")
            factors = (np.arange(len(bits), dtype="int64") * 0x5851F42D4C957F2D) | 1
            state = int((bits * factors).sum().view("uint64"))
            recorder.row(loss, rate, state, step.number)
        return result

    return run


def _fetched(step: Step) -> dict:
    wanted: dict = {"state": step.state}
    if step.loss is not None:
        wanted["loss"] = step.loss
    if isinstance(step.rate, tf.Tensor):
        wanted["rate"] = step.rate
    return wanted


def _record_close(original):
    @functools.wraps(original)
    def close(self):
        if recording.current is not None:
            _sessions.end(self)
        return original(self)

    return close


def _record_save(original):
    @functools.wraps(original)
    def save(self, sess, *args, **kwargs):
        path = original(self, sess, *args, **kwargs)
        if recording.current is not None:
            session = sessions.innermost(sess)
            values = _quietly(session)
            recording.current.saved({name: _hex(value) for name, value in values.items()})
        return path

    return save


def _remember_loss(original):
    @functools.wraps(original)
    def compute_gradients(self, loss, *args, **kwargs):
        result = original(self, loss, *args, **kwargs)
        if isinstance(loss, tf.Tensor):  # in eager execution it is a function
            known = _losses.setdefault(loss.graph, {})
            for gradient, _ in result:
                if gradient is not None:
                    known[getattr(gradient, "name", None) or gradient.values.name] = loss
        return result

    return compute_gradients


def _name_step(original):
    @functools.wraps(original)
    def apply_gradients(self, grads_and_vars, *args, **kwargs):
        pairs = list(grads_and_vars)
        op = original(self, pairs, *args, **kwargs)
        if recording.current is not None and isinstance(op, (tf.Operation, tf.Tensor)):
            op = getattr(op, "op", op)
            rates = (getattr(self, name, None) for name in _RATES)
            rate = next((r for r in rates if r is not None and not callable(r)), None)
            name_step(op, _loss_of(op.graph, pairs), rate)
        return op

    return apply_gradients


def _loss_of(graph: tf.Graph, pairs: list) -> tf.Tensor | None:
    """The loss whose gradients are applied: as they are, or what was made of them."""
    known = _losses.get(graph, {})
    gradients = [gradient for gradient, _ in pairs if gradient is not None]
    for gradient in gradients:
        tensor = gradient if isinstance(gradient, tf.Tensor) else gradient.values
        if tensor.name in known:
            return known[tensor.name]
    tensors = [g if isinstance(g, tf.Tensor) else g.values for g in gradients]
    above = {output.name for op in _ancestors([t.op for t in tensors]) for output in op.outputs}
    return next((loss for name, loss in known.items() if name in above), None)


PATCHES = (
    Patch(
        target="tensorflow.python.client.session:BaseSession.run",
        parameters=("self", "fetches", "feed_dict", "options", "run_metadata"),
        make=_record_run,
        why="the record has each step of a session",
    ),
    Patch(
        target="tensorflow.python.client.session:BaseSession.close",
        parameters=("self",),
        make=_record_close,
        why="the record has the variables of a session at its end",
    ),
    Patch(
        target="tensorflow.python.training.saver:Saver.save",
        parameters=None,  # only the session is looked at
        make=_record_save,
        why="the record has the variables of a session at each save",
    ),
    Patch(
        target="tensorflow.python.training.optimizer:Optimizer.compute_gradients",
        parameters=None,  # only the loss is looked at
        make=_remember_loss,
        why="the record has the loss that an optimizer of TensorFlow 1 minimizes",
    ),
    Patch(
        target="tensorflow.python.training.optimizer:Optimizer.apply_gradients",
        parameters=None,  # only the first is looked at; TensorFlow 2.21 has one more
        make=_name_step,
        why="the record knows which op makes a step",
    ),
)
