"""What a replay looks at: the tensors of layers, losses, gradients and optimizers in one step.

These rows are put in place in a process that replays a run, and in no other.
"""

import functools
import hashlib

import numpy as np
import tensorflow as tf
from keras.src import backend
from keras.src.trainers.compile_utils import CompileLoss

from repro_keras._src.patches import steps
from repro_keras._src.patches.patch import Patch
from repro_keras._src.replaying import look
from repro_keras._src.runs import recorder as recording
from repro_keras._src.state import variables

_optimizers: list = []
_trained: list = []


def begin(recorder) -> None:
    """Recording begins, in a process that may be looked at."""
    looking = look.current
    if looking is None:
        return
    looking.position = recorder.position
    looking.variables = _variables
    looking.generators = lambda: {
        name: hashlib.sha256(repr(_plain(state)).encode()).hexdigest()[:16]
        for name, state in recorder.global_generators().items()
    }
    looking.run_one_by_one = lambda: tf.config.run_functions_eagerly(True)


def _plain(state):
    """Values whose `repr` says all of them."""
    if isinstance(state, (list, tuple)):
        return [_plain(part) for part in state]
    return state.tolist() if hasattr(state, "tolist") else _value(state) if _is(state) else state


def _is(x) -> bool:
    return isinstance(x, backend.Variable) or tf.is_tensor(x)


def _value(x) -> list:
    return np.asarray(tf.convert_to_tensor(x)).tolist()


def _variables() -> dict[str, np.ndarray]:
    """All variables that decide training; not the metrics, which only tell of it."""
    models = steps.models()
    metrics = {id(v) for model in models for v in model.metrics_variables}
    roots = {f"model{number}": model for number, model in enumerate(models)}
    roots.update({f"optimizer{number}": x for number, x in enumerate(_optimizers)})
    roots["variables"] = _trained
    owners = {
        id(variable): layer.name
        for model in models
        for layer in model._flatten_layers()  # those inside come after those around
        for variable in layer.variables
    }
    found: dict[str, object] = {}
    for key, variable in variables.collect(roots).items():
        if id(variable) not in metrics and getattr(variable, "_initializer", None) is None:
            found[_name(key, owners.get(id(variable), ""), found)] = variable
    return variables.read(found)


def _name(key: str, owner: str, others: dict) -> str:
    """The name of a variable, without its number, which hangs on those that were found before."""
    root, group, _, name = key.split("/", 3)
    if name.startswith("seed_generator/") and owner:  # Keras does not say whose it is
        name = f"{owner}/{name}"
    first = name = f"{root}/{group}/{name}"
    count = 1
    while name in others:
        count += 1
        name = f"{first} #{count}"
    return name


def _arrays(x) -> list[np.ndarray]:
    """The arrays in what is given to layers and comes from them."""
    found = []
    for part in tf.nest.flatten(x, expand_composites=True):
        if isinstance(part, backend.Variable):
            part = part.value
        if isinstance(part, np.ndarray) or (tf.is_tensor(part) and hasattr(part, "numpy")):
            array = np.asarray(part)
            if array.dtype.kind in "biufc" or array.dtype.name.startswith(("bfloat", "float8")):
                found.append(array)
    return found


def _looking() -> "look.Look | None":
    """What looks at this moment of training, where that can be seen."""
    found = look.current
    if found is not None and found.is_looking and tf.executing_eagerly():
        return found
    return None


def _see_function(original):
    @functools.wraps(original)
    def __call__(self, *args, **kwargs):
        looking = look.current
        outermost = looking is not None and not looking.is_inside and looking.is_mine
        if not outermost or not tf.executing_eagerly() or recording.current is None:
            return original(self, *args, **kwargs)
        with looking.call(self):
            return original(self, *args, **kwargs)

    return __call__


def _see_layer(original):
    @functools.wraps(original)
    def __call__(self, *args, **kwargs):
        looking = _looking()
        if looking is None or any(map(backend.is_keras_tensor, tf.nest.flatten((args, kwargs)))):
            return original(self, *args, **kwargs)
        with looking.layer(self.name) as (where, is_outermost):
            known = {id(output) for output in looking.outputs.values()}
            given = tf.nest.flatten((args, kwargs))
            is_data = is_outermost and not any(id(x) in known for x in given)
            part = "data" if is_data else "forward"
            looking.see(part, f"the input of {where}", _arrays((args, kwargs)))
            result = original(self, *args, **kwargs)
            looking.see("forward", f"the output of {where}", _arrays(result))
        for number, output in enumerate(tf.nest.flatten(result)):
            if tf.is_tensor(output) and output.dtype.is_floating:
                name = f"the output of {where}" + f", part {number}" * (number > 0)
                looking.outputs[name] = output
        for variable in self.trainable_variables:
            looking.owners.setdefault(id(steps.backing(variable)), len(looking.outputs))
        return result

    return __call__


def _see_loss(original):
    @functools.wraps(original)
    def __call__(self, y_true, y_pred, sample_weight=None):
        looking = _looking()
        if looking is None or isinstance(self, CompileLoss):  # it calls those that it is made of
            return original(self, y_true, y_pred, sample_weight)
        looking.see("data", f"the targets of {self.name}", _arrays(y_true))
        looking.see("data", f"the sample weights of {self.name}", _arrays(sample_weight))
        result = original(self, y_true, y_pred, sample_weight)
        looking.see("loss", f"the loss {self.name}", _arrays(result))
        return result

    return __call__


def _see_gradient(original):
    @functools.wraps(original)
    def gradient(self, target, sources, *args, **kwargs):
        looking = _looking()
        flat = tf.nest.flatten(sources)
        if looking is None or not any(map(steps.is_variable, flat)):
            return original(self, target, sources, *args, **kwargs)
        looking.gradient()
        outputs = dict(looking.outputs)
        # What flows back through a layer's output is asked for too: it is computed in any case.
        found, inner = original(self, target, [sources, list(outputs.values())], *args, **kwargs)
        looking.see("loss", "the loss that is minimized", _arrays(target))
        places = [
            (number, 0, f"the gradient with respect to {name}", value)
            for number, (name, value) in enumerate(zip(outputs, inner, strict=True), 1)
        ]
        for number, (source, value) in enumerate(zip(flat, tf.nest.flatten(found), strict=True)):
            owner = looking.owners.get(id(steps.backing(source)), 0)
            name = getattr(source, "path", None) or getattr(source, "name", f"source {number}")
            places.append((owner, -1, f"the gradient with respect to {name}", value))
        for _, _, what, value in sorted(places, key=lambda place: place[:2], reverse=True):
            looking.see("gradient", what, [] if value is None else _arrays(value))
        return found

    return gradient


def _see_step(original):
    @functools.wraps(original)
    def apply(self, grads, trainable_variables=None):
        looking = look.current
        if looking is None or looking.is_applying or not looking.is_mine:
            return original(self, grads, trainable_variables)
        if not tf.executing_eagerly():
            _remember(self, trainable_variables)
            return original(self, grads, trainable_variables)
        grads = list(grads)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        trained = self._trainable_variables if trainable_variables is None else trainable_variables
        names = [getattr(v, "path", None) or v.name for v in trained]
        if looking.is_looking:
            for name, value in zip(names, grads, strict=True):
                given = [] if value is None else _arrays(value)
                looking.see("gradient", f"the gradient that the optimizer gets for {name}", given)
        looking.is_applying = True
        try:
            result = original(self, grads, trainable_variables)
        finally:
            looking.is_applying = False
        _remember(self, trainable_variables)

        def after():
            yield "the learning rate", np.asarray(tf.convert_to_tensor(self.learning_rate))
            changed = {n: v for n, v in _variables().items() if look.part_of(n) != "random state"}
            for name in sorted(changed, key=lambda name: look.part_of(name) != "optimizer"):
                yield f"{look.label(name)} after the step", changed[name]

        looking.step_made(after)
        return result

    return apply


def _remember(optimizer, trainable_variables) -> None:
    """Remembers an optimizer, which no model need have, and what it trains."""
    if not any(optimizer is other for other in _optimizers):
        _optimizers.append(optimizer)
        _trained.extend(trainable_variables or ())


_FUNCTION = "tensorflow.python.eager.polymorphic_function.polymorphic_function"
_OPTIMIZER = "keras.src.optimizers"

PATCHES = (
    Patch(
        target=f"{_FUNCTION}:Function.__call__",
        parameters=("self", "args", "kwds"),
        make=_see_function,
        why="a replay looks at the states between the calls of graphs, and then runs none",
    ),
    Patch(
        target="keras.src.layers.layer:Layer.__call__",
        parameters=("self", "args", "kwargs"),
        make=_see_layer,
        why="a replay looks at what goes into each layer and comes out",
    ),
    Patch(
        target="keras.src.losses.loss:Loss.__call__",
        parameters=("self", "y_true", "y_pred", "sample_weight"),
        make=_see_loss,
        why="a replay looks at the targets and the losses",
    ),
    Patch(
        target="tensorflow.python.eager.backprop:GradientTape.gradient",
        parameters=("self", "target", "sources", "output_gradients", "unconnected_gradients"),
        make=_see_gradient,
        why="a replay looks at the gradients, also of what layers give",
    ),
    Patch(
        target=f"{_OPTIMIZER}.base_optimizer:BaseOptimizer.apply",
        parameters=("self", "grads", "trainable_variables"),
        make=_see_step,
        why="a replay looks at what an optimizer gets, and at what it changes",
    ),
    Patch(
        target=f"{_OPTIMIZER}.loss_scale_optimizer:LossScaleOptimizer.apply",
        parameters=("self", "grads", "trainable_variables"),
        make=_see_step,
        why="the same with mixed precision",
    ),
)
