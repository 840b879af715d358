"""Holding the flow while its next snapshot finds no room: Bytewax cannot go on from one that fails, and aborts."""

import errno
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from dataflows.keep import Keep
from dataflows.keeper import Keeper
from dataflows.store import Store, StoreError
from ingest.beacon import Beacon
from ingest.room import Room

LOOK_S: Final = 0.5
LEAST_BYTES: Final = 256 << 10  # for a snapshot of next to nobody
SHARE: Final = 8  # of what is left when ingest stops: what comes in until then must still be worked through

log = logging.getLogger(__name__)


class Holding:
    """Waits for room on the disk of a recovery store.

    Parameters
    ----------
    folder
        Of the recovery store; it may be missing yet.
    keep
        When a disk is full, as ingest has it.
    beacon
        Is told that the flow lives, and that it waits.
    stopping
        Once it answers true, nothing is waited for.
    """

    def __init__(self, folder: Path, keep: Keep, beacon: Beacon, stopping: Callable[[], bool]) -> None:
        self._folder, self._beacon, self._stopping = folder, beacon, stopping
        self._room = Room(folder, short_bytes=keep.short_bytes, stop_bytes=keep.stop_bytes)
        self._least = max(LEAST_BYTES, keep.stop_bytes // SHARE)

    def reserve(self) -> int:
        """Bytes that must be left: as many as all snapshots take together, of which the store has two or three."""
        return max(self._least, sum(part.stat().st_size for part in self._folder.glob("part-*.sqlite3")))

    def short(self) -> bool:
        """Whether less than that is left."""
        return self._room.left() < self.reserve()

    def wait(self) -> None:
        """Return as soon as there is room.

        Raises
        ------
        OSError
            There is none, and the flow is to stop: it must end as it is, without a snapshot.
        """
        told = False
        while (left := self._room.left()) < (needed := self.reserve()):
            said = (
                f"no room for a snapshot: {left / 1e6:.1f} MB left for {self._folder}, {needed / 1e6:.1f} MB needed: "
                "nothing is worked through until there is room; make some on the disk"
            )
            if self._stopping():
                raise OSError(errno.ENOSPC, said)
            if not told:
                log.error(said)
                told = True
            self._beacon.not_ready(said)
            self._beacon.beat()
            time.sleep(LOOK_S)
        if told:
            log.info("there is room for snapshots again: the flow goes on")


@contextmanager
def kept(stores: Iterable[Path], keep: Keep) -> Iterator[None]:
    """Prune stores while the block runs, as far as they are there and can be opened: the sink does not do so yet."""
    with ExitStack() as held:
        for path in stores:
            if not path.exists():
                continue
            try:
                store = held.enter_context(Store(path))
            except (StoreError, sqlite3.Error, OSError) as error:
                log.warning("the store %s cannot be pruned before there is room: %s", path, error)
                continue
            keeper = Keeper(store, keep, time.time_ns)
            keeper.start()
            held.callback(keeper.stop)
        yield
