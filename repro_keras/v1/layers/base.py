"""What all layers share: names, variable scopes, variables, losses and updates.

The names that come out are those of TensorFlow 1.10, so that its checkpoints can be read and a
variable's seed, which is made from its name, is the same in both.
"""

import collections
import contextlib
import re
import weakref
from typing import Any

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from repro_keras._src.errors import ConfigError
from repro_keras.v1.layers import arguments

# Names that were given in each graph, by the layers' kinds.
_counts = weakref.WeakKeyDictionary()


class Layer:
    """The base of all layers, and of your own.

    A subclass makes its variables in `build(input_shape)`, with `add_weight`, and computes in
    `call(inputs)`. Each object takes a variable scope when it is first called, named after its
    class (`dense`, `dense_1`, …) or `name`; later calls use the same variables.

    Args:
        trainable: whether the variables are added to `tf.trainable_variables()`.
        name: the name of the layer, and of its variable scope.
        dtype: the type of the variables; by default that of the first input.
        activity_regularizer: a function from an output to a loss.

    Example:
        class Scale(layers.Layer):
            def build(self, input_shape):
                self.factor = self.add_weight("factor", shape=[])
                self.built = True

            def call(self, inputs):
                return inputs * self.factor

        y = Scale()(x)  # makes the variable scale/factor
    """

    def __init__(
        self,
        trainable=True,
        name=None,
        dtype=None,
        *,
        activity_regularizer=None,
        _scope=None,
        _reuse=None,
    ):
        self.trainable = trainable
        self.built = False
        self.input_spec = None
        self.activity_regularizer = arguments.function(activity_regularizer, "activity_regularizer")
        given = getattr(name, "name", name)  # `name` may be a variable scope
        # A scope's name is made unique when it is taken; the layer's own number is another.
        self._scope_base = given or kind_of(type(self))
        self._name = given or _numbered(kind_of(type(self)))
        self._dtype = None if dtype is None else tf.as_dtype(dtype).name
        self._reuse = _reuse
        self._scope: Any = None
        self._graph = None
        self._trainable_weights = []
        self._non_trainable_weights = []
        self._losses = []
        self._updates = []
        if _scope:
            with tf.variable_scope(_scope) as self._scope:
                pass

    @property
    def name(self) -> str:
        return self._name

    @property
    def scope_name(self) -> str:
        """The name of the variable scope, which the layer takes when it is first called."""
        if self._scope is None:
            raise ConfigError(f"Layer {self.name} has no scope yet: it takes one when first called")
        return self._scope.name

    @property
    def dtype(self) -> str | None:
        return self._dtype

    @property
    def graph(self):
        """The graph of the inputs; None before the first call."""
        return self._graph

    @property
    def trainable_weights(self) -> list:
        return self._trainable_weights if self.trainable else []

    @property
    def non_trainable_weights(self) -> list:
        if self.trainable:
            return self._non_trainable_weights
        return self._trainable_weights + self._non_trainable_weights

    @property
    def weights(self) -> list:
        """All variables, the trainable ones first."""
        return self.trainable_weights + self.non_trainable_weights

    @property
    def trainable_variables(self) -> list:
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list:
        return self.non_trainable_weights

    @property
    def variables(self) -> list:
        return self.weights

    @property
    def losses(self) -> list:
        """The losses that this layer added; those of its scope's regularizer are not among them."""
        return self._losses

    @property
    def updates(self) -> list:
        return self._updates if self.trainable else []

    def count_params(self) -> int:
        """The number of scalars in all variables.

        Raises:
            ConfigError: the layer was never called.
        """
        if not self.built:
            raise ConfigError(f"Layer {self.name} has no variables yet: call it, then count them")
        return sum(weight.shape.num_elements() for weight in self.weights)

    def build(self, input_shape):
        """Makes the variables. To be overridden, with `self.built = True` at its end.

        Args:
            input_shape: `tf.TensorShape` of the inputs, or a structure of them.
        """
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs of `inputs`, the first argument. To be overridden."""
        return args[0]

    def apply(self, inputs, *args, **kwargs):
        """The same as calling the layer."""
        return self(inputs, *args, **kwargs)

    def __call__(self, inputs, *args, scope=None, **kwargs):
        """Makes the variables if there are none yet, and computes the outputs.

        Args:
            inputs: a tensor, or a structure of them.
            *args: passed on to `call`.
            scope: at the first call, the variable scope to take, or its name.
            **kwargs: passed on to `call`.

        Returns:
            What `call` returns.

        Raises:
            ConfigError: the inputs do not fit the layer, are of another graph than at the last
                call, or there is no graph.
        """
        if tf.executing_eagerly():
            raise ConfigError(
                f"Layer {self.name} needs a graph. Call it under `with tf.Graph().as_default():`, "
                "or call tf.compat.v1.disable_eager_execution() at the start of the script"
            )
        inputs = tf.nest.map_structure(_as_tensor, inputs)
        tensors = tf.nest.flatten(inputs)
        self._take_scope(scope)
        self._check_graph(tensors)
        with self._in_scope():
            self._check_inputs(tensors)
            if not self.built:
                if self._dtype is None and tensors:
                    self._dtype = tensors[0].dtype.base_dtype.name
                self.build(tf.nest.map_structure(lambda tensor: tensor.shape, inputs))
                self.built = True
                self._check_inputs(tensors)
            outputs = self.call(inputs, *args, **kwargs)
            if self.activity_regularizer is not None:
                for output in tf.nest.flatten(outputs):
                    with tf.name_scope("ActivityRegularizer"):
                        self.add_loss(self.activity_regularizer(output))
        _collect(self.updates, tf.GraphKeys.UPDATE_OPS)
        return outputs

    def add_weight(
        self,
        name,
        shape,
        dtype=None,
        initializer=None,
        regularizer=None,
        trainable=None,
        constraint=None,
        use_resource=None,
        synchronization=tf.VariableSynchronization.AUTO,
        aggregation=tf.VariableAggregation.NONE,
        partitioner=None,
    ):
        """Makes a variable in the layer's scope, or gets it where the scope reuses.

        Args:
            name: the variable's name within the scope.
            shape: its shape.
            dtype: its type; by default the layer's, or float32.
            initializer: its initializer; by default the scope's, or Glorot's uniform one.
            regularizer: a function from the variable to a loss. It comes on top of the scope's.
            trainable: whether it is trained, in a layer that is; by default it is.
            constraint, use_resource, synchronization, aggregation, partitioner: as for
                `tf.compat.v1.get_variable`.

        Returns:
            The variable.
        """
        if trainable is None:
            trainable = synchronization != tf.VariableSynchronization.ON_READ
        existing = tf.global_variables()
        with self._in_scope():
            variable = tf.get_variable(
                name,
                shape,
                dtype=tf.as_dtype(dtype or self.dtype or tf.float32),
                initializer=arguments.initializer(initializer),
                trainable=trainable and self.trainable,
                constraint=constraint,
                use_resource=use_resource,
                synchronization=synchronization,
                aggregation=aggregation,
                partitioner=partitioner,
            )
            if regularizer is not None and not any(_has(existing, v) for v in _parts(variable)):
                self._regularize(name, variable, regularizer)
        # A custom getter of the scope may have made it untrainable. (So counts a partitioned
        # variable, in TensorFlow 1.10 too: only its parts are in the collection.)
        if trainable and (not self.trainable or _has(tf.trainable_variables(), variable)):
            self._trainable_weights.append(variable)
        else:
            self._non_trainable_weights.append(variable)
        return variable

    def add_variable(self, *args, **kwargs):
        """The same as `add_weight`."""
        return self.add_weight(*args, **kwargs)

    def add_loss(self, losses, inputs=None):
        """Adds losses to the layer and to the collection REGULARIZATION_LOSSES.

        Args:
            losses: a scalar tensor or a list of them.
            inputs: ignored; the losses count whatever the inputs are.
        """
        losses = [tf.convert_to_tensor(loss) for loss in tf.nest.flatten(losses)]
        self._losses += losses
        _collect(losses, tf.GraphKeys.REGULARIZATION_LOSSES)

    def add_update(self, updates, inputs=None):
        """Adds operations that are to run with each training step.

        The end of the call that adds them puts them into the collection UPDATE_OPS, unless the
        layer is not trainable.

        Args:
            updates: an operation, a tensor, or a list of them.
            inputs: ignored; the updates count whatever the inputs are.
        """
        self._updates += [getattr(update, "op", update) for update in tf.nest.flatten(updates)]

    def _take_scope(self, scope=None):
        """Takes a variable scope, the first time; a default name is made unique."""
        if self._scope is not None:
            return
        if self._reuse and scope is None:
            scope = self._scope_base
        with tf.variable_scope(scope, default_name=self._scope_base) as self._scope:
            pass

    @contextlib.contextmanager
    def _in_scope(self):
        """Enters the variable scope, and the name scope that was made with it."""
        self._take_scope()
        scope = tf.variable_scope(
            self._scope, reuse=self.built or self._reuse, auxiliary_name_scope=False
        )
        with scope as entered, tf.name_scope(entered.original_name_scope):
            yield

    def _check_graph(self, tensors):
        for tensor in tensors:
            graph = _outermost(tensor.graph)
            self._graph = self._graph or graph
            if graph is not self._graph:
                raise ConfigError(
                    f"The inputs of layer {self.name} must be of one graph, the same in all its "
                    "calls: its variables are there. Make another layer for the other graph. "
                    f"Received: {tensor!r}"
                )

    def _check_inputs(self, tensors):
        if self.input_spec is None:
            return
        specs = tf.nest.flatten(self.input_spec)
        if len(specs) != len(tensors):
            raise ConfigError(
                f"Layer {self.name} must have {len(specs)} inputs. Received: {len(tensors)}"
            )
        for spec, tensor in zip(specs, tensors, strict=True):
            expected = spec and spec.expected_of(tensor)
            if expected:
                raise ConfigError(
                    f"The input of layer {self.name} must have {expected}. "
                    f"Received: {tensor.dtype.name} of shape {tensor.shape}"
                )

    def _regularize(self, name, variable, regularizer):
        for part in _parts(variable):
            with tf.colocate_with(part.op), tf.name_scope(f"{name}/Regularizer"):
                loss = regularizer(part)
            if loss is not None:
                self.add_loss(loss)

    def _describe(self, role, initializer, regularizer=None, constraint=None):
        """Keeps what a weight is made with, in attributes such as `kernel_initializer`."""
        for what, value in (("regularizer", regularizer), ("constraint", constraint)):
            setattr(self, f"{role}_{what}", arguments.function(value, f"{role}_{what}"))
        name = f"{role}_initializer"
        setattr(self, name, arguments.initializer(initializer, name))

    def _make(self, role, shape, name=None, **kwargs):
        """Makes the weight that was described."""
        return self.add_weight(
            name or role,
            shape,
            initializer=getattr(self, f"{role}_initializer"),
            regularizer=getattr(self, f"{role}_regularizer"),
            constraint=getattr(self, f"{role}_constraint"),
            **kwargs,
        )


def kind_of(layer_class: type) -> str:
    """The class's name, in the way of variables: `conv2d_transpose` of `Conv2DTranspose`."""
    pattern = "(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z0-9])"
    kind = re.sub(pattern, "_", layer_class.__name__).lower()
    return f"private{kind}" if kind.startswith("_") else kind  # as no name may begin with _


def _numbered(kind: str) -> str:
    counts = _counts.setdefault(_outermost(tf.get_default_graph()), collections.Counter())
    counts[kind] += 1
    return f"{kind}_{counts[kind]}"


def _outermost(graph):
    """The graph that the branch of a condition or the body of a loop belongs to."""
    while hasattr(graph, "outer_graph"):
        graph = graph.outer_graph
    return graph


def _as_tensor(value):
    return value if hasattr(value, "graph") else tf.convert_to_tensor(value)


def _parts(variable) -> list:
    # Partitioned variables have no public class; only they have `as_tensor`.
    return list(variable) if hasattr(variable, "as_tensor") else [variable]


def _has(variables, variable) -> bool:
    # By identity: `==` of variables may be an operation.
    return any(one is variable for one in variables)


def _collect(elements, key):
    collection = tf.get_collection_ref(key)
    collection += [element for element in elements if not _has(collection, element)]
