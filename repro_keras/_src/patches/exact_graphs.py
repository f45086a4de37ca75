"""Graphs that others made, and that are loaded: with exact operations under guarantee `portable`.

A graph from a file names operations; no function of Python's is called for them, which `exact`
could replace. So the graph is rewritten as it is imported.
"""

import functools

from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2

from repro_keras._src.errors import NotPortableError
from repro_keras._src.patches import exact_updates
from repro_keras._src.patches.patch import Patch

_WIDE = {
    types_pb2.DT_BFLOAT16: types_pb2.DT_DOUBLE,
    types_pb2.DT_HALF: types_pb2.DT_DOUBLE,
    types_pb2.DT_FLOAT: types_pb2.DT_DOUBLE,
    types_pb2.DT_COMPLEX64: types_pb2.DT_COMPLEX128,
}
_WIDENED = {"Rsqrt", "Reciprocal", "Inv", "Atan", "Atan2", "Erfc", "Erfinv", "Ndtri"}
_OUTPUTS = {"Atan2": "z"}  # what the result is called within a function; of a cast, and else, `y`
_REFUSED = {"LRN", *(row.target.rpartition(":")[2] for row in exact_updates.PATCHES)}


def _exact_import(original):
    @functools.wraps(original)
    def _import_graph_def_internal(graph_def, *args, **kwargs):
        if isinstance(graph_def, graph_pb2.GraphDef):
            graph_def = exact(graph_def)
        return original(graph_def, *args, **kwargs)

    return _import_graph_def_internal


def exact(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A graph with exact operations: itself, where it has no others.

    Args:
        graph_def: the graph; it is not changed.

    Raises:
        NotPortableError: where it has an operation for which there is no exact one.
    """
    functions = graph_def.library.function
    bodies = [graph_def.node, *(function.node_def for function in functions)]
    found = [node for body in bodies for node in body if _approximates(node)]
    refused = [node for node in found if node.op in _REFUSED]
    if refused:
        raise NotPortableError(
            f"This graph has the operation {refused[0].op} ({refused[0].name}), whose kernel "
            "approximates by the make of CPU, and guarantee='portable' has an exact form of it "
            "only where a graph is built, not where it is loaded. Build it again with "
            "repro_keras, or use guarantee='machine'."
        )
    if not found:
        return graph_def
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    _widen(result.node)
    for function in result.library.function:
        for name, output in _widen(function.node_def).items():
            _rename(function, f"{name}:{output}:", f"{name}:y:")
    return result


def _approximates(node) -> bool:
    if node.op in _REFUSED:
        return True
    return node.op in _WIDENED and node.attr["T"].type in _WIDE


def _widen(nodes) -> dict[str, str]:
    """Puts casts around operations; the last has the name, and so all that follows takes it.

    Returns:
        The names of those whose result is not called as that of a cast, and how it is called.
    """
    renamed = {}
    for node in [node for node in nodes if _approximates(node)]:
        narrow, wide = node.attr["T"].type, _WIDE[node.attr["T"].type]
        before = [name for name in node.input if not name.startswith("^")]
        operation = node_def_pb2.NodeDef(name=f"{node.name}/exact", op=node.op, device=node.device)
        operation.attr["T"].type = wide
        is_in_function = any(name.count(":") == 2 for name in before)
        for number, source in enumerate(before):
            cast = _cast(f"{node.name}/wide_{number}", source, narrow, wide, node.device)
            cast.input.extend(name for name in node.input if name.startswith("^"))
            nodes.append(cast)
            operation.input.append(f"{cast.name}:y:0" if is_in_function else cast.name)
        nodes.append(operation)
        output = _OUTPUTS.get(node.op, "y")
        if output != "y":
            renamed[node.name] = output
        node.op = "Cast"
        del node.input[:], node.attr["T"]
        result = f"{operation.name}:{output}:0" if is_in_function else operation.name
        node.MergeFrom(_cast(node.name, result, wide, narrow, node.device))
    return renamed


def _cast(name: str, source: str, old: int, new: int, device: str):
    node = node_def_pb2.NodeDef(name=name, op="Cast", input=[source], device=device)
    node.attr["SrcT"].type, node.attr["DstT"].type = old, new
    return node


def _rename(function, old: str, new: str) -> None:
    """Renames a result wherever a function uses it."""
    for node in function.node_def:
        for number, name in enumerate(node.input):
            if name.startswith(old):
                node.input[number] = new + name.removeprefix(old)
    for key, name in function.ret.items():
        if name.startswith(old):
            function.ret[key] = new + name.removeprefix(old)


PATCHES = (
    Patch(
        target="tensorflow.python.framework.importer:_import_graph_def_internal",
        parameters=(
            "graph_def",
            "input_map",
            "return_elements",
            "validate_colocation_constraints",
            "name",
            "producer_op_list",
            "propagate_device_spec",
        ),
        make=_exact_import,
        why="a graph from a file has operations that approximate by the make of CPU",
    ),
)
