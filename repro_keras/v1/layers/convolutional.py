"""Convolutions.

Kernels are called with the channels last, which is the only layout that all of them have on a CPU;
inputs with the channels first are transposed before and after.
"""

import inspect

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError
from repro_keras.v1.layers import arguments
from repro_keras.v1.layers.arguments import ZEROS
from repro_keras.v1.layers.core import AffineLayer
from repro_keras.v1.layers.functional import function_of
from repro_keras.v1.layers.input_spec import InputSpec


def channels_last(inputs):
    return tf.transpose(inputs, [0, *range(2, inputs.shape.rank), 1])


def channels_first(outputs):
    rank = outputs.shape.rank
    return tf.transpose(outputs, [0, rank - 1, *range(1, rank - 1)])


class ConvLayer(AffineLayer):
    """What all convolutions share; a subclass for each `rank`, the number of spatial axes."""

    rank: int

    def __init_subclass__(cls):
        # In TensorFlow 1.10's signatures there is a stride for each axis, where there are several.
        rank = vars(cls).get("rank", 1)
        if rank > 1:
            signature = inspect.signature(cls)
            parameters = dict(signature.parameters)
            for name in parameters.keys() & {"strides", "dilation_rate"}:
                parameters[name] = parameters[name].replace(default=(1,) * rank)
            cls.__signature__ = signature.replace(parameters=list(parameters.values()))

    def _set_window(self, filters, kernel_size, strides, padding, data_format, dilation_rate=1):
        self.filters = arguments.size(filters, "filters")
        self.kernel_size = arguments.per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = arguments.per_axis(strides, self.rank, "strides")
        self.padding = arguments.padding(padding)
        self.data_format = arguments.data_format(data_format)
        self.dilation_rate = arguments.per_axis(dilation_rate, self.rank, "dilation_rate")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ConfigError(
                "Argument `strides` or `dilation_rate` must be 1: a dilated convolution has no "
                f"strides. Received: strides={strides!r}, dilation_rate={dilation_rate!r}"
            )
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def build(self, input_shape):
        axis = 1 if self._channels_first else -1
        channels = tf.TensorShape(input_shape).as_list()[axis]
        if channels is None:
            raise ConfigError(
                f"The channels, axis {axis} of the inputs of layer {self.name}, must have a known "
                "size, which the kernel's shape is made of. "
                f"Received: shape {input_shape} with data_format={self.data_format!r}"
            )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})
        self._make_kernels(channels)
        self._make_bias(self.filters)
        self.built = True

    def call(self, inputs):
        return self._activated(self._convolved_with_bias(inputs))

    @property
    def _channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def _convolved_with_bias(self, inputs):
        if not self._channels_first:
            return self._with_bias(self._convolved(inputs))
        outputs = channels_first(self._convolved(channels_last(inputs)))
        return self._with_bias(outputs, data_format="NCHW")

    def _make_kernels(self, channels: int):
        self.kernel = self._make("kernel", (*self.kernel_size, channels, self.filters))

    def _convolved(self, inputs):
        """The convolution of inputs with the channels last."""
        raise NotImplementedError


class _Conv(ConvLayer):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format="channels_last",
        dilation_rate=1,
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
        self._set_window(filters, kernel_size, strides, padding, data_format, dilation_rate)
        self._describe("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def _convolved(self, inputs):
        return tf.nn.convolution(
            inputs,
            self.kernel,
            padding=self.padding.upper(),
            strides=self.strides,
            dilation_rate=self.dilation_rate,
            name={1: "conv1d", 2: "Conv2D", 3: "Conv3D"}[self.rank],
        )


class Conv1D(_Conv):
    """A convolution over one axis, such as time.

    Args:
        filters: the number of channels of the outputs.
        kernel_size: the length of the window; an integer.
        strides: the steps of the window; an integer.
        padding: `"valid"`, no padding, or `"same"`, as much as leaves the size at stride 1.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: the distance of the window's elements; an integer.
        inputs: (function, call) a tensor of shape `(batch, length, channels)`, or `(batch,
            channels, length)` with the channels first, of which `channels` is known.
        activation, …, reuse: as for `Dense`.

    Returns:
        A tensor of the inputs' layout, with `filters` channels.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 100, 8])
        y = layers.conv1d(x, 32, 5, activation=tf.nn.relu)  # of shape (None, 96, 32)
    """

    rank = 1


class Conv2D(_Conv):
    """A convolution over two axes, such as those of images.

    Args:
        filters: the number of channels of the outputs.
        kernel_size: the height and width of the window; an integer or two.
        strides: the steps of the window; an integer or two.
        padding: `"valid"`, no padding, or `"same"`, as much as leaves the size at stride 1.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: the distance of the window's elements; an integer or two.
        inputs: (function, call) a tensor of shape `(batch, height, width, channels)`, or `(batch,
            channels, height, width)` with the channels first, of which `channels` is known.
        activation, …, reuse: as for `Dense`.

    Returns:
        A tensor of the inputs' layout, with `filters` channels.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 28, 28, 1])
        y = layers.conv2d(x, 32, 3, padding="same")  # conv2d/kernel of shape (3, 3, 1, 32)
    """

    rank = 2


class Conv3D(_Conv):
    """A convolution over three axes, such as those of volumes.

    Args:
        filters, …, reuse: as for `Conv2D`, with one integer or three for each size.
        inputs: (function, call) a tensor of shape `(batch, depth, height, width, channels)`, or
            `(batch, channels, depth, height, width)` with the channels first.

    Returns:
        A tensor of the inputs' layout, with `filters` channels.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 16, 32, 32, 1])
        y = layers.conv3d(x, 8, 3)  # of shape (None, 14, 30, 30, 8)
    """

    rank = 3


conv1d = function_of(Conv1D)
conv2d = function_of(Conv2D)
conv3d = function_of(Conv3D)
