"""What decides bits: names, seeds, order keys and canonical JSON.

Everything here is a pure function of its arguments, written down in `docs/bits.md` with test
vectors in `docs/bits_vectors.json`. It can never change: recorded digests stand on it.
"""

import hashlib
import json
import re
from typing import NamedTuple

from repro_keras._src.errors import CanonicalError, SeedNameError

SEED_MAX = 2**31 - 1
"""Derived seeds run from 1 to this number, which every backend takes as a seed."""

ROOT_SEED_MAX = 2**32 - 1
"""Root seeds run from 0 to this number, which is the range of `numpy.random.seed`."""

_RESERVED = "%#@:[]/"
_LABEL = rf"(?:[^{re.escape(_RESERVED)}]|%[0-9A-F]{{2}})+"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_COUNT = r"[1-9][0-9]*"
_SEGMENT = rf"(?:{_LABEL}(?:\#{_NUMBER})?|\#{_LABEL})"
_NAME = re.compile(
    rf"(?:{_LABEL}(?:\[{_COUNT}\])?:)*{_SEGMENT}(?:/{_SEGMENT})*(?:@{_COUNT})?", re.DOTALL
)


def label(text: str) -> str:
    """Writes any text as a label of a name: reserved characters become `%XX`.

    >>> label("conv1"), label("a/b#2")
    ('conv1', 'a%2Fb%232')
    """
    if not text:
        raise SeedNameError("A part of a name must not be empty.")
    return "".join(f"%{ord(c):02X}" if c in _RESERVED else c for c in text)


def scope_prefix(name: str, index: int) -> str:
    """Writes one scope as the beginning of a name: `name:`, or `name[index]:` above zero.

    >>> scope_prefix("fold", 0), scope_prefix("fold", 2)
    ('fold:', 'fold[2]:')
    """
    return f"{label(name)}[{index}]:" if index else f"{label(name)}:"


class Name(NamedTuple):
    """The name of a random thing: where it is, and how many of that name came before it.

    Attributes:
        prefix: the scopes around it, as `scope_prefix` writes them; `""` outside any.
        path: its path below the innermost scope, segments joined by `/`.
        occurrence: 0 for the first thing with that path in its scope.
    """

    prefix: str
    path: str
    occurrence: int = 0

    def __str__(self) -> str:
        suffix = f"@{self.occurrence}" if self.occurrence else ""
        return f"{self.prefix}{self.path}{suffix}"


def check_name(name: str) -> None:
    """Raises `SeedNameError` where a text is not a name by the grammar.

    >>> check_name("fold[2]:net/dense#0/kernel@1")
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SeedNameError(
            "A name must look like 'net/dense#0/kernel', 'fold[2]:dense#1/kernel' or "
            f"'conv1/kernel@1', with the characters {' '.join(_RESERVED)} escaped as %XX where "
            f"they are part of a label (grammar: docs/bits.md). Received: {name!r} "
            f"(of type {type(name).__name__})"
        )


def derive_seed(root_seed: int, name: str) -> int:
    """The seed of a named thing.

    Args:
        root_seed: the root seed, from 0 to 2**32 - 1.
        name: a name by the grammar, as `str(Name)` gives it.

    Returns:
        An integer from 1 to 2**31 - 1: the first eight bytes, big-endian, of the SHA-256 of the
        canonical JSON `["repro_keras/seed/1",root_seed,name]`, modulo 2**31 - 1, plus 1.

    >>> derive_seed(0, "net/dense#0/kernel")
    1727267268
    """
    key = hashlib.sha256(canonical_json(["repro_keras/seed/1", root_seed, name])).digest()
    return int.from_bytes(key[:8], "big") % SEED_MAX + 1


def order_key(root_seed: int, prefix: str, model: str, fit: int, pass_: int) -> tuple[int, int]:
    """The key of the order in which one pass over the data visits its samples.

    Args:
        root_seed: the root seed.
        prefix: the scopes around the model, as in `Name.prefix`.
        model: the model's own path below them.
        fit: how many `fit` calls the model has seen before this one.
        pass_: how many passes over the data this `fit` call has made before this one.

    Returns:
        Two integers from 0 to 2**64 - 1: the first sixteen bytes, big-endian, of the SHA-256 of
        the canonical JSON `["repro_keras/order/1",root_seed,prefix + model,fit,pass]`.
    """
    key = hashlib.sha256(
        canonical_json(["repro_keras/order/1", root_seed, prefix + model, fit, pass_])
    ).digest()
    return int.from_bytes(key[:8], "big"), int.from_bytes(key[8:16], "big")


def canonical_json(value) -> bytes:
    """A value as canonical JSON, so that equal values are equal bytes.

    This is RFC 8785 (JSON Canonicalization Scheme) without its floating-point numbers: those are
    written as C99 hexadecimal strings (`float.hex`) by whoever needs them.

    Args:
        value: `None`, booleans, integers of at most 53 bits, strings, lists and tuples of these,
            and dicts of these with string keys.

    Returns:
        The UTF-8 bytes, without white space.

    Raises:
        CanonicalError: for anything else, with the place in the value.

    >>> canonical_json({"b": [1, None], "a": "é"}).decode()
    '{"a":"é","b":[1,null]}'
    """
    text = json.dumps(_plain(value, "$"), ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CanonicalError(f"A string with a lone surrogate has no canonical form: {error}")


def _plain(value, where):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if abs(value) >= 2**53:
            raise CanonicalError(
                f"{where}: canonical JSON takes integers below 2**53; write larger ones as "
                f"strings. Received: {value}"
            )
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise CanonicalError(
                    f"{where}: canonical JSON takes string keys. Received: {key!r} "
                    f"(of type {type(key).__name__})"
                )
        ordered = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return {key: _plain(value[key], f"{where}.{key}") for key in ordered}
    raise CanonicalError(
        f"{where}: canonical JSON takes null, booleans, integers, strings, lists and dicts; write "
        f"floats as float.hex() strings. Received: {value!r} (of type {type(value).__name__})"
    )
