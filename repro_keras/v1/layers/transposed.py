"""Transposed convolutions: from what a convolution makes to the shape it came from."""

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras.v1.layers.arguments import ZEROS
from repro_keras.v1.layers.convolutional import ConvLayer
from repro_keras.v1.layers.functional import function_of


class _ConvTranspose(ConvLayer):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format="channels_last",
        activation=None,
        use_bias=True,
        kernel_initializer=None,
        bias_initializer=ZEROS,
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        trainable=True,
        name=None,
        **kwargs,
    ):
        super().__init__(
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer=activity_regularizer,
            trainable=trainable,
            name=name,
            **kwargs,
        )
        self._set_window(filters, kernel_size, strides, padding, data_format)
        self._describe("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def _make_kernels(self, channels):
        self.kernel = self._make("kernel", (*self.kernel_size, self.filters, channels))

    def _convolved(self, inputs):
        transpose = tf.nn.conv2d_transpose if self.rank == 2 else tf.nn.conv3d_transpose
        batch, *sizes = tf.unstack(tf.shape(inputs))[:-1]
        outputs = transpose(
            inputs,
            self.kernel,
            tf.stack([batch, *self._sizes(sizes), self.filters]),
            strides=(1, *self.strides, 1),
            padding=self.padding.upper(),
        )
        batch, *sizes = inputs.shape.as_list()[:-1]
        outputs.set_shape([batch, *self._sizes(sizes), self.filters])
        return outputs

    def _sizes(self, sizes) -> list:
        """The sizes of the outputs' spatial axes: the largest that convolve to the inputs'."""
        valid = self.padding == "valid"
        return [
            None if size is None else size * stride + max(window - stride, 0) * valid
            for size, window, stride in zip(sizes, self.kernel_size, self.strides, strict=True)
        ]


class Conv2DTranspose(_ConvTranspose):
    """A transposed convolution over two axes: from what `Conv2D` makes to the shape it came from.

    Args:
        filters, kernel_size, strides, padding, data_format: as for `Conv2D`; strides make the
            outputs larger.
        inputs: (function, call) as for `Conv2D`.
        activation, …, reuse: as for `Dense`.

    Returns:
        A tensor of the inputs' layout, with `filters` channels.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 7, 7, 64])
        y = layers.conv2d_transpose(x, 32, 3, strides=2, padding="same")  # (None, 14, 14, 32)
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """A transposed convolution over three axes: from what `Conv3D` makes to where it came from.

    Args:
        filters, …, reuse: as for `Conv2DTranspose`, with one integer or three for each size.
        inputs: (function, call) as for `Conv3D`.

    Returns:
        A tensor of the inputs' layout, with `filters` channels.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 4, 8, 8, 16])
        y = layers.conv3d_transpose(x, 8, 2, strides=2)  # of shape (None, 8, 16, 16, 8)
    """

    rank = 3


conv2d_transpose = function_of(Conv2DTranspose)
conv3d_transpose = function_of(Conv3DTranspose)
