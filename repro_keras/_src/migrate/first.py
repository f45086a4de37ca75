"""The import of repro_keras that has to come before others."""

import re
import sys
from collections.abc import Iterator

import libcst as cst

from repro_keras._src.migrate import replacing, trees

_FIRST = "  # first: it sets up NumPy and TensorFlow"


def _modules(statement: cst.CSTNode) -> Iterator[str]:
    """The modules that a statement imports when it is run."""
    if isinstance(statement, cst.FunctionDef | cst.Lambda):
        return
    if isinstance(statement, cst.Import):
        for alias in statement.names:
            yield alias.evaluated_name.split(".")[0]
    elif isinstance(statement, cst.ImportFrom):
        yield "." if statement.relative else trees.dotted(statement.module).split(".")[0]
    for child in statement.children:
        yield from _modules(child)


def imports_us(module: cst.Module) -> bool:
    """Whether a module imports repro_keras, anywhere."""
    for node in trees.within(module):
        if isinstance(node, cst.Import):
            found = [alias.evaluated_name for alias in node.names]
        elif isinstance(node, cst.ImportFrom):
            found = [] if node.relative else [trees.dotted(node.module)]
        else:
            continue
        if any(name.split(".")[0] == "repro_keras" for name in found):
            return True
    return False


def with_first(module: cst.Module, bound: str | None) -> cst.Module:
    """The module with an import of repro_keras before those that may load NumPy or TensorFlow.

    Args:
        module: the module.
        bound: the name that the import has to bind; `None` where any import of repro_keras will do.
    """
    body = list(module.body)
    at = next((i for i, s in enumerate(body) if _foreign(s) or bound in trees.names(s)), None)
    if bound is None:
        if at is None or _foreign(body[at])[0] == "repro_keras":
            return module
        first = next((body[i] for i in range(at, len(body)) if _can_be_first(body, at, i)), None)
        if first is None:
            first = cst.parse_statement(f"import repro_keras{_FIRST}\n")
        else:
            body = list(replacing.without(module, [first]).body)
    else:
        first = cst.SimpleStatementLine([cst.Import([trees.alias("repro_keras", bound)])])
    assert at is not None
    above = list(body[at].leading_lines) if at < len(body) else []
    blank = next((i for i, line in enumerate(above) if line.comment), len(above))
    if at < len(body):
        body[at] = body[at].with_changes(leading_lines=above[blank:])
    body.insert(at, first.with_changes(leading_lines=above[:blank]))
    return module.with_changes(body=body)


def _foreign(statement: cst.CSTNode) -> list[str]:
    """The modules that a statement imports and that are not Python's own."""
    return [name for name in _modules(statement) if name not in sys.stdlib_module_names]


def without_doubles(module: cst.Module) -> cst.Module:
    """Without the imports of repro_keras that are there before: of `keras` and `keras.layers`."""
    seen, doubles = set(), []
    for statement in module.body:
        code = cst.Module([statement.with_changes(leading_lines=[])]).code.strip()
        if re.fullmatch(r"import repro_keras\S* as \w+", code.partition("#")[0].strip()):
            if code in seen:
                doubles.append(statement)
            seen.add(code.partition("#")[0].strip())
    return replacing.without(module, doubles) if doubles else module


def _can_be_first(body: list, at: int, index: int) -> bool:
    """Whether a statement imports nothing but repro_keras, and can stand before others.

    `import repro_keras as keras` loads nothing. `import repro_keras.v1 as tf` loads TensorFlow,
    which what is between may have something to say to.
    """
    code = cst.Module([body[index].with_changes(leading_lines=[])]).code
    found = re.match(r"import repro_keras(\.v1(\.keras)?)?( as \w+)?\s*(#|$)", code)
    if found is None:
        return False
    return found[1] is None or all(any(_modules(other)) for other in body[at:index])
