"""Comparing two records, thing by thing: the verdict."""

import dataclasses
from collections.abc import Callable, Iterable

from repro_keras._src import record, words
from repro_keras._src.comparing import trails
from repro_keras._src.comparing.trails import Difference, changed


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that is compared.

    Attributes:
        what: what it is.
        recorded: what the first record says, in short.
        now: what the second says.
        same: whether they are the same; `None` where it could not be told.
        judged: whether the verdict hangs on it. The environment's does not: what the guarantee
            covers may differ, and what it does not cover is told before a run is verified.
        differing: the names of what differs.
    """

    what: str
    recorded: str
    now: str
    same: bool | None
    judged: bool = True
    differing: list[str] = dataclasses.field(default_factory=list)


def together(found: Iterable[bool | None]) -> bool | None:
    """What several comparisons come to: False, where one does, or else `None`, where one does."""
    found = list(found)
    return False if False in found else None if None in found else True


_GIVEN = ("command", "code", "environment", "configuration", "data")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a comparison came to: `rows`, and the first difference of the trail."""

    rows: list[Row]
    difference: Difference | None

    @property
    def same(self) -> bool | None:
        """True, False, or `None` where it could not be told."""
        if self.difference is not None:  # it may have no row: which part of training a segment was
            return False
        return together(row.same for row in self.rows if row.judged)

    @property
    def different(self) -> list[str]:
        """What differs of all that came out of the runs."""
        return [row.what for row in self.rows if row.same is False and row.what not in _GIVEN]

    @property
    def files(self) -> list[str]:
        """The files that differ, or of which that could not be told."""
        return [name for row in self.rows if row.what == "files" for name in row.differing]

    @property
    def given(self) -> list[str]:
        """What differs of all that the runs were given."""
        return [row.what for row in self.rows if row.same is False and row.what in _GIVEN]


def compare(recorded: record.Statement, now: record.Statement, *, alone: bool = False) -> Verdict:
    """Compares two records, the first with the second.

    Of a run whose end is unknown, what is on its record is compared: more in the other is no fault.

    Args:
        recorded: a record.
        now: another.
        alone: whether no other process can have written where the second ran, as in the copy that
            is made to verify.
    """
    then, here = recorded.predicate, now.predicate
    ended = then.ended and here.ended
    rows = [
        _of_command(recorded, now),
        _row("code", then, here, _code, "file"),
        _of_environment(then, here),
        _row("configuration", then, here, lambda run: run.configuration, "setting", judged=ended),
        _row("data", then, here, _data, "digest"),
        _of_initial(then, here),
        *_of_trail(then, here),
        _of_draws(then, here),
        *(_of_subjects(recorded, now, alone) if ended else []),  # else the trail tells how far
        _of_outcome(then, here),
    ]
    return Verdict([row for row in rows if row is not None], trails.first_difference(then, here))


NOT_SEEN = object()
"""Stands for a fact that a record does not have."""


def in_both(
    then: record.Run, here: record.Run, facts: Callable[[record.Run], dict]
) -> tuple[dict, dict]:
    """The facts of two runs; of those that one has and the other does not, those that count.

    They do not where the other's end is unknown: it may not have come to them. What one of them has
    as `NOT_SEEN` is left out of both.
    """
    one, other = facts(then), facts(here)
    unseen = {key for found in (one, other) for key, fact in found.items() if fact is NOT_SEEN}
    for key in unseen:
        one.pop(key, None)
        other.pop(key, None)
    if not then.ended:
        other = {key: value for key, value in other.items() if key in one}
    if not here.ended:
        one = {key: value for key, value in one.items() if key in other}
    return one, other


def _code(run: record.Run) -> dict:
    return {file.path: file.sha256 for file in run.code.files}


def _data(run: record.Run) -> dict:
    """The digests of the files that a run read and the data it was handed, by their names."""
    return {file.path: file.sha256 for file in run.read} | handed(run)


def handed(run: record.Run) -> dict:
    """The digests of what was handed to `fit`, `evaluate` and `predict`, by name.

    What has none, as a `fit` was handed it batch by batch, is told by the trail; the first
    validation of a run that was continued may have been before that.
    """
    found = {}
    for item in run.data:
        unseen = run.parent is not None and item.argument == "validation_data"
        found[record.name_of_data(item)] = item.digest or (NOT_SEEN if unseen else item.type)
    return found


def versions(then: record.Run, here: record.Run) -> tuple[dict, dict]:
    """The versions of Python, and of all packages that either of two runs loaded.

    One that only one of them loaded (a run that records itself loads what looks at the machine)
    was installed, or not, for the other too.
    """
    loaded = {*then.software.loaded, *here.software.loaded}
    names = sorted(loaded, key=lambda name: (name not in ("keras", "tensorflow"), name))

    def of(run: record.Run) -> dict:
        found = {name: run.software.packages.get(name) for name in names}
        return {"Python": run.software.python, **found}

    return of(then), of(here)


def _of_environment(then: record.Run, here: record.Run) -> Row | None:
    """What a run was in: the versions of what was loaded, switches, and the CPU if it matters."""

    def more(run: record.Run) -> dict[str, object]:
        found: dict[str, object] = {"variables": run.environment}
        if run.configuration.get("guarantee") != "portable":
            machine = run.machine
            found["cpu"] = [machine.model, machine.instruction_sets, machine.caches]
        return found

    one, other = versions(then, here)
    return _row_of("environment", one | more(then), other | more(here), "fact", judged=False)


def command_of(statement: record.Statement) -> str:
    """What a record's run was, as a shell would be told."""
    code = statement.predicate.code
    module = ["-m"] if code.kind == "module" else []
    return words.shell(["python", *module, code.target, *code.arguments])


def _of_command(recorded: record.Statement, now: record.Statement) -> Row | None:
    """Only where they differ: else it is the title of the table."""
    one, other = command_of(recorded), command_of(now)
    return None if one == other else Row("command", one, other, False)


def _row(
    what: str,
    then: record.Run,
    here: record.Run,
    facts: Callable[[record.Run], dict],
    noun: str,
    *,
    judged: bool = True,
) -> Row | None:
    return _row_of(what, *in_both(then, here, facts), noun, judged=judged)


def _row_of(what: str, one: dict, other: dict, noun: str, *, judged: bool = True) -> Row | None:
    if not one and not other:
        return None
    keys = changed(one, other)
    if not keys:
        return Row(what, _counted(one, noun), "the same", True, judged)
    key = keys[0]
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return Row(
        what,
        f"{key}: {words.short(one.get(key))}",
        f"{words.short(other.get(key))}{more}",
        False,
        judged,
        keys,
    )


def _of_initial(then: record.Run, here: record.Run) -> Row | None:
    def models(run: record.Run) -> dict:
        return {f"model/{number}": model.initial for number, model in enumerate(run.models)}

    def layers(run: record.Run) -> dict:
        return {f"{n}/{layer}": d for n, model in models(run).items() for layer, d in model.items()}

    row = _row("initial weights", then, here, models, "model")
    if row is None or row.same:
        return row
    return _row("initial weights", then, here, layers, "layer")


def _counted(items: dict, noun: str) -> str:
    if len(items) == 1 and isinstance(next(iter(items.values())), str):
        return words.short(next(iter(items.values())))
    return f"{len(items)} {noun}{'s' * (len(items) != 1)}"


def _of_trail(then: record.Run, here: record.Run) -> list[Row]:
    epochs = [s for s in (*then.trail, *here.trail) if trails.ends_with_digests(s)]
    what = "epochs" if any(segment.epoch is not None for segment in epochs) else "saves"
    counts = {"steps": trails.count_steps(then, here), what: trails.count_epochs(then, here)}
    rows = []
    for what, count in counts.items():
        if not count.recorded and not count.now:
            continue
        longer = count.recorded > count.now and here.ended
        longer = longer or (count.now > count.recorded and then.ended)
        same = count.same == min(count.recorded, count.now) and not longer
        rows.append(Row(what, str(count.recorded), f"{count.same} the same of {count.now}", same))
    return rows


def generators(run: record.Run) -> dict[str, str]:
    """The global generators where each `fit` began, by whose they are."""
    return {
        f"{whose} before fit {segment.fit + 1}": digest
        for segment in run.trail
        if segment.fit is not None
        for whose, digest in segment.generators.items()
    }


def draws(then: record.Run, here: record.Run) -> tuple[dict, dict]:
    """The same of two runs; empty where one does not have it, as records did not always."""
    one, other = in_both(then, here, generators)
    return (one, other) if one and other else ({}, {})


def _of_draws(then: record.Run, here: record.Run) -> Row | None:
    return _row_of("draws", *draws(then, here), "state")


_SUBJECTS = {
    "final weights": ("model/", "/weights"),
    "variables": ("session/", "/variables"),
    "optimizer": ("", "optimizer"),
    "generators": ("", "generators"),
    "history": ("history", ""),
    "files": ("file/", ""),
}


def _of_subjects(recorded: record.Statement, now: record.Statement, alone: bool) -> list[Row]:
    then, here = recorded.predicate, now.predicate
    rows = []
    for what in _SUBJECTS:
        one, other = (_chosen(statement, what) for statement in (recorded, now))
        if what == "files":
            for name in (*then.unchecked, *here.unchecked):  # one did not want them compared
                one.pop(name, None)
                other.pop(name, None)
        row = _row_of(what, one, other, "digest")
        if row is None:
            continue
        if what == "files" and row.same is False:
            # Nobody saw the run open them: another process may have written them meanwhile.
            doubtful = set(then.unseen) - set(other)
            if not alone:
                doubtful |= set(here.unseen) - set(one)
            if not set(changed(one, other)) - doubtful:
                row = dataclasses.replace(row, same=None)
        rows.append(row)
    return rows


def _chosen(statement: record.Statement, what: str) -> dict[str, str]:
    begin, end = _SUBJECTS[what]
    return {
        name.removeprefix("file/"): value
        for name, value in record.subjects(statement).items()
        if name.startswith(begin) and end in name and name.startswith("file/") is (what == "files")
    }


def _of_outcome(then: record.Run, here: record.Run) -> Row:
    def said(run: record.Run) -> str:
        error = f" ({run.error})" if run.error else ""
        code = f", exit code {run.exit_code}" if run.exit_code else ""
        cut = ", and the record is cut off" if run.cut_off else ""
        return f"{run.status}{error}{code}{cut}"

    same: bool | None = said(then) == said(here)
    if not then.ended or not here.ended:
        same = None
    return Row("outcome", said(then), said(here), same)
