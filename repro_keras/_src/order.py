"""The order of data: (root seed, model, fit, pass) → which sample comes when.

The rule is fixed in `docs/bits.md`. Nothing here knows Keras; `_src/patches/order.py` counts fits
and passes and hands the indices on.
"""

import contextlib
import dataclasses
import hashlib
import random
from collections.abc import Iterator

import numpy as np

from repro_keras._src import bits


@dataclasses.dataclass(frozen=True)
class Fit:
    """One `fit` call.

    Attributes:
        root_seed: the root seed at its start.
        model: the name of the model, scopes included.
        number: how many `fit` calls on the model came before it.
    """

    root_seed: int
    model: str
    number: int

    def permutation(self, pass_: int, size: int, batch_size: int | None = None) -> np.ndarray:
        """The order of one pass over the data.

        All of it is computed at once, by one sort, so that starting in the middle costs the same.

        Args:
            pass_: how many passes over the data this fit has begun before.
            size: the number of samples, or of batches where these are what is ordered.
            batch_size: where given, batches stay where they are and are ordered inside
                (`shuffle="batch"`).

        Returns:
            Indices of shape `(size,)`, each of 0 … size - 1 once.
        """
        key = bits.order_key(self.root_seed, "", self.model, self.number, pass_)
        ranks = mixed(np.arange(size, dtype=np.uint64), key)
        if batch_size is None:
            return np.argsort(ranks)
        return np.lexsort((ranks, np.arange(size) // batch_size))

    def item_seed(self, pass_: int, index: int) -> int:
        """The seed, from 0 to 2**32 - 1, of what an item draws from global generators."""
        name = [self.root_seed, self.model, self.number, pass_, index]
        key = hashlib.sha256(bits.canonical_json(["repro_keras/item/1", *name])).digest()
        return int.from_bytes(key[:4], "big")


def mixed(numbers: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """64-bit numbers, mixed with a key: a bijection, so that different numbers stay different.

    Each of the two rounds is the output function of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014, with David Stafford's variant 13).
    """
    for word in key:
        numbers = numbers ^ np.uint64(word)
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        numbers = numbers ^ (numbers >> np.uint64(31))
    return numbers


def global_state() -> tuple:
    """The states of Python's and NumPy's global generators, to compare and to restore."""
    return random.getstate(), np.random.get_state(legacy=True)


def drawn_since(before: tuple) -> bool:
    """Whether anything was drawn from the global generators since `before`."""
    python, (kind, keys, *rest) = global_state()
    old_python, (old_kind, old_keys, *old_rest) = before
    if (python, kind, rest) != (old_python, old_kind, old_rest):
        return True
    return not np.array_equal(keys, old_keys)


@contextlib.contextmanager
def seeded_globally(seed: int) -> Iterator[None]:
    """Inside, Python's and NumPy's global generators start from `seed`; after it, they go on."""
    python, numpy = global_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
