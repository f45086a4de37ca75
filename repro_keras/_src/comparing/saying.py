"""What a comparison came to, in sentences."""

import dataclasses

from repro_keras._src.comparing.compare import Verdict
from repro_keras._src.words import listed, plain

VERDICTS = {True: "the same", False: "different", None: "could not tell"}
"""What a comparison came to, for programs."""

_NAMES = 20

IN_TWO = "{where}, {what}: {recorded} in A and {now} in B"
"""How to say what differs of two records, neither of which was made to verify the other."""


def reasons(verdict: Verdict, form: str) -> list[str]:
    """The first difference, in sentences; empty where nothing differs.

    Args:
        verdict: of the comparison.
        form: how to say what differs, with the names of `Difference`'s attributes in braces.
    """
    difference = verdict.difference
    if difference is not None:
        said = [plain("First difference. " + form.format(**dataclasses.asdict(difference)))]
        when = "then" if difference.kind == "initial weights" else "after that epoch"
        if difference.layers:
            said.append(plain(f"Layers that differ {when}: {listed(difference.layers, _NAMES)}"))
        return said
    if verdict.different:
        said = [f"The trail is the same to its end. What differs: {', '.join(verdict.different)}"]
        if len(verdict.files) > 1:
            said.append(plain(f"Files that differ: {listed(verdict.files, _NAMES)}"))
        return said
    if verdict.files:
        return [plain(doubt(verdict.files))]
    if verdict.given:
        return [f"Nothing that came out differs. What does: {', '.join(verdict.given)}"]
    return []


def doubt(files: list[str]) -> str:
    """Why it could not be told whether some files are the same."""
    return (
        f"{listed(files, _NAMES)} changed while the run was recorded, and not by Python: it may be "
        "another process that wrote there (`| tee log.txt`). `repro-keras run --ignore PATTERN` "
        "leaves such files out."
    )
