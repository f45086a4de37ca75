"""Root seed → named seeds: frames (what a scope holds), nodes (places in them), and draws.

Nothing here knows Keras. `_src/patches` finds out *where* a random thing is made and asks a
`Node` for its name; `_src/config` says what the root seed is.
"""

import contextlib
import functools
import importlib
import inspect
import operator
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar, overload

from repro_keras._src import bits
from repro_keras._src.errors import ConfigError, ScopeError

_Builder = TypeVar("_Builder", bound=Callable)


class Node:
    """A place in a frame: the frame's top, or a layer, model or name scope below it.

    Attributes:
        frame: the frame whose names begin here.
        path: the path below the frame's scopes; `""` for the top.
    """

    __slots__ = ("__weakref__", "_counts", "_named", "derived_from", "frame", "path")

    def __init__(self, frame: "Frame", path: str, derived_from: tuple[tuple[str, str], ...] = ()):
        self.frame = frame
        self.path = path
        # (automatic name, base) of this layer and those around it: a part of the user's may
        # carry one of them in its name, and with it a process-wide counter.
        self.derived_from = derived_from
        self._counts: Counter[str] = Counter()
        self._named: dict[str, Node] = {}

    def join(self, segment: str) -> str:
        return f"{self.path}/{segment}" if self.path else segment

    def numbered(self, base: str) -> str:
        """The path of the next thing below that was named automatically: `base#k`."""
        with self.frame.lock:
            number = self._counts[base]
            self._counts[base] += 1
        return self.join(f"{bits.label(base)}#{number}")

    def named(self, name: str) -> str:
        """The path of a thing below that was given a name."""
        for automatic, base in reversed(self.derived_from):
            if name.startswith(automatic + "_"):
                name = base + name[len(automatic) :]
                break
        return self.join(bits.label(name))

    def inside(self, name: str) -> "Node":
        """The node of a plain name scope below, one and the same for one name."""
        with self.frame.lock:
            if name not in self._named:
                self._named[name] = Node(self.frame, self.named(name), self.derived_from)
            return self._named[name]


class Frame:
    """What one entry of a scope holds: its names so far. Another entry starts afresh.

    A layer keeps the frame it was constructed in, so that a model that is built late is named as
    one that was built at once.

    Attributes:
        prefix: the scopes, as names begin with them.
        root_seed: the root seed in force when the frame was made.
        model_name: what a model without a name is called here; `None` outside scopes.
        inner: how the prefixes of scopes inside begin; `None` for as its own.
    """

    def __init__(
        self,
        prefix: str,
        root_seed: int,
        model_name: str | None = None,
        inner: str | None = None,
    ):
        self.prefix = prefix
        self.inner = prefix if inner is None else inner
        self.root_seed = root_seed
        self.model_name = model_name
        self.lock = threading.Lock()
        self.top = Node(self, "")
        self._occurrences: Counter[str] = Counter()

    def take(self, path: str) -> bits.Name:
        """The next occurrence of a path."""
        with self.lock:
            occurrence = self._occurrences[path]
            self._occurrences[path] += 1
        return bits.Name(self.prefix, path, occurrence)

    def seed(self, name: bits.Name) -> int:
        return bits.derive_seed(self.root_seed, str(name))

    def afresh(self, root_seed: int | None = None) -> "Frame":
        """The same scope with nothing named in it yet."""
        root = self.root_seed if root_seed is None else root_seed
        return Frame(self.prefix, root, self.model_name, self.inner)


class _Threads(threading.local):
    """Each thread is in its own scopes, as it has its own Keras name counters."""

    def __init__(self):
        self.frames: list[Frame] = []
        self.outside: list[dict] = []
        self.draws: list[Draws] = []


_threads = _Threads()
_outermost = Frame("", 0)
_sessions = 0


def current_frame() -> Frame:
    """The frame of the innermost scope of this thread."""
    return _threads.frames[-1] if _threads.frames else _outermost


def set_root_seed(root_seed: int) -> None:
    """Makes `root_seed` the root of every name from here on, and starts occurrences afresh."""
    global _outermost, _sessions
    _sessions += 1
    _outermost = _outermost.afresh(root_seed)
    _threads.frames[:] = [frame.afresh(root_seed) for frame in _threads.frames]
    if hooks.rerooted:
        hooks.rerooted(_threads.outside)


def start_afresh() -> None:
    """Forgets what was named in the innermost scope, as `keras.utils.clear_session` does."""
    global _outermost, _sessions
    _sessions += 1
    if _threads.frames:
        _threads.frames[-1] = _threads.frames[-1].afresh()
    else:
        _outermost = _outermost.afresh()


def outer_states(name: str) -> list:
    """What the scopes around this one have put aside of Keras's own, by its name."""
    return [state.get(name) for state in _threads.outside]


def session() -> int:
    """How often names were started afresh: what is counted per session starts again with it."""
    return _sessions


def seed_for(path: str) -> int:
    """The integer seed of a named thing: a pure function of the root seed and the name.

    Args:
        path: a name by the grammar in `docs/bits.md`, e.g. `"net/dense#0/kernel"`; inside a scope
            names begin with it: `"fold[2]:net/dense#0/kernel"`. Names of one's own are welcome
            for one's own generators.

    Returns:
        An integer from 1 to 2**31 - 1.

    Raises:
        SeedNameError: where `path` is not such a name.

    Example:

    ```python
    rng = np.random.default_rng(repro.seed_for("data/augment"))
    keras.layers.Dense(8, kernel_initializer=keras.initializers.GlorotUniform(
        seed=repro.seed_for("net/dense#0/kernel")))
    ```
    """
    bits.check_name(path)
    return bits.derive_seed(_outermost.root_seed, path)


class Draws:
    """The unseeded draws that make one weight: the first has the weight's own seed.

    An initializer object keeps its seed from call to call (an LSTM's bias calls the same one
    twice), as it does in plain Keras; every further object or draw gets a name below the weight.
    """

    def __init__(self, frame: Frame, name: bits.Name):
        self._frame = frame
        self._name = name
        self._count = 0
        self._by_object: dict[int, int] = {}

    def next(self) -> int:
        name = self._name
        if self._count:
            name = name._replace(path=f"{name.path}/draw#{self._count}")
        self._count += 1
        return self._frame.seed(name)

    def of(self, initializer: object) -> int:
        if id(initializer) not in self._by_object:
            self._by_object[id(initializer)] = self.next()
        return self._by_object[id(initializer)]


@contextlib.contextmanager
def drawing(frame: Frame, name: bits.Name) -> Iterator[None]:
    """Inside, draws without a seed belong to the weight `name`."""
    _threads.draws.append(Draws(frame, name))
    try:
        yield
    finally:
        _threads.draws.pop()


def current_draws() -> Draws | None:
    """The draws of the weight that is being made, or `None`."""
    return _threads.draws[-1] if _threads.draws else None


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Inside, a file is loaded: what is built takes no occurrence from what is built outside."""
    _threads.frames.append(current_frame().afresh())
    try:
        yield
    finally:
        _threads.frames.pop()


class _Hooks:
    """What follows scopes in and out; `_src/patches` registers Keras's own name counters.

    `trains` goes the other way: the seam calls it for the notebook's extension.
    """

    entered: Callable[[str], dict] | None = None
    left: Callable[[dict], None] | None = None
    rerooted: Callable[[list], None] | None = None
    trains: Callable[[object], None] | None = None  # with each model that a `fit` trains


hooks = _Hooks()


def _enter(frame: Frame, cell: str = "") -> None:
    _threads.frames.append(frame)
    # Without Keras nothing was counted yet, and what it counts inside ends with the scope.
    _threads.outside.append(hooks.entered(cell) if hooks.entered else {"cell": cell})


def _leave() -> None:
    _threads.frames.pop()
    outside = _threads.outside.pop()
    if hooks.left:
        hooks.left(outside)


class scope:
    """Names begin here: what is built inside is the same whatever was built outside.

    As a context manager, or as a decorator of a function that builds a model (there the default
    name is the function's qualified name). Each entry starts layer names and occurrences afresh,
    so that a builder called three times gives three equal models. Scopes nest, and the outer ones
    are part of the name.

    Args:
        name: any text. A model made inside without a name is called by it.
        index: which independent member this is (of an ensemble, of the folds of a
            cross-validation). An integer from 0; another index gives other seeds.

    Raises:
        ConfigError: where `name` is not a text or `index` not such an integer.
        ScopeError: where a decorated function is a generator or coroutine, or a scope without a
            name is entered.

    Example:

    ```python
    @repro.scope
    def build():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

    with repro.scope("fold", 3):
        model = build()
    ```
    """

    @overload
    def __new__(cls, name: str | None = None, index: int = 0) -> "scope": ...

    @overload
    def __new__(cls, name: _Builder, index: int = 0) -> _Builder: ...

    def __new__(cls, name=None, index=0):
        if callable(name):  # the bare decorator, `@repro.scope`
            return cls(None, index)(name)
        return super().__new__(cls)

    def __init__(self, name: str | None = None, index: int = 0):
        if name is not None and (not isinstance(name, str) or not name):
            raise ConfigError(
                "The name of a scope must be a text that is not empty. Received: "
                f"name={name!r} (of type {type(name).__name__})"
            )
        try:
            number = -1 if isinstance(index, bool) else operator.index(index)
        except TypeError:
            number = -1
        if not 0 <= number < 2**53:
            raise ConfigError(
                "The index of a scope must be an integer from 0 (fold 0, fold 1, …). Received: "
                f"index={index!r} (of type {type(index).__name__})"
            )
        self.name = name
        self.index = number

    def __enter__(self) -> "scope":
        if self.name is None:
            raise ScopeError(
                "A scope needs a name here: `with repro.scope('net'):`. Only as a decorator does "
                "it take the function's."
            )
        # Keras's own counters are part of what starts afresh, so it must be there.
        importlib.import_module("keras")
        _enter(self._frame())
        return self

    def __exit__(self, *exception) -> None:
        own = bits.scope_prefix(self.name, self.index) if self.name else ""
        if not _threads.outside or not current_frame().prefix.endswith(own):
            raise ScopeError(
                f"The scope {self.name!r} is left while it is not the innermost: scopes must be "
                "left in the opposite order of entering them, in the thread that entered them."
            )
        _leave()

    def __call__(self, builder: _Builder) -> _Builder:
        if not callable(builder) or inspect.isclass(builder):
            raise ScopeError(
                "`repro.scope` decorates a function that builds a model. Received: "
                f"{builder!r}; for a class, decorate the function that makes the object."
            )
        if inspect.isgeneratorfunction(builder) or inspect.iscoroutinefunction(builder):
            raise ScopeError(
                f"`repro.scope` cannot decorate {builder.__qualname__}: a generator or coroutine "
                "leaves the scope before its body runs. Put `with repro.scope(...)` inside it."
            )
        name = self.name
        if name is None:
            name = getattr(builder, "__qualname__", None) or type(builder).__qualname__

        @functools.wraps(builder)
        def build(*args, **kwargs):
            with type(self)(name, self.index):
                return builder(*args, **kwargs)

        return build  # type: ignore[return-value]

    def _frame(self) -> Frame:
        assert self.name is not None
        outer = current_frame()
        prefix = outer.inner + bits.scope_prefix(self.name, self.index)
        return Frame(prefix, outer.root_seed, self._model_name())

    def _model_name(self) -> str:
        """The scope's name as Keras and TensorFlow take it: a function's own name, no `/`."""
        assert self.name is not None
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", self.name.rpartition("<locals>.")[2])
        name = name if re.match(r"[A-Za-z0-9.]", name) else f"scope{name}"
        return f"{name}_{self.index}" if self.index else name


class CellScope:
    """A cell of a notebook as a scope, entered before it runs and left after.

    A cell with a name is `repro.scope(name)`. Another one is the top level as far as it can be:
    scopes inside begin their names as in a script, so that a builder makes the same model in every
    cell. Keras's automatic names go on from cell to cell, as one model may be built in several and
    Keras refuses two layers of one name in it; a cell that runs again begins with those that it
    began with first.

    Args:
        name: the name that the cell was given, or the one that its text makes.
        is_given: whether it was given.
    """

    def __init__(self, name: str, *, is_given: bool):
        self._name = name
        self._is_given = is_given
        self._depth = 0

    def enter(self) -> None:
        self._depth = len(_threads.outside)
        if self._is_given:
            _enter(scope(self._name)._frame())
        else:
            outer = current_frame()
            prefix = outer.inner + bits.scope_prefix(self._name, 0)
            _enter(Frame(prefix, outer.root_seed, inner=outer.inner), prefix)

    def leave(self) -> None:
        """Leaves it, and the scopes that the cell entered and did not leave."""
        while len(_threads.outside) > self._depth:
            _leave()
