"""Random ops of graphs made by hand, whose states can be read and set.

TensorFlow keeps the state of a random op in its kernel, out of reach. Here it is in a variable that
counts as the kernel does (Philox, 256 numbers of 128 bits to an element), and the op that draws is
the stateless one: the same bits, and a run that was killed can go on with them.
"""

import contextlib
import functools
import weakref
from typing import NamedTuple

from tensorflow.python.framework import constant_op, dtypes, func_graph, ops, tensor_util
from tensorflow.python.ops import (
    array_ops,
    control_flow_v2_func_graphs,
    gen_array_ops,
    gen_resource_variable_ops,
    gen_stateful_random_ops,
    gen_stateless_random_ops,
    gen_stateless_random_ops_v2,
    math_ops,
    sort_ops,
)

from repro_keras._src.patches import graphs
from repro_keras._src.patches.patch import Patch

_PHILOX = 1
_PREFIX = "repro_keras/"
_HANDLE, _BEGIN, _STATE = "generator/handle", "generator/begin", "generator/state"


class Generator(NamedTuple):
    """The state of a random op.

    Attributes:
        name: the op's.
        begin: the op that gives it its first state; its second input is that state.
        state: the tensor that reads it: int64 of shape [3], Philox's counter and key.
    """

    name: str
    begin: ops.Operation
    state: ops.Operation


_found: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def generators(graph: ops.Graph) -> list[Generator]:
    """The states of the random ops of a graph, those of an imported one too, in order."""
    version, found = _found.get(graph, (-1, []))
    if version != graph.version:
        found = [_generator(graph, op) for op in graph.get_operations() if _is_handle(op)]
        _found[graph] = (graph.version, found)
    return found


def _is_handle(op: ops.Operation) -> bool:
    return op.type == "VarHandleOp" and op.get_attr("shared_name").startswith(_PREFIX.encode())


def _generator(graph: ops.Graph, handle: ops.Operation) -> Generator:
    name = handle.name.removesuffix(_HANDLE)
    begin, state = (graph.get_operation_by_name(name + part) for part in (_BEGIN, _STATE))
    return Generator(name.removesuffix("/"), begin, state.outputs[0])


# Ops that draw and keep their state in the kernel; those below are rewritten where they can be.
_STATEFUL = {
    "AllCandidateSampler",
    "FixedUnigramCandidateSampler",
    "FractionalAvgPool",
    "FractionalMaxPool",
    "LearnedUnigramCandidateSampler",
    "LogUniformCandidateSampler",
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomShuffleQueue",
    "RandomShuffleQueueV2",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "SampleDistortedBoundingBox",
    "SampleDistortedBoundingBoxV2",
    "ThreadUnsafeUnigramCandidateSampler",
    "TruncatedNormal",
    "UniformCandidateSampler",
}


def out_of_reach(graph: ops.Graph) -> list[str]:
    """The random ops of a graph whose states cannot be read: their kernels keep them."""
    found = [op.name for op in graph.get_operations() if op.type in _STATEFUL]
    for function in graph.as_graph_def().library.function:
        found += [
            f"{function.signature.name}/{node.name}"
            for node in function.node_def
            if node.op in _STATEFUL
        ]
    return sorted(found)


def _can_keep_state() -> bool:
    """Whether ops are added to a graph made by hand, or to a branch or loop of one.

    Functions of data sets run apart from the session, which has the variable.
    """
    if graphs.graph_made_by_hand() is None:
        return False
    graph = ops.get_default_graph()
    while isinstance(graph, func_graph.FuncGraph):
        if not isinstance(graph, control_flow_v2_func_graphs.ControlFlowFuncGraph):
            return False
        graph = graph.outer_graph
    return True


class _Drawing:
    """An op that draws in place of a stateful one.

    Args:
        scope: the op's name, as `name_scope` gives it.
        seed: the first seed of the stateful op.
        seed2: its second.
    """

    def __init__(self, scope: str, seed: int, seed2: int):
        if type(seed2) is graphs.Unseeded:
            seed2 = graphs.seed_of_op(scope)
        path = graphs.path_of(ops.get_default_graph(), scope)
        outside = scope.rstrip("/") if "#" not in path else path.replace("#", "_")
        with _outside(), ops.name_scope(outside + "/"):
            handle = gen_resource_variable_ops.var_handle_op(
                dtypes.int64, [3], shared_name=_PREFIX + path, name=_HANDLE
            )
            begin = constant_op.constant([0, seed2, seed], dtypes.int64, name="generator/first")
            gen_resource_variable_ops.assign_variable_op(handle, begin, name=_BEGIN)
            gen_resource_variable_ops.read_variable_op(handle, dtypes.int64, name=_STATE)
        self._handle = handle

    def advance(self, size):
        """The state as it is, left behind for the next run as after `size` elements."""
        delta = math_ops.cast(size, dtypes.uint64)
        return gen_stateful_random_ops.rng_read_and_skip(self._handle, _PHILOX, delta)

    def key_and_counter(self, size):
        state = gen_array_ops.bitcast(self.advance(size), dtypes.uint64)
        return state[2:], state[:2]

    def seed(self):
        """Two seeds, for stateless ops that take no key."""
        counter, second, first = gen_array_ops.unpack(self.advance(1), num=3)
        return gen_array_ops.pack([counter, first * 2**31 + second])


@contextlib.contextmanager
def _outside():
    """Inside, ops are added to the graph made by hand, whatever branch or loop is open."""
    with ops.init_scope(), ops.device("CPU:0"), ops.colocate_with(None, ignore_existing=True):
        yield


def _size(shape):
    known = tensor_util.constant_value(shape)
    if known is not None:
        return int(known.prod())
    return math_ops.reduce_prod(math_ops.cast(shape, dtypes.int64))


def _draw_floats(stateless, type_name):
    def make(original):
        original = graphs.named(type_name)(original)

        @functools.wraps(original)
        def draw(shape, dtype, seed=0, seed2=0, name=None):
            if not _can_keep_state():
                return original(shape, dtype, seed=seed, seed2=seed2, name=name)
            with ops.name_scope(name, type_name) as scope:
                shape = ops.convert_to_tensor(shape)
                key, counter = _Drawing(scope, seed, seed2).key_and_counter(_size(shape))
                return stateless(shape, key, counter, _PHILOX, dtype=dtype, name=scope)

        return draw

    return make


def _draw_integers(original):
    original = graphs.named("RandomUniformInt")(original)

    @functools.wraps(original)
    def random_uniform_int(shape, minval, maxval, seed=0, seed2=0, name=None):
        if not _can_keep_state():
            return original(shape, minval, maxval, seed=seed, seed2=seed2, name=name)
        with ops.name_scope(name, "RandomUniformInt") as scope:
            shape = ops.convert_to_tensor(shape)
            key, counter = _Drawing(scope, seed, seed2).key_and_counter(_size(shape))
            return gen_stateless_random_ops_v2.stateless_random_uniform_int_v2(
                shape, key, counter, _PHILOX, minval, maxval, name=scope
            )

    return random_uniform_int


def _gamma(original):
    original = graphs.named("RandomGamma")(original)

    @functools.wraps(original)
    def random_gamma(shape, alpha, seed=0, seed2=0, name=None):
        if not _can_keep_state():
            return original(shape, alpha, seed=seed, seed2=seed2, name=name)
        with ops.name_scope(name, "RandomGamma") as scope:
            alpha = ops.convert_to_tensor(alpha)
            whole = _with_shape_of(alpha, shape)
            key, counter = _Drawing(scope, seed, seed2).key_and_counter(_size(whole))
            return gen_stateless_random_ops_v2.stateless_random_gamma_v3(
                whole, key, counter, _PHILOX, alpha, name=scope
            )

    return random_gamma


def _with_shape_of(tensor, shape):
    """The shape of as many draws as `shape` says for each element of a tensor."""
    shape = ops.convert_to_tensor(shape)
    return array_ops.concat([shape, array_ops.shape(tensor, out_type=shape.dtype)], 0)


# The others have no stateless form with the same bits. Where the user gave a seed, they stay as
# they are; where the seed is ours, so is the sequence.


def _is_free(seed2) -> bool:
    return type(seed2) is graphs.Unseeded and _can_keep_state()


def _shuffle(original):
    original = graphs.named("RandomShuffle")(original)

    @functools.wraps(original)
    def random_shuffle(value, seed=0, seed2=0, name=None):
        value = ops.convert_to_tensor(value)
        if not _is_free(seed2) or value.shape.rank == 0:
            return original(value, seed=seed, seed2=seed2, name=name)
        with ops.name_scope(name, "RandomShuffle") as scope:
            length = array_ops.shape(value, out_type=dtypes.int64)[:1]
            key, counter = _Drawing(scope, seed, seed2).key_and_counter(_size(length))
            ranks = gen_stateless_random_ops_v2.stateless_random_uniform_full_int_v2(
                length, key, counter, _PHILOX, dtype=dtypes.int64
            )
            order = sort_ops.argsort(ranks, stable=True)
            return array_ops.gather(value, order, name=scope)

    return random_shuffle


def _multinomial(original):
    original = graphs.named("Multinomial")(original)

    @functools.wraps(original)
    def multinomial(logits, num_samples, seed=0, seed2=0, output_dtype=dtypes.int64, name=None):
        if not _is_free(seed2):
            return original(logits, num_samples, seed, seed2, output_dtype, name)
        with ops.name_scope(name, "Multinomial") as scope:
            seeds = _Drawing(scope, seed, seed2).seed()
            return gen_stateless_random_ops.stateless_multinomial(
                logits, num_samples, seeds, output_dtype, name=scope
            )

    return multinomial


def _poisson(original):
    original = graphs.named("RandomPoissonV2")(original)

    @functools.wraps(original)
    def random_poisson_v2(shape, rate, seed=0, seed2=0, dtype=dtypes.int64, name=None):
        if not _is_free(seed2):
            return original(shape, rate, seed=seed, seed2=seed2, dtype=dtype, name=name)
        with ops.name_scope(name, "RandomPoissonV2") as scope:
            seeds = _Drawing(scope, seed, seed2).seed()
            return gen_stateless_random_ops.stateless_random_poisson(
                _with_shape_of(rate, shape), seeds, rate, dtype, name=scope
            )

    return random_poisson_v2


def _truncated(original):
    original = graphs.named("ParameterizedTruncatedNormal")(original)

    @functools.wraps(original)
    def parameterized_truncated_normal(
        shape, means, stdevs, minvals, maxvals, seed=0, seed2=0, name=None
    ):
        if not _is_free(seed2):
            return original(
                shape, means, stdevs, minvals, maxvals, seed=seed, seed2=seed2, name=name
            )
        with ops.name_scope(name, "ParameterizedTruncatedNormal") as scope:
            seeds = _Drawing(scope, seed, seed2).seed()
            return gen_stateless_random_ops.stateless_parameterized_truncated_normal(
                shape, seeds, means, stdevs, minvals, maxvals, name=scope
            )

    return parameterized_truncated_normal


_WHY = "the state of a random op can be read and set, with the same bits"
_WHY_OWN = "without a seed of the user's, it keeps a state that can be read and set"


def _row(function: str, parameters: str, make, why: str = _WHY) -> Patch:
    return Patch(
        target=f"tensorflow.python.ops.gen_random_ops:{function}",
        parameters=(*parameters.split(), "name"),
        make=make,
        why=why,
    )


PATCHES = (
    _row(
        "random_uniform",
        "shape dtype seed seed2",
        _draw_floats(gen_stateless_random_ops_v2.stateless_random_uniform_v2, "RandomUniform"),
    ),
    _row(
        "random_standard_normal",
        "shape dtype seed seed2",
        _draw_floats(
            gen_stateless_random_ops_v2.stateless_random_normal_v2, "RandomStandardNormal"
        ),
    ),
    _row(
        "truncated_normal",
        "shape dtype seed seed2",
        _draw_floats(gen_stateless_random_ops_v2.stateless_truncated_normal_v2, "TruncatedNormal"),
    ),
    _row("random_uniform_int", "shape minval maxval seed seed2", _draw_integers),
    _row("random_gamma", "shape alpha seed seed2", _gamma),
    _row("random_shuffle", "value seed seed2", _shuffle, _WHY_OWN),
    _row("multinomial", "logits num_samples seed seed2 output_dtype", _multinomial, _WHY_OWN),
    _row("random_poisson_v2", "shape rate seed seed2 dtype", _poisson, _WHY_OWN),
    _row(
        "parameterized_truncated_normal",
        "shape means stdevs minvals maxvals seed seed2",
        _truncated,
        _WHY_OWN,
    ),
)
