"""Which objects have a text in common."""

from __future__ import annotations

from collections import defaultdict
from typing import Generic, TypeVar

from .facts import Key

T = TypeVar("T")


class Index(Generic[T]):
    """Keys of objects by something that they share."""

    def __init__(self) -> None:
        self._keys: defaultdict[T, set[Key]] = defaultdict(set)

    def __getitem__(self, shared: T) -> frozenset[Key] | set[Key]:
        return self._keys.get(shared, frozenset())

    def values(self) -> list[T]:
        """All that anything has."""
        return list(self._keys)

    def add(self, shared: T, key: Key) -> None:
        """Put a key there; what is empty is shared by nobody."""
        if shared:
            self._keys[shared].add(key)

    def remove(self, shared: T, key: Key) -> None:
        """Take it away."""
        keys = self._keys.get(shared)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._keys[shared]
