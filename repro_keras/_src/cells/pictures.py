"""What a notebook shows of a run: a line that opens to a plot, readable on light and on dark."""

import html
import math

from repro_keras._src.report import pictures

_WIDTH, _HEIGHT, _LEFT = 360, 96, 56
_SIGNS = {True: ("✓", "#2e9d4f"), False: ("≠", "#d9482b"), None: ("●", "#7a7f87")}


def badge(title: str, said: str, same: bool | None, losses: list[float]) -> str:
    """The HTML that is shown under a cell.

    Args:
        title: what was run.
        said: what came of it, in a sentence or two.
        same: whether it was the same as before; `None` where there was nothing before.
        losses: the loss of each step.
    """
    sign, color = _SIGNS[same]
    line = (
        f'<span style="color:{color};font-weight:bold">{sign}</span> '
        f"{html.escape(title)} {html.escape(said)}"
    )
    return f"<details><summary>{line}</summary>{plot(losses)}</details>"


def plot(losses: list[float]) -> str:
    """A small plot of losses, as SVG; empty where there are fewer than two finite ones."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) < 2:
        return ""
    low, high, wide, tall = min(finite), max(finite), _WIDTH - _LEFT - 4, _HEIGHT - 20
    lines = pictures.strokes(list(enumerate(losses)), len(losses), wide)
    path = pictures.drawn(lines, low, high, len(losses), wide, tall)
    label = f"loss of {len(losses)} steps, from {finite[0]:.4g} to {finite[-1]:.4g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="{label}" font-family="sans-serif" font-size="11">'
        f'<path d="M{_LEFT} 4V{4 + tall}H{_WIDTH - 4}" fill="none" stroke="currentColor" '
        f'stroke-opacity=".4"/><path d="{path}" transform="translate({_LEFT} 4)" fill="none" '
        'stroke="#3f8fd2" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>'
        f'<g fill="currentColor" text-anchor="end"><text x="{_LEFT - 4}" y="13">{high:.4g}</text>'
        f'<text x="{_LEFT - 4}" y="{4 + tall}">{low:.4g}</text>'
        f'<text x="{_WIDTH - 4}" y="{_HEIGHT - 3}">step {len(losses)}</text></g></svg>'
    )
