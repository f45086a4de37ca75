"""Digests of arrays, scalars, and dicts and lists of digests: the ground that all others stand on.

The form is fixed in `docs/bits.md`.
"""

import concurrent.futures
import hashlib
import os
import struct
from collections.abc import Iterable

from repro_keras._src import bits
from repro_keras._src.errors import CanonicalError

CHUNK_BYTES = 2**20
_KINDS = "?biufcV"  # of NumPy dtypes that are plain bytes; V: those of ml_dtypes (bfloat16…)


def hexadecimal(description: dict) -> str:
    """The digest of what a description stands for, without its prefix."""
    return hashlib.sha256(bits.canonical_json(description)).hexdigest()


def describe_dict(items: Iterable[tuple[str, str]]) -> dict:
    """Describes named things by their digests, in any order."""
    return {"kind": "dict", "items": sorted(items)}


def describe_list(items: Iterable[str]) -> dict:
    """Describes things in a row by their digests."""
    return {"kind": "list", "items": list(items)}


def describe_scalar(x) -> dict:
    """Describes `None`, a boolean, a string or a number of Python's."""
    if isinstance(x, float):
        return {"kind": "float", "value": struct.pack("<d", x).hex()}
    if isinstance(x, complex):
        return {"kind": "complex", "value": struct.pack("<dd", x.real, x.imag).hex()}
    if isinstance(x, int) and not isinstance(x, bool):
        return {"kind": "int", "value": str(int(x))}
    return {"kind": "json", "value": x}


def describe_array(array, where: str) -> dict:
    """Describes a NumPy array by its dtype, shape and bytes.

    Args:
        array: of numbers, booleans or strings, in any memory layout and byte order.
        where: its place, for errors.

    Raises:
        CanonicalError: for other dtypes.
    """
    import numpy as np

    shape = list(array.shape)
    if array.dtype.kind in "UST" or array.dtype == object:
        return {"kind": "strings", "shape": shape, "chunks": chunks(_string_bytes(array, where))}
    if array.dtype.kind not in _KINDS or array.dtype.names is not None:
        raise CanonicalError(
            f"{where}: arrays of numbers, booleans and strings can be digested. Received: an "
            f"array of dtype {array.dtype}"
        )
    if array.dtype.kind in "fc" and array.dtype.itemsize > 8 * (1 + (array.dtype.kind == "c")):
        raise CanonicalError(
            f"{where}: {array.dtype} has other bytes on other machines, and padding between them. "
            "Convert it to float64 or complex128."
        )
    dtype = array.dtype.newbyteorder("<")
    contiguous = np.ascontiguousarray(array, dtype=dtype)
    return {
        "kind": "array",
        "dtype": dtype.name,
        "shape": shape,
        "chunks": chunks(memoryview(contiguous.reshape(-1).view(np.uint8).data)),
    }


def _string_bytes(array, where: str) -> memoryview:
    pieces = []
    for item in array.reshape(-1).tolist():
        if isinstance(item, str):
            item = item.encode()
        if not isinstance(item, bytes):
            raise CanonicalError(
                f"{where}: an array of objects must hold strings only. Received: {item!r} "
                f"(of type {type(item).__name__})"
            )
        pieces += [len(item).to_bytes(8, "little"), item]
    return memoryview(b"".join(pieces))


def chunks(content: memoryview) -> list[str]:
    """The SHA-256 of each chunk of some bytes, computed on all cores."""
    pieces = [content[i : i + CHUNK_BYTES] for i in range(0, len(content), CHUNK_BYTES)]
    if len(pieces) < 4:
        return [_sha256(piece) for piece in pieces]
    with concurrent.futures.ThreadPoolExecutor(_cores()) as pool:  # hashing frees the GIL
        return list(pool.map(_sha256, pieces))


def _sha256(piece: memoryview) -> str:
    return hashlib.sha256(piece).hexdigest()


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
