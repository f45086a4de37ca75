"""The steps of training, for the record: a step is what an optimizer applies, by whomever called.

The true loss of a step is the target of the gradient that the optimizer applies.
"""

import collections
import functools
import os
import threading
import weakref

import tensorflow as tf
from keras.src import backend
from tensorflow.python.saved_model import save_context

from repro_keras._src.patches import batches, rows
from repro_keras._src.patches.patch import Patch
from repro_keras._src.runs import recorder as recording


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


_current = _Current()
_models: list[weakref.ref] = []


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
        # LossScaleOptimizer applies another. To be saved, a function is traced again, without rows.
        if recorder is None or _current.applying or save_context.in_save_context():
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
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            floats = [v for v in map(backing, variables) if v.dtype.is_floating]
            rows.write(losses, backing(rate), floats, number, batches.of_step())
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
        target="keras.src.backend.tensorflow.trainer:TensorFlowTrainer.__init__",
        parameters=("self",),
        make=_remember_model,
        why="the record has the models that a loop written by hand trains",
    ),
)
