"""What a cell does out of order, as far as it is certain.

Two things are: that a cell which runs again draws from a global generator that is at another place
than at the cell's first run, and that it goes on to train a model which was trained otherwise.
"""

import dataclasses
import random
import sys

from repro_keras._src import backends
from repro_keras._src.patches.weak import ByIdentity
from repro_keras._src.words import listed

_States = dict[str, object]


@dataclasses.dataclass
class _Run:
    """A run of a cell: its name, and the number beside it, which is known at its end."""

    name: str
    number: int = 0


class Watch:
    """Watches the cells of one notebook."""

    def __init__(self):
        self._draws: dict[str, tuple[_States, _States]] = {}  # by cell, of its first run
        self._told: set[tuple[str, str]] = set()
        self._trained: ByIdentity[list[_Run]] = ByIdentity()  # by model: by whom, in order
        self._fits: dict[str, list[list[_Run]]] = {}  # by cell: the same, at its first run
        self._run = _Run("")
        self._fit = 0
        self._before: _States = {}
        self._notes: list[str] = []

    def begin(self, name: str) -> None:
        """The cell of that name is about to run."""
        self._run, self._fit, self._notes = _Run(name), 0, []
        self._before = _states()

    def train(self, model: object) -> None:
        """The cell is about to `fit` a model."""
        trained = self._trained.get(model) or []
        self._trained.set(model, trained)
        fits = self._fits.setdefault(self._run.name, [])
        if self._fit == len(fits):  # it came so far for the first time
            fits.append(list(trained))
        elif [run.name for run in trained] != [run.name for run in fits[self._fit]]:
            self._notes.append(self._note_on(fits[self._fit], trained))
        self._fit += 1
        trained.append(self._run)

    def _note_on(self, first: list[_Run], trained: list[_Run]) -> str:
        own = [r for r in trained if r.name == self._run.name and r is not self._run]
        if own:
            return (
                f"This cell goes on with a model that it trained before, in {_cells(own)}. For the "
                "result of its first run, make the model anew first."
            )
        return (
            f"This cell's model was trained by {_cells(trained)} before, and in the cell's first "
            f"run by {_cells(first)}. For that result, run the cells in the order of then."
        )

    def end(self, number: int) -> list[str]:
        """The cell is over.

        Args:
            number: the one that is shown beside it.

        Returns:
            What it did out of order, a few sentences each.
        """
        self._run.number = number
        name, before, after = self._run.name, self._before, _states()
        if name not in self._draws:
            self._draws[name] = before, after
            return self._notes
        first, first_after = self._draws[name]
        for generator in before:
            moved = first.get(generator) != before[generator] != after[generator]
            # One that the cell seeds itself ends where it ended first.
            if not moved or first_after.get(generator) == after[generator]:
                continue
            if generator in first and (name, generator) not in self._told:
                self._told.add((name, generator))
                self._notes.append(
                    f"This cell draws from {generator}, which goes on from cell to cell: what it "
                    "drew is not what it drew in its first run. A generator of its own repeats: "
                    'np.random.default_rng(repro.seed_for("a name")).'
                )
        return self._notes


def _cells(runs: list[_Run]) -> str:
    numbers = sorted({run.number for run in runs})
    return listed([f"In [{number}]" for number in numbers]) if numbers else "no cell"


def _states() -> _States:
    """The states of the global generators, of those that are loaded."""
    found: _States = {"random": random.getstate()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        state = numpy.random.get_state(legacy=False)
        inner = state["state"]
        found["numpy.random"] = [inner["key"].tobytes(), inner["pos"], state["gauss"]]
    if backends.loaded():
        found["tf.random"] = backends.drawn()
    return found
