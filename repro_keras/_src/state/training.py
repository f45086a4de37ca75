"""`repro.TrainingState`: the callback that keeps the state of training."""

import os
from pathlib import Path
from typing import Any

import keras

from repro_keras._src.errors import ConfigError
from repro_keras._src.state import folder, loops, value

_fits: dict[str, int] = {}  # how many fits of this process have kept states in a folder


class TrainingState(keras.callbacks.Callback):
    """Keeps the complete state of training, so that a run that is killed goes on exactly.

    Start the script again, and `fit` goes on at the step after the newest state that is whole; the
    model, its history and its files are those of a run that was never interrupted. Where the fit
    was over, it returns at once with its history. To begin anew, remove the folder.

    It covers the variables of model, metrics and optimizers, all generators of random numbers, the
    place in the data, and what callbacks remember, in whatever order they are given. The second
    `fit` of a script that has the same folder has states of its own there, and so on.

    Of a callback of your own, the attributes that are plain (numbers, strings, arrays, lists and
    dicts of these, generators of random numbers) are kept. One that has two methods says itself
    what its state is: `get_state()` returns plain values, and `set_state(state)` takes them. A
    `PyDataset` may have them too; without them, its epoch hooks are called again.

    Args:
        directory: a folder for states alone; it is made.
        save_freq: `"epoch"`, or after how many steps a state is saved. The end of training is
            saved always.
        keep: how many of the last states stay, so that there is another where one is damaged.
        on_error: what happens where a state cannot be saved, e.g. on a full disk: `"warn"`, and
            training goes on, or `"raise"`.
        **trained: for a loop of your own, what has state: models, optimizers, metrics, variables,
            generators of random numbers, iterators of `tf.data`, lists and dicts, or anything with
            `get_state()` and `set_state(state)`. Then call `restore` and `save`.

    Raises:
        ConfigError: where an argument is none of these, or in `fit`, where there are others.
        StateError: in `fit`, where the states are of another model, data, configuration or
            version, another process trains in the same folder, or training cannot be resumed
            exactly.

    Example:

    ```python
    model.fit(x, y, epochs=10, callbacks=[repro.TrainingState("states", save_freq=100)])
    ```

    ```python
    state = repro.TrainingState("states", model=model, optimizer=optimizer)
    for step in range(state.restore() or 0, 1000):
        train(batches[step])
        if step % 100 == 99:
            state.save(step + 1)
    ```
    """

    async_safe = True
    keeps_training_state = True

    def __init__(
        self,
        directory: str | os.PathLike,
        save_freq: str | int = "epoch",
        keep: int = 2,
        *,
        on_error: str = "warn",
        **trained: Any,
    ):
        super().__init__()
        number = save_freq if isinstance(save_freq, int) else 0
        if save_freq != "epoch" and (number < 1 or isinstance(save_freq, bool)):
            raise ConfigError(
                "save_freq must be 'epoch' or a number of steps from 1. Received: "
                f"save_freq={save_freq!r} (of type {type(save_freq).__name__})"
            )
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise ConfigError(f"keep must be an integer from 1. Received: keep={keep!r}")
        if on_error not in ("warn", "raise"):
            raise ConfigError(
                f"on_error must be 'warn' or 'raise'. Received: on_error={on_error!r}"
            )
        self.save_freq = save_freq
        self.on_error = on_error
        self.folder = folder.Folder(Path(directory), keep)
        self.resumed: value.Position | None = None
        self._trained = sorted(trained)
        self._loop = loops.Loop(self.folder, trained, on_error) if trained else None

    def next_fit(self) -> int:
        """The number of the fit that begins, among those of this process in this folder.

        Raises:
            ConfigError: where it was given what is for loops of one's own.
        """
        if self._trained:
            raise ConfigError(
                "In `fit`, TrainingState takes directory, save_freq, keep and on_error. Received "
                f"also: {', '.join(self._trained)}. What has state is named for loops of one's own "
                "only; check the spelling, or leave it out."
            )
        place = os.path.realpath(self.folder.path)
        number = _fits.get(place, 0)
        _fits[place] = number + 1
        return number

    def latest(self) -> value.State | None:
        """The newest whole state of the last fit in the folder, to look at and to digest."""
        return self.folder.latest()

    def save(self, position: Any = None) -> None:
        """Saves the state of a loop of one's own.

        Args:
            position: what the loop needs to go on, e.g. the number of the next step; plain values.
        """
        self._own_loop().save(position)

    def restore(self) -> Any:
        """Puts the newest whole state back.

        Returns:
            The position that it was saved with, or `None` where there is no state yet.
        """
        return self._own_loop().restore()

    def _own_loop(self) -> "loops.Loop":
        if self._loop is None:
            raise ConfigError(
                "save() and restore() are for loops of one's own, and need what has state: "
                "TrainingState(directory, model=model, optimizer=optimizer, …). With `fit`, give "
                "it among the callbacks instead."
            )
        return self._loop
