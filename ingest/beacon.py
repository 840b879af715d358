"""Whether a process is alive, and whether data flows through it: told by its main loop, asked by its health port."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

STARTING = "starting"


class State(NamedTuple):
    """How a process is."""

    alive: bool  # its main loop goes round
    ready: bool  # and data flows
    detail: str  # why not; empty when both hold


class Beacon:
    """One process's word on itself; every method may be called from any thread.

    Alive means that the main loop went round lately, not that a socket is open: a loop that waits for good is dead, as
    far as a patient is concerned. Not ready ("starting") until told.

    Parameters
    ----------
    patience_s
        A loop that has not gone round for so long is taken for dead (seconds); before its first round, ten times that.
    now_s
        A clock that never goes back (seconds).

    Examples
    --------
    >>> beacon = Beacon(patience_s=10.0, now_s=lambda: 0.0)
    >>> beacon.state()
    State(alive=True, ready=False, detail='starting')
    >>> beacon.ready()
    >>> beacon.state()
    State(alive=True, ready=True, detail='')
    """

    def __init__(self, patience_s: float = 10.0, now_s: Callable[[], float] = time.monotonic) -> None:
        if not patience_s > 0:
            raise ValueError(f"need {patience_s=} above 0")
        self._patience_s, self._now_s = 10 * patience_s, now_s  # libraries and snapshots take their time to load
        self._after_s = patience_s
        self._lock = threading.Lock()
        self._beat_s = now_s()
        self._why_not = STARTING

    def beat(self) -> None:
        """Say that the main loop went round."""
        with self._lock:
            self._beat_s = self._now_s()
            self._patience_s = self._after_s

    def ready(self) -> None:
        """Say that data flows."""
        with self._lock:
            self._why_not = ""

    def not_ready(self, why: str) -> None:
        """Say that data does not flow, and why not."""
        with self._lock:
            self._why_not = why or "it gave no reason"

    def state(self) -> State:
        """How the process is now."""
        with self._lock:
            silent_s, why_not = self._now_s() - self._beat_s, self._why_not
            alive = silent_s <= self._patience_s
        if not alive:
            return State(alive=False, ready=False, detail=f"the main loop has not gone round for {silent_s:.0f} s")
        return State(alive=True, ready=not why_not, detail=why_not)
