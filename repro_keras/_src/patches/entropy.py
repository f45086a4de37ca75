"""The guard's rows: functions of Python and NumPy that draw from the operating system.

A class is never replaced by another, and what is replaced can be pickled by its public name.
"""

import functools

from repro_keras._src import guard
from repro_keras._src.patches.patch import Patch

_ENTROPY = 'Draw from a generator with a seed instead, such as random.Random(repro.seed_for("a"))'


def _watch_entropy(original):
    @functools.wraps(original)
    def urandom(size, /):
        guard.catch(
            "This takes random bytes from the operating system",
            f"{_ENTROPY}; its randbytes(n) are bytes, and uuid.UUID(bytes=…) makes a UUID of 16.",
            guard.user_frame(through=("uuid",)),
        )
        return original(size)

    urandom.__module__ = "os"
    return urandom


def _watch_system_random(original):
    @functools.wraps(original)
    def seed(self, *args, **kwds):
        guard.catch(
            "random.SystemRandom draws from the operating system",
            f"{_ENTROPY}.",
            _maker(self, guard.user_frame(through=("random",))),
        )
        return original(self, *args, **kwds)

    return seed


def _watch_random(original):
    @functools.wraps(original)
    def seed(self, a=None, version=2):
        if a is None:
            guard.catch(
                "This generator has no seed: it takes one from the operating system",
                'Give it one: random.Random(repro.seed_for("a name")).',
                _maker(self, guard.user_frame(through=("random",))),
            )
        return original(self, a, version)

    return seed


def _maker(generator, frame):
    """The frame, where its line names the class: the unpickler makes generators unseeded too."""
    if frame is None or type(generator).__name__ not in guard.source(frame)[0]:
        return None
    return frame


def _watch_seeding(original):
    def seed(a=None, version=2):
        if a is None:
            guard.catch(
                "random.seed() without a seed takes one from the operating system",
                "Give it one, or leave it out: Python's generator is seeded already.",
                guard.user_frame(),
            )
        return original(a, version)

    return _of_module(seed, "random", original)


def _watch_default_rng(original):
    def default_rng(seed=None):
        if seed is None:
            guard.catch(
                "This generator has no seed: it takes one from the operating system",
                'Give it one: np.random.default_rng(repro.seed_for("a name")).',
                guard.user_frame(),
            )
        return original(seed)

    return _of_module(default_rng, "numpy.random", original)


def _watch_numpy_seeding(original):
    def seed(seed=None):
        if seed is None:
            guard.catch(
                "np.random.seed() without a seed takes one from the operating system",
                "Give it one, or leave it out: NumPy's generator is seeded already.",
                guard.user_frame(),
            )
        return original(seed)

    return _of_module(seed, "numpy.random", original)


def _of_module(function, module, original):
    """A function that is pickled by where it is found in public."""
    function.__module__, function.__qualname__ = module, function.__name__
    function.__doc__, function.__wrapped__ = original.__doc__, original
    return function


PATCHES = (
    Patch(
        target="os:urandom",
        parameters=None,  # of what is compiled: asking costs milliseconds, or cannot be done
        make=_watch_entropy,
        why="the guard: entropy, for UUIDs too, is another in each run",
    ),
    Patch(
        target="random:SystemRandom.seed",
        parameters=("self", "args", "kwds"),
        make=_watch_system_random,
        why="the guard: it draws from the operating system, whatever its seed",
    ),
    Patch(
        target="random:Random.seed",
        parameters=("self", "a", "version"),
        make=_watch_random,
        why="the guard: `random.Random()` is seeded by the operating system",
    ),
    Patch(
        target="random:seed",
        parameters=("a", "version"),
        make=_watch_seeding,
        why="the guard: without a seed it undoes the seed that there is",
    ),
)

NUMPY = (
    Patch(
        target="numpy.random:default_rng",
        parameters=None,
        make=_watch_default_rng,
        why="the guard: without a seed it is seeded by the operating system",
    ),
    Patch(
        target="numpy.random:seed",
        parameters=None,
        make=_watch_numpy_seeding,
        why="the guard: without a seed it undoes the seed that there is",
    ),
)
