"""Statements and expressions of a syntax tree replaced, with comments and blank lines kept."""

from collections.abc import Mapping, Sequence

import libcst as cst


def replaced(module: cst.Module, new: Mapping[cst.CSTNode, object]) -> cst.Module:
    """A module in which nodes are others.

    Args:
        module: the module.
        new: what each node becomes. Of a small statement that is a list of them, each on a line of
            its own where the statement had one; `None` takes it away. The comments above a line
            that goes stay.
    """
    return module.visit(_Replacing(new)) if new else module


class _Replacing(cst.CSTTransformer):
    def __init__(self, new: Mapping[cst.CSTNode, object]):
        super().__init__()
        self._new = new
        self._gone: list[cst.CSTNode] = []

    def on_leave(self, original_node, updated_node):  # pyright: ignore
        updated = super().on_leave(original_node, updated_node)
        new = self._new.get(original_node, updated)
        if new is None:
            new = cst.Pass()  # libcst would take the whole line, with the comments above it
            self._gone.append(new)
        return cst.FlattenSentinel(new) if isinstance(new, list) else new

    def leave_SimpleStatementLine(self, original_node, updated_node):  # noqa: N802
        if _is_in(updated_node.body[0], self._gone):
            self._gone.append(updated_node)
        if len(original_node.body) > 1 or len(updated_node.body) == 1:
            return updated_node
        lines = [cst.SimpleStatementLine([statement]) for statement in updated_node.body]
        lines[0] = lines[0].with_changes(leading_lines=updated_node.leading_lines)
        end = updated_node.trailing_whitespace
        lines[-1] = lines[-1].with_changes(trailing_whitespace=end)
        return cst.FlattenSentinel(lines)

    def leave_IndentedBlock(self, original_node, updated_node):  # noqa: N802
        return without(updated_node, self._gone)

    def leave_Module(self, original_node, updated_node):  # noqa: N802
        return without(updated_node, self._gone)


def without(block, gone: Sequence[cst.CSTNode]):
    """A module or block without some of its statements; the comments above them stay."""
    kept, above = [], []
    for statement in block.body:
        if _is_in(statement, gone):
            above = joined(above, statement.leading_lines)
            continue
        if above:
            lines = joined(above, statement.leading_lines)
            statement = statement.with_changes(leading_lines=lines)
            above = []
        kept.append(statement)
    has_comments = any(line.comment for line in above)
    footer = [*above, *block.footer] if has_comments else block.footer
    return block.with_changes(body=kept, footer=footer)


def _is_in(node: cst.CSTNode, nodes: Sequence[cst.CSTNode]) -> bool:
    return any(node is other for other in nodes)


def joined(above: Sequence[cst.EmptyLine], below: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    """Comments and blank lines one after the other, without the blank lines of both in a row."""
    above, below = list(above), list(below)
    end = next((i for i, line in enumerate(reversed(above)) if line.comment), len(above))
    start = next((i for i, line in enumerate(below) if line.comment), len(below))
    blank = max(above[len(above) - end :], below[:start], key=len)
    return [*above[: len(above) - end], *blank, *below[start:]]
