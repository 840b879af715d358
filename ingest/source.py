"""The journal as a Bytewax source: one partition per journal, its position the next offset."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from ingest.journal import JournalError, JournalPrunedError, JournalReader, Record

IDLE: Final = timedelta(milliseconds=25)


class JournalSource(FixedPartitionedSource[tuple[str, Record], int]):
    """Source of (partition, record) over the journals of some partitions.

    Resumes at the offset after the last one that the recovery store has seen; when the flow dies nothing happens to the
    journal, and when ingest dies the source waits for it.

    Parameters
    ----------
    journals
        Folder of the journal of each partition.
    batch_size
        Records handed on at once, at most.
    stop_at_end
        End at the end of each journal as it is when the partition is built (replay); such a journal must exist.
    stopping
        Once it answers True, each partition reads to the end of its journal as of that moment and ends (drain).
    """

    def __init__(
        self,
        journals: Mapping[str, Path | str],
        *,
        batch_size: int = 512,
        stop_at_end: bool = False,
        stopping: Callable[[], bool] | None = None,
    ) -> None:
        if not journals:
            raise ValueError("a journal source needs at least one journal, got none: name the folder of each partition")
        if batch_size < 1:
            raise ValueError(f"need {batch_size=} of at least 1")
        self.journals = {name: Path(path) for name, path in journals.items()}
        self.batch_size = batch_size
        self.stop_at_end = stop_at_end
        self.stopping = stopping

    def list_parts(self) -> list[str]:
        """Names of the partitions."""
        return sorted(self.journals)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "JournalPartition":  # noqa: ARG002 - Bytewax's signature
        """Open a journal where the last execution left it, or at its beginning."""
        path = self.journals[for_part]
        reader = JournalReader(path)
        first, end = reader.first_offset, reader.end_offset
        if self.stop_at_end and not path.is_dir():
            raise JournalError(f"there is no journal at {path} to replay: name the folder that holds its segments")
        offset = first if resume_state is None else resume_state
        if offset < first:
            raise JournalPrunedError(path, offset, first)
        if offset > end:
            raise JournalError(
                f"journal {path} ends at offset {end}, but partition {for_part!r} is to go on at {offset}: this is not "
                "the journal of this recovery store; put the right one back, or start with an empty recovery store"
            )
        return JournalPartition(
            for_part, reader, offset, self.batch_size, end if self.stop_at_end else None, self.stopping
        )


class JournalPartition(StatefulSourcePartition[tuple[str, Record], int]):
    """One journal, read from `offset` to `end` (None: for ever, until `stopping`)."""

    def __init__(
        self,
        name: str,
        reader: JournalReader,
        offset: int,
        batch_size: int,
        end: int | None,
        stopping: Callable[[], bool] | None,
    ) -> None:
        self._name = name
        self._reader = reader
        self._offset = offset
        self._batch_size = batch_size
        self._end = end
        self._stopping = stopping
        self._idle = False

    def next_batch(self) -> list[tuple[str, Record]]:
        """Return the next records at once; empty when there are none yet."""
        if self._end is None and self._stopping is not None and self._stopping():
            self._end = self._reader.end_offset
        if self._end is not None and self._offset >= self._end:
            raise StopIteration
        limit = self._batch_size if self._end is None else min(self._batch_size, self._end - self._offset)
        records = self._reader.read(self._offset, limit)
        self._offset += len(records)
        # A short batch means that the end was reached: records come every 250 ms at least, so do not spin on it.
        self._idle = len(records) < limit
        return [(self._name, record) for record in records]

    def next_awake(self) -> datetime | None:
        """At once while there is more, else a little later."""
        return datetime.now(UTC) + IDLE if self._idle else None

    def snapshot(self) -> int:
        """Offset of the record that comes next."""
        return self._offset

    def close(self) -> None:
        """Let go of the journal."""
        self._reader.close()
