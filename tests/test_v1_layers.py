"""`tf.layers`, compared with what TensorFlow 1.10 made of the same calls.

What it made is in fixtures/tf1_layers.json. Values are compared to 1e-5: the kernels are others.
"""

import contextlib
import inspect
import json
from pathlib import Path

import eagerly  # noqa: F401 - first
import numpy as np
import pytest

from repro_keras import v1 as tf
from repro_keras._src.errors import ConfigError
from repro_keras.v1 import layers

GOLDEN = json.loads((Path(__file__).parent / "fixtures" / "tf1_layers.json").read_text())
INPUTS = GOLDEN["inputs"]
FED = {"fed_true": True, "fed_false": False}


def _contrib_l2(scale):
    return lambda weights: tf.multiply(scale, tf.nn.l2_loss(weights), name="l2_regularizer")


def _keras_l2(scale):
    return lambda weights: 0.0 + tf.reduce_sum(scale * tf.square(weights))


NAMED = {
    "relu": tf.nn.relu,
    "tanh": tf.nn.tanh,
    "sigmoid": tf.nn.sigmoid,
    "softmax": tf.nn.softmax,
    "zeros": tf.zeros_initializer(),
    "ones": tf.ones_initializer(),
    "glorot_normal": tf.glorot_normal_initializer(),
    "non_neg": tf.nn.relu,
    "AUTO_REUSE": tf.AUTO_REUSE,
}
MADE = {
    "constant": tf.constant_initializer,
    "contrib_l2": _contrib_l2,
    "keras_l2": _keras_l2,
}

OTHER_OUTPUTS = {
    # The last op is another: the one that adds the bias, …
    "conv1d/add:0": "conv1d/BiasAdd:0",
    "conv3d/Reshape_1:0": "conv3d/BiasAdd:0",
    "conv3d_transpose/Reshape_1:0": "conv3d_transpose/BiasAdd:0",
    # … and the one that drops.
    "dropout/dropout/mul:0": "dropout/dropout/SelectV2:0",
    "drop/dropout/mul:0": "drop/dropout/SelectV2:0",
}


@pytest.fixture(params=["TensorFlow 1", "TensorFlow 2"])
def kind(request):
    """Variables and conditions of the older and the newer kind; the newer is the default."""
    resources, control_flow = tf.resource_variables_enabled(), tf.control_flow_v2_enabled()
    _switch(request.param == "TensorFlow 2", request.param == "TensorFlow 2")
    yield request.param
    _switch(resources, control_flow)


def _switch(resources, control_flow):
    (tf.enable_resource_variables if resources else tf.disable_resource_variables)()
    (tf.enable_control_flow_v2 if control_flow else tf.disable_control_flow_v2)()


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def _meant(key, value):
    """The object that an argument's string stands for in the golden file."""
    if not isinstance(value, str) or key in ("name", "padding", "data_format", "default_name"):
        return value
    if value in FED:
        return tf.placeholder(tf.bool, [], name="training")
    if value in NAMED:
        return NAMED[value]
    maker, _, number = value.rstrip(")").partition("(")
    return MADE[maker](float(number))


def _values(shape, k, offset=0.0, dtype="float32"):
    n = int(np.prod(shape))
    return (np.round(np.sin(np.arange(n) * k), 4) + offset).astype(dtype).reshape(shape)


def _assert_equals(array, golden, rtol=1e-5):
    flat = np.asarray(array, np.float64).ravel()
    first = [float.fromhex(one) for one in golden["first"]]
    np.testing.assert_allclose(flat[: len(first)], first, rtol, atol=rtol)
    total = float.fromhex(golden["sum"])
    np.testing.assert_allclose(flat.sum(), total, rtol, atol=rtol * max(1, np.abs(flat).sum()))


def _described(variables):
    trainable = tf.trainable_variables()
    return [[v.op.name, v.shape.as_list(), any(v is one for one in trainable)] for v in variables]


def _names(key):
    return [one.name for one in tf.get_collection(key)]


def _id(row):
    arguments = ",".join(f"{key}={value}" for key, value in row["arguments"].items())
    return f"{row['function']}({arguments})-{row['placeholder_shape']}-{row.get('dtype')}"


def _rows():
    """Each row with the newer kind of variables, and with the older where that matters."""
    for row in GOLDEN["rows"]:
        if not row["arguments"].keys() & {"renorm", "virtual_batch_size"}:  # see `REFUSED`
            for kind in ("TensorFlow 1", "TensorFlow 2"):
                if kind == "TensorFlow 2" or row["function"] in ("batch_normalization", "dropout"):
                    yield pytest.param(row, kind, id=f"{kind}-{_id(row)}")


@pytest.mark.parametrize(("row", "kind"), list(_rows()), indirect=["kind"])
def test_rows(row, graph, kind):
    function, arguments = row["function"], row["arguments"]
    dtype = row.get("dtype", "float32")
    inputs = tf.placeholder(dtype, row["placeholder_shape"], name="input")
    call = {key: _meant(key, value) for key, value in arguments.items()}
    if "error" in row and dtype != "float64":  # which the fused kernel did not take
        with pytest.raises((ValueError, tf.errors.OpError)):
            getattr(layers, function)(inputs, **call)
        made = _described(tf.global_variables())
        assert made == row["variables"][: len(made)]
        return
    if arguments.get("strides") == [2, 1] and function == "separable_conv2d":
        with pytest.raises(ConfigError):  # which came when it ran
            getattr(layers, function)(inputs, **call)
        return
    outputs = getattr(layers, function)(inputs, **call)
    variables = tf.global_variables()
    assert _described(variables) == row["variables"]
    if "error" in row:
        return
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert _collections(graph) == _golden_collections(row, kind)
    assert outputs.shape.as_list() == row["static_shape"]
    assert outputs.name == _golden_output(row, kind)
    assert _names(tf.GraphKeys.UPDATE_OPS) == _golden_updates(row, kind)
    assert [loss.op.name for loss in losses] == [name for name, _ in row.get("losses", [])]
    assert [v.op.name for v in variables if v.constraint] == row.get("constrained", [])
    assert [v.initial_value.op.name for v in variables] == row.get("initializer_ops", [])

    feed = {inputs: _values(row["input_shape"], row["k"], dtype=dtype)}
    if arguments.get("training") in FED:
        feed[call["training"]] = FED[arguments["training"]]
    rtol = 2e-3 if dtype == "float16" else 1e-5
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for initial, golden in zip(session.run(variables), row.get("initial", []), strict=True):
            if golden:
                _assert_equals(initial, golden)
        _assign(row, variables, session)
        value, *values = session.run([outputs, *losses], feed)
        if "run_error" in row:  # channels first, on a CPU; see `test_channels_first`
            return
        assert list(value.shape) == row["output_shape"]
        if "output" in row:
            _assert_equals(value, row["output"], rtol)
        for value, (_, golden) in zip(values, row.get("losses", []), strict=True):
            assert value == pytest.approx(float.fromhex(golden), rel=rtol)
        if after := row.get("after_updates"):
            session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), feed)
            moved = {v.op.name: v for v in variables if v.op.name in after}
            assert moved.keys() == after.keys()
            for name, value in session.run(moved).items():
                _assert_equals(value, after[name], rtol)


def _assign(row, variables, session):
    given = {}
    for variable, (k, offset) in zip(variables, row.get("assigned", []), strict=True):
        dtype = variable.dtype.base_dtype.as_numpy_dtype
        value = _values(variable.shape.as_list(), k, offset, dtype)
        given[variable.initializer.inputs[1]] = value
    session.run([variable.initializer for variable in variables], given)


def _collections(graph):
    return {
        key: len(graph.get_collection(key))
        for key in graph.get_all_collection_keys()
        if isinstance(key, str) and graph.get_collection(key)
    }


def _golden_collections(row, kind):
    golden = dict(row["collections"])
    if kind == "TensorFlow 2":
        golden.pop("cond_context", None)
    return golden


def _golden_output(row, kind):
    golden = row["output_op"]
    if row["arguments"].get("data_format") == "channels_first" and "pooling" in row["function"]:
        golden = f"{golden.split('/')[0]}/transpose_1:0"
    if kind == "TensorFlow 2":
        golden = golden.replace("/Merge", "/Identity")
    return OTHER_OUTPUTS.get(golden, golden)


def _golden_updates(row, kind):
    golden = row.get("updates", [])
    return [
        name.replace("/Merge", "/Identity") if kind == "TensorFlow 2" else name for name in golden
    ]


class _Scenario:
    """Does the steps of a scenario of the golden file."""

    def __init__(self, stack):
        self.stack, self.scopes = stack, []
        self.labels, self.layers, self.kinds, self.outputs = {}, {}, {}, []
        self.graph()

    def graph(self):
        self.stack.enter_context(tf.Graph().as_default())
        self.inputs, self.outputs = {}, []

    def run(self, kind, *rest):
        if hasattr(self, kind):
            getattr(self, kind)(*rest)
        else:
            self.layer(getattr(layers, kind), kind, rest[0])

    def scope(self, name, options=None):
        options = dict(options or {})
        label = options.pop("as", None)
        scope = tf.variable_scope(self._value("name", name), **self._arguments(options))
        self._enter(scope, label)

    def name_scope(self, name):
        self._enter(tf.name_scope(name))

    def _enter(self, manager, label=None):
        stack = contextlib.ExitStack()
        self.labels[label] = stack.enter_context(manager)
        self.scopes.append(stack)
        self.stack.push(stack.__exit__)

    def scope_end(self):
        self.scopes.pop().close()

    name_scope_end = scope_end

    def reuse_variables(self):
        tf.get_variable_scope().reuse_variables()

    def get_variable(self, name, shape):
        tf.get_variable(name, shape)

    def new(self, label, name, options):
        self.layers[label] = getattr(layers, name)(**self._arguments(options))
        self.kinds[label] = layers.base.kind_of(getattr(layers, name))

    def call(self, label, options=None):
        self.layer(self.layers[label], self.kinds[label], options or {})

    def layer(self, function, kind, options):
        shape = options.get("input_shape", INPUTS[kind])
        if tuple(shape) not in self.inputs:
            with tf.name_scope(None):
                name = "input_" + "x".join(map(str, shape))
                self.inputs[tuple(shape)] = tf.placeholder(tf.float32, shape, name=name)
        outputs = function(self.inputs[tuple(shape)], **self._arguments(options))
        self.outputs.append(outputs.name)

    def _arguments(self, options):
        return {key: self._value(key, one) for key, one in options.items() if key != "input_shape"}

    def _value(self, key, value):
        if isinstance(value, str) and value.startswith("@"):
            return self.labels[value[1:]]
        return value if key in ("scope", "_scope") else _meant(key, value)


def _scenarios():
    """Each scenario with the newer kind of variables, and with the older where that matters."""
    for golden in GOLDEN["naming"]:
        yield pytest.param(golden, "TensorFlow 2", id=golden["name"])
        if "resources" in golden or "updates" in golden:
            yield pytest.param(golden, "TensorFlow 1", id=f"TensorFlow 1-{golden['name']}")


@pytest.mark.parametrize(("golden", "kind"), list(_scenarios()), indirect=["kind"])
def test_naming(golden, kind):
    with contextlib.ExitStack() as stack:
        scenario = _Scenario(stack)
        error = None
        for i, step in enumerate(golden["steps"]):
            try:
                scenario.run(*step)
            except ValueError as raised:
                error = [i, raised]
                break
        assert (error and error[0]) == (golden.get("error") or [None])[0], error
        variables = tf.global_variables()
        assert _described(variables) == golden["variables"]
        assert scenario.outputs == golden["outputs"]
        assert _names(tf.GraphKeys.REGULARIZATION_LOSSES) == golden.get("losses", [])
        assert _names(tf.GraphKeys.UPDATE_OPS) == golden.get("updates", [])
        facts = {label: _facts(layer) for label, layer in scenario.layers.items()}
        assert facts == golden.get("layers", {})
        resources = [v.op.name for v in variables if v.op.type == "VarHandleOp"]
        if kind == "TensorFlow 1":
            assert resources == golden.get("resources", [])
            return  # the values are the same
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            initial = session.run(
                {v.op.name: v for v in variables if v.op.name in golden["initial"]}
            )
        assert {name: float(value.ravel()[0]) for name, value in initial.items()} == {
            name: float.fromhex(value) for name, value in golden["initial"].items()
        }


def _facts(layer):
    scope_name = layer.scope_name if layer.built else None
    return [layer.name, scope_name, [v.op.name for v in layer.variables]]


# The signatures of TensorFlow 1.10, with what is the same in many in words.
BIAS = "activation=None, use_bias=True"
KERNEL = (
    "kernel_initializer=None, bias_initializer=zeros, kernel_regularizer=None, "
    "bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None"
)
KERNELS = (
    "depthwise_initializer=None, pointwise_initializer=None, bias_initializer=zeros, "
    "depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None, "
    "activity_regularizer=None, depthwise_constraint=None, pointwise_constraint=None, "
    "bias_constraint=None"
)
WINDOW = "padding='valid', data_format='channels_last'"
NORMAL = (
    "axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer=zeros, "
    "gamma_initializer=ones, moving_mean_initializer=zeros, moving_variance_initializer=ones, "
    "beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None"
)
RENORM = "renorm=False, renorm_clipping=None, renorm_momentum=0.99, fused=None"
GHOST = "virtual_batch_size=None, adjustment=None"


def _signatures():
    """Name of the function and the class, and their signatures."""
    trained, last = "trainable=True, name=None", "reuse=None"
    yield "dense", "Dense", f"units, {BIAS}, {KERNEL}, {trained}", last
    for rank, each in ((1, "1"), (2, "(1, 1)"), (3, "(1, 1, 1)")):
        window = f"filters, kernel_size, strides={each}, {WINDOW}"
        dilated = f"{window}, dilation_rate={each}"
        conv = f"{dilated}, {BIAS}, {KERNEL}, {trained}"
        separable = f"{dilated}, depth_multiplier=1, {BIAS}, {KERNELS}, {trained}"
        transposed = f"{window}, {BIAS}, {KERNEL}, {trained}"
        pooling = f"pool_size, strides, {WINDOW}, name=None"
        yield f"conv{rank}d", f"Conv{rank}D", conv, last
        if rank < 3:
            yield f"separable_conv{rank}d", f"SeparableConv{rank}D", separable, last
        if rank > 1:
            yield f"conv{rank}d_transpose", f"Conv{rank}DTranspose", transposed, last
        yield f"max_pooling{rank}d", f"MaxPooling{rank}D", pooling, ""
        yield f"average_pooling{rank}d", f"AveragePooling{rank}D", pooling, ""


@pytest.mark.parametrize(("function", "layer", "arguments", "last"), list(_signatures()))
def test_signatures(function, layer, arguments, last):
    assert _signature(getattr(layers, layer)) == arguments
    expected = f"inputs, {arguments}, {last}".rstrip(", ")
    assert _signature(getattr(layers, function)) == expected
    assert getattr(layers, function).__name__ == function


def test_other_signatures():
    assert _signature(layers.batch_normalization) == (
        f"inputs, {NORMAL}, training=False, trainable=True, name=None, reuse=None, "
        f"{RENORM}, {GHOST}"
    )
    assert _signature(layers.BatchNormalization) == (
        f"{NORMAL}, {RENORM}, trainable=True, {GHOST}, name=None"
    )
    assert _signature(layers.dropout) == (
        "inputs, rate=0.5, noise_shape=None, seed=None, training=False, name=None"
    )
    assert _signature(layers.Dropout) == "rate=0.5, noise_shape=None, seed=None, name=None"
    assert _signature(layers.flatten) == "inputs, name=None"
    assert _signature(layers.Flatten) == "data_format=None"
    assert _signature(layers.Layer) == "trainable=True, name=None, dtype=None"
    assert _signature(layers.InputSpec) == (
        "dtype=None, shape=None, ndim=None, max_ndim=None, min_ndim=None, axes=None"
    )


def _signature(function):
    return ", ".join(
        one.name + ("" if one.default is one.empty else f"={_default(one.default)}")
        for one in inspect.signature(function).parameters.values()
        if one.kind is one.POSITIONAL_OR_KEYWORD
    )


def _default(value):
    names = {type(tf.zeros_initializer()): "zeros", type(tf.ones_initializer()): "ones"}
    return names.get(type(value)) or repr(value)


def test_all_public_names_have_documentation():
    for name, value in vars(layers).items():
        if callable(value) and not name.startswith("_"):
            for section in ("Args", "Example"):
                assert section in value.__doc__ or name == "InputSpec", name


def test_positional_arguments_and_strings(graph):
    x = tf.placeholder(tf.float32, [None, 4])
    y = layers.dense(x, 3, "relu", True, "ones", tf.zeros_initializer, None, None)
    assert y.name == "dense/Relu:0"
    assert layers.dense(x, 3.0, tf.nn.relu, name="scope").name == "scope/Relu:0"
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(y, {x: [[1, 2, 3, 4]]}).tolist() == [[10, 10, 10]]


@pytest.mark.parametrize(
    ("function", "shape", "arguments"),
    [
        ("conv1d", [2, 8, 3], {"filters": 4, "kernel_size": 3, "dilation_rate": 2}),
        ("conv2d", [2, 7, 6, 3], {"filters": 4, "kernel_size": 3, "strides": (2, 1)}),
        ("conv3d", [2, 5, 4, 6, 2], {"filters": 3, "kernel_size": 2, "padding": "same"}),
        ("separable_conv1d", [2, 8, 3], {"filters": 4, "kernel_size": 3}),
        ("separable_conv2d", [2, 7, 6, 3], {"filters": 4, "kernel_size": 3}),
        ("conv2d_transpose", [2, 7, 6, 3], {"filters": 4, "kernel_size": 3, "strides": (2, 1)}),
        ("conv3d_transpose", [2, 5, 4, 6, 2], {"filters": 3, "kernel_size": 2}),
        ("max_pooling1d", [2, 8, 3], {"pool_size": 2, "strides": 2}),
        ("max_pooling2d", [2, 7, 6, 3], {"pool_size": (2, 3), "strides": 2}),
        ("max_pooling3d", [2, 5, 4, 6, 2], {"pool_size": 2, "strides": 1}),
        ("average_pooling1d", [2, 8, 3], {"pool_size": 2, "strides": 2}),
        ("average_pooling2d", [2, 7, 6, 3], {"pool_size": (2, 3), "strides": 2}),
        ("average_pooling3d", [2, 5, 4, 6, 2], {"pool_size": 2, "strides": 1}),
        ("batch_normalization", [2, 7, 6, 3], {"training": True}),
        ("batch_normalization", [2, 7, 6, 3], {"training": False}),
    ],
)
def test_channels_first(function, shape, arguments, graph):
    """The same values and gradients as with the channels last."""
    x = tf.placeholder(tf.float32, [None, *shape[1:]])
    rank = len(shape)
    to_first, to_last = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]
    form = {"axis": 1} if "normalization" in function else {"data_format": "channels_first"}
    call = getattr(layers, function)
    with tf.variable_scope("net", initializer=tf.random_normal_initializer(seed=1)):
        if "pooling" not in function:
            arguments = {**arguments, "name": "layer"}
        last = call(x, **arguments)
    with tf.variable_scope("net", reuse=True):
        first = tf.transpose(call(tf.transpose(x, to_first), **arguments, **form), to_last)
    assert first.shape.as_list() == last.shape.as_list()
    wanted = [*tf.trainable_variables(), x]
    # Not the sum, whose gradients are all the same.
    gradients = [tf.gradients(tf.reduce_sum(tf.sin(y)), wanted) for y in (first, last)]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values, (one, other) = session.run([[first, last], gradients], {x: _values(shape, 0.37)})
    np.testing.assert_allclose(*values, 1e-5, atol=1e-5)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, atol=1e-4)


def test_partitioned_variables(graph):
    x = tf.placeholder(tf.float32, [None, 6, 6, 4])
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2)):
        conv = layers.Conv2D(6, 3, kernel_regularizer=_contrib_l2(0.1))
        norm = layers.BatchNormalization()
        y = layers.dense(layers.flatten(norm(conv(x), training=True)), 3)
    assert [v.op.name for v in tf.global_variables()] == [
        "net/conv2d/kernel/part_0",
        "net/conv2d/kernel/part_1",
        "net/conv2d/bias/part_0",
        "net/conv2d/bias/part_1",
        "net/batch_normalization/gamma/part_0",
        "net/batch_normalization/gamma/part_1",
        "net/batch_normalization/beta/part_0",
        "net/batch_normalization/beta/part_1",
        "net/batch_normalization/moving_mean",
        "net/batch_normalization/moving_variance",
        "net/dense/kernel/part_0",
        "net/dense/kernel/part_1",
        "net/dense/bias/part_0",
        "net/dense/bias/part_1",
    ]
    assert [loss.op.name for loss in conv.losses] == [
        "net/conv2d/kernel/Regularizer/l2_regularizer",
        "net/conv2d/kernel/Regularizer_1/l2_regularizer",
    ]
    assert conv.trainable_weights == []  # as in TensorFlow 1.10: the parts are what is trained
    assert len(conv.non_trainable_weights) == 2
    assert conv.count_params() == 3 * 3 * 4 * 6 + 6
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), {x: np.ones([2, 6, 6, 4])})
        assert session.run(y, {x: np.ones([2, 6, 6, 4])}).shape == (2, 3)


def test_custom_getters(graph):
    x = tf.placeholder(tf.float32, [None, 4])
    asked = []

    def untrained(getter, name, *args, **kwargs):
        asked.append((name, kwargs["trainable"], kwargs["synchronization"], kwargs["aggregation"]))
        return getter(name, *args, **{**kwargs, "trainable": False})

    def stopped(getter, name, *args, **kwargs):
        return tf.stop_gradient(getter(name, *args, **kwargs))

    with tf.variable_scope("a", custom_getter=untrained):
        dense = layers.Dense(3)
        layers.batch_normalization(dense(x))
    assert tf.trainable_variables() == []
    assert (dense.trainable_weights, len(dense.non_trainable_weights)) == ([], 2)
    auto = (tf.VariableSynchronization.AUTO, tf.VariableAggregation.NONE)
    moving = (tf.VariableSynchronization.ON_READ, tf.VariableAggregation.MEAN)
    assert asked == [
        ("a/dense/kernel", True, *auto),
        ("a/dense/bias", True, *auto),
        ("a/batch_normalization/gamma", True, *auto),
        ("a/batch_normalization/beta", True, *auto),
        ("a/batch_normalization/moving_mean", False, *moving),
        ("a/batch_normalization/moving_variance", False, *moving),
    ]
    with tf.variable_scope("b", custom_getter=stopped):
        dense = layers.Dense(3, kernel_regularizer=_contrib_l2(0.1))
        dense(x)
    assert dense.kernel.op.type == "StopGradient"
    assert (dense.trainable_weights, len(dense.non_trainable_weights)) == ([], 2)


def test_objects(graph):
    x = tf.placeholder(tf.float32, [None, 4])
    dense = layers.Dense(3, kernel_regularizer=_contrib_l2(0.1), name="fc")
    assert (dense.name, dense.graph, dense.dtype, dense.built) == ("fc", None, None, False)
    assert dense.variables == []
    one, other = dense(x), dense.apply(x)
    assert (dense.scope_name, dense.graph, dense.dtype) == ("fc", graph, "float32")
    assert dense.kernel.shape.as_list() == [4, 3]
    assert dense.bias.shape.as_list() == [3]
    for variables in (dense.variables, dense.weights, dense.trainable_variables):
        assert [v.op.name for v in variables] == ["fc/kernel", "fc/bias"]
    assert dense.trainable_weights == dense.trainable_variables
    assert dense.non_trainable_weights == dense.non_trainable_variables == []
    assert len(dense.losses) == len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 1
    assert dense.updates == []
    assert dense.count_params() == 15
    dense.trainable = False
    assert (dense.trainable_weights, len(dense.non_trainable_weights)) == ([], 2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        first, second = session.run([one, other], {x: np.ones([2, 4])})
    assert first.tolist() == second.tolist()


def test_updates_of_objects(graph):
    x = tf.placeholder(tf.float32, [None, 4])
    norm = layers.BatchNormalization(trainable=False)
    norm(x, training=True)
    assert norm.updates == tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []
    norm.trainable = True
    assert len(norm.updates) == 2
    assert [v.op.name for v in norm.trainable_weights] == [
        "batch_normalization/gamma",
        "batch_normalization/beta",
    ]


def test_layers_of_ones_own(graph):
    class TwoTimesScale(layers.Layer):
        def build(self, input_shape):
            self.input_spec = layers.InputSpec(axes={1: input_shape.as_list()[1]})
            self.factor = self.add_variable("factor", [], initializer="ones")
            self.count = self.add_weight("count", [], tf.int32, trainable=False)
            self.built = True

        def call(self, inputs, times=2):
            self.add_update(tf.assign_add(self.count, 1))
            return inputs * self.factor * times

    layer = TwoTimesScale(activity_regularizer=tf.reduce_sum)
    x = tf.placeholder(tf.float64, [None, 2])
    y = layer(x, times=3.0)
    assert layer.name == "two_times_scale_1"
    assert [(v.op.name, v.dtype.base_dtype) for v in layer.variables] == [
        ("two_times_scale/factor", tf.float64),
        ("two_times_scale/count", tf.int32),
    ]
    assert y.name == "two_times_scale/mul_1:0"
    with pytest.raises(ConfigError, match="size 2 on axis 1"):
        layer(tf.placeholder(tf.float64, [None, 3]))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        losses = tf.losses.get_regularization_losses()
        outputs, loss, _ = session.run([y, losses, updates], {x: [[1, 2]]})
        assert (outputs.tolist(), loss) == ([[3, 6]], [9])
        assert session.run(layer.count) == 1


def test_input_specs(graph):
    x = tf.placeholder(tf.float32, [None, 2, 3])
    for fits in (
        {"ndim": 3},
        {"min_ndim": 3, "max_ndim": 3},
        {"dtype": "float32"},
        {"shape": (4, None, 3)},
        {"axes": {-1: 3, 0: 7}},
    ):
        assert layers.InputSpec(**fits).expected_of(x) is None
    for fails, expected in (
        ({"ndim": 2}, "2 axes"),
        ({"min_ndim": 4}, "at least 4 axes"),
        ({"max_ndim": 2}, "at most 2 axes"),
        ({"dtype": tf.int32}, "the type int32"),
        ({"shape": (None, 5, 3)}, "size 5 on axis 1"),
        ({"axes": {-1: 2}}, "size 2 on axis -1"),
    ):
        assert layers.InputSpec(**fails).expected_of(x) == expected
    unknown = tf.placeholder(tf.float32)
    assert layers.InputSpec(min_ndim=1).expected_of(unknown) == "a known number of axes"
    assert layers.InputSpec(dtype="float32").expected_of(unknown) is None


def test_dropout(graph, kind):
    x = tf.placeholder(tf.float32, [None, 1000])
    training = tf.placeholder(tf.bool, [])
    dropped = layers.dropout(x, rate=0.25, training=training)
    seeded = [layers.dropout(x, seed=1, training=True) for _ in range(2)]
    rows = layers.dropout(x, noise_shape=[4, 1], training=True)
    assert layers.dropout(x, rate=0.0, training=True).shape.as_list() == [None, 1000]
    with tf.Session() as session:
        ones = np.ones([4, 1000])
        value = session.run(dropped, {x: ones, training: True})
        assert set(np.unique(value)) == {np.float32(0), np.float32(1 / 0.75)}
        assert 0.2 < (value == 0).mean() < 0.3
        assert (session.run(dropped, {x: ones, training: False}) == ones).all()
        one, other = session.run(seeded, {x: ones})
        assert (one == other).all()
        assert all(len(np.unique(row)) == 1 for row in session.run(rows, {x: ones}))


def test_training_may_be_a_variable_or_a_constant(graph, kind):
    x = tf.ones([2, 3])
    training = tf.get_variable("training", initializer=True, trainable=False)
    layers.batch_normalization(x, training=training)
    for known in (tf.constant(False), np.True_, None, 1):
        layers.batch_normalization(x, training=known)
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 6
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        moving = [v for v in tf.global_variables() if v.op.name.endswith("moving_mean")]
        means = [float(mean[0]) for mean in session.run(moving)]
    assert means == pytest.approx([0.01, 0, 0.01, 0, 0.01])


def test_in_conditions_and_loops(graph, kind):
    x = tf.placeholder(tf.float32, [2, 3])
    dense = layers.Dense(3, kernel_initializer="ones")
    y = tf.cond(tf.reduce_sum(x) > 0, lambda: dense(x), lambda: dense(-x))
    z = tf.while_loop(lambda i, _: i < 2, lambda i, h: (i + 1, dense(h)), (0, dense(y)))[1]
    assert [v.op.name for v in tf.global_variables()] == ["dense/kernel", "dense/bias"]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        first, last = session.run([y, z], {x: -np.ones([2, 3])})
    assert first.tolist() == [[3] * 3] * 2
    assert last.tolist() == [[81] * 3] * 2


def test_training_learns(graph, kind):
    """A whole net learns to tell two kinds of images apart."""
    x, y = tf.placeholder(tf.float32, [None, 8, 8, 1]), tf.placeholder(tf.int64, [None])
    h = layers.conv2d(x, 4, 3, padding="same", activation=tf.nn.relu)
    h = layers.max_pooling2d(layers.batch_normalization(h, training=True), 2, 2)
    logits = layers.dense(layers.flatten(h), 2)
    loss = tf.losses.sparse_softmax_cross_entropy(y, logits)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    images = np.zeros([8, 8, 8, 1])
    images[::2, ::2], images[1::2, :, ::2] = 1, 1
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        feed = {x: images, y: np.arange(8) % 2}
        losses = [session.run([loss, step], feed)[0] for _ in range(20)]
    assert losses[-1] < losses[0] / 4


REFUSED = [
    ("dense", {"units": 0}, "Argument `units` must be a positive integer"),
    ("dense", {"units": "three"}, "Argument `units` must be a positive integer"),
    ("dense", {"units": 2, "activation": "rely"}, "or one of elu, linear"),
    ("dense", {"units": 2, "kernel_initializer": np.ones([4, 2])}, "`kernel_initializer` must be"),
    (
        "dense",
        {"units": 2, "bias_regularizer": 0.1},
        "Argument `bias_regularizer` must be a function",
    ),
    (
        "dense",
        {"units": 2, "kernel_constraint": "max_norm"},
        "Argument `kernel_constraint` must be",
    ),
    ("dense", {"units": 2, "activity_regularizer": 1}, "Argument `activity_regularizer` must be"),
    ("conv2d", {"filters": 0, "kernel_size": 3}, "Argument `filters` must be a positive integer"),
    ("conv2d", {"filters": 2, "kernel_size": 0}, "`kernel_size` must be a positive integer or 2"),
    ("conv2d", {"filters": 2, "kernel_size": "3"}, "`kernel_size` must be a positive integer or 2"),
    ("conv2d", {"filters": 2, "kernel_size": 3, "strides": (1,)}, "Argument `strides` must be"),
    ("conv2d", {"filters": 2, "kernel_size": 3, "padding": "full"}, "'valid' or 'same'"),
    ("conv2d", {"filters": 2, "kernel_size": 3, "padding": None}, "'valid' or 'same'"),
    ("conv2d", {"filters": 2, "kernel_size": 3, "data_format": "NHWC"}, "'channels_first'"),
    (
        "conv2d",
        {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2},
        "`strides` or `dilation_rate` must be 1",
    ),
    (
        "separable_conv2d",
        {"filters": 2, "kernel_size": 3, "strides": (1, 2)},
        "must be the same on all axes",
    ),
    ("max_pooling2d", {"pool_size": 2, "strides": None}, "Argument `strides` must not be None"),
    ("batch_normalization", {"renorm": True}, "Argument `renorm` must be left out"),
    ("batch_normalization", {"virtual_batch_size": 2}, "`virtual_batch_size` must be left out"),
    ("batch_normalization", {"adjustment": lambda shape: (1, 0)}, "`adjustment` must be left out"),
    ("batch_normalization", {"axis": 4}, "Argument `axis` must be an axis of the inputs"),
    ("batch_normalization", {"axis": "last"}, "Argument `axis` must be an axis of the inputs"),
    ("batch_normalization", {"axis": [3, -1]}, "Argument `axis` must list each axis once"),
    ("batch_normalization", {"axis": []}, "Argument `axis` must list each axis once"),
    ("batch_normalization", {"axis": 0}, "must have known sizes on axis 0"),
    ("batch_normalization", {"training": "yes"}, "Argument `training` must be a bool"),
    ("dropout", {"training": 2}, "Argument `training` must be a bool"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), REFUSED)
def test_refused_arguments(function, arguments, message, graph):
    x = tf.placeholder(tf.float32, [None, 6, 6, 3])
    with pytest.raises(ConfigError) as raised:
        getattr(layers, function)(x, **arguments)
    assert message in str(raised.value)


def test_refused_inputs(graph):
    x = tf.placeholder(tf.float32, [None, 4])
    with pytest.raises(ConfigError, match="layer dense_1 must have at least 2 axes"):
        layers.dense(tf.ones([3]), 2)
    with pytest.raises(ConfigError, match="last axis of the inputs of layer dense_2"):
        layers.dense(tf.placeholder(tf.float32, [3, None]), 2)
    with pytest.raises(ConfigError, match="channels, axis 1 of the inputs of layer conv1d_1"):
        layers.conv1d(tf.placeholder(tf.float32, [3, None, 5]), 2, 1, data_format="channels_first")
    with pytest.raises(ConfigError, match="must have a known number of axes"):
        layers.batch_normalization(tf.placeholder(tf.float32))
    with pytest.raises(ConfigError, match="must have 1 inputs"):
        layers.Dense(3)([x, x])
    with pytest.raises(TypeError, match="unit"):
        layers.dense(x, unit=3)
    dense = layers.Dense(3)
    with pytest.raises(ConfigError, match="has no variables yet"):
        dense.count_params()
    with pytest.raises(ConfigError, match="has no scope yet"):
        dense.scope_name  # noqa: B018
    dense(x)
    with (
        tf.Graph().as_default(),
        pytest.raises(ConfigError, match="Make another layer for the other graph"),
    ):
        dense(tf.ones([2, 4]))


def test_without_a_graph():
    with pytest.raises(ConfigError, match=r"tf\.Graph\(\)\.as_default\(\)"):
        layers.dense(np.ones([2, 4]), 3)
