"""What the ward page and its server say to each other: JSON over one WebSocket; anything else is refused.

The page's side of it stands in ``static/messages.js``. Times are unix milliseconds: a browser's numbers hold no
nanoseconds.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dataflows.events import AlarmKind, AlarmState, Need, Priority
from ingest import command
from ingest.command import Command, Note
from ingest.profile import Name

Key = Annotated[str, Meta(max_length=200)]  # partition/site/patient
Request = Annotated[str, Meta(min_length=1, max_length=64)]
OutcomeState = Literal["refused", "sent", "done", "failed", "waiting"]


class Value(msgspec.Struct, frozen=True):
    """A measured value with its standard uncertainty; null where it could not be measured."""

    value: float | None = None
    u: float | None = None


class Alarm(msgspec.Struct, frozen=True):
    """One alarm that stands, or one that is over of late."""

    id: str
    condition: str
    category: AlarmKind
    priority: Priority
    state: AlarmState
    onset_ms: int
    event_ms: int
    need: Need  # of somebody, by this alarm alone; 0: it is over
    words: str  # the alarm, readable without colour
    said: str  # what has become of it, and what people said of it; empty: nothing
    reason: str
    occurrences: int  # how often its condition came true
    level: int  # rung of the escalation ladder
    until_ms: int  # shelved until; 0: it is not
    shelve_s: int  # for which it may be shelved, at most
    mark: Literal["", "true", "false"]  # what somebody said that it was


class Tile(msgspec.Struct, frozen=True):
    """All that is shown of one patient, or of what concerns the whole ward."""

    key: str
    name: str  # bed, or the patient where no bed is known
    patient: str
    ward: str  # empty: not known
    of_ward: bool  # no patient: alarms of the whole ward
    need: Need  # by the alarm that is worst
    words: str  # that alarm, and whether somebody has seen it; empty: none stands
    second: int | None  # of the values, unix time; null: none came yet
    hr: Value
    pulse: Value
    temp: Value
    resp: Value  # breath rate
    rmssd: Value
    af: Value  # probability of atrial fibrillation, %
    pvc: Value  # ventricular beats in a minute
    pnn50: Value  # of five minutes, %
    lf: Value  # power of the intervals, ms2
    hf: Value
    qt: Value  # ms
    qtc: Value  # by Fridericia
    transit: Value  # of the pulse, ms
    alpha: Value  # share of a brain's power, %
    beta: Value
    spikes: Value  # sharp transients of a brain in a minute
    trend: Value  # of NEWS2, points an hour
    trust: str  # how good the heart rate is, of whichever sensor: good, fair, poor, none or settling
    signal: str  # how good the cardiac lead is, likewise
    reason: str  # why the signal is not good
    source: str  # what hr was made from
    late: bool  # the evidence was old on arrival
    alarms: tuple[Alarm, ...]  # that stand: what needs someone most comes first
    over: tuple[Alarm, ...]  # that are over of late, the newest first


class Second(msgspec.Struct, frozen=True):
    """One second of the chosen patient's waveform."""

    key: str
    second: int  # unix time
    stream: str
    unit: str
    scale: float  # unit per count
    rate_hz: int
    counts: list[int]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a request, or of a message that could not be read (its request is empty)."""

    request: str
    state: OutcomeState  # sent: on disk at the door; done or failed: the flow says so; waiting: it has not answered yet
    detail: str


class Silent(msgspec.Struct, frozen=True):
    """A partition of which nothing comes that would come from a flow that runs."""

    partition: str
    since_ms: int  # arrival of the newest that its flow has worked through


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """The whole ward, first of all on every connection."""

    n: int  # of this message; the page answers with it
    now_ms: int
    edition: str  # of the page; a page of another one should be loaded again
    stale_s: float  # values older than this are old
    trouble: str  # why the store cannot be read; empty: it can
    silent: tuple[Silent, ...]
    tiles: tuple[Tile, ...]


class Changes(msgspec.Struct, frozen=True, tag="changes"):
    """What is new since the message before; also the sign of life, twice a second at least."""

    n: int
    now_ms: int
    trouble: str
    silent: tuple[Silent, ...] = ()  # all that are now
    tiles: tuple[Tile, ...] = ()
    gone: tuple[str, ...] = ()  # keys
    seconds: tuple[Second, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


class _FromPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page says nothing that is not agreed."""


class Seen(_FromPage, frozen=True, tag="seen"):
    """The page has taken in message `n`: it may be sent more."""

    n: int


class Choose(_FromPage, frozen=True, tag="choose"):
    """Show the waveform of a patient; an empty key: of none."""

    key: Key


class _OfAlarm(_FromPage, frozen=True):
    request: Request  # given back in the outcome
    key: Key
    alarm: Name
    actor: Name
    note: Note = ""


class Acknowledge(_OfAlarm, frozen=True, tag="acknowledge"):
    """Someone takes care of an alarm."""


class Shelve(_OfAlarm, frozen=True, tag="shelve", kw_only=True):
    """The condition of an alarm is to be quiet for a while with this patient."""

    seconds: Annotated[int, Meta(ge=1, le=86_400)]


class Unshelve(_OfAlarm, frozen=True, tag="unshelve"):
    """It may speak again."""


class Comment(_OfAlarm, frozen=True, tag="comment"):
    """Something is said of an alarm."""


class Mark(_OfAlarm, frozen=True, tag="mark", kw_only=True):
    """An alarm was true, or false."""

    was: Literal["true", "false"]


OfAlarm = Acknowledge | Shelve | Unshelve | Comment | Mark
FromPage = Seen | Choose | OfAlarm
_decoder: msgspec.json.Decoder[FromPage] = msgspec.json.Decoder(FromPage)


def command_of(said: OfAlarm, id_: str, patient: str, condition: str) -> Command:
    """Command that does what was said of an alarm of a patient."""
    match said:
        case Acknowledge():
            return command.Acknowledge(id=id_, note=said.note, patient=patient, alarm=said.alarm)
        case Shelve():
            return command.Shelve(id=id_, note=said.note, patient=patient, condition=condition, seconds=said.seconds)
        case Unshelve():
            return command.Unshelve(id=id_, note=said.note, patient=patient, condition=condition)
        case Comment():
            return command.Comment(id=id_, note=said.note, patient=patient, alarm=said.alarm)
        case Mark():
            return command.Mark(id=id_, note=said.note, patient=patient, alarm=said.alarm, was=said.was)


def decode(text: str) -> FromPage:
    """Read what a page said.

    Raises
    ------
    ValueError
        It is none of the agreed messages; the message says what is wrong with it.
    """
    return _decoder.decode(text)


def encode(message: Snapshot | Changes) -> str:
    """Message as JSON."""
    return msgspec.json.encode(message).decode()
