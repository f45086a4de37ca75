"""Keras's own sessions and files: what starts names afresh, and what takes none."""

import collections
import functools

from keras.src.backend.common import global_state

from repro_keras._src import config, seeding
from repro_keras._src.patches.patch import Patch

# What Keras counts and draws by, which a scope has its own of.
_COUNTS, _GENERATOR = "object_name_uids", "global_seed_generator"
_PER_SCOPE = (_COUNTS, _GENERATOR)

_first_counts: dict[str, dict[str, int]] = {}  # of cells: what they began to count with


def enter_scope(cell: str = "") -> dict:
    """Starts Keras's automatic names and global generator afresh; returns the outer ones.

    Args:
        cell: the prefix of a cell of a notebook, whose names go on; see `seeding.CellScope`.
    """
    outside = {name: global_state.get_global_attribute(name) for name in _PER_SCOPE}
    counts = _first_counts.get(cell, outside[_COUNTS] or {}) if cell else {}
    global_state.set_global_attribute(_COUNTS, collections.defaultdict(int, counts))
    global_state.set_global_attribute(_GENERATOR, None)
    return {**outside, "cell": cell}


def leave_scope(outside: dict) -> None:
    """Puts the outer ones back."""
    if outside["cell"]:
        outside[_COUNTS] = _counts_after(outside["cell"], outside.get(_COUNTS) or {})
    for name in _PER_SCOPE:
        global_state.set_global_attribute(name, outside.get(name))


def _counts_after(cell: str, before: dict[str, int]) -> dict[str, int]:
    """What names count on with after a cell: no name that was given comes again."""
    inside = global_state.get_global_attribute(_COUNTS) or {}
    if inside != before:
        _first_counts.setdefault(cell, dict(before))
    names = {*before, *inside}
    counts = {name: max(before.get(name, 0), inside.get(name, 0)) for name in names}
    return collections.defaultdict(int, counts)


def forget_draws(outside: list[dict]) -> None:
    """Lets the global generators of all open scopes be made anew, from the new root seed."""
    for state in outside:
        state[_GENERATOR] = None
    global_state.set_global_attribute(_GENERATOR, None)


def _reroot(original):
    @functools.wraps(original)
    def set_random_seed(seed):
        original(seed)
        config.root_seed_was_set(seed)

    return set_random_seed


def _clear(original):
    @functools.wraps(original)
    def clear_session(free_memory=True):
        original(free_memory=free_memory)
        seeding.start_afresh()

    return clear_session


def _load(original):
    @functools.wraps(original)
    def load(*args, **kwargs):
        with seeding.loading():
            return original(*args, **kwargs)

    return load


PATCHES = (
    Patch(
        target="keras.src.utils.rng_utils:set_random_seed",
        parameters=("seed",),
        make=_reroot,
        everywhere=True,
        why="makes its seed the root of all names from there on",
    ),
    Patch(
        target="keras.src.backend.common.global_state:clear_session",
        parameters=("free_memory",),
        make=_clear,
        everywhere=True,
        why="starts the occurrences of names afresh, as it does Keras's own",
    ),
    Patch(
        target="keras.src.saving.saving_api:load_model",
        parameters=("filepath", "custom_objects", "compile", "safe_mode"),
        make=_load,
        everywhere=True,
        why="what is built while a file is loaded takes no names from what is built after",
    ),
    Patch(
        target="keras.src.saving.saving_lib:_load_model_from_fileobj",
        parameters=("fileobj", "custom_objects", "compile", "safe_mode"),
        make=_load,
        why="the same for unpickling and copying",
    ),
)
