"""Scripts, packages and notebooks that use Keras, rewritten to use repro_keras."""

import dataclasses
import difflib
import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from repro_keras._src.errors import MissingExtraError
from repro_keras._src.migrate import sources
from repro_keras._src.scripts import inside

_IN_MAGIC = "it is in a magic: rewrite it by hand"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about a line.

    Attributes:
        place: the file and line, or the file, code cell and its line.
        code: the code that it is about.
        why: what there is to say.
    """

    place: str
    code: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.code}: {self.why}"


@dataclasses.dataclass(kw_only=True)
class Migrated:
    """A file under repro_keras.

    Attributes:
        file: its path.
        before: what is in it.
        after: what is to be in it.
        removed: the lines of recipes that are not needed any more.
        left: what could not be decided.
        trouble: why it, or a part of it, could not be read or written.
        written: whether it was written.
    """

    file: str
    before: str = ""
    after: str = ""
    removed: list[Finding] = dataclasses.field(default_factory=list)
    left: list[Finding] = dataclasses.field(default_factory=list)
    trouble: list[str] = dataclasses.field(default_factory=list)
    written: bool = False

    def diff(self) -> str:
        """What changes, as a unified diff."""
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        lines = difflib.unified_diff(before, after, self.file, self.file)
        missing = "\n\\ No newline at end of file\n"
        return "".join(line if line.endswith("\n") else line + missing for line in lines)


def migrate(
    paths: Sequence[str | os.PathLike], *, v1: bool | None = None, write: bool = False
) -> Iterator[Migrated]:
    """Rewrites scripts, notebooks and all of those in folders to use repro_keras.

    Args:
        paths: files and folders.
        v1: whether they go to `repro_keras.v1`, as scripts of TensorFlow 1 do; `None` for what each
            file says.
        write: whether the files are written; else they stay as they are.

    Yields:
        Each file that uses Keras or TensorFlow, and each that could not be read.

    Raises:
        MissingExtraError: where libcst is not installed.
        RunError: where a folder has too many files.

    Example:

    ```python
    for found in migrate(["train.py"]):
        print(found.diff())
    ```
    """
    if importlib.util.find_spec("libcst") is None:
        raise MissingExtraError(
            "Rewriting scripts needs libcst, which is not installed. "
            "`pip install 'repro_keras[migrate]'`"
        )
    for path in paths:
        found = [_File(file) for file in _files(Path(path))]
        found = [file for file in found if file.trouble or file.script is not None]
        eras = _eras(found, v1)
        for file in found:
            yield file.migrated(eras.get(file), write=write)


def _files(path: Path) -> Iterable[Path]:
    """The scripts and notebooks at a path, in order."""
    return inside(path) if path.is_dir() else [path]


class _File:
    """A file as it is read.

    Attributes:
        script: its Python; `None` where it uses neither Keras nor TensorFlow.
        trouble: why it, or a part of it, could not be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.trouble: list[str] = []
        self.script = None
        try:
            content = path.read_bytes()
            if b"keras" not in content and b"tensorflow" not in content:
                return
            self._source = sources.read(path)
            self.trouble += self._source.trouble
            script = self._parsed(self._source.text)
            self.script = script if script.concerned or self._source.hidden else None
        except OSError as error:
            self.trouble.append(f"{path} could not be read: {error.strerror or error}")
        except (ValueError, SyntaxError, RecursionError) as error:
            self.trouble.append(f"{path} is not what its name says: {error}")

    def _parsed(self, text: str):
        from libcst import ParserSyntaxError

        from repro_keras._src.migrate.script import Script

        is_package = self.path.name == "__init__.py"
        try:
            sources.check(text)
            return Script(text, keeps=self._source.keeps, is_package=is_package)
        except SyntaxError as error:
            place = self._source.place(error.lineno or 1)
            raise ValueError(f"{place}: {error.msg}") from None
        except ParserSyntaxError as error:
            place = self._source.place(error.raw_line)
            raise ValueError(f"{place}: libcst does not know this Python") from None

    def migrated(self, v1: bool | None, *, write: bool) -> Migrated:
        """The file under repro_keras; as it is where it is not told which one."""
        from repro_keras._src.migrate.rewriting import rewritten

        if self.script is None:
            return Migrated(file=str(self.path), trouble=self.trouble)
        source = self._source
        hidden = [Finding(place, code, _IN_MAGIC) for place, code in source.hidden]
        result = Migrated(
            file=str(self.path),
            before=source.content,
            after=source.content,
            left=[self._undecided(), *hidden] if v1 is None else hidden,
            trouble=self.trouble,
        )
        if v1 is None:
            return result
        try:
            new = rewritten(self.script, v1=v1)
            sources.check(new.text)
        except (SyntaxError, RecursionError) as error:
            result.trouble.append(f"{self.path} could not be rewritten: {error}")
            return result
        result.after = source.with_text(new.text)
        result.removed = self._findings(new.removed)
        if write and result.after != result.before:
            try:
                source.write(result.after)
            except OSError as error:
                result.trouble.append(f"{self.path} could not be written: {error}")
            else:
                result.written = True
                new = rewritten(self._parsed(new.text), v1=v1)  # what is left, by the new lines
        result.left += self._findings(new.left)
        return result

    def _findings(self, notes) -> list[Finding]:
        return [Finding(self._source.place(note.line), note.code, note.why) for note in notes]

    def _undecided(self) -> Finding:
        assert self.script is not None
        one, two = (self.script.evidence[era] for era in (1, 2))
        why = f"is of TensorFlow 1, and `{two.code}` in line {two.line} of TensorFlow 2"
        return Finding(self._source.place(one.line), one.code, f"{why}: say --v1 or --no-v1")


def _eras(files: list[_File], v1: bool | None) -> dict[_File, bool | None]:
    """For each file: whether it goes to `repro_keras.v1`; `None` where it is of both kinds.

    A file that could be either goes where one goes that imports it, or that it imports: Keras 2
    and Keras 3 cannot train in one process.
    """
    scripts = [file for file in files if file.script is not None]
    if v1 is not None:
        return dict.fromkeys(scripts, v1)
    told = {file: set(file.script.evidence) for file in scripts if file.script is not None}
    old = [file for file, eras in told.items() if eras == {1}]
    for file in old:  # grows as it goes
        for other in scripts:
            if other not in old and not told[other] and _are_connected(file, other):
                old.append(other)
    return {file: None if len(told[file]) == 2 else file in old for file in scripts}


def _are_connected(one: _File, other: _File) -> bool:
    return _imports(one, other) or _imports(other, one)


def _imports(one: _File, other: _File) -> bool:
    name = other.path.parent.name if other.path.stem == "__init__" else other.path.stem
    return one.script is not None and name in one.script.imported_words
