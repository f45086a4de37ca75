"""The trails of one or two runs, side by side as they are compared: what is drawn of them."""

import array
import dataclasses
import itertools
import math
import struct
from collections.abc import Sequence

from repro_keras._src import record
from repro_keras._src.comparing import trails

COLUMNS = {"loss": "loss", "learning_rate": "learning rate", "state": "weights (fingerprint)"}
"""What is recorded of each step, by its name in `record.Steps`."""


@dataclasses.dataclass(frozen=True)
class Sides:
    """The steps of two runs, or of one, in places of one axis.

    Parts of the trail are compared one by one, and so are the steps of each. Where a part has more
    steps in one run, the other has none in these places.

    Attributes:
        starts: the place where each part begins.
        length: how many places there are.
        losses: for each run, the loss in each place; `None` where it is not known.
        makers: for each run, the number of the optimizer that made each step; `None` for no step.
        same: for each of `COLUMNS`, whether the runs are the same in each place; `None` where it
            is not on both records.
        equal: whether all that is recorded of a step is the same, in each place.
        unit: `"float32"` where all losses are such numbers, else `"float64"`.
        distances: the places where both losses are known and differ, and by how many `unit`s in
            the last place.
        lost: for each run, how many steps went by unseen.
    """

    starts: list[int]
    length: int
    losses: list[list[float | None]]
    makers: list[list[int | None]]
    same: dict[str, list[bool | None]]
    equal: list[bool | None]
    unit: str
    distances: dict[int, int]
    lost: list[int]


def beside(runs: Sequence[record.Run]) -> Sides:
    """Lays the trails of runs side by side."""
    starts, length = [], 0
    losses: list[list[float | None]] = [[] for _ in runs]
    makers: list[list[int | None]] = [[] for _ in runs]
    same: dict[str, list[bool | None]] = {name: [] for name in COLUMNS}
    equal: list[bool | None] = []
    for parts in itertools.zip_longest(*(run.trail for run in runs)):
        starts.append(length)
        sizes = [0 if part is None else len(part.steps.loss) for part in parts]
        size = max(sizes)
        for side, part in enumerate(parts):
            steps = record.Steps() if part is None else part.steps
            blank = [None] * (size - sizes[side])
            losses[side] += [None if x is None else float.fromhex(x) for x in steps.loss]
            makers[side] += steps.optimizer or [0] * sizes[side]
            losses[side] += blank
            makers[side] += blank
        if len(parts) == 2:
            for name, column in same.items():
                column += _compared(name, *parts, size)
            equal += _equal(*parts, size)
        length += size
    known = [loss for side in losses for loss in side if loss is not None]
    unit = "float32" if _are_single(known) else "float64"
    distances = {}
    if len(runs) == 2:
        for place, (x, y) in enumerate(zip(*losses, strict=True)):
            if x != y and x is not None and y is not None:
                found = distance(x, y, unit)
                if found is not None:
                    distances[place] = found
    lost = [sum(segment.lost for segment in run.trail) for run in runs]
    return Sides(starts, length, losses, makers, same, equal, unit, distances, lost)


def _compared(
    name: str, a: record.Segment | None, b: record.Segment | None, size: int
) -> list[bool | None]:
    one, other = ([] if part is None else getattr(part.steps, name) for part in (a, b))
    found = [None if x is None and y is None else x == y for x, y in zip(one, other, strict=False)]
    return found + [None] * (size - len(found))


def _equal(a: record.Segment | None, b: record.Segment | None, size: int) -> list[bool | None]:
    rows = (() if part is None else trails.rows(part) for part in (a, b))
    found: list[bool | None] = [x == y for x, y in zip(*rows, strict=False)]
    return found + [None] * (size - len(found))


def _are_single(numbers: list[float]) -> bool:
    finite = [number for number in numbers if math.isfinite(number)]
    try:
        return array.array("f", finite).tolist() == finite
    except OverflowError:
        return False


def distance(x: float, y: float, unit: str) -> int | None:
    """How many numbers of a format two are apart (units in the last place).

    Returns:
        How many; `None` where one is not a finite number of it.
    """
    whole, real = ("<i", "<f") if unit == "float32" else ("<q", "<d")
    if not (math.isfinite(x) and math.isfinite(y)):
        return None
    places = []
    for number in (x, y):
        try:
            (bits,) = struct.unpack(whole, struct.pack(real, number))
        except OverflowError:
            return None
        places.append(bits if bits >= 0 else -(bits & (2 ** (8 * struct.calcsize(real) - 1) - 1)))
    return abs(places[0] - places[1])


# By epoch, or by save of a session


@dataclasses.dataclass(frozen=True)
class Line:
    """A layer or a metric, and whether it is the same after each part of the trail.

    Attributes:
        name: what it is.
        same: for the start, and each part of the trail that is shown, whether it is the same;
            `None` where it is not on both records.
    """

    name: str
    same: list[bool | None]


Key = tuple[int | None, str]
"""Which model's, and the name of a layer; or of a metric."""


def names_of(runs: Sequence[record.Run]) -> list[str]:
    """What the columns of `layers` and `metrics` are called."""
    names = (record.name_of(next(filter(None, parts)), n) for n, parts in _ends(runs))
    return ["before the first step", *names]


def layers(runs: Sequence[record.Run]) -> list[Line]:
    """For each layer, whether its digest is the same in two runs; in one, as it was before."""
    found: list[_Said] = []
    for number, models in enumerate(itertools.zip_longest(*(run.models for run in runs))):
        found.append((0, number, [{} if model is None else model.initial for model in models]))
    ends = _ends(runs)
    for column, (_, parts) in enumerate(ends, 1):
        said = [{} if part is None else part.layers for part in parts]
        models = [None if part is None else part.model for part in parts]
        if _is_one(parts):
            found.append((column, models[0], said))
        else:  # of something else in the one than in the other: they are not compared
            found.append((column, models[0], [said[0], {}]))
            found.append((column, models[1], [{}, said[1]]))
    rows = _filled(found, 1 + len(ends))
    several = len({model for model, _ in rows}) > 1
    return [Line(_named(key, several), same) for key, same in rows.items()]


def metrics(runs: Sequence[record.Run]) -> list[Line]:
    """For each metric, whether it is the same in two runs after each epoch."""
    found: list[_Said] = []
    ends = _ends(runs)
    for column, (_, parts) in enumerate(ends, 1):
        said: list[dict[str, str]] = [{} if part is None else part.metrics for part in parts]
        found.append((column, None, said if _is_one(parts) else [{**said[0], **said[1]}, {}]))
    rows = _filled(found, 1 + len(ends))
    return [Line(f"metric {name}", same) for (_, name), same in rows.items()]


_Said = tuple[int, int | None, list[dict[str, str]]]
"""In which column, of which model, and what each run says there."""

_Parts = tuple[record.Segment | None, ...]


def _ends(runs: Sequence[record.Run]) -> list[tuple[int, _Parts]]:
    """The parts of the trail with digests or metrics in any run, with their numbers."""
    together = itertools.zip_longest(*(run.trail for run in runs))
    return [
        (number, parts)
        for number, parts in enumerate(together)
        if any(part is not None and (part.layers or part.metrics) for part in parts)
    ]


def _is_one(parts: _Parts) -> bool:
    """Whether they are the same part of training."""
    return len({part and (part.fit, part.model, part.epoch) for part in parts}) == 1


def _filled(found: list[_Said], wide: int) -> dict[Key, list[bool | None]]:
    """For each name whether what each run says of it is the same; of one run, as it was before."""
    rows: dict[Key, list[bool | None]] = {}
    before: dict[int | None, dict[str, str]] = {}
    for column, model, said in found:
        one, other = said[0], said[1] if len(said) == 2 else before.setdefault(model, {})
        for name in (*one, *(name for name in other if name not in one)):
            row = rows.get((model, name))
            if row is None:
                row = rows[model, name] = [None] * wide
            if name in one and name in other:
                row[column] = one[name] == other[name]
        if len(said) == 1:
            other.update(one)
    return rows


def _named(key: Key, several: bool) -> str:
    model, name = key
    return name if not several or model is None else f"model {model + 1}: {name}"
