"""What in a script is not the same in each run, as far as its text shows; nothing is run.

`check` reads scripts, notebooks and folders; `rules` has what is looked for. The rules say nothing
where they are not sure: docs/doctor.md has what they cannot see.
"""

import ast
import dataclasses
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

from repro_keras._src import hints, scripts
from repro_keras._src.advice import calls, orders, programs
from repro_keras._src.advice.rules import RULES
from repro_keras._src.advice.source import Source
from repro_keras._src.errors import ReproError, ScriptError
from repro_keras._src.runs import notebook

_MAGIC = re.compile(r"^([^\S\n]*)(?:\S+ *= *)?[%!?].*$|^([^\S\n]*)\S+\?+$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """Something in a script that is not the same in each run.

    Attributes:
        file: the script.
        cell: the number of the code cell, of a notebook; 0 for a script.
        line: its line, from 1.
        column: its column, from 1.
        rule: the name of the rule.
        what: the code.
        why: why it is not the same.
        fix: what to do about it.
    """

    file: str
    cell: int
    line: int
    column: int
    rule: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        cell = f":cell {self.cell}" if self.cell else ""
        place = f"{self.file}{cell}:{self.line}:{self.column}"
        return f"{place}: {self.rule}: {self.what}\n    {self.why} {self.fix}"


def check(names: Iterable[str]) -> tuple[list[Finding], list[ReproError], int]:
    """Reads scripts, notebooks, and those in folders.

    Args:
        names: files and folders.

    Returns:
        What was found, what could not be read, and how many files were.
    """
    found: list[Finding] = []
    errors: list[ReproError] = []
    count = 0
    for name in names:
        try:
            files = _files(name)
        except ReproError as error:
            errors.append(error)
            continue
        for file in files:
            try:
                found += _of_notebook(file) if file.endswith(".ipynb") else _of_script(file)
                count += 1
            except ReproError as error:
                errors.append(error)
    return found, errors, count


def _files(name: str) -> list[str]:
    path = Path(name)
    if not path.is_dir():
        return [name]
    files = list(map(str, scripts.inside(path)))
    if not files:
        raise ScriptError(f"{name} should hold scripts (.py) or notebooks (.ipynb), and has none.")
    return files


def _of_script(file: str) -> list[Finding]:
    try:
        with tokenize.open(file) as opened:
            text = opened.read()
    except OSError as error:
        raise ScriptError(f"{file} could not be read: {error.strerror}.", error.errno) from None
    except (SyntaxError, ValueError) as error:
        raise ScriptError(f"{file} should be a script of Python, and is no text: {error}") from None
    return _of_text(text, file, [(0, line) for line in range(text.count("\n") + 2)])


def _of_notebook(file: str) -> list[Finding]:
    lines: list[str] = []
    places: list[tuple[int, int]] = [(0, 0)]
    for number, cell in enumerate(notebook.cells(Path(file)), 1):
        own = _python_of(cell).split("\n")
        lines += own
        places += [(number, line) for line in range(1, len(own) + 1)]
    return _of_text("\n".join(lines), file, places)


def _python_of(cell: str) -> str:
    """The cell with its magics passed over, line by line."""
    if not scripts.is_python(cell):
        return ""
    first, _, rest = cell.lstrip().partition("\n")
    if first.startswith("%%"):
        cell = f"\n{rest}"
    try:
        ast.parse(cell)
        return cell
    except SyntaxError:
        return _MAGIC.sub(r"\1\2pass", cell)


def _of_text(text: str, file: str, places: list[tuple[int, int]]) -> list[Finding]:
    """Checks a text; `places` are the cell and the line there, for each of its lines."""
    try:
        source = Source(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        cell, line = places[min(getattr(error, "lineno", 0) or 0, len(places) - 1)]
        where = f"{file}, code cell {cell}" if cell else file
        raise ScriptError(f"{where}, line {line} is not Python: {error}") from None
    lines = ["", *text.split("\n")]
    found = set()
    for subject in (calls, orders, programs):
        for rule, node in subject.find(source):
            number: int = node.lineno
            if not hints.is_ignored(lines[number]):
                (cell, line), column = places[number], node.col_offset + 1
                said = RULES[rule]
                found.add(Finding(file, cell, line, column, rule, _code(node), said.why, said.fix))
    return sorted(found)


def _code(node: ast.AST) -> str:
    """The code of a node, on one line."""
    code = " ".join(ast.unparse(node).split())
    return code if len(code) <= 60 else f"{code[:57]}…"
