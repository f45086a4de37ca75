"""Seeds by name for tf_keras in graphs made by hand: weights, dropout and the like, draws."""

import functools
import inspect
import types

import numpy as np

from repro_keras._src import config, seeding
from repro_keras._src.patches import graphs, legacy_names
from repro_keras._src.patches.patch import Patch
from repro_keras._src.patches.weak import ByIdentity

_direct: ByIdentity[int] = ByIdentity()  # the seeds of initializers called by hand


def _name_weight(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def add_weight(self, *args, **kwargs):
        node = legacy_names.place(self)
        if node is None:
            return original(self, *args, **kwargs)
        name = signature.bind(self, *args, **kwargs).arguments.get("name")
        path = node.named(name) if name else node.numbered("variable")
        with seeding.drawing(node.frame, node.frame.take(path)):
            return original(self, *args, **kwargs)

    return add_weight


def _next_seed() -> int | None:
    """The seed of a draw without one; `None` in eager execution."""
    draws = seeding.current_draws()
    if draws is not None:
        return draws.next()
    node = legacy_names.current_node()
    if node is None:
        return None
    return node.frame.seed(node.frame.take(node.numbered("random")))


def _is_free(generator) -> bool:
    """Whether a `RandomGenerator` without a seed of the user's belongs to a graph."""
    return generator._seed is None and graphs.graph_made_by_hand() is not None


def _make_up_no_seed(original):
    @functools.wraps(original)
    def _maybe_init(self):
        if self._rng_type == self.RNG_STATELESS and _is_free(self):
            self._generator = None
            self._built = True
        else:
            original(self)

    return _maybe_init


def _seed_stateless(original):
    @functools.wraps(original)
    def make_seed_for_stateless_op(self):
        if self._rng_type != self.RNG_STATELESS or not _is_free(self):
            return original(self)
        draws = seeding.current_draws()
        if draws is not None:
            seed = draws.of(self)
        else:  # an initializer called by hand makes the same in each call
            seed = _direct.get(self) or _next_seed()
            _direct.set(self, seed)
        return [seed, _seed_of_graph()]

    return make_seed_for_stateless_op


def _seed_of_graph() -> int:
    """The seed that `tf.set_random_seed` gave the graph; 0 where it has the configured one."""
    graph = graphs.graph_made_by_hand()
    assert graph is not None
    given = graph.seed
    return 0 if given is None or given == config.config().seed_of("backend") else given


def _seed_stateful(original):
    @functools.wraps(original)
    def make_legacy_seed(self):
        return _next_seed() if _is_free(self) else original(self)

    return make_legacy_seed


class _Random:
    """Stands for `numpy.random` where tf_keras makes up a seed or draws a weight."""

    def __getattr__(self, name):
        return getattr(np.random, name)

    @staticmethod
    def randint(high):
        seed = _next_seed()
        return np.random.randint(high) if seed is None else seed

    @staticmethod
    def uniform(low, high, size):
        seed = _next_seed()
        draw = np.random if seed is None else np.random.RandomState(seed)
        return draw.uniform(low, high, size)


def _draw_by_name(original):
    """Stands for the module `numpy` there."""
    assert original is np
    module = types.ModuleType("numpy")
    vars(module).update(vars(np), random=_Random())
    return module


_GENERATOR = "tf_keras.src.backend:RandomGenerator"

PATCHES = (
    Patch(
        target="tf_keras.src.engine.base_layer_v1:Layer.add_weight",
        parameters=None,  # `name` is looked up in the signature
        make=_name_weight,
        why="every weight draws from a seed made of its name",
        issue="tensorflow/tensorflow#31149",
    ),
    Patch(
        target=f"{_GENERATOR}._maybe_init",
        parameters=("self",),
        make=_make_up_no_seed,
        why="default seeds are drawn from Python's `random`, which anything shifts",
        issue="tensorflow/tensorflow#14675",
    ),
    Patch(
        target=f"{_GENERATOR}.make_seed_for_stateless_op",
        parameters=("self",),
        make=_seed_stateless,
        why="an initializer without a seed has the seed of the weight that it makes",
    ),
    Patch(
        target=f"{_GENERATOR}.make_legacy_seed",
        parameters=("self",),
        make=_seed_stateful,
        why="Dropout, noise and RNN cells are seeded by their layer's name",
        issue="tensorflow/tensorflow#14675",
    ),
    Patch(
        target="tf_keras.src.backend:np",
        parameters=None,
        make=_draw_by_name,
        why="`K.random_normal` and the like draw their seeds from NumPy's global generator",
        issue="tensorflow/tensorflow#14675",
    ),
    Patch(
        target="tf_keras.src.layers.kernelized:np",
        parameters=None,
        make=_draw_by_name,
        why="RandomFourierFeatures draws weights from NumPy's global generator",
    ),
)
