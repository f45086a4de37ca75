"""The pictures of a page, with what they say in words: losses, steps and layers."""

import dataclasses
import math
from collections.abc import Sequence

from repro_keras._src.report import pictures
from repro_keras._src.report.pictures import WIDTH, text
from repro_keras._src.report.sides import COLUMNS, Line, Sides
from repro_keras._src.words import listed

_TALL = 200
_MOST_CURVES = 4
_MOST_LINES = 150
LETTERS = "AB"
_LEGEND = '<span class="key a"></span> A <span class="key b"></span> B, over A where they meet.'


@dataclasses.dataclass(frozen=True)
class Mark:
    """Where two runs differ first: a place of the axis, and what is written there."""

    place: float
    name: str


def losses(sides: Sides, mark: Mark | None) -> str:
    """The losses of both runs on one picture, one picture for each optimizer."""
    makers = sorted({maker for side in sides.makers for maker in side if maker is not None})
    found = []
    for maker in makers[:_MOST_CURVES]:
        name = "Loss of each step" + f", optimizer {maker + 1}" * (len(makers) > 1)
        found.append(_curves(name, sides, maker, mark))
    more = len(makers) - _MOST_CURVES
    if more > 0:
        found.append(f"<p>{more} more optimizers are not drawn.</p>")
    return "".join(found)


def _curves(name: str, sides: Sides, maker: int, mark: Mark | None) -> str:
    length = sides.length
    points = [
        [(x, loss) for x, (loss, by) in enumerate(zip(side, who, strict=True)) if by == maker]
        for side, who in zip(sides.losses, sides.makers, strict=True)
    ]
    known = [[y for _, y in p if y is not None and math.isfinite(y)] for p in points]
    every = [y for side in known for y in side]
    if not every:
        return f"<p>{name}: none is on the record.</p>"
    low, high = min(every), max(every)
    log = low > 0 and high / low > 1000
    scaled = [
        [(x, math.log(y) if log and y is not None and 0 < y < math.inf else y) for x, y in p]
        for p in points
    ]
    ends = (math.log(low), math.log(high)) if log else (low, high)
    inner = ""
    for letter, side in zip(LETTERS, scaled, strict=False):
        lines = pictures.strokes(side, length, WIDTH)
        path = pictures.drawn(lines, *ends, length, WIDTH, _TALL)
        inner += f'<path class="curve {letter.lower()}" d="{path}"/>'
    said = [
        f"{letter} from {side[0]:.4g} to {side[-1]:.4g} in {len(p)} steps"
        for letter, side, p in zip(LETTERS, known, points, strict=False)
        if side
    ]
    if len(points) == 1:
        said = [said[0].removeprefix("A ")]
    label = f"{name}: {'; '.join(said)}." + (f" {mark.name}." if mark else "")
    legend = _LEGEND if len(points) == 2 else ""
    note = " The scale is logarithmic." if log else ""
    unseen = sum(len(p) - len(side) for p, side in zip(points, known, strict=True))
    if unseen:
        note += f" Gaps are losses that are not on the record, or no finite numbers ({unseen:,})."
    axis = _axis(f"{high:.4g}", f"{low:.4g}")
    return _figure(name, legend + note, axis, inner, label, length, mark)


def distances(sides: Sides, mark: Mark | None) -> str:
    """How far apart the losses are, in units in the last place; empty where none is."""
    if not sides.distances:
        return ""
    most = max(sides.distances.values())
    wide = min(WIDTH, sides.length)
    highest = [0] * wide
    for place, found in sides.distances.items():
        column = place * wide // sides.length
        highest[column] = max(highest[column], found)
    scale = math.log2(most + 1) or 1.0
    path = f"M0 {_TALL}"
    for column, found in enumerate(highest, 1):
        up = _TALL * (1 - math.log2(found + 1) / scale)
        path += f"V{up:.1f}H{WIDTH * column / wide:.1f}"
    name = "Distance of the losses"
    first = min(sides.distances)
    label = (
        f"{name}: {len(sides.distances)} steps of {sides.length} differ, by up to {most:,} units "
        f"in the last place; the first, in place {first + 1}, by {sides.distances[first]:,}."
    )
    note = (
        f"In units in the last place (ulp) of {sides.unit}, where both losses are known; the scale "
        "is logarithmic, and the highest of each column is drawn."
    )
    inner = f'<path class="bars" d="{path}V{_TALL}z"/>'
    top = f"{most:,}" if most < 10_000_000 else f"{most:.3g}"
    return _figure(name, note, _axis(top, "0"), inner, label, sides.length, mark)


def steps(sides: Sides) -> str:
    """Whether the loss, the learning rate and the weights are the same, step by step."""
    rows = []
    for name, title in COLUMNS.items():
        same = sides.same[name]
        label = f"{title}: {_counted(same, 'steps')}."
        rows.append(_row(title, pictures.strip(same, label, WIDTH), _count(same, "differ")))
    return (
        f"<figure><figcaption><b>Steps that are the same</b> {_kinds('')}</figcaption>"
        f'<div class="under">{"".join(rows)}{_ends_of(sides.length)}</div></figure>'
    )


def layers(lines: list[Line], names: list[str], title: str, *, alone: bool = False) -> str:
    """A map of layers and epochs.

    Args:
        lines: a layer or metric each.
        names: what the columns are called.
        title: what the map is.
        alone: whether it is of one run, each layer compared with the epoch before.
    """
    if all(set(line.same) <= {None} for line in lines):
        return ""
    kind = "alone" if alone else ""
    shown, more = lines, len(lines) - _MOST_LINES
    if more > 0:  # those that differ, before others
        places = sorted(range(len(lines)), key=lambda place: False not in lines[place].same)
        shown = [lines[place] for place in sorted(places[:_MOST_LINES])]
    rows = []
    for line in shown:
        label = f"{line.name}: {_in_words(line.same, names, alone)}."
        count = _count(line.same, "changed" if alone else "differ")
        rows.append(_row(line.name, pictures.strip(line.same, label, kind=kind), count))
    first, last = names[0], names[-1] if len(names) > 1 else ""
    note = f"Columns: {first}, then {len(names) - 1:,} epochs or saves."
    if len(names) > pictures.CELLS:
        note += " A cell stands for several, and is different where one of them is."
    note += f" {more} more are not drawn." * (more > 0)
    ends = f'<div class="x"><span>{text(first)}</span><span>{text(last)}</span></div>'
    return (
        f"<figure><figcaption><b>{text(title)}</b> {_kinds(kind)} {note}</figcaption>"
        f"{''.join(rows)}{_row('', ends, '')}</figure>"
    )


def _in_words(same: Sequence[bool | None], names: list[str], alone: bool) -> str:
    words = ("columns", "changed", "unchanged") if alone else ("columns", "different", "the same")
    said = _counted(same, *words)
    if False in same:
        said += f"; first {words[1]}: {names[same.index(False)]}"
    return said


def _counted(
    same: Sequence[bool | None], what: str, no: str = "different", yes: str = "the same"
) -> str:
    found = ((same.count(False), no), (same.count(True), yes), (same.count(None), "not compared"))
    return f"{len(same)} {what}, " + listed([f"{n} {word}" for n, word in found if n])


def _count(same: Sequence[bool | None], word: str) -> str:
    count = same.count(False)
    return f"{count:,} {word}" if count else ""


def _kinds(kind: str) -> str:
    words = ("unchanged since the column before", "changed") if kind else ("the same", "different")
    keys = zip((True, False, None), (*words, "not compared: not recorded"), strict=True)
    return ", ".join(f"{pictures.cell(same, kind)} {word}" for same, word in keys) + "."


def _figure(
    name: str, note: str, axis: str, inner: str, label: str, length: int, mark: Mark | None
) -> str:
    where = ""
    if mark is not None:
        x = f"{WIDTH * mark.place / length:.1f}"
        inner += f'<path class="mark" d="M{x} 0V{_TALL}"/>'
        part = 100 * mark.place / length
        side = f"left:{part:.2f}%" if part < 50 else f"right:{100 - part:.2f}%"
        where = f'<div class="where"><span style="{side}">{text(mark.name)}</span></div>'
    picture = pictures.svg(inner, label, WIDTH, _TALL, "plot")
    return (
        f"<figure><figcaption><b>{text(name)}</b> {note}</figcaption>"
        f'<div class="axes">{axis}<div class="area">{where}{picture}{_ends_of(length)}</div></div>'
        "</figure>"
    )


def _axis(high: str, low: str) -> str:
    return f'<div class="y"><span>{high}</span><span>{low}</span></div>'


def _ends_of(length: int) -> str:
    return f'<div class="x"><span>step 1</span><span>step {length:,}</span></div>'


def _row(name: str, picture: str, count: str) -> str:
    return (
        f'<div class="row"><span class="name">{text(name)}</span>{picture}'
        f'<span class="count">{count}</span></div>'
    )
