"""What can be scripted for one patient, each with its time, and the refusal of what no body or device can do."""

import math
from itertools import pairwise
from typing import ClassVar, Literal, get_args

import msgspec

from device_sim.faults import FAULTS

RhythmName = Literal[
    "sinus",
    "bradycardia",
    "tachycardia",
    "pauses",
    "wenckebach",
    "mobitz",
    "atrial-ectopy",
    "atrial-fibrillation",
    "atrial-flutter",
    "ectopy",
    "bigeminy",
    "ventricular-runs",
    "ventricular-tachycardia",
    "ventricular-fibrillation",
    "asystole",
    "agonal",
    "pulseless",
]
BreathName = Literal["paced", "shallow", "periodic", "apnoea"]
BloodName = Literal["desaturation", "perfusion"]
ActivityName = Literal["walking", "turning", "getting-up", "cough", "compressions", "device-off", "device-in-hand"]
CourseName = Literal["infection", "bleeding", "respiratory"]
BrainName = Literal["alpha", "beta", "blinks", "muscle", "spikes"]

RHYTHMS: tuple[RhythmName, ...] = get_args(RhythmName)
BREATHS: tuple[BreathName, ...] = get_args(BreathName)
BLOODS: tuple[BloodName, ...] = get_args(BloodName)
ACTIVITIES: tuple[ActivityName, ...] = get_args(ActivityName)
COURSES: tuple[CourseName, ...] = get_args(CourseName)
BRAINS: tuple[BrainName, ...] = get_args(BrainName)
# Activities in which nobody wears the device.
UNWORN: tuple[ActivityName, ...] = ("device-off", "device-in-hand")
# Rhythms of which nobody stays on their feet, coughs or sits up.
ARRESTED: tuple[RhythmName, ...] = ("ventricular-fibrillation", "asystole", "agonal", "pulseless")

RATES_BPM = (20.0, 250.0)
EPISODE_RATES_BPM = (5.0, 300.0)
BREATHS_BPM = (4.0, 60.0)
SPO2 = (50.0, 100.0)
CORE_CEL = (30.0, 42.0)


def need(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number out of its range, by name."""
    if not low <= value <= high:
        raise ValueError(f"{name}={value}: need {low} <= {name} <= {high}")


def need_one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a name that is unknown, and say which there are."""
    if value not in allowed:
        raise ValueError(f"{what} {value!r} is unknown: allowed are {', '.join(allowed)}")


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that begins at `from_s` and lasts `for_s` (0: until the end)."""

    what: ClassVar[str]

    from_s: float
    for_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse times that cannot be."""
        need("from_s", self.from_s, 0.0, 1e9)
        need("for_s", self.for_s, 0.0, 1e9)

    @property
    def to_s(self) -> float:
        """When it ends; infinity: never."""
        return self.from_s + (self.for_s or math.inf)

    @property
    def name(self) -> str:
        """Which of its kind it is; the kind itself where there is only one."""
        name = getattr(self, self.what, None)
        return name if isinstance(name, str) else self.what


class RhythmEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rhythm of the heart."""

    what: ClassVar[str] = "rhythm"

    rhythm: str
    rate_bpm: float = 0.0  # 0: as is usual for the rhythm, else the patient's own
    ramp_s: float = -1.0  # the rate takes this long to get there, and to come back; -1: as is usual for the rhythm

    def __post_init__(self) -> None:
        """Refuse what no heart can do."""
        need_one_of("rhythm", self.rhythm, RHYTHMS)
        super().__post_init__()
        if self.ramp_s != -1.0:
            need("ramp_s", self.ramp_s, 0.0, 600.0)
        if self.rate_bpm != 0.0:
            need("rate_bpm", self.rate_bpm, *EPISODE_RATES_BPM)


class BreathEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another way to breathe."""

    what: ClassVar[str] = "breath"

    breath: str
    rate_bpm: float = 0.0  # 0: the patient's own
    depth: float = 0.4  # of a shallow breath, against one at rest
    ramp_s: float = 4.0

    def __post_init__(self) -> None:
        """Refuse what no lungs can do."""
        need_one_of("breath", self.breath, BREATHS)
        super().__post_init__()
        need("depth", self.depth, 0.0, 3.0)
        need("ramp_s", self.ramp_s, 0.0, 3600.0)
        if self.rate_bpm != 0.0:
            need("rate_bpm", self.rate_bpm, *BREATHS_BPM)


class BloodEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Less oxygen in the blood, or less blood in the skin."""

    what: ClassVar[str] = "blood"

    blood: str
    spo2: float = 85.0  # % that a desaturation goes down to
    level: float = 0.2  # of the pulse in the light that a change of perfusion leaves
    ramp_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what no blood can do."""
        need_one_of("blood", self.blood, BLOODS)
        super().__post_init__()
        need("spo2", self.spo2, *SPO2)
        need("level", self.level, 0.0, 3.0)
        need("ramp_s", self.ramp_s, 0.0, 36000.0)


class TemperatureEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fever or cooling."""

    what: ClassVar[str] = "temperature"

    core_cel: float
    ramp_s: float = 3600.0

    def __post_init__(self) -> None:
        """Refuse what nobody lives through."""
        super().__post_init__()
        need("core_cel", self.core_cel, *CORE_CEL)
        need("ramp_s", self.ramp_s, 0.0, 360000.0)


class ActivityEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the patient does, or is done to the patient; otherwise the patient rests."""

    what: ClassVar[str] = "activity"

    activity: str
    size: float = 1.0  # against the usual size of the movement

    def __post_init__(self) -> None:
        """Refuse what is no activity."""
        need_one_of("activity", self.activity, ACTIVITIES)
        super().__post_init__()
        need("size", self.size, 0.0, 10.0)


class CourseEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deterioration over hours, in heart, lungs, blood and temperature at once."""

    what: ClassVar[str] = "course"

    course: str
    over_s: float = 4 * 3600.0  # it takes this long to reach its full size
    severity: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no course."""
        need_one_of("course", self.course, COURSES)
        super().__post_init__()
        need("over_s", self.over_s, 1.0, 1e7)
        need("severity", self.severity, 0.0, 1.5)


class StEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shift of the ST segment, and another T wave."""

    what: ClassVar[str] = "st"

    st: float = 0.2  # of the R peak; negative: a depression
    t_wave: float = 1.0  # what the T wave is multiplied by; negative: inverted
    ramp_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what no heart shows."""
        super().__post_init__()
        need("st", self.st, -1.0, 1.0)
        need("t_wave", self.t_wave, -3.0, 3.0)
        need("ramp_s", self.ramp_s, 0.0, 36000.0)

    @property
    def name(self) -> str:
        """Which way the segment goes, or the T wave if the segment stays."""
        return "st-elevation" if self.st > 0.0 else "st-depression" if self.st < 0.0 else "t-change"


class BrainEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cap sees: a rhythm, an artefact, spikes."""

    what: ClassVar[str] = "brain"

    brain: str
    size: float = 1.0  # against the usual size
    per_min: float = 0.0  # blinks and spikes; 0: as usual

    def __post_init__(self) -> None:
        """Refuse what no head does."""
        need_one_of("brain", self.brain, BRAINS)
        super().__post_init__()
        need("size", self.size, 0.0, 10.0)
        need("per_min", self.per_min, 0.0, 120.0)


class FaultEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault of the device."""

    what: ClassVar[str] = "fault"

    fault: str

    def __post_init__(self) -> None:
        """Refuse what is no fault."""
        need_one_of("fault", self.fault, FAULTS)
        super().__post_init__()


def refuse_overlap(what: str, events: tuple[Event, ...]) -> None:
    """Refuse events of one kind of which two would be at once."""
    for one, other in pairwise(sorted(events, key=lambda event: event.from_s)):
        if other.from_s < one.to_s:
            raise ValueError(
                f"{what}: events at {one.from_s:g}..{one.to_s:g} s and {other.from_s:g}..{other.to_s:g} s of one "
                "patient overlap: move one"
            )
