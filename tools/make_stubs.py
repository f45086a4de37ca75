"""Writes the stubs that let editors and type checkers see Keras's names in `repro_keras`.

    python tools/make_stubs.py [--check]

A stub per public module of the installed Keras takes over all of its names, so it holds for any
Keras; the names that only `tf.keras` has are written out. `--check` writes nothing and exits 1
where a stub is missing, left over or not as it would be written.
"""

import importlib
import os
import pkgutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
PACKAGE = Path(__file__).resolve().parents[1] / "repro_keras"
HEAD = "# Written by tools/make_stubs.py; do not edit.\n# ruff: noqa\n"


def modules(root: str) -> dict[str, bool]:
    """Public modules below a package, by their name below it, and whether they are packages."""
    package = importlib.import_module(root)
    found = {"": True}
    for module in pkgutil.walk_packages(package.__path__, f"{root}."):
        name = module.name.removeprefix(f"{root}.")
        if not name.startswith(("src", "_")):
            found[name] = module.ispkg
    return found


def public_names(module_name: str) -> set[str]:
    return {n for n in vars(importlib.import_module(module_name)) if not n.startswith("_")}


def stubs() -> dict[Path, str]:
    ours, twins = modules("keras"), modules("keras._tf_keras.keras")
    result = {}
    for name in sorted({*ours, *twins}):
        here = f"keras.{name}".rstrip(".")
        twin = f"keras._tf_keras.{here}"
        text = HEAD
        known: set[str] = set()
        if name in ours:
            text += f"from {here} import *\n"
            known = public_names(here)
        if name in twins:
            extra = sorted(
                n for n in public_names(twin) - known if f"{name}.{n}".strip(".") not in twins
            )
            text += "".join(f"from {twin} import {n} as {n}\n" for n in extra)
        if not name:
            text += "from keras import __version__ as __version__\n"
            text += "from . import repro as repro\n"
        inside = sorted(o for o in {*ours, *twins} if o and o.rpartition(".")[0] == name)
        for other in (o.rpartition(".")[2] for o in inside):
            text += f"from . import {other} as {other}\n"
        path = PACKAGE.joinpath(*name.split(".")) if name else PACKAGE
        is_package = not name or bool(inside)
        result[path / "__init__.pyi" if is_package else path.with_suffix(".pyi")] = text
    return result


def main(arguments: list[str]) -> int:
    wanted = stubs()
    there = {path for path in PACKAGE.rglob("*.pyi") if "_src" not in path.parts}
    stale = sorted(
        {path for path, text in wanted.items() if path not in there or path.read_text() != text}
        | (there - set(wanted))
    )
    if arguments == ["--check"]:
        for path in stale:
            print(f"not current: {path.relative_to(PACKAGE.parent)}; run `make stubs`")
        return 1 if stale else 0
    if arguments:
        print(__doc__)
        return 2
    for path in there - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
