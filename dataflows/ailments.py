"""What is wrong with a device or its way to us, by its packets alone: each is named, and forgotten some time after."""

import math
from typing import Final, Literal, get_args

import msgspec

from dataflows.events import SECOND_NS
from ingest.sequence import Verdict

Ailment = Literal[
    "silent",
    "rebooted",
    "packets-lost",
    "packets-doubled",
    "packets-swapped",
    "late-burst",
    "clock-step",
    "clock-skew",
    "calibration-expired",
    "sensor-ageing",
]
WORDS: Final[dict[str, str]] = {  # of an ailment, or of what a device's status knows; other codes stand for themselves
    "silent": "nothing comes from it",
    "rebooted": "it started anew",
    "packets-lost": "packets are lost",
    "packets-doubled": "packets come twice",
    "packets-swapped": "packets come in another order",
    "late-burst": "it sent what it had held back",
    "clock-step": "its clock was set",
    "clock-skew": "its clock goes wrong",
    "calibration-expired": "its calibration has run out",
    "sensor-ageing": "its sensor ages",
    "battery-low": "its battery is low",
    "laser-mode": "its laser is in another mode",
    "cell-cold": "its cells are colder than they should be",
}
LASTING: Final[frozenset[Ailment]] = frozenset({"calibration-expired", "sensor-ageing"})  # another device is needed
PASSING: Final = frozenset(get_args(Ailment)) - LASTING  # of no use to a nurse
HOLD_NS: Final = 30 * SECOND_NS  # what happened is told for so long
PATIENCE_NS: Final = SECOND_NS  # a packet that is missing may be on its way for so long
SILENT_NS: Final = 5 * SECOND_NS // 2  # nothing for so long, in waking time
BURST_NS: Final = 3 * SECOND_NS // 2  # a packet older than this on its arrival, after a time without any, was held back
STAMPS: Final = 16  # packets over which device clock and sample counter are compared
FEWEST_STAMPS: Final = 9
SKEW: Final = 150e-6  # a quartz is within 50 parts in a million
SURE: Final = 8.0  # standard uncertainties: it is asked four times a second


class Ailments(msgspec.Struct, array_like=True):
    """What is wrong with one device."""

    seen_ns: dict[str, int] = {}  # ailments by the arrival at which each was seen last
    missing: int = 0  # packets that have not come and may yet
    missing_ns: int = 0  # arrival at which the first of them was missed
    stamps: list[tuple[int, int]] = []  # of the newest packets: sample time, and how far the device's clock is from it
    silent: bool = False
    told: tuple[str, ...] = ()  # names when they were told last

    def see(self, name: Ailment, arrival_ns: int) -> None:
        """Take note of an ailment."""
        self.seen_ns[name] = arrival_ns

    def numbered(self, verdict: Verdict, arrival_ns: int) -> None:
        """Take note of what a packet's number says."""
        if verdict.kind == "repeat":
            self.see("packets-doubled", arrival_ns)
        elif verdict.kind == "late" and verdict.missing < 0:
            self.see("packets-swapped", arrival_ns)
            self.missing = max(self.missing - 1, 0)
        elif verdict.missing > 0 and not verdict.away:
            self.missing_ns = self.missing_ns if self.missing else arrival_ns
            self.missing += verdict.missing
        if self.missing and arrival_ns - self.missing_ns >= PATIENCE_NS:
            self.see("packets-lost", arrival_ns)
            self.missing = 0

    def came(self, end_ns: int, arrival_ns: int, before_ns: int) -> None:
        """Take note of when a packet came that was measured until `end_ns`; the one before came at `before_ns`."""
        if before_ns and arrival_ns - before_ns >= BURST_NS and arrival_ns - end_ns >= BURST_NS:
            self.see("late-burst", arrival_ns)

    def dated(self, sample_ns: int, ahead_ns: int, arrival_ns: int, *, stepped: bool) -> None:
        """Take note of a packet's time by the device's clock, as far as it is ahead of its sample counter.

        Parameters
        ----------
        sample_ns
            Time of the sample counter.
        ahead_ns
            Device clock minus that.
        arrival_ns
            Of the packet.
        stepped
            They have parted since the packet before.
        """
        if stepped:
            self.see("clock-step", arrival_ns)
            self.stamps = []
        self.stamps = [*self.stamps[1 - STAMPS :], (sample_ns, ahead_ns)]
        first_ns, first_ahead_ns = self.stamps[0]
        if abs(ahead_ns - first_ahead_ns) > SKEW * (sample_ns - first_ns) and abs(skew(self.stamps)) > SKEW:
            self.see("clock-skew", arrival_ns)

    def restarted(self, arrival_ns: int, *, before: bool) -> None:
        """Take note of a new boot; `before`: there was one."""
        self.stamps = []
        if before:
            self.see("rebooted", arrival_ns)

    def names(self, arrival_ns: int) -> tuple[str, ...]:
        """What is wrong now, in order of the alphabet."""
        self.seen_ns = {name: at_ns for name, at_ns in self.seen_ns.items() if arrival_ns - at_ns < HOLD_NS}
        return tuple(sorted({*self.seen_ns, *(("silent",) if self.silent else ())}))

    @property
    def news(self) -> bool:
        """Whether something is wrong that was not told."""
        return not self.seen_ns.keys() <= set(self.told) or (self.silent and "silent" not in self.told)


def skew(stamps: list[tuple[int, int]]) -> float:
    """How much faster a device's clock goes than its sample counter: the part of it that is sure; 0: none is.

    Parameters
    ----------
    stamps
        Sample time, and device clock minus that, ns.

    Returns
    -------
    float
        Slope of a straight line, nearer to 0 by `SURE` standard uncertainties.

    Examples
    --------
    >>> even = [(k * 250_000_000, k * 75_000) for k in range(10)]
    >>> round(skew(even) * 1e6)
    300
    >>> skew(even[:5]), skew([(at, 1_000_000 * (k % 2)) for k, (at, _) in enumerate(even)])
    (0.0, 0.0)
    """
    n = len(stamps)
    if n < FEWEST_STAMPS:
        return 0.0
    middle, level = sum(at for at, _ in stamps) / n, sum(ahead for _, ahead in stamps) / n
    spread = sum((at - middle) ** 2 for at, _ in stamps)
    if spread <= 0.0:
        return 0.0
    slope = sum((at - middle) * (ahead - level) for at, ahead in stamps) / spread
    left = sum((ahead - level - slope * (at - middle)) ** 2 for at, ahead in stamps)
    unsure = SURE * math.sqrt(left / (n - 2) / spread)
    return max(abs(slope) - unsure, 0.0) * (1.0 if slope > 0.0 else -1.0)


def in_words(faults: str) -> str:
    """Names of ailments, as `DeviceStatus.faults` has them, for people.

    Examples
    --------
    >>> in_words("battery-low fan-stuck")
    'its battery is low, fan-stuck'
    """
    return ", ".join(WORDS.get(name, name) for name in faults.split())
