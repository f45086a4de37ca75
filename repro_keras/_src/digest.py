"""Canonical digests: the same for equal contents, in any process and in any place.

The form is fixed in `docs/bits.md`: a digest is the SHA-256 of the canonical JSON of a
description, in which large contents stand as the SHA-256 of their chunks.
"""

import concurrent.futures
import hashlib
import os
import re
import struct
import sys
from collections import Counter
from typing import Any

from repro_keras._src import bits
from repro_keras._src.errors import CanonicalError

CHUNK_BYTES = 2**20
_KINDS = "?biufcV"  # of NumPy dtypes that are plain bytes; V: those of ml_dtypes (bfloat16…)


def digest(x: Any) -> str:
    """The digest of a model, an array, or a (nested) container of arrays.

    It covers names, dtypes, shapes and little-endian bytes in a defined order, and nothing else:
    not where something is in memory, its strides or byte order, nor the process-wide numbers in
    automatic names.

    Args:
        x: a Keras model or layer that is built (its weights are digested), a Keras variable, a
            tensor, a NumPy array or scalar, a Python number, string, boolean or `None`, or a
            dict (with string keys), list or tuple of these.

    Returns:
        `"sha256:"` and 64 hexadecimal digits.

    Raises:
        CanonicalError: for anything else, with its place in the container, and for a model
            without weights yet.

    Example:

    >>> repro.digest({"w": np.zeros((2, 3), "float32")})
    'sha256:b3d8b3852bad24e1aafc7b03f620a0687abb0fdbaf646992d01c057148fb2286'
    """
    return f"sha256:{_digest(x, '$')}"


def _digest(x, where: str) -> str:
    return hashlib.sha256(bits.canonical_json(_describe(x, where))).hexdigest()


def _describe(x, where: str) -> dict:
    import numpy as np

    if isinstance(x, np.generic):  # before Python's numbers: np.float64 is a float too
        return _describe_array(np.asarray(x), where)
    if x is None or isinstance(x, (bool, str, int, float, complex)):
        return _describe_scalar(x)
    if isinstance(x, dict):
        for key in x:
            if not isinstance(key, str):
                raise CanonicalError(
                    f"{where}: the keys of a dict must be strings. Received: {key!r} "
                    f"(of type {type(key).__name__})"
                )
        items = sorted((key, _digest(value, f"{where}.{key}")) for key, value in x.items())
        return {"kind": "dict", "items": items}
    if isinstance(x, (list, tuple)):
        return {
            "kind": "list",
            "items": [_digest(value, f"{where}[{i}]") for i, value in enumerate(x)],
        }
    keras = sys.modules.get("keras")
    if keras is not None:
        if isinstance(x, keras.Layer):
            return _describe_layer(x, where)
        if isinstance(x, keras.Variable) or keras.ops.is_tensor(x):
            x = keras.ops.convert_to_numpy(x)
    if isinstance(x, np.ndarray) or hasattr(x, "__array__"):
        return _describe_array(np.asarray(x), where)
    raise CanonicalError(
        f"{where}: a model, an array, a number, a string or a container of these can be digested. "
        f"Received: an object of type {type(x).__name__}"
    )


def _describe_scalar(x) -> dict:
    if isinstance(x, float):
        return {"kind": "float", "value": struct.pack("<d", x).hex()}
    if isinstance(x, complex):
        return {"kind": "complex", "value": struct.pack("<dd", x.real, x.imag).hex()}
    if isinstance(x, int) and not isinstance(x, bool):
        return {"kind": "int", "value": str(int(x))}
    return {"kind": "json", "value": x}


def _describe_layer(layer, where: str) -> dict:
    if not layer.built:
        raise CanonicalError(
            f"{where}: {layer.name!r} ({type(layer).__name__}) has no weights yet. Build it "
            "first: call it on data, or give it an Input."
        )
    names = canonical_paths([weight.path for weight in layer.weights])
    return {
        "kind": "model",
        "weights": [
            [name, _digest(weight, f"{where}/{name}")]
            for name, weight in zip(names, layer.weights, strict=True)
        ],
    }


def canonical_paths(paths: list[str]) -> list[str]:
    """Paths of weights with each part's final `_number` replaced by its order of appearance.

    Keras numbers automatic names through the process (`dense_7`), so that a second build of one
    model is called otherwise. Here a part is its name without the number, and its rank among the
    parts that differ in it only, in the order of `layer.weights`.

    >>> canonical_paths(["dense_7/kernel", "dense_7/bias", "dense_9/kernel"])
    ['dense#0/kernel#0', 'dense#0/bias#0', 'dense#1/kernel#0']
    """
    seen: dict[str, dict[str, str]] = {}
    result = []
    for path in paths:
        parent = ""
        for part in path.split("/"):
            known = seen.setdefault(parent, {})
            if part not in known:
                base = re.sub(r"_\d+$", "", part)
                rank = Counter(re.sub(r"_\d+$", "", other) for other in known)[base]
                known[part] = f"{base}#{rank}"
            parent = f"{parent}/{known[part]}" if parent else known[part]
        result.append(parent)
    return result


def _describe_array(array, where: str) -> dict:
    import numpy as np

    shape = list(array.shape)
    if array.dtype.kind in "US" or array.dtype == object:
        return {"kind": "strings", "shape": shape, "chunks": _chunks(_string_bytes(array, where))}
    if array.dtype.kind not in _KINDS or array.dtype.names is not None:
        raise CanonicalError(
            f"{where}: arrays of numbers, booleans and strings can be digested. Received: an "
            f"array of dtype {array.dtype}"
        )
    dtype = array.dtype.newbyteorder("<")
    contiguous = np.ascontiguousarray(array, dtype=dtype)
    return {
        "kind": "array",
        "dtype": dtype.name,
        "shape": shape,
        "chunks": _chunks(memoryview(contiguous.reshape(-1).view(np.uint8).data)),
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


def _chunks(content: memoryview) -> list[str]:
    pieces = [content[i : i + CHUNK_BYTES] for i in range(0, len(content), CHUNK_BYTES)]
    if len(pieces) < 4:
        return [hashlib.sha256(piece).hexdigest() for piece in pieces]
    with concurrent.futures.ThreadPoolExecutor(_cores()) as pool:  # hashing frees the GIL
        return list(pool.map(lambda piece: hashlib.sha256(piece).hexdigest(), pieces))


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
