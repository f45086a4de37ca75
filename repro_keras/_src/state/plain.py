"""Values of Python and NumPy as JSON and arrays, exactly, and back, in place where that can be.

An object that is restored in place stays the same object, so that whoever else holds it sees it.
"""

import collections
import random
import sys
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


class NotPlainError(Exception):
    """A value that has no exact form: its place and its type."""

    def __init__(self, where: str, value: object):
        super().__init__(where, type(value).__name__)
        self.where = where
        self.type = type(value).__name__


def pack(value: Any, arrays: Arrays, where: str) -> Any:
    """The JSON of a value; its arrays go into `arrays`, under names that begin with `where`.

    Raises:
        NotPlainError: for what is neither plain nor a generator of random numbers.
    """
    if value is None or (isinstance(value, (bool, str)) and type(value) in (bool, str)):
        return value
    if type(value) is int:
        return {"int": str(value)}
    if type(value) is float:
        return {"float": value.hex()}
    if type(value) is list:
        return [pack(item, arrays, f"{where}/{i}") for i, item in enumerate(value)]
    for kind, packer in _PACKERS.items():
        if type(value) is kind or (kind in _WITH_SUBCLASSES and isinstance(value, kind)):
            return {packer.name: packer.pack(value, arrays, where)}
    name = _tensor(value)
    if name is not None:
        arrays[where] = np.asarray(value)
        return {name: where}
    raise NotPlainError(where, value)


def unpack(packed: Any, arrays: Arrays, old: Any = None) -> Any:
    """The value of its JSON.

    Args:
        packed: what `pack` returned.
        arrays: the arrays that it put aside.
        old: the value that is there now; a list, dict, deque or generator is changed in place.
    """
    if isinstance(packed, list):
        before = old if isinstance(old, list) else []
        new = [unpack(p, arrays, o) for p, o in _paired(packed, before)]
        if isinstance(old, list):
            old[:] = new
            return old
        return new
    if not isinstance(packed, dict):
        return packed
    ((name, content),) = packed.items()
    return _UNPACKERS[name](content, arrays, old)


def _paired(packed: list, before) -> list[tuple]:
    before = list(before)[: len(packed)]
    return list(zip(packed, before + [None] * (len(packed) - len(before)), strict=True))


def _tensor(value) -> str | None:
    tf = sys.modules.get("tensorflow")
    return "tensor" if tf is not None and tf.is_tensor(value) and hasattr(value, "numpy") else None


def _unpack_tensor(name, arrays, old):
    import tensorflow as tf

    if isinstance(old, tf.Variable):
        old.assign(arrays[name])
        return old
    return tf.convert_to_tensor(arrays[name])


def _unpack_dict(items, arrays, old):
    before = old if isinstance(old, dict) else {}
    new = {}
    for key, value in items:
        key = unpack(key, arrays)
        new[key] = unpack(value, arrays, before.get(key))
    if isinstance(old, dict):
        old.clear()
        old.update(new)
        return old
    return new


def _unpack_deque(content, arrays, old):
    length, items = content
    new = collections.deque((unpack(item, arrays) for item in items), maxlen=length)
    if isinstance(old, collections.deque) and old.maxlen == length:
        old.clear()
        old.extend(new)
        return old
    return new


def _unpack_set(items, arrays, old):
    new = {unpack(item, arrays) for item in items}
    if isinstance(old, set):
        old.clear()
        old.update(new)
        return old
    return new


def _pack_python(value, arrays, where):
    version, numbers, gauss = value.getstate()
    words = np.array(numbers, "int64")  # as an array: 625 numbers
    return pack((version, words, gauss), arrays, where)


def _unpack_python(content, arrays, old):
    version, words, gauss = unpack(content, arrays)
    found = old if isinstance(old, random.Random) else random.Random()
    found.setstate((version, tuple(words.tolist()), gauss))
    return found


def _unpack_generator(content, arrays, old):
    state = unpack(content, arrays)
    if isinstance(old, np.random.Generator):
        old.bit_generator.state = state
        return old
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


def _unpack_legacy(content, arrays, old):
    found = old if isinstance(old, np.random.RandomState) else np.random.RandomState(0)
    found.set_state(unpack(content, arrays))
    return found


def _pack_array(value, arrays, where):
    if value.dtype.kind in "OUS":
        if value.dtype == object:
            raise NotPlainError(where, value)
        value_list = pack(value.tolist(), arrays, where)
        return {"list": value_list, "dtype": value.dtype.str}
    arrays[where] = value.copy()
    return where


def _unpack_array(content, arrays, old):
    if isinstance(content, dict):
        return np.array(unpack(content["list"], arrays), dtype=content["dtype"])
    return arrays[content].copy()


def _pack_items(items, arrays, where):
    return [
        [pack(key, arrays, f"{where}/{i}.key"), pack(value, arrays, f"{where}/{i}")]
        for i, (key, value) in enumerate(items)
    ]


def _pack_scalar(value, arrays, where):
    arrays[where] = np.asarray(value)
    return where


def _pack_bytes(value, arrays, where):
    arrays[where] = np.frombuffer(value, "uint8")
    return where


class _Packer(collections.namedtuple("_Packer", "name pack")):
    __slots__ = ()


_PACKERS = {
    dict: _Packer("dict", lambda v, a, w: _pack_items(v.items(), a, w)),
    collections.OrderedDict: _Packer("dict", lambda v, a, w: _pack_items(v.items(), a, w)),
    collections.defaultdict: _Packer("dict", lambda v, a, w: _pack_items(v.items(), a, w)),
    collections.Counter: _Packer("counter", lambda v, a, w: _pack_items(v.items(), a, w)),
    tuple: _Packer("tuple", lambda v, a, w: pack(list(v), a, w)),
    set: _Packer("set", lambda v, a, w: pack(sorted(v, key=repr), a, w)),
    frozenset: _Packer("frozenset", lambda v, a, w: pack(sorted(v, key=repr), a, w)),
    collections.deque: _Packer("deque", lambda v, a, w: [v.maxlen, pack(list(v), a, w)]),
    bytes: _Packer("bytes", _pack_bytes),
    complex: _Packer("complex", lambda v, a, w: [v.real.hex(), v.imag.hex()]),
    random.Random: _Packer("random", _pack_python),
    np.random.Generator: _Packer("generator", lambda v, a, w: pack(v.bit_generator.state, a, w)),
    np.random.RandomState: _Packer("legacy", lambda v, a, w: pack(v.get_state(), a, w)),
    np.generic: _Packer("scalar", _pack_scalar),
    np.ndarray: _Packer("array", _pack_array),
}
_WITH_SUBCLASSES = (np.generic, np.ndarray)

_UNPACKERS = {
    "int": lambda c, a, o: int(c),
    "float": lambda c, a, o: float.fromhex(c),
    "complex": lambda c, a, o: complex(*map(float.fromhex, c)),
    "dict": _unpack_dict,
    "counter": lambda c, a, o: collections.Counter(_unpack_dict(c, a, None)),
    "tuple": lambda c, a, o: tuple(unpack(c, a)),
    "set": _unpack_set,
    "frozenset": lambda c, a, o: frozenset(unpack(c, a)),
    "deque": _unpack_deque,
    "bytes": lambda c, a, o: a[c].tobytes(),
    "random": _unpack_python,
    "generator": _unpack_generator,
    "legacy": _unpack_legacy,
    "scalar": lambda c, a, o: a[c][()],
    "array": _unpack_array,
    "tensor": _unpack_tensor,
}
