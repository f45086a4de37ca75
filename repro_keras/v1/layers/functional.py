"""The functions of layers, made of their classes."""

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras.v1.layers.base import Layer, kind_of

P = ParamSpec("P")


def function_of(
    layer_class: Callable[P, Layer], last: tuple[str, ...] = ()
) -> Callable[Concatenate[object, P], tf.Tensor]:
    """The function that makes a layer and calls it once: `dense` of `Dense`.

    Its arguments are `inputs` and those of the class, with `training` before `trainable` where the
    call has it, and `reuse` after `name` where the layer has variables.

    Args:
        layer_class: the class.
        last: arguments of the class that come after `reuse`.
    """
    made: Any = layer_class
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = inspect.signature(layer_class).parameters
    names = [name for name, one in own.items() if one.kind is keyword and name not in last]
    has_variables = "trainable" in names
    added = {"inputs": inspect.Parameter("inputs", keyword)}
    names.insert(0, "inputs")
    if "training" in inspect.signature(made.call).parameters:
        added["training"] = inspect.Parameter("training", keyword, default=False)
        names.insert(names.index("trainable" if has_variables else "name"), "training")
    if has_variables:
        added["reuse"] = inspect.Parameter("reuse", keyword, default=None)
        names.append("reuse")
    signature = inspect.Signature([added.get(name) or own[name] for name in (*names, *last)])

    def function(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        inputs = given.pop("inputs")
        call = {"training": given.pop("training")} if "training" in given else {}
        if has_variables:
            given |= {"_reuse": given.pop("reuse", None), "_scope": given.get("name")}
        return made(**given)(inputs, **call)

    function.__name__ = function.__qualname__ = kind_of(made)
    function.__module__ = layer_class.__module__
    function.__signature__ = signature
    function.__doc__ = layer_class.__doc__
    return function
