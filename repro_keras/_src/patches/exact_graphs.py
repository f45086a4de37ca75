"""Graphs that others made, and that are loaded: with exact operations under guarantee `portable`.

A graph from a file names operations; no function of Python's is called for them, which `exact`
could replace. So the graph is rewritten as it is imported.
"""

import functools

from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2
from tensorflow.python.framework import op_def_registry

from repro_keras._src.errors import NotPortableError
from repro_keras._src.patches import exact_narrow, exact_updates
from repro_keras._src.patches.exact import BESSEL
from repro_keras._src.patches.patch import Patch

_WIDE = {
    types_pb2.DT_BFLOAT16: types_pb2.DT_DOUBLE,
    types_pb2.DT_HALF: types_pb2.DT_DOUBLE,
    types_pb2.DT_FLOAT: types_pb2.DT_DOUBLE,
    types_pb2.DT_COMPLEX64: types_pb2.DT_COMPLEX128,
}
_COMPLEX = {types_pb2.DT_COMPLEX64: types_pb2.DT_COMPLEX128}
_NARROW = {each.as_datatype_enum: types_pb2.DT_FLOAT for each in exact_narrow.NARROW}
_WIDER = {
    **dict.fromkeys(
        ("Rsqrt", "Reciprocal", "Inv", "Atan", "Atan2", "Erfc", "Erfinv", "Ndtri"), _WIDE
    ),
    **dict.fromkeys((f"Bessel{name.capitalize()}" for name in BESSEL), _WIDE),
    **dict.fromkeys(("Log", "Xlogy"), _COMPLEX),
    **dict.fromkeys(exact_narrow.OPERATIONS, _NARROW),
}
"""Which type each operation is computed in instead of its own."""
_REFUSED = {"LRN", *(row.target.rpartition(":")[2] for row in exact_updates.PATCHES)}
_REFUSED_IN_FLOAT64 = {"Conv3DBackpropInputV2", "Conv3DBackpropFilterV2"}
_FOR_XLA = "_XlaMustCompile"
_REFUSED_FOR_XLA = {
    *("Sqrt", "Pow", "SelfAdjointEigV2", "Svd"),
    *(f"FusedBatchNorm{grad}{version}" for grad in ("", "Grad") for version in ("", "V2", "V3")),
}
"""Of these XLA alone makes approximations. Where a graph is built, others take their place."""


def _exact_import(original):
    @functools.wraps(original)
    def _import_graph_def_internal(graph_def, *args, **kwargs):
        if isinstance(graph_def, graph_pb2.GraphDef):
            graph_def = exact(graph_def)
        return original(graph_def, *args, **kwargs)

    return _import_graph_def_internal


def _exact_library(original):
    @functools.wraps(original)
    def load_function_def_library(library, *args, **kwargs):
        _require_exact(library.function)  # one by one, as they are imported, they do not say it
        return original(library, *args, **kwargs)

    return load_function_def_library


def exact(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A graph with exact operations: itself, where it has no others.

    Args:
        graph_def: the graph; it is not changed.

    Raises:
        NotPortableError: where it has an operation for which there is no exact one.
    """
    functions = graph_def.library.function
    _require_exact(functions)
    bodies = [graph_def.node, *(function.node_def for function in functions)]
    refused = [node for body in bodies for node in body if _is_refused(node)]
    if refused:
        raise NotPortableError(
            f"This graph has the operation {refused[0].op} ({refused[0].name}), whose kernel "
            "computes by the make of CPU, and guarantee='portable' has an exact form of it "
            "only where a graph is built, not where it is loaded. Build it again with "
            "repro_keras, or use guarantee='machine'."
        )
    if not any(_approximates(node) for body in bodies for node in body):
        return graph_def
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    _widen(result.node, is_function=False)
    for function in result.library.function:
        renamed = _widen(function.node_def, is_function=True)
        for key, name in function.ret.items():
            function.ret[key] = renamed.get(name, name)
    return result


def _compiled(functions) -> list:
    """The functions that XLA is to compile, and those that these call."""
    named = {function.signature.name: function for function in functions}
    waiting = [
        name
        for name, function in named.items()
        if _FOR_XLA in function.attr and function.attr[_FOR_XLA].b
    ]
    found = {}
    while waiting:
        name = waiting.pop()
        if name in found or name not in named:
            continue
        found[name] = named[name]
        for node in named[name].node_def:
            waiting.append(node.op)
            for value in node.attr.values():
                waiting += [value.func.name, *(each.name for each in value.list.func)]
    return list(found.values())


def _require_exact(functions) -> None:
    for node in (node for function in _compiled(functions) for node in function.node_def):
        if node.op in _REFUSED_FOR_XLA and node.attr["T"].type in _WIDE:
            raise NotPortableError(
                f"This graph has the operation {node.op} ({node.name}) in a function with "
                "jit_compile=True, where XLA approximates it by the make of CPU. Save it again "
                "from repro_keras, which has an exact form of it there, save it without "
                "jit_compile, or use guarantee='machine'."
            )


# An attribute is looked at where there is one only: to look puts it there.


def _is_refused(node) -> bool:
    if node.op in _REFUSED_IN_FLOAT64:
        return node.attr["T"].type == types_pb2.DT_DOUBLE
    return node.op in _REFUSED


def _approximates(node) -> bool:
    return node.op in _WIDER and node.attr["T"].type in _WIDER[node.op]


def _widen(nodes, is_function: bool) -> dict[str, str]:
    """Puts casts around operations; the last has the name, and so all that follows takes it.

    Returns:
        The results that are called otherwise now, in a function: by the output's name, too.
    """
    renamed = {}
    for node in [node for node in nodes if _approximates(node)]:
        definition = op_def_registry.get(node.op)
        narrow = node.attr["T"].type
        wide = _WIDER[node.op][narrow]
        operation, controls = node_def_pb2.NodeDef(), [x for x in node.input if x.startswith("^")]
        operation.CopyFrom(node)
        operation.name = f"{node.name}/exact"
        for number, kind in enumerate(_types_of_inputs(node, definition)):
            if kind and node.attr[kind].type == narrow:
                operation.attr[kind].type = wide
                cast = _cast(f"{node.name}/wide_{number}", node.input[number], narrow, wide, node)
                cast.input.extend(controls)
                nodes.append(cast)
                operation.input[number] = f"{cast.name}:y:0" if is_function else cast.name
        nodes.append(operation)
        outputs = [output.name for output in definition.output_arg]
        result = f"{operation.name}:{outputs[0]}:0" if is_function else operation.name
        for number, output in enumerate(outputs):
            if is_function:
                new = f"{operation.name}:{output}:0" if number else f"{node.name}:y:0"
                renamed[f"{node.name}:{output}:0"] = new
            elif number:
                renamed[f"{node.name}:{number}"] = f"{operation.name}:{number}"
        node.CopyFrom(_cast(node.name, result, wide, narrow, node))
    for node in nodes:
        for number, name in enumerate(node.input):
            node.input[number] = renamed.get(name, name)
    return renamed


def _types_of_inputs(node, definition) -> list[str]:
    """The attribute that has the type of each input; nothing where it is the same for all nodes."""
    found = []
    for arg in definition.input_arg:
        found += [arg.type_attr] * (node.attr[arg.number_attr].i if arg.number_attr else 1)
    return found


def _cast(name: str, source: str, old: int, new: int, like):
    node = node_def_pb2.NodeDef(name=name, op="Cast", input=[source], device=like.device)
    node.attr["SrcT"].type, node.attr["DstT"].type = old, new
    return node


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
    Patch(
        target="tensorflow.python.saved_model.function_deserialization:load_function_def_library",
        parameters=(
            "library",
            "saved_object_graph",
            "load_shared_name_suffix",
            "wrapper_function",
        ),
        make=_exact_library,
        why="a function from a file that XLA compiles has operations that it approximates",
    ),
)
