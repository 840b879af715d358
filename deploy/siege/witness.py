"""Keeps every segment of the journal, whatever retention removes: a second name for the same file costs no room."""

import contextlib
import os
import shutil
from pathlib import Path

from ingest.segments import segments


class Witness:
    """Links finished segments into a folder of its own.

    Parameters
    ----------
    journal
        The ward's journal.
    folder
        Where the links are made; on the same file system.
    """

    def __init__(self, journal: Path, folder: Path) -> None:
        self._journal, self._folder = journal, folder
        folder.mkdir(parents=True, exist_ok=True)

    def look(self) -> None:
        """Link what is new; to be called more often than segments are removed."""
        if not self._journal.is_dir():
            return
        newest = max(segments(self._journal), default=-1)
        for file in list(self._journal.iterdir()):
            number = file.name[:20]
            if not number.isdigit() or int(number) == newest or "-" in file.name or file.name.endswith(".tmp"):
                continue
            link = self._folder / file.name
            with contextlib.suppress(FileNotFoundError):  # removed a moment ago: linked a moment earlier
                # A segment that was packed since has another content under its name.
                if not link.exists() or not link.samefile(file):
                    link.unlink(missing_ok=True)
                    os.link(file, link)

    def whole(self, folder: Path) -> tuple[Path, int]:
        """Make a journal of what is there and what was; return it, and how many segments retention had removed.

        The ward must have stopped.
        """
        shutil.copytree(self._journal, folder)
        there = set(segments(folder))
        removed = 0
        for link in sorted(self._folder.iterdir()):
            if int(link.name[:20]) not in there:
                os.link(link, folder / link.name)
                removed += 1
        return folder, removed
