"""The first step of a `fit`, before it is made: what it builds, and what it may not draw from."""

import keras
import tensorflow as tf

from repro_keras._src.errors import StateError

_STATEFUL = {  # operations that draw from what only their kernels know
    "RandomUniform",
    "RandomUniformInt",
    "RandomStandardNormal",
    "TruncatedNormal",
    "ParameterizedTruncatedNormal",
    "RandomShuffle",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "Multinomial",
}


def build(model, element_spec) -> None:
    """Makes the variables of everything, as the first step would.

    The function of a step is traced here, and is not traced again when it is first called.

    Args:
        model: it has its training function.
        element_spec: the form of what a step gets.

    Raises:
        StateError: where what a step builds cannot be known.
    """
    if model.run_eagerly:
        if not _is_built(model):
            _build_symbolically(model, element_spec)
        return
    step = _traced_function(model)
    if step is not None:
        step.get_concrete_function(tf.data.IteratorSpec(element_spec))


def _build_symbolically(model, spec) -> None:
    try:
        model._symbolic_build(data_batch=spec)
    except Exception as error:
        raise StateError(
            f"{model.name!r} ({type(model).__name__}) has no weights before its first step, and "
            "its first step cannot be known, as it runs eagerly "
            f"({type(error).__name__}: {error}). Build it before `fit`: call it on a batch."
        ) from error


def _is_built(model) -> bool:
    parts = [*model._flatten_layers(), model._compile_metrics, model._compile_loss]
    if isinstance(model.optimizer, keras.Optimizer):
        parts.append(model.optimizer)
    return all(getattr(part, "built", True) for part in parts if part is not None)


def _traced_function(model):
    """The function of TensorFlow's that makes a step, or several, of an iterator."""
    function = model.train_function
    cells = getattr(function, "__closure__", None) or ()
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = dict(zip(names, cells, strict=False)).get("multi_step_on_iterator")
    inner = None if found is None else found.cell_contents
    return inner if hasattr(inner, "get_concrete_function") else None


def refuse_stateful(model) -> None:
    """Raises where a step draws from what no state can hold."""
    step = _traced_function(model)
    if step is None:
        return
    for function in step._list_all_concrete_functions():
        definition = function.graph.as_graph_def()
        nodes = [*definition.node]
        for inner in definition.library.function:
            nodes += inner.node_def
        for node in nodes:
            if node.op in _STATEFUL:
                raise StateError(
                    f"A step of {model.name!r} has the operation {node.op} ({node.name}), which "
                    "draws from a generator that only TensorFlow's own kernel knows, so that "
                    "training cannot be resumed exactly. Use keras.random with a "
                    "keras.random.SeedGenerator, or a tf.random.Generator, instead of tf.random."
                )
