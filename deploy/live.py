"""The ward folded from the rows of the store; nothing here reads a clock or a file."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.events import (
    OVER,
    SEEN,
    WARD,
    AlarmEvent,
    Answer,
    Bad,
    DeviceStatus,
    Need,
    PatientInfo,
    Priority,
    Row,
    Vitals,
    Wave,
)
from dataflows.rules import COLUMN
from dataflows.standing import need

# Red, yellow and cyan as IEC 60601-1-8 has them; the word and the number of marks say the same without colour.
PRIORITY: dict[Priority, str] = {"high": "bold white on red", "medium": "bold black on yellow", "low": "bold cyan"}
STALE_S = 3.0
WAVE_S = 4
WAVE_HZ = 125
SWINGS_PER_S = 5
HISTORY = 60  # heart rates kept for a bed without a waveform
SECONDS_KEPT = 20  # of a waveform, for a page that begins to draw it
OVER_KEPT = 8  # alarms of a bed that are over, to be marked or spoken of
LEFT_KEPT = 10_000  # patients who left, of whom a late row must not bring the bed back
LOG_LINES = 200
MANY = 3  # devices that change alike are said in one line beyond this
PEAK_DECAY = 0.97  # per second: a heart that stops shows as a flat line, not as noise drawn large


class Remark(NamedTuple):
    """One line of the log."""

    at_ns: int
    text: str
    style: str = ""


@dataclass
class Bed:
    """What is shown of one patient."""

    patient: str
    ward: str = ""
    bed: str = ""
    vitals: Vitals | None = None
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    wave: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    peak: float = 0.0
    seconds: deque[Wave] = field(default_factory=lambda: deque(maxlen=SECONDS_KEPT))
    alarms: dict[str, AlarmEvent] = field(default_factory=dict)  # that stand, by id
    over: dict[str, AlarmEvent] = field(default_factory=dict)  # that are over of late, by id, the newest last

    @property
    def name(self) -> str:
        """Bed, or the patient where no bed is known."""
        return self.bed or self.patient

    def take(self, event: AlarmEvent, *, over: bool) -> None:
        """Take in the newest word on an alarm."""
        self.alarms.pop(event.id, None)
        self.over.pop(event.id, None)
        (self.over if over else self.alarms)[event.id] = event
        if len(self.over) > OVER_KEPT:
            del self.over[next(iter(self.over))]

    @property
    def need(self) -> Need:
        """How much somebody is needed here, by the alarm that is worst."""
        return max(map(need_of, self.alarms.values()), default=0)


@dataclass
class Ward:
    """Beds and log as of the rows taken so far."""

    beds: dict[str, Bed] = field(default_factory=dict)
    log: deque[Remark] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    n_rows: int = 0
    _devices: dict[str, str] = field(default_factory=dict)
    _left: dict[str, None] = field(default_factory=dict)  # patients who are here no more, oldest first

    def take(self, rows: Iterable[Row]) -> list[Remark]:
        """Fold rows in; return what is new in the log."""
        new: list[Remark] = []
        changed: list[DeviceStatus] = []
        for row in rows:
            self.n_rows += 1
            match row:
                case Vitals() if row.patient not in self._left:
                    self._vitals(row)
                case Wave() if row.patient not in self._left:
                    self._wave(row)
                case AlarmEvent():
                    new.append(self._alarm(row))
                case PatientInfo():
                    self._patient(row)
                case DeviceStatus():
                    changed += self._device(row)
                case Bad():
                    times = f" x{row.count}" if row.count > 1 else ""
                    new.append(Remark(row.arrival_ns, f"refused ({row.reason}{times}): {row.detail}", "dim"))
                case Answer(done=False):
                    new.append(Remark(row.arrival_ns, f"command of {row.actor} not done{_because(row.detail)}"))
                case _:
                    pass
        new += _of_devices(changed)
        self.log.extend(new)
        return new

    def bed(self, patient: str) -> Bed:
        """Bed of a patient, made where there is none yet."""
        return self.beds.setdefault(patient, Bed(patient))

    def names(self) -> dict[str, str]:
        """What the bed of each patient is called: with its ward, where there are several."""
        beds = [bed for bed in self.beds.values() if bed.patient != WARD]
        several = len({bed.ward for bed in beds}) > 1
        return {bed.patient: f"{bed.name} {bed.ward}".rstrip() if several else bed.name for bed in beds}

    def note(self, at_ns: int, text: str) -> Remark:
        """Add a line that no row says."""
        remark = Remark(at_ns, text, "bold")
        self.log.append(remark)
        return remark

    def in_order(self, limit: int) -> list[Bed]:
        """Beds by name; where they are more than `limit`, those that need someone come first."""
        beds = sorted((bed for bed in self.beds.values() if bed.patient != WARD), key=lambda bed: bed.name)
        return beds if len(beds) <= limit else sorted(beds, key=lambda bed: -bed.need)[:limit]

    def _patient(self, row: PatientInfo) -> None:
        if row.admitted:
            self._left.pop(row.patient, None)
            bed = self.bed(row.patient)
            bed.ward, bed.bed = row.ward, row.bed
            return
        self.beds.pop(row.patient, None)
        self._left[row.patient] = None
        if len(self._left) > LEFT_KEPT:
            del self._left[next(iter(self._left))]

    def _vitals(self, row: Vitals) -> None:
        bed = self.bed(row.patient)
        if bed.vitals is None or row.second > bed.vitals.second:
            bed.vitals = row
            bed.rates.append(row.hr.value)

    def _wave(self, row: Wave) -> None:
        bed = self.bed(row.patient)
        second = np.frombuffer(row.samples, "<i2") * row.scale
        bed.wave = np.concatenate([bed.wave, second])[-WAVE_S * WAVE_HZ :]
        bed.peak = max(bed.peak * PEAK_DECAY, float(swings(second, SWINGS_PER_S).max()))
        bed.seconds.append(row)

    def _device(self, row: DeviceStatus) -> list[DeviceStatus]:
        state = "online" if row.state == "unknown" else row.state  # unknown: not heard of yet, no news
        if self._devices.get(row.device, "online") == state:
            return []
        self._devices[row.device] = state
        return [row]

    def _alarm(self, event: AlarmEvent) -> Remark:
        over = event.state in OVER or event.patient in self._left
        bed = self.beds.get(event.patient, Bed(event.patient)) if over else self.bed(event.patient)
        known = bed.alarms.get(event.id) or bed.over.get(event.id)
        if known is None or event.step > known.step:
            bed.take(event, over=over)
        by = f" by {event.actor}" if event.actor else ""
        style = PRIORITY[event.priority] if event.state == "active" else ""
        said = f"{event.priority.upper()} {event.condition} {event.state}{by}{_because(event.reason)}"
        return Remark(event.event_ns, f"{bed.name}  {said}", style)


def swings(wave: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """How far the wave goes up and down in each of `width` parts: what is slow, such as breathing, hardly shows.

    Parameters
    ----------
    wave : ndarray, shape (n_samples,)
        Finite values.
    """
    edges = np.linspace(0, len(wave), width + 1).astype(int)
    return np.array([np.ptp(wave[a:b]) if b > a else 0.0 for a, b in pairwise(edges)])


def by_need(alarms: Iterable[AlarmEvent]) -> list[AlarmEvent]:
    """Alarms that stand, what needs someone most first; of those that are as bad, the one that began first."""
    return sorted(alarms, key=lambda alarm: (-need_of(alarm), alarm.onset_ns, COLUMN[alarm.condition]))


def need_of(alarm: AlarmEvent) -> Need:
    """How much somebody is needed because of an alarm that stands."""
    return 0 if alarm.state in OVER else need(alarm.priority, seen=alarm.state in SEEN)


def quality_word(vitals: Vitals) -> str:
    """Quality in a word that needs no legend."""
    return "settling" if vitals.settling else in_a_word(vitals.quality)


def in_a_word(quality: float) -> str:
    """Quality of 0 to 1 in a word."""
    bounds = ((0.8, "good"), (0.5, "fair"), (0.2, "poor"))
    return next((word for bound, word in bounds if quality >= bound), "none")


def _of_devices(changed: list[DeviceStatus]) -> list[Remark]:
    """A line for each device, or one for many that came or went together."""
    together: dict[tuple[str, str], list[DeviceStatus]] = {}
    for row in changed:
        together.setdefault((row.state, row.reason), []).append(row)
    said = []
    for (state, reason), rows in together.items():
        if len(rows) > MANY:
            text = f"{len(rows)} devices are {state}{_because(reason)}"
            said.append(Remark(max(row.last_seen_ns for row in rows), text))
        else:
            said += [Remark(r.last_seen_ns, f"device {r.device} is {state}{_because(reason)}") for r in rows]
    return said


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
