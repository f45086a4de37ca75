"""Going on with a recorded run that did not come to its end, as a new run."""

import dataclasses
import os
from pathlib import Path

from repro_keras._src import project, record
from repro_keras._src.errors import RunError
from repro_keras._src.runs import launch, request, store, verify
from repro_keras._src.words import listed


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A run that can be continued.

    Attributes:
        path: its record.
        statement: what that says.
    """

    path: Path
    statement: record.Statement


def find(home: project.Project, wanted: str | None) -> Unfinished:
    """The run that somebody means, or the latest.

    Raises:
        RunError: where there is none, it is running, it came to its end, or it kept no states.
    """
    runs = [run for run in store.every(home) if "verifies" not in run.about]
    if wanted is None and runs:
        wanted = runs[-1].id
    for run in runs:
        if wanted and (run.id.startswith(wanted) or run.id.endswith(wanted)):
            if run.is_running:
                raise RunError(f"The run {run.id} is still running. Wait for it, or end it.")
            if not run.path.exists():
                raise RunError(f"The run {run.id} was killed before it began. Run it again.")
    path = store.find(home, wanted)
    statement = record.read(path)
    predicate = statement.predicate
    if predicate.status == "finished":
        raise RunError(
            f"The run {path.parent.name} came to its end; there is nothing to go on with. "
            "`repro-keras run` runs it again."
        )
    if not predicate.states:
        raise RunError(
            f"The run {path.parent.name} ({predicate.status}) kept no state of training. Give its "
            "`fit` the callback repro.TrainingState(directory), and run it again."
        )
    for run in reversed(runs):
        if run.about.get("resumes") == path.parent.name and run.statement is not None:
            raise RunError(
                f"The run {path.parent.name} was gone on with already, as {run.id} "
                f"({run.statement.predicate.status}). Name that one, or none for the latest."
            )
    return Unfinished(path, statement)


def go_on(found: Unfinished, *, allow: bool) -> launch.Finished:
    """Runs the script again, in its place; `TrainingState` goes on in it.

    Args:
        found: the run.
        allow: whether another CPU or other versions are no reason not to.

    Raises:
        RunError: where the code has changed, data is missing, or the versions are others.
    """
    run = found.statement.predicate
    home = verify.home_of(found.path, found.statement)
    changed = [
        file.path for file in run.code.files if project.sha256(home.root / file.path) != file.sha256
    ]
    if changed:
        raise RunError(
            f"The code has changed since the run was begun: {', '.join(changed)}. Training goes on "
            "exactly with the same code only. Get it back, or begin a new run."
        )
    missing = verify.missing_data(home, found.statement)
    if missing:
        raise RunError(f"The run needs the data in {', '.join(missing)}, which is missing.")
    reasons = verify.not_covered(found.statement)
    if reasons and not allow:
        raise RunError(
            f"It would not be the same: {'; '.join(reasons)}. --allow goes on all the same."
        )
    _check_states(home, found)
    original = store.about(found.path.parent).get("arguments")
    folder = home.root / run.code.folder
    target = run.code.target
    if run.code.kind != "module":
        target = os.path.relpath(home.root / target, folder)
    wanted = request.Request(
        kind=run.code.kind,
        target=target,
        arguments=launch.expanded(run.code.arguments, home.root, original),
        root=str(home.root),
        folder=str(folder),
        ignored=run.ignored,
        parent=str(os.path.abspath(found.path)),
    )
    return launch.run(
        wanted,
        store.new(home),
        environment=verify.environment_of(run),
        resumes=found.path.parent.name,
    )


def _check_states(home: project.Project, found: Unfinished) -> None:
    """Checks that the states that training will go on from are those of the run.

    Raises:
        RunError: where they went, or somebody has trained on without a record: the new one would
            lack these steps.
    """
    from repro_keras._src.state import folder  # loads NumPy

    run = found.statement.predicate
    places = [home.root / name for name in run.states if not name.startswith(project.OUTSIDE)]
    gone = [str(place) for place in places if not place.is_dir()]
    if gone:
        raise RunError(
            f"The states of training in {listed(gone)} are gone, so that there is nothing to go "
            "on from. Put them back, or begin a new run with `repro-keras run`."
        )
    steps = record.steps_of(run.trail)
    for place in places:
        for state in folder.Folder(place, 1).newest_of_all():
            recorded = state.content.recorded
            if recorded is None or recorded > steps:
                raise RunError(
                    f"Somebody has trained on since {found.path.parent.name} was "
                    f"{run.status}: the states in {place} are of a later step than the {steps} "
                    "recorded, and what goes on from them would lack the steps between. Start "
                    "the script without `repro-keras resume` to have its result, or remove the "
                    "states and record a new run."
                )
