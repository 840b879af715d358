"""The thread that makes a fleet's packets ahead of their time, so that the sockets never wait for the physics."""

import queue
import threading
from typing import NamedTuple

from device_sim.fleet import Fleet
from device_sim.truth import TruthLine

_AHEAD = 8  # steps of 250 ms that are made ahead of their time


class Step(NamedTuple):
    """What 250 ms bring."""

    number: int
    packets: list[tuple[int, bytes]]
    notes: list[tuple[int, bytes]]
    statuses: list[tuple[int, bytes]]
    lines: list[TruthLine]
    births: list[tuple[int, bytes]]  # to be said before the packets


class Maker(threading.Thread):
    """Makes steps ahead of time, so that the sockets never wait for the physics."""

    def __init__(self, fleet: Fleet, n_steps: int | None) -> None:
        super().__init__(name="simulated fleet", daemon=True)
        self._fleet = fleet
        self.n_steps = n_steps
        self._given_up = threading.Event()
        self.steps: queue.Queue[Step | BaseException | None] = queue.Queue(_AHEAD)

    def run(self) -> None:
        """Fill the queue; None ends it, and so does what went wrong."""
        try:
            number = 0
            while number != self.n_steps and not self._given_up.is_set():
                packets = self._fleet.step()
                fleet = self._fleet
                lines = fleet.truth_lines()
                self._put(Step(number, packets, fleet.notes(), fleet.statuses(), lines, fleet.rebirths()))
                number += 1
            self._put(None)
        except BaseException as error:  # noqa: BLE001  # it is raised again where the queue is read
            self._put(error)

    def stop(self) -> None:
        """Make no more, and wait for the thread to end."""
        self._given_up.set()
        self.join()

    def _put(self, item: Step | BaseException | None) -> None:
        while not self._given_up.is_set():
            try:
                self.steps.put(item, timeout=0.1)
            except queue.Full:
                continue
            return
