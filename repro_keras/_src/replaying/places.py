"""Comparing what two replays saw: the first state and the first tensor that differ."""

import dataclasses
from pathlib import Path

import numpy as np

from repro_keras._src.replaying import look
from repro_keras._src.replaying.seen import Part, Seen, Tensor


@dataclasses.dataclass(frozen=True)
class Place:
    """The first tensor that differs.

    Attributes:
        step: in which step of the run.
        part: which part of the step it belongs to: `"weights"`, `"random state"` and what is called
            `… before the step` are as the step found them.
        what: what it is.
        index: where its first element that differs is.
        recorded: that element in the first run, floats in hexadecimal; `None` where it is not known
            or the tensors are not of one type and shape.
        now: the same in the second run.
        ulps: how many floats of the type are from the one to the other, at most; `None` for what
            are no floats.
        differing: how many elements differ.
        elements: how many it has.
        also: what else differs that the step began with.
    """

    step: int
    part: Part
    what: str
    index: list[int] = dataclasses.field(default_factory=list)
    recorded: str | None = None
    now: str | None = None
    ulps: int | None = None
    differing: int = 0
    elements: int = 0
    also: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class StatePlace:
    """The first state between two steps that differs.

    Attributes:
        step: the step that it is to be looked for in.
        is_first: whether it is the first state of all that both replays have.
    """

    step: int
    is_first: bool


def first_state(one: Seen, other: Seen) -> StatePlace | None:
    """The first state in which a variable differs; `None` where there is none."""
    others = {(state.steps, state.begins): state for state in other.states}
    both = [s for s in one.states if (s.steps, s.begins) in others]
    for number, state in enumerate(both):
        if state.variables != others[state.steps, state.begins].variables:
            step = state.steps + 1 if state.begins else max(state.steps, 1)
            return StatePlace(step, number == 0)
    return None


def generators(one: Seen, other: Seen) -> str:
    """Which global generators differed, and since when; empty where none did."""
    others = {(state.steps, state.begins): state for state in other.states}
    for state in one.states:
        there = others.get((state.steps, state.begins))
        if there is None:
            continue
        names = [n for n, v in state.generators.items() if there.generators.get(n) != v]
        if names:
            when = "before step" if state.begins else "after step"
            return f"{' and '.join(names)} {when} {state.steps + state.begins}"
    return ""


Pair = tuple[Tensor | None, Tensor | None]
"""A tensor of two replays; `None` where one does not have it."""


def first_tensor(one: Seen, other: Seen) -> tuple[int, list[Pair]] | None:
    """The first tensors of the step that differ.

    Returns:
        How many are the same before them, and the pairs: one, or all those that differ of what the
        step began with. `None` where no tensor differs.
    """
    ours, theirs = _in_order(one.tensors), _in_order(other.tensors)
    names = {tensor.what: tensor for tensor in theirs}
    known = {tensor.what for tensor in ours}
    pairs: list[Pair] = [(tensor, names.get(tensor.what)) for tensor in ours]
    pairs += [(None, tensor) for tensor in theirs if tensor.what not in known]
    differ = [number for number, (a, b) in enumerate(pairs) if _of(a) != _of(b)]
    if not differ:
        return None
    if not _is_given(_either(pairs[differ[0]])):
        return differ[0], [pairs[differ[0]]]
    return differ[0], [pairs[n] for n in differ if _is_given(_either(pairs[n]))]


def _in_order(tensors: list[Tensor]) -> list[Tensor]:
    """What a step was given comes first, then all else as it came."""
    return sorted(tensors, key=lambda t: (not _is_given(t), t.part == "data"))


def _either(pair: Pair) -> Tensor:
    """The tensor of a pair, for what both have the same of."""
    return next(tensor for tensor in pair if tensor is not None)


def _is_given(tensor: Tensor) -> bool:
    return tensor.part == "data" or tensor.what.endswith(look.BEFORE)


def _of(tensor: Tensor | None) -> tuple | None:
    return tensor and (tensor.dtype, tensor.shape, tensor.digest)


def _form(tensor: Tensor | None) -> str:
    return "not there" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"


def place(pairs: list[Pair], folders: list[Path], step: int) -> Place:
    """What differs first, with its values.

    Args:
        pairs: what `first_tensor` found.
        folders: where the replays left their tensors.
        step: the step.
    """
    first, *rest = map(_either, pairs)
    also = [tensor.what for tensor in rest]
    a, b = pairs[0]
    if a is None or b is None or (a.dtype, a.shape) != (b.dtype, b.shape):
        return Place(step, first.part, first.what, recorded=_form(a), now=_form(b), also=also)
    count = int(np.prod(a.shape))
    x, y = a.read(folders[0]), b.read(folders[1])
    if x is None or y is None:
        return Place(step, a.part, a.what, elements=count, also=also)
    differ = (_bytes(x) != _bytes(y)).any(-1)
    first = int(np.argmax(differ))
    index = tuple(map(int, np.unravel_index(first, x.shape)))
    return Place(
        step=step,
        part=a.part,
        what=a.what,
        index=list(index),
        recorded=_said(x[index]),
        now=_said(y[index]),
        ulps=_ulps(x, y, differ),
        differing=int(differ.sum()),
        elements=count,
        also=also,
    )


def _bytes(x: np.ndarray) -> np.ndarray:
    return np.frombuffer(x.tobytes(), "uint8").reshape(x.size, x.dtype.itemsize)


def _said(x) -> str:
    return str(x) if x.dtype.kind in "biuc" else float(x).hex()


def _ulps(x: np.ndarray, y: np.ndarray, differ: np.ndarray) -> int | None:
    """The largest distance, in floats of the type that lie between; a NaN has none."""
    if x.dtype.kind in "biuc":
        return None
    x, y = x.reshape(-1)[differ], y.reshape(-1)[differ]
    if np.isnan(x.astype("float64")).any() or np.isnan(y.astype("float64")).any():
        return None
    return max(abs(p - q) for p, q in zip(_ordered(x), _ordered(y), strict=True))


def _ordered(x: np.ndarray) -> list[int]:
    """For floats, whole numbers in the same order, of which neighbours are neighbours.

    The bits of an IEEE 754 float, read as sign and magnitude, are that.
    """
    sign = 1 << (8 * x.dtype.itemsize - 1)
    bits = x.view(f"u{x.dtype.itemsize}").tolist()
    return [b if b < sign else sign - b for b in bits]


def meaning(place: Place) -> str:
    """What it says that this differs first: everything before it is the same."""
    name = place.what
    if name.endswith(look.BEFORE):
        if place.step == 1:
            return "it began so: it was built otherwise, or changed before the first step"
        return (
            f"it was the same after step {place.step - 1}, so that something outside of the steps "
            "changed it: a callback, or code of one's own"
        )
    if place.part == "data":
        return "the step was given other data"
    if name.startswith("the input of"):
        return "it was made otherwise of outputs that are the same"
    if place.part == "forward":
        return (
            "its input, its weights and its seeds are the same: it computes something else, or "
            "draws from something that has no seed"
        )
    if place.part == "loss":
        return "predictions and targets are the same: the loss is computed otherwise"
    if name.startswith("the gradient that the optimizer gets"):
        return "the gradients were the same when they were taken, and were changed after that"
    if place.part == "gradient":
        return "the loss is the same: what flows back is computed otherwise"
    if name == "the learning rate":
        return "all gradients are the same: the optimizer was told another rate"
    return "all gradients are the same: the optimizer computes something else with them"
