"""Operations that approximate by the make of CPU, made exact: under guarantee `portable` alone.

TensorFlow computes a few operations of float32, and of what is narrower, from the processor's own
approximations of 1/x and 1/sqrt(x), of which each make has others. Of float64 it computes them from
division and square root, which IEEE 754 rounds correctly everywhere. So that is where they are
computed here, and rounded once, at the end. This holds against what rewrites a graph, too: in
float64 it does no harm that x / sqrt(y) becomes x * rsqrt(y).

Gradients are made of such operations by TensorFlow itself, and so become exact with them.
"""

import functools
import inspect

from tensorflow.python.framework import composite_tensor, dtypes, ops
from tensorflow.python.ops import array_ops, gen_math_ops, math_ops
from tensorflow.python.ops.ragged import ragged_functional_ops, ragged_tensor

from repro_keras._src.errors import NotPortableError
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.tracing import for_xla

_WIDE = {
    dtypes.bfloat16: dtypes.float64,
    dtypes.float16: dtypes.float64,
    dtypes.float32: dtypes.float64,
    dtypes.complex64: dtypes.complex128,
}
BESSEL = ("i0", "i0e", "i1", "i1e", "j0", "j1", "k0", "k0e", "k1", "k1e", "y0", "y1")
"""The Bessel functions, as `bessel_` and `Bessel` go on in the names of their operations."""

_COMPLEX = {dtypes.complex64: dtypes.complex128}


def _in_float64(original, types=_WIDE):
    @functools.wraps(original)
    def operation(x, name=None):
        if isinstance(x, composite_tensor.CompositeTensor):
            if isinstance(x, ragged_tensor.Ragged):
                return ragged_functional_ops.map_flat_values(operation, x)
            return original(x=x, name=name)  # its own kind comes back with its tensors
        x = ops.convert_to_tensor(x)
        wide = types.get(x.dtype)
        if wide is None:
            return original(x=x, name=name)
        return gen_math_ops.cast(original(x=gen_math_ops.cast(x, wide)), x.dtype, name=name)

    return operation


def _two_in_float64(original, types=_WIDE):
    signature = inspect.signature(original)
    one, other = list(signature.parameters)[:2]

    @functools.wraps(original)
    def operation(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        name = given.pop("name", None)
        y, x = given[one], given[other]
        if any(isinstance(each, composite_tensor.CompositeTensor) for each in (y, x)):
            if any(isinstance(each, ragged_tensor.Ragged) for each in (y, x)):
                return ragged_functional_ops.map_flat_values(operation, y, x)
            return original(**given, name=name)
        y = ops.convert_to_tensor(y, dtype_hint=getattr(x, "dtype", None))
        x = ops.convert_to_tensor(x, y.dtype)
        wide = types.get(x.dtype)
        if wide is None:
            return original(**{one: y, other: x}, name=name)
        result = original(**{one: gen_math_ops.cast(y, wide), other: gen_math_ops.cast(x, wide)})
        return gen_math_ops.cast(result, x.dtype, name=name)

    return operation


def _complex_in_128(original):
    return _in_float64(original, _COMPLEX)


def _two_complex_in_128(original):
    return _two_in_float64(original, _COMPLEX)


def _sqrt_for_xla(original):
    exact = _in_float64(original)

    @functools.wraps(original)
    def sqrt(x, name=None):
        return (exact if for_xla() else original)(x=x, name=name)

    return sqrt


def _pow_for_xla(original):
    @functools.wraps(original)
    def _pow(x, y, name=None):
        if not for_xla():
            return original(x=x, y=y, name=name)
        x = ops.convert_to_tensor(x)
        wide = _WIDE.get(x.dtype, x.dtype)
        y = gen_math_ops.cast(ops.convert_to_tensor(y, x.dtype), wide)
        return gen_math_ops.cast(original(x=gen_math_ops.cast(x, wide), y=y), x.dtype, name=name)

    return _pow


def _decomposition_for_xla(original):
    """Of eigenvalues and singular values, in as many tensors as they are."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def operation(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        x = given["input"] = ops.convert_to_tensor(given["input"])
        if not for_xla() or x.dtype not in _WIDE:
            return original(**given)
        given["input"] = gen_math_ops.cast(x, _WIDE[x.dtype])
        result = original(**given)
        narrow = (
            gen_math_ops.cast(each, x.dtype if each.dtype == _WIDE[x.dtype] else x.dtype.real_dtype)
            for each in result
        )
        return type(result)(*narrow)

    return operation


def _local_response(original):
    @functools.wraps(original)
    def lrn(input, depth_radius=5, bias=1, alpha=1, beta=0.5, name=None):
        x = ops.convert_to_tensor(input)
        wide = gen_math_ops.cast(x, dtypes.float64)
        depth = array_ops.shape(x)[3]
        squares = array_ops.pad(wide * wide, [[0, 0]] * 3 + [[depth_radius, depth_radius]])
        # The kernel has no form in float64.
        near = [squares[..., i : i + depth] for i in range(2 * depth_radius + 1)]
        result = wide / math_ops.pow(bias + alpha * math_ops.add_n(near), beta)
        return gen_math_ops.cast(result, x.dtype, name=name)

    return lrn


def _batch_normalization_for_xla(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def operation(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        if not for_xla():
            return original(**given.arguments)
        given.apply_defaults()
        x, scale, offset, mean, variance, epsilon, new, data_format, is_training, _ = given.args
        x = ops.convert_to_tensor(x)
        narrow, x = x.dtype, math_ops.cast(x, dtypes.float32)
        channel = data_format.index("C")
        axes = [axis for axis in range(len(data_format)) if axis != channel]
        shape = [1] * len(data_format)
        shape[channel] = -1
        mean, variance = (ops.convert_to_tensor(each) for each in (mean, variance))
        new_mean, new_variance = mean, variance
        if is_training:
            count = math_ops.cast(array_ops.size(x) // array_ops.shape(x)[channel], x.dtype)
            of_batch = math_ops.reduce_mean(x, axes)
            squares = math_ops.squared_difference(x, array_ops.reshape(of_batch, shape))
            of_squares = math_ops.reduce_mean(squares, axes)
            unbiased = of_squares * (count / math_ops.maximum(count - 1, 1))
            new_mean, new_variance = new * of_batch, new * unbiased
            if new != 1:  # of the mean and the variance before, the rest stays
                new_mean = (1 - new) * mean + new_mean
                new_variance = (1 - new) * variance + new_variance
            mean, variance = of_batch, of_squares
        factor = gen_math_ops.rsqrt(variance + epsilon) * scale
        mean, factor, offset = (array_ops.reshape(each, shape) for each in (mean, factor, offset))
        y = math_ops.cast((x - mean) * factor + offset, narrow)
        spare = array_ops.zeros([0], dtypes.float32)  # for the gradient's kernel
        return [y, new_mean, new_variance, spare, spare, spare]

    return operation


def _refused_for_xla(original):
    @functools.wraps(original)
    def operation(*args, **kwargs):
        if for_xla():
            raise NotPortableError(
                f"{original.__name__} was called with jit_compile=True, where XLA approximates it "
                "by the make of CPU. Take the gradient of a batch normalization that is inside of "
                "jit_compile too, do without jit_compile, or use guarantee='machine'."
            )
        return original(*args, **kwargs)

    return operation


def _refused_in_float64(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def operation(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        if ops.convert_to_tensor(given["out_backprop"]).dtype == dtypes.float64:
            raise NotPortableError(
                f"{original.__name__} of float64, of which the gradients of three-dimensional "
                "convolutions are made, cuts its sums by the CPU's caches, which cannot be set "
                "for it. Compute in float32, or use guarantee='machine'."
            )
        return original(*args, **kwargs)

    return operation


_WHY = "it is computed from approximations, which each make of CPU has of its own"
_WHY_FUSED = "XLA makes an approximation of 1/sqrt(x) of what it has as one operation"
_WHY_LOG = "of complex64, the angle is computed by approximations, as that of atan2 is"
_WHY_BLOCKS = "of float64, its sums are cut by the sizes of the caches, asked for each time"
_WHY_XLA_LINEAR = "XLA computes 1/sqrt(x) in it, by an approximation"
_WHY_XLA = "XLA makes an approximation of x / sqrt(y) and x**-0.5, where it sees them in float32"


def _row(target: str, parameters: str = "x", make=_in_float64, why: str = _WHY) -> Patch:
    return Patch(
        target=f"tensorflow.python.ops.{target}",
        parameters=(*parameters.split(), "name"),
        make=make,
        everywhere=True,
        why=why,
    )


# TensorFlow has some twice: as its own modules call them, and as they are exported.
PATCHES = (
    _row("gen_math_ops:rsqrt"),
    _row("gen_math_ops:Rsqrt"),
    _row("gen_math_ops:reciprocal"),
    _row("math_ops:reciprocal"),
    _row("gen_math_ops:Reciprocal"),
    _row("gen_math_ops:inv"),
    _row("gen_math_ops:Inv"),
    _row("gen_math_ops:atan"),
    _row("math_ops:atan"),
    _row("gen_math_ops:Atan"),
    _row("gen_math_ops:atan2", "y x", _two_in_float64),
    _row("gen_math_ops:Atan2", "y x", _two_in_float64),
    _row("gen_math_ops:erfc"),
    _row("math_ops:erfc"),
    _row("gen_math_ops:Erfc"),
    _row("gen_math_ops:erfinv"),
    _row("gen_math_ops:Erfinv"),
    _row("gen_math_ops:ndtri"),
    _row("gen_math_ops:Ndtri"),
    *(
        _row(f"gen_special_math_ops:{name}")
        for function in BESSEL
        for name in (f"bessel_{function}", f"Bessel{function.capitalize()}")
    ),
    *(_row(f"gen_math_ops:{name}", make=_complex_in_128, why=_WHY_LOG) for name in ("log", "Log")),
    *(
        _row(f"gen_math_ops:{name}", "x y", _two_complex_in_128, _WHY_LOG)
        for name in ("xlogy", "Xlogy")
    ),
    _row("gen_math_ops:sqrt", make=_sqrt_for_xla, why=_WHY_XLA),
    _row("gen_math_ops:Sqrt", make=_sqrt_for_xla, why=_WHY_XLA),
    *(
        _row(f"gen_linalg_ops:{name}", parameters, _decomposition_for_xla, _WHY_XLA_LINEAR)
        for names, parameters in (
            (("self_adjoint_eig_v2", "SelfAdjointEigV2"), "input compute_v"),
            (("svd", "Svd"), "input compute_uv full_matrices"),
        )
        for name in names
    ),
    _row("gen_math_ops:_pow", "x y", _pow_for_xla, _WHY_XLA),
    *(
        _row(
            f"gen_nn_ops:{name}",
            "x scale offset mean variance epsilon exponential_avg_factor data_format is_training",
            _batch_normalization_for_xla,
            _WHY_FUSED,
        )
        for name in ("fused_batch_norm_v3", "FusedBatchNormV3")
    ),
    *(
        _row(
            f"gen_nn_ops:{name}",
            "y_backprop x scale reserve_space_1 reserve_space_2 reserve_space_3 epsilon "
            "data_format is_training",
            _refused_for_xla,
            _WHY_FUSED,
        )
        for name in ("fused_batch_norm_grad_v3", "FusedBatchNormGradV3")
    ),
    *(
        _row(
            f"gen_nn_ops:{name}",
            f"{first} out_backprop strides padding data_format dilations",
            _refused_in_float64,
            _WHY_BLOCKS,
        )
        for names, first in (
            (("conv3d_backprop_input_v2", "Conv3DBackpropInputV2"), "input_sizes filter"),
            (("conv3d_backprop_filter_v2", "Conv3DBackpropFilterV2"), "input filter_sizes"),
        )
        for name in names
    ),
    _row("gen_nn_ops:lrn", "input depth_radius bias alpha beta", _local_response),
    _row("gen_nn_ops:LRN", "input depth_radius bias alpha beta", _local_response),
)
