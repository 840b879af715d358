"""Spares a receiver that fails, and us: after some failures in a row it is asked only now and then, by one row."""

from dataclasses import dataclass

from dataflows.couriers.lanes import BackOff

TRIES = 3  # failures in a row, of whichever rows
LONGEST_S = 15.0  # a new page must not wait for longer to be tried at a receiver that may be back


@dataclass
class Breaker:
    """Closed: everything is tried. Open: nothing is. Half open: one row is, and decides.

    Rows that the receiver answers but does not take say nothing against it.
    """

    back_off: BackOff
    failures: int = 0
    until_s: float = 0.0

    def lets(self, now_s: float) -> bool:
        """Whether a row may be tried now."""
        return now_s >= self.until_s

    def failed(self, now_s: float, retry_after_s: float | None, random_0_1: float) -> None:
        """Note that the receiver failed; what it asks for is granted at once."""
        self.failures += 1
        if self.failures >= TRIES:
            wait_s = self.back_off.after(self.failures - TRIES + 1, None, lambda: random_0_1)
            self.until_s = now_s + min(wait_s, LONGEST_S)
        if retry_after_s is not None:
            self.until_s = max(self.until_s, now_s + retry_after_s)

    def passed(self) -> None:
        """Note that the receiver answered."""
        self.failures, self.until_s = 0, 0.0
