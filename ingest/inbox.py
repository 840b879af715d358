"""What has arrived and is not yet committed: a bounded queue between the network thread and the committing one."""

import threading
import time
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple

from ingest.segments import RecordKind

QUIET_S: Final = 0.005
BATCH_BYTES: Final = 8 << 20
MAX_NEWS: Final = 1000  # of the link and of upkeep; of more, the oldest go: the newest say how things stand


class Arrival(NamedTuple):
    """Something for the journal, and what to acknowledge once it is there."""

    kind: RecordKind
    topic: str
    payload: bytes
    connection: int = 0  # number of the connection it came by: message ids are used again on the next one
    mid: int = 0  # message id to acknowledge; 0: none (QoS 0, or not a message)
    mark: Path | None = None  # of a removal of which this tells: it goes once that is on record


class Inbox:
    """Bounded queue of arrivals, drained in groups.

    Parameters
    ----------
    messages, size
        Beyond so many arrivals, or bytes of payload, `put` waits: the network is read no further, so that the
        broker, which keeps what we have not acknowledged, does the queueing.
    group
        A group of this many is handed on at once.
    gather_s
        A smaller one when its first arrival has waited so long, or when nothing has come for 5 ms (a broker that
        allows few messages in flight sends no more before it is answered).
    """

    def __init__(self, messages: int, size: int, group: int, gather_s: float) -> None:
        self._messages, self._size, self._group, self._gather_s = messages, size, group, gather_s
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0
        self._news = 0  # arrivals that were told, not put
        self._closed = False
        lock = threading.Lock()
        self._some, self._room = threading.Condition(lock), threading.Condition(lock)

    def __len__(self) -> int:
        """Count what is waiting."""
        return len(self._arrivals)

    def put(self, arrival: Arrival) -> bool:
        """Take an arrival in, waiting for room; False when the inbox is closed and did not take it."""
        with self._room:
            while not self._closed and (len(self._arrivals) >= self._messages or self._bytes >= self._size):
                self._room.wait()
            if self._closed:
                return False
            self._add(arrival)
            return True

    def tell(self, arrival: Arrival) -> None:
        """Take in news of ingest itself, its link or its disk: few, and never made to wait."""
        with self._some:
            if self._news == MAX_NEWS:
                oldest = next(one for one in self._arrivals if _is_news(one))
                self._arrivals.remove(oldest)
                self._bytes -= len(oldest.payload)
                self._news -= 1
            self._news += 1
            self._add(arrival)
            self._some.notify()

    def take_news(self, until: float) -> list[Arrival]:
        """All news, leaving the messages; empty when none comes before `until` (monotonic seconds)."""
        with self._some:
            while not self._news and (left := until - time.monotonic()) > 0:
                self._some.wait(left)
            news = [arrival for arrival in self._arrivals if _is_news(arrival)] if self._news else []
            if news:
                self._arrivals = deque(arrival for arrival in self._arrivals if not _is_news(arrival))
                self._bytes -= sum(len(arrival.payload) for arrival in news)
                self._news = 0
                self._room.notify_all()
            return news

    def take(self, until: float) -> list[Arrival]:
        """Next group in order of arrival; empty when nothing comes before `until` (monotonic seconds)."""
        with self._some:
            while not self._arrivals and (left := until - time.monotonic()) > 0:
                self._some.wait(left)
            latest = time.monotonic() + self._gather_s
            while 0 < (count := len(self._arrivals)) < self._group and time.monotonic() < latest and not self._closed:
                self._some.wait(QUIET_S)
                if len(self._arrivals) == count:
                    break
            taken: list[Arrival] = []
            size = 0
            while self._arrivals and len(taken) < self._group and size < BATCH_BYTES:
                taken.append(self._arrivals.popleft())
                size += len(taken[-1].payload)
            self._bytes -= size
            self._news -= sum(map(_is_news, taken))
            self._room.notify_all()
            return taken

    def close(self) -> None:
        """Take no more messages in; what is there can still be taken out."""
        with self._room:
            self._closed = True
            self._room.notify_all()
            self._some.notify_all()

    def _add(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        self._bytes += len(arrival.payload)
        if len(self._arrivals) in {1, self._group}:
            self._some.notify()


def _is_news(arrival: Arrival) -> bool:
    return arrival.kind is not RecordKind.MESSAGE and arrival.kind is not RecordKind.OVERSIZE
