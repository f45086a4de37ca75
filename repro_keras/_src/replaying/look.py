"""Looking at one step from inside the process that replays it.

Up to shortly before the step, training goes on as it was recorded, in its graphs; then operations
are run one by one, as only so can every tensor be seen, and none is changed by being looked at.
"""

import contextlib
import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from repro_keras._src.replaying import seen
from repro_keras._src.replaying.seen import Part
from repro_keras._src.runs import request

_ROOM = 2**30  # bytes of tensors that are kept whole; of those beyond, their digests
BEFORE = " before the step"
"""How the name of a variable ends that is as the step found it."""

_AROUND = 3  # steps whose gradients may be taken before the first of them is applied

current: "Look | None" = None
"""What looks at this process; `None` in all that are no replay."""


class Look:
    """Looks at a step.

    Args:
        folder: where what it sees goes.
        wanted: what to look at.

    Attributes:
        position: how many steps have been made; the seam's.
        variables: all variables that decide training, by name; the seam's.
        generators: the digests of the global generators; the seam's.
        run_one_by_one: lets operations be run one by one from then on; the seam's.
        is_inside: whether a function that was called is being run.
        is_applying: whether an optimizer is making a step.
        outputs: the tensors that layers gave in this step, by name.
        owners: for each variable's id, how many outputs there were with that of its layer.
    """

    def __init__(self, folder: Path, wanted: request.Look):
        self.position: Callable[[], int] = lambda: 0
        self.variables: Callable[[], dict[str, np.ndarray]] = dict
        self.generators: Callable[[], dict[str, str]] = dict
        self.run_one_by_one: Callable[[], None] = lambda: None
        self.is_inside = False
        self.is_applying = False
        self._folder = folder
        self._wanted = wanted
        self._thread = threading.get_ident()
        self._steps = 0
        self._made: dict[int, int] = {}
        self._one_by_one = False
        self._states: list[seen.State] = []
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Another step begins."""
        self._tensors: list[seen.Tensor] = []
        self._kept: dict[str, bytes] = {}
        self._room = _ROOM
        self._names: dict[str, int] = {}
        self._layers: list[str] = []
        self._begun = self._applied = False
        self.outputs: dict[str, object] = {}
        self.owners: dict[int, int] = {}

    @property
    def is_looking(self) -> bool:
        """Whether tensors are wanted where operations are run one by one."""
        return self.is_mine and self._steps >= self._wanted.since - _AROUND

    @property
    def is_mine(self) -> bool:
        """Whether this is the thread that trains."""
        return threading.get_ident() == self._thread

    # Calls of functions that have graphs

    @contextlib.contextmanager
    def call(self, function: object) -> Iterator[None]:
        """Inside, a function is called that may make steps in its graph."""
        made = self._made.get(id(function))
        self._steps = before = self.position()
        if made != 0:
            self._note(begins=True)
            if before + (made or 1) > self._wanted.since and not self._one_by_one:
                self._one_by_one = True
                self.run_one_by_one()
            self._start_afresh()
        self.is_inside = True
        try:
            yield
        finally:
            self.is_inside = False
        self._steps = self.position()
        self._made[id(function)] = self._steps - before
        if self._steps > before:
            self._note(begins=False)
        if self._steps >= self._wanted.step:
            self._tensors = []
            self.end(missed=before)

    # One step

    def _begin(self) -> None:
        """Something of a step is about to be seen."""
        if self._applied:
            self._start_afresh()
        if self._begun:
            return
        self._begun = True
        values = self.variables()
        self._note(begins=True, values=values)
        for name, value in values.items():
            self._see(part_of(name), f"{label(name)}{BEFORE}", value)

    @contextlib.contextmanager
    def layer(self, name: str) -> Iterator[tuple[str, bool]]:
        """Inside, a layer is called.

        Yields:
            Its name with those of the layers around it, and whether it is the outermost.
        """
        if not self._layers:
            self._begin()
        where = self._unlike_others("/".join([*self._layers, name]))
        self._layers.append(name)
        try:
            yield where, len(self._layers) == 1
        finally:
            if self._layers:
                self._layers.pop()

    def gradient(self) -> None:
        """A gradient is taken: of a step with layers, or of one that has none."""
        if self._applied and not self.outputs:
            self._start_afresh()

    def see(self, part: Part, what: str, values: Iterable[np.ndarray]) -> None:
        """Notes tensors of the step."""
        if not self._begun:
            self._begin()
        values = list(values)
        for number, value in enumerate(values):
            self._see(part, f"{what}, part {number}" if len(values) > 1 else what, value)

    def _see(self, part: Part, what: str, value: np.ndarray) -> None:
        what = self._unlike_others(what)
        content = value.tobytes()
        file = None
        fits = self._wanted.tensor is None and len(content) <= self._room
        if fits or self._wanted.tensor == what:
            file = f"{len(self._tensors)}.bin"
            self._kept[file] = content
            self._room -= len(content)
        self._tensors.append(
            seen.Tensor(
                part=part,
                what=what,
                dtype=value.dtype.name,
                shape=list(value.shape),
                digest=hashlib.sha256(content).hexdigest(),
                file=file,
            )
        )

    def _unlike_others(self, name: str) -> str:
        """A name that comes again in the step has its number."""
        number = self._names[name] = self._names.get(name, 0) + 1
        return name if number == 1 else f"{name} (time {number})"

    def step_made(self, after: Callable[[], Iterable[tuple[str, np.ndarray]]]) -> None:
        """An optimizer has made a step, outside of graphs.

        Args:
            after: gives what it has changed, by name.
        """
        self._applied = True
        self._steps = self.position()
        self._note(begins=False)
        if self._steps >= self._wanted.step:
            for what, value in after():
                self._see("optimizer", what, value)
            self.end()

    # What is left behind

    def _note(self, begins: bool, values: dict[str, np.ndarray] | None = None) -> None:
        last = self._states[-1] if self._states else None
        if last is not None and (last.steps, last.begins) == (self._steps, begins):
            return
        values = self.variables() if values is None else values
        digest = hashlib.sha256()
        for name, value in values.items():
            digest.update(name.encode())
            digest.update(value.tobytes())
        self._states.append(
            seen.State(
                steps=self._steps,
                begins=begins,
                variables=digest.hexdigest(),
                generators=self.generators(),
            )
        )

    def leave(self, missed: int | None = None) -> None:
        """Writes what was seen."""
        for name, content in self._kept.items():
            (self._folder / name).write_bytes(content)
        found = seen.Seen(states=self._states, tensors=self._tensors, missed=missed)
        seen.write(self._folder, found)

    def end(self, missed: int | None = None) -> None:
        """Writes what was seen, and ends the process: what would come after is not wanted."""
        self.leave(missed)
        for child in multiprocessing.active_children():
            child.terminate()
        os._exit(0)


def begin(folder: Path, wanted: request.Look) -> Look:
    """Lets this process be looked at, from before Keras is imported."""
    global current
    current = Look(folder, wanted)
    return current


def part_of(name: str) -> Part:
    """Which part of training a variable is of."""
    if name.endswith("_generator_state"):
        return "random state"
    return "optimizer" if "/optimizer/" in name or name.startswith("optimizer") else "weights"


def label(name: str) -> str:
    """The name of a variable without the model and the group it was found in."""
    return name.split("/", 2)[-1]
