"""What must hold before a record is verified and after, so that there can be a verdict."""

import os
import signal

from repro_keras._src import project, record
from repro_keras._src.errors import NotCoveredError, RunError
from repro_keras._src.runs import kept, launch, verify


def before(home: project.Project, statement: record.Statement, allow: bool) -> list[str]:
    """Checks that a run can be verified here.

    Returns:
        What the guarantee does not cover, where that is allowed.

    Raises:
        RunError: where something is missing.
        NotCoveredError: where the guarantee does not cover this machine or software.
    """
    missing = verify.missing_data(home, statement)
    if missing:
        raise RunError(
            f"The record needs the data in {', '.join(missing)}, which is missing in {home.root}. "
            "Get it from where the record was made."
        )
    if statement.predicate.read_input:
        raise RunError(
            "Whether it is the same could not be told: the run read its standard input, which a "
            "record does not keep. Let it read a file instead, and record it again."
        )
    for file in verify.overwritten(statement):
        if kept.as_it_was(home, file) is None:
            raise RunError(
                f"Whether it is the same could not be told: the run began with another "
                f"{file.path}, which it read or appended to, and then wrote itself. Expected "
                f"{file.size} bytes with the SHA-256 {file.sha256[:12]}…. Put that file, as it was "
                f"before the run, in its place in {home.root}."
            )
    reasons = verify.not_covered(statement)
    if reasons and not allow:
        raise NotCoveredError(
            f"Whether it is the same could not be told: {'; '.join(reasons)}. The guarantee does "
            "not cover that; --allow runs it all the same.",
            reasons,
        )
    return reasons


_OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError")


def after(recorded: record.Statement, finished: launch.Finished) -> None:
    """Checks that a run came as far as the recorded one, so that they can be compared.

    Raises:
        KeyboardInterrupt: where it was interrupted, and the recorded one was not.
        RunError: where it was killed, or could not be recorded to its end.
    """
    then, now = recorded.predicate, finished.statement.predicate
    trouble = None
    if now.cut_off:
        trouble = "this run could not be recorded to its end, as the disk was full"
    elif now.status == "interrupted" and then.status != "interrupted":
        raise KeyboardInterrupt
    elif now.status == "killed" and then.status != "killed":
        trouble = f"this run was {_ended_by(finished.exit_code)} before it came to its end"
    elif now.error in _OUT_OF_MEMORY and then.error != now.error:
        trouble = f"this run had too little memory ({now.error})"
    if trouble is not None:
        raise RunError(
            f"Whether it is the same could not be told: {trouble}. What it wrote is in "
            f"{os.path.relpath(finished.folder)}. Run it again."
        )


def _ended_by(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended by `os._exit({exit_code})` or a library"
    try:
        return f"killed ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"killed (signal {-exit_code})"
