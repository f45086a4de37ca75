"""The state of a loop of one's own: of what it names, and where it is."""

import sys
import warnings
from typing import Any

from repro_keras._src.errors import ReproWarning, SaveError, StateError
from repro_keras._src.state import facts, folder, plain, value, variables

FIT = 0


class Loop:
    """A loop that trains by itself.

    Args:
        place: the folder of its states.
        trained: what has state, by name.
        on_error: as in `TrainingState`.
    """

    def __init__(self, place: folder.Folder, trained: dict[str, Any], on_error: str):
        self._folder = place
        self._trained = trained
        self._on_error = on_error
        self._locked = False
        self._count = 0

    def save(self, position: Any) -> None:
        self._lock()
        if not self._locked:
            return
        self._count += 1
        try:
            self._folder.save(FIT, self._capture(position))
        except SaveError as error:
            self._failed(error)

    def restore(self) -> Any:
        self._lock()
        state = self._folder.newest(FIT)
        if state is None:
            return None
        from repro_keras._src.patches import global_states

        found = self._variables()
        told = facts.differences(state.content.facts, self._facts())
        forms = variables.listed(variables.forms(found))
        told += facts.differences(state.content.variables, forms, "variable")
        if told:
            raise StateError(
                f"The states in {self._folder.path} are of another training:\n  "
                + "\n  ".join(told[:12])
                + "\nBuild models and optimizers before restore() (optimizer.build(model."
                "trainable_variables)), or give this loop a folder of its own."
            )
        variables.write(found, state.arrays)
        packed = dict(state.content.callbacks)
        for name, thing in self._plain().items():
            _restore(thing, plain.unpack(packed[name], state.arrays, thing), packed[name])
        global_states.restore_iterators(self._iterators(), state.arrays)
        global_states.restore_generators(plain.unpack(state.content.generators, state.arrays))
        self._count = state.position.total
        place = self._folder.file(FIT, state.position)
        print(f"repro_keras: going on from {place}", file=sys.stderr)
        return plain.unpack(state.position.loop, state.arrays)

    def _capture(self, position: Any) -> value.State:
        from repro_keras._src.patches import global_states

        found = self._variables()
        arrays = variables.read(found)
        try:
            packed = [
                [name, plain.pack(_captured(thing), arrays, f"own/{name}")]
                for name, thing in self._plain().items()
            ]
            loop = plain.pack(position, arrays, "position")
        except plain.NotPlainError as error:
            raise StateError(
                "What a loop keeps must be Keras objects, variables, iterators of tf.data, "
                "numbers, strings, arrays, random generators, lists and dicts of these, "
                f"or have get_state() and set_state(state). Received: {error.type} ({error.where})."
            ) from None
        global_states.capture_iterators(self._iterators(), arrays)
        content = value.Content(
            position=value.Position(epoch=self._count, total=self._count, loop=loop),
            facts=self._facts(),
            variables=variables.listed(variables.forms(found)),
            generators=plain.pack(global_states.captured_generators(), arrays, "generators"),
            callbacks=packed,
        )
        return value.State(content, arrays)

    def _facts(self) -> dict:
        import keras

        found = facts.of_process()
        for name, thing in self._trained.items():
            if isinstance(thing, keras.Model):
                found[name] = facts.of_model(thing)
            elif isinstance(thing, keras.Optimizer):
                found[name] = {"class": type(thing).__name__}
            else:
                found[name] = type(thing).__name__
        return found

    def _variables(self) -> dict:
        return variables.collect({n: t for n, t in self._trained.items() if variables.is_keeper(t)})

    def _iterators(self) -> dict:
        return {n: t for n, t in self._trained.items() if _is_iterator(t)}

    def _plain(self) -> dict:
        return {
            name: thing
            for name, thing in self._trained.items()
            if not variables.is_keeper(thing) and not _is_iterator(thing)
        }

    def _lock(self) -> None:
        if not self._locked:
            try:
                self._folder.lock()
                self._locked = True
            except OSError as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self._on_error == "raise":
            raise error
        warnings.warn(
            f"The state of training is not saved: {error} The loop goes on, and what was saved "
            "before stays.",
            ReproWarning,
            stacklevel=4,
        )


def _is_iterator(thing) -> bool:
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(thing, tf.data.Iterator)


def _captured(thing):
    return thing.get_state() if _has_protocol(thing) else thing


def _has_protocol(thing) -> bool:
    import numpy as np

    if isinstance(thing, np.random.RandomState):
        return False
    return hasattr(thing, "get_state") and hasattr(thing, "set_state")


def _restore(thing, state, packed) -> None:
    if _has_protocol(thing):
        thing.set_state(state)
    elif state is not thing:
        raise StateError(
            f"A {type(thing).__name__} cannot be changed in place, so that it cannot be restored. "
            "Keep it in a list or a dict, or give it to save() as part of the position."
        )
