"""Facts about objects, kept beside them and forgotten with them."""

import weakref
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class ByIdentity(Generic[_Value]):
    """A weak dictionary by identity: a user's layer may define `__eq__` and have no hash.

    Facts are kept here and not as attributes, so that what Keras saves, pickles and tracks of
    its objects stays as it is.
    """

    def __init__(self):
        self._values: dict[int, tuple[weakref.ref, _Value]] = {}

    def get(self, key: object) -> _Value | None:
        entry = self._values.get(id(key))
        return entry[1] if entry is not None and entry[0]() is key else None

    def set(self, key: object, value: _Value) -> None:
        place = id(key)

        def forget(gone: weakref.ref) -> None:
            entry = self._values.get(place)
            if entry is not None and entry[0] is gone:
                del self._values[place]

        self._values[place] = (weakref.ref(key, forget), value)

    def pop(self, key: object) -> _Value | None:
        value = self.get(key)
        if value is not None:
            del self._values[id(key)]
        return value

    def __bool__(self) -> bool:
        return bool(self._values)
