"""How much room is left for a partition's folder, and what follows from it: the stated order in which things shrink.

A disk that runs short is not a surprise but a scale. Step by step the raw journal shrinks, then vitals and waves of
the store, then alarms that have ended; last of all ingest takes nothing in and acknowledges nothing, so that broker and
devices keep it. A reserve (`stop_bytes`) is left even then, for ticks, commands, alarms and the word of what happened.
"""

import contextlib
import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

EASE: Final = 8  # a stage is left for a better one only with an eighth more room than it begins with: no flutter


class Stage(IntEnum):
    """How short the room is; each stage includes what the ones before it do."""

    ROOMY = 0
    SHORT = 1  # the raw journal shrinks below its floor by age, never beyond what the flow needs
    TIGHT = 2  # vitals and waves of the store shrink too
    DIRE = 3  # ended alarms shrink, last of all
    FULL = 4  # ingest takes nothing in and acknowledges nothing


class Room:
    """Room left on the disk of a folder, or in a quota of the folder's own.

    Parameters
    ----------
    folder
        Whose files count against the quota; the disk is the one that it lies on. It may be missing yet.
    short_bytes
        With less than this left the room is `Stage.SHORT`; with less than half or a quarter, `TIGHT` or `DIRE`.
    stop_bytes
        With less than this left it is `Stage.FULL`.
    quota_bytes
        What the files under the folder may take together; 0: the disk alone counts.

    Examples
    --------
    >>> room = Room(Path("."), short_bytes=4000, stop_bytes=100)
    >>> [room.stage(left).name for left in (4000, 3999, 1999, 999, 99)]
    ['ROOMY', 'SHORT', 'TIGHT', 'DIRE', 'FULL']
    >>> room.stage(4001, Stage.SHORT).name, room.stage(4500, Stage.SHORT).name
    ('SHORT', 'ROOMY')
    """

    def __init__(self, folder: Path, *, short_bytes: int, stop_bytes: int, quota_bytes: int = 0) -> None:
        if not 0 <= stop_bytes <= short_bytes:
            raise ValueError(f"need 0 <= {stop_bytes=} <= {short_bytes=}: room runs short before intake stops")
        if quota_bytes and quota_bytes <= short_bytes:
            raise ValueError(f"need {quota_bytes=} larger than {short_bytes=}, or 0: else the room is always short")
        self.folder = Path(folder)
        self.short_bytes, self.stop_bytes, self.quota_bytes = short_bytes, stop_bytes, quota_bytes

    def left(self) -> int:
        """Bytes left; below 0 when the quota is overdrawn."""
        there = self.folder
        while not there.exists() and there != there.parent:
            there = there.parent
        disk = os.statvfs(there)
        free = disk.f_bavail * disk.f_frsize
        return min(free, self.quota_bytes - sum(_sizes(self.folder))) if self.quota_bytes else free

    def stage(self, left: int, before: Stage = Stage.ROOMY) -> Stage:
        """What `left` bytes mean; coming from a worse stage (`before`), there must be an eighth more than its bound."""
        now = self._stage(left)
        return now if now >= before else max(now, min(before, self._stage(left - left // (EASE + 1))))

    def _stage(self, left: int) -> Stage:
        bounds = (
            (Stage.FULL, self.stop_bytes),
            (Stage.DIRE, self.short_bytes // 4),
            (Stage.TIGHT, self.short_bytes // 2),
            (Stage.SHORT, self.short_bytes),
        )
        return next((stage for stage, bound in bounds if left < bound), Stage.ROOMY)


def _sizes(folder: Path | str) -> Iterator[int]:
    """Sizes of all files under a folder; files come and go meanwhile."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size
