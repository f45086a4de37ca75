"""The lines of the well-known recipes for reproducible Keras: which are not needed any more.

A line goes where repro_keras does what it says. One that says something else stays, and is named.
Seeds stay: they mean what they meant.
"""

import dataclasses
from collections.abc import Callable, Iterable

import libcst as cst

from repro_keras._src.config import BLAS_SWITCHES
from repro_keras._src.migrate import trees

_ONE_THREAD = "repro_keras runs on one thread"
_OTHER_THREADS = (
    "repro_keras has one thread: call repro.configure(threads=…, guarantee='machine') at the top "
    "instead"
)
_DETERMINISTIC = "repro_keras makes operations deterministic"
_NO_GPU = "repro_keras hides GPUs"
SESSION = "sessions have the configured threads without it"

_THREADS = ({"1"}, _ONE_THREAD, _OTHER_THREADS)
_SWITCHES = {
    "PYTHONHASHSEED": (
        None,
        "a running Python does not read it: start it with PYTHONHASHSEED=0",
        "",
    ),
    **dict.fromkeys(
        ("TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC"),
        ({"1", "true", "True"}, _DETERMINISTIC, f"{_DETERMINISTIC}, whatever this says"),
    ),
    "CUDA_VISIBLE_DEVICES": (
        {"-1", ""},
        _NO_GPU,
        f"{_NO_GPU}: for one, leave this out and set REPRO_KERAS_DEVICE=gpu and "
        "REPRO_KERAS_GUARANTEE=machine",
    ),
    "TF_ENABLE_ONEDNN_OPTS": (None, "repro_keras sets it to 1 for the same bits everywhere", ""),
    "KERAS_BACKEND": (set(), "", "repro_keras runs on TensorFlow only"),
    **dict.fromkeys((*BLAS_SWITCHES, "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), _THREADS),
}
"""For each environment variable: the values that repro_keras stands for (`None`: any), why a line
that sets one goes, and what there is to say where it sets another."""

_SET_SESSION = (
    "keras.backend.set_session",
    "keras.backend.tensorflow_backend.set_session",
    "tensorflow.python.keras.backend.set_session",
)

STARTERS = ("os.exec", "os.posix_spawn", "os.spawn", "os.system", "multiprocessing", "subprocess")
"""What starts other processes."""

_THREAD_FIELDS = ("intra_op_parallelism_threads", "inter_op_parallelism_threads")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a line is.

    Attributes:
        goes: whether it is not needed any more; else it says something else than repro_keras.
        why: why it goes, or what to do.
        is_switch: whether it sets an environment variable, which processes inherit.
    """

    goes: bool
    why: str
    is_switch: bool = False


def verdict(line: cst.BaseSmallStatement, name_of: Callable) -> Verdict | None:
    """What a line of a recipe is; `None` for any other line.

    Args:
        line: the statement.
        name_of: gives an expression's full name, as in `names.canonical`; `None` where it has none.
    """
    found = _switch(line, name_of)
    if found is not None:
        switch, value = found
        if switch not in _SWITCHES or (switch == "KERAS_BACKEND" and value == "tensorflow"):
            return None
        same, why, otherwise = _SWITCHES[switch]
        goes = same is None or value in same
        return Verdict(goes, why if goes else otherwise, is_switch=True)
    call = line.value if isinstance(line, cst.Expr) else None
    if not isinstance(call, cst.Call):
        return None
    name = name_of(call.func) or ""
    if name == "tensorflow.config.experimental.enable_op_determinism":
        return Verdict(True, _DETERMINISTIC)
    if name.startswith("tensorflow.config.threading.set_"):
        number = call.args[0].value if len(call.args) == 1 else None
        goes = isinstance(number, cst.Integer) and number.value == "1"
        return Verdict(goes, _ONE_THREAD if goes else _OTHER_THREADS)
    if name in _VISIBLE and len(call.args) == 2:
        devices, kind = (argument.value for argument in call.args)
        none = isinstance(devices, cst.List | cst.Tuple) and not devices.elements
        return Verdict(True, _NO_GPU) if none and _text(kind) == "GPU" else None
    return None


_VISIBLE = (
    "tensorflow.config.set_visible_devices",
    "tensorflow.config.experimental.set_visible_devices",
)


def _switch(line: cst.BaseSmallStatement, name_of: Callable) -> tuple[str, str | None] | None:
    """The environment variable that a line sets and its value, where that is written out."""
    if isinstance(line, cst.Assign) and len(line.targets) == 1:
        target, value = line.targets[0].target, line.value
        if isinstance(target, cst.Subscript) and name_of(target.value) == "os.environ":
            index = target.slice[0].slice
            key = _text(index.value) if isinstance(index, cst.Index) else None
            return None if key is None else (key, _text(value))
    if isinstance(line, cst.Expr) and isinstance(line.value, cst.Call):
        call = line.value
        if name_of(call.func) == "os.environ.setdefault" and len(call.args) == 2:
            key = _text(call.args[0].value)
            return None if key is None else (key, _text(call.args[1].value))
    return None


def _text(node: cst.BaseExpression) -> str | None:
    if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "str":
        number = node.args[0].value if len(node.args) == 1 else None
        return number.value if isinstance(number, cst.Integer) else None
    return None


def _is_one_thread(node: cst.BaseExpression) -> bool:
    """Whether a field of a `ConfigProto` says one thread, or leaves it open."""
    return isinstance(node, cst.Integer) and node.value in ("0", "1")


def other_threads(call: cst.Call, name_of: Callable) -> str | None:
    """What there is to say of a `ConfigProto` that asks for other threads; `None` for any else."""
    if name_of(call.func) != "tensorflow.ConfigProto":
        return None
    numbers = [a.value for a in call.args if a.keyword and a.keyword.value in _THREAD_FIELDS]
    return None if all(map(_is_one_thread, numbers)) else _OTHER_THREADS


class Sessions:
    """The lines that make a `ConfigProto` and a session from it and hand it to Keras.

    They go together, where nothing else uses what they make.
    """

    def __init__(self, name_of: Callable):
        self._name_of = name_of
        self._lines: dict[cst.BaseSmallStatement, str | None] = {}
        """For each line: the name that it binds, changes or hands over."""

    def add(self, line: cst.BaseSmallStatement) -> None:
        """Looks at a line that stands on its own."""
        if isinstance(line, cst.Assign) and len(line.targets) == 1:
            target = line.targets[0].target
            if isinstance(target, cst.Name) and self._is_made(line.value):
                self._lines[line] = target.value
            elif isinstance(target, cst.Attribute) and self._is_field(target, line.value):
                self._lines[line] = trees.parts(target)[0]
        elif isinstance(line, cst.Expr) and isinstance(line.value, cst.Call):
            call = line.value
            if self._name_of(call.func) not in _SET_SESSION or len(call.args) != 1:
                return
            session = call.args[0].value
            if isinstance(session, cst.Name):
                self._lines[line] = session.value
            elif self._is_made(session):
                self._lines[line] = None

    def not_needed(self, uses: Callable[[str], Iterable[cst.CSTNode]]) -> set:
        """The lines that go.

        Args:
            uses: gives the places where a name stands.
        """
        lines = dict(self._lines)
        made = {name for line, name in lines.items() if _binds(line)}
        while True:
            inside = {node for line in lines for node in trees.within(line)}
            bound = {name for line, name in lines.items() if _binds(line)}
            free = {name for name in bound if name and inside.issuperset(uses(name))}
            stay = [
                line
                for line in lines
                if not (trees.names(line) & made | {lines[line]}) <= {*free, None}
            ]
            if not stay:
                is_handed_over = any(isinstance(line, cst.Expr) for line in lines)
                return set(lines) if is_handed_over else set()
            for line in stay:
                del lines[line]

    def _is_made(self, value: cst.BaseExpression) -> bool:
        """Whether a value is a session or a `ConfigProto`, for one thread."""
        calls = [node for node in trees.within(value) if isinstance(node, cst.Call)]
        if value not in calls or any(other_threads(call, self._name_of) for call in calls):
            return False
        return self._name_of(calls[0].func) in ("tensorflow.ConfigProto", "tensorflow.Session")

    def _is_field(self, target: cst.Attribute, value: cst.BaseExpression) -> bool:
        if not trees.parts(target):
            return False
        if target.attr.value in _THREAD_FIELDS:
            return _is_one_thread(value)
        inner = target.value
        return isinstance(inner, cst.Attribute) and inner.attr.value == "gpu_options"


def _binds(line: cst.BaseSmallStatement) -> bool:
    return isinstance(line, cst.Assign) and isinstance(line.targets[0].target, cst.Name)
