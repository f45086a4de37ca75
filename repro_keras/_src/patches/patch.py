"""One row of the seam: what is wrapped, why, and that it is what it was when this was written."""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable

from repro_keras._src.errors import SeamError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patch:
    """A function, method or attribute of Keras or its backend that is replaced in place.

    Attributes:
        target: `module:attribute` or `module:Class.attribute`.
        parameters: the names of the original's parameters; `None` for what is no function.
        make: makes the replacement out of the original (`None` where `is_new`).
        why: one line for `repro.doctor()`.
        issue: where it was reported to Keras, if it was.
        is_new: whether Keras has nothing there.
        everywhere: whether modules have imported the function by name, so that it has to be
            replaced in each of them.
    """

    target: str
    parameters: tuple[str, ...] | None
    make: Callable
    why: str
    issue: str | None = None
    is_new: bool = False
    everywhere: bool = False

    @property
    def name(self) -> str:
        """What the row is called: its file here, and its target without the library's folders."""
        module, _, path = self.target.partition(":")
        if module.startswith(("keras.src.", "tensorflow.python.", "tf_keras.src.")):
            module = module.rpartition(".")[2]
        short = path if "." in path else f"{module}.{path}"
        return f"{self.file}: {short}"

    @property
    def file(self) -> str:
        """The name of the file that it is declared in."""
        return self.make.__module__.rpartition(".")[2]

    def install(self) -> tuple[object, object]:
        """Puts the replacement in place; raises `SeamError` where the target is not as known.

        Returns:
            The original and its replacement.
        """
        module_name, _, path = self.target.partition(":")
        *owners, attribute = path.split(".")
        try:
            owner = importlib.import_module(module_name)
            for name in owners:
                owner = getattr(owner, name)
            original = None if self.is_new else inspect.getattr_static(owner, attribute)
        except (ImportError, AttributeError) as error:
            raise SeamError(f"{self.target} is missing in the installed Keras ({error})") from None
        if self.is_new and attribute in vars(owner):
            raise SeamError(f"{self.target} is there already in the installed Keras")
        if self.parameters is not None:
            now = tuple(inspect.signature(original).parameters)  # type: ignore[arg-type]
            if now != self.parameters:
                raise SeamError(
                    f"{self.target} takes ({', '.join(now)}) in the installed Keras, and "
                    f"({', '.join(self.parameters)}) in those that this was written for"
                )
        replacement = self.make(original)
        if inspect.isfunction(original):
            # Keras makes configurations out of signatures, by functions that do not unwrap.
            replacement.__signature__ = inspect.signature(original)
        setattr(owner, attribute, replacement)
        return original, replacement


def replace_imported(pairs: list[tuple[object, object]]) -> None:
    """Replaces functions in every module that has imported them by name."""
    replacements = {}
    for original, replacement in reversed(pairs):  # one that is wrapped twice, by the outer one
        replacements[id(original)] = replacements.get(id(replacement), replacement)
    for module in list(sys.modules.values()):
        variables = getattr(module, "__dict__", {})
        found = [name for name, value in variables.items() if id(value) in replacements]
        for name in found:
            setattr(module, name, replacements[id(variables[name])])
