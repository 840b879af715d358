"""The journal as a Bytewax source: one partition per journal, its position the next offset."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from ingest.journal import JournalError, JournalPrunedError, JournalReader, Record, RecordKind

IDLE: Final = timedelta(milliseconds=25)
DOZE: Final = timedelta(milliseconds=100)  # between two looks where nobody sends
DOZE_AFTER: Final = 100  # looks in a row that gave ticks at most: a few seconds
BATCH: Final = 1024  # records at once, at most; more of them gains nothing, and a drain ends between two batches
FIRST_BATCH: Final = 64
LAST_BATCH: Final = 64  # of a drain: the last one may begin at the end of its time
BATCH_BYTES: Final = 4 << 20  # and about so many bytes of them
BATCH_S: Final = 1.0  # and as many as are worked through in so long, where that can be seen ...
LEAST_BATCH: Final = 16  # ... but not fewer: on a machine that is overrun a drain must end in time, too
DRAIN_S: Final = 3.0  # from `stopping` to the last batch, however much is left

log = logging.getLogger(__name__)


class Reading(NamedTuple):
    """What one look into the journal gave."""

    records: int  # all before them have been handed on, and mostly worked through
    offset: int  # of the record that comes next
    oldest_ns: int  # arrival times of the first and the last one read; 0: there was none
    newest_ns: int
    at_end: bool  # nothing more was there


class Observer(Protocol):
    """Whoever wants to know how far the reading is; called by the thread that reads."""

    def on_read(self, partition: str, reading: Reading) -> None:
        """The source has looked into a journal, and goes round."""

    def on_lost(self, partition: str, first: int, end: int) -> None:
        """Records from `first` up to `end` are no longer there to be read."""


class Ahead(Protocol):
    """Whoever knows how much of what was read is still under way."""

    def took(self, partition: str, ticks_ns: Sequence[int]) -> None:
        """Ticks were read that arrived at these times."""

    def far(self, partition: str) -> bool:
        """Whether reading has to wait."""


class JournalSource(FixedPartitionedSource[tuple[str, Record], int]):
    """Source of (partition, record) over the journals of some partitions.

    Resumes at the offset after the last one that the recovery store has seen; when the flow dies nothing happens to the
    journal, and when ingest dies the source waits for it. Without a position it begins at the oldest record left. A
    position whose record was removed (by hand: ingest keeps all from the committed position on) has nobody wait for
    it, as a ward that is not watched is worse than a gap in its record: the source goes on at the oldest record left,
    and says what is missing. A position after the end is refused: it belongs to another journal.

    Parameters
    ----------
    journals
        Folder of the journal of each partition that this process reads; none is fine where others read.
    batch_size
        Records handed on at once, at most; fewer where they are large (`BATCH_BYTES`).
    stop_at_end
        End at the end of each journal as it is when the partition is built (replay); such a journal must exist.
    stopping
        Once it answers True, each partition reads to the end of its journal as of that moment and ends (drain); after
        `DRAIN_S` it ends wherever it is, and the next start does the rest. A replay ends at once.
    observer
        Is told how far the reading is.
    hold
        Called before each look; the thread waits in it for as long as nothing may go on. Until it returns no epoch
        ends, so that no snapshot is written: an epoch ends by time, whether the looks gave anything or not.
    ahead
        Says when nothing more is to be read, though epochs go on.
    rests
        Whether a look may wait where nobody sends. Bytewax goes round a thousand times a second while it waits for the
        next look, which costs 8 % of a core; in a look it stands still, and so does whatever else its thread has to
        do: only for a journal that is alone in a flow of one worker.
    """

    def __init__(  # noqa: PLR0913 - what it is told of its surroundings, each with its default
        self,
        journals: Mapping[str, Path | str],
        *,
        batch_size: int = BATCH,
        stop_at_end: bool = False,
        stopping: Callable[[], bool] = lambda: False,
        observer: Observer | None = None,
        hold: Callable[[], None] = lambda: None,
        ahead: Ahead | None = None,
        rests: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"need {batch_size=} of at least 1")
        self.journals = {name: Path(path) for name, path in journals.items()}
        self.batch_size = batch_size
        self.stop_at_end = stop_at_end
        self.stopping = stopping
        self.observer = observer
        self.hold = hold
        self.ahead = ahead
        self.rests = rests

    def list_parts(self) -> list[str]:
        """Names of the partitions that this process can read."""
        return sorted(self.journals)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "JournalPartition":  # noqa: ARG002 - Bytewax's signature
        """Open a journal where the last execution left it, or at its beginning."""
        path = self.journals[for_part]
        reader = JournalReader(path)
        if self.stop_at_end and not path.is_dir():
            raise JournalError(f"there is no journal at {path} to replay: name the folder that holds its segments")
        if resume_state is not None:
            check_position(for_part, reader, resume_state)
        offset = reader.first_offset if resume_state is None else resume_state
        end = reader.end_offset if self.stop_at_end else None
        return JournalPartition(for_part, reader, offset, end, self)


def check_position(partition: str, reader: JournalReader, offset: int) -> None:
    """Refuse to go on at a position that the journal has not reached.

    Raises
    ------
    JournalError
        This is another journal.
    """
    end = reader.end_offset
    if offset > end:
        raise JournalError(
            f"journal {reader.path} ends at offset {end}, but partition {partition!r} is to go on at {offset}: this is "
            "not the journal of this recovery store; put the right one back, or start with an empty recovery store"
        )


class JournalPartition(StatefulSourcePartition[tuple[str, Record], int]):
    """One journal, read from `offset` to `end` (None: for ever, until `source.stopping`)."""

    def __init__(self, name: str, reader: JournalReader, offset: int, end: int | None, source: JournalSource) -> None:
        self._name = name
        self._reader = reader
        self._offset = offset
        self._end = end
        self._stopping = source.stopping
        self._observer = source.observer
        self._hold, self._ahead = source.hold, source.ahead
        self._rests = source.rests
        self._waker = threading.Event()  # which nobody sets
        self._most = source.batch_size
        self._limit = min(FIRST_BATCH, self._most)  # until it is known how large the records are
        self._replay = source.stop_at_end
        self._stop_by_s = float("inf")
        self._handed_s = 0.0  # when the newest batch was handed on, and how many records it had
        self._handed = 0
        self._idle = False
        self._quiet = 0  # looks since somebody sent
        self._newest_ns = 0

    def next_batch(self) -> list[tuple[str, Record]]:
        """Return the next records at once; empty when there are none yet."""
        if self._rests and self._dozes:
            self._waker.wait(DOZE.total_seconds())
        self._hold()
        if self._over():
            raise StopIteration
        if self._ahead is not None and self._ahead.far(self._name):
            self._idle, self._handed = True, 0
            if self._observer is not None:
                self._observer.on_read(self._name, Reading(0, self._offset, self._newest_ns, self._newest_ns, False))
            return []
        limit = min(self._limit, self._in_time())
        limit = limit if self._end is None else min(limit, self._end - self._offset)
        records = self._read(limit)
        self._offset += len(records)
        self._newest_ns = records[-1].arrival_ns if records else self._newest_ns
        if self._ahead is not None:
            self._ahead.took(self._name, [one.arrival_ns for one in records if one.kind == RecordKind.TICK])
        self._handed, self._handed_s = len(records), time.monotonic()
        self._quiet = self._quiet + 1 if all(one.kind == RecordKind.TICK for one in records) else 0
        # A short batch means that the end was reached: records come every 250 ms at least, so do not spin on it.
        self._idle = len(records) < limit
        if not self._idle:
            mean_bytes = sum(len(record.payload) for record in records) // len(records) + 1
            self._limit = max(1, min(self._most, BATCH_BYTES // mean_bytes))
        if self._observer is not None:
            times = (records[0].arrival_ns, records[-1].arrival_ns) if records else (0, 0)
            self._observer.on_read(self._name, Reading(len(records), self._offset, *times, self._idle))
        return [(self._name, record) for record in records]

    def next_awake(self) -> datetime | None:
        """At once while there is more, else a little later."""
        if not self._idle or (self._rests and self._dozes):
            return None
        return datetime.now(UTC) + (DOZE if self._dozes else IDLE)

    @property
    def _dozes(self) -> bool:
        """Whether nobody has sent for a while."""
        return self._idle and self._quiet > DOZE_AFTER

    def snapshot(self) -> int:
        """Offset of the record that comes next."""
        return self._offset

    def close(self) -> None:
        """Let go of the journal."""
        self._reader.close()

    def _in_time(self) -> int:
        """How many records are worked through in `BATCH_S`, by what the newest batch took."""
        if self._idle or not self._handed:
            return self._most
        took_s = max(time.monotonic() - self._handed_s, 1e-6)
        return max(LEAST_BATCH, int(self._handed * BATCH_S / took_s))

    def _over(self) -> bool:
        """Tell whether to end here."""
        if self._stop_by_s == float("inf") and self._stopping():
            self._stop_by_s = time.monotonic() if self._replay else time.monotonic() + DRAIN_S
            self._end = self._reader.end_offset if self._end is None else self._end
            self._most = min(self._most, LAST_BATCH)
            self._limit = min(self._limit, self._most)
        if self._end is not None and self._offset >= self._end:
            return True
        if time.monotonic() < self._stop_by_s:
            return False
        left = (self._end or 0) - self._offset
        log.warning("partition %s stops with %d records unread: the next start goes on there", self._name, left)
        return True

    def _read(self, limit: int) -> list[Record]:
        try:
            return self._reader.read(self._offset, limit)
        except JournalPrunedError as error:
            log.error(  # noqa: TRY400 - no bug, so no traceback
                "journal %s no longer holds records %d to %d, which were not worked through: they are lost to the "
                "ward, which goes on after them; ingest removes none that is still needed, so somebody else did",
                self._reader.path,
                self._offset,
                error.first_offset - 1,
            )
            if self._observer is not None:
                self._observer.on_lost(self._name, self._offset, error.first_offset)
            self._offset = error.first_offset
            return self._reader.read(self._offset, limit)
