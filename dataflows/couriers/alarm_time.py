"""Where an alarm's points lie in time."""

import zlib
from typing import Final

from dataflows.events import AlarmEvent

_BEGUN: Final = frozenset({("active", "raised"), ("missed", "raised"), ("missed", "missed")})  # state and change


def time_of(event: AlarmEvent) -> int:
    """Time of the point of a transition, ns.

    An alarm begins where its evidence is, beside its strip. What becomes of it is in the order in which the ward took
    it in: an end out of a device's queue is evidence older than the acknowledgement that came before it.
    """
    return apart(event, event.event_ns if (event.state, event.change) in _BEGUN else event.arrival_ns)


def apart(event: AlarmEvent, at_ns: int) -> int:
    """Keep two alarms of one patient and condition apart that change at one moment (two devices at one tick).

    Their key, below the microsecond, does; the exact times are fields.
    """
    return at_ns - at_ns % 1000 + zlib.crc32(event.key.encode()) % 1000
