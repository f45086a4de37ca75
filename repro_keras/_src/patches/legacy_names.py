"""Where tf_keras makes a random thing in a graph made by hand: the node of every layer.

As for Keras 3 (`names.py`): automatic names count within their parent, and a graph is to names
what an entry of a `repro.scope` is.
"""

import contextlib
import functools
import threading
import weakref

from tf_keras.src.engine import functional
from tf_keras.src.utils import generic_utils

from repro_keras._src import seeding
from repro_keras._src.patches import graphs
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity

# Automatic names are known by the very string object, which `get_config` and `from_config` hand
# on: a copy of a layer without a name is one without a name.
_issued: dict[tuple[str, str], str] = {}
_base_by_id: dict[int, str] = {}

_bases: ByIdentity[str] = ByIdentity()  # what layers without a name count under
_homes: ByIdentity[seeding.Frame] = ByIdentity()  # the scope that a layer was constructed in
_nodes: ByIdentity[seeding.Node] = ByIdentity()
_frames: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # by graph, then by scope


class _Open(threading.local):
    def __init__(self):
        self.layers: list = []  # those that are called or built, the innermost last


_open = _Open()


def current_node() -> seeding.Node | None:
    """The node of the innermost layer that is called or built, or the top of the scope.

    `None` in eager execution.
    """
    if _open.layers:
        return place(_open.layers[-1])
    return _top(seeding.current_frame())


def place(layer) -> seeding.Node | None:
    """The node of a layer, below the one that is called now if it has none; `None` if eager."""
    node = _nodes.get(layer)
    if node is None:
        around = [other for other in _open.layers if other is not layer]
        home = _homes.get(layer) or seeding.current_frame()
        parent = place(_owner(layer, around[-1])) if around else _top(home)
        if parent is None:
            return None
        node = _node(layer, parent)
        _nodes.set(layer, node)
    return node


def _owner(layer, around):
    """The innermost layer inside `around` that holds `layer`: wrappers build layers uncalled."""
    held = list(around._flatten_layers(recursive=False, include_self=False))
    if not any(other is layer for other in held):
        for other in held:
            if any(inner is layer for inner in other._flatten_layers(include_self=False)):
                return _owner(layer, other)
    return around


def _top(scope: seeding.Frame) -> seeding.Node | None:
    graph = graphs.graph_made_by_hand()
    if graph is None:
        return None
    frames = _frames.setdefault(graph, weakref.WeakKeyDictionary())
    if scope not in frames:
        frames[scope] = scope.afresh()
    return frames[scope].top


def _node(layer, parent: seeding.Node) -> seeding.Node:
    base = _bases.get(layer)
    if base is None:
        return seeding.Node(parent.frame, parent.named(layer.name), parent.derived_from)
    derived_from = (*parent.derived_from, (layer.name, base))
    return seeding.Node(parent.frame, parent.numbered(base), derived_from)


@contextlib.contextmanager
def inside(layer):
    """Inside, what has no place yet is part of the layer."""
    place(layer)
    _open.layers.append(layer)
    try:
        yield
    finally:
        _open.layers.pop()


def _remember_automatic(original):
    @functools.wraps(original)
    def _init_set_name(self, name, zero_based=True):
        original(self, name, zero_based)
        _homes.set(self, seeding.current_frame())
        base = _base_by_id.get(id(name)) if name else _base_of(self)
        if base is not None:
            _bases.set(self, base)
            self._name = _issue(self._name, base)

    return _init_set_name


def _base_of(layer) -> str:
    made_by_keras = type(layer) is functional.Functional
    return generic_utils.to_snake_case("Model" if made_by_keras else type(layer).__name__)


def _issue(text: str, base: str) -> str:
    known = _issued.get((text, base))
    if known is None:
        known = _issued[text, base] = text[:1] + text[1:]  # an object of its own
        if len(text) > 1:  # Python has one object for each text of one character
            _base_by_id[id(known)] = base
    return known


def _open_while_called(original):
    @functools.wraps(original)
    def __call__(self, *args, **kwargs):
        with inside(self):
            return original(self, *args, **kwargs)

    return __call__


def _open_while_built(original):
    @functools.wraps(original)
    def build(self, input_shape):
        with inside(self):
            return original(self, input_shape)

    return build


def _open_while_added_to(original):
    @functools.wraps(original)
    def add(self, layer):
        with inside(self):
            return original(self, layer)

    return add


def _name_directions(original):
    @functools.wraps(original)
    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        original(self, layer, merge_mode, weights, backward_layer, **kwargs)
        for copy, prefix in ((self.forward_layer, "forward_"), (self.backward_layer, "backward_")):
            base = _bases.get(copy)
            if base is not None:
                own_base = prefix + base.removeprefix(prefix)
                _bases.set(copy, own_base)
                copy._name = _issue(copy.name, own_base)

    return __init__


PATCHES = (
    Patch(
        target="tf_keras.src.engine.base_layer_v1:Layer._init_set_name",
        parameters=("self", "name", "zero_based"),
        make=_remember_automatic,
        why="remembers which names were automatic and which scope a layer was made in",
    ),
    Patch(
        target="tf_keras.src.engine.functional:Functional._init_set_name",
        parameters=("self", "name", "zero_based"),
        make=_remember_automatic,
        why="the same for functional models",
    ),
    Patch(
        target="tf_keras.src.engine.base_layer_v1:Layer.__call__",
        parameters=("self", "args", "kwargs"),
        make=_open_while_called,
        why="gives the layers and weights made inside a layer their place below it",
    ),
    Patch(
        target="tf_keras.src.engine.training:Model.build",
        parameters=("self", "input_shape"),
        make=_open_while_built,
        why="the same for a model that is built without being called",
    ),
    Patch(
        target="tf_keras.src.engine.sequential:Sequential.add",
        parameters=("self", "layer"),
        make=_open_while_added_to,
        why="the same for the layers of a Sequential model, which are called as they are added",
    ),
    Patch(
        target="tf_keras.src.layers.rnn.bidirectional:Bidirectional.__init__",
        parameters=("self", "layer", "merge_mode", "weights", "backward_layer", "kwargs"),
        make=_name_directions,
        why="the two directions carry the graph-wide number of the layer they copy",
    ),
)
