"""`repro-keras diff`: two records are compared."""

import os
import sys

import click

from repro_keras._src.commands import tables
from repro_keras._src.commands.common import (
    AS_JSON,
    code_of,
    current_project,
    print_json,
    read,
    run_argument,
    told_as_json,
)
from repro_keras._src.comparing import causes, compare, saying
from repro_keras._src.runs import store


@click.command("diff")
@run_argument("first", metavar="[A]")
@run_argument("second", metavar="[B]")
@AS_JSON
def diff_command(first: str | None, second: str | None, as_json: bool) -> None:
    """Compare two recorded runs, and say where they differ first and why; nothing is run.

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
    likely = causes.likely(one, two, verdict)
    lines = causes.code_lines(difference, one, other_difference, two)
    reasons = [
        f"{letter} was {'cut off' if run.cut_off else run.status}: it is compared as far as it came"
        for letter, run in (("A", one.predicate), ("B", two.predicate))
        if not run.ended
    ]
    if as_json:
        found = tables.as_json(verdict, "a", "b", likely)
        about = {"a": str(path), "b": str(other), "reasons": reasons, "git_diff": lines}
        print_json({**found, **about})
        sys.exit(code_of(verdict.same))
    for letter, place, statement in (("A", path, one), ("B", other, two)):
        name = store.id_of(place) or os.path.relpath(place)
        tables.say(f"{letter}: {name}, {compare.command_of(statement)}")
    tables.show_rows(verdict, None, "A", "B")
    tables.show_reasons(verdict, saying.IN_TWO, likely)
    tables.show_lines("What `git diff HEAD` said in A only (-) and in B only (+):", lines)
    for reason in reasons:
        tables.say(f"{reason}.")
    tables.show_word(verdict.same)
    sys.exit(code_of(verdict.same))
