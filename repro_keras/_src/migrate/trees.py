"""Dotted names and imports in syntax trees."""

from collections.abc import Iterator

import libcst as cst

NO_COMMA = cst.MaybeSentinel.DEFAULT


def parts(node: cst.CSTNode) -> list[str]:
    """The parts of a dotted name; none for anything else."""
    if isinstance(node, cst.Name):
        return [node.value]
    if isinstance(node, cst.Attribute):
        before = parts(node.value)
        return [*before, node.attr.value] if before else []
    return []


def root(node: cst.CSTNode) -> cst.CSTNode:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node


def dotted(node: cst.CSTNode | None) -> str:
    return ".".join(parts(node)) if node is not None else ""


def expression(dotted: str) -> cst.Attribute | cst.Name:
    found = cst.parse_expression(dotted)
    assert isinstance(found, cst.Attribute | cst.Name)
    return found


def bound(alias: cst.ImportAlias) -> str:
    """The name that an import binds: `keras` for `import keras.layers`."""
    return alias.evaluated_alias or alias.evaluated_name.split(".")[0]


def alias(full: str, bound: str) -> cst.ImportAlias:
    named = None if full == bound else cst.AsName(cst.Name(bound))
    return cst.ImportAlias(expression(full), named)


def with_names(statement, found: list[cst.ImportAlias]):
    """An import of other names, without the comma after the last."""
    return statement.with_changes(names=[*found[:-1], found[-1].with_changes(comma=NO_COMMA)])


def differing(node: cst.BaseExpression, old: list[str], new: list[str]):
    """The part of a dotted name that becomes another, and what it becomes."""
    while len(old) > 1 and len(new) > 1 and old[-1] == new[-1]:
        assert isinstance(node, cst.Attribute)
        node, old, new = node.value, old[:-1], new[:-1]
    part = expression(".".join(new))
    return node, part.with_changes(lpar=node.lpar, rpar=node.rpar)


def within(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A node and all that are in it, in the order of the text."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def names(node: cst.CSTNode) -> set[str]:
    """All the names in a node."""
    return {inner.value for inner in within(node) if isinstance(inner, cst.Name)}
