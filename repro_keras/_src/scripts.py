"""Scripts and notebooks as files: those in a folder, and which cells are Python."""

import itertools
from pathlib import Path

from repro_keras._src.project import Project

_SUFFIXES = (".py", ".ipynb")
_OF_PYTHON = ("%%time", "%%timeit", "%%capture", "%%prun", "%%repro")


def inside(folder: Path) -> list[Path]:
    """The scripts and notebooks of a project, or of a folder in one, in order."""
    names = sorted(Project(folder.absolute()).snapshot())
    return [folder / name for name in names if name.endswith(_SUFFIXES)]


def is_python(cell: str) -> bool:
    """Whether a cell is Python but for single lines: no magic takes the whole of it.

    >>> is_python("%%time\\nfit()"), is_python("%%bash\\nls"), is_python("%time fit()")
    (True, False, True)
    """
    magics = itertools.takewhile(lambda line: line.startswith("%%"), cell.lstrip().split("\n"))
    return all(line.split()[0] in _OF_PYTHON for line in magics)
