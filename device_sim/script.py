"""One patient's script: who it is, what happens when, and the same again where the scenario repeats."""

import math
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from device_sim.devices import DEVICES
from device_sim.events import (
    ARRESTED,
    BLOODS,
    BREATHS_BPM,
    CORE_CEL,
    RATES_BPM,
    SPO2,
    UNWORN,
    ActivityEvent,
    BloodEvent,
    BrainEvent,
    BreathEvent,
    CourseEvent,
    Event,
    FaultEvent,
    RhythmEvent,
    RhythmName,
    StEvent,
    TemperatureEvent,
    need,
    need_one_of,
    refuse_overlap,
)
from device_sim.faults import Fault, FaultName

Array = NDArray[np.float64]
E = TypeVar("E", bound=Event)

# Rate of a rhythm that has one of its own, bpm; from memory.
USUAL_BPM: dict[str, float] = {
    "atrial-flutter": 150.0,
    "ventricular-tachycardia": 170.0,
    "agonal": 14.0,
    "pulseless": 45.0,
}
# A focus that takes over does so from one beat to the next; a sinus node changes over seconds.
ABRUPT: tuple[RhythmName, ...] = ("atrial-flutter", "ventricular-tachycardia", "agonal")
RAMP_S = 4.0
REST_SPO2, REST_CORE_CEL = 97.0, 36.8
# Where a script keeps what happens.
EVENT_LISTS = ("rhythms", "st", "breaths", "blood", "temperatures", "activities", "courses", "brain", "faults")


class PatientScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patient: what is worn, rates at rest, and what happens."""

    device: str = "reference"
    rate_bpm: float = 70.0
    sdnn_ms: float = 0.0  # of the heart at rest; 0: 4 % of its interval
    lf_hf: float = 0.5  # power of the slow (0.1 Hz) over that of the respiratory variation
    breath_bpm: float = 15.0
    spo2: float = REST_SPO2  # %
    core_cel: float = REST_CORE_CEL
    hour: float = -1.0  # of the day at which the script begins: rate and temperature follow the day; -1: they do not
    record: str = ""  # path of a WFDB record: its first lead and its annotations are the heart
    pulse_record: str = ""  # path of a WFDB record, or of a table, whose PLETH is the pulse in the light
    rhythms: tuple[RhythmEvent, ...] = ()
    st: tuple[StEvent, ...] = ()
    breaths: tuple[BreathEvent, ...] = ()
    blood: tuple[BloodEvent, ...] = ()
    temperatures: tuple[TemperatureEvent, ...] = ()
    activities: tuple[ActivityEvent, ...] = ()
    courses: tuple[CourseEvent, ...] = ()
    brain: tuple[BrainEvent, ...] = ()
    faults: tuple[FaultEvent, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be, and events of one patient that cannot be at once."""
        need_one_of("device", self.device, tuple(DEVICES))
        need("rate_bpm", self.rate_bpm, *RATES_BPM)
        need("breath_bpm", self.breath_bpm, *BREATHS_BPM)
        need("sdnn_ms", self.sdnn_ms, 0.0, 0.3 * 60e3 / self.rate_bpm)
        need("lf_hf", self.lf_hf, 0.05, 20.0)
        need("spo2", self.spo2, *SPO2)
        need("core_cel", self.core_cel, *CORE_CEL)
        need("hour", self.hour, -1.0, 24.0)
        if self.record and self.rhythms:
            raise ValueError(f"record={self.record!r} and rhythms: a recorded heart follows no script, leave one out")
        refuse_overlap("rhythms", self.rhythms)
        refuse_overlap("st", self.st)
        refuse_overlap("breaths", self.breaths)
        refuse_overlap("temperatures", self.temperatures)
        for blood in BLOODS:
            refuse_overlap("blood", tuple(event for event in self.blood if event.blood == blood))
        refuse_overlap("activities", self.activities)
        refuse_overlap("courses", self.courses)
        unworn = tuple(event for event in self.activities if event.activity in UNWORN)
        refuse_overlap("faults", (*self.faults, *unworn))
        allowed = DEVICES[self.device].faults
        for fault in self.faults:
            if fault.fault not in allowed:
                raise ValueError(
                    f"fault {fault.fault!r} on device {self.device!r}: its sensors have no heater; allowed on it are "
                    f"{', '.join(allowed)}"
                )
        arrests = [event for event in self.rhythms if event.rhythm in ARRESTED]
        for event in self.activities:
            for arrest in arrests:
                if event.activity in ("walking", "getting-up", "cough") and _at_once(event, arrest):
                    raise ValueError(
                        f"activity {event.activity!r} at {event.from_s:g} s during {arrest.rhythm}: nobody does that; "
                        "allowed then are turning, compressions, device-off, device-in-hand"
                    )

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything that happens."""
        return tuple(event for key in EVENT_LISTS for event in getattr(self, key))

    @property
    def expired(self) -> bool:
        """Whether the calibration of the device has run out."""
        return any(event.fault == "expired-calibration" for event in self.faults)

    @property
    def steady(self) -> bool:
        """Whether rates, blood and temperature stay those of a healthy rest, whatever rhythm the heart lives with."""
        arrests = any(event.rhythm in ARRESTED for event in self.rhythms)
        slow = (self.breaths, self.blood, self.temperatures, self.courses, arrests)
        return self.hour < 0.0 and not any(slow) and (self.spo2, self.core_cel) == (REST_SPO2, REST_CORE_CEL)


def _at_once(one: Event, other: Event) -> bool:
    return one.from_s < other.to_s and other.from_s < one.to_s


class Span(NamedTuple, Generic[E]):
    """An event in seconds since the start of the run."""

    event: E
    from_s: float
    to_s: float


class Episode(NamedTuple):
    """A scripted rhythm in seconds since the start of the run."""

    rhythm: RhythmName
    from_s: float
    to_s: float
    rate_bpm: float


class Script(NamedTuple):
    """One patient's script with its repetitions laid out by `spans`."""

    patient: PatientScript
    repeat_s: float

    def episodes(self, from_s: float, to_s: float) -> list[Episode]:
        """Rhythm episodes that touch ``[from_s, to_s)``, in order."""
        return [
            Episode(cast("RhythmName", span.event.rhythm), span.from_s, span.to_s, self.rate_in(span.event))
            for span in self.spans(self.patient.rhythms, from_s, to_s)
        ]

    def rate_in(self, event: RhythmEvent) -> float:
        """Heart rate that a rhythm has, bpm."""
        return event.rate_bpm or USUAL_BPM.get(event.rhythm, self.patient.rate_bpm)

    def faults(self, from_s: float, to_s: float) -> list[Fault]:
        """Faults that touch ``[from_s, to_s)``, in order; a device that is taken off is one that is off the body."""
        found = [
            Fault(cast("FaultName", span.event.fault), span.from_s, span.to_s)
            for span in self.spans(self.patient.faults, from_s, to_s)
        ]
        found += [
            Fault("off-body", span.from_s, span.to_s)
            for span in self.spans(self.patient.activities, from_s, to_s)
            if span.event.activity in UNWORN
        ]
        return sorted(found, key=lambda fault: fault.from_s)

    def spans(self, events: Sequence[E], from_s: float, to_s: float) -> list[Span[E]]:
        """Events, with their repetitions, that touch ``[from_s, to_s)``, in order."""
        found = [Span(event, start, end) for event in events for start, end in self._laid_out(event, from_s, to_s)]
        return sorted(found, key=lambda span: span.from_s) if len(found) > 1 else found

    def share(self, event: Event, ramp_s: float, t_s: Array) -> Array:
        """How far an event is in force at the times `t_s`: 0 before it, 1 after its ramp, back to 0 after its end."""
        if self.repeat_s == 0.0:
            return _trapezoid(t_s, event.from_s, event.to_s, ramp_s)
        end = min(event.to_s, self.repeat_s)
        within = t_s % self.repeat_s
        again = np.where(t_s >= self.repeat_s, within + self.repeat_s, -math.inf)
        return np.maximum(_trapezoid(within, event.from_s, end, ramp_s), _trapezoid(again, event.from_s, end, ramp_s))

    def share_at(self, event: Event, ramp_s: float, t_s: float) -> float:
        """How far an event is in force at one time."""
        if self.repeat_s == 0.0:
            return _point_of_trapezoid(t_s, event.from_s, event.to_s, ramp_s)
        end, within = min(event.to_s, self.repeat_s), t_s % self.repeat_s
        again = within + self.repeat_s if t_s >= self.repeat_s else -math.inf
        return max(_point_of_trapezoid(at, event.from_s, end, ramp_s) for at in (within, again))

    def next_edge(self, from_s: float) -> float:
        """When the next event begins or ends, at `from_s` or later; infinity: never."""
        edges = [edge for event in self.patient.events for edge in (event.from_s, event.to_s)]
        if self.repeat_s == 0.0:
            return min((edge for edge in edges if edge >= from_s), default=math.inf)
        within, turn = from_s % self.repeat_s, from_s // self.repeat_s * self.repeat_s
        # What ends with the repetition ends where the next begins.
        edges = [min(edge, self.repeat_s) for edge in edges]
        later = [turn + edge if edge >= within else turn + self.repeat_s + edge for edge in edges]
        return min(later, default=math.inf)

    def _laid_out(self, event: Event, from_s: float, to_s: float) -> list[tuple[float, float]]:
        start, length = event.from_s, event.for_s
        if self.repeat_s == 0.0:
            end = event.to_s
            return [(start, end)] if start < to_s and end > from_s else []
        length = length or self.repeat_s - start
        first = max(0, math.floor((from_s - start - length) / self.repeat_s))
        last = max(0, math.floor((to_s - start) / self.repeat_s))
        spans = [(start + k * self.repeat_s, start + k * self.repeat_s + length) for k in range(first, last + 1)]
        return [(a, b) for a, b in spans if a < to_s and b > from_s]


def ramp_of(event: RhythmEvent) -> float:
    """How long a rhythm's rate takes to get there."""
    if event.ramp_s >= 0.0:
        return event.ramp_s
    return 0.0 if event.rhythm in ABRUPT else RAMP_S


def _point_of_trapezoid(t_s: float, from_s: float, to_s: float, ramp_s: float) -> float:
    if ramp_s <= 0.0:
        return float(from_s <= t_s < to_s)
    if t_s < to_s:
        return min(1.0, max(0.0, (t_s - from_s) / ramp_s))
    reached = min(1.0, (to_s - from_s) / ramp_s)
    return max(0.0, reached - min(1.0, (t_s - to_s) / ramp_s))


def _trapezoid(t_s: Array, from_s: float, to_s: float, ramp_s: float) -> Array:
    if ramp_s <= 0.0:
        return ((t_s >= from_s) & (t_s < to_s)).astype(np.float64)
    rise = np.clip((t_s - from_s) / ramp_s, 0.0, 1.0)
    reached = min(1.0, (to_s - from_s) / ramp_s)
    fall = reached - np.clip((t_s - to_s) / ramp_s, 0.0, 1.0)
    shape: Array = np.where(t_s < to_s, rise, np.maximum(fall, 0.0))
    return shape
