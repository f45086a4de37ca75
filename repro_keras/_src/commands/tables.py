"""What the commands print: tables, and what a comparison of two records came to."""

import dataclasses
import sys

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from repro_keras._src import words
from repro_keras._src.cells.again import Cell
from repro_keras._src.comparing import causes, saying
from repro_keras._src.comparing.causes import Cause
from repro_keras._src.comparing.compare import Verdict
from repro_keras._src.words import listed, plain

_MARKS = {True: "[green]yes[/]", False: "[red]no[/]", None: "[yellow]?[/]"}
_WORDS = {
    True: "[green]The same[/]",
    False: "[red]Different[/]",
    None: "[yellow]Could not tell[/]",
}
_LINES = 20


def table(title: str | None, *columns: str) -> Table:
    """A table, without its frame where no person looks."""
    shape = box.HEAVY_HEAD if sys.stdout.isatty() else None
    result = Table(title=title, title_justify="left", box=shape)
    for column in columns:
        result.add_column(column, overflow="fold", no_wrap=column in ("run", "same"))
    return result


def console() -> Console:
    """Where to print."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def say(text: str) -> None:
    """Prints a line as it is: nothing in it is markup, and a terminal wraps it."""
    console().print(text, soft_wrap=True, markup=False)


def show_rows(verdict: Verdict, title: str | None, one: str, other: str) -> None:
    """Prints all that was compared.

    Args:
        verdict: of the comparison.
        title: the table's.
        one: what the first record is called.
        other: what the second is called.
    """
    found = table(title, "", one, other, "same")
    for row in verdict.rows:
        found.add_row(row.what, escape(row.recorded), escape(row.now), _MARKS[row.same])
    console().print(found)


def show_reasons(verdict: Verdict, form: str, found: list[Cause]) -> None:
    """Prints the first difference and what may be the cause.

    Args:
        verdict: of the comparison.
        form: how to say what differs, with the names of `Difference`'s attributes in braces.
        found: the causes.
    """
    for line in saying.reasons(verdict, form):
        say(line)
    if not found:
        return
    say("Likely causes, the likeliest first:")
    for number, cause in enumerate(found, 1):
        but = f" ({cause.excluded})" if cause.excluded else ""
        say(plain(f"  {number}. {causes.NAMES[cause.what]}: {cause.evidence}{but}"))


def show_replay(found) -> None:
    """Prints what replaying two runs came to.

    Args:
        found: a `replaying.replay.Found`.
    """
    for letter, said in zip("AB", found.notes, strict=True):
        say(f"{letter}, {said}.")
    if found.remark:
        say(found.remark)
    place = found.place
    if place is None:
        say(
            f"All {found.before} tensors of step {found.step} are the same in the replays, and all "
            f"states before it: {found.meaning}."
        )
        return
    where = f" at {place.index}" if place.index else ""
    said = [f"First tensor that differs. Step {place.step}, {place.part}: {place.what}{where}"]
    if place.recorded is not None:
        said.append(f"{words.number(place.recorded)} in A and {words.number(place.now)} in B")
    if place.differing:
        distance = "" if place.ulps is None else f", by at most {place.ulps:,} ulp"
        said.append(f"{place.differing:,} of {place.elements:,} elements differ{distance}")
    say(plain("; ".join(said)))
    before = (
        f"The {found.before} tensors of the step before it are the same. " if found.before else ""
    )
    say(f"{before}What that says: {found.meaning}.")
    if place.also:
        say(plain(f"The step also began with other {listed(place.also, 6)}"))
    if found.generators:
        say(f"Global generators were in other states: {found.generators}.")


def show_lines(title: str, lines: list[str]) -> None:
    """Prints lines of code, and no more than a screen has; nothing where there are none."""
    if lines:
        say(title)
    for line in lines[:_LINES]:
        say(f"  {plain(line)}")
    if len(lines) > _LINES:
        say(f"  … and {len(lines) - _LINES} more lines")


def show_word(same: bool | None) -> None:
    """Prints a verdict in a word."""
    console().print(_WORDS[same])


def show_cells(cells: list[Cell], title: str) -> None:
    """Prints what the code cells of a notebook came to, and the first difference."""
    found = table(title, "cell", "", "same", "but for")
    for cell in cells:
        noise = ", ".join(cell.noise)
        found.add_row(str(cell.cell), escape(plain(cell.source)), _MARKS[cell.same], noise)
    console().print(found)
    first = next((cell for cell in cells if cell.same is not True), None)
    if first is not None:
        word = "First difference" if first.same is False else "Not told"
        say(plain(f"{word}. Cell {first.cell}, {first.difference}"))


def as_json(verdict: Verdict, one: str, other: str, found: list[Cause]) -> dict:
    """A verdict for programs.

    Args:
        verdict: of the comparison.
        one: the key of what the first record says.
        other: the key of what the second says.
        found: the causes.
    """

    def named(item) -> dict:
        keys = {"recorded": one, "now": other}
        return {keys.get(key, key): value for key, value in dataclasses.asdict(item).items()}

    difference = verdict.difference
    return {
        "verdict": saying.VERDICTS[verdict.same],
        "rows": [named(row) for row in verdict.rows],
        "first_difference": None if difference is None else named(difference),
        "causes": [dataclasses.asdict(cause) for cause in found],
    }
