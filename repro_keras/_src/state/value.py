"""The state of training as one value, and its digest."""

from typing import Any

import msgspec
import numpy as np

from repro_keras._src import digest_arrays

SCHEMA = 1
OPAQUE = "opaque/"
"""Arrays whose names begin so hang on more than the state of training: not in its digest."""


class Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far training has come.

    Attributes:
        epoch: the epoch that comes next, or that is in progress, from 0, as Keras counts.
        step: the steps of it that are done; 0 between epochs.
        total: the steps that this `fit` has done.
        loop: what a loop of one's own gave to `save`, packed.
    """

    epoch: int = 0
    step: int = 0
    total: int = 0
    loop: Any = None


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a state says beside its arrays, whose places are in it by their names.

    Attributes:
        schema: of this form.
        position: how far training has come.
        facts: what must be the same where it goes on: model, data, configuration, versions.
        variables: for each group, the names of its variables, which are arrays too.
        generators: the global generators of Python, NumPy, Keras and the backend.
        data: the place in the data.
        callbacks: for each callback, its class and its state.
        stop_training: whether training ends here.
        logs: the logs that came last.
        recorded: how many steps the record of the run had.
    """

    schema: int = SCHEMA
    position: Position
    facts: dict[str, Any]
    variables: dict[str, list[str]]
    generators: Any = None
    data: Any = None
    callbacks: list[Any] = []
    stop_training: bool = False
    logs: Any = None
    recorded: int | None = None


class State(msgspec.Struct, frozen=True):
    """Everything that decides what training does next.

    `repro.digest(state)` is the digest of a run's condition: two runs whose states have the same
    digest go on in the same way.

    Attributes:
        content: what it says.
        arrays: the variables of model and optimizers, and other arrays.
    """

    content: Content
    arrays: dict[str, np.ndarray]

    @property
    def position(self) -> Position:
        return self.content.position

    def describe(self) -> dict:
        """What its digest is taken of."""
        return described(
            self.content,
            {
                name: digest_arrays.hexadecimal(digest_arrays.describe_array(array, name))
                for name, array in self.arrays.items()
                if not name.startswith(OPAQUE)
            },
        )


def described(content: Content, arrays: dict[str, str]) -> dict:
    """What the digest of a state is taken of, by the digests of its arrays."""
    told = msgspec.to_builtins(content)
    told.pop("recorded", None)  # whether a run is recorded is no part of its condition
    return {"kind": "training", "content": told, "arrays": arrays}
