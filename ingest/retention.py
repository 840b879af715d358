"""What a journal keeps: nothing that is still needed goes, then the young stay, then limits by age and by size."""

import logging
import sqlite3
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from ingest import removal
from ingest.segment import open_segment
from ingest.segments import JournalError, remove_segment, segment_size, segments

log = logging.getLogger(__name__)

MB: Final = 1e6


@dataclass(frozen=True)
class Limits:
    """How much of a journal is kept.

    Parameters
    ----------
    retain_bytes
        What finished segments may take together on disk (bytes).
    retain_ns
        How old the newest record of one may be (ns, against the newest of all).
    floor_ns
        A younger one stays, whatever the other limits say, while there is room (ns).
    """

    retain_bytes: int
    retain_ns: int
    floor_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse limits that keep nothing."""
        if min(self.retain_bytes, self.retain_ns) <= 0 or self.floor_ns < 0:
            raise ValueError(f"need {self.retain_bytes=}, {self.retain_ns=} above 0 and {self.floor_ns=} not below")


class Pruned(NamedTuple):
    """What was removed; nothing where `segments` is 0."""

    segments: int = 0
    first: int = 0  # offsets first .. end - 1
    end: int = 0
    size: int = 0  # bytes on disk
    why: str = ""


def prune(
    path: Path, limits: Limits, *, newest_ns: int, needed: int | None, spare: int = 0, marking: bool = False
) -> Pruned:
    """Remove finished segments, the oldest first.

    Parameters
    ----------
    path
        Folder of the journal.
    limits
        What is kept while there is room.
    newest_ns
        Arrival time of the newest record.
    needed
        Lowest offset that is still needed: nothing from there on goes. None: not known, so nothing goes at all.
    spare
        Room is short by so many bytes: they are freed whatever the limits say, as far as `needed` allows.
    marking
        Leave a mark of what goes: see `ingest.removal`.
    """
    if needed is None:
        return Pruned()
    every = _with_records(path)
    total = sum(segment_size(path, first) for first in every)
    pruned, victims = Pruned(), list[int]()
    for first, end in pairwise(every):
        if end > needed:
            break
        age_ns = _age_ns(path, first, limits, newest_ns)
        why = "no room" if pruned.size < spare else "" if age_ns < limits.floor_ns else _excess(limits, age_ns, total)
        if not why:
            break
        size = segment_size(path, first)
        victims.append(first)
        total -= size
        pruned = Pruned(pruned.segments + 1, every[0], end, pruned.size + size, pruned.why or why)
    if victims and marking:
        removal.mark(path, removal.Removal(pruned.first, pruned.end, pruned.size, pruned.why))
    for first in victims:
        remove_segment(path, first)
    if victims:
        log.info(
            "journal pruned up to offset %d: %.1f MB, %s",
            pruned.end,
            pruned.size / MB,
            pruned.why,
            extra={"event": "journal-pruned", **pruned._asdict()},
        )
    return pruned


def _with_records(path: Path) -> list[int]:
    """First offsets of all segments, but for a newest one without records: the one before it has the last time then."""
    every = segments(path)
    if every:
        newest = open_segment(path, every[-1])
        try:
            return every[:-1] if newest.end() == every[-1] else every
        finally:
            newest.close()
    return every


def _excess(limits: Limits, age_ns: int, total: int) -> str:
    if age_ns > limits.retain_ns:
        return "too old"
    return "too much" if total > limits.retain_bytes else ""


def _age_ns(path: Path, first: int, limits: Limits, newest_ns: int) -> int:
    try:
        segment = open_segment(path, first)
        try:
            return newest_ns - segment.last_ns()
        finally:
            segment.close()
    except (JournalError, sqlite3.Error) as error:
        # Somebody may mend it: neither young nor old, it stays until its room is needed.
        log.warning("retention: %s", error, extra={"event": "segment-damaged", "segment": first})
        return limits.floor_ns
