"""Wakes couriers when the store has something for them: one looks for all, so that many that wait cost nothing."""

import logging
import sqlite3
import threading
from collections.abc import Collection
from typing import Final

from dataflows.store import LAST, Store, StoreError

LOOK_S: Final = 0.01  # a page waits for half of it on average
POLL_S: Final = 0.05  # while the store cannot be followed
REST_S: Final = 0.5  # after the store could not be read

log = logging.getLogger(__name__)


class Tail:
    """The newest row of some kinds.

    Parameters
    ----------
    path
        The store, which need not be there yet.
    kinds
        Whose newest row is looked for; of others there may always be news.
    """

    def __init__(self, path: str, kinds: Collection[str]) -> None:
        self._path, self._kinds = path, tuple(kinds)
        self._newest: dict[str, int] = {}
        self._changed = threading.Condition()

    def has_news(self, after_id: int, kinds: Collection[str]) -> bool:
        """Whether there may be rows of `kinds` after one."""
        return any(self._newest.get(kind, LAST) > after_id for kind in kinds)

    def wait(self, after_id: int, kinds: Collection[str], timeout_s: float, stopping: threading.Event) -> bool:
        """Wait until there may be rows of `kinds` after one, until it is time or to stop; whether it is to stop."""
        if any(kind not in self._newest for kind in kinds):  # there may always be news: that is no reason to hurry
            return stopping.wait(max(0.0, min(timeout_s, POLL_S)))
        with self._changed:
            self._changed.wait_for(
                lambda: stopping.is_set() or self.has_news(after_id, kinds), max(0.0, min(timeout_s, REST_S))
            )
        return stopping.is_set()

    def run(self, stopping: threading.Event) -> None:
        """Look until told to stop."""
        while not stopping.is_set():
            try:
                with Store(self._path, readonly=True) as store:
                    self._follow(store, stopping)
            except (StoreError, sqlite3.Error, OSError) as error:
                log.debug("the store cannot be followed: %s", error)
                self._say({})  # each looks for itself, and says what is wrong
                stopping.wait(REST_S)
        self._say({})

    def _follow(self, store: Store, stopping: threading.Event) -> None:
        version = -1
        while not stopping.wait(LOOK_S):
            if (now := store.version()) != version:
                version = now
                self._say({kind: store.newest(kind) for kind in self._kinds})

    def _say(self, newest: dict[str, int]) -> None:
        if newest != self._newest or not newest:
            with self._changed:
                self._newest = newest
                self._changed.notify_all()
