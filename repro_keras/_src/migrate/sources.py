"""The files that are migrated, as one text of Python each: scripts, and notebooks cell by cell."""

import ast
import bisect
import io
import json
import re
import tokenize
import warnings
from pathlib import Path

from repro_keras._src import scripts
from repro_keras._src.atomic import replacing

_CELL = '"repro_keras: code cell {}"\n'
_CELLS = re.compile(r'^"repro_keras: code cell \d+"\n', re.MULTILINE)
_MAGIC = re.compile(r"^(\s*)(?:[%!?]|.*\?\s*$|[\w, ]+=\s*[%!])")
_HIDDEN = re.compile(r"pass  # repro_keras: line (\d+)")
_IMPORTS = re.compile(r"\b(import|from) (keras|tensorflow)\b|\btf\.keras\b")


class Source:
    """A script.

    Attributes:
        path: its file.
        content: what is in the file.
        text: its Python.
        keeps: what is no Python and may use its names.
        trouble: what cannot be read.
        hidden: lines of Keras that are no Python: the place, and the code.
    """

    def __init__(self, path: Path):
        data = path.read_bytes()
        self.path = path
        self._encoding = self._encoding_of(data)
        self.content = data.decode(self._encoding)
        self.text = self.content
        self.keeps = ""
        self.trouble: list[str] = []
        self.hidden: list[tuple[str, str]] = []

    def _encoding_of(self, data: bytes) -> str:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]

    def place(self, line: int) -> str:
        """Where a line of the text is in the file."""
        return f"{self.path}:{line}"

    def with_text(self, text: str) -> str:
        """What is in the file where its Python is another."""
        return text

    def write(self, content: str) -> None:
        with replacing(self.path) as place:
            place.write_bytes(content.encode(self._encoding))


class Notebook(Source):
    """A Jupyter notebook of format 4: its code cells, one after the other.

    Lines of magics are hidden behind `pass`; cells that are no Python are left out, and so are
    those that cannot be parsed.
    """

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            notebook = json.loads(self.content)
            self._cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
            self._sources = ["".join(cell["source"]) for cell in self._cells]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"it should be a Jupyter notebook of format 4 ({error!r})") from None
        self._notebook = notebook
        self._lines: list[str] = []  # those that are hidden
        self._starts: list[int] = []
        self.text = ""
        for number, source in enumerate(self._sources, 1):
            self.text += _CELL.format(number)
            self._starts.append(self.text.count("\n"))
            self.text += self._python(source, number) + "\n"
        self.keeps = "\n".join(self._lines)

    def _encoding_of(self, data: bytes) -> str:
        return "utf-8"

    def _python(self, source: str, number: int) -> str:
        """A cell's source, with all that is no Python hidden."""
        if not scripts.is_python(source):
            return self._hide(source, number, 1)
        lines = source.split("\n")
        while True:
            text = "\n".join(lines)
            try:
                check(text)
                return text
            except (SyntaxError, ValueError) as error:
                at = getattr(error, "lineno", None) or 1
                magic = _MAGIC.match(lines[at - 1]) if at <= len(lines) else None
                if magic is None:
                    self.trouble.append(f"{self.path}, code cell {number}, line {at}: {error}")
                    return self._hide(source, number, 1)
                lines[at - 1] = magic[1] + self._hide(lines[at - 1][len(magic[1]) :], number, at)

    def _hide(self, code: str, number: int, line: int) -> str:
        if _IMPORTS.search(code):
            self.hidden.append((f"{self.path}, code cell {number}, line {line}", code))
        self._lines.append(code)
        return f"pass  # repro_keras: line {len(self._lines) - 1}"

    def place(self, line: int) -> str:
        number = bisect.bisect_left(self._starts, line)
        return f"{self.path}, code cell {number}, line {line - self._starts[number - 1]}"

    def with_text(self, text: str) -> str:
        cells = [cell.removesuffix("\n") for cell in _CELLS.split(text)[1:]]
        shown = [_HIDDEN.sub(lambda found: self._lines[int(found[1])], cell) for cell in cells]
        before = self._written()
        for cell, source in zip(self._cells, shown, strict=True):
            if source != "".join(cell["source"]):
                is_list = isinstance(cell["source"], list)
                cell["source"] = source.splitlines(keepends=True) if is_list else source
        after = self._written()
        for cell, source in zip(self._cells, self._sources, strict=True):
            cell["source"] = source
        return self.content if after == before else after

    def _written(self) -> str:
        """The notebook in the layout of its file."""
        indent = re.match(r"\{\r?\n([ \t]+)", self.content)
        text = json.dumps(
            self._notebook, ensure_ascii=self.content.isascii(), indent=indent and indent[1]
        )
        end = re.search(r"\s*$", self.content)
        return text + (end[0] if end else "")


def read(path: Path) -> Source:
    """Reads a script or notebook.

    Raises:
        OSError: where there is none.
        ValueError: where it is no text, or no notebook.
        SyntaxError: where its encoding is not known.
    """
    return Notebook(path) if path.suffix == ".ipynb" else Source(path)


def check(text: str) -> None:
    """Checks that a text is Python.

    Raises:
        SyntaxError: where it is not.
    """
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes
        compile(text, "text", "exec", flags, dont_inherit=True)
