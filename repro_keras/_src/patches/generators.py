"""Seeds for `SeedGenerator`s and for draws without a seed."""

import functools
import random
import threading

from keras.src import backend
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.utils import jax_utils

from repro_keras._src import backends, seeding
from repro_keras._src.patches import names
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity


class _Provisional:
    """The seed a generator has until it is known where it belongs."""

    def __init__(self, node: seeding.Node, seed: int):
        self.node = node
        self.seed = seed


_provisional: ByIdentity[_Provisional] = ByIdentity()


class _Making(threading.local):
    depth = 0


_making = _Making()
_draws = 0


def draws() -> int:
    """How often any `SeedGenerator` was drawn from so far."""
    return _draws


def making_state() -> bool:
    """Whether the variable being made is the state of a `SeedGenerator`, which is not drawn."""
    return _making.depth > 0


class _DefaultSeeds:
    """Stands where Keras asks Python's `random` for a default seed.

    Generators and initializers get their real seed later, by name; only a caller that Keras does
    not have keeps this one.
    """

    @staticmethod
    def randint(low, high):
        frame = seeding.current_frame()
        return frame.seed(frame.take("#default_seed")) % (high - low + 1) + low


def _seed_provisionally(original):
    @functools.wraps(original)
    def __init__(self, seed=None, name=None, **kwargs):
        name = names.name_automatically(self, name)
        _making.depth += 1
        try:
            original(self, seed=seed, name=name, **kwargs)
        finally:
            _making.depth -= 1
        if seed is None:
            _provisional.set(self, _Provisional(names.current_node(), _state_of(self)))

    return __init__


def _settle_before_draw(original):
    @functools.wraps(original)
    def next(self, ordered=True):
        global _draws
        _draws += 1
        if _provisional:
            provisional = _provisional.get(self)
            if provisional is not None:  # nobody's: it belongs to where it is used first
                node = names.current_node()
                _settle(self, node if node.path else provisional.node)
        return original(self, ordered=ordered)

    return next


def _settle_with_owner(original):
    @functools.wraps(original)
    def _open_name_scope(self):
        scope = original(self)
        if _provisional and self._seed_generators:
            for generator in self._seed_generators:
                if _provisional.get(generator) is not None:
                    _settle(generator, names.node_of(self))
        return scope

    return _open_name_scope


def _settle(generator, node: seeding.Node) -> None:
    """Seeds a generator by its name, unless its state was set or drawn from meanwhile."""
    provisional = _provisional.pop(generator)
    assert provisional is not None
    if _state_of(generator) != provisional.seed:
        return
    path = names.segment(node, generator)
    _set_state(generator, node.frame.seed(node.frame.take(path)))


def _state_of(generator) -> int | None:
    """The seed in a generator's state; `None` once it was drawn from."""
    state = generator.state
    with backends.outside_graph():
        value = state._value
        if value is None:  # made while shapes are inferred, initialized later
            value = state._initializer(state.shape, dtype=state.dtype)
        seed, drawn = generator.backend.convert_to_numpy(value).tolist()
    return seed if drawn == 0 else None


def _set_state(generator, seed: int) -> None:
    state = generator.state
    with backends.outside_graph():
        value = generator.backend.convert_to_tensor([seed, 0], dtype=state.dtype)
        if state._value is None:
            state._initializer = lambda *args, **kwargs: generator.backend.convert_to_tensor(
                [seed, 0], dtype=kwargs.get("dtype")
            )
        else:
            state._direct_assign(value)


class _WeightDraw:
    """Stands for the global generator while a weight is made: draws belong to the weight."""

    def __init__(self, draws: seeding.Draws):
        self._draws = draws

    def next(self, ordered=True):
        return backend.convert_to_tensor([self._draws.next(), 0], dtype=backend.random_seed_dtype())


def _draw_by_name(original):
    @functools.wraps(original)
    def global_seed_generator():
        draws = seeding.current_draws()
        if draws is not None:
            return _WeightDraw(draws)
        generator = global_state.get_global_attribute("global_seed_generator")
        if generator is None and not jax_utils.is_in_jax_tracing_scope():
            frame = seeding.current_frame()
            with backends.outside_graph():
                generator = seed_generator.SeedGenerator(frame.seed(frame.take("#draws")))
            global_state.set_global_attribute("global_seed_generator", generator)
        return original()

    return global_seed_generator


def _keep_none(original):
    @functools.wraps(original)
    def __init__(self, height, width, seed=None, *args, **kwargs):
        original(self, height, width, seed, *args, **kwargs)
        self.seed = seed

    return __init__


class _LayerChoices:
    """Stands for the module `random` in `AugMix`: each layer has choices of its own."""

    def __init__(self):
        self._by_layer: ByIdentity[random.Random] = ByIdentity()

    def choice(self, options):
        node = names.current_node()
        own = self._by_layer.get(node)
        if own is None:
            own = random.Random(node.frame.seed(node.frame.take(node.join("#choices"))))
            self._by_layer.set(node, own)
        return own.choice(options)


PATCHES = (
    Patch(
        target="keras.src.random.seed_generator:SeedGenerator.__init__",
        parameters=("self", "seed", "name", "kwargs"),
        make=_seed_provisionally,
        why="a generator without a seed waits for the name of the layer that owns it",
    ),
    Patch(
        target="keras.src.random.seed_generator:SeedGenerator.next",
        parameters=("self", "ordered"),
        make=_settle_before_draw,
        why="a generator that no layer owns is named where it is first drawn from",
    ),
    Patch(
        target="keras.src.layers.layer:Layer._open_name_scope",
        parameters=("self",),
        make=_settle_with_owner,
        why="Dropout, noise, augmentation and RNN cells are seeded by their layer's name",
    ),
    Patch(
        target="keras.src.random.seed_generator:global_seed_generator",
        parameters=(),
        make=_draw_by_name,
        everywhere=True,
        why="draws without a seed are one sequence per scope, or belong to the weight made",
    ),
    Patch(
        target="keras.src.random.seed_generator:python_random",
        parameters=None,
        make=lambda original: _DefaultSeeds,
        why="default seeds are drawn from Python's `random`, which anything shifts",
        issue="tensorflow/tensorflow#14675",
    ),
    Patch(
        target="keras.src.layers.preprocessing.image_preprocessing.random_crop:RandomCrop.__init__",
        parameters=("self", "height", "width", "seed", "data_format", "name", "kwargs"),
        make=_keep_none,
        why="it writes a made-up seed into its configuration, and so into files",
    ),
    Patch(
        target="keras.src.layers.preprocessing.image_preprocessing.aug_mix:py_random",
        parameters=None,
        make=lambda original: _LayerChoices(),
        why="it chooses its augmentations by Python's `random`, whatever its seed",
    ),
)
