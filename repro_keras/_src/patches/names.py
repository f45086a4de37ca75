"""Where a random thing is made: the node of every layer, found as Keras opens its name scopes."""

import functools

from keras.src.backend.common import global_state
from keras.src.layers.layer import Layer
from keras.src.models.model import Model
from keras.src.utils import naming

from repro_keras._src import seeding
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity

# Automatic names are known by the very string object: it goes through `get_config` and
# `from_config` as it is, so that a clone of a layer without a name is one without a name, and
# whatever leaves the process is a plain text. (h5py refuses subclasses of `str`.)
_issued: dict[tuple[str, str], str] = {}
_base_by_id: dict[int, str] = {}

_bases: ByIdentity[str] = ByIdentity()  # what layers and generators without a name count under
_frames: ByIdentity[seeding.Frame] = ByIdentity()  # the scope that a layer was constructed in
_nodes: ByIdentity[seeding.Node] = ByIdentity()
_unplaced: ByIdentity[seeding.Node] = ByIdentity()  # of layers that make weights in `__init__`


def name_automatically(thing, name: str | None, text: str | None = None) -> str:
    """Finds out or makes up the name of a layer or generator, and remembers what it counts under.

    Args:
        thing: the layer or generator.
        name: what it was told to be called, if anything.
        text: what to call it where it was not told; the next name by Keras's counter by default.
    """
    if name is not None:
        base = _base_by_id.get(id(name))
    else:
        base = naming.to_snake_case(type(thing).__name__)
        name = _issue(text or naming.auto_name(type(thing).__name__), base)
    if base is not None:
        _bases.set(thing, base)
    return name


def _issue(text: str, base: str) -> str:
    known = _issued.get((text, base))
    if known is None:
        known = _issued[text, base] = text[:1] + text[1:]  # an object of its own
        if len(text) > 1:  # Python has one object for each text of one character
            _base_by_id[id(known)] = base
    return known


def segment(parent: seeding.Node, thing) -> str:
    """The path below `parent` of a layer or generator."""
    base = _bases.get(thing)
    return parent.named(thing.name) if base is None else parent.numbered(base)


def node_of(layer) -> seeding.Node:
    """The node of a layer whose name scope was opened."""
    node = _nodes.get(layer)
    assert node is not None
    return node


def place(model) -> seeding.Node:
    """The node of a model that is trained: at the top of its scope, unless it has one already."""
    node = _nodes.get(model)
    if node is None:
        node = _make_node(model, _home(model).top)
        _nodes.set(model, node)
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
    path = segment(parent, layer)
    derived_from = parent.derived_from
    base = _bases.get(layer)
    if base is not None:
        derived_from += ((layer.name, base),)
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
        text = None
        if name is None and frame.model_name is not None and isinstance(self, Model):
            text = naming.uniquify(frame.model_name)
        original(self, name=name_automatically(self, name, text), **kwargs)

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
        given = kwargs.get("backward_layer", args[2] if len(args) > 2 else None)
        copies = [(self.forward_layer, "forward_")]
        if given is None:
            copies.append((self.backward_layer, "backward_"))
        base = _bases.get(layer)
        if base is not None:
            for copy, prefix in copies:
                own_base = prefix + base.removeprefix(prefix)
                _bases.set(copy, own_base)
                copy.name = _issue(copy.name, own_base)

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
