"""`repro-keras diff`: two records are compared."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from repro_keras._src import project, record
from repro_keras._src.commands import tables
from repro_keras._src.commands.common import (
    AS_JSON,
    YES,
    ask,
    code_of,
    current_project,
    print_json,
    read,
    run_argument,
    told_as_json,
)
from repro_keras._src.comparing import causes, compare, saying
from repro_keras._src.comparing.trails import Difference
from repro_keras._src.errors import ReproError, RunError
from repro_keras._src.exports import archive, layout
from repro_keras._src.runs import kept, store


@click.command("diff")
@run_argument("first", metavar="[A]")
@run_argument("second", metavar="[B]")
@click.option(
    "--replay", is_flag=True, help="Run both again to where they differ, and name the tensor."
)
@YES
@AS_JSON
def diff_command(
    first: str | None, second: str | None, replay: bool, yes: bool, as_json: bool
) -> None:
    """Compare two recorded runs, and say where they differ first and why.

    Nothing is run, unless with --replay: then each is run again up to the step that differs, and
    the layer and the tensor that differ first in it are named, with both values.

    A and B are runs' ids (the beginning or the last digits), folders of runs, files of records, or
    exports (.zip).
    Without B, A is compared with the latest other run; without both, the latest two are compared.
    Exit code 0: the same; 1: different, as runs of different scripts are; 2: it could not be told,
    as one was killed or interrupted, or a record cannot be read.
    """
    with told_as_json(as_json):
        home = current_project()
        path = store.find(home, first) if first else store.latest(home, besides=store.latest(home))
        one, difference = read(path)
        other = store.find(home, second) if second else store.latest(home, besides=path)
        two, other_difference = read(other)
        verdict = compare.compare(one, two)
        replayed = _replayed(home, path, other, verdict, yes) if replay else None
    likely = causes.likely(one, two, verdict)
    lines = _lines(home, (path, one), (other, two))
    lines = lines or causes.code_lines(difference, one, other_difference, two)
    reasons = [
        f"{letter} was {'cut off' if run.cut_off else run.status}: it is compared as far as it came"
        for letter, run in (("A", one.predicate), ("B", two.predicate))
        if not run.ended
    ]
    if as_json:
        found = tables.as_json(verdict, "a", "b", likely)
        about = {"a": str(path), "b": str(other), "reasons": reasons, "lines": lines}
        about["replay"] = replayed and dataclasses.asdict(replayed)
        print_json({**found, **about})
        sys.exit(code_of(verdict.same))
    for letter, place, statement in (("A", path, one), ("B", other, two)):
        name = store.id_of(place) or os.path.relpath(place)
        tables.say(f"{letter}: {name}, {compare.command_of(statement)}")
    tables.show_rows(verdict, None, "A", "B")
    tables.show_reasons(verdict, saying.IN_TWO, likely)
    tables.show_lines("Lines of A only (-) and of B only (+):", lines)
    if replayed is not None:
        tables.show_replay(replayed)
    elif verdict.difference is not None:
        tables.say("`repro-keras diff A B --replay` runs both again, and names the tensor.")
    for reason in reasons:
        tables.say(f"{reason}.")
    tables.show_word(verdict.same)
    sys.exit(code_of(verdict.same))


def _contents(path: Path, home: project.Project) -> Callable[[record.File], bytes | None]:
    """Gives the content of a file of a run as it was; `None` where it is not there any more."""
    if archive.is_one(path):
        inside = archive.read(path)
        return lambda file: inside.get(layout.PROJECT + file.path)
    home = store.owner(path) or home

    def content_of(file: record.File) -> bytes | None:
        place = kept.as_it_was(home, file) if file.size <= kept.LARGEST else None
        return None if place is None else place.read_bytes()

    return content_of


def _lines(home: project.Project, *runs: tuple[Path, record.Statement]) -> list[str]:
    """The lines of code and data in which two runs differ, where both are there as they were."""
    files, others = (
        {file.path: file for file in (*run.code.files, *run.read)}
        for run in (statement.predicate for _, statement in runs)
    )
    changed = [n for n in files if n in others and files[n].sha256 != others[n].sha256]
    if not changed:
        return []  # nothing is read for that
    content_of, other_of = (_contents(path, home) for path, _ in runs)
    both = {}
    for name in changed:
        one, other = content_of(files[name]), other_of(others[name])
        if one is not None and other is not None:
            both[name] = one, other
    return causes.changed_lines(both)


def _replayed(home: project.Project, path: Path, other: Path, verdict: compare.Verdict, yes: bool):
    """What replaying both runs came to; `None` where no step of them differs."""
    from repro_keras._src.replaying import replay, sides

    if verdict.difference is None:
        return None
    with contextlib.ExitStack() as stack:
        opened = []
        for letter, place in (("A", path), ("B", other)):
            try:
                side = stack.enter_context(sides.opened(place, home))
            except ReproError as error:
                raise RunError(f"{letter} cannot be replayed: {error}") from None
            if not yes:
                ask(side.path, side.statement, side.home)
            opened.append(side)
        return replay.find(*opened, step=_step_of(verdict.difference))


def _step_of(difference: Difference) -> int:
    """The step to look into: of what differs between two steps, the one after it."""
    return difference.step + 1 if difference.kind == "initial weights" else difference.step
