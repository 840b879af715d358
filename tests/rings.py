"""Rings of beats at times that a test can read."""

import numpy as np
from numpy.typing import NDArray

from anomaly import intervals
from anomaly.intervals import BeatRing

SECOND = 1_000_000_000


def ring_of(*rows: list[float], n_kept: int = 256) -> BeatRing:
    """Rings with beats at the seconds named, pushed one by one."""
    ring = intervals.empty(len(rows), n_kept)
    for k in range(max(len(row) for row in rows)):
        at = np.array([[round(row[k] * SECOND) if k < len(row) else 0] for row in rows], np.int64)
        ring = intervals.push(ring, at, np.ones(at.shape))
    return ring


def as_of(*seconds: float) -> NDArray[np.int64]:
    return np.array([round(s * SECOND) for s in seconds], np.int64)


def every(rr_s: float, n: int, start_s: float = 100.0) -> list[float]:
    return [start_s + rr_s * k for k in range(n)]
