"""What the rows of guarantee `portable` are there for: operations that come to exact results.

    python controls_exact.py [LEFT OUT…]

Prints, for each of these rows, whether its operation does. The rows that are named, or all of a
file, are left out of the seam.
"""

import functools
import importlib
import inspect
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["REPRO_KERAS_GUARANTEE"] = "portable"
import repro_keras as keras
from repro_keras._src import patches

patches.left_out.update(sys.argv[1:])
import numpy as np  # noqa: E402

keras.layers  # noqa: B018 - loads Keras, and with it the seam


def is_exact(target):
    """Whether an operation of float32 comes to what that of float64 does, rounded."""
    import tensorflow as tf

    module, function = target.split(":")
    function = getattr(importlib.import_module(f"tensorflow.python.ops.{module}"), function)
    names = list(inspect.signature(function).parameters)[:-1]
    numbers = np.random.RandomState(0).uniform(0.01, 0.99, (len(names), 999)).astype("float32")

    def computed(numbers):
        return function(**dict(zip(names, tf.unstack(numbers), strict=True)))

    wide = tf.cast(computed(tf.cast(numbers, "float64")), "float32")
    return wide.numpy().tobytes() == computed(tf.constant(numbers)).numpy().tobytes()


def compiled_is(function, expected):
    """Whether a function, compiled by XLA, comes to the bits of another in eager mode."""
    import tensorflow as tf

    x = tf.constant(np.random.RandomState(0).uniform(0.01, 99, 9999), "float32")
    compiled = tf.function(function, jit_compile=True)(x)
    return compiled.numpy().tobytes() == np.asarray(expected(x)).tobytes()


def xla_divides_by_roots(sqrt):
    return compiled_is(lambda x: 3 / sqrt(x), lambda x: 3 / np.sqrt(x))


def xla_divides_by_raw_roots():
    import tensorflow as tf

    return xla_divides_by_roots(lambda x: tf.raw_ops.Sqrt(x=x))


def is_exact_of_complex_numbers(attribute):
    """Whether it comes to what it does in complex128, rounded."""
    import tensorflow as tf
    from tensorflow.python.ops import gen_math_ops

    function = getattr(gen_math_ops, attribute)
    names = list(inspect.signature(function).parameters)[:-1]
    parts = np.random.RandomState(0).normal(size=(2, len(names), 999)).astype("float32")
    x = dict(zip(names, parts[0] + np.complex64(1j) * parts[1], strict=True))
    wide = function(**{name: tf.cast(each, "complex128") for name, each in x.items()})
    return tf.cast(wide, "complex64").numpy().tobytes() == function(**x).numpy().tobytes()


def decomposes_in_float64_when_compiled(attribute):
    """Whether XLA's eigenvalues or singular values are those of float64, rounded."""
    import tensorflow as tf
    from tensorflow.python.ops import gen_linalg_ops

    function = getattr(gen_linalg_ops, attribute)
    x = np.random.RandomState(0).normal(size=(12, 12))
    x = tf.constant(x + x.T, "float32")
    compiled = tf.function(lambda x: function(input=x)[0], jit_compile=True)
    return tf.cast(compiled(tf.cast(x, "float64")), "float32").numpy().tobytes() == (
        compiled(x).numpy().tobytes()
    )


def is_refused(function):
    from repro_keras._src.errors import NotPortableError

    try:
        function()
    except NotPortableError:
        return True
    return False


def gradient_of_3d_is_refused(attribute):
    import tensorflow as tf
    from tensorflow.python.ops import gen_nn_ops

    images, filters = tf.ones((1, 4, 4, 4, 2), "float64"), tf.ones((3, 3, 3, 2, 5), "float64")
    above = tf.ones((1, 4, 4, 4, 5), "float64")
    of_filter = "filter" in attribute.lower()
    given = {"input": images, "filter_sizes": filters.shape}
    if not of_filter:
        given = {"input_sizes": images.shape, "filter": filters}
    given |= {"out_backprop": above, "strides": [1] * 5, "padding": "SAME"}
    return is_refused(lambda: getattr(gen_nn_ops, attribute)(**given))


def compiled_gradient_of_normalization_is_refused(attribute):
    import tensorflow as tf
    from tensorflow.python.ops import gen_nn_ops

    def gradient(x, scale):
        spaces = {f"reserve_space_{number}": scale for number in (1, 2)}
        spaces["reserve_space_3"] = tf.zeros(0)
        return getattr(gen_nn_ops, attribute)(y_backprop=x, x=x, scale=scale, **spaces)[0]

    compiled = tf.function(gradient, jit_compile=True, autograph=False)
    return is_refused(lambda: compiled(tf.ones((2, 3, 3, 4)), tf.ones(4)))


def a_library_with_compiled_roots_is_refused():
    import tensorflow as tf
    from tensorflow.core.framework import function_pb2
    from tensorflow.python.saved_model import function_deserialization

    spec = tf.TensorSpec([9])
    function = tf.function(tf.sqrt, input_signature=[spec]).get_concrete_function().function_def
    library = function_pb2.FunctionDefLibrary()
    library.function.add().CopyFrom(function)
    library.function[0].attr["_XlaMustCompile"].b = True
    return is_refused(lambda: function_deserialization.load_function_def_library(library))


def xla_makes_no_approximations_of_powers():
    wide = np.float64
    return compiled_is(lambda x: x**-0.5, lambda x: (1 / np.sqrt(x, dtype=wide)).astype("float32"))


def a_local_response_is_exact(function):
    """Whether it is what NumPy makes of its definition, in float64, and rounded."""
    from tensorflow.python.ops import gen_nn_ops

    x = np.random.RandomState(0).normal(0, 2, (3, 4, 5, 40)).astype("float32")
    squares = np.pad(x.astype("float64") ** 2, [(0, 0)] * 3 + [(2, 2)])
    near = sum(squares[..., i : i + 40] for i in range(5))
    result = getattr(gen_nn_ops, function)(input=x, depth_radius=2, bias=1.5, alpha=0.3, beta=0.5)
    return result.numpy().tobytes() == (x / np.sqrt(1.5 + 0.3 * near)).astype("float32").tobytes()


def numbers(*shape, seed=0, low=0.01, high=1.0):
    return np.random.RandomState(seed).uniform(low, high, shape).astype("float32")


def expected_updates(kernel, state, h):
    """The first of the variables after a step, by the rules of the kernels, in NumPy."""
    var, *slots, grad = state
    one = np.float32(1)
    if kernel == "adagrad":
        return var - grad * h["lr"] / np.sqrt(slots[0] + grad * grad)
    if kernel == "adadelta":
        accum = slots[0] * h["rho"] + grad * grad * (one - h["rho"])
        update = np.sqrt(slots[1] + h["epsilon"]) / np.sqrt(accum + h["epsilon"]) * grad
        return var - update * h["lr"]
    if kernel == "proximal_adagrad":
        rate = h["lr"] / np.sqrt(slots[0] + grad * grad)
        near = var - grad * rate
        shrunk = np.sign(near) * np.maximum(np.abs(near) - rate * h["l1"], np.float32(0))
        return shrunk / (one + rate * h["l2"])
    *of_mean, ms, mom = slots
    ms = ms * h["rho"] + grad * grad * (one - h["rho"])
    denominator = ms + h["epsilon"]
    if kernel == "centered_rms_prop":
        mean = of_mean[0] * h["rho"] + grad * (one - h["rho"])
        denominator = ms - mean * mean + h["epsilon"]
    return var - (mom * h["momentum"] + grad * h["lr"] / np.sqrt(denominator))


def computes_in_float32(module, attribute):
    """Whether an operation of bfloat16 is one of float32 in a graph, with a result of bfloat16."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    from repro_keras._src.patches import exact_narrow

    function = getattr(importlib.import_module(f"tensorflow.python.ops.{module}"), attribute)
    names = {operation.lower(): operation for operation in exact_narrow.OPERATIONS}
    definition = op_def_registry.get(names[attribute.lower().replace("_", "")])
    sides = 5 if "3d" in attribute.lower() else 4
    given = {"strides": [1] * sides, "ksize": [1] * sides, "padding": "SAME", "equation": "a,b->ab"}
    names = inspect.signature(function).parameters
    given = {name: value for name, value in given.items() if name in names}
    with tf.Graph().as_default() as graph:
        for arg in definition.input_arg:
            fixed = tf.dtypes.as_dtype(arg.type) if arg.type else tf.int32
            of_attr = {"T": tf.bfloat16, "TInput": tf.bfloat16, "U": tf.float32}
            placeholder = tf.compat.v1.placeholder(of_attr.get(arg.type_attr, fixed))
            given[arg.name] = [placeholder] * 2 if arg.number_attr else placeholder
        result = function(**given)
        first = result[0] if isinstance(result, (list, tuple)) else result
    nodes = [each.node_def for each in graph.get_operations()]
    types = [tf.dtypes.as_dtype(node.attr["T"].type) for node in nodes if "T" in node.attr]
    return tf.float32 in types and tf.bfloat16 not in types and first.dtype == tf.bfloat16


def normalizes_exactly_when_compiled(attribute):
    """Whether images of ones, of mean 0, come to 1/sqrt(variance)."""
    import tensorflow as tf
    from tensorflow.python.ops import gen_nn_ops

    @tf.function(jit_compile=True)
    def normalized(variance):
        like = tf.ones_like(variance)
        return getattr(gen_nn_ops, attribute)(
            x=tf.ones([1, 1, 1, len(variance)]),
            scale=like,
            offset=0 * like,
            mean=0 * like,
            variance=variance,
            epsilon=0.0,
            is_training=False,
        )[0]

    variance = numbers(999, high=99)
    exact = (1 / np.sqrt(variance, dtype="float64")).astype("float32")
    return normalized(tf.constant(variance)).numpy().tobytes() == exact.tobytes()


GRAPH = """
versions { producer: 2000 }
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
node { name: "outside" op: "Reciprocal" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
node {
  name: "inside" op: "PartitionedCall" input: "x"
  attr { key: "Tin" value { list { type: DT_FLOAT } } }
  attr { key: "Tout" value { list { type: DT_FLOAT } } }
  attr { key: "f" value { func { name: "function" } } }
}
library {
  function {
    signature {
      name: "function"
      input_arg { name: "x" type: DT_FLOAT }
      output_arg { name: "y" type: DT_FLOAT }
    }
    node_def {
      name: "square" op: "Mul" input: "x" input: "x" attr { key: "T" value { type: DT_FLOAT } }
    }
    node_def {
      name: "angle" op: "Atan2" input: "x" input: "square:z:0"
      attr { key: "T" value { type: DT_FLOAT } }
    }
    node_def {
      name: "root" op: "Rsqrt" input: "angle:z:0" attr { key: "T" value { type: DT_FLOAT } }
    }
    ret { key: "y" value: "root:y:0" }
  }
}
"""


def loads_graphs_with_exact_operations():
    """Whether a graph that others wrote, with a function in it, comes to exact results."""
    import tensorflow as tf
    from google.protobuf import text_format

    x, wide = numbers(999, high=99), np.float64
    definition = text_format.Parse(GRAPH, tf.compat.v1.GraphDef())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        outputs = tf.import_graph_def(definition, {"x": x}, ["outside:0", "inside:0"])
        outside, inside = session.run(outputs)
    angle = np.arctan2(x.astype(wide), (x * x).astype(wide)).astype("float32")
    expected = [1 / x.astype(wide), 1 / np.sqrt(angle.astype(wide))]
    return [outside.tobytes(), inside.tobytes()] == [
        value.astype("float32").tobytes() for value in expected
    ]


NARROW_GRAPH = """
versions { producer: 2000 }
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_BFLOAT16 } } }
node { name: "of_channel" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
node {
  name: "normalized" op: "FusedBatchNormV3"
  input: "x" input: "of_channel" input: "of_channel" input: "of_channel" input: "of_channel"
  attr { key: "T" value { type: DT_BFLOAT16 } } attr { key: "U" value { type: DT_FLOAT } }
}
node { name: "mean" op: "Sqrt" input: "normalized:1" attr { key: "T" value { type: DT_FLOAT } } }
node {
  name: "inside" op: "PartitionedCall" input: "normalized" input: "^mean"
  attr { key: "Tin" value { list { type: DT_BFLOAT16 } } }
  attr { key: "Tout" value { list { type: DT_BFLOAT16 } } }
  attr { key: "f" value { func { name: "function" } } }
}
library {
  function {
    signature {
      name: "function"
      input_arg { name: "x" type: DT_BFLOAT16 }
      output_arg { name: "y" type: DT_BFLOAT16 }
    }
    node_def {
      name: "contracted" op: "Einsum" input: "x" input: "x"
      attr { key: "T" value { type: DT_BFLOAT16 } } attr { key: "N" value { i: 2 } }
      attr { key: "equation" value { s: "abcd,abcd->ad" } }
    }
    node_def {
      name: "product" op: "MatMul" input: "contracted:output:0" input: "contracted:output:0"
      attr { key: "T" value { type: DT_BFLOAT16 } }
      attr { key: "transpose_b" value { b: true } }
    }
    ret { key: "y" value: "product:product:0" }
  }
}
"""


def loads_graphs_that_compute_in_float32():
    """The same, of operations of bfloat16, for which there might be no kernels."""
    import tensorflow as tf
    from google.protobuf import text_format

    x, of_channel = tf.cast(numbers(2, 9, 9, 16), "bfloat16").numpy(), numbers(16, seed=1)
    definition = text_format.Parse(NARROW_GRAPH, tf.compat.v1.GraphDef())
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        given = {"x": tf.constant(x), "of_channel": tf.constant(of_channel)}
        outputs = tf.import_graph_def(definition, given, ["mean:0", "inside:0"], name="")
        operations = graph.get_operations()
        if any(
            each.type == "FusedBatchNormV3" and each.get_attr("T") != tf.float32
            for each in operations
        ):
            return False  # there might be no kernels to run it with
        mean, inside = session.run(outputs)
    y, batch_mean, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, **dict.fromkeys(("scale", "offset", "mean", "variance"), of_channel)
    )
    contracted = tf.einsum("abcd,abcd->ad", y, y)
    expected = [tf.sqrt(batch_mean), tf.matmul(contracted, contracted, transpose_b=True)]
    return [mean.tobytes(), inside.tobytes()] == [each.numpy().tobytes() for each in expected]


HYPERPARAMETERS = {
    "lr": np.float32(0.1),
    "rho": np.float32(0.9),
    "epsilon": np.float32(1e-3),
    "momentum": np.float32(0.5),
    "l1": np.float32(0.01),
    "l2": np.float32(0.02),
}


def updates_exactly(kernel, attribute):
    """Whether a step by an operation comes to what its rule comes to in NumPy."""
    import tensorflow as tf
    from tensorflow.python.ops import gen_training_ops

    operation = getattr(gen_training_ops, attribute)
    parameters = list(inspect.signature(operation).parameters)
    names = parameters[: parameters.index("lr")]
    sparse, resource = ("indices" in parameters), attribute.lower().startswith("resource")
    # Means of squares are no less than squares of means.
    state = [numbers(64, 33, seed=i, high=0.3) for i in range(len(names))]
    if "mg" in names:
        state[names.index("ms")] += np.float32(0.2)
    grad = numbers(64, 33, seed=9, low=-0.5, high=0.5)
    h = {name: value for name, value in HYPERPARAMETERS.items() if name in parameters}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.Variable(value, use_resource=resource) for value in state]
        given = {
            name: variable.handle if resource else variable._ref()
            for name, variable in zip(names, variables, strict=True)
        }
        rows = {"indices": tf.range(3, 60)} if sparse else {}
        slice_ = grad[3:60] if sparse else grad
        step = operation(**given, **h, **rows, grad=slice_)
        session.run(tf.compat.v1.global_variables_initializer())
        session.run(step)
        found = session.run(variables[0])
    expected = expected_updates(kernel, [*state, grad], h)
    if sparse:
        expected = np.concatenate([state[0][:3], expected[3:60], state[0][60:]])
    return found.tobytes() == expected.tobytes()


KERNELS = {
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "proximal_adagrad": "ProximalAdagrad",
    "rms_prop": "RMSProp",
    "centered_rms_prop": "CenteredRMSProp",
}
UPDATES = {
    attribute: kernel
    for kernel, camel in KERNELS.items()
    for form in ("", "resource_", "sparse_", "resource_sparse_")  # not all have rows
    for attribute in (f"{form}apply_{kernel}", f"{form.title().replace('_', '')}Apply{camel}")
}
OTHERS = {
    "gen_math_ops.sqrt": lambda: xla_divides_by_roots(keras.ops.sqrt),
    "gen_math_ops.Sqrt": xla_divides_by_raw_roots,
    "gen_math_ops._pow": xla_makes_no_approximations_of_powers,
    **{
        f"gen_math_ops.{name}": functools.partial(is_exact_of_complex_numbers, name)
        for name in ("log", "Log", "xlogy", "Xlogy")
    },
    **{
        f"gen_linalg_ops.{name}": functools.partial(decomposes_in_float64_when_compiled, name)
        for name in ("self_adjoint_eig_v2", "SelfAdjointEigV2", "svd", "Svd")
    },
    **{
        f"gen_nn_ops.{name}": functools.partial(gradient_of_3d_is_refused, name)
        for name in (
            *("conv3d_backprop_input_v2", "Conv3DBackpropInputV2"),
            *("conv3d_backprop_filter_v2", "Conv3DBackpropFilterV2"),
        )
    },
    **{
        f"gen_nn_ops.{name}": functools.partial(compiled_gradient_of_normalization_is_refused, name)
        for name in ("fused_batch_norm_grad_v3", "FusedBatchNormGradV3")
    },
    "function_deserialization.load_function_def_library": a_library_with_compiled_roots_is_refused,
    "gen_nn_ops.lrn": lambda: a_local_response_is_exact("lrn"),
    "gen_nn_ops.LRN": lambda: a_local_response_is_exact("LRN"),
}


def holds(row):
    file, _, operation = row.partition(": ")
    module, _, attribute = operation.partition(".")
    if file == "exact_updates":
        return updates_exactly(UPDATES[attribute], attribute)
    if file == "exact_narrow":
        return computes_in_float32(module, attribute)
    if operation in OTHERS:
        return OTHERS[operation]()
    if file == "exact_graphs":
        return loads_graphs_with_exact_operations() and loads_graphs_that_compute_in_float32()
    if "batch_norm" in attribute.lower() or "BatchNorm" in attribute:
        return normalizes_exactly_when_compiled(attribute)
    return is_exact(f"{module}:{attribute}")


files = [importlib.import_module(f"repro_keras._src.patches.{file}") for file in patches.EXACT]
rows = [row for file in files for row in file.PATCHES]
print(json.dumps({row.name: holds(row.name) for row in rows}))
