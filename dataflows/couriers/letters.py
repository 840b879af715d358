"""Raises a technical alarm for alarm events that a receiver will not get, until they are sent again."""

import logging
from collections.abc import Callable
from typing import Final

from dataflows.couriers.cursors import Cursors
from dataflows.couriers.delivery import Courier

EVERY_S: Final = 5.0

log = logging.getLogger(__name__)


class Letters:
    """Watches over the dead letters of one courier.

    Parameters
    ----------
    courier
        Whose; of one that keeps no receipts nothing is said.
    report
        As of `carrier.Report`.
    """

    def __init__(self, courier: Courier, report: Callable[[str, bool, str], None]) -> None:
        self._courier, self._report = courier, report
        self._due_s = -float("inf")

    def look(self, cursors: Cursors, now_s: float) -> None:
        """Say that there are some, or that there are none any more."""
        receiver = self._courier.receiver
        if not receiver or now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        name, count = f"{self._courier.name}-letters", cursors.dead_count(self._courier.name)
        if cursors.told(name) == (count == 0):
            return
        detail = (
            f"{count} alarm events were not taken by {receiver}: see `femtoward alarms receipts`, and send them with "
            f"`femtoward alarms resend --receiver {receiver}`"
            if count
            else "every alarm event was taken"
        )
        try:
            self._report(name, not count, detail)
        except OSError as error:
            log.warning("courier %s could not report (%s): tried again", name, error)
        else:
            cursors.tell(name, ok=not count)
