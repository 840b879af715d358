"""What of a journal had to go for want of room, told exactly once: a mark stands in its folder until that is on record.

The mark is an empty file whose name says what goes, made before anything is removed. Where there is no room even for
that, the file of the oldest segment that goes takes that name, and is emptied: renaming needs none. Whoever finds a
mark after a crash carries the removal out to its end and tells of it, under an id by which a second telling is known.
"""

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from ingest.durable import sync_folder
from ingest.segments import packed_path, remove_segment, segment_path, segments

SUFFIX: Final = ".gone"
_NAME: Final = re.compile(rf"(\d{{20}})-(\d{{20}})-(\d+)-([a-z-]+){re.escape(SUFFIX)}")


class Removal(NamedTuple):
    """Segments that went together."""

    first: int  # offsets first .. end - 1
    end: int
    size: int  # bytes on disk
    why: str  # small letters and spaces

    @property
    def id(self) -> str:
        """The same whenever it is told."""
        return f"journal/{self.first}-{self.end}"


def mark(path: Path, removal: Removal) -> None:
    """Write down what is about to be removed from a journal, though there may be no room."""
    try:
        mark_path(path, removal).touch()
    except OSError:
        files = [packed_path(path, removal.first), segment_path(path, removal.first)]
        oldest = next(file for file in files if file.exists())
        oldest.rename(mark_path(path, removal))
    sync_folder(path)


def mark_path(path: Path, removal: Removal) -> Path:
    """Where the mark of a removal stands."""
    why = removal.why.replace(" ", "-")
    return path / f"{removal.first:020d}-{removal.end:020d}-{removal.size}-{why}{SUFFIX}"


def carried_out(path: Path) -> list[Removal]:
    """Carry out what is marked, as far as it was not, and return it in order."""
    found = [match for file in sorted(path.glob(f"*{SUFFIX}")) if (match := _NAME.fullmatch(file.name))]
    removals = [Removal(int(one[1]), int(one[2]), int(one[3]), one[4].replace("-", " ")) for one in found]
    for removal in removals:
        for first in {removal.first, *segments(path)}:
            if first < removal.end:
                remove_segment(path, first)
        if mark_path(path, removal).stat().st_size:  # else it is not touched: it may have another name as well
            os.truncate(mark_path(path, removal), 0)
    return removals
