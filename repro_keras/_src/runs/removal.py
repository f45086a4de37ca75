"""Which runs go when old ones are removed: `repro-keras gc`."""

from pathlib import Path

from repro_keras._src.errors import RunError
from repro_keras._src.project import Project
from repro_keras._src.runs import kept, store


def old(runs: list[store.Listed], keep: int) -> list[Path]:
    """The folders that go: of old runs, of those without a record, and copies made to verify.

    The latest runs stay, and as many of the latest verifications, which do not count as runs: they
    stay with the record that they verify, for without it they say nothing.

    Args:
        runs: all runs that are over, the oldest first.
        keep: how many stay.
    """
    whole = [run for run in runs if run.path.exists()]
    first = [run for run in whole if "verifies" not in run.about]
    again = [run for run in whole if "verifies" in run.about]
    kept = [*_latest(first, keep), *_latest(again, keep)]
    stay = {run.folder for run in kept}
    by_record = {str(run.path): run for run in whole}
    for run in kept:
        verified = by_record.get(str(run.about.get("verifies")))
        while verified is not None and verified.folder not in stay:
            stay.add(verified.folder)
            verified = by_record.get(str(verified.about.get("verifies")))
    gone = [run.folder for run in runs if run.folder not in stay]
    made = (store.COPY, store.EXPORT)
    copies = [run.folder / name for run in runs if run.folder in stay for name in made]
    return gone + [copy for copy in copies if copy.exists()]


def unused_copies(home: Project, runs: list[store.Listed], gone: list[Path]) -> list[Path]:
    """The copies of code and data that no run needs which stays.

    Args:
        home: the project.
        runs: all its runs.
        gone: the folders of those that go.

    Returns:
        The files; none while a run is under way, whose files nobody knows yet.
    """
    if any(run.is_running for run in runs):
        return []
    stay = [run.statement for run in runs if run.folder not in gone and run.statement is not None]
    return kept.unused(home, stay)


def remove(folders: list[Path]) -> list[RunError]:
    """Removes folders; returns why some are still there."""
    failed = []
    for folder in folders:
        try:
            store.remove(folder)
        except RunError as error:
            failed.append(error)
    return failed


def _latest(runs: list, count: int) -> list:
    return runs[max(0, len(runs) - count) :]
