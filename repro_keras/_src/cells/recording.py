"""Recording cells: each run of one that trains, compared with the same cell's run before."""

import dataclasses
import tempfile
from pathlib import Path

import msgspec

from repro_keras._src import record
from repro_keras._src.cells import pictures
from repro_keras._src.comparing import trails
from repro_keras._src.runs import journal, recorder
from repro_keras._src.words import listed


@dataclasses.dataclass(frozen=True, repr=False)
class CellRun:
    """A run of a cell that trained something; a notebook shows it under the cell.

    Attributes:
        number: the number beside the cell, `In [number]`.
        steps: how many steps it made.
        losses: the true loss of each, in order; those that were not seen are left out.
        before: the number of the cell's run before this one; `None` where there was none.
        difference: where this run differs from that one first; empty where it does not.
        data: what `fit` and the like were handed that they were not handed in that one.
    """

    number: int
    steps: int
    losses: list[float]
    before: int | None
    difference: str
    data: list[str]

    @property
    def same(self) -> bool | None:
        """Whether it was the same as the run before; `None` where there was none."""
        return None if self.before is None else not self.difference

    def __repr__(self) -> str:
        return f"In [{self.number}] {self._said()}"

    def _said(self) -> str:
        loss = f", last loss {self.losses[-1]:.6g}" if self.losses else ""
        said = f"recorded {self.steps} step{'s' * (self.steps != 1)}{loss}: "
        if self.same is None:
            return said + "this cell's first run"
        if self.same:
            return f"{said}the same as In [{self.before}]"
        data = f" It was handed other data: {listed(self.data)}." if self.data else ""
        return f"{said}different from In [{self.before}]. {self.difference}.{data}"

    def _repr_html_(self) -> str:
        return pictures.badge(f"In [{self.number}]", self._said(), self.same, self.losses)


Runs = dict[str, tuple[int, journal.Story]]
"""By the cell's name, the number of its last run and what that did."""


class CellRecorder(recorder.Recorder):
    """Records cells, each as if it were a run of its own, from here on until `stop`.

    Args:
        runs: what to compare with; the runs are put there.
    """

    def __init__(self, runs: Runs):
        self._temporary = tempfile.TemporaryDirectory(prefix="repro-keras-")
        super().__init__(Path(self._temporary.name), Path.cwd())
        self._runs = runs
        recorder.record_with(self)

    def stop(self) -> None:
        """Ends the recording."""
        recorder.current = None
        self._over.set()
        self._journal.close()
        self._temporary.cleanup()

    def note(self) -> None:
        """What was imported is no part of a cell's run."""

    def begin(self) -> None:
        """A cell is about to run."""
        with self.lock:
            self._settle()
            self._start_afresh()
            self._journal.close()
            journal.path(Path(self._temporary.name)).unlink(missing_ok=True)
            self._journal = journal.Journal(Path(self._temporary.name))

    def end(self, name: str, number: int, *, is_whole: bool) -> CellRun | None:
        """A cell is over.

        Args:
            name: the cell's.
            number: the one beside it.
            is_whole: whether it came to its end; else it is compared as far as it came.

        Returns:
            What it did; `None` where it trained nothing.
        """
        with self.lock:
            self._settle()
            if is_whole:
                self._journal.write(
                    "finish", configuration={}, status="finished", outcomes=self._outcomes_by_hand()
                )
            now = journal.Story(Path(self._temporary.name))
        _renumber(now)
        if not now.trail:
            return None
        before, then = self._runs.get(name, (None, now))
        self._runs[name] = number, now
        losses = [segment.steps.loss for segment in now.trail]
        return CellRun(
            number=number,
            steps=now.count(),
            losses=[float.fromhex(loss) for part in losses for loss in part if loss is not None],
            before=before,
            difference=_difference(then, now),
            data=trails.changed(_data(then), _data(now)),
        )


def _renumber(story: journal.Story) -> None:
    """Numbers the optimizers from 0, in their order: graphs write their numbers in the process."""
    numbers: dict[int, int] = {}
    trail = []
    for segment in story.trail:
        own = segment.steps.optimizer or [0] * len(segment.steps.loss)
        new = [numbers.setdefault(number, len(numbers)) for number in own]
        steps = msgspec.structs.replace(segment.steps, optimizer=new if any(new) else [])
        trail.append(msgspec.structs.replace(segment, steps=steps))
    story.trail = record.chained([msgspec.structs.replace(s, chain="") for s in trail])
    story.outcomes = {
        f"optimizer/{numbers[int(n)]}" if kind == "optimizer" and int(n) in numbers else name: value
        for name, value in story.outcomes.items()
        for kind, _, n in [name.partition("/")]
    }


def _difference(then: journal.Story, now: journal.Story) -> str:
    found = trails.first_difference(then, now)
    if found is not None:
        return f"{found.where}: {found.what} was {found.recorded} and is {found.now}"
    outcomes = trails.changed(then.outcomes, now.outcomes) if then.ended and now.ended else []
    return f"At the end, these differ: {listed(outcomes)}" if outcomes else ""


def _data(story: journal.Story) -> dict[str, str]:
    return {record.name_of_data(item): item.digest or item.type for item in story.data}
