"""The guard's rows: functions of Python and NumPy that draw from the operating system.

A class is never replaced by another, and what is replaced can be pickled by its public name.
"""

import functools

from repro_keras._src import guard
from repro_keras._src.patches.patch import Patch

_UNSEEDED = "This generator has no seed: it takes one from the operating system"
_SEED_IT = 'Give it one: {}(repro.seed_for("a name")).'
_DRAW = 'Draw from a generator with a seed instead: random.Random(repro.seed_for("a name"))'


def _watch_entropy(original):
    @functools.wraps(original)
    def urandom(size, /):
        guard.catch(
            "This takes random bytes from the operating system",
            f"{_DRAW} has randbytes(n), of which uuid.UUID(bytes=…) makes a UUID.",
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
            f"{_DRAW}.",
            _maker(self, guard.user_frame(through=("random",))),
        )
        return original(self, *args, **kwds)

    return seed


def _watch_random(original):
    @functools.wraps(original)
    def seed(self, a=None, version=2):
        if a is None:
            guard.catch(
                _UNSEEDED,
                _SEED_IT.format("random.Random"),
                _maker(self, guard.user_frame(through=("random",))),
            )
        return original(self, a, version)

    return seed


def _maker(generator, frame):
    """The frame, where its line names the class: the unpickler makes generators unseeded too."""
    if frame is None or type(generator).__name__ not in guard.line_of(frame):
        return None
    return frame


def _watch_seed(module, what, fix):
    """Makes the wrapper of a function that takes a seed, or makes one up."""

    def make(original):
        @functools.wraps(original)
        def watched(*given, **named):
            if all(value is None for value in (*given[:1], *named.values())):
                guard.catch(what, fix, guard.user_frame())
            return original(*given, **named)

        watched.__module__, watched.__qualname__ = module, original.__name__
        return watched

    return make


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
        make=_watch_seed(
            "random",
            "random.seed() without a seed takes one from the operating system",
            "Give it one, or leave it out: Python's generator is seeded already.",
        ),
        why="the guard: without a seed it undoes the seed that there is",
    ),
)

NUMPY = (
    Patch(
        target="numpy.random:default_rng",
        parameters=None,
        make=_watch_seed("numpy.random", _UNSEEDED, _SEED_IT.format("np.random.default_rng")),
        why="the guard: without a seed it is seeded by the operating system",
    ),
    Patch(
        target="numpy.random:seed",
        parameters=None,
        make=_watch_seed(
            "numpy.random",
            "np.random.seed() without a seed takes one from the operating system",
            "Give it one, or leave it out: NumPy's generator is seeded already.",
        ),
        why="the guard: without a seed it undoes the seed that there is",
    ),
)
