"""Writes the burden of alarms, by ward and hour, into ``burden``: of the last day, anew every ten minutes.

What people make of an alarm comes after it: the point of an hour is written again for a day.
It follows from the store alone, so that what cannot be written now is written later.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from dataflows.burden import Count, Life, burden, exposure_ns, lives
from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.line_protocol import escape_tag
from dataflows.couriers.outlet import Outlet
from dataflows.couriers.schema import RETENTION_OF
from dataflows.events import SECOND_NS, AlarmEvent, BedState
from dataflows.store import Store, StoreError

log = logging.getLogger(__name__)

MEASUREMENT: Final = "burden"
EVERY_S: Final = 600.0
HOUR_NS: Final = 3600 * SECOND_NS
HOURS: Final = 25  # that are written again
ALL: Final = "all"  # condition and priority of the sum
COUNTS: Final = ("raised", "repeats", "escalated", "missed", "marked_true", "marked_false")
WAITS: Final = ("acknowledged_s_p50", "acknowledged_s_p90")
READ_ROWS: Final = 2_000


class BurdenPoints:
    """Counts and writes; made for a thread of its own.

    Parameters
    ----------
    store
        Path of the partition's store; may not be there yet.
    influx
        Where the points go.
    now_ns
        Wall clock.
    """

    def __init__(self, store: str, influx: InfluxOptions, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._path, self._now_ns = store, now_ns
        self._policy = "" if influx.tiers == "none" else RETENTION_OF[MEASUREMENT].name
        self._outlet = Outlet(influx)
        self._fails = False

    def run(self, stopping: threading.Event) -> None:
        """Write every so often until `stopping` is set."""
        try:
            while not stopping.wait(EVERY_S):
                self.write()
        finally:
            self._outlet.close()

    def write(self) -> None:
        """Write the last day's points; what goes wrong is said once, and never raised."""
        try:
            with Store(self._path, readonly=True) as store:
                said = list(lines(store, self._now_ns()))
            answer = self._outlet.send(said, self._policy) if said else None
            wrong = "" if answer is None else f"{answer.status}: {answer.text}"
        except (DeliveryFailed, StoreError, OSError) as failure:
            wrong = str(failure)
        except Exception as error:  # a fault of ours here must not end the couriers
            log.exception("the points of `burden` failed in a way that they should not")
            wrong = repr(error)
        if wrong and not self._fails:
            log.warning("the burden of alarms was not written, and is tried again: %s", wrong)
        self._fails = bool(wrong)


def lines(store: Store, now_ns: int) -> Iterator[str]:
    """Points of the hours of the last day, in line protocol."""
    first_ns = (now_ns // HOUR_NS - HOURS + 1) * HOUR_NS
    # Rows of before the day, but for an hour: whether an alarm is a repeat, and who lay where, is known by them.
    after = store.committed_by(first_ns - HOUR_NS) or 0
    events: list[AlarmEvent] = []
    beds: list[BedState] = []
    while rows := store.read(after, READ_ROWS, (AlarmEvent.kind, BedState.kind)):
        after = rows[-1].id
        events += [row for _, row in rows if isinstance(row, AlarmEvent)]
        beds += [row for _, row in rows if isinstance(row, BedState)]
    found = lives(events)
    places = sorted({(life.site, life.ward) for life in found} | {(bed.site, bed.ward) for bed in beds})
    for site, ward in places:
        of_ward = [life for life in found if (life.site, life.ward) == (site, ward)]
        in_ward = [bed for bed in beds if (bed.site, bed.ward) == (site, ward)]
        for hour_ns in range(first_ns, now_ns, HOUR_NS):
            yield from _hour(site, ward, of_ward, in_ward, hour_ns, min(hour_ns + HOUR_NS, now_ns))


def _hour(
    site: str, ward: str, found: Sequence[Life], beds: Sequence[BedState], from_ns: int, to_ns: int
) -> Iterator[str]:
    there_ns = exposure_ns(beds, from_ns, to_ns)
    of_hour = burden(found, from_ns, to_ns, there_ns)
    if not there_ns and not of_hour.by_condition:
        return
    tags = f",site={escape_tag(site)}" + (f",ward={escape_tag(ward)}" if ward else "")
    sums = f"patient_s={there_ns / SECOND_NS!r},floods={len(of_hour.floods)}i"
    yield f"{MEASUREMENT},condition={ALL},priority={ALL}{tags} {sums},{_fields(of_hour.total)} {from_ns}"
    for one in of_hour.by_condition:
        kind = f",condition={escape_tag(one.condition)},priority={one.priority}"
        yield f"{MEASUREMENT}{kind}{tags} {_fields(one)} {from_ns}"


def _fields(count: Count) -> str:
    seen = round(count.acknowledged * count.raised) if count.raised else 0
    said = [f"{name}={getattr(count, name)}i" for name in COUNTS]
    said.append(f"acknowledged={seen}i")
    said += [f"{name}={getattr(count, name)!r}" for name in WAITS if seen]
    return ",".join(said)
