"""Where a random thing is made: the node of every layer, found as Keras opens its name scopes."""

import functools

from keras.src.backend.common import global_state
from keras.src.layers.layer import Layer
from keras.src.models.model import Model
from keras.src.utils import naming

from repro_keras._src import seeding
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity


class AutoName(str):
    """A name that Keras gave by its process-wide counter, with what it was counted under.

    It stays one through `get_config` and `from_config`, so that a clone of a layer without a name
    is a layer without a name. Pickled or written as JSON it is a plain text: nothing that leaves
    the process needs repro_keras.
    """

    base: str

    def __new__(cls, text: str, base: str):
        self = super().__new__(cls, text)
        self.base = base
        return self

    def __reduce__(self):
        return str, (str(self),)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


_frames: ByIdentity[seeding.Frame] = ByIdentity()  # the scope that a layer was constructed in
_nodes: ByIdentity[seeding.Node] = ByIdentity()
_unplaced: ByIdentity[seeding.Node] = ByIdentity()  # of layers that make weights in `__init__`


def auto_name(cls: type) -> AutoName:
    """The next automatic name for an object of this class, counted as Keras counts."""
    return AutoName(naming.auto_name(cls.__name__), naming.to_snake_case(cls.__name__))


def segment(parent: seeding.Node, name: str) -> str:
    """The path below `parent` of a thing that Keras calls `name`."""
    if isinstance(name, AutoName):
        return parent.numbered(name.base)
    return parent.named(name)


def node_of(layer) -> seeding.Node:
    """The node of a layer whose name scope was opened."""
    node = _nodes.get(layer)
    assert node is not None
    return node


def current_node() -> seeding.Node:
    """The node of the innermost layer whose name scope is open, or the top of the scope."""
    stack = global_state.get_global_attribute("name_scope_stack") or ()
    node = None
    beyond = []  # name scopes opened inside that layer: user's, or of a layer without a place
    for entry in reversed(stack):
        node = _nodes.get(entry.caller)
        if node is not None:
            break
        beyond.append(entry)
    for entry in reversed(beyond):
        if isinstance(entry.caller, Layer):
            node = _unplaced_node(entry.caller, node)
        else:
            node = (node or seeding.current_frame().top).inside(entry.name)
    return node or seeding.current_frame().top


def _make_node(layer, parent: seeding.Node) -> seeding.Node:
    path = segment(parent, layer.name)
    derived_from = parent.derived_from
    if isinstance(layer.name, AutoName):
        derived_from += ((str(layer.name), layer.name.base),)
    return seeding.Node(parent.frame, path, derived_from)


def _unplaced_node(layer, parent: seeding.Node | None) -> seeding.Node:
    """The node of a layer in its `__init__`, which cannot know what it will be part of."""
    node = _unplaced.get(layer)
    if node is None:
        node = _make_node(layer, parent or _home(layer).top)
        _unplaced.set(layer, node)
    return node


def _home(layer) -> seeding.Frame:
    return _frames.get(layer) or seeding.current_frame()


def _name_layer(original):
    @functools.wraps(original)
    def __init__(self, *, name=None, **kwargs):
        frame = seeding.current_frame()
        _frames.set(self, frame)
        if name is None:
            name = auto_name(type(self))
            if frame.model_name is not None and isinstance(self, Model):
                name = AutoName(naming.uniquify(frame.model_name), name.base)
        original(self, name=name, **kwargs)

    return __init__


def _place_layer(original):
    @functools.wraps(original)
    def _open_name_scope(self):
        if _nodes.get(self) is None:
            open_scopes = global_state.get_global_attribute("name_scope_stack")
            parent = current_node() if open_scopes else _home(self).top
            _nodes.set(self, _make_node(self, parent))
        return original(self)

    return _open_name_scope


def _name_directions(original):
    @functools.wraps(original)
    def __init__(self, layer, *args, **kwargs):
        original(self, layer, *args, **kwargs)
        own = kwargs.get("backward_layer", args[2] if len(args) > 2 else None)
        copies = [(self.forward_layer, "forward_")]
        if own is None:
            copies.append((self.backward_layer, "backward_"))
        if isinstance(layer.name, AutoName):
            for copy, prefix in copies:
                copy.name = AutoName(copy.name, prefix + layer.name.base.removeprefix(prefix))

    return __init__


PATCHES = (
    Patch(
        target="keras.src.layers.layer:Layer.__init__",
        parameters=(
            "self",
            "activity_regularizer",
            "trainable",
            "dtype",
            "autocast",
            "name",
            "kwargs",
        ),
        make=_name_layer,
        why="remembers which names were automatic and which scope a layer was made in",
        issue="keras-team/keras#22621",
    ),
    Patch(
        target="keras.src.layers.layer:Layer._open_name_scope",
        parameters=("self",),
        make=_place_layer,
        why="gives a layer its place the first time that Keras knows its parent",
    ),
    Patch(
        target="keras.src.layers.rnn.bidirectional:Bidirectional.__init__",
        parameters=("self", "layer", "merge_mode", "weights", "backward_layer", "kwargs"),
        make=_name_directions,
        why="the two directions carry the process-wide number of the layer they copy",
    ),
)
