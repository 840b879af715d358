"""Whole wards that fall silent: many devices lost within seconds have one cause, and are one alarm and not many."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from dataflows.events import SECOND_NS
from dataflows.items import Where
from dataflows.roster import LOST_NS
from dataflows.waking import Now

# A ward is silent when so many of its devices, and so large a share of those that spoke until then, fall silent
# within so long of each other; it is over when for so long there have been fewer.
LEAST: Final = 5
SHARE: Final = 0.5
WITHIN_NS: Final = 5 * SECOND_NS
OVER_NS: Final = 10 * SECOND_NS
HALF: Final = 0.5  # of those that fell silent: so many must be so still
REMEMBERED: Final = 512  # of those: the fate of more tells no more
NEWS_NS: Final = SECOND_NS  # so long after a device is lost it is looked whether it is not alone


# How often a ward that is silent is looked at: often, and more seldom once it has been so for long.
LOOK_NS: Final = SECOND_NS
LONG_NS: Final = 60 * SECOND_NS
LONG_LOOK_NS: Final = 10 * SECOND_NS


class Burst(msgspec.Struct, array_like=True):
    """A ward that is silent."""

    heard_ns: dict[str, int]  # waking time of the newest message, by device that fell silent, of so many
    of: int  # devices that spoke until then
    begun_ns: int  # arrival time at which it was told
    silent: int  # devices that fell silent
    few_ns: int = 0  # waking time since which few of them are silent; 0: that is not so
    next_ns: int = 0  # waking time at which it is looked at next
    joined_ns: int = 0  # arrival time at which the newest of them were found; 0: when it was told


class Told(NamedTuple):
    """A ward has fallen silent, or is so no more."""

    where: Where
    silent: int  # 0: it is over
    of: int
    begun_ns: int
    joined_ns: int  # when the newest of them were found


class Hush:
    """Watches the silence of devices, by ward."""

    def __init__(self) -> None:
        self.bursts: dict[Where, Burst] = {}

    def step(
        self,
        now: Now,
        oldest: Iterable[tuple[str, int]],
        heard_ns: Callable[[str], int | None],
        place: Callable[[str], Where | None],
    ) -> list[Told]:
        """Look once, at a tick.

        Parameters
        ----------
        now
            When.
        oldest
            Devices and when each was heard of, in waking time, longest silent first.
        heard_ns : callable
            ``heard_ns(device)`` is that of one device; None: it is away for so long that it was parked.
        place : callable
            ``place(device)`` is where its patient lies; None: nobody wears it.
        """
        told = [
            over
            for where, burst in list(self.bursts.items())
            if (over := self._over(where, burst, now, heard_ns)) is not None
        ]
        lost = False  # a device is so since this tick, or not long ago
        silent: dict[Where, dict[str, int]] = {}
        spoke: dict[Where, int] = {}
        for device, at_ns in oldest:
            silence_ns = now.awake_ns - at_ns
            if silence_ns >= LOST_NS + WITHIN_NS:
                continue
            lost = lost or 0 <= silence_ns - LOST_NS < NEWS_NS
            if not lost and silence_ns < LOST_NS:  # those that follow are heard of later still
                break
            where = place(device)
            if where is None:
                continue
            spoke[where] = spoke.get(where, 0) + 1
            if silence_ns >= LOST_NS - WITHIN_NS:
                silent.setdefault(where, {})[device] = at_ns
        for where, devices in silent.items():
            if len(devices) < max(LEAST, SHARE * spoke[where]):
                continue
            burst = self.bursts.get(where)
            if burst is None:
                remembered = dict(islice(devices.items(), REMEMBERED))
                self.bursts[where] = burst = Burst(remembered, spoke[where], now.arrival_ns, len(devices))
                told.append(_told(where, burst))
            elif _join(burst, devices, now, heard_ns):
                told.append(_told(where, burst))
        return told

    def again(self) -> list[Told]:
        """Tell of those that are silent, to who may have forgotten."""
        return [_told(where, burst) for where, burst in self.bursts.items()]

    def _over(self, where: Where, burst: Burst, now: Now, heard_ns: Callable[[str], int | None]) -> Told | None:
        if now.awake_ns < burst.next_ns:
            return None
        burst.next_ns = now.awake_ns + (LOOK_NS if now.arrival_ns - burst.begun_ns < LONG_NS else LONG_LOOK_NS)
        still = sum(_silent(device, now, heard_ns) for device in burst.heard_ns)
        if still >= max(LEAST, HALF * len(burst.heard_ns)):
            burst.few_ns = 0
            return None
        burst.few_ns = burst.few_ns or now.awake_ns
        if now.awake_ns - burst.few_ns < OVER_NS:
            return None
        del self.bursts[where]
        return _told(where, burst)._replace(silent=0)


def _told(where: Where, burst: Burst) -> Told:
    return Told(where, burst.silent, burst.of, burst.begun_ns, burst.joined_ns or burst.begun_ns)


def _silent(device: str, now: Now, heard_ns: Callable[[str], int | None]) -> bool:
    """Whether a device is silent now, whatever it said meanwhile."""
    at_ns = heard_ns(device)
    return at_ns is None or (at_ns >= 0 and now.awake_ns - at_ns >= LOST_NS - WITHIN_NS)


def _join(burst: Burst, devices: dict[str, int], now: Now, heard_ns: Callable[[str], int | None]) -> bool:
    """Take those that fell silent at once into an alarm that stands; whether there are any it did not know."""
    if all(burst.heard_ns.get(device) == at_ns for device, at_ns in devices.items()):
        return False
    still = {device: at_ns for device, at_ns in burst.heard_ns.items() if _silent(device, now, heard_ns)}
    burst.heard_ns = dict(islice((still | devices).items(), REMEMBERED))
    burst.joined_ns = now.arrival_ns
    return True
