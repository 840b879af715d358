"""What processes cost, as Linux counts it, and how large the flow's snapshots are."""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

_NEWEST = """
SELECT coalesce(sum(length(ser_change)), 0) FROM snaps
JOIN (SELECT step_id, state_key, max(snap_epoch) AS snap_epoch FROM snaps GROUP BY step_id, state_key)
USING (step_id, state_key, snap_epoch)
"""


def cpu_s(pids: Iterable[int]) -> float:
    """CPU time that processes have used so far, user and system."""
    ticks = 0
    for pid in pids:
        # The name in brackets may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def snapshot_bytes(recovery: Path) -> int:
    """Size of the newest snapshot of every key in a recovery store, together."""
    total = 0
    for path in sorted(recovery.rglob("part-*.sqlite3")):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            total += int(db.execute(_NEWEST).fetchone()[0])
    return total


def load() -> float:
    """How many processes have wanted to run in the last minute; more than there are cores, and times say little."""
    return round(os.getloadavg()[0], 2)


def mb(size: float) -> float:
    """Bytes as megabytes, to the kilobyte."""
    return round(size / 1e6, 3)
