"""Keeps a copy of every finished segment of the journal, whatever retention removes.

A copy, not a second name: where room runs short, ingest empties a file that it removes.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from ingest.segments import packed_path, segment_path, segments

DRAFT: Final = ".draft"


class Witness:
    """Copies finished segments into a folder of its own.

    Parameters
    ----------
    journal
        The ward's journal.
    folder
        Where the copies are kept, and nothing else.
    """

    def __init__(self, journal: Path, folder: Path) -> None:
        self._journal, self._folder = journal, folder
        folder.mkdir(parents=True, exist_ok=True)

    def look(self) -> None:
        """Copy what is new; to be called more often than segments are removed."""
        if not self._journal.is_dir():
            return
        for first in segments(self._journal)[:-1]:
            packed, raw = packed_path(self._journal, first), segment_path(self._journal, first)
            if packed.exists():
                self._copy(packed)
            elif not _has_log(raw):
                self._copy(raw)

    def _copy(self, file: Path) -> None:
        copy = self._folder / file.name
        if copy.exists():
            return
        draft = copy.with_name(f"{copy.name}{DRAFT}")
        try:
            size = file.stat().st_size
            shutil.copyfile(file, draft)
        except FileNotFoundError:  # removed, or packed, a moment ago: it was copied before that, or will be
            return
        if size and draft.stat().st_size == size:  # else it was emptied meanwhile
            draft.rename(copy)

    def whole(self, folder: Path) -> tuple[Path, int]:
        """Make a journal of what is there and what was; return it, and how many segments retention had removed.

        The ward must have stopped.
        """
        shutil.copytree(self._journal, folder)
        there = set(segments(folder))
        removed = 0
        for copy in sorted(self._folder.iterdir()):
            first = int(copy.name[:20])
            if first not in there and not copy.name.endswith(DRAFT):
                os.link(copy, folder / copy.name)
                removed += 1
        return folder, removed


def _has_log(raw: Path) -> bool:
    """Whether a part of a segment still lies in its write-ahead log: its writer was killed; ingest merges it."""
    try:
        return raw.with_name(f"{raw.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False
