"""Whether a process is alive, and whether data flows through it: told by its main loop, asked by its health port."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    far as a patient is concerned. So is a step of one thread that does not end while others go round. Not ready
    ("starting") until told.

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
        self._steps: dict[int, float] = {}  # of threads that are in a step: since when nothing was heard of it
        self._why_not = STARTING

    def beat(self) -> None:
        """Say that the main loop went round, or that this thread's step goes on."""
        with self._lock:
            self._beat_s = self._now_s()
            self._patience_s = self._after_s
            if threading.get_ident() in self._steps:
                self._steps[threading.get_ident()] = self._beat_s

    @contextmanager
    def step(self) -> Iterator[None]:
        """Do a step in this thread, which must end or beat in time: that other threads go round is no excuse."""
        thread = threading.get_ident()
        with self._lock:
            self._steps[thread] = self._beat_s = self._now_s()
            self._patience_s = self._after_s
        try:
            yield
        finally:
            with self._lock:
                del self._steps[thread]

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
            now_s, why_not, patience_s = self._now_s(), self._why_not, self._patience_s
            silent_s = now_s - self._beat_s
            stuck_s = now_s - min(self._steps.values(), default=now_s)
        if silent_s > patience_s:
            return State(alive=False, ready=False, detail=f"the main loop has not gone round for {silent_s:.0f} s")
        if stuck_s > patience_s:
            return State(alive=False, ready=False, detail=f"a step of one thread has not ended for {stuck_s:.0f} s")
        return State(alive=True, ready=not why_not, detail=why_not)
