"""Eigen inside TensorFlow, which cuts large products into blocks by the size of the caches.

That is another order of sums on CPUs with 48 KiB of first-level data cache (Intel's since Ice Lake,
AMD's since Zen 5) than on those with 32 KiB. It is linear algebra, and what XLA compiles, that
comes by here; other products go to oneDNN. Eigen asks the CPU once, and keeps the answer in a
variable, which each library of TensorFlow has for itself. It is written here, as Eigen's own
`setCpuCacheSizes` would, for which TensorFlow has no setting.
"""

import ctypes
import mmap
import os
import struct
import sys
import warnings
from pathlib import Path

from repro_keras._src.errors import NotPortableError, ReproWarning

SIZES = (32 * 2**10, 256 * 2**10, 8 * 2**20)
"""In bytes, of the first-level data cache, and of the second and third level's."""

_LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
_VARIABLE = b"_ZZN5Eigen8internal20manage_caching_sizesENS_6ActionEPlS2_S2_E12m_cacheSizes"
_IS_SET = _VARIABLE.replace(b"_ZZ", b"_ZGVZ")
_SECTION = "<IIQQQQIIQQ"  # of ELF: name, type, flags, address, offset, size, link, …
_SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
_SYMTAB = 2
_FIRST_LEVEL = "/sys/devices/system/cpu/cpu0/cache/index0/size"


def set_sizes(folder: str | os.PathLike) -> None:
    """Has Eigen cut by `SIZES`, in the libraries of TensorFlow that are loaded.

    Args:
        folder: where TensorFlow is installed.

    Raises:
        NotPortableError: where a library has no such variable to be found, and the CPU has caches
            of another size. (Not on Linux, it warns.)
    """
    for name in _LIBRARIES:
        place = _place(Path(folder, name))
        if place is None:
            _require_the_same(name)
            continue
        variable, is_set = place
        (ctypes.c_ssize_t * 3).from_address(variable)[:] = SIZES
        ctypes.c_ubyte.from_address(is_set).value = 1  # it is not asked for any more


def sizes(folder: str | os.PathLike) -> list[tuple[int, ...] | None]:
    """What Eigen cuts by, in each library; `None` for one that cannot be read."""
    found = []
    for name in _LIBRARIES:
        place = _place(Path(folder, name))
        found.append(place and tuple((ctypes.c_ssize_t * 3).from_address(place[0])))
    return found


def _require_the_same(library: str) -> None:
    if sys.platform != "linux":
        warnings.warn(
            "guarantee='portable' was compared on Linux alone: here, linear algebra and what XLA "
            "compiles may come to other bits on a CPU whose caches have other sizes.",
            ReproWarning,
            stacklevel=2,
        )
        return
    try:
        size = Path(_FIRST_LEVEL).read_text().strip()
    except OSError:
        size = "an unknown size"
    if size != f"{SIZES[0] // 2**10}K":
        raise NotPortableError(
            f"This build of TensorFlow ({library}) does not show what Eigen cuts its sums by, and "
            f"this CPU has a first-level cache of {size}, where guarantee='portable' computes as "
            "with 32K. Install TensorFlow from PyPI, or use guarantee='machine'."
        )


def _place(library: Path) -> tuple[int, int] | None:
    """Where a library has the variable in this process, and its mark that it was set."""
    base = _base(library)
    offsets = _offsets(library) if base is not None else {}
    if base is None or len(offsets) < 2:
        return None
    return base + offsets[_VARIABLE], base + offsets[_IS_SET]


def _base(path: Path) -> int | None:
    """Where a library was loaded; `None` where it was not, or where that cannot be seen."""
    real, maps = os.path.realpath(path), Path("/proc/self/maps")
    for line in maps.read_text().splitlines() if maps.exists() else ():
        addresses, _, offset, _, _, *name = line.split(None, 5)
        if int(offset, 16) == 0 and name and os.path.realpath(name[0]) == real:
            return int(addresses.partition("-")[0], 16)
    return None


def _offsets(path: Path) -> dict[bytes, int]:
    """The places of the two by the symbols of the file, of which it has a million."""
    import numpy as np

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        (table,) = struct.unpack_from("<Q", content, 0x28)
        size, count = struct.unpack_from("<HH", content, 0x3A)
        sections = [
            struct.unpack_from(_SECTION, content, table + number * size) for number in range(count)
        ]
        found = {}
        for _, kind, _, _, offset, length, link, *_ in sections:
            if kind != _SYMTAB:
                continue
            symbols = np.frombuffer(content, "<u4", length // 4, offset)
            start, end = sections[link][4], sections[link][4] + sections[link][5]
            for name in (_VARIABLE, _IS_SET):
                place = content.find(b"\0" + name + b"\0", start, end) + 1
                (numbers,) = np.nonzero(symbols[::6] == place - start)
                if place and len(numbers):
                    at = offset + int(numbers[0]) * _SYMBOL.size
                    found[name] = _SYMBOL.unpack_from(content, at)[4]
            del symbols  # it holds the file open
        return found
