"""Copies of installed packages whose libraries ask for the CPU by a signal, not an instruction.

`cpuid` and `xgetbv` are replaced by instructions of the same length that no processor has. Where
they are is found by disassembling: code has no marks where an instruction begins, but from most
places a disassembler falls into step soon, so that it is begun at some places before each.
"""

import importlib.util
import mmap
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

PACKAGES = {
    "tensorflow": ("libtensorflow_framework.so.*", "libtensorflow_cc.so.*"),
    "numpy": (),  # by itself it asks the CPU that is there, as what tells it does
    "numpy.libs": ("libscipy_openblas*.so",),
    "scipy": (),
    "scipy.libs": ("libscipy_openblas*.so",),
}
"""The packages, each with those of its libraries that choose by the CPU what computes."""

REPLACED = {
    "cpuid": (bytes.fromhex("0fa2"), bytes.fromhex("0f04")),
    "xgetbv": (bytes.fromhex("0f01d0"), bytes.fromhex("0f0a90")),
}
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n"  # of the Cache Directory Tagging Standard
_BEGINNINGS = range(24, 56)  # how far before a place it is begun
_AFTER = 16


def make(folder: Path) -> None:
    """Makes the copies, unless they are there, of the packages that this Python has.

    Args:
        folder: where to; it is there only when it is complete.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / "CACHEDIR.TAG").write_text(_TAG)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        new = Path(temporary, folder.name)
        new.mkdir()
        places = Path(importlib.util.find_spec("numpy").origin).parents[1]
        for name, patterns in PACKAGES.items():
            if not (places / name).is_dir():
                continue
            shutil.copytree(places / name, new / name, copy_function=_link)
            for pattern in patterns:
                for library in (new / name).glob(pattern):
                    _replace(library)
        try:
            os.rename(new, folder)
        except OSError:  # another process was first
            if not folder.exists():
                raise


def _link(source: str, target: str) -> None:
    """A second name for a file, which costs no space; a copy on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _replace(library: Path) -> None:
    """Replaces a library by a copy that asks by signals."""
    content = bytearray(library.read_bytes())
    for place, name in find(library):
        old, new = REPLACED[name]
        content[place : place + len(old)] = new
    library.unlink()  # the installed one has other names, and stays as it is
    library.write_bytes(content)
    library.chmod(0o755)


def find(library: Path) -> list[tuple[int, str]]:
    """Where a library has these instructions: the place in the file, and which it is."""
    with open(library, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
        candidates = [
            (match.start(), name)
            for begin, end in _executable(code)
            for name, (old, _) in REPLACED.items()
            for match in re.compile(re.escape(old)).finditer(code, begin + _BEGINNINGS[-1], end)
        ]
        windows, expected = bytearray(), {}
        for number, (place, name) in enumerate(candidates):
            for before in _BEGINNINGS:
                expected[len(windows) + before] = (number, name)
                windows += code[place - before : place + _AFTER] + b"\x90" * 16
    votes = [0] * len(candidates)
    with tempfile.NamedTemporaryFile() as file:
        file.write(windows)
        file.flush()
        command = ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-w", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if name := next((name for name in REPLACED if name in line), None):
                    found = expected.get(int(line.partition(":")[0], 16))
                    if found is not None and found[1] == name:
                        votes[found[0]] += 1
    # By chance, one place in eight or so falls into step with bytes that are no instruction.
    return [
        candidate
        for candidate, count in zip(candidates, votes, strict=True)
        if count > len(_BEGINNINGS) / 4
    ]


def _executable(code) -> list[tuple[int, int]]:
    """Where in a library its code begins and ends: by the program headers of ELF."""
    (table,) = struct.unpack_from("<Q", code, 0x20)
    size, count = struct.unpack_from("<HH", code, 0x36)
    found = []
    for number in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from(
            "<IIQQQQ", code, table + number * size
        )
        if kind == 1 and flags & 1:  # it is loaded, and may be executed
            found.append((offset, offset + length))
    return found
