"""Running a record again, in a copy of its project."""

import os
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from repro_keras._src import config, cpu, machine, project, record
from repro_keras._src.errors import RunError
from repro_keras._src.runs import kept, launch, request, store, untouched
from repro_keras._src.words import listed


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
                f"The record needs {listed(missing)}, which is missing in {folder}. Get the code "
                "that the record was made with" + _commit(statement) + "."
            )
    raise RunError(
        f"The record needs {listed(wanted)}, which is in none of the folders around "
        f"{path} and {Path.cwd()}. Put the record beside the code, or change to its folder."
    )


def _commit(statement: record.Statement) -> str:
    git = statement.predicate.code.git
    return f" (git commit {git.commit[:12]})" if git else ""


def missing_data(home: project.Project, statement: record.Statement) -> list[str]:
    """The recorded files that the run needs and that are neither there nor kept."""
    elsewhere = kept_data(home, statement)
    return [
        file.path
        for file in statement.predicate.read
        if file.path not in elsewhere and not (home.root / file.path).is_file()
    ]


def overwritten(statement: record.Statement) -> list[record.File]:
    """The files that a run read or appended to, and wrote."""
    run = statement.predicate
    written = {*record.files(statement), *run.unchecked}
    return [file for file in run.read if file.path in written]


def kept_data(home: project.Project, statement: record.Statement) -> dict[str, Path]:
    """Kept copies of the data that went, or that the run itself wrote later, by their paths.

    What somebody else has changed is not among them: that it differs is for the verdict to say.
    """
    own = {file.path for file in overwritten(statement)}
    found = {}
    for file in statement.predicate.read:
        if file.path in own or not (home.root / file.path).is_file():
            place = kept.as_it_was(home, file)
            if place is not None and place != home.root / file.path:
                found[file.path] = place
    return found


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
            reasons.append(f"the CPU's instruction sets differ in {listed(sorted(changed))}")
        if run.machine.caches != here.caches:
            reasons.append(f"the CPU's caches were {run.machine.caches} and are {here.caches}")
    elif cpu.lacking():
        reasons.append(
            f"the guarantee 'portable' needs {' and '.join(cpu.lacking())}, which this CPU lacks"
        )
    if run.configuration.get("guarantee") == "none":
        reasons.append("the run had no guarantee (an untested Keras)")
    return reasons


def again(
    path: Path,
    statement: record.Statement,
    home: project.Project,
    folder: Path | None = None,
    *,
    instead: Mapping[str, Path] | None = None,
    look: request.Look | None = None,
    states: Collection[str] = (),
) -> launch.Finished:
    """Runs a record again, in a copy of its project, under its configuration.

    Args:
        path: the record's file; it is not touched.
        statement: the record.
        home: where its code and data are.
        folder: the folder of the new run; `None` makes one in the record's project.
        instead: files that lie elsewhere, as they were, by their paths in the project.
        look: what to look at on the way; the run ends there.
        states: files of states that it is to go on from.

    Raises:
        RunError: where an argument is not known any more.
    """
    instead = kept_data(home, statement) | dict(instead or {})
    run = statement.predicate
    folder = folder or store.new(store.owner(path) or home)
    copy = folder / store.COPY
    needed = [file.path for file in (*run.code.files, *run.read) if file.path not in instead]
    # States that other runs have left would be gone on from.
    written = [*record.files(statement), *run.unchecked, *instead]
    written += [name for name in run.states if name != "."]
    try:
        links = home.copy_to(copy, [*needed, *states], written)
        for name, source in instead.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy / name)
        (copy / run.code.folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        store.remove(folder)
        raise RunError(
            f"{home.root} could not be copied to {copy}: {error}. Make room there (`repro-keras "
            "gc` removes old runs), and verify again. Nothing was run."
        ) from None
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
        untouched=sorted({str(home.root), str((store.owner(folder / store.RECORD) or home).root)}),
        given=launch.outside(run.code.arguments, original),
        parent=str(os.path.abspath(path)) if states else None,
        look=look,
    )
    finished = launch.run(
        wanted,
        folder,
        environment=environment_of(run),
        quiet=True,
        doing="verifying" if look is None else "replaying",
        steps=record.steps_of(run.trail) if look is None else look.step,
        verifies=str(os.path.abspath(path)),
    )
    said = untouched.refused(folder)
    if said is not None:
        raise RunError(f"Whether it is the same could not be told. {said}")
    changed = project.changed(links)
    if changed:
        raise RunError(
            f"This run changed {listed(changed)} in {home.root} itself: a file too large to copy, "
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
