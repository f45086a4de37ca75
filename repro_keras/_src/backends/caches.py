"""The sizes of caches by which Eigen and oneDNN, inside TensorFlow, cut products into blocks.

Other blocks are another order of sums. Eigen does linear algebra, and what XLA compiles; it cuts
otherwise on CPUs with 48 KiB of first-level data cache (Intel's since Ice Lake, AMD's since Zen 5)
than on those with 32 KiB. oneDNN does convolutions, and cuts many (wide ones with strides, dilated
ones, gradients) by the second level too, of which nearly each make of CPU has another size. Both
ask the CPU once, and keep the answer in a variable. It is written here, for TensorFlow has no
setting: Eigen's as its own `setCpuCacheSizes` would, in each library of TensorFlow that has one;
oneDNN's is the `Xbyak::util::Cpu` that its function `cpu` returns, and is checked by what
`get_per_core_cache_size` says after.
"""

import ctypes
import mmap
import os
import struct
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from repro_keras._src.errors import NotPortableError, ReproWarning

SIZES = (32 * 2**10, 256 * 2**10, 8 * 2**20)
"""In bytes, of the first-level data cache, and of the second and third level's, for one core.

Small ones, that every CPU has: with those of larger ones, convolutions of ResNet-50 took as long.
"""

_LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
_ONEDNN_IS_IN = _LIBRARIES[1]
_VARIABLE = b"_ZZN5Eigen8internal20manage_caching_sizesENS_6ActionEPlS2_S2_E12m_cacheSizes"
_IS_SET = _VARIABLE.replace(b"_ZZ", b"_ZGVZ")
_CPU_OF = b"_ZN4dnnl4impl3cpu3x643cpuEv"
_CPU = b"_ZZN4dnnl4impl3cpu3x643cpuEvE4cpu_"
_CACHE_OF_CORE = b"_ZN4dnnl4impl3cpu8platform23get_per_core_cache_sizeEi"
_LEVELS = 10  # that an `Xbyak::util::Cpu` has room for
_SECTION = "<IIQQQQIIQQ"  # of ELF: name, type, flags, address, offset, size, link, …
_SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
_SYMTAB = 2


class _Cpu(ctypes.Structure):
    """`Xbyak::util::Cpu`, as oneDNN has it in TensorFlow 2.20 and 2.21."""

    _fields_ = (
        ("type", ctypes.c_uint64 * 2),
        ("has_topology", ctypes.c_bool),
        ("cores", ctypes.c_uint32 * 2),
        ("cache_sizes", ctypes.c_uint32 * _LEVELS),
        ("sharing_cores", ctypes.c_uint32 * _LEVELS),
        ("cache_levels", ctypes.c_uint32),
    )


def set_sizes(folder: str | os.PathLike) -> None:
    """Has Eigen and oneDNN cut by these sizes, in the libraries of TensorFlow that are loaded.

    Args:
        folder: where TensorFlow is installed.

    Raises:
        NotPortableError: where a library does not show where it keeps them. (Not on Linux, it
            warns.)
    """
    if sys.platform != "linux":
        warnings.warn(
            "guarantee='portable' was compared on Linux alone: here, convolutions, linear algebra "
            "and what XLA compiles may come to other bits on a CPU whose caches have other sizes.",
            ReproWarning,
            stacklevel=2,
        )
        return
    for name in _LIBRARIES:
        places = _places(Path(folder, name))
        if not {_VARIABLE, _IS_SET} <= set(places):
            raise _hidden(name, "Eigen")
        (ctypes.c_ssize_t * 3).from_address(places[_VARIABLE])[:] = SIZES
        ctypes.c_ubyte.from_address(places[_IS_SET]).value = 1  # it is not asked for any more
        if name == _ONEDNN_IS_IN:
            _set_onednn(places)


def sizes(folder: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """What is cut by, for each of those that can be read: Eigen in two libraries, and oneDNN."""
    found = {}
    for name in _LIBRARIES:
        places = _places(Path(folder, name))
        if _VARIABLE in places:
            found[f"Eigen in {name}"] = tuple(
                (ctypes.c_ssize_t * 3).from_address(places[_VARIABLE])
            )
        if _CACHE_OF_CORE in places:
            found["oneDNN"] = _of_core(places)
    return found


def _set_onednn(places: dict[bytes, int]) -> None:
    if not {_CPU_OF, _CPU, _CACHE_OF_CORE} <= set(places):
        raise _hidden(_ONEDNN_IS_IN, "oneDNN")
    ctypes.CFUNCTYPE(ctypes.c_void_p)(places[_CPU_OF])()  # it asks the CPU now, and not later
    cpu = _Cpu.from_address(places[_CPU])
    if cpu.cache_levels > _LEVELS:
        raise _hidden(_ONEDNN_IS_IN, "oneDNN")  # it is laid out otherwise: nothing was written
    levels, rest = len(SIZES), (0,) * (_LEVELS - len(SIZES))
    cpu.has_topology = True
    cpu.cores[:] = (1, 1)
    cpu.cache_sizes[:] = SIZES + rest
    cpu.sharing_cores[:] = (1,) * levels + rest
    cpu.cache_levels = levels
    if _of_core(places) != SIZES:
        raise _hidden(_ONEDNN_IS_IN, "oneDNN")


def _of_core(places: dict[bytes, int]) -> tuple[int, ...]:
    ask = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int)(places[_CACHE_OF_CORE])
    return tuple(ask(level) for level in range(1, len(SIZES) + 1))


def _hidden(library: str, whose: str) -> NotPortableError:
    return NotPortableError(
        f"This build of TensorFlow ({library}) does not show what {whose} cuts its sums by, which "
        "guarantee='portable' has to set, as CPUs have caches of different sizes. Install "
        "TensorFlow from PyPI, 2.20 or 2.21, or use guarantee='machine'."
    )


def _places(library: Path) -> dict[bytes, int]:
    """Where a library has what we look for, in this process."""
    base = _base(library)
    if base is None:
        return {}
    names = [_VARIABLE, _IS_SET]
    if library.name == _ONEDNN_IS_IN:
        names += [_CPU_OF, _CPU, _CACHE_OF_CORE]
    return {name: base + offset for name, offset in _offsets(library, names).items()}


def _base(path: Path) -> int | None:
    """Where a library was loaded; `None` where it was not, or where that cannot be seen."""
    real, maps = os.path.realpath(path), Path("/proc/self/maps")
    for line in maps.read_text().splitlines() if maps.exists() else ():
        addresses, _, offset, _, _, *name = line.split(None, 5)
        if int(offset, 16) == 0 and name and os.path.realpath(name[0]) == real:
            return int(addresses.partition("-")[0], 16)
    return None


def _offsets(path: Path, names: Iterable[bytes]) -> dict[bytes, int]:
    """The places of some symbols by the table of the file, which has a million."""
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
            for name in names:
                place = content.find(b"\0" + name + b"\0", start, end) + 1
                (numbers,) = np.nonzero(symbols[::6] == place - start)
                if place and len(numbers):
                    at = offset + int(numbers[0]) * _SYMBOL.size
                    found[name] = _SYMBOL.unpack_from(content, at)[4]
            del symbols  # it holds the file open
        return found
