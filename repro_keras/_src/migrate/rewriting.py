"""A script under repro_keras."""

import dataclasses
import math
from collections.abc import Sequence

import libcst as cst

from repro_keras._src.migrate import first, names, replacing, trees
from repro_keras._src.migrate.script import Import, Note, Script, Use, imported

_GONE_METHODS = {
    "fit_generator": "fit",
    "predict_generator": "predict",
    "evaluate_generator": "evaluate",
    "predict_classes": "predict(…).argmax(axis=-1)",
}
_NO_DECAY = "optimizers of Keras 3 have no `decay`: give a schedule as the learning rate"


@dataclasses.dataclass(frozen=True)
class Rewritten:
    """A script under repro_keras.

    Attributes:
        text: its source.
        removed: the lines that are not needed any more.
        left: what could not be decided.
    """

    text: str
    removed: list[Note]
    left: list[Note]


def rewritten(script: Script, *, v1: bool) -> Rewritten:
    """A script under repro_keras.

    Args:
        script: the script.
        v1: whether it goes to `repro_keras.v1`, as a script of TensorFlow 1.
    """
    work = _Rewriting(script, v1)
    work.rewrite_uses()
    if not v1:
        work.rewrite_optimizers()
    work.rewrite_imports()
    return Rewritten(
        work.module().code,
        sorted({script.note(node, why) for node, why in script.removed.items()}),
        sorted({*work.left, *_conflicts(script, v1)}),
    )


def _conflicts(script: Script, v1: bool) -> list[Note]:
    """What in a script is against repro_keras, whatever it imports."""
    found = [script.note(node, why) for node, why in script.conflicts.items()]
    for node in script.nodes:
        if isinstance(node, cst.Call) and script.loads_by_text(node):
            found.append(script.note(node, "the module is named by a text: name repro_keras"))
        elif not v1 and isinstance(node, cst.Attribute) and node.attr.value in _GONE_METHODS:
            name = node.attr.value
            why = f"models of Keras 3 have no `{name}`: call `{_GONE_METHODS[name]}`"
            found.append(script.note(node, why))
    return found


class _Rewriting:
    def __init__(self, script: Script, v1: bool):
        self.left: list[Note] = []
        self._script, self._v1 = script, v1
        self._new: dict[cst.CSTNode, object] = dict.fromkeys(script.removed)  # pyright: ignore
        self._gone = set(script.removed_nodes)
        self._alias, self._bound_at = ("", math.inf) if v1 else self._find_alias()
        self._alias_at = math.inf  # the first line that uses it

    def _target(self, name: str) -> str:
        return names.target(name, v1=self._v1)

    def _find_alias(self) -> tuple[str, float]:
        """The name for repro_keras in the script, and the line from which it is there."""
        bound = {}
        for found in self._script.imports:
            if found.alias is None or self._target(found.full) != "repro_keras":
                continue
            if self._script.is_plain(found.statement):
                bound.setdefault(trees.bound(found.alias), self._script.line(found.statement))
        name = next(filter(self._means_keras, (*bound, "keras")), "repro_keras")
        return name, bound.get(name, math.inf)

    def _means_keras(self, name: str) -> bool:
        """Whether a name is Keras, or nothing, wherever `tf.keras` is used."""
        return all(
            self._target(imported(binding, name) or "") == "repro_keras"
            for use in self._script.uses
            if any(names.below(full, "tensorflow.keras") is not None for full in use.full_names())
            for binding in self._script.bindings(use.node, name)
        )

    def rewrite_uses(self) -> None:
        for use in self._script.uses:
            if use.node in self._script.removed_nodes:
                continue
            new = {tuple(self._parts(use, root)) for root in use.imported}
            if new != {tuple(use.parts)}:
                if len(new) > 1 or not use.certain:
                    why = f"`{use.parts[0]}` is bound in more than one way"
                    self.left.append(self._script.note(use.node, why))
                    continue
                self._rename(use, list(new.pop()))
            self._look_for(use)

    def _parts(self, use: Use, root: str) -> list[str]:
        """The parts of the name that stands for a use, where its first part is `root`."""
        old = ".".join([root, *use.parts[1:]])
        full = self._target(old)
        if full == old:
            return use.parts
        start, rest = use.parts[0], names.below(full, self._target(root))
        if rest is None:  # tf.keras.layers: repro_keras.layers is not below tensorflow
            start, rest = self._alias, names.below(full, "repro_keras")
        return [start, *rest.split(".")] if rest else [start]

    def _rename(self, use: Use, parts: list[str]) -> None:
        old, new = trees.differing(use.node, use.parts, parts)
        self._new[old] = new
        self._gone.update(trees.within(use.node))
        if parts[0] != use.parts[0]:
            self._alias_at = min(self._alias_at, self._script.line(use.node))

    def _look_for(self, use: Use) -> None:
        """Looks whether there is such a name; that of an import is looked for there."""
        if len(use.parts) == 1 or any(names.missing(self._target(root)) for root in use.imported):
            return
        for why in sorted({names.missing(self._target(full)) or "" for full in use.full_names()}):
            if why:
                self.left.append(self._script.note(use.node, why))

    def rewrite_optimizers(self) -> None:
        """Keras 3 has `learning_rate` for `lr`, and no `decay`."""
        for node in self._script.nodes:
            if not isinstance(node, cst.Call):
                continue
            name = self._script.name_of(node.func) or ""
            if names.below(name, "keras.optimizers") is None:
                continue
            for argument in node.args:
                if argument.keyword is not None and argument.keyword.value == "lr":
                    self._new[argument.keyword] = cst.Name("learning_rate")
                elif argument.keyword is not None and argument.keyword.value == "decay":
                    self.left.append(self._script.note(node, _NO_DECAY))

    def rewrite_imports(self) -> None:
        statements: dict[cst.Import | cst.ImportFrom, list[Import]] = {}
        for found in self._script.imports:
            statements.setdefault(found.statement, []).append(found)
        for statement, all_found in statements.items():
            stay = [found for found in all_found if not self._is_useless(found)]
            self.left += [
                self._script.note(statement, why) for why in map(self._amiss, stay) if why
            ]
            if isinstance(statement, cst.Import):
                new = self._import(statement, stay)
            else:
                new = self._import_from(statement, stay)
            if len(new) != 1 or not new[0].deep_equals(statement):
                self._new[statement] = new or None

    def _is_useless(self, found: Import) -> bool:
        """Whether an import is of TensorFlow, or of what is not there, and is not used any more."""
        is_tensorflow = found.full.split(".")[0] == "tensorflow" and not self._v1
        if is_tensorflow and isinstance(found.statement, cst.Import):
            return self._script.is_gone(found, self._gone)
        missing = names.missing(self._target(found.full))
        return missing is not None and self._script.is_gone(found, self._gone)

    def _amiss(self, found: Import) -> str | None:
        if found.full == "tensorflow" and found.alias is None:
            return "what it brings cannot be told: import tensorflow as tf"
        return names.missing(self._target(found.full))

    def _is_keras(self, found: Import) -> bool:
        return names.below(self._target(found.full), "repro_keras") is not None

    def _import(self, statement: cst.Import, stay: Sequence[Import]) -> list[cst.Import]:
        aliases: list[cst.ImportAlias] = []
        for found in stay:
            assert found.alias is not None
            bound = trees.bound(found.alias)
            old = found.full if found.alias.asname else bound
            new = self._target(old)
            if new != old:
                aliases.append(trees.alias(new, bound))
            elif self._target(found.full) != found.full:
                # `import tensorflow.keras.layers`, where `tensorflow` is used for more.
                aliases += [trees.alias("repro_keras", self._alias), trees.alias(old, old)]
            else:
                aliases.append(found.alias)
        is_of_tensorflow = len(stay) < len(statement.names)
        if is_of_tensorflow and self._script.line(statement) < self._alias_at < self._bound_at:
            # In the place of `import tensorflow as tf`, of which only `tf.keras` was used.
            aliases.insert(0, trees.alias("repro_keras", self._alias))
            self._bound_at = self._script.line(statement)
        elif is_of_tensorflow and not any(map(self._is_keras, self._script.imports)):
            aliases.insert(0, trees.alias("repro_keras", "repro_keras"))
        if len(statement.names) == 1:
            return [trees.with_names(statement, [alias]) for alias in aliases]
        return [trees.with_names(statement, aliases)] if aliases else []

    def _import_from(
        self, statement: cst.ImportFrom, stay: Sequence[Import]
    ) -> list[cst.Import | cst.ImportFrom]:
        if isinstance(statement.names, cst.ImportStar):
            new = trees.expression(self._target(trees.dotted(statement.module)))
            return [statement.with_changes(module=new)]
        modules: dict[str, list[cst.ImportAlias]] = {}
        for found in stay:
            alias = found.alias
            assert alias is not None
            new, bound = self._target(found.full), trees.bound(alias)
            module, _, last = new.rpartition(".")
            if new in ("repro_keras", "repro_keras.v1"):
                module, alias = "", trees.alias(new, bound)
            elif last != alias.evaluated_name:
                alias = trees.alias(last, bound).with_changes(comma=alias.comma)
            modules.setdefault(module, []).append(alias)
        result: list[cst.Import | cst.ImportFrom] = []
        for module, aliases in modules.items():
            if not module:
                result += [cst.Import([alias]) for alias in aliases]
            else:
                new = statement.with_changes(module=trees.expression(module))
                is_whole = len(aliases) == len(statement.names)
                result.append(
                    new.with_changes(names=aliases) if is_whole else trees.with_names(new, aliases)
                )
        return result

    def module(self) -> cst.Module:
        """The script's syntax tree with all that."""
        module = replacing.replaced(self._script.module, self._new)
        if not self._new and not first.imports_us(module):
            return module
        alias = self._alias if self._alias_at < self._bound_at else None
        return first.without_doubles(first.with_first(module, alias))
