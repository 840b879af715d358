"""Who is known: logs of the devices that speak, of those that have fallen silent, and who must be forgotten when."""

from collections.abc import Iterable, Mapping
from itertools import chain, islice, repeat

import msgspec

from dataflows.device import DeviceLog, Hour
from dataflows.events import SECOND_NS
from dataflows.shelf import Shelf
from dataflows.waking import Now

PARK_NS = 600 * SECOND_NS  # a device silent for so long, in waking time, is parked ...
UNHEARD_NS = 30 * SECOND_NS  # ... and one of which nothing but a birth came, for so long: its banks hold nothing
# Until it is parked its kernels are kept warm, so that a queue which it brings goes on without a seam. That is 23 kB in
# each snapshot. What comes after 30 s can page nobody any more: from then on only so many are kept warm.
WARM_NS = 30 * SECOND_NS
WARM_MOST = 256
PARKED_AT_ONCE = 256  # at a tick
FORGET_NS = 24 * 3600 * SECOND_NS  # one silent for so long is forgotten, unless a command bound it
SILENT_NS = 10 * SECOND_NS  # one silent for so long may be forgotten when there are too many
MAX_DEVICES = 20_000
LEFT_KEPT = 4096  # forgotten devices whose ledger of this hour is remembered, should they come back within it

_log = msgspec.msgpack.Decoder(DeviceLog)


class CensusImage(msgspec.Struct, frozen=True, array_like=True):
    """A census as it goes into a snapshot."""

    speaking: dict[str, DeviceLog]
    unheard: dict[str, DeviceLog]
    parked: bytes
    left: dict[str, list[Hour]]
    resting: dict[str, list[Hour]]


class Census:
    """Logs by ``site/device``: of those that speak, of those that never did, of those parked; longest silent first."""

    def __init__(self) -> None:
        self._speaking: dict[str, DeviceLog] = {}
        self._unheard: dict[str, DeviceLog] = {}
        self._parked = Shelf()
        self._left: dict[str, list[Hour]] = {}  # ledgers of this hour, of devices forgotten ...
        self._resting: dict[str, list[Hour]] = {}  # ... and of devices parked within it

    def __contains__(self, key: str) -> bool:
        """Tell whether a device is known."""
        return self.awake(key) is not None or key in self._parked

    def __len__(self) -> int:
        """Count the devices."""
        return len(self._speaking) + len(self._unheard) + len(self._parked)

    def awake(self, key: str) -> DeviceLog | None:
        """Return the log of a device that is not parked."""
        return self._speaking.get(key) or self._unheard.get(key)

    @property
    def speaking(self) -> Iterable[tuple[str, DeviceLog]]:
        """Devices that sent packets and are not parked, with their logs."""
        return self._speaking.items()

    def heard(self, key: str, now: Now, *, spoke: bool = False) -> tuple[DeviceLog, bool]:
        """Return the log of a device of which something came, made if there is none, and whether it was parked.

        Parameters
        ----------
        key
            ``site/device``.
        now
            When.
        spoke
            A packet came, not only a birth or a status.
        """
        log, woke = self._speaking.pop(key, None), False
        spoke = spoke or log is not None
        log = log or self._unheard.pop(key, None)
        if log is None:
            woke = key in self._parked
            log = _log.decode(self._parked.take(key)) if woke else self._newcomer(key)
            self._resting.pop(key, None)
        log.heard_ns = now.awake_ns
        (self._speaking if spoke else self._unheard)[key] = log
        return log, woke

    def look(self, key: str) -> DeviceLog:
        """Return the log of a known device; if it is parked, a copy."""
        return self.awake(key) or _log.decode(self._parked.look(key))

    def silent(self, awake_ns: int) -> list[str]:
        """List devices to be parked: silent for long, or for a while when many others have fallen silent since."""
        keys: list[str] = []
        for group, silent_ns in ((self._speaking, PARK_NS), (self._unheard, UNHEARD_NS)):
            since = chain((log.heard_ns for log in islice(group.values(), WARM_MOST, None)), repeat(awake_ns))
            for (key, log), crowd_ns in zip(islice(group.items(), PARKED_AT_ONCE), since, strict=False):
                if awake_ns - log.heard_ns < silent_ns and awake_ns - crowd_ns < WARM_NS:
                    break
                keys.append(key)
        return keys

    def park(self, key: str, hour: int) -> None:
        """Put a device away."""
        log = self._speaking.pop(key, None) or self._unheard.pop(key)
        if log.hours and log.hours[-1].hour == hour:
            self._resting[key] = log.hours
        self._parked.put(key, msgspec.msgpack.encode(log))

    def overdue(self, awake_ns: int) -> str | None:
        """Return the device that has been silent for longest, if that is for a day."""
        key = self._parked.oldest
        if key is not None and awake_ns - _log.decode(self._parked.look(key)).heard_ns >= FORGET_NS:
            return key
        return None

    def longest_silent(self, awake_ns: int) -> str | None:
        """Return a device that has been silent for longest, if it is lost."""
        if self._parked.oldest is not None:
            return self._parked.oldest
        for group in (self._unheard, self._speaking):
            key = next(iter(group), None)
            if key is not None and awake_ns - group[key].heard_ns >= SILENT_NS:
                return key
        return None

    def spare(self, key: str, awake_ns: int) -> None:
        """Take a device that must not be forgotten as heard of now."""
        for group in (self._speaking, self._unheard):
            if (log := group.pop(key, None)) is not None:
                log.heard_ns = awake_ns
                group[key] = log
                return
        log = _log.decode(self._parked.take(key))
        log.heard_ns = awake_ns
        self._parked.put(key, msgspec.msgpack.encode(log))

    def forget(self, key: str, hour: int) -> DeviceLog:
        """Forget a device but for this hour's ledger; return its log."""
        log = self._speaking.pop(key, None) or self._unheard.pop(key, None)
        log = log or _log.decode(self._parked.take(key))
        self._resting.pop(key, None)
        if log.hours and log.hours[-1].hour == hour:
            self._left[key] = log.hours[-1:]
            if len(self._left) > LEFT_KEPT:
                del self._left[next(iter(self._left))]
        return log

    def turn_hour(self, hour: int) -> None:
        """Forget the ledgers of hours that are over."""
        for over in (self._left, self._resting):
            while over and next(iter(over.values()))[-1].hour < hour:
                del over[next(iter(over))]

    def ledgers(self) -> dict[str, list[Hour]]:
        """Ledgers of all who published something in this hour, be they here or not."""
        here = {key: log.hours for key, log in chain(self._unheard.items(), self._speaking.items()) if log.hours}
        return {**self._left, **self._resting, **here}

    def remember(self, ledgers: Mapping[str, list[Hour]]) -> None:
        """Take up ledgers of devices of which nothing else is known."""
        self._left = {key: hours for key, hours in ledgers.items() if hours}

    def image(self) -> CensusImage:
        """Copy everything for a snapshot."""
        return CensusImage(self._speaking, self._unheard, self._parked.image(), self._left, self._resting)

    def restore(self, image: CensusImage) -> None:
        """Take up a snapshot."""
        self._speaking, self._unheard, self._left = image.speaking, image.unheard, image.left
        self._resting = image.resting
        self._parked.restore(image.parked)

    def _newcomer(self, key: str) -> DeviceLog:
        hours = self._left.pop(key, [])
        return DeviceLog(hours=hours, untold=any(hour.untold for hour in hours))
