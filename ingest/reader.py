"""Reading a journal by offset, from any process, while its writer writes."""

from pathlib import Path
from typing import Self

from ingest.segment import Segment, SegmentGoneError, open_segment
from ingest.segments import (
    JournalError,
    JournalPrunedError,
    Record,
    check_folder,
    exists,
    segments,
)


class JournalReader:
    """Reader of one journal; a journal that its writer has not made yet is an empty one.

    When the reader dies, nothing happens to the journal; when the writer dies, the reader sees no new records until
    the writer is back, and never one that was not committed. That a segment is packed meanwhile it does not notice.

    Parameters
    ----------
    path
        Folder of the journal.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        check_folder(self.path)
        self._segment: Segment | None = None
        self._next = -1  # where the last read ended

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the segment that is open; the next read opens it again."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    @property
    def first_offset(self) -> int:
        """Offset of the oldest record that is left; equal to `end_offset` where there is none."""
        return next(iter(segments(self.path)), 0)

    @property
    def end_offset(self) -> int:
        """Offset that the next record will get."""
        while every := segments(self.path):
            try:
                segment = open_segment(self.path, every[-1])
            except SegmentGoneError:
                continue
            try:
                return segment.end()
            finally:
                segment.close()
        return 0

    def read(self, offset: int, limit: int) -> list[Record]:
        """Records from `offset` on, at most `limit`; empty when there are none yet.

        Raises
        ------
        JournalPrunedError
            Retention has removed `offset`; says what is the first offset left.
        """
        if offset != self._next:
            self.close()
            self._next = offset
        found: list[Record] = []
        while len(found) < limit:
            segment = self._segment or self._seek()
            if segment is None:
                break
            records = segment.read(self._next, limit - len(found))
            found += records
            self._next += len(records)
            if len(found) < limit and not self._step_on(segment.first):
                break
        return found

    def _seek(self) -> Segment | None:
        """Open the segment that holds the next offset, or that ends just before it."""
        every = segments(self.path)
        if not every:
            return None
        if self._next < every[0]:
            raise JournalPrunedError(self.path, self._next, every[0])
        first = max(first for first in every if first <= self._next)
        try:
            segment = open_segment(self.path, first)
        except SegmentGoneError:
            return self._seek()  # the list is shorter now
        end = segment.end()
        following = min((later for later in every if later > first), default=end)
        if end != following:
            segment.close()
            if not exists(self.path, first):
                return self._seek()
            raise JournalError(
                f"journal {self.path} has a hole: after offset {end - 1} comes {following}; "
                "a segment was removed or damaged by hand: put it back from a copy"
            )
        if self._next > end:
            segment.close()  # which segment an offset ahead of the end will be in is not decided yet
            return None
        self._segment = segment
        return segment

    def _step_on(self, first: int) -> bool:
        """Leave a segment that was read to its end, if it is finished; a finished one has a successor or is gone."""
        finished = self._next != first and exists(self.path, self._next)
        if finished or not exists(self.path, first):
            self.close()
            return True
        return False
