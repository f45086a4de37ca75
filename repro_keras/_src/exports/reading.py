"""Reading an export: every file is checked before one is used, and nothing is run."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from repro_keras._src import project, record
from repro_keras._src.errors import ExportError, RecordError
from repro_keras._src.exports import archive, layout
from repro_keras._src.exports.archive import refused
from repro_keras._src.runs import store
from repro_keras._src.words import plain

_NEEDED = (layout.MANIFEST, layout.RECORD)
_MORE = (
    layout.DIFF,
    layout.SIGNATURE,
    layout.CRATE,
    layout.README,
    layout.PYLOCK,
    layout.REQUIREMENTS,
)


class Export(msgspec.Struct, frozen=True):
    """An export whose files are what its record says.

    Attributes:
        path: its file.
        statement: the record.
        contents: all its files, by name.
        absent: data that the run read and that is not in it.
    """

    path: Path
    statement: record.Statement
    contents: dict[str, bytes]
    absent: list[record.File]

    @property
    def signature(self) -> bytes | None:
        """The envelope; nobody has looked into it yet."""
        return self.contents.get(layout.SIGNATURE)


def read(path: Path) -> Export:
    """Reads an export and checks each file of it.

    Raises:
        ExportError: where it is missing, changed, or something else.
        RecordError: where its record is.
    """
    contents = archive.read(path)
    for name in _NEEDED:
        if name not in contents:
            raise refused(path, f"it has no {name}, so that it is none of repro-keras")
    _check_manifest(path, contents)
    try:
        statement = record.decoded(contents[layout.RECORD], path)
    except RecordError as error:
        raise ExportError(f"The record in {error}") from None
    run = statement.predicate
    code = {file.path: file.sha256 for file in run.code.files}
    wanted = {**layout.states(statement), **{f.path: f.sha256 for f in run.read}, **code}
    for name, content in contents.items():
        if not name.startswith(layout.PROJECT):
            continue
        digest = wanted.get(name.removeprefix(layout.PROJECT))
        if digest is None:
            raise refused(path, f"the record says nothing of {name!r}")
        if digest != layout.sha256(content):
            raise refused(path, f"{name!r} is not what the record says")
    missing = [name for name in code if layout.PROJECT + name not in contents]
    if missing:
        raise refused(path, f"it has no {layout.PROJECT + missing[0]!r}, which the record needs")
    difference = run.code.git and run.code.git.diff
    if layout.DIFF in contents and layout.sha256(contents[layout.DIFF]) != difference:
        raise refused(path, f"{layout.DIFF} is not what the record says")
    absent = [file for file in run.read if layout.PROJECT + file.path not in contents]
    return Export(path, statement, contents, absent)


def _check_manifest(path: Path, contents: dict[str, bytes]) -> None:
    """Checks that an export has the files that it lists, and no others."""
    try:
        manifest = msgspec.json.decode(contents[layout.MANIFEST], type=layout.Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refused(path, f"its {layout.MANIFEST} is none of an export ({error})") from None
    if manifest.schema != layout.SCHEMA:
        raise ExportError(
            f"{path} is an export of schema {manifest.schema}, and this version of repro_keras "
            f"reads schema {layout.SCHEMA}. Install a newer repro_keras."
        )
    told = {file.path: file.sha256 for file in manifest.files}
    for name, content in contents.items():
        if name == layout.MANIFEST:
            continue
        known = name in _NEEDED or name in _MORE or name.startswith(layout.PROJECT)
        if not known or name not in told:
            raise refused(path, f"it has {name!r}, which is no part of it")
        if told.pop(name) != layout.sha256(content):
            raise refused(path, f"{name!r} does not fit its digest in {layout.MANIFEST}")
    if told:
        raise refused(path, f"it has no {next(iter(told))!r}, which {layout.MANIFEST} lists")


@contextlib.contextmanager
def unpacked(export: Export, home: project.Project) -> Iterator[tuple[Path, project.Project]]:
    """Makes a run's folder with the export's code and data in it; an error inside removes it.

    Args:
        export: what to unpack.
        home: the project whose run it is to be, and where data that was left out may be.

    Yields:
        The folder of the run, and the project in it.

    Raises:
        ExportError: where data that was left out is nowhere.
    """
    folder = store.new(home)
    try:
        root = folder / store.EXPORT
        root.mkdir()
        for name, content in sorted(export.contents.items()):
            if name.startswith(layout.PROJECT):
                place = root / name.removeprefix(layout.PROJECT)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        _bring(export, root, [Path(os.path.abspath(export.path)).parent, home.root])
        yield folder, project.Project(root)
    except BaseException:
        store.remove(folder)
        raise


def _bring(export: Export, root: Path, folders: list[Path]) -> None:
    """Links to the data that was left out, wherever it lies."""
    missing = []
    for file in export.absent:
        names = (file.path, PurePosixPath(file.path).name)
        places = (folder / name for folder in folders for name in names)
        found = next(
            (place for place in places if project.is_file(place, file.sha256, file.size)), None
        )
        if found is None:
            missing.append(file)
            continue
        place = root / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(found.resolve())
    if missing:
        said = ", ".join(f"{f.path} ({f.size:,} bytes, SHA-256 {f.sha256})" for f in missing)
        raise ExportError(
            f"{export.path} was made without {plain(said)}. It is neither beside it nor in "
            f"{folders[-1]}. Get it from where the run was recorded, and put it beside the zip "
            "file, under the same name."
        )
