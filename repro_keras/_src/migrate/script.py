"""One script: what it imports, what it uses of that, and the lines of recipes in it."""

import dataclasses
import functools
import re
from collections import defaultdict
from collections.abc import Iterator

import libcst as cst
from libcst.metadata import (
    ImportAssignment,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    ScopeProvider,
)

from repro_keras._src.migrate import names, recipe, trees

_LIBRARIES = ("keras", "tensorflow", "tf_keras", "repro_keras")


@dataclasses.dataclass(frozen=True, order=True)
class Note:
    """Something about a line.

    Attributes:
        line: its number.
        code: the code that it is about.
        why: what there is to say.
    """

    line: int
    code: str
    why: str


@dataclasses.dataclass(frozen=True, eq=False)
class Import:
    """A name that is imported.

    Attributes:
        statement: the whole statement.
        alias: the name's part of it; `None` for `*`.
        full: the full name; for `*`, the module's.
    """

    statement: cst.Import | cst.ImportFrom
    alias: cst.ImportAlias | None
    full: str


@dataclasses.dataclass(frozen=True, eq=False)
class Use:
    """A name that begins with an imported one, as long as it is dotted: `tf.keras.layers.Dense`.

    Attributes:
        node: the expression.
        parts: the parts of the name.
        imported: the full names that the first part may stand for.
        certain: whether it can stand for nothing else.
    """

    node: cst.Name | cst.Attribute
    parts: list[str]
    imported: list[str]
    certain: bool

    def full_names(self) -> set[str]:
        return {".".join([root, *self.parts[1:]]) for root in self.imported}


class Script:
    """A script that may use Keras or TensorFlow.

    Args:
        source: its text.
        keeps: text outside of it that may use its names (magics of a notebook).
        is_package: whether it is an `__init__.py`, whose imports are names of the package.

    Attributes:
        module: its syntax tree.
        nodes: all nodes of that.
        imports: what it imports, relative imports left out.
        uses: what it uses of that.
        removed: the statements that are not needed any more, and why.
        conflicts: the code that asks for something else than repro_keras does, and what to do.

    Raises:
        libcst.ParserSyntaxError: where it is no Python.
    """

    def __init__(self, source: str, *, keeps: str = "", is_package: bool = False):
        wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
        self._scopes = wrapper.resolve(ScopeProvider)
        self._positions = wrapper.resolve(PositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)
        self._keeps, self._is_package = keeps, is_package
        self.module = wrapper.module
        self.nodes = list(trees.within(self.module))
        self.imports = list(self._find_imports())
        self.uses = list(self._find_uses())
        self.removed: dict[cst.CSTNode, str] = {}
        self.conflicts: dict[cst.CSTNode, str] = {}
        self._find_recipe()

    def _find_imports(self) -> Iterator[Import]:
        for node in self.nodes:
            if isinstance(node, cst.Import):
                for alias in node.names:
                    yield Import(node, alias, alias.evaluated_name)
            elif isinstance(node, cst.ImportFrom) and not node.relative:
                module = trees.dotted(node.module)
                if isinstance(node.names, cst.ImportStar):
                    yield Import(node, None, module)
                    continue
                for alias in node.names:
                    yield Import(node, alias, f"{module}.{alias.evaluated_name}")

    def _find_uses(self) -> Iterator[Use]:
        for node in self.nodes:
            if isinstance(self._parents.get(node), cst.Attribute):
                continue  # part of a longer one, or the name of an attribute
            parts = trees.parts(node)
            full = (
                [imported(found, parts[0]) for found in self.bindings(node, parts[0])]
                if parts
                else []
            )
            known = sorted({name for name in full if name is not None})
            if known:
                assert isinstance(node, cst.Name | cst.Attribute)
                yield Use(node, parts, known, None not in full)

    def bindings(self, node: cst.CSTNode, name: str) -> set:
        """What binds a name where a dotted name stands."""
        scope = self._scopes.get(trees.root(node))
        return set() if scope is None else set(scope[name])

    def _find_recipe(self) -> None:
        sessions = recipe.Sessions(self.name_of)
        full_names = {found.full for found in self.imports}.union(
            *(use.full_names() for use in self.uses)
        )
        starts_others = any(name.startswith(recipe.STARTERS) for name in full_names)
        for node in self.nodes:
            if isinstance(node, cst.Call):
                why = recipe.other_threads(node, self.name_of)
                if why is not None:
                    self.conflicts[node] = why
            if not isinstance(node, cst.BaseSmallStatement):
                continue
            found = recipe.verdict(node, self.name_of)
            if found is not None and not found.goes:
                self.conflicts[node] = found.why
            elif self._stands_alone(node):
                if found is None:
                    sessions.add(node)
                elif not (found.is_switch and starts_others):
                    self.removed[node] = found.why
        lines = sessions.not_needed(lambda name: self._places[name])
        self.removed |= dict.fromkeys(lines, recipe.SESSION)

    def name_of(self, node: cst.BaseExpression) -> str | None:
        """The full name of an expression, in its canonical form; `None` where it has none."""
        use = self._use_of.get(node)
        if use is None:
            return ".".join(trees.parts(node)) or None
        found = {names.canonical(name) for name in use.full_names()}
        return found.pop() if len(found) == 1 and use.certain else None

    @functools.cached_property
    def _use_of(self) -> dict[cst.CSTNode, Use]:
        return {use.node: use for use in self.uses}

    @functools.cached_property
    def _places(self) -> dict[str, list[cst.CSTNode]]:
        """Where each name stands."""
        found = defaultdict(list)
        for node in self.nodes:
            if isinstance(node, cst.Name) and self._scopes.get(node) is not None:
                found[node.value].append(node)
        return found

    def _stands_alone(self, statement: cst.CSTNode) -> bool:
        """Whether a statement is a line of its own, under no condition."""
        line = self._parents[statement]
        if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
            return False
        block = self._parents[line]
        owner = block if isinstance(block, cst.Module) else self._parents[block]
        if isinstance(owner, cst.If):
            is_top = isinstance(self._parents[owner], cst.Module)
            return is_top and "__name__" in trees.names(owner.test)
        return isinstance(owner, cst.Module | cst.FunctionDef)

    def is_plain(self, statement: cst.CSTNode) -> bool:
        """Whether a statement is a line of its own, in no block."""
        line = self._parents[statement]
        is_line = isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1
        return is_line and isinstance(self._parents[line], cst.Module)

    @functools.cached_property
    def removed_nodes(self) -> set[cst.CSTNode]:
        """All nodes of the statements that are not needed any more."""
        return {inner for statement in self.removed for inner in trees.within(statement)}

    def is_gone(self, found: Import, gone: set[cst.CSTNode]) -> bool:
        """Whether what an import binds was used, and nothing uses it any more.

        Args:
            found: the import.
            gone: the nodes that are no more.
        """
        if found.alias is None or not self.is_plain(found.statement) or self._is_package:
            return False
        name = trees.bound(found.alias)
        if re.search(rf"\b{name}\b", self._keeps):
            return False
        uses: set[cst.CSTNode] = {use.node for use in self.uses if use.parts[0] == name}
        for scope in {scope for scope in self._scopes.values() if scope is not None}:
            for binding in scope.assignments:  # their references have those in annotations' texts
                if isinstance(binding, ImportAssignment) and binding.name.split(".")[0] == name:
                    uses.update(access.node for access in binding.references)
        return bool(uses) and gone.issuperset(uses)

    @property
    def concerned(self) -> bool:
        """Whether it has to do with Keras or TensorFlow at all."""
        calls = (node for node in self.nodes if isinstance(node, cst.Call))
        return any(found.full.split(".")[0] in _LIBRARIES for found in self.imports) or any(
            self.loads_by_text(call) for call in calls
        )

    def loads_by_text(self, call: cst.Call) -> bool:
        """Whether a call imports Keras by its name in a text."""
        if self.name_of(call.func) not in ("importlib.import_module", "__import__"):
            return False
        text = call.args[0].value if call.args else None
        module = text.evaluated_value if isinstance(text, cst.SimpleString) else None
        return isinstance(module, str) and names.target(module, v1=False) != module

    @functools.cached_property
    def imported_words(self) -> set[str]:
        """All parts of the names that it imports, but for those of libraries."""
        relative = (n for n in self.nodes if isinstance(n, cst.ImportFrom) and n.relative)
        others = (found.full.split(".") for found in self.imports)
        words = (parts for parts in others if parts[0] not in _LIBRARIES)
        return set().union(*map(trees.names, relative), *words)

    @functools.cached_property
    def evidence(self) -> dict[int, Note]:
        """For TensorFlow 1 and 2: the first line that only works there."""
        everything = list(self._all_names())
        full_names = {full for _, full in everything}
        has_tf_keras = any(names.below(full, "tensorflow.keras") is not None for full in full_names)
        is_v1 = "tensorflow.compat.v1" in full_names and "tensorflow" not in full_names
        found: dict[int, Note] = {}
        for node, full in everything:
            era = names.era(full)
            if full == "tensorflow.compat.v1" and is_v1:
                era = 1
            elif names.is_of_keras_2(full):
                era = None if has_tf_keras or node in self.removed_nodes else 1
            elif full.startswith("tensorflow.compat.v1") and node in self.removed_nodes:
                era = None  # the recipe, in a script of TensorFlow 2
            if era is not None:
                note = self.note(node)
                found[era] = min(found.get(era, note), note)
        return found

    def _all_names(self) -> Iterator[tuple[cst.CSTNode, str]]:
        for found in self.imports:
            if not self.is_gone(found, self.removed_nodes):
                yield found.statement, found.full
        for use in self.uses:
            if len(use.parts) > 1:
                for full in use.full_names():
                    yield use.node, full

    def line(self, node: cst.CSTNode) -> int:
        return self._positions[node].start.line

    def note(self, node: cst.CSTNode, why: str = "") -> Note:
        code = self.module.code_for_node(node).strip()
        return Note(self.line(node), re.sub(r"\s+", " ", code), why)


def imported(found, name: str) -> str | None:
    """What an assignment binds a name to, where it is an import."""
    if not isinstance(found, ImportAssignment):
        return None
    node = found.node
    if isinstance(node, cst.ImportFrom):
        if node.relative or isinstance(node.names, cst.ImportStar):
            return None
        for alias in node.names:
            if trees.bound(alias) == name:
                return f"{trees.dotted(node.module)}.{alias.evaluated_name}"
        return None
    assert isinstance(node, cst.Import)
    for alias in node.names:
        if trees.bound(alias) == name:
            return alias.evaluated_name if alias.evaluated_alias else name
    return None
