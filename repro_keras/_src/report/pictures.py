"""Curves and strips as SVG: no size of their own, readable on light and on dark, and on paper.

A picture is stretched to the width that there is, so all text is beside it and not in it. Long
curves are thinned: of each column, the lowest and the highest value are drawn.
"""

import html
import math
from collections.abc import Sequence

from repro_keras._src import words

WIDTH = 720
"""The columns of a curve."""

CELLS = 240
"""The most columns of a strip."""

Point = tuple[int, float]
_MOST = 300


def text(value: object, most: int = _MOST) -> str:
    """A text that comes from a record, for a page: nothing in it is markup or moves others."""
    said = words.plain(str(value)[: most + 1])
    return html.escape(said if len(said) <= most else said[:most] + "…")


def strokes(
    values: Sequence[tuple[int, float | None]], length: int, wide: int
) -> list[list[Point]]:
    """Lines without a gap through values, no more than two for a column.

    Args:
        values: pairs of a place and a value there; lines end at one that is no finite number.
        length: how many places there are.
        wide: how many columns there are.

    Returns:
        For each line its points: all, or the lowest and the highest of each column.
    """
    found: list[list[Point]] = []
    line: list[Point] = []
    if len(values) <= wide:
        columns = [[pair] for pair in values]
    else:
        columns = [[] for _ in range(wide)]
        for pair in values:
            columns[pair[0] * wide // length].append(pair)
    for column in columns:
        known = [(x, y) for x, y in column if y is not None and math.isfinite(y)]
        if known:
            ends = {min(known, key=_height), max(known, key=_height)}
            line += sorted(ends)
        elif column and line:
            found.append(line)
            line = []
    return found + ([line] if line else [])


def _height(point: Point) -> float:
    return point[1]


def drawn(
    lines: list[list[Point]], low: float, high: float, length: int, wide: float, tall: float
) -> str:
    """The path of lines, `low` to `high` from the bottom to the top, as SVG has it in `d`."""
    span = high - low
    parts = []
    for line in lines:
        places = []
        for x, y in line:
            up = (y - low) / span if 0 < span < math.inf else 0.5
            places.append(f"{wide * (x + 0.5) / length:.1f} {tall * (1 - up):.1f}")
        parts.append(f"M{'L'.join(places)}" + "h0" * (len(places) == 1))
    return "".join(parts)


def merged(values: Sequence[bool | None], most: int) -> list[bool | None]:
    """No more than `most` values: one that stands for several is `False` where one of them is."""
    if len(values) <= most:
        return list(values)
    found: list[bool | None] = []
    for column in range(most):
        part = values[column * len(values) // most : (column + 1) * len(values) // most]
        found.append(False if False in part else True if True in part else None)
    return found


_KINDS = {
    True: ("same", "0h{}v10h-{}z"),
    False: ("different", "0h{}v10h-{}z"),
    None: ("none", "4.4h{}v1.2h-{}z"),
}
"""How it is drawn: what is not known is a thin line, so that it is told without colors too."""


def strip(values: Sequence[bool | None], label: str, most: int = CELLS, kind: str = "") -> str:
    """A row of cells that are the same, different or not known.

    Args:
        values: `True`, `False` or `None` for each.
        label: what it says, for who does not see it; it is escaped.
        most: how many cells there are at most.
        kind: another class of the picture.
    """
    cells = merged(values, most)
    gap = 0.08 if len(cells) <= 40 else 0
    paths = {True: "", False: "", None: ""}
    begin = 0
    for end in range(1, len(cells) + 1):
        if end < len(cells) and cells[end] is cells[begin] and not gap:
            continue
        wide = f"{end - begin - gap:g}"
        paths[cells[begin]] += f"M{begin} {_KINDS[cells[begin]][1].format(wide, wide)}"
        begin = end
    inner = "".join(f'<path class="{_KINDS[k][0]}" d="{d}"/>' for k, d in paths.items() if d)
    return svg(inner, label, max(1, len(cells)), 10, f"strip {kind}".strip())


def svg(inner: str, label: str, wide: float, tall: float, kind: str) -> str:
    """A picture that is stretched to its place."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {wide} {tall}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(label)}">{inner}</svg>'
    )


def cell(same: bool | None, kind: str = "") -> str:
    """A cell of a strip, for a legend."""
    name, shape = _KINDS[same]
    return (
        f'<svg class="key {kind}" viewBox="0 0 1 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="{name}" d="M0 {shape.format(1, 1)}"/></svg>'
    )
