"""Loops in graphs: one iteration after another.

The executor of a graph begins later iterations of a loop while those before them still run, ten
together where nobody says otherwise, and which operation comes first is another from call to call,
with one thread too. That decides bits where iterations share what nothing orders: TensorFlow's
random operations have a state each, and all iterations draw from it. (Of a hundred calls of a
`tf.map_fn` that draws with a seed, 55 came to one result and 45 to another.)
"""

import functools
import inspect

from tensorflow.core.framework import graph_pb2

from repro_keras._src.patches.patch import Patch

_LOOPS = {"While", "StatelessWhile", "Enter", "RefEnter"}
_TOGETHER = "parallel_iterations"


def _one_by_one(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def function(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        if isinstance(given.arguments[_TOGETHER], int):  # what is none is refused
            given.arguments[_TOGETHER] = min(1, given.arguments[_TOGETHER])
        return original(*given.args, **given.kwargs)

    return function


def _import_one_by_one(original):
    @functools.wraps(original)
    def _import_graph_def_internal(graph_def, *args, **kwargs):
        if isinstance(graph_def, graph_pb2.GraphDef):
            graph_def = one_by_one(graph_def)
        return original(graph_def, *args, **kwargs)

    return _import_graph_def_internal


def one_by_one(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A graph whose loops have no two iterations together: itself, where it has no others.

    Args:
        graph_def: the graph; it is not changed.
    """

    def loops(graph):
        bodies = [graph.node, *(function.node_def for function in graph.library.function)]
        return [
            node
            for body in bodies
            for node in body
            if node.op in _LOOPS and (_TOGETHER not in node.attr or node.attr[_TOGETHER].i > 1)
        ]

    if not loops(graph_def):
        return graph_def
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    for node in loops(result):
        node.attr[_TOGETHER].i = 1
    return result


_WHY = "iterations that run together draw from a random operation in another order in each call"

PATCHES = (
    Patch(
        target="tensorflow.python.ops.while_v2:while_loop",
        parameters=(
            *("cond", "body", "loop_vars", "shape_invariants", "parallel_iterations"),
            *("maximum_iterations", "name", "return_same_structure", "back_prop"),
        ),
        make=_one_by_one,
        why=_WHY,
    ),
    Patch(
        target="tensorflow.python.ops.control_flow_ops:WhileContext._init_from_args",
        parameters=(
            *("self", "maximum_iterations", "parallel_iterations", "back_prop", "swap_memory"),
            "name",
        ),
        make=_one_by_one,
        why=_WHY,
    ),
    Patch(
        target="tensorflow.python.framework.importer:_import_graph_def_internal",
        parameters=None,  # the first one alone is looked at
        make=_import_one_by_one,
        why="the same in graphs that are loaded",
    ),
)
