"""Seeds for weights: an initializer without a seed takes that of the weight that it makes."""

import functools
import inspect

from keras.src import initializers
from keras.src.utils import naming

from repro_keras._src import seeding
from repro_keras._src.patches import generators, names
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity

_set_by_user: ByIdentity[bool] = ByIdentity()  # initializers with `init.seed = …` after all
_direct: ByIdentity[int] = ByIdentity()  # the seeds of initializers called by hand
_under_construction: ByIdentity[bool] = ByIdentity()


class NamedInitializer:
    """An initializer that draws, wherever it is called from, as the weight it was given to."""

    def __init__(self, initializer, frame, name):
        self._initializer = initializer
        self._frame = frame
        self._name = name

    def __call__(self, *args, **kwargs):
        with seeding.drawing(self._frame, self._name):
            return self._initializer(*args, **kwargs)


def _name_weight(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def __init__(self, initializer, *args, **kwargs):
        if isinstance(initializer, str):
            initializer = initializers.get(initializer)
        if callable(initializer) and not generators.making_state():
            name = signature.bind(self, initializer, *args, **kwargs).arguments.get("name")
            node = names.current_node()
            if name:
                path = node.named(name)
            else:
                path = node.numbered(naming.to_snake_case(type(self).__name__))
            initializer = NamedInitializer(initializer, node.frame, node.frame.take(path))
        original(self, initializer, *args, **kwargs)

    return __init__


def _construct_initializer(original):
    @functools.wraps(original)
    def __init__(self, seed=None):
        _under_construction.set(self, True)
        try:
            original(self, seed=seed)
        finally:
            _under_construction.pop(self)

    return __init__


def _seed_property(_):
    def get(self):
        attributes = vars(self)
        if "seed" not in attributes:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'seed'")
        if attributes.get("_init_seed") is not None or _set_by_user.get(self):
            return attributes["seed"]
        draws = seeding.current_draws()
        if draws is not None:
            return draws.of(self)
        seed = _direct.get(self)
        if seed is None:
            node = names.current_node()
            path = node.numbered(naming.to_snake_case(type(self).__name__))
            seed = node.frame.seed(node.frame.take(path))
            _direct.set(self, seed)
        return seed

    def set(self, value):
        vars(self)["seed"] = value
        if not _under_construction.get(self):
            _set_by_user.set(self, True)

    return property(get, set, doc="The seed: the user's, or that of the weight being made.")


PATCHES = (
    Patch(
        target="keras.src.backend.common.variables:Variable.__init__",
        parameters=None,  # `layout` came with Keras 3.13; `name` is looked up in the signature
        make=_name_weight,
        why="every weight, by `add_weight` or raw, draws from a seed made of its name",
        issue="keras-team/keras#22621",
    ),
    Patch(
        target="keras.src.initializers.random_initializers:RandomInitializer.__init__",
        parameters=("self", "seed"),
        make=_construct_initializer,
        why="tells the seed that Keras makes up from one that the user sets",
    ),
    Patch(
        target="keras.src.initializers.random_initializers:RandomInitializer.seed",
        parameters=None,
        make=_seed_property,
        is_new=True,
        why="an initializer without a seed has the seed of the weight that it makes",
    ),
)
