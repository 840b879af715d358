"""A bank seats devices in rows, so that one call serves all that spoke."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec
import numpy as np

from dataflows import tree

S = TypeVar("S")
T = TypeVar("T")


class BankImage(msgspec.Struct, frozen=True, array_like=True):
    """A bank as it goes into a snapshot."""

    keys: tuple[str, ...]  # in the order of the rows of `data`
    data: bytes


class Bank(Generic[S]):
    """Rows of state by key; free rows are used again, and given back when most are free.

    Parameters
    ----------
    template : tree
        State of any number of rows: it gives structure, shapes and types.
    """

    def __init__(self, template: S) -> None:
        self._state = tree.take(template, np.zeros(0, np.int64))
        self._rows: dict[str, int] = {}
        self._free: list[int] = []

    def __contains__(self, key: str) -> bool:
        """Tell whether a key has a row."""
        return key in self._rows

    def __len__(self) -> int:
        """Count the rows in use."""
        return len(self._rows)

    @property
    def capacity(self) -> int:
        """Count the rows that there is room for."""
        return len(self._rows) + len(self._free)

    @property
    def keys(self) -> list[str]:
        """Keys in the order in which they were seated."""
        return list(self._rows)

    def rows(self, keys: Sequence[str]) -> tree.Rows:
        """Row numbers of seated keys."""
        return np.array([self._rows[key] for key in keys], np.int64)

    def seat(self, keys: Sequence[str], states: S) -> None:
        """Give each key a row (its old one if it has one) and set it to its row of `states`."""
        for key in keys:
            if key not in self._rows:
                if not self._free:
                    self._grow()
                self._rows[key] = self._free.pop()
        tree.put(self._state, self.rows(keys), states)

    def unseat(self, key: str) -> None:
        """Free the row of a key, if it has one."""
        row = self._rows.pop(key, None)
        if row is not None:
            self._free.append(row)
            if len(self._rows) < self.capacity // 4:
                self._shrink()

    def take(self, keys: Sequence[str]) -> S:
        """Gather the rows of keys."""
        return tree.take(self._state, self.rows(keys))

    def look(self, keys: Sequence[str], part: Callable[[S], T]) -> T:
        """Gather a part of the rows of keys."""
        return tree.take(part(self._state), self.rows(keys))

    def put(self, keys: Sequence[str], states: S) -> None:
        """Scatter the rows of keys back, in place."""
        tree.put(self._state, self.rows(keys), states)

    def image(self) -> BankImage:
        """Copy the rows in use for a snapshot."""
        keys = tuple(self._rows)
        return BankImage(keys, tree.encode(self.take(keys)))

    def restore(self, image: BankImage) -> tree.Mismatch | None:
        """Seat the rows of a snapshot, or say why they do not fit; nothing is seated then."""
        states = tree.decode(tree.take(self._state, np.zeros(0, np.int64)), image.data)
        if isinstance(states, tree.Mismatch):
            return states
        self.seat(image.keys, states)
        return None

    def _grow(self) -> None:
        n, more = self.capacity, max(2 * self.capacity, 1)
        self._state = tree.grown(self._state, more)
        self._free.extend(range(more - 1, n - 1, -1))

    def _shrink(self) -> None:
        used = list(self._rows)
        self._state = tree.grown(self.take(used), self.capacity // 2)
        self._free = list(range(self.capacity // 2 - 1, len(used) - 1, -1))
        self._rows = {key: row for row, key in enumerate(used)}
