"""The states of what is outside of a model: all global generators, and iterators of `tf.data`."""

from keras.src.backend.common import global_state
from keras.src.random import seed_generator

from repro_keras._src import seeding
from repro_keras._src.errors import SaveError, StateError
from repro_keras._src.patches import positions, shuffles
from repro_keras._src.state import generators, plain, variables


def captured_generators() -> dict:
    made = global_state.get_global_attribute("global_seed_generator")
    keras_own = None if made is None else variables.read({"": made.state})[""]
    outside = [
        None if g is None else variables.read({"": g.state})[""]
        for g in seeding.outer_states("global_seed_generator")
    ]
    return {**generators.capture(), "keras": keras_own, "outside": outside}


def restore_generators(states: dict) -> None:
    if states["keras"] is not None:
        seed_generator.global_seed_generator().state.assign(states["keras"])
    outside = seeding.outer_states("global_seed_generator")
    for made, state in zip(outside, states["outside"], strict=False):
        if made is not None and state is not None:
            made.state.assign(state)
    generators.restore(states)


def capture_iterators(iterators: dict, arrays: plain.Arrays) -> None:
    """Puts the checkpoints of iterators of `tf.data` into `arrays`.

    Raises:
        StateError: where an iterator cannot be saved.
        SaveError: where it cannot be just now.
    """
    for name, iterator in iterators.items():
        files = shuffles.checkpoint(iterator)
        if files is None:
            raise StateError(
                f"The iterator {name!r} has a Python function or a random operation, so that its "
                "place cannot be saved. Make its batches of their number, or of arrays."
            )
        if not shuffles.are_known(files, iterator._dataset):
            raise SaveError(
                f"The iterator {name!r} has read the last element of what it shuffles, and begins "
                "to shuffle again at its next; between the two, its place cannot be saved. The "
                "next state will be, or put repeat() before batch()."
            )
        for file, content in files.items():
            arrays[f"{positions.OPAQUE}{name}/{file}"] = content


def restore_iterators(iterators: dict, arrays: plain.Arrays) -> None:
    """Puts iterators where they were."""
    for name, iterator in iterators.items():
        begin = f"{positions.OPAQUE}{name}/"
        files = {n.removeprefix(begin): a for n, a in arrays.items() if n.startswith(begin)}
        shuffles.restore_checkpoint(iterator, files)
