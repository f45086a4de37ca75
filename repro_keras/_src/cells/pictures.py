"""What a notebook shows of a run: a line that opens to a plot, readable on light and on dark."""

import html
import math
import urllib.parse

from repro_keras._src.report import pictures

_WIDTH, _HEIGHT, _GRAY = 360, 88, "#7a7f87"
_SIGNS = {True: ("✓", "#2e9d4f"), False: ("≠", "#d9482b"), None: ("●", _GRAY)}


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
    """A small plot of losses, as an image; empty where there are fewer than two finite ones.

    JupyterLab takes SVG out of a notebook that it does not trust, and leaves the texts in it: so
    this is an image with the SVG in its address, and its texts are under it.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) < 2:
        return ""
    low, high, wide, tall = min(finite), max(finite), _WIDTH - 8, _HEIGHT - 8
    lines = pictures.strokes(list(enumerate(losses)), len(losses), wide)
    path = pictures.drawn(lines, low, high, len(losses), wide, tall)
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" fill="none">'
        f'<path d="M4 4V{4 + tall}H{4 + wide}" stroke="{_GRAY}" stroke-opacity=".6"/>'
        f'<path d="{path}" transform="translate(4 4)" stroke="#3f8fd2" stroke-width="1.5" '
        'stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )
    label = f"loss of {len(losses)} steps, from {finite[0]:.4g} to {finite[-1]:.4g}"
    return (
        f'<img src="data:image/svg+xml,{urllib.parse.quote(drawing, safe=" /:=")}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" alt="{label}">'
        f"<br>{len(losses)} steps; loss {low:.4g} (bottom) to {high:.4g} (top)"
    )
