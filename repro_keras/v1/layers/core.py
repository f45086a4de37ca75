"""Dense, Dropout and Flatten."""

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError
from repro_keras.v1.layers import arguments
from repro_keras.v1.layers.arguments import ZEROS
from repro_keras.v1.layers.base import Layer
from repro_keras.v1.layers.functional import function_of
from repro_keras.v1.layers.input_spec import InputSpec


class AffineLayer(Layer):
    """A layer that adds a bias to what its kernel makes of the inputs, and then activates it.

    Args:
        activation: a function of the outputs, or its name.
        use_bias: whether there is a bias.
        bias_initializer, bias_regularizer, bias_constraint: of the bias.
        **kwargs: as for `Layer`.
    """

    def __init__(
        self,
        activation,
        use_bias,
        bias_initializer,
        bias_regularizer,
        bias_constraint,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.activation = arguments.activation(activation)
        self.use_bias = use_bias
        self._describe("bias", bias_initializer, bias_regularizer, bias_constraint)

    def _make_bias(self, size: int):
        self.bias = self._make("bias", (size,)) if self.use_bias else None

    def _with_bias(self, outputs, data_format="NHWC"):
        if not self.use_bias:
            return outputs
        return tf.nn.bias_add(outputs, self.bias, data_format=data_format)

    def _activated(self, outputs):
        return outputs if self.activation is None else self.activation(outputs)


class Dense(AffineLayer):
    """A densely connected layer: `activation(inputs @ kernel + bias)`.

    `layers.dense(inputs, …)` makes the layer and calls it; `layers.Dense(…)` makes an object, whose
    calls share their variables.

    Args:
        units: the size of the outputs' last axis.
        activation: a function of the outputs, or its name; None leaves them linear.
        use_bias: whether there is a bias.
        kernel_initializer: the kernel's initializer; None takes the variable scope's, or Glorot's
            uniform one.
        bias_initializer: the bias's initializer.
        kernel_regularizer: a function from the kernel to a loss, which is added to the collection
            REGULARIZATION_LOSSES.
        bias_regularizer: the same of the bias.
        activity_regularizer: the same of the outputs.
        kernel_constraint: a function from the kernel to what it becomes after each update by an
            optimizer.
        bias_constraint: the same of the bias.
        trainable: whether the variables are added to `tf.trainable_variables()`.
        name: the name of the layer and its variable scope; by default `dense`, `dense_1`, ….
        reuse: (function) whether to use the variables that a layer of that name made; True, None
            (as the scope around says) or `tf.AUTO_REUSE`.
        inputs: (function, call) a tensor of shape `(batch, …, size)`, of which `size` is known.

    Returns:
        A tensor of shape `(batch, …, units)`.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        x = tf.placeholder(tf.float32, [None, 784])
        h = layers.dense(x, 100, activation=tf.nn.relu)  # dense/kernel, dense/bias
        logits = layers.dense(h, 10, name="logits")  # logits/kernel, logits/bias
    """

    def __init__(
        self,
        units,
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
        self.units = arguments.size(units, "units")
        self._describe("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape):
        size = tf.TensorShape(input_shape).as_list()[-1]
        if size is None:
            raise ConfigError(
                f"The last axis of the inputs of layer {self.name} must have a known size, which "
                f"the kernel's shape is made of. Received: shape {input_shape}"
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: size})
        self.kernel = self._make("kernel", (size, self.units))
        self._make_bias(self.units)
        self.built = True

    def call(self, inputs):
        inputs = tf.convert_to_tensor(inputs, dtype=self.dtype)
        rank = inputs.shape.rank
        if rank > 2:
            outputs = tf.tensordot(inputs, self.kernel, [[rank - 1], [0]])
            outputs.set_shape([*inputs.shape.as_list()[:-1], self.units])
        else:
            outputs = tf.matmul(inputs, self.kernel)
        return self._activated(self._with_bias(outputs))


class Dropout(Layer):
    """Sets a part of the inputs to 0 at random while training, and scales up the others.

    Args:
        rate: the part of the inputs to drop, from 0 to below 1; a number or a scalar tensor.
        noise_shape: the shape of the mask of what to drop, which is broadcast to the inputs' shape:
            1 on an axis drops all of it or nothing. By default the inputs' shape.
        seed: the seed of the mask; by default one from the operation's name.
        name: the name of the layer.
        training: (function, call) whether to drop anything; a bool or a boolean scalar tensor.
        inputs: (function, call) a tensor of any shape.

    Returns:
        A tensor of the inputs' shape.

    Raises:
        ConfigError: `training` is neither a bool nor a boolean tensor.

    Example:
        training = tf.placeholder_with_default(False, [])
        x = layers.dropout(x, rate=0.4, training=training)
    """

    def __init__(self, rate=0.5, noise_shape=None, seed=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.rate = rate
        self.noise_shape = noise_shape
        self.seed = seed

    def call(self, inputs, training=False):
        def dropped():
            return tf.nn.dropout(
                inputs, rate=self.rate, noise_shape=self.noise_shape, seed=self.seed
            )

        return arguments.choose(arguments.flag(training), dropped, lambda: tf.identity(inputs))


class Flatten(Layer):
    """Makes all axes but the first, the batch's, one.

    Args:
        data_format: (class) `"channels_first"` puts the channels last before it flattens.
        name: the name of the layer.
        inputs: (function, call) a tensor of shape `(batch, …)`, of at least 2 axes.

    Returns:
        A tensor of shape `(batch, size)`.

    Raises:
        ConfigError: the inputs have fewer axes.

    Example:
        x = tf.placeholder(tf.float32, [None, 4, 4])
        y = layers.flatten(x)  # of shape (None, 16)
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = arguments.data_format(data_format or "channels_last")
        self.input_spec = InputSpec(min_ndim=2)

    def call(self, inputs):
        if self.data_format == "channels_first":
            inputs = tf.transpose(inputs, [0, *range(2, inputs.shape.rank), 1])
        outputs = tf.reshape(inputs, (tf.shape(inputs)[0], -1))
        outputs.set_shape([inputs.shape[0], inputs.shape[1:].num_elements()])
        return outputs


dense = function_of(Dense)
dropout = function_of(Dropout)


def flatten(inputs, name=None):
    return Flatten(name=name)(inputs)


flatten.__doc__ = Flatten.__doc__
