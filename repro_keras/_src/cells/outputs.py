"""Comparing what a cell of a notebook put out in two runs, but for noise that has a name.

Left out are the standard error (warnings and logs, with times and process numbers), tracebacks
(with paths; the error itself is compared), numbers of cells, and metadata.
"""

import base64
import binascii
import dataclasses
import io
import json
import re
from collections.abc import Callable
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_STEP_TIME = re.compile(r"\b(\d+:)*\d+s?( -)? \d+[mun]?s/(step|epoch)\b")
_TIME = r"[\d.]+ ?(min|[mun\u00b5\u03bc]?s)\b( \d+ ?[mun\u00b5\u03bc]?s\b)*"
_MAGIC_TIME = re.compile(
    rf"\bCPU times: .*|\bWall time: .*|{_TIME} \u00b1 {_TIME} per loop \(.*\)", re.MULTILINE
)
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b|\b0x7f[0-9a-f]{10}\b(?![.p])")


def _overwritten(text: str) -> str:
    """What a person sees of a text with carriage returns, backspaces, and spaces that hide."""
    return "\n".join(map(_line_shown, text.replace("\r\n", "\n").split("\n")))


def _line_shown(line: str) -> str:
    if "\r" not in line and "\b" not in line:
        return line.rstrip()
    shown: list[str] = []
    place = 0
    for character in line:
        if character == "\r":
            place = 0
        elif character == "\b":
            place = max(0, place - 1)
        else:
            shown[place : place + 1] = [character]
            place += 1
    return "".join(shown).rstrip()


NORMALIZERS: dict[str, Callable[[str], str]] = {
    "colors": lambda text: _ANSI.sub("", text),
    "overwritten text": _overwritten,
    "times of progress bars": lambda text: _STEP_TIME.sub("…/step", text),
    "times of %time": lambda text: _MAGIC_TIME.sub("…", text),
    "addresses": lambda text: _ADDRESS.sub("0x…", text),
}
"""What is taken out of texts that differ, by name, in this order."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What the outputs of a cell came to.

    Attributes:
        same: whether they are the same; `None` where it could not be told.
        difference: the first one; empty where there is none.
        noise: the names of the normalizers that were needed.
    """

    same: bool | None = True
    difference: str = ""
    noise: tuple[str, ...] = ()


def compare(then: list, now: list) -> Comparison:
    """Compares the outputs of a cell.

    Args:
        then: those of the first run, as nbformat has them.
        now: those of the second.
    """
    ones, others = _parts(then), _parts(now)
    noise: dict[str, None] = {}
    doubt = Comparison()
    for name in {**ones, **others}:
        if name not in ones or name not in others:
            what = "is new" if name in others else "is missing"
            return Comparison(False, f"{name} {what}")
        found = _compare_part(name, ones[name], others[name])
        if found.same is False:
            return found
        if found.same is None:
            doubt = found
        noise.update(dict.fromkeys(found.noise))
    return dataclasses.replace(doubt, noise=tuple(noise))


def _parts(outputs: list) -> dict[str, Any]:
    """The outputs by their names: how streams are cut into pieces depends on the moment."""
    parts: dict[str, Any] = {}
    count = 0
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream" and output["name"] == "stdout":
            parts["stdout"] = parts.get("stdout", "") + _joined(output["text"])
        elif kind == "error":
            parts["the error"] = f"{output['ename']}: {output['evalue']}"
        elif kind != "stream":
            count += 1
            for form, content in sorted(output["data"].items()):
                parts[f"output {count} ({form})"] = content
    return parts


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _compare_part(name: str, then: Any, now: Any) -> Comparison:
    if then == now or "widget" in name:  # a widget has another number in each run
        return Comparison()
    if "(image/png)" in name or "(image/jpeg)" in name:
        return _compare_images(name, _joined(then), _joined(now))
    noise = []
    one, other = (x if isinstance(x, str) else json.dumps(x, sort_keys=True) for x in (then, now))
    for normalizer, apply in NORMALIZERS.items():
        before = one, other
        one, other = apply(one), apply(other)
        if before != (one, other):
            noise.append(normalizer)
        if one == other:
            return Comparison(noise=tuple(noise))
    return Comparison(False, f"{name}, {_first_line(one, other)}")


def _first_line(one: str, other: str) -> str:
    ones, others = one.split("\n"), other.split("\n")
    for number, (a, b) in enumerate(zip(ones, others, strict=False), 1):
        if a != b:
            pairs = zip(a, b, strict=False)
            place = next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
            return f"line {number}: it was {_around(a, place)} and is {_around(b, place)}"
    count = min(len(ones), len(others)) + 1
    longer, what = (others, "new") if len(others) > len(ones) else (ones, "missing")
    return f"line {count}: {_around(longer[count - 1], 0)} is {what}"


def _around(line: str, place: int) -> str:
    begin = max(0, place - 20)
    text = line[begin : place + 30]
    return repr("…" * (begin > 0) + text + "…" * (place + 30 < len(line)))


def _compare_images(name: str, then: str, now: str) -> Comparison:
    """Compares pixels: files of the same picture may name the version that wrote them."""
    import numpy as np

    one, other = _pixels(then), _pixels(now)
    if one is None or other is None:
        return Comparison(
            None, f"{name}: the files differ, and without Pillow their pixels cannot be compared"
        )
    if one.shape != other.shape:
        sizes = [f"{x.shape[1]}x{x.shape[0]}" for x in (one, other)]
        return Comparison(False, f"{name}: it was {sizes[0]} and is {sizes[1]} pixels large")
    rows, columns = np.nonzero((one != other).any(axis=-1))
    if not len(rows):
        return Comparison()
    total = one.shape[0] * one.shape[1]
    return Comparison(
        False,
        f"{name}: {len(rows):,} of {total:,} pixels differ, the first in row {rows[0] + 1}, "
        f"column {columns[0] + 1}",
    )


def _pixels(content: str) -> Any:
    """The pixels of an image in base64, rows first; `None` where they cannot be had."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        return None
    import numpy as np

    try:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA"))
    except (UnidentifiedImageError, OSError, binascii.Error):
        return None
