"""Updates of `tf.compat.v1.train`'s optimizers, made exact: under guarantee `portable` alone.

Each of these optimizers makes a step by one operation, whose kernel multiplies by the processor's
approximation of 1/sqrt(x). Here the step is made of operations that are rounded correctly, by the
rules that TensorFlow documents for those kernels (`ApplyAdagrad`, `ApplyAdadelta`, …).

An operation comes in four forms: for variables of TensorFlow 1 and for resources, and each for a
whole gradient and for some rows of one. (RMSProp's divides, where the gradient is whole.) A row may
be given once; the optimizers add up those that come more often.
"""

import functools
import inspect

from tensorflow.python.framework import ops
from tensorflow.python.ops import (
    array_ops,
    gen_math_ops,
    gen_resource_variable_ops,
    gen_state_ops,
    math_ops,
    state_ops,
)

from repro_keras._src.patches.patch import Patch

# Each rule takes what the kernel takes, and gives the new values of its first arguments.


def _adagrad(var, accum, lr, grad, update_slots):
    if update_slots:
        accum = accum + grad * grad
    return var - grad * lr / math_ops.sqrt(accum), accum


def _adadelta(var, accum, accum_update, lr, rho, epsilon, grad):
    accum = accum * rho + grad * grad * (1 - rho)
    update = math_ops.sqrt(accum_update + epsilon) / math_ops.sqrt(accum + epsilon) * grad
    return var - update * lr, accum, accum_update * rho + update * update * (1 - rho)


def _proximal_adagrad(var, accum, lr, l1, l2, grad):
    accum = accum + grad * grad
    rate = lr / math_ops.sqrt(accum)
    near = var - grad * rate
    shrunk = math_ops.sign(near) * gen_math_ops.maximum(math_ops.abs(near) - rate * l1, 0)
    return shrunk / (1 + rate * l2), accum


def _rms_prop(var, ms, mom, lr, rho, momentum, epsilon, grad):
    ms = ms * rho + grad * grad * (1 - rho)
    mom = mom * momentum + grad * lr / math_ops.sqrt(ms + epsilon)
    return var - mom, ms, mom


def _centered_rms_prop(var, mg, ms, mom, lr, rho, momentum, epsilon, grad):
    ms = ms * rho + grad * grad * (1 - rho)
    mg = mg * rho + grad * (1 - rho)
    mom = mom * momentum + grad * lr / math_ops.sqrt(ms - mg * mg + epsilon)
    return var - mom, mg, ms, mom


class _Variables:
    """How variables are read and written: those of TensorFlow 1, or resources."""

    def __init__(self, is_resource: bool, dtype, indices):
        self._is_resource, self._dtype, self._indices = is_resource, dtype, indices

    def read(self, variable):
        if self._indices is None:
            if self._is_resource:
                return gen_resource_variable_ops.read_variable_op(variable, self._dtype)
            return variable
        if self._is_resource:
            return gen_resource_variable_ops.resource_gather(variable, self._indices, self._dtype)
        return array_ops.gather(variable, self._indices)

    def write(self, variable, value):
        if self._indices is None:
            if self._is_resource:
                return gen_resource_variable_ops.assign_variable_op(variable, value)
            return state_ops.assign(variable, value)
        if self._is_resource:
            return gen_resource_variable_ops.resource_scatter_update(variable, self._indices, value)
        return gen_state_ops.scatter_update(variable, self._indices, value)


def _by(rule, is_resource: bool):
    """Makes operations that follow a rule out of one that has a kernel."""
    names = tuple(inspect.signature(rule).parameters)
    state = names[: names.index("lr")]

    def make(original):
        signature = inspect.signature(original)

        @functools.wraps(original)
        def update(*args, **kwargs):
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            values = dict(given.arguments)
            with ops.name_scope(values["name"], original.__name__):
                grad = values["grad"] = ops.convert_to_tensor(values["grad"])
                variables = _Variables(is_resource, grad.dtype, values.get("indices"))
                places = [values[name] for name in state]
                for name in names:
                    if name in state:
                        values[name] = variables.read(values[name])
                    elif name != "update_slots":
                        values[name] = ops.convert_to_tensor(values[name], grad.dtype)
                new = rule(*(values[name] for name in names))
                (place, value), *others = zip(places, new, strict=True)
                written = [variables.write(*pair) for pair in others]
                with ops.control_dependencies([each for each in written if each is not None]):
                    return variables.write(place, value)  # after it, all is written

        return update

    return make


_WHY = "its kernel approximates 1/sqrt(x), by the make of CPU"


def _rows(
    kernel: str, camel: str, rule, *, option: str | None = None, sparse: bool = False
) -> list[Patch]:
    """The rows for a kernel: its forms (`sparse`: those only), each under its two names."""
    found = []
    parameters = [name for name in inspect.signature(rule).parameters if name != option]
    for form, is_resource, is_sparse in (
        ("", False, False),
        ("resource_", True, False),
        ("sparse_", False, True),
        ("resource_sparse_", True, True),
    ):
        if is_sparse < sparse:
            continue
        taken = [*parameters, *["indices"] * is_sparse, "use_locking", *[option] * bool(option)]
        for attribute in (
            f"{form}apply_{kernel}",
            f"{form.title().replace('_', '')}Apply{camel}",
        ):
            found.append(
                Patch(
                    target=f"tensorflow.python.ops.gen_training_ops:{attribute}",
                    parameters=(*taken, "name"),
                    make=_by(rule, is_resource),
                    everywhere=True,
                    why=_WHY,
                )
            )
    return found


PATCHES = (
    *_rows("adagrad", "Adagrad", _adagrad, option="update_slots"),
    *_rows("adadelta", "Adadelta", _adadelta),
    *_rows("proximal_adagrad", "ProximalAdagrad", _proximal_adagrad),
    *_rows("rms_prop", "RMSProp", _rms_prop, sparse=True),
    *_rows("centered_rms_prop", "CenteredRMSProp", _centered_rms_prop, sparse=True),
)
