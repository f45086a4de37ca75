"""The file of a state: a safetensors file with the rest of the state, and digests of all of it.

Any reader of safetensors finds the arrays; its one entry of metadata is the JSON that is sealed.
The header has the same length whatever the digests in it, so that arrays are written while they
are digested, and the header comes last.
"""

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from repro_keras._src import atomic, bits, digest_arrays
from repro_keras._src.errors import CanonicalError, FileFormatError
from repro_keras._src.state import value

_ENTRY = "repro_keras.state"
_LARGE = 4 * 2**20  # from here on, writing and digesting go on at the same time
_NO_DIGEST = "0" * 64
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}


def write(path: Path, state: value.State) -> None:
    """Writes a state, whole or not at all.

    Raises:
        SaveError: where it cannot be written.
    """
    arrays = {name: _contiguous(array) for name, array in state.arrays.items()}
    with atomic.replacing(path) as place, open(place, "wb") as file:
        # The digests have one length, so that this header is as long as the last one.
        length = len(_header(state.content, arrays, dict.fromkeys(arrays, _NO_DIGEST)))
        file.seek(length)
        if sum(array.nbytes for array in arrays.values()) < _LARGE:
            _write_arrays(file, arrays)
            digests = _digests(arrays)
        else:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                writing = pool.submit(_write_and_send, file, arrays)
                digests = _digests(arrays)
                writing.result()
        file.seek(0)
        file.write(_header(state.content, arrays, digests))


def _write_arrays(file, arrays: dict[str, np.ndarray]) -> None:
    for array in arrays.values():
        file.write(_bytes(array))


def _write_and_send(file, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays and has the system begin to bring them to the disk, without waiting for it."""
    _write_arrays(file, arrays)
    file.flush()
    if hasattr(os, "posix_fadvise"):
        # Pages that will not be needed are written back first, and only then dropped.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _digests(arrays: dict[str, np.ndarray]) -> dict[str, str]:
    return {
        name: digest_arrays.hexadecimal(digest_arrays.describe_array(array, name))
        for name, array in arrays.items()
    }


def _contiguous(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _bytes(array: np.ndarray) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8).data)


def _header(
    content: value.Content, arrays: dict[str, np.ndarray], digests: dict[str, str]
) -> bytes:
    told = value.described(content, digests)
    told["content"]["recorded"] = content.recorded
    forms = {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()}
    sealed = {"state": told, "forms": forms}
    seal = hashlib.sha256(bits.canonical_json(sealed)).hexdigest()
    entry = json.dumps({"seal": seal, **sealed}, ensure_ascii=True, separators=(",", ":"))
    header: dict = {"__metadata__": {_ENTRY: entry}}
    begin = 0
    for name, array in arrays.items():
        known = _DTYPES.get(array.dtype.name)
        header[name] = {
            "dtype": known or "U8",
            "shape": list(array.shape) if known else [array.nbytes],
            "data_offsets": [begin, begin + array.nbytes],
        }
        begin += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read(path: Path) -> value.State:
    """Reads a state and checks every byte of it. Nothing in it is run.

    Raises:
        FileFormatError: where it is missing, cut off, changed, something else, or newer.
    """
    try:
        content = np.fromfile(path, "uint8")
    except OSError as error:
        raise FileFormatError(f"{path} could not be read: {error.strerror}.", error.errno) from None
    told, begin = _parsed(path, content)
    try:
        inner = dict(told["state"]["content"])
        found = msgspec.convert(inner, value.Content)
        arrays = dict(_arrays(content[begin:], told["forms"]))
        header = _header(found, arrays, told["state"]["arrays"])
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise broken(path, f"what it says does not fit together ({error})") from None
    if header != content[:begin].tobytes():
        raise broken(path, "what it says does not fit its digest")
    if begin + sum(array.nbytes for array in arrays.values()) != len(content):
        raise broken(path, "it has more bytes than it says")
    for name, digest in _digests(arrays).items():
        if digest != told["state"]["arrays"][name]:
            raise broken(path, f"the array {name!r} does not fit its digest")
    return value.State(found, arrays)


def _parsed(path: Path, content: np.ndarray) -> tuple[dict, int]:
    """The sealed JSON of a file, and where its arrays begin."""
    length = int.from_bytes(content[:8].tobytes(), "little")
    if len(content) < 8 or length > len(content) - 8:
        raise broken(path, "it is cut off, or no state at all")
    try:
        header = json.loads(content[8 : 8 + length].tobytes())
        told = json.loads(header["__metadata__"][_ENTRY])
        seal = told.pop("seal")
        schema = told["state"]["content"]["schema"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise broken(path, "its header is none of a state") from None
    try:
        whole = hashlib.sha256(bits.canonical_json(told)).hexdigest() == seal
    except CanonicalError:
        whole = False
    if not whole:
        raise broken(path, "what it says does not fit its digest")
    if schema != value.SCHEMA:
        raise FileFormatError(
            f"{path} has a state of schema {schema}, and this version of repro_keras reads schema "
            f"{value.SCHEMA}. Use the version that wrote it."
        )
    return told, 8 + length


def _arrays(content: np.ndarray, forms: dict) -> Iterator[tuple[str, np.ndarray]]:
    begin = 0
    for name, (dtype, shape) in forms.items():
        kind = _dtype(dtype)
        size = int(np.prod(shape, dtype="int64")) * kind.itemsize
        piece = content[begin : begin + size]
        if len(piece) < size:
            raise ValueError(f"{name!r} is cut off")
        # Copied: an array in the middle of a file is not aligned.
        yield name, np.frombuffer(piece.tobytes(), kind).reshape(shape)
        begin += size


def _dtype(name: str) -> np.dtype:
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))


def broken(path: Path, why: str) -> FileFormatError:
    """The error of a file that is no whole state."""
    return FileFormatError(
        f"{path} should be a whole state of training, and is not: {why}. Expected a file that "
        "repro.TrainingState wrote."
    )
