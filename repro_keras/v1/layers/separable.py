"""Separable convolutions: first in each channel, then of the channels."""

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError
from repro_keras.v1.layers import arguments
from repro_keras.v1.layers.arguments import ZEROS
from repro_keras.v1.layers.convolutional import ConvLayer
from repro_keras.v1.layers.functional import function_of


class _SeparableConv(ConvLayer):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format="channels_last",
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer=None,
        pointwise_initializer=None,
        bias_initializer=ZEROS,
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
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
        self._set_window(filters, kernel_size, strides, padding, data_format, dilation_rate)
        if len(set(self.strides)) > 1:
            raise ConfigError(
                "Argument `strides` must be the same on all axes: a separable convolution has one "
                f"stride. Received: strides={strides!r}"
            )
        self.depth_multiplier = arguments.size(depth_multiplier, "depth_multiplier")
        self._describe(
            "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        self._describe(
            "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )

    def _make_kernels(self, channels):
        depth = self.depth_multiplier
        self.depthwise_kernel = self._make(
            "depthwise", (*self.kernel_size, channels, depth), "depthwise_kernel"
        )
        self.pointwise_kernel = self._make(
            "pointwise", (*(1,) * self.rank, channels * depth, self.filters), "pointwise_kernel"
        )

    def _convolved(self, inputs):
        depthwise, pointwise = self.depthwise_kernel, self.pointwise_kernel
        strides, dilation_rate = self.strides, self.dilation_rate
        if self.rank == 1:  # The inputs are one row of an image.
            depthwise, pointwise = tf.expand_dims(depthwise, 0), tf.expand_dims(pointwise, 0)
            strides, dilation_rate = strides * 2, (1, *dilation_rate)
        return tf.nn.separable_conv2d(
            inputs,
            depthwise,
            pointwise,
            strides=(1, *strides, 1),
            padding=self.padding.upper(),
            rate=dilation_rate,
        )


class SeparableConv1D(_SeparableConv):
    """A convolution over one axis, first in each channel and then of the channels.

    Args:
        filters, …, dilation_rate: as for `Conv1D`.
        depth_multiplier: how many channels are made of each in the first part.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the kernel of the
            first part, of shape `(*kernel_size, channels, depth_multiplier)`.
        pointwise_initializer, pointwise_regularizer, pointwise_constraint: of the kernel of the
            second, of shape `(1, channels * depth_multiplier, filters)`.
        inputs: (function, call) as for `Conv1D`.
        activation, …, reuse: as for `Dense`.

    Returns:
        A tensor of the inputs' layout, with `filters` channels.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 100, 8])
        y = layers.separable_conv1d(x, 32, 5)  # of shape (None, 96, 32)
    """

    rank = 1

    def call(self, inputs):
        row = 2 if self._channels_first else 1
        outputs = self._convolved_with_bias(tf.expand_dims(inputs, row))
        return self._activated(tf.squeeze(outputs, [row]))


class SeparableConv2D(_SeparableConv):
    """A convolution over two axes, first in each channel and then of the channels.

    Args:
        filters, …, dilation_rate: as for `Conv2D`; both strides must be the same.
        depth_multiplier, …, pointwise_constraint: as for `SeparableConv1D`.
        inputs: (function, call) as for `Conv2D`.
        activation, …, reuse: as for `Dense`.

    Returns:
        A tensor of the inputs' layout, with `filters` channels.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 28, 28, 3])
        y = layers.separable_conv2d(x, 32, 3)  # depthwise_kernel, pointwise_kernel, bias
    """

    rank = 2


separable_conv1d = function_of(SeparableConv1D)
separable_conv2d = function_of(SeparableConv2D)
