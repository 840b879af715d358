"""What the HTTP API says and takes, as types: its answers, its OpenAPI document and its checks are made from these.

Times are RFC 3339 in UTC, to the nanosecond; what could not be measured is null.
"""

from typing import Literal

import msgspec

from dataflows.events import AlarmChange, AlarmKind, AlarmState, Condition, Need, Priority


class Strip(msgspec.Struct, frozen=True):
    """The 10 s of one lead before an event."""

    rate_hz: int
    scale: float  # unit per count
    samples: str  # little-endian int16, base64


class Alarm(msgspec.Struct, frozen=True):
    """An alarm as one of its events has it."""

    site: str
    id: str
    step: int
    patient: str
    ward: str
    bed: str
    condition: Condition
    kind: AlarmKind
    priority: Priority
    state: AlarmState
    change: AlarmChange
    onset: str
    event: str
    arrival: str
    value: float | None
    u: float | None
    unit: str
    limit: float | None
    quality: float | None
    confidence: float | None
    algorithm: str
    version: str
    reason: str
    actor: str
    note: str
    mark: Literal["", "true", "false"]
    occurrences: int
    level: int
    episode: str
    within: str  # id of the alarm of a silent ward that this one is told within; empty: it stands alone
    until: str | None
    condition_delay_ms: float | None
    signal_delay_ms: float | None
    strip: Strip | None = None


class Alarms(msgspec.Struct, frozen=True):
    """Alarms as they are now, and where to go on."""

    alarms: list[Alarm]
    more: bool  # there are more in this direction
    next: str | None  # give it as `before` for older changes; null where newer ones were asked for
    newest: str  # give it as `after` for what changes from here on


class AlarmHistory(msgspec.Struct, frozen=True):
    """One alarm as it is now, and every event of it in order."""

    alarm: Alarm
    history: list[Alarm]


class Receipt(msgspec.Struct, frozen=True):
    """What became of an event of an alarm at a receiver, and when it did first."""

    receiver: str
    step: int
    what: str  # queued, delivered, seen, accepted; or "did " or "refused " and what a signed link was used for
    at: str


class Receipts(msgspec.Struct, frozen=True):
    """All of an alarm."""

    receipts: list[Receipt]


class Device(msgspec.Struct, frozen=True):
    """How a device is."""

    site: str
    device: str
    patient: str
    model: str
    simulated: bool
    state: str
    reason: str
    locked: bool
    flags: str
    last_seen: str | None
    clock_offset_ms: float | None
    noise_floor: float | None
    declared_noise_floor: float | None
    noise_unit: str
    calibration_expiry: str | None
    faults: str  # codes of what is wrong with it or its way here
    ageing: float | None  # growth of its noise floor, % a day
    ageing_u: float | None


class Devices(msgspec.Struct, frozen=True):
    """Devices by site and name, and where to go on."""

    devices: list[Device]
    next: str | None  # give it as `after`


class Hour(msgspec.Struct, frozen=True):
    """Packets of a device in an hour: published = stored + quarantined + lost."""

    hour: str
    published: int
    stored: int
    quarantined: int
    lost: int
    away: int
    repeated: int
    late: int


class DeviceHours(msgspec.Struct, frozen=True):
    """A device with its ledger."""

    device: Device
    ledger: list[Hour]


class Patient(msgspec.Struct, frozen=True):
    """Where a patient lies, and how much somebody is needed there."""

    site: str
    patient: str
    ward: str
    bed: str
    admitted: bool
    devices: list[str]
    need: Need | None  # 0 nothing; 1 to 3 low, medium, high, seen; 4 to 6 the same, not seen; null: not told yet
    words: str  # the worst alarm, readable without colour


class Patients(msgspec.Struct, frozen=True):
    """Patients by site and name, and where to go on."""

    patients: list[Patient]
    next: str | None  # give it as `after`


class Value(msgspec.Struct, frozen=True):
    """A measured value with its standard uncertainty and its quality."""

    value: float | None
    u: float | None
    quality: float


class Second(msgspec.Struct, frozen=True):
    """One second of a patient."""

    second: int  # unix time
    hr: Value
    rr_interval: Value
    rmssd: Value
    sdnn: Value
    pulse: Value
    temp: Value
    resp: Value
    spo2: Value
    resp_reason: str  # why it could not be measured, in one word; empty: it could; and so on
    resp_source: str
    spo2_reason: str
    pvc: Value
    pnn50: Value
    lf: Value
    hf: Value
    hrv_reason: str
    qt: Value
    qtc: Value
    qt_reason: str
    transit: Value
    transit_reason: str
    alpha: Value
    beta: Value
    brain_reason: str
    seizure: Value  # an index, no diagnosis
    af: float | None
    vf: float | None
    vt: float | None
    news2_min: float | None
    news2_max: float | None
    news2_trend: Value
    deviation: float | None
    coverage: float | None
    quality: float | None
    reason: str
    source: str
    settling: bool
    late: bool
    clock_offset_ms: float | None


class Seconds(msgspec.Struct, frozen=True):
    """Seconds of one patient, oldest first."""

    site: str
    patient: str
    vitals: list[Second]


class PartitionHealth(msgspec.Struct, frozen=True):
    """How a partition is."""

    partition: str
    flowing: bool
    silent_since: str | None


class Health(msgspec.Struct, frozen=True):
    """Whether data flow."""

    flowing: bool
    detail: str  # why not
    partitions: list[PartitionHealth]


class CommandOutcome(msgspec.Struct, frozen=True):
    """What became of a command."""

    command: str
    state: Literal["done", "refused", "waiting"]  # waiting: it is kept, and will be done when the flow runs
    actor: str
    detail: str


class TokenOut(msgspec.Struct, frozen=True):
    """Who may ask."""

    name: str
    role: Literal["view", "acknowledge", "admin"]


class TokenList(msgspec.Struct, frozen=True):
    """Everyone who may ask."""

    tokens: list[TokenOut]
