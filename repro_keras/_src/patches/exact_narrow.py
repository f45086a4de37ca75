"""Operations of bfloat16 and float16, computed in float32: under guarantee `portable` alone.

Where the processor has AVX-512 (or AVX-NE-CONVERT; for float16, AVX512-FP16), TensorFlow gives
these operations to oneDNN, and elsewhere to Eigen, which sums in another order. And oneDNN, which
is held to AVX2 here, has no kernels of these types for it: TensorFlow ends the process. Those of
float32 are the same everywhere. So they compute, and the result is rounded once.
"""

import functools
import inspect

import numpy as np
from tensorflow.python.framework import dtypes, ops, tensor
from tensorflow.python.ops import gen_math_ops

from repro_keras._src.patches.patch import Patch

NARROW = (dtypes.bfloat16, dtypes.float16)
_OF_VALUES = frozenset({*NARROW, *(np.dtype(each.as_numpy_dtype) for each in NARROW)})


def _in_float32(typed: dict[str, int]):
    """Makes an operation that computes in float32 what it is given for these parameters."""

    def make(original):
        signature = inspect.signature(original)

        @functools.wraps(original)
        def operation(*args, **kwargs):
            for each, number in typed.items():
                value = args[number] if number < len(args) else kwargs.get(each)
                dtype = _dtype(value)
                if dtype is not None:  # the others have the same, or get it
                    break
            if dtype not in _OF_VALUES:
                return original(*args, **kwargs)
            narrow = dtypes.as_dtype(dtype)
            given = signature.bind(*args, **kwargs).arguments
            name = given.pop("name", None)
            for each in typed:
                given[each] = _wide(given[each], narrow)
            result = original(**given)
            if isinstance(result, tensor.Tensor):
                return gen_math_ops.cast(result, narrow, name=name)
            first, *statistics = result  # those are of float32 in any case
            first = gen_math_ops.cast(first, narrow, name=name)
            return getattr(type(result), "_make", list)([first, *statistics])

        return operation

    return make


def _dtype(value):
    """The type of a tensor or an array, or of the first in a list of them."""
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(_dtype, value)), None)
    return getattr(value, "dtype", None)


def _wide(value, narrow):
    if isinstance(value, (list, tuple)) and _dtype(value) is not None:  # of tensors
        return [_wide(each, narrow) for each in value]
    return gen_math_ops.cast(ops.convert_to_tensor(value, narrow), dtypes.float32)


_CONVOLVED = "strides padding data_format dilations"
_PADDED = "strides padding explicit_paddings data_format dilations"
_ON_GPUS = "strides padding use_cudnn_on_gpu explicit_paddings data_format dilations"
_POOLED = "ksize strides padding data_format"
_NORMALIZED = "epsilon exponential_avg_factor data_format is_training"

# The parameters that have the type are marked.
_TAKEN = {
    "gen_math_ops": {
        "mat_mul MatMul": "*a *b transpose_a transpose_b grad_a grad_b",
        "batch_mat_mul BatchMatMul": "*x *y adj_x adj_y grad_x grad_y",
        "batch_mat_mul_v2 BatchMatMulV2": "*x *y adj_x adj_y grad_x grad_y",
    },
    "gen_linalg_ops": {"einsum Einsum": "*inputs equation"},
    "gen_nn_ops": {
        "softmax Softmax": "*logits",
        "conv2d Conv2D": f"*input *filter {_ON_GPUS}",
        "conv2d_backprop_input Conv2DBackpropInput": (
            f"input_sizes *filter *out_backprop {_ON_GPUS}"
        ),
        "conv2d_backprop_filter Conv2DBackpropFilter": (
            f"*input filter_sizes *out_backprop {_ON_GPUS}"
        ),
        "conv3d Conv3D": f"*input *filter {_CONVOLVED}",
        "conv3d_backprop_input_v2 Conv3DBackpropInputV2": (
            f"input_sizes *filter *out_backprop {_CONVOLVED}"
        ),
        "conv3d_backprop_filter_v2 Conv3DBackpropFilterV2": (
            f"*input filter_sizes *out_backprop {_CONVOLVED}"
        ),
        "depthwise_conv2d_native DepthwiseConv2dNative": f"*input *filter {_PADDED}",
        "depthwise_conv2d_native_backprop_input DepthwiseConv2dNativeBackpropInput": (
            f"input_sizes *filter *out_backprop {_PADDED}"
        ),
        "depthwise_conv2d_native_backprop_filter DepthwiseConv2dNativeBackpropFilter": (
            f"*input filter_sizes *out_backprop {_PADDED}"
        ),
        "avg_pool AvgPool": f"*value {_POOLED}",
        "avg_pool_grad AvgPoolGrad": f"orig_input_shape *grad {_POOLED}",
        "avg_pool3d AvgPool3D": f"*input {_POOLED}",
        "avg_pool3d_grad AvgPool3DGrad": f"orig_input_shape *grad {_POOLED}",
        "max_pool MaxPool": "*input ksize strides padding explicit_paddings data_format",
        "max_pool_grad MaxPoolGrad": (
            "*orig_input *orig_output *grad ksize strides padding explicit_paddings data_format"
        ),
        "max_pool3d MaxPool3D": f"*input {_POOLED}",
        "max_pool3d_grad MaxPool3DGrad": f"*orig_input *orig_output *grad {_POOLED}",
        "fused_batch_norm_v2 FusedBatchNormV2": f"*x scale offset mean variance {_NORMALIZED}",
        "fused_batch_norm_v3 FusedBatchNormV3": f"*x scale offset mean variance {_NORMALIZED}",
        "fused_batch_norm_grad_v2 FusedBatchNormGradV2": (
            "*y_backprop *x scale reserve_space_1 reserve_space_2 epsilon data_format is_training"
        ),
        "fused_batch_norm_grad_v3 FusedBatchNormGradV3": (
            "*y_backprop *x scale reserve_space_1 reserve_space_2 reserve_space_3 "
            "epsilon data_format is_training"
        ),
    },
}

OPERATIONS = frozenset(names.split()[1] for group in _TAKEN.values() for names in group)
"""The operations, as graphs call them."""


def _typed(taken: str) -> dict[str, int]:
    """The parameters that have the type, each with its number."""
    return {name[1:]: number for number, name in enumerate(taken.split()) if name[0] == "*"}


PATCHES = tuple(
    Patch(
        target=f"tensorflow.python.ops.{module}:{attribute}",
        parameters=(*taken.replace("*", "").split(), "name"),
        make=_in_float32(_typed(taken)),
        everywhere=True,
        why="for bfloat16 and float16, its kernel depends on what the processor has",
    )
    for module, group in _TAKEN.items()
    for names, taken in group.items()
    for attribute in names.split()
)
