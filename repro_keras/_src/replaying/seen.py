"""What a replay saw: the states between steps, and every tensor of one step."""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

NAME = "seen.json"

Part = Literal["weights", "random state", "data", "forward", "loss", "gradient", "optimizer"]


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor of the step.

    Attributes:
        part: which part of the step it belongs to.
        what: what it is, for people; unlike all others of the step.
        dtype: its type.
        shape: its shape.
        digest: the SHA-256 of its bytes.
        file: where its bytes are, beside this; `None` where there was no room for them.
    """

    part: Part
    what: str
    dtype: str
    shape: list[int]
    digest: str
    file: str | None

    def read(self, folder: Path) -> np.ndarray | None:
        """Its elements."""
        if self.file is None:
            return None
        if self.dtype == "bfloat16" or self.dtype.startswith("float8"):
            import ml_dtypes  # noqa: F401 - NumPy knows these types by it

        content = (folder / self.file).read_bytes()
        return np.frombuffer(content, np.dtype(self.dtype)).reshape(self.shape)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What all variables and the global generators were between two steps.

    Attributes:
        steps: how many steps had been made.
        begins: whether the next step was about to begin; else, the last one was just over.
        variables: the digest of all variables.
        generators: the digests of global generators, by whose they are.
    """

    steps: int
    begins: bool
    variables: str
    generators: dict[str, str]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay saw.

    Attributes:
        states: those between steps, in order.
        tensors: those of the wanted step, in order; none where it did not come so far.
        missed: where the wanted step was in a graph with others: how many came before these.
    """

    states: list[State]
    tensors: list[Tensor]
    missed: int | None = None


def write(folder: Path, seen: Seen) -> None:
    (folder / NAME).write_bytes(msgspec.json.encode(seen))


def read(folder: Path) -> Seen | None:
    """What was seen; `None` where the process ended before it could say so."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Seen)
    except FileNotFoundError:
        return None
