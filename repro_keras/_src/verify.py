"""Running a record again, and comparing what came out with what is recorded."""

import dataclasses
import os
import shlex
import sys
from pathlib import Path

from repro_keras._src import config, machine, project, record
from repro_keras._src.errors import RunError
from repro_keras._src.runs import launch, request, store


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that is compared.

    Attributes:
        what: what it is.
        recorded: what the record says, in short.
        now: what this run says.
        same: whether they are the same; `None` where it could not be told.
        judged: whether the verdict hangs on it. The environment is judged before the run, by what
            the guarantee covers.
    """

    what: str
    recorded: str
    now: str
    same: bool | None
    judged: bool = True


@dataclasses.dataclass(frozen=True)
class Difference:
    """The first step that differs, or the first epoch or model where no step does.

    Attributes:
        where: its place, for people.
        what: what differs there.
        recorded: the record's value.
        now: this run's value.
    """

    where: str
    what: str
    recorded: str
    now: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} was {self.recorded} and is {self.now}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a comparison came to: `rows`, and the first difference of the trail."""

    rows: list[Row]
    difference: Difference | None

    @property
    def same(self) -> bool | None:
        """True, False, or `None` where it could not be told."""
        judged = [row.same for row in self.rows if row.judged]
        return False if False in judged else None if None in judged else True


def home_of(path: Path, statement: record.Statement) -> project.Project:
    """The project that a record belongs to: the nearest folder around it that has the code.

    Raises:
        RunError: where there is none.
    """
    wanted = [file.path for file in statement.predicate.code.files]
    if not wanted:  # a module of an installed package
        return project.find(path)
    around = [*Path(os.path.abspath(path)).parents, Path.cwd(), *Path.cwd().parents]
    for folder in around:
        if all((folder / name).is_file() for name in wanted):
            return project.Project(folder)
    for folder in around:  # some of it is there: say what is not
        missing = [name for name in wanted if not (folder / name).is_file()]
        if len(missing) < len(wanted):
            raise RunError(
                f"The record needs {_listed(missing)}, which is missing in {folder}. Get the code "
                "that the record was made with" + _commit(statement) + "."
            )
    raise RunError(
        f"The record needs {_listed(wanted)}, which is in none of the folders around "
        f"{path} and {Path.cwd()}. Put the record beside the code, or change to its folder."
    )


def _commit(statement: record.Statement) -> str:
    git = statement.predicate.code.git
    return f" (git commit {git.commit[:12]})" if git else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def missing_data(home: project.Project, statement: record.Statement) -> list[str]:
    """The recorded files that the run needs and that are not there."""
    return [file.path for file in statement.predicate.read if not (home.root / file.path).is_file()]


def not_covered(statement: record.Statement) -> list[str]:
    """Why the guarantee does not cover this machine and software; empty where it does."""
    run = statement.predicate
    reasons = []
    installed = machine.packages()
    for name in run.software.loaded:
        then, now = run.software.packages.get(name), installed.get(name)
        if then != now:
            reasons.append(f"{name} was {then} and is {now or 'not installed'}")
    python = ".".join(map(str, sys.version_info[:3]))
    if run.software.python != python:
        reasons.append(f"Python was {run.software.python} and is {python}")
    here = record.Machine(**machine.describe())
    if run.machine.system != here.system:
        reasons.append(f"the system was {run.machine.system} and is {here.system}")
    elif run.configuration.get("guarantee") != "portable":
        if run.machine.model != here.model:
            reasons.append(f"the CPU was {run.machine.model!r} and is {here.model!r}")
        if run.machine.instruction_sets != here.instruction_sets:
            changed = set(run.machine.instruction_sets) ^ set(here.instruction_sets)
            reasons.append(f"the CPU's instruction sets differ in {_listed(sorted(changed))}")
        if run.machine.caches != here.caches:
            reasons.append(f"the CPU's caches were {run.machine.caches} and are {here.caches}")
    if run.configuration.get("guarantee") == "none":
        reasons.append("the run had no guarantee (an untested Keras)")
    return reasons


def command_of(statement: record.Statement) -> str:
    """What a record's run was, as a shell would be told."""
    code = statement.predicate.code
    module = ["-m"] if code.kind == "module" else []
    words = ["python", *module, code.target, *code.arguments]
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """A word as a shell takes it; nothing in it can move the cursor of a terminal."""
    if not word.isprintable():
        return "$" + repr(word)
    if word and not set(word) & set(" \t\"'\\$`|&;<>()*?[]#~!"):
        return word
    return shlex.quote(word)


def again(path: Path, statement: record.Statement, home: project.Project) -> launch.Finished:
    """Runs a record again, in a copy of its project, under its configuration.

    Args:
        path: the record's file; it is not touched.
        statement: the record.
        home: where its code and data are.

    Raises:
        RunError: where an argument is not known any more.
    """
    run = statement.predicate
    folder = store.new(store.owner(path) or home)
    copy = folder / store.COPY
    kept = [file.path for file in (*run.code.files, *run.read)]
    links = home.copy_to(copy, kept, [*record.files(statement), *run.unchecked])
    (copy / run.code.folder).mkdir(parents=True, exist_ok=True)
    original = store.about(path.parent).get("arguments")
    target = run.code.target
    if run.code.kind != "module":
        target = os.path.relpath(copy / target, copy / run.code.folder)
    wanted = request.Request(
        kind=run.code.kind,
        target=target,
        arguments=launch.expanded(run.code.arguments, copy, original),
        root=str(copy),
        folder=str(copy / run.code.folder),
        ignored=run.ignored,
        from_inside=run.from_inside,
        is_copy=True,
    )
    finished = launch.run(
        wanted,
        folder,
        environment=environment_of(run),
        quiet=True,
        verifies=str(os.path.abspath(path)),
    )
    changed = project.changed(links)
    if changed:
        raise RunError(
            f"This run changed {_listed(changed)} in {home.root} itself: a file too large to copy, "
            "which something else than Python opened. What came out is not compared."
        )
    return finished


def environment_of(run: record.Run) -> dict[str, str]:
    """The environment that a run is to have again: ours, with its switches."""
    environment = {
        name: value
        for name, value in config.environment_outside().items()
        if not machine.environment({name: value})
    }
    recorded = machine.environment(run.environment)  # a record may say no more than is listed
    environment.update({n: v for n, v in recorded.items() if v != machine.A_PATH})
    return environment


def compare(recorded: record.Statement, now: record.Statement) -> Verdict:
    """Compares two records, the first with the second."""
    then, here = recorded.predicate, now.predicate
    part = not then.ended  # what came after its end is unknown: more than is recorded is no fault
    difference = first_difference(recorded, now)
    rows = [
        _of_files("code", then.code.files, here.code.files, part, here.ended),
        _row("environment", _environment(then), _environment(here), "fact", judged=False),
        _row("configuration", then.configuration, here.configuration, "setting", judged=not part),
        _of_data(then, here, part),
        _row(
            "initial weights",
            *_in_both(
                {f"model/{i}": model.initial for i, model in enumerate(then.models)},
                {f"model/{i}": model.initial for i, model in enumerate(here.models)},
                part,
                here.ended,
            ),
            "model",
        ),
        *_of_trail(then, here),
        *_of_subjects(record.subjects(recorded), record.subjects(now), then),
        _of_outcome(then, here),
    ]
    return Verdict([row for row in rows if row is not None], difference)


def _in_both(then: dict, now: dict, part: bool, now_ended: bool) -> tuple[dict, dict]:
    """What can be compared of a run whose end is unknown: what is on the record."""
    if not part:
        return then, now
    if not now_ended:
        then = {key: value for key, value in then.items() if key in now}
    return then, {key: value for key, value in now.items() if key in then}


def _environment(run: record.Run) -> dict:
    loaded = run.software.loaded
    result: dict[str, object] = {name: run.software.packages.get(name) for name in loaded}
    result["python"] = run.software.python
    result["variables"] = run.environment
    if run.configuration.get("guarantee") != "portable":
        machine_ = run.machine
        result["cpu"] = [machine_.model, machine_.instruction_sets, machine_.caches]
    return result


def _row(what: str, then: dict, now: dict, noun: str, *, judged: bool = True) -> Row | None:
    if not then and not now:
        return None
    changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if not changed:
        return Row(what, _counted(then, noun), "the same", True, judged)
    key = changed[0]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return Row(
        what, f"{key}: {_short(then.get(key))}", f"{_short(now.get(key))}{more}", False, judged
    )


def _counted(items: dict, noun: str) -> str:
    if len(items) == 1 and isinstance(next(iter(items.values())), str):
        return _short(next(iter(items.values())))
    return f"{len(items)} {noun}{'s' * (len(items) != 1)}"


def _short(value) -> str:
    if value is None:
        return "none"
    text = str(value)
    if len(text) == 64 and not set(text) - set("0123456789abcdef"):
        return text[:12]
    return text if len(text) <= 40 else text[:37] + "…"


def _of_files(
    what: str, then: list[record.File], now: list[record.File], part: bool, now_ended: bool
) -> Row | None:
    one, other = ({f.path: f.sha256 for f in files} for files in (then, now))
    return _row(what, *_in_both(one, other, part, now_ended), "file")


def _of_data(then: record.Run, now: record.Run, part: bool) -> Row | None:
    def facts(run: record.Run) -> dict:
        found = {file.path: file.sha256 for file in run.read}
        for data in run.data:
            found[f"{data.argument} of {data.call}"] = data.digest or data.type
        return found

    return _row("data", *_in_both(facts(then), facts(now), part, now.ended), "digest")


def _of_trail(then: record.Run, now: record.Run) -> list[Row]:
    steps = sum(len(segment.steps.loss) for segment in then.trail)
    epochs = [segment for segment in then.trail if _ends_with_digests(segment)]
    rows = []
    same_steps, same_epochs = 0, 0
    for a, b in zip(then.trail, now.trail, strict=False):
        same_steps += _same_steps(a.steps, b.steps)
        same_epochs += _ends_with_digests(a) and same_segment(a, b)
    ended = then.ended
    total = sum(len(segment.steps.loss) for segment in now.trail)
    if steps or total:
        wanted = steps if ended or now.ended else min(steps, total)
        same = same_steps == wanted and (steps == total or not ended)
        rows.append(Row("steps", str(steps), f"{same_steps} the same of {total}", same))
    now_epochs = sum(map(_ends_with_digests, now.trail))
    if epochs or now_epochs:
        wanted = len(epochs) if ended or now.ended else min(len(epochs), now_epochs)
        same = same_epochs == wanted and (now_epochs == len(epochs) or not ended)
        what = "epochs" if any(s.epoch is not None for s in epochs) else "saves"
        rows.append(Row(what, str(len(epochs)), f"{same_epochs} the same of {now_epochs}", same))
    return rows


def _ends_with_digests(segment: record.Segment) -> bool:
    """Whether it is an epoch, or the steps before a save of a session."""
    return segment.epoch is not None or bool(segment.layers)


def same_segment(a: record.Segment, b: record.Segment) -> bool:
    """Whether two segments tell the same, whatever came before them."""
    return (a.steps, a.metrics, a.layers, a.fit, a.model, a.epoch, a.complete) == (
        b.steps,
        b.metrics,
        b.layers,
        b.fit,
        b.model,
        b.epoch,
        b.complete,
    )


def _same_steps(a: record.Steps, b: record.Steps) -> int:
    count = 0
    for one, other in zip(_columns(a), _columns(b), strict=False):
        count += one == other
    return count


def _columns(steps: record.Steps) -> list[tuple]:
    optimizers = steps.optimizer or [0] * len(steps.loss)
    return list(zip(steps.loss, steps.learning_rate, steps.state, optimizers, strict=True))


_SUBJECTS = {
    "final weights": ("model/", "/weights"),
    "variables": ("session/", "/variables"),
    "optimizer": ("", "optimizer"),
    "generators": ("", "generators"),
    "history": ("history", ""),
    "files": ("file/", ""),
}


def _of_subjects(then: dict[str, str], now: dict[str, str], run: record.Run) -> list[Row]:
    rows = []
    if not run.ended:
        return rows  # how far it came is told by the trail
    for what, (begin, end) in _SUBJECTS.items():

        def chosen(subjects, begin=begin, end=end, what=what):
            return {
                name.removeprefix("file/"): value
                for name, value in subjects.items()
                if name.startswith(begin)
                and end in name
                and name.startswith("file/") is (what == "files")
            }

        one, other = chosen(then), chosen(now)
        row = _row(what, one, other, "digest")
        if row is None:
            continue
        changed = [name for name in {**one, **other} if one.get(name) != other.get(name)]
        if what == "files" and changed and not set(changed) - (set(run.unseen) - set(other)):
            # Nobody saw the run open them: another process may have written them meanwhile.
            row = dataclasses.replace(row, same=None)
        rows.append(row)
    return rows


def _of_outcome(then: record.Run, now: record.Run) -> Row:
    def said(run: record.Run) -> str:
        error = f" ({run.error})" if run.error else ""
        code = f", exit code {run.exit_code}" if run.exit_code else ""
        cut = ", and the record is cut off" if run.cut_off else ""
        return f"{run.status}{error}{code}{cut}"

    same: bool | None = said(then) == said(now)
    if not then.ended or not now.ended:
        same = None
    return Row("outcome", said(then), said(now), same)


def first_difference(recorded: record.Statement, now: record.Statement) -> Difference | None:
    """The first place of the trail where two runs differ; `None` where they do not."""
    then, here = recorded.predicate, now.predicate
    for number, (a, b) in enumerate(zip(then.models, here.models, strict=False)):
        layers = [x for x in {**a.initial, **b.initial} if a.initial.get(x) != b.initial.get(x)]
        if layers:
            return Difference(
                f"Before the first step of model {number + 1} ({a.name})",
                f"the initial weights of {_listed(layers)}",
                _short(a.initial.get(layers[0])),
                _short(b.initial.get(layers[0])),
            )
    step = 0
    ended = then.ended
    for number, a in enumerate(then.trail):
        if number >= len(here.trail):
            if not ended and not here.ended:
                return None
            return Difference(record.name_of(a, number), "the trail", "longer", "over before")
        b = here.trail[number]
        last = number == len(then.trail) - 1 and not ended
        last = last or (number == len(here.trail) - 1 and not ended and not here.ended)
        found = _in_steps(a, b, number, step, not last, ended or here.ended)
        if found is not None:
            return found
        step += len(a.steps.loss)
        if not a.complete or (last and not b.complete):
            continue
        for what, x, y in (("the metric", a.metrics, b.metrics), ("the layer", a.layers, b.layers)):
            changed = [key for key in {**x, **y} if x.get(key) != y.get(key)]
            if changed:
                return Difference(
                    f"{record.name_of(a, number)}, after its last step {step}",
                    f"{what} {_listed(changed)}",
                    _number(x.get(changed[0])),
                    _number(y.get(changed[0])),
                )
    if ended and len(here.trail) > len(then.trail):
        extra = here.trail[len(then.trail)]
        return Difference(
            record.name_of(extra, len(then.trail)), "the trail", "over before", "longer"
        )
    return None


def _in_steps(
    a: record.Segment, b: record.Segment, number: int, before: int, whole: bool, far: bool
) -> Difference | None:
    rows, others = _columns(a.steps), _columns(b.steps)
    names = ("the loss", "the learning rate", "the weights after it (fingerprint)", "the optimizer")
    for i, (row, other) in enumerate(zip(rows, others, strict=False)):
        for what, x, y in zip(names, row, other, strict=True):
            if x != y:
                return Difference(
                    f"{record.name_of(a, number)}, step {i + 1} (step {before + i + 1} of the run)",
                    what,
                    _number(x),
                    _number(y),
                )
    if (whole and len(rows) != len(others)) or (far and len(rows) > len(others)):
        return Difference(
            record.name_of(a, number), "the number of steps", str(len(rows)), str(len(others))
        )
    return None


def _number(value) -> str:
    if isinstance(value, str) and value.lstrip("-").startswith("0x"):
        return f"{float.fromhex(value):.9g} ({value})"
    return _short(value)
