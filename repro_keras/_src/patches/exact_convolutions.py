"""Convolutions of one image, made the same on every make of CPU: under guarantee `portable` alone.

For a batch of one, oneDNN takes another kernel than for two: it makes a product of matrices of the
convolution, and cuts it by the sizes of the caches, and so its sums. So there are always two.
"""

import functools
import inspect

from tensorflow.python.framework import dtypes, ops
from tensorflow.python.ops import array_ops, cond, math_ops

from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.tracing import for_xla


def _of_two(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def conv2d(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        images = given["input"] = ops.convert_to_tensor(given["input"])
        batch = images.shape[0] if images.shape.rank else None
        if images.dtype != dtypes.float32 or batch not in (1, None) or for_xla():
            return original(**given)
        name = given.pop("name", None) or "Conv2D"

        def twice():
            return original(**{**given, "input": array_ops.concat([images, images], 0)})[:1]

        if batch == 1:
            result = twice()
        else:
            is_one = math_ops.equal(array_ops.shape(images)[0], 1)
            result = cond.cond(is_one, twice, lambda: original(**given), name=f"{name}_cond")
        return array_ops.identity(result, name=name)

    return conv2d


PATCHES = tuple(
    Patch(
        target=f"tensorflow.python.ops.gen_nn_ops:{attribute}",
        parameters=(
            "input",
            "filter",
            "strides",
            "padding",
            "use_cudnn_on_gpu",
            "explicit_paddings",
            "data_format",
            "dilations",
            "name",
        ),
        make=_of_two,
        everywhere=True,
        why="of one image, its kernel cuts its sums by the sizes of the caches",
    )
    for attribute in ("conv2d", "Conv2D")
)
