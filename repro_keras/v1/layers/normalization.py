"""Batch normalization."""

import contextlib
from typing import Any

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError
from repro_keras.v1.layers import arguments
from repro_keras.v1.layers.arguments import ZEROS, choose
from repro_keras.v1.layers.base import Layer
from repro_keras.v1.layers.functional import function_of
from repro_keras.v1.layers.input_spec import InputSpec

_FUSED_AXES = {(1,): "NCHW", (3,): "NHWC"}
_FUSED_TYPES = (tf.float16, tf.bfloat16, tf.float32)
_ONES = tf.ones_initializer()


class BatchNormalization(Layer):
    """Brings the inputs to mean `beta` and standard deviation `gamma` (Ioffe and Szegedy, 2015).

    While training, mean and variance are those of the batch, and operations that move
    `moving_mean` and `moving_variance` towards them are added to the collection UPDATE_OPS; run
    them with each step. Otherwise the moving ones are used.

    Args:
        axis: the axis of the features, each of which is normalized on its own; or a list of axes.
        momentum: the part of the moving averages that each update keeps.
        epsilon: what is added to the variance, lest it be 0.
        center: whether there is a `beta`.
        scale: whether there is a `gamma`.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer:
            of the variables.
        beta_regularizer, gamma_regularizer: functions from the variable to a loss, which is added
            to the collection REGULARIZATION_LOSSES.
        beta_constraint, gamma_constraint: functions from the variable to what it becomes after each
            update by an optimizer.
        fused: None or True takes the one operation that does it all where it can: for inputs of 4
            axes, with the features on axis 1 or 3. Its variance for `moving_variance` is the
            unbiased one. False never takes it.
        trainable: whether `beta` and `gamma` are added to `tf.trainable_variables()`, and the
            updates to the collection.
        name: the name of the layer and its variable scope; by default `batch_normalization`, ….
        renorm, renorm_clipping, renorm_momentum, virtual_batch_size, adjustment: not available.
        reuse: (function) as for `Dense`.
        training: (function, call) whether to use the batch's own mean and variance; a bool or a
            boolean scalar tensor.
        inputs: (function, call) a tensor of known rank, with known sizes on `axis`.

    Returns:
        A tensor of the inputs' shape.

    Raises:
        ConfigError: an argument or the inputs cannot be used.
        ValueError: the variables exist and are not to be reused, or the other way round.

    Example:
        training = tf.placeholder_with_default(False, [])
        x = layers.batch_normalization(x, training=training)
        …
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            step = optimizer.minimize(loss)
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer=ZEROS,
        gamma_initializer=_ONES,
        moving_mean_initializer=ZEROS,
        moving_variance_initializer=_ONES,
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm=False,
        renorm_clipping=None,
        renorm_momentum=0.99,
        fused=None,
        trainable=True,
        virtual_batch_size=None,
        adjustment=None,
        name=None,
        **kwargs,
    ):
        super().__init__(trainable=trainable, name=name, **kwargs)
        _refuse("renorm", renorm, "batch renormalization")
        _refuse("virtual_batch_size", virtual_batch_size, "normalization of parts of the batch")
        _refuse("adjustment", adjustment, "adjustment after the normalization")
        self.axis: Any = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.fused = fused
        self._describe("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._describe("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self._describe("moving_mean", moving_mean_initializer)
        self._describe("moving_variance", moving_variance_initializer)

    def build(self, input_shape):
        sizes = self._sizes(tf.TensorShape(input_shape))
        rank = tf.TensorShape(input_shape).rank
        self.axis = list(sizes)
        self.input_spec = InputSpec(ndim=rank, axes=sizes)
        dtype = tf.as_dtype(self.dtype or tf.float32)
        can_be_fused = rank == 4 and tuple(sizes) in _FUSED_AXES and dtype in _FUSED_TYPES
        self.fused = self.fused is not False and can_be_fused
        # Averages of many small steps need more digits than the small types have.
        options = {"dtype": tf.float32 if dtype in (tf.float16, tf.bfloat16) else dtype}
        shape = tuple(sizes.values())
        if len(sizes) > 1:
            shape = tuple(sizes.get(axis, 1) for axis in range(rank))
        self.gamma = self._make("gamma", shape, **options) if self.scale else None
        self.beta = self._make("beta", shape, **options) if self.center else None
        options |= {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.MEAN,
        }
        with self._without_partitioner():
            self.moving_mean = self._make("moving_mean", shape, **options)
            self.moving_variance = self._make("moving_variance", shape, **options)
        self.built = True

    def call(self, inputs, training=False):
        training = arguments.flag(training)
        return (self._fused if self.fused else self._composed)(inputs, training)

    def _sizes(self, shape) -> dict[int, int]:
        """The sizes of the axes of the features, by axis."""
        if not shape.rank:
            raise ConfigError(
                f"The inputs of layer {self.name} must have a known number of axes, at least 1. "
                f"Received: shape {shape}"
            )
        given = self.axis if isinstance(self.axis, list | tuple) else [self.axis]
        if not all(type(axis) is int and -shape.rank <= axis < shape.rank for axis in given):
            raise ConfigError(
                "Argument `axis` must be an axis of the inputs or a list of them, which have "
                f"{shape.rank} axes. {arguments.received('axis', self.axis)}"
            )
        sizes = {axis % shape.rank: shape.as_list()[axis] for axis in given}
        if len(sizes) != len(given) or not sizes:
            raise ConfigError(
                "Argument `axis` must list each axis once, and one at least. "
                f"{arguments.received('axis', self.axis)}"
            )
        if None in sizes.values():
            raise ConfigError(
                f"The inputs of layer {self.name} must have known sizes on axis {self.axis}, which "
                f"the variables' shapes are made of. Received: shape {shape}"
            )
        return sizes

    @contextlib.contextmanager
    def _without_partitioner(self):
        """Keeps the moving averages whole: they are assigned to, which their parts cannot be."""
        self._take_scope()
        partitioner = self._scope.partitioner
        self._scope.set_partitioner(None)
        try:
            yield
        finally:
            self._scope.set_partitioner(partitioner)

    def _fused(self, inputs, training):
        shape, dtype = self.moving_mean.shape, self.moving_mean.dtype.base_dtype
        gamma = tf.constant(1.0, dtype, shape) if self.gamma is None else self.gamma
        beta = tf.constant(0.0, dtype, shape) if self.beta is None else self.beta

        def normalized(is_training, **moments):
            return tf.nn.fused_batch_norm(
                inputs,
                gamma,
                beta,
                **moments,
                epsilon=self.epsilon,
                data_format=_FUSED_AXES[tuple(self.axis)],
                is_training=is_training,
                name="FusedBatchNorm" if inputs.dtype == tf.float32 else "FusedBatchNormV2",
            )

        outputs, mean, variance = choose(
            training,
            lambda: normalized(True),
            lambda: normalized(False, mean=self.moving_mean, variance=self.moving_variance),
        )
        if training is not False:
            # The difference is rounded as float32, as in TensorFlow 1.10. Momentum 1 is no update.
            keep = choose(training, lambda: tf.constant(self.momentum), lambda: tf.constant(1.0))
            self.add_update(_moved(self.moving_mean, mean, 1.0 - keep))
            self.add_update(_moved(self.moving_variance, variance, 1.0 - keep))
        return outputs

    def _composed(self, inputs, training):
        mean, variance = self.moving_mean, self.moving_variance
        if training is not False:
            mean, variance = self._moments(inputs, training)
        outputs = tf.nn.batch_normalization(
            inputs,
            *(self._fitted(one, inputs) for one in (mean, variance, self.beta, self.gamma)),
            self.epsilon,
        )
        outputs.set_shape(inputs.shape)
        return outputs

    def _moments(self, inputs, training):
        """Mean and variance, the batch's where training, which the moving ones then follow."""

        def used(batch, moving):
            return choose(training, lambda: batch, lambda: tf.identity(moving))

        def followed(moving, value):
            decay = 1.0 - self.momentum
            return choose(
                training, lambda: _moved(moving, value, decay), lambda: tf.identity(moving)
            )

        axes = [axis for axis in range(inputs.shape.rank) if axis not in self.axis]
        mean, variance = tf.nn.moments(inputs, axes, keep_dims=len(self.axis) > 1)
        mean, variance = used(mean, self.moving_mean), used(variance, self.moving_variance)
        self.add_update(followed(self.moving_mean, mean))
        self.add_update(followed(self.moving_variance, variance))
        return mean, variance

    def _fitted(self, parameter, inputs):
        """A mean, variance, beta or gamma in the inputs' type, in a shape that is broadcast."""
        if parameter is None:
            return None
        rank = inputs.shape.rank
        if parameter.shape.rank != rank and self.axis != [rank - 1]:
            shape = [1] * rank
            shape[self.axis[0]] = -1
            parameter = tf.reshape(parameter, shape)
        return tf.cast(parameter, inputs.dtype)


batch_normalization = function_of(
    BatchNormalization,
    last=(
        "renorm",
        "renorm_clipping",
        "renorm_momentum",
        "fused",
        "virtual_batch_size",
        "adjustment",
    ),
)


def _moved(variable, value, decay):
    """Moves a moving average towards the value, by a part `decay` of the difference."""
    with tf.name_scope("AssignMovingAvg") as scope, tf.colocate_with(variable.op):
        dtype = variable.dtype.base_dtype
        decay = tf.cast(tf.convert_to_tensor(decay, name="decay"), dtype)
        return variable.assign_sub((variable - tf.cast(value, dtype)) * decay, name=scope)


def _refuse(argument: str, value, what: str):
    if value is None or value is False:
        return
    raise ConfigError(
        f"Argument `{argument}` must be left out: {what} is not available in repro_keras.v1. "
        f"Normalize without it, or on your own on top of `repro_keras.v1.layers.Layer`. "
        f"{arguments.received(argument, value)}"
    )
