"""Where the names of Keras and TensorFlow are under repro_keras, and which are not there.

What the installed packages have is read from their files: nothing of them is imported.
"""

import ast
import functools
import importlib.util
from pathlib import Path

from repro_keras._src.patches.legacy_api import ALL_MOVED, MOVED

_BACKEND = {"backend.tensorflow_backend": "backend"}

_TO_KERAS_3 = {
    **MOVED,
    **{name: "utils" for name in ALL_MOVED if name.startswith("utils.")},
    **_BACKEND,
    "layers.experimental.preprocessing": "layers",
    "optimizers.experimental": "optimizers",
}

_PRIVATE = "tensorflow.python.keras"

# What `tensorflow.compat.v1` cannot stand for.
_NOT_IN_V1 = ("python", "core", "tools", "contrib", "examples", "models", "compat.v2")

_GRAPHS = (
    "disable_eager_execution",
    "disable_v2_behavior",
    "get_variable",
    "global_variables_initializer",
    "placeholder",
    "placeholder_with_default",
    "variable_scope",
)

# They are set as TensorFlow is imported.
_LAZY = ("keras", "losses", "metrics", "optimizers", "initializers", "python")


def below(name: str, module: str) -> str | None:
    """A name relative to a module: `""` for the module itself, `None` outside of it."""
    if name == module:
        return ""
    return name.removeprefix(f"{module}.") if name.startswith(f"{module}.") else None


def canonical(name: str) -> str:
    """One name for what `keras`, `tf.keras` and `repro_keras` have, and one for TensorFlow's."""
    for module, short in _CANONICAL.items():
        rest = below(name, module)
        if rest is not None:
            return f"{short}.{rest}".rstrip(".")
    return name


_CANONICAL = {
    "repro_keras.v1.keras": "keras",
    "repro_keras.v1": "tensorflow",
    "repro_keras.repro": "repro_keras.repro",
    "repro_keras": "keras",
    "tensorflow.compat.v1.keras": "keras",
    "tensorflow.compat.v2.keras": "keras",
    "tensorflow.keras": "keras",
    "tensorflow.compat.v1": "tensorflow",
}


def target(name: str, *, v1: bool) -> str:
    """The full name under repro_keras of one of Keras's or TensorFlow's; others stay.

    >>> target("tensorflow.keras.layers.Dense", v1=False)
    'repro_keras.layers.Dense'
    >>> target("tensorflow.Session", v1=True)
    'repro_keras.v1.Session'
    """
    is_tensorflow = below(name, "tensorflow") is not None
    short = canonical(name) if is_tensorflow or below(name, "keras") is not None else name
    rest = below(short, "keras")
    if rest is not None and (v1 or below(name, "tensorflow.compat.v1") is None):
        rest = _moved(rest, _BACKEND if v1 else _TO_KERAS_3)
        return f"repro_keras{'.v1.keras' * v1}.{rest}".rstrip(".")
    rest = below(short, "tensorflow")
    if v1 and rest is not None and all(below(rest, other) is None for other in _NOT_IN_V1):
        return f"repro_keras.v1.{rest}".rstrip(".")
    return name


def _moved(name: str, places: dict[str, str]) -> str:
    for old in sorted(places, key=len, reverse=True):
        rest = below(name, old)
        if rest is not None:
            return f"{places[old]}.{rest}".rstrip(".")
    return name


def missing(name: str) -> str | None:
    """Why a full name, as `target` gives it, cannot be used; `None` where it is there."""
    if below(name, "repro_keras._src") is not None:
        return None
    if below(name, _PRIVATE) is not None:
        return "it is a private copy of Keras, which has no seeds by name"
    if below(name, "tf_keras") is not None:
        return "tf_keras is Keras 2: take repro_keras.v1.keras, or repro_keras, which is Keras 3"
    if below(name, "repro_keras.optimizers.legacy") is not None:
        return "Keras 3 has the optimizers of keras.optimizers only"
    if below(name, "tensorflow.compat.v1.keras") is not None:
        return "it is Keras 2 in sessions, which Keras 3 has no use for"
    for module, (who, folders) in _FACES.items():
        rest = below(name, module)
        if rest is not None:
            if module == "tensorflow" and rest.split(".")[0] in _LAZY:
                return None
            if module == "repro_keras.v1.keras":
                rest = _moved(rest, MOVED)
            return None if _has(folders, rest) else f"{who} has no `{rest}`"
    return None


_TENSORFLOW_1 = ("repro_keras/v1", "tensorflow/_api/v2/compat/v1")
_TENSORFLOW_2 = ("tensorflow", "tensorflow/_api/v2")
_FACES = {
    "repro_keras.repro": ("repro_keras.repro", ("repro_keras/repro",)),
    "repro_keras.v1.keras": ("Keras 2", ("tf_keras/api/_v1/keras", "tf_keras", "tf_keras/src")),
    "repro_keras.v1": ("TensorFlow 2", _TENSORFLOW_1),
    "repro_keras": ("Keras 3", ("keras", "keras/_tf_keras/keras")),
    "tensorflow": ("TensorFlow 2", _TENSORFLOW_2),
}


def era(name: str) -> int | None:
    """The TensorFlow, 1 or 2, that alone has a name; `None` where that cannot be told."""
    if below(name, "repro_keras") is not None:
        if below(name, "repro_keras.v1") is not None:
            return 1
        return 2 if canonical(name).startswith("keras.") else None
    rest = below(name, "tensorflow.compat.v1")
    if rest is not None:
        return 1 if rest.split(".")[0] in _GRAPHS or _is_optimizer(rest) else None
    rest = below(name, "tensorflow")
    if not rest or rest.startswith("__") or rest.split(".")[0] in (*_LAZY, "compat"):
        return None
    if rest in ("GradientTape", "function"):
        return 2
    one, two = _has(_TENSORFLOW_1, rest), _has(_TENSORFLOW_2, rest)
    if one == two:
        return 1 if below(rest, "contrib") is not None else None
    return 1 if one else 2


def _is_optimizer(name: str) -> bool:
    return name.startswith("train.") and name.endswith("Optimizer")


def is_of_keras_2(name: str) -> bool:
    """Whether a name is below a module that only Keras 2.2 had, or one of its sessions."""
    if below(name, "repro_keras") is not None:
        return False  # it is decided
    rest = below(canonical(name), "keras")
    sessions = ("backend.get_session", "backend.set_session")
    return rest is not None and any(
        below(rest, old) is not None for old in (*ALL_MOVED, *_BACKEND, *sessions)
    )


def _has(roots: tuple[str, ...], name: str) -> bool:
    """Whether one of some folders of packages has a name; so it seems where none is installed."""
    folders = [folder for folder in map(_folder, roots) if folder is not None]
    for part in name.split(".") if name else ():
        if part.startswith("__") or not folders:
            return True
        if not any(part in _bound(folder) for folder in folders):
            return False
        folders = [folder / part for folder in folders if _bound(folder / part)]
    return True


def _folder(root: str) -> Path | None:
    package, _, rest = root.partition("/")
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(places[0], rest) if places else None


@functools.cache
def _bound(folder: Path) -> frozenset[str]:
    """The names that a module's file binds, and its submodules; none where there is no module."""
    found, source = set(), folder.with_name(f"{folder.name}.py")
    if folder.is_dir():
        found = {entry.name.removesuffix(".py") for entry in folder.iterdir()}
        source = folder / "__init__.py"
    if not source.exists():
        return frozenset(found)
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return frozenset(found)
