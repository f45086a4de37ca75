"""Comparing the trails of two runs: how far they are the same, and where they differ first."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Protocol

from repro_keras._src import record, words
from repro_keras._src.words import listed, short


class Trained(Protocol):
    """What was trained and how: a record's run, or what a journal tells of one."""

    @property
    def models(self) -> Sequence[record.Model]: ...

    @property
    def trail(self) -> Sequence[record.Segment]: ...

    @property
    def ended(self) -> bool: ...


@dataclasses.dataclass(frozen=True)
class Difference:
    """The first step that differs, or the first epoch or model where no step does.

    Attributes:
        where: its place, for people.
        what: what differs there.
        recorded: the first record's value.
        now: the second's.
        kind: what differs, for programs.
        step: which step of the run it is, from 1; of what is no step, the last one before it.
        fit: in which `fit` of the run, from 0; `None` outside of one.
        layers: the layers that differ at the end of its epoch, in order.
        small: whether both are numbers that rounding alone may make differ.
    """

    where: str
    what: str
    recorded: str
    now: str
    kind: Literal["initial weights", "batch", "step", "state", "metric", "layer", "trail"]
    step: int
    fit: int | None = None
    layers: list[str] = dataclasses.field(default_factory=list)
    small: bool = False


@dataclasses.dataclass(frozen=True)
class Count:
    """How many steps or epochs there are in two trails, and how many are the same."""

    recorded: int
    now: int
    same: int


def count_steps(then: record.Run, here: record.Run) -> Count:
    """Counts the steps."""
    equal = _equal_segments(then, here)
    same = record.steps_of(then.trail[:equal])
    for a, b in zip(then.trail[equal:], here.trail[equal:], strict=False):
        same += sum(x == y for x, y in zip(rows(a), rows(b), strict=False))
    return Count(record.steps_of(then.trail), record.steps_of(here.trail), same)


def count_epochs(then: record.Run, here: record.Run) -> Count:
    """Counts the epochs, or the parts that end with a save of a session."""

    def count(trail: Sequence[record.Segment]) -> int:
        return sum(map(ends_with_digests, trail))

    equal = _equal_segments(then, here)
    same = count(then.trail[:equal])
    for a, b in zip(then.trail[equal:], here.trail[equal:], strict=False):
        same += ends_with_digests(a) and _without_chain(a) == _without_chain(b)
    return Count(count(then.trail), count(here.trail), same)


def ends_with_digests(segment: record.Segment) -> bool:
    """Whether it is an epoch, or the steps before a save of a session."""
    return segment.epoch is not None or bool(segment.layers)


def _equal_segments(then: Trained, here: Trained) -> int:
    """How many segments are equal from the beginning on: a chain tells of all before it."""
    count = 0
    for a, b in zip(then.trail, here.trail, strict=False):
        if not a.chain or a.chain != b.chain:
            break
        count += 1
    return count


def _without_chain(a: record.Segment) -> tuple:
    """What a segment tells, whatever came before it."""
    return a.steps, a.metrics, a.layers, _part(a)


def _part(segment: record.Segment) -> tuple:
    """Which part of training a segment is."""
    return segment.fit, segment.model, segment.epoch, segment.complete


def rows(segment: record.Segment) -> list[tuple]:
    """What is recorded of each step: two steps are the same where these are."""
    steps = segment.steps
    optimizers = steps.optimizer or [0] * len(steps.loss)
    batches = steps.batch or [None] * len(steps.loss)
    columns = (steps.loss, steps.learning_rate, steps.state, optimizers, batches)
    return list(zip(*columns, strict=True))


_COLUMNS = (
    "the loss",
    "the learning rate",
    "the weights after it (fingerprint)",
    "the optimizer",
    "the batch (fingerprint)",
)
_LOSS, _STATE, _BATCH = _COLUMNS[0], _COLUMNS[2], _COLUMNS[4]


def changed(one: dict, other: dict) -> list[str]:
    """The keys whose values differ, in order."""
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


def first_difference(then: Trained, here: Trained) -> Difference | None:
    """The first place where two runs differ, of the initial weights and the trail.

    Returns:
        The place; `None` where they do not differ, as far as both go.
    """
    initial, found = _in_models(then, here), _in_trail(then, here)
    if initial is None or found is None:
        return initial or found
    return initial if initial.step < found.step else found


def _in_models(then: Trained, here: Trained) -> Difference | None:
    for number, (a, b) in enumerate(zip(then.models, here.models, strict=False)):
        layers = changed(a.initial, b.initial)
        if not layers:
            continue
        # A later model may be made of an earlier one, after that was trained.
        parts = [i for i, segment in enumerate(then.trail) if segment.model == number]
        first = parts[0] if parts else 0
        return Difference(
            where=f"Before the first step of model {number + 1} ({a.name})",
            what=f"the initial weights of {listed(layers)}",
            recorded=short(a.initial.get(layers[0])),
            now=short(b.initial.get(layers[0])),
            kind="initial weights",
            step=record.steps_of(then.trail[:first]),
            fit=then.trail[first].fit if parts else None,
            layers=layers,
        )
    return None


def _in_trail(then: Trained, here: Trained) -> Difference | None:
    number = _equal_segments(then, here)
    step = record.steps_of(then.trail[:number])
    for a, b in zip(then.trail[number:], here.trail[number:], strict=False):
        found = _in_segment(a, b, _is_cut(then, number), _is_cut(here, number), number, step)
        if found is not None:
            layers = changed(a.layers, b.layers) if a.layers and b.layers else []
            return dataclasses.replace(found, fit=a.fit, layers=layers)
        step += len(a.steps.loss)
        number += 1
    longer, over = (then, here) if len(then.trail) > number else (here, then)
    if len(longer.trail) == number or not over.ended:
        return None
    extra = longer.trail[number]
    said = ("longer", "over before") if longer is then else ("over before", "longer")
    return Difference(
        record.name_of(extra, number), "the trail", *said, kind="trail", step=step, fit=extra.fit
    )


def _is_cut(run: Trained, number: int) -> bool:
    """Whether a segment may have gone on further than the record does."""
    return not run.ended and number == len(run.trail) - 1


def _in_segment(
    a: record.Segment, b: record.Segment, cut: bool, cut_now: bool, number: int, before: int
) -> Difference | None:
    """The first difference of two segments, of which one may be cut off."""
    name = record.name_of(b if a.epoch is None else a, number)  # one that was cut off has no epoch
    ours, others = rows(a), rows(b)
    for step, (row, other) in enumerate(zip(ours, others, strict=False), 1):
        if row != other:
            return _in_step(f"{name}, step {step}", row, other, before + step)
    count, count_now = len(ours), len(others)
    if (count > count_now and not cut_now) or (count_now > count and not cut):
        return Difference(
            where=name,
            what="the number of steps",
            recorded=str(count),
            now=str(count_now),
            kind="trail",
            step=before + min(count, count_now),
        )
    told = _told_otherwise(a, b)
    if told is not None:
        end, metric, x, y = told
        return Difference(
            where=f"{name}, batch {end + 1}",
            what=f"the metric {metric}",
            recorded=words.number(x),
            now=words.number(y),
            kind="metric",
            step=before + count,
            small=is_small(x, y),
        )
    if (cut and not a.complete) or (cut_now and not b.complete):
        return None
    found = _at_its_end(name, a, b, before + count)
    if found is None and _part(a) != _part(b):
        said = [
            record.name_of(s, number)
            + ("" if s.model is None else f", model {s.model + 1}")
            + (", cut off" * (not s.complete))
            for s in (a, b)
        ]
        return Difference(name, "what was trained", *said, kind="trail", step=before + count)
    return found


def _told_otherwise(
    a: record.Segment, b: record.Segment
) -> tuple[int, str, str | None, str | None] | None:
    """The first batch, from 0, after which a metric differs, as far as both records tell of it."""
    if not a.by_batch or not b.by_batch:
        return None
    names = list({**a.by_batch, **b.by_batch})

    def by_end(segment: record.Segment) -> dict[int, list[str | None]]:
        columns = [segment.by_batch.get(name, [None] * len(segment.ends())) for name in names]
        return dict(zip(segment.ends(), map(list, zip(*columns, strict=True)), strict=True))

    one, other = by_end(a), by_end(b)
    missing: list[str | None] = [None] * len(names)
    ends = sorted({*one, *other})
    if not (a.complete and b.complete):  # what was not written any more
        ends = [end for end in ends if end in one and end in other]
    for end in ends:
        values = zip(names, one.get(end, missing), other.get(end, missing), strict=True)
        for name, x, y in values:
            if x != y:
                return end, name, x, y
    return None


def _in_step(name: str, row: tuple, other: tuple, step: int) -> Difference:
    columns = list(zip(_COLUMNS, row, other, strict=True))
    # What a step saw comes before what it made of it.
    what, x, y = next(c for c in (columns[-1], *columns) if c[1] != c[2])
    return Difference(
        where=f"{name} (step {step} of the run)",
        what=what,
        recorded=words.number(x),
        now=words.number(y),
        kind="batch" if what == _BATCH else "state" if what == _STATE else "step",
        step=step,
        small=what == _LOSS and is_small(x, y),
    )


def _at_its_end(name: str, a: record.Segment, b: record.Segment, step: int) -> Difference | None:
    for what, one, other in (("metric", a.metrics, b.metrics), ("layer", a.layers, b.layers)):
        keys = changed(one, other)
        if keys:
            x, y = one.get(keys[0]), other.get(keys[0])
            return Difference(
                where=f"{name}, after its last step {step}",
                what=f"the {what} {listed(keys)}",
                recorded=words.number(x),
                now=words.number(y),
                kind="metric" if what == "metric" else "layer",
                step=step,
                small=what == "metric" and is_small(x, y),
            )
    return None


_ROUNDING = 1e-5
"""How far apart, of their size, kernels that add up in another order put losses in float32."""


def is_small(x: str | None, y: str | None) -> bool:
    """Whether two floats differ by no more than what rounding may make of them."""
    if x is None or y is None:
        return False
    one, other = float.fromhex(x), float.fromhex(y)
    return abs(one - other) <= _ROUNDING * max(abs(one), abs(other))
