"""Running two runs again up to a step, as often as it takes to find what differs first."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import msgspec

from repro_keras._src import record
from repro_keras._src.comparing import trails
from repro_keras._src.errors import RunError
from repro_keras._src.replaying import places, seen
from repro_keras._src.replaying.sides import Side
from repro_keras._src.runs import launch, request, store, terminal, verify

_ATTEMPTS = 6


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A run that was replayed.

    Attributes:
        folder: where what was seen is.
        seen: what was seen.
        differs_after: after how many steps it came to another trail than was recorded; `None` where
            it came to the same.
        began: the steps of the state that it went on from; 0 where it began at the beginning.
    """

    folder: Path
    seen: seen.Seen
    differs_after: int | None
    began: int


@dataclasses.dataclass(frozen=True)
class Found:
    """What two replays came to.

    Attributes:
        step: the step that was looked into.
        place: what differs first; `None` where nothing does.
        before: how many tensors of the step are the same before that.
        notes: for each run, whether its replay is what was recorded.
        generators: which global generators were in other states before, and since which step.
        meaning: what it says that this differs first, or that nothing does.
        remark: what it says that replays are not what was recorded; empty where they are.
    """

    step: int
    place: places.Place | None
    before: int
    notes: tuple[str, str]
    generators: str
    meaning: str
    remark: str


def find(one: Side, other: Side, step: int) -> Found:
    """Replays two runs, and finds the first tensor that differs.

    Args:
        one: the first run.
        other: the second.
        step: a step that differs, from 1; what differs before it is found too.

    Raises:
        RunError: where one cannot be replayed so far.
    """
    sides = (one, other)
    look = request.Look(step=step, since=step - 1)
    from_states = True
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as stack:
            pair = [stack.enter_context(_replayed(s, look, from_states)) for s in sides]
            missed = [p.seen.missed for p in pair if p.seen.missed is not None]
            if missed:
                since = min(missed)
                if since >= look.since:
                    raise RunError(
                        f"Step {look.step} is made where it cannot be looked into: with several "
                        "replicas, or in a graph that TensorFlow runs by itself."
                    )
                look = msgspec.structs.replace(look, since=since)
                continue
            states = places.first_state(*(p.seen for p in pair))
            if states is not None and states.is_first and any(p.began for p in pair):
                from_states = False
                continue
            if states is not None and states.step < look.step:
                look = request.Look(step=states.step, since=states.step - 1)
                continue
            found = places.first_tensor(*(p.seen for p in pair))
            if found is None:
                return _found(look.step, None, len(pair[0].seen.tensors), pair)
            number, tensors = found
            place = places.place(tensors, [p.folder for p in pair], look.step)
            if place.recorded is None and look.tensor is None and place.elements:
                look = msgspec.structs.replace(look, tensor=place.what)
                continue
            return _found(look.step, place, number, pair)
    raise RunError("The first difference was not found: each replay differed at another place.")


def _found(step: int, place: places.Place | None, before: int, pair: list[Replayed]) -> Found:
    notes = (_note(pair[0]), _note(pair[1]))
    generators = places.generators(*(p.seen for p in pair))
    meaning = _NOTHING if place is None else places.meaning(place)
    others = sum(replayed.differs_after is not None for replayed in pair)
    return Found(step, place, before, notes, generators, meaning, _REMARKS[others])


_NOTHING = (
    "what made them differ is not in the code and the data: the CPU, versions, threads, or "
    "something that is other each time"
)
_REMARKS = (
    "",
    "One of them is not what was recorded: it ran on another CPU or with other versions, or draws "
    "from something that has no seed.",
    "Neither is what was recorded: both draw from something that has no seed, or ran on another "
    "CPU or with other versions.",
)


def _note(replayed: Replayed) -> str:
    whence = f"from its state after step {replayed.began}" if replayed.began else "from its start"
    if replayed.differs_after is None:
        return f"replayed {whence}, it came to what it recorded"
    return (
        f"replayed {whence}, it did not come to what it recorded "
        f"(from step {replayed.differs_after + 1} on)"
    )


@contextlib.contextmanager
def _replayed(side: Side, look: request.Look, from_states: bool) -> Iterator[Replayed]:
    """A run that was replayed; what was seen is there until the end of this."""
    states = side.states(look.since) if from_states else []
    folder = store.new(side.runs)
    try:
        finished = verify.again(
            side.path,
            side.statement,
            side.home,
            folder,
            instead=side.instead,
            look=look,
            states=states,
        )
        terminal.clear()
        found = seen.read(folder)
        run = finished.statement.predicate
        if run.status == "interrupted" and side.statement.predicate.status != "interrupted":
            raise KeyboardInterrupt
        steps = record.steps_of(run.trail)
        if found is None or (not found.tensors and found.missed is None and steps < look.step):
            raise RunError(_why_not(side, folder, finished, steps, look.step))
        yield Replayed(
            folder=folder,
            seen=found,
            differs_after=_differs_after(side.statement.predicate, run, look.since),
            began=run.resumed or 0,
        )
    finally:
        store.remove(folder)


def _why_not(side, folder: Path, finished: launch.Finished, steps: int, wanted: int) -> str:
    tail = (folder / launch.OUTPUT).read_text(errors="replace")[-1000:]
    said = f"It ended after {steps} steps, before step {wanted}"
    if finished.exit_code:
        said += f", with exit code {finished.exit_code}"
    return f"{said}. Its last output:\n{tail}" if tail.strip() else f"{said}."


def _differs_after(recorded: record.Run, now: record.Run, since: int) -> int | None:
    """After how many steps a replay is not what was recorded.

    Args:
        recorded: the run.
        now: its replay.
        since: after how many steps operations ran one by one, whose losses may differ by rounding
            from those of graphs.
    """

    def rows(run: record.Run) -> list[tuple]:
        return [row for segment in run.trail for row in trails.rows(segment)]

    for number, (row, other) in enumerate(zip(rows(recorded), rows(now), strict=False)):
        alike = row[1] == other[1] and (row[0] == other[0] or trails.is_small(row[0], other[0]))
        if row != other and (number < since or not alike):
            return number
    return None
