"""The zip file of an export: canonical when it is written, checked before anything is taken of it.

Members are stored, not compressed: what deflate comes to depends on the version of zlib, and a file
that can only be as large as what it holds is no bomb.
"""

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from repro_keras._src import atomic
from repro_keras._src.checkpoint import CanonicalZipFile
from repro_keras._src.errors import ExportError

MOST_BYTES = 2**30
MOST_FILES = 10_000
_AGAIN = "Get the export again from where it was made."
# What Windows does not take as the name of a file or folder, or takes for another one; and what git
# and repro-keras would take for their own.
_NOT_PORTABLE = re.compile(
    r'[<>:"|?*\\\x00-\x1f\x7f]|[. ]$|^\.(git|repro)$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)',
    re.IGNORECASE,
)


def is_one(path: Path) -> bool:
    """Whether a file is taken for an export, not for a record."""
    return path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)


def write(path: Path, contents: dict[str, bytes]) -> None:
    """Writes files as a zip, whole or not at all: equal contents are equal bytes.

    Raises:
        ExportError: where it could not be read again, or there is no such folder.
        SaveError: where it cannot be written.
    """
    if not path.parent.is_dir():
        raise ExportError(
            f"{path} cannot be written, as there is no folder {path.parent}. Make it first, or "
            "name another place."
        )
    trouble = trouble_with(contents)
    if trouble is None and sum(map(len, contents.values())) > MOST_BYTES:
        trouble = f"it would have more than {MOST_BYTES:,} bytes"
    if trouble is not None:
        raise ExportError(
            f"The run cannot be exported: {trouble}. Rename the file, or "
            "take in less data (--max-data)."
        )
    with atomic.replacing(path) as place, CanonicalZipFile(place, "w") as file:
        for name in sorted(contents):
            with file.open(name, "w") as member:
                member.write(contents[name])


def read(path: Path) -> dict[str, bytes]:
    """The files of a zip, by their names, none of which leads anywhere else.

    Raises:
        ExportError: where it is no zip that `write` can have written.
    """
    try:
        size = os.stat(path).st_size
        if size > 2 * MOST_BYTES:
            raise refused(path, f"it has {size:,} bytes, more than an export may have")
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            trouble = trouble_with([member.orig_filename for member in members])
            trouble = trouble or _trouble_with_members(members, size)
            if trouble is not None:
                raise refused(path, trouble)
            return {member.filename: file.read(member) for member in members}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        if isinstance(error, ExportError):
            raise
        raise refused(path, f"it is no whole zip file ({error})") from None
    except OSError as error:
        raise ExportError(f"{path} could not be read: {error.strerror}.", error.errno) from None


def trouble_with(names: Iterable[str]) -> str | None:
    """Why files of these names cannot lie in one folder on every system; `None` where they can."""
    seen: dict[str, str] = {}
    folders: set[str] = set()
    for number, name in enumerate(names):
        if number == MOST_FILES:
            return f"it has more than {MOST_FILES:,} files"
        parts = name.split("/")
        if "" in parts or "." in parts or ".." in parts or _unportable(parts):
            return f"the name {name!r} is none that a file can have in every folder"
        same = _folded(name)
        if same in seen:
            return f"the names {seen[same]!r} and {name!r} are the same on some systems"
        seen[same] = name
        folders.update(map(str, PurePosixPath(same).parents))
    both = sorted(folders & set(seen))
    return f"{seen[both[0]]!r} is a file and a folder" if both else None


def _unportable(parts: list[str]) -> bool:
    return any(_NOT_PORTABLE.search(part) for part in parts)


def _folded(name: str) -> str:
    """A name as file systems know it that make no difference of case or of forms of letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _trouble_with_members(members: list[zipfile.ZipInfo], size: int) -> str | None:
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            return f"{member.filename!r} is a link, or something else that is no file"
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            return f"{member.filename!r} is compressed or encrypted"
        if member.compress_size != member.file_size:
            return f"{member.filename!r} does not have the size that it says"
    if sum(member.file_size for member in members) > min(size, MOST_BYTES):
        return "its files say that they are larger than they can be"
    return None


def refused(path: Path, why: str) -> ExportError:
    """The error of a file that is no export, or no longer one."""
    return ExportError(
        f"{path} should be an export of repro-keras, and is not: {why}. Nothing of it was run. "
        + _AGAIN
    )
