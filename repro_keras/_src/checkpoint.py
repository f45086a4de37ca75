"""Canonical bytes for what Keras saves: equal contents, equal files.

A file stays what plain Keras writes, in form; what is incidental in it (times, addresses, the
place of a script) is written in one way always.
"""

import base64
import io
import json
import marshal
import os
import shutil
import types
import zipfile
from collections.abc import Iterator

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member of an archive: the first that a zip file can have."""

DATE_SAVED = "1980-01-01@00:00:00"
"""The same, as Keras writes it into `metadata.json`."""

_PERMISSIONS = 0o600 << 16  # what `zipfile` gives a member that was not a file before


class CanonicalZipFile(zipfile.ZipFile):
    """An archive whose members carry no times, permissions or system, only names and contents."""

    def __init__(self, *args, **kwargs):
        self._waiting: list[tuple] = []
        super().__init__(*args, **kwargs)

    def open(self, name, mode="r", pwd=None, *, force_zip64=False):
        if mode == "w":
            name = _member(name)
        return super().open(name, mode, pwd, force_zip64=force_zip64)

    def writestr(self, zinfo_or_arcname, data, compress_type=None, compresslevel=None):
        # At the end: Keras adds weights before the assets if it has them in memory, and after them
        # if it has them on the disk.
        self._waiting.append((_member(zinfo_or_arcname), data, compress_type, compresslevel))

    def close(self):
        try:
            while self._waiting:
                super().writestr(*self._waiting.pop(0))
        finally:
            self._waiting.clear()
            super().close()

    def write(self, filename, arcname=None, compress_type=None, compresslevel=None):
        found = zipfile.ZipInfo.from_file(filename, arcname, strict_timestamps=False)
        with open(filename, "rb") as source, self.open(found, "w") as destination:
            shutil.copyfileobj(source, destination, 2**20)


def _member(name) -> zipfile.ZipInfo:
    if isinstance(name, zipfile.ZipInfo):
        member = zipfile.ZipInfo(name.filename, EPOCH)
        member.file_size = name.file_size  # decides whether the archive has to be a large one
    else:
        member = zipfile.ZipInfo(name, EPOCH)
    member.create_system = 3
    member.external_attr = _PERMISSIONS
    return member


class FileForHdf5(io.FileIO):
    """A new file for HDF5 to write to, which raises what went wrong when it is closed.

    An error inside HDF5 leaves its own file open for good, and some versions end the process with
    a segmentation fault over it.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self._error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        if self._error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._error = error
        return self.tell() if size is None else size

    def close(self) -> None:
        super().close()
        error, self._error = self._error, None
        if error is not None:
            raise error


def canonical_config(text: str, *, by_key_alone: bool = False) -> str:
    """The configuration of a model, as JSON, with shared objects numbered as they first appear.

    Keras numbers an object that is used in several places by its address.

    Args:
        text: the configuration.
        by_key_alone: whether a user's setting that is called like the number of an object is
            taken for one. In files it is kept; the rule for digests, in `docs/bits.md`, is older.

    >>> canonical_config('[{"class_name": "L2", "shared_object_id": 7012}]')
    '[{"class_name": "L2", "shared_object_id": 1}]'
    """
    config = json.loads(text)
    numbers: dict[int, int] = {}
    for shared in _numbered(config):
        if by_key_alone or "class_name" in shared:
            shared["shared_object_id"] = numbers.setdefault(
                shared["shared_object_id"], len(numbers) + 1
            )
    return json.dumps(config) if numbers else text


def _numbered(value) -> Iterator[dict]:
    """The dicts in a configuration that have a number, in order."""
    if isinstance(value, dict):
        if type(value.get("shared_object_id")) is int:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _numbered(item)


def canonical_metadata(text: str) -> str:
    """The metadata of a model, as JSON, without the time at which it was saved."""
    return json.dumps({**json.loads(text), "date_saved": DATE_SAVED})


def dumped(code: types.CodeType) -> str:
    """A function's code as Keras stores that of a `Lambda` layer, in its canonical form."""
    # Later versions of the form mark what is shared, which hangs on who else holds it.
    return base64.encodebytes(marshal.dumps(canonical_code(code), 2)).decode("ascii")


def canonical_code(code: types.CodeType) -> types.CodeType:
    """A function's code without the path and the line of the script that it was written in."""
    return _moved(code, code.co_firstlineno - 1)


def _moved(code: types.CodeType, lines: int) -> types.CodeType:
    constants = tuple(
        _moved(constant, lines) if isinstance(constant, types.CodeType) else constant
        for constant in code.co_consts
    )
    return code.replace(
        co_filename="<saved>",
        co_firstlineno=max(1, code.co_firstlineno - lines),
        co_consts=constants,
    )
