"""A script as the rules see it: its tree, who is around whom, and what its names stand for."""

import ast
import builtins
from collections.abc import Iterator

Found = Iterator[tuple[str, ast.AST]]
"""The names of rules, and where they are broken."""

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_FUNCTIONS = (*_DEFINITIONS, ast.Lambda)

# Under which name things are known that have several; the longer come first.
_KERAS = ("repro_keras.v1.keras", "repro_keras", "tensorflow.compat.v1.keras", "tensorflow.keras")
_KERAS += ("tf_keras",)


class Source:
    """A parsed script.

    Attributes:
        tree: the module.
        nodes: all nodes, as `ast.walk` gives them.
    """

    def __init__(self, text: str):
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))
        self._parents = {n: parent for parent in self.nodes for n in ast.iter_child_nodes(parent)}
        self._imported = dict(self._imports())
        self._defined: dict[str, list[ast.AST]] = {}
        self._bound: dict[ast.AST, set[str]] = {}
        for node in self.nodes:
            self._bind(node)

    def parent(self, node: ast.AST) -> ast.AST:
        """The node around a node; of the module, itself."""
        return self._parents.get(node, node)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside."""
        while node is not self.tree:
            node = self.parent(node)
            yield node

    def function(self, node: ast.AST) -> ast.AST:
        """The function that a node is in, or the module."""
        return next(n for n in self.around(node) if isinstance(n, (*_FUNCTIONS, ast.Module)))

    def name(self, node: ast.AST) -> str:
        """The full name of what an expression names, such as `numpy.random.rand`.

        What is of Keras is called `keras.…`, wherever it is imported from. What is neither imported
        nor a builtin, such as the script's own functions, has an empty name.
        """
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        scopes = [n for n in self.around(node) if isinstance(n, _FUNCTIONS)]
        if any(node.id in self._bound.get(scope, ()) for scope in scopes):
            return ""
        first = self._imported.get(node.id)
        if first is None:
            if node.id in self._bound.get(self.tree, ()) or not hasattr(builtins, node.id):
                return ""
            first = node.id
        full = ".".join([first, *reversed(path)])
        for prefix in _KERAS:
            if full == prefix or full.startswith(f"{prefix}."):
                return "keras" + full[len(prefix) :]
        return full

    def called(self, node: ast.AST) -> str:
        """The full name of what a call calls; empty where it is no call."""
        return self.name(node.func) if isinstance(node, ast.Call) else ""

    def definition(self, node: ast.AST) -> ast.AST | None:
        """The function of the script that an expression is, or names; also as `self.name`."""
        match node:
            case ast.Lambda():
                return node
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                found = self._defined.get(name, [])
                return found[0] if len(found) == 1 else None
        return None

    def uses(self, bound: ast.AST) -> list[ast.Name | ast.Attribute]:
        """Where the variable is read that an assignment has just bound, up to the next one.

        A variable is a name in a function, or `self.name` in a class.
        """
        written = _written(bound)
        home = self.function(bound)
        if isinstance(bound, ast.Attribute):
            home = next((n for n in self.around(bound) if isinstance(n, ast.ClassDef)), self.tree)
        same = [
            n
            for n in ast.walk(home)
            if isinstance(n, (ast.Name, ast.Attribute)) and _written(n) == written
        ]
        reads = [n for n in same if isinstance(n.ctx, ast.Load)]
        if isinstance(bound, ast.Attribute):
            return reads  # its methods are called in any order
        here = _position(bound)
        later = [_position(n) for n in same if isinstance(n.ctx, ast.Store) and _position(n) > here]
        # What stands right of the next assignment is read before it.
        end = min(later, default=(10**9, 0))
        ends = [n for n in same if _position(n) == end]
        own = {id(n) for e in ends for n in ast.walk(self.parent(e))}
        return [n for n in reads if here < _position(n) and (_position(n) < end or id(n) in own)]

    def _imports(self) -> Iterator[tuple[str, str]]:
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        yield alias.asname, alias.name
                    else:
                        yield alias.name.partition(".")[0], alias.name.partition(".")[0]
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                for alias in node.names:
                    yield alias.asname or alias.name, f"{module}.{alias.name}"

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = node.name
            if isinstance(node, _DEFINITIONS):
                self._defined.setdefault(name, []).append(node)
        else:
            return
        self._bound.setdefault(self.function(node), set()).add(name)


def _written(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def _position(node: ast.AST) -> tuple[int, int]:
    return node.lineno, node.col_offset  # pyright: ignore
