"""Pooling: the maximum or the average of each window."""

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError
from repro_keras.v1.layers import arguments
from repro_keras.v1.layers.base import Layer
from repro_keras.v1.layers.convolutional import channels_first, channels_last
from repro_keras.v1.layers.functional import function_of
from repro_keras.v1.layers.input_spec import InputSpec


class _Pooling(Layer):
    """What all pooling shares; a subclass for each kind and `rank`, the number of spatial axes."""

    rank: int

    def __init__(
        self,
        pool_size,
        strides,
        padding="valid",
        data_format="channels_last",
        name=None,
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if strides is None:
            raise ConfigError(
                "Argument `strides` must not be None. For windows side by side, pass strides="
                f"{pool_size!r}, which is `pool_size`"
            )
        self.pool_size = arguments.per_axis(pool_size, self.rank, "pool_size")
        self.strides = arguments.per_axis(strides, self.rank, "strides")
        self.padding = arguments.padding(padding)
        self.data_format = arguments.data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        if self.data_format == "channels_first":  # which kernels on a CPU do not have
            return channels_first(self._pooled(channels_last(inputs)))
        return self._pooled(inputs)

    def _pooled(self, inputs):
        row = (1,) if self.rank == 1 else ()  # One axis is pooled as one row of an image.
        outputs = self._pool(
            tf.expand_dims(inputs, 1) if row else inputs,
            ksize=(1, *row, *self.pool_size, 1),
            strides=(1, *row, *self.strides, 1),
            padding=self.padding.upper(),
        )
        return tf.squeeze(outputs, [1]) if row else outputs

    def _pool(self, inputs, **window):
        raise NotImplementedError


class _MaxPooling(_Pooling):
    def _pool(self, inputs, **window):
        return (tf.nn.max_pool3d if self.rank == 3 else tf.nn.max_pool)(inputs, **window)


class _AveragePooling(_Pooling):
    def _pool(self, inputs, **window):
        return (tf.nn.avg_pool3d if self.rank == 3 else tf.nn.avg_pool)(inputs, **window)


class MaxPooling1D(_MaxPooling):
    """The maximum of each window along one axis.

    Args:
        pool_size: the length of the window; an integer.
        strides: the steps of the window; an integer.
        padding: `"valid"`, no padding, or `"same"`, as much as leaves the size at stride 1.
        data_format: `"channels_last"` or `"channels_first"`.
        name: the name of the layer.
        inputs: (function, call) a tensor of shape `(batch, length, channels)`, or `(batch,
            channels, length)` with the channels first.

    Returns:
        A tensor of the inputs' layout.

    Raises:
        ConfigError: an argument or the inputs cannot be used.

    Example:
        x = tf.placeholder(tf.float32, [None, 100, 8])
        y = layers.max_pooling1d(x, pool_size=2, strides=2)  # of shape (None, 50, 8)
    """

    rank = 1


class MaxPooling2D(_MaxPooling):
    """The maximum of each window along two axes.

    Args:
        pool_size: the height and width of the window; an integer or two.
        strides: the steps of the window; an integer or two.
        padding: `"valid"`, no padding, or `"same"`, as much as leaves the size at stride 1.
        data_format: `"channels_last"` or `"channels_first"`.
        name: the name of the layer.
        inputs: (function, call) a tensor of shape `(batch, height, width, channels)`, or `(batch,
            channels, height, width)` with the channels first.

    Returns:
        A tensor of the inputs' layout.

    Raises:
        ConfigError: an argument or the inputs cannot be used.

    Example:
        x = tf.placeholder(tf.float32, [None, 28, 28, 8])
        y = layers.max_pooling2d(x, pool_size=2, strides=2)  # of shape (None, 14, 14, 8)
    """

    rank = 2


class MaxPooling3D(_MaxPooling):
    """The maximum of each window along three axes.

    Args, returns and raises as `MaxPooling2D`, for inputs of shape `(batch, depth, height, width,
    channels)`, or `(batch, channels, depth, height, width)` with the channels first.

    Example:
        x = tf.placeholder(tf.float32, [None, 16, 28, 28, 8])
        y = layers.max_pooling3d(x, pool_size=2, strides=2)  # of shape (None, 8, 14, 14, 8)
    """

    rank = 3


class AveragePooling1D(_AveragePooling):
    """The average of each window along one axis, without the padding.

    Args, returns and raises as `MaxPooling1D`.

    Example:
        x = tf.placeholder(tf.float32, [None, 100, 8])
        y = layers.average_pooling1d(x, pool_size=2, strides=2)  # of shape (None, 50, 8)
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The average of each window along two axes, without the padding.

    Args, returns and raises as `MaxPooling2D`.

    Example:
        x = tf.placeholder(tf.float32, [None, 28, 28, 8])
        y = layers.average_pooling2d(x, pool_size=2, strides=2)  # of shape (None, 14, 14, 8)
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The average of each window along three axes, without the padding.

    Args, returns and raises as `MaxPooling3D`.

    Example:
        x = tf.placeholder(tf.float32, [None, 16, 28, 28, 8])
        y = layers.average_pooling3d(x, pool_size=2, strides=2)  # of shape (None, 8, 14, 14, 8)
    """

    rank = 3


max_pooling1d = function_of(MaxPooling1D)
max_pooling2d = function_of(MaxPooling2D)
max_pooling3d = function_of(MaxPooling3D)
average_pooling1d = function_of(AveragePooling1D)
average_pooling2d = function_of(AveragePooling2D)
average_pooling3d = function_of(AveragePooling3D)
