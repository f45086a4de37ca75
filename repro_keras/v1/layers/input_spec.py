"""What a layer accepts as its input."""

import dataclasses

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]


@dataclasses.dataclass
class InputSpec:
    """What a layer accepts as its input; None stands for anything.

    Args:
        dtype: the type.
        shape: the shape, with None for axes of any size.
        ndim: the number of axes.
        max_ndim: the largest number of axes.
        min_ndim: the smallest number of axes.
        axes: the size of single axes, by their index.
    """

    dtype: object = None
    shape: tuple | None = None
    ndim: int | None = None
    max_ndim: int | None = None
    min_ndim: int | None = None
    axes: dict[int, int] | None = None

    def __post_init__(self):
        if self.shape is not None:
            self.ndim = len(self.shape)
        self.axes = self.axes or {}

    def expected_of(self, tensor) -> str | None:
        """What the tensor should be and is not."""
        rank = tensor.shape.rank
        if self.dtype is not None and tensor.dtype.base_dtype != tf.as_dtype(self.dtype):
            return f"the type {tf.as_dtype(self.dtype).name}"
        if rank is None:
            limits = (self.ndim, self.min_ndim, self.max_ndim)
            return None if limits == (None, None, None) else "a known number of axes"
        if self.ndim is not None and rank != self.ndim:
            return f"{self.ndim} axes"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"at least {self.min_ndim} axes"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"at most {self.max_ndim} axes"
        shape = tensor.shape.as_list()
        for axis, size in [*(self.axes or {}).items(), *enumerate(self.shape or ())]:
            if size is not None and shape[axis] not in (size, None):
                return f"size {size} on axis {axis}"
        return None
