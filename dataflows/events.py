"""What goes out: vitals, alarms, waveforms, device status, ledger; every key is made from journal content only."""

from typing import ClassVar, Final, Literal

import msgspec

Condition = Literal[
    "asystole",
    "ventricular-fibrillation",
    "ventricular-tachycardia",
    "extreme-bradycardia",
    "extreme-tachycardia",
    "pause",
    "atrial-fibrillation",
    "bigeminy",
    "ventricular-run",
    "apnoea",
    "resp-low",
    "resp-high",
    "spo2-low",
    "temp-low",
    "temp-high",
    "deterioration",
    "urgent-deterioration",
    "lost-contact",
    "frozen",
    "sensor-fault",
    "device-fault",
    "saturated",
    "poor-signal",
    "cannot-analyse",
    "off-body",
    "late-data",
    "flooding",
    "ward-silent",
    "broker-lost",
    "system-fault",
]
AlarmKind = Literal["physiological", "technical"]
Priority = Literal["high", "medium", "low"]
Need = Literal[
    0, 1, 2, 3, 4, 5, 6
]  # 0 nothing; 1 low, 2 medium, 3 high, all acknowledged; 4 low, 5 medium, 6 high, not
AlarmState = Literal["active", "acknowledged", "latched", "shelved", "ended", "retracted", "missed"]
AlarmChange = Literal[  # what made a transition
    "raised",
    "retriggered",
    "worsened",
    "acknowledged",
    "shelved",
    "unshelved",
    "latched",
    "ended",
    "retracted",
    "missed",
    "commented",
    "marked",
    "escalated",
]
STANDING: Final[tuple[AlarmState, ...]] = ("active", "acknowledged", "latched", "shelved")
SEEN: Final[tuple[AlarmState, ...]] = ("acknowledged", "shelved")  # of these: somebody has taken care
OVER: Final[tuple[AlarmState, ...]] = ("ended", "retracted", "missed")
SECOND_NS = 1_000_000_000
WARD = "ward"  # the subject of alarms that concern no single patient

NAN = float("nan")


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """A measured value; NaN where it could not be measured."""

    value: float = NAN
    u: float = NAN  # standard uncertainty, in the value's unit
    quality: float = 0.0  # 0..1


class Vitals(msgspec.Struct, frozen=True, array_like=True):
    """One second of one patient, [second, second + 1) in corrected device time."""

    kind: ClassVar[str] = "vitals"
    site: str
    patient: str
    second: int  # unix time, s
    hr: Reading  # heart rate out of every source, bpm
    rr_interval: Reading  # last RR interval, ms
    rmssd: Reading  # ms
    sdnn: Reading  # ms
    pulse: Reading  # pulse rate of the optical sensor, bpm
    temp: Reading  # skin temperature, Cel
    coverage: float  # share of the expected samples that came, 0..1
    quality: float  # of the cardiac signal, 0..1
    reason: str  # why the quality is not 1, in one word; empty: nothing to say
    source: str  # what hr was made from: mcg, ppg, mcg+ppg, none
    settling: bool  # filters restarted a short time ago
    late: bool  # the evidence was older than 30 s on arrival
    clock_offset_ms: float = NAN  # corrected minus raw time of the device whose samples came first; NaN: none came
    ward: str = ""  # where the patient lies; empty: not known
    deviation: float = NAN  # of all vitals of the minute before from what is usual for the patient, standard deviations
    news2_min: float = NAN  # the least that NEWS2 may be, by what was measured in the minute before ...
    news2_max: float = NAN  # ... and the most
    resp: Reading = Reading()  # breath rate, 1/min
    resp_reason: str = ""  # why it could not be measured, in one word; empty: it could
    resp_source: str = ""  # what it was made from: mcg, ppg, motion, joined by +; none
    spo2: Reading = Reading()  # oxygen saturation, %, by a simulated calibration
    spo2_reason: str = ""  # why it could not be measured, in one word; empty: it could
    af: float = NAN  # probability of atrial fibrillation, by the beats of half a minute
    vf: float = NAN  # probability of ventricular fibrillation or flutter, by the last 5 s
    vt: float = NAN  # of ventricular tachycardia
    pvc: Reading = Reading()  # ventricular beats in a minute
    pnn50: Reading = Reading()  # neighbouring normal intervals of five minutes that differ by more than 50 ms, %
    lf: Reading = Reading()  # power of normal intervals between 0.04 and 0.15 Hz in five minutes, ms2
    hf: Reading = Reading()  # between 0.15 and 0.40 Hz, ms2
    hrv_reason: str = ""  # why these three could not be measured, in one word; empty: they could
    qt: Reading = Reading()  # of averaged beats, ms
    qtc: Reading = Reading()  # the same for a rate of 60 by Fridericia, ms
    qt_reason: str = ""  # why these two could not be measured, in one word; empty: they could
    transit: Reading = Reading()  # R peak to the foot of the pulse at the optical sensor, ms
    transit_reason: str = ""  # why it could not be measured, in one word; empty: it could
    alpha: Reading = Reading()  # share of a brain's power between 4 and 40 Hz that lies between 8 and 13 Hz, 0..1
    beta: Reading = Reading()  # between 13 and 30 Hz
    brain_reason: str = ""  # why these two could not be measured, in one word; empty: they could
    seizure: Reading = Reading()  # index: sharp transients of a brain in a minute; no diagnosis
    news2_trend: Reading = Reading()  # slope of the middle between news2_min and news2_max in four hours, 1/h

    @property
    def key(self) -> str:
        """Same patient and second: same row."""
        return f"{self.patient}/{self.second}"


class Wave(msgspec.Struct, frozen=True, array_like=True):
    """One second of one patient's cleaned cardiac lead for the eye, 125 Hz."""

    kind: ClassVar[str] = "wave"
    site: str
    patient: str
    second: int
    stream: str
    scale: float  # unit per count
    unit: str
    samples: bytes  # little-endian int16

    @property
    def key(self) -> str:
        """Same patient, stream and second: same row."""
        return f"{self.patient}/{self.stream}/{self.second}"


class AlarmEvent(msgspec.Struct, frozen=True, array_like=True):
    """One transition of one alarm."""

    kind: ClassVar[str] = "alarm"
    site: str
    id: str  # hash of patient, condition and onset
    step: int  # counts this alarm's transitions from 0
    patient: str
    condition: Condition
    category: AlarmKind
    priority: Priority
    state: AlarmState
    onset_ns: int  # when the condition became true by its definition, corrected device time
    event_ns: int  # newest evidence of this transition, corrected device time
    arrival_ns: int  # of the journal record that caused it
    value: float
    limit: float
    quality: float
    confidence: float
    algorithm: str
    version: str
    reason: str  # in words that a nurse can use
    actor: str = ""  # who did it; empty: nobody, it happened
    note: str = ""
    strip: bytes = b""  # the 10 s before the event, one lead, 125 Hz, little-endian int16
    strip_scale: float = NAN  # unit per count
    ward: str = ""  # where the patient lies; empty: not known
    bed: str = ""
    change: AlarmChange = "raised"
    u: float = NAN  # standard uncertainty of the value, same unit
    unit: str = ""  # UCUM, of value and limit
    condition_delay_ms: float = NAN  # onset by its definition to condition found: evidence, delay, signal's way
    signal_delay_ms: float = NAN  # arrival of what made the condition true to this event
    episode: str = ""  # id of the first alarm of its episode; empty: it is itself the first
    occurrences: int = 1  # how often the condition came true in this alarm's life
    until_ns: int = 0  # shelved until, arrival time; 0: not shelved
    mark: Literal["", "true", "false"] = ""  # what somebody said that the alarm was
    level: int = 0  # rung of the escalation ladder, from 0
    within: str = ""  # id of the ward's alarm that says the same of many: this one pages nobody by itself

    @property
    def key(self) -> str:
        """Same alarm and step: same row."""
        return f"{self.id}/{self.step}"


class PatientInfo(msgspec.Struct, frozen=True, array_like=True):
    """Where a patient lies and what the patient wears."""

    kind: ClassVar[str] = "patient"
    site: str
    patient: str
    bed: str
    devices: tuple[str, ...]
    admitted: bool
    revision: int
    ward: str = ""

    @property
    def key(self) -> str:
        """One row per patient, revised."""
        return self.patient


class BedState(msgspec.Struct, frozen=True, array_like=True):
    """Who lies where and how much somebody is needed there: told at every change, and once an hour."""

    kind: ClassVar[str] = "bed"
    site: str
    patient: str
    at_ns: int  # of arrival of what changed it, and always after the patient's row before it
    ward: str
    bed: str
    admitted: bool  # False: the patient has left this ward
    need: Need  # by the alarm that is worst
    priority: Priority | Literal[""]  # of that alarm
    condition: Condition | Literal[""]
    words: str  # that alarm, readable without colour
    since_ns: int  # its onset; of no alarm: when the last one was over, or the patient came
    standing: int  # alarms that have not ended
    acknowledged: int  # of these: acknowledged or shelved

    @property
    def key(self) -> str:
        """Each change is a row."""
        return f"{self.patient}/{self.at_ns}"


class DeviceStatus(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a device, revised at every change, and every two seconds while it sends."""

    kind: ClassVar[str] = "device"
    site: str
    device: str
    patient: str  # empty: not assigned
    model: str
    simulated: bool
    state: str  # online, offline, zeroing, calibrating, unknown, gone
    reason: str
    last_seen_ns: int  # arrival time of the newest packet
    clock_offset_ms: float  # corrected minus raw device time
    noise_floor: float  # as the device measured it last, unit / sqrt(Hz) of its first stream
    revision: int
    declared_noise_floor: float = NAN  # by its birth, of the same stream; NaN: not stated
    noise_unit: str = ""  # of both
    calibration_expiry_ns: int = 0  # of the stream whose calibration ends first; 0: not stated
    locked: bool = False  # every sensor of the newest packet
    flags: str = ""  # what else its sensors said of themselves, in words
    faults: str = ""  # names of what is wrong with it or its way to us (`ailments.WORDS`), with spaces between
    ageing: float = NAN  # growth of its noise floor against its own history, % a day
    ageing_u: float = NAN  # standard uncertainty of that

    @property
    def key(self) -> str:
        """One row per device, revised."""
        return f"{self.site}/{self.device}"


class Ledger(msgspec.Struct, frozen=True, array_like=True):
    """Packets of one device in one hour of arrival: published = stored + quarantined + lost; repeats beside.

    A packet that comes late counts in the hour in which it was missed, as long as that hour is remembered.
    """

    kind: ClassVar[str] = "ledger"
    site: str
    device: str
    hour: int  # unix time / 3600 of arrival
    published: int  # by sequence number
    stored: int
    quarantined: int
    lost: int
    repeated: int
    late: int  # of the stored: out of order, reached only this ledger
    away: int  # of the lost: missed while ingest or the broker was away; the others never came, nobody knows why
    revision: int

    @property
    def key(self) -> str:
        """One row per device and hour, revised."""
        return f"{self.site}/{self.device}/{self.hour}"


class Bad(msgspec.Struct, frozen=True, array_like=True):
    """A message that was refused, and why; it may stand for others of its minute that were refused likewise."""

    kind: ClassVar[str] = "bad"
    site: str
    offset: int  # in the journal
    item: int  # within a bundle; 0 otherwise
    arrival_ns: int
    topic: str
    reason: str
    detail: str
    size: int  # bytes
    count: int = 1  # messages that this row stands for, this one among them

    @property
    def key(self) -> str:
        """Same journal record: same row."""
        return f"{self.offset}/{self.item}"


class Removal(msgspec.Struct, frozen=True, array_like=True):
    """What was removed because room ran short: a loss that is known."""

    kind: ClassVar[str] = "removal"
    site: str  # "-": it concerns all
    offset: int  # in the journal, of the report that says so
    arrival_ns: int
    what: str  # journal, vitals, wave, bad, alarm
    first: int  # of the journal: offset; of the others: unix time, s
    end: int  # the same, exclusive
    size: int  # bytes
    why: str

    @property
    def key(self) -> str:
        """Same journal record: same row."""
        return str(self.offset)


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What became of a command."""

    kind: ClassVar[str] = "answer"
    site: str
    command: str  # its id
    actor: str
    done: bool
    detail: str
    arrival_ns: int

    @property
    def key(self) -> str:
        """One answer per command and time: an id that is used again has an answer of its own."""
        return f"{self.command}/{self.arrival_ns}"


Row = Vitals | Wave | AlarmEvent | PatientInfo | BedState | DeviceStatus | Ledger | Bad | Removal | Answer
