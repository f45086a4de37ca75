"""Graphs made by hand: seeded when they are made; variables and random ops seeded by their names.

A graph is to names what an entry of a `repro.scope` is: in another graph they start afresh.
"""

import functools
import inspect
import re
import weakref

from tensorflow.python.framework import func_graph, ops

from repro_keras._src import bits, config, seeding
from repro_keras._src.errors import ConfigError
from repro_keras._src.patches.patch import Patch

_frames: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_functions: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # their labels


class Unseeded(int):
    """The second seed of an op that the user gave none: the op's name will say which it is."""


def graph_made_by_hand() -> ops.Graph | None:
    """The graph that ops are added to; `None` in eager execution and in its `tf.function`s.

    Functions traced inside a graph (of a data set, a branch, a loop) belong to that graph.
    """
    if ops.executing_eagerly_outside_functions():
        return None
    graph = ops.get_default_graph()
    while isinstance(graph, func_graph.FuncGraph):
        graph = graph.outer_graph
    return graph


def frame_of(graph: ops.Graph) -> seeding.Frame:
    """The names of a graph, in the `repro.scope` that is open."""
    now = seeding.current_frame()
    frames = _frames.setdefault(graph, {})
    key = (now.prefix, now.root_seed)
    if key not in frames:
        frames[key] = now.afresh()
    return frames[key]


def path_of(graph: ops.Graph, name: str) -> str:
    """The path of an op or variable below the graph made by hand that it is in."""
    segments = [bits.label(part) for part in name.split("/") if part]
    while isinstance(graph, func_graph.FuncGraph):
        segments.insert(0, _label_of(graph))
        graph = graph.outer_graph
    return "/".join(segments)


def _label_of(function: func_graph.FuncGraph) -> str:
    """What a function is called in names: TensorFlow's name has a process-wide number."""
    if function not in _functions:
        graph = function
        while isinstance(graph, func_graph.FuncGraph):
            graph = graph.outer_graph
        base = bits.label(re.sub(r"(_\d+)+$", "", function.name) or "function")
        _functions[function] = f"{base}#{frame_of(graph).take(f'{base}#0').occurrence}"
    return _functions[function]


def seed_of_op(name: str) -> int:
    """The seed of a random op of the default graph that the user gave none."""
    graph = graph_made_by_hand()
    assert graph is not None
    frame = frame_of(graph)
    return frame.seed(bits.Name(frame.prefix, path_of(ops.get_default_graph(), name)))


def _seed_graph(original):
    @functools.wraps(original)
    def __init__(self):
        original(self)
        self._seed = config.config().seed_of("backend")

    return __init__


def _seed_older_graph(original):
    @functools.wraps(original)
    def as_default(self):
        if self._seed is None:  # it was made before repro_keras was imported
            self._seed = config.config().seed_of("backend")
        return original(self)

    return as_default


def _seed_by_name(original):
    @functools.wraps(original)
    def get_seed(op_seed):
        if op_seed is not None or graph_made_by_hand() is None:
            return original(op_seed)
        draws = seeding.current_draws()
        if draws is not None:  # it makes a variable's initial value
            return original(draws.next())
        first, second = original(seed_of_op(f"{ops.get_default_graph().get_name_scope()}/draw"))
        return first, Unseeded(second)

    return get_seed


def named(op_type: str):
    """Makes of a function that adds a random op one that resolves its seed by the op's name."""

    def make(original):
        signature = inspect.signature(original)

        @functools.wraps(original)
        def add(*args, **kwargs):
            given = signature.bind(*args, **kwargs)
            if type(given.arguments.get("seed2")) is Unseeded:
                name = given.arguments.get("name") or op_type
                if not name.endswith("/"):
                    name = ops.get_default_graph().unique_name(name, mark_as_used=False)
                given.arguments["seed2"] = seed_of_op(name)
            return original(*given.args, **given.kwargs)

        return add

    return make


def _require_seed(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def pool(*args, **kwargs):
        given = signature.bind(*args, **kwargs).arguments
        seeded = given.get("seed") or given.get("seed2")
        if not seeded and graph_made_by_hand() is not None:
            raise ConfigError(
                f"tf.nn.{original.__name__} without a seed draws other regions in every run, and "
                "its kernel takes one only for regions that are the same in each step. Give it "
                "deterministic=True and a seed, e.g. seed=repro.seed_for('pool')."
            )
        return original(*args, **kwargs)

    return pool


def _name_variable(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _get_single_variable(self, *args, **kwargs):
        graph = graph_made_by_hand()
        name = signature.bind(self, *args, **kwargs).arguments["name"]
        if graph is None or name in self._vars:
            return original(self, *args, **kwargs)
        frame = frame_of(graph)
        with seeding.drawing(frame, frame.take(path_of(graph, name))):
            return original(self, *args, **kwargs)

    return _get_single_variable


PATCHES = (
    Patch(
        target="tensorflow.python.framework.ops:Graph.__init__",
        parameters=("self",),
        make=_seed_graph,
        why="a new graph has no seed, whatever `tf.random.set_seed` was told",
    ),
    Patch(
        target="tensorflow.python.framework.ops:Graph.as_default",
        parameters=("self",),
        make=_seed_older_graph,
        why="the same for a graph made before repro_keras was imported",
    ),
    Patch(
        target="tensorflow.python.framework.random_seed:get_seed",
        parameters=("op_seed",),
        make=_seed_by_name,
        everywhere=True,
        why="a random op of a graph without a seed gets one by its place in the graph",
        issue="tensorflow/tensorflow#14675",
    ),
    Patch(
        target="tensorflow.python.ops.variable_scope:_VariableStore._get_single_variable",
        parameters=None,  # `name` is looked up in the signature
        make=_name_variable,
        why="a variable's initializer draws from a seed made of the variable's full name",
        issue="tensorflow/tensorflow#31149",
    ),
    *(
        Patch(
            target=f"tensorflow.python.ops.{module}:{function}",
            parameters=None,  # `seed2` and `name` are looked up in the signature
            make=named("".join(part.title() for part in function.split("_"))),
            why="its seed is made of the op's name, so that an added op shifts no other",
            issue="tensorflow/tensorflow#31149",
        )
        for module, function in (
            ("gen_candidate_sampling_ops", "all_candidate_sampler"),
            ("gen_candidate_sampling_ops", "fixed_unigram_candidate_sampler"),
            ("gen_candidate_sampling_ops", "learned_unigram_candidate_sampler"),
            ("gen_candidate_sampling_ops", "log_uniform_candidate_sampler"),
            ("gen_candidate_sampling_ops", "uniform_candidate_sampler"),
        )
    ),
    Patch(
        target="tensorflow.python.ops.gen_nn_ops:fractional_avg_pool",
        parameters=None,  # the seeds are looked up in the signature
        make=_require_seed,
        why="without a seed it draws other regions in every run, and takes one as fixed only",
    ),
)
