"""What the simulator knows and the flow must find, as JSON lines: beats, rhythms, vitals, faults, alarms due."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from device_sim.physiology import BeatClass

MAX_NS = 1 << 62
EventKind = Literal["activity", "breath", "blood", "temperature", "st", "course", "brain"]


class _Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """One line of truth; times in ns of true time (unix time when live)."""


class PatientLine(_Line, frozen=True, kw_only=True, tag="patient"):
    """Who wears what where."""

    patient: str
    device: str
    bed: str
    site: str
    from_ns: int
    ward: str = ""
    recorded: bool = False  # the heart is a recorded one: its truth is what was annotated


class BeatLine(_Line, frozen=True, kw_only=True, tag="beat", rename={"kind": "class"}):
    """R peak of the true heart; the field reaches the samples `opm` delay later."""

    patient: str
    time_ns: int
    kind: BeatClass


class RhythmLine(_Line, frozen=True, kw_only=True, tag="rhythm"):
    """A rhythm that is over (or was cut off by the end of the run)."""

    patient: str
    rhythm: str
    from_ns: int
    to_ns: int


class VitalLine(_Line, frozen=True, kw_only=True, tag="vital"):
    """How the patient is at the end of ``[second, second + 1)``; null where there is none (`physiology.rate_over`)."""

    patient: str
    second: int
    heart_rate_bpm: float | None
    breath_rate_bpm: float  # 0: no breath
    pulse_rate_bpm: float | None = None
    spo2: float | None = None  # %; it and the pulse: null where the pulse is a recorded one
    skin_cel: float | None = None  # where the device sits, or would sit
    core_cel: float | None = None
    qt_ms: float | None = None  # of the last normal beat; null of a recorded heart


class EventLine(_Line, frozen=True, kw_only=True, tag="event"):
    """Something else that was scripted: an activity, a breath, a course, something of blood or brain."""

    patient: str
    what: EventKind
    name: str
    from_ns: int
    to_ns: int


class FaultLine(_Line, frozen=True, kw_only=True, tag="fault"):
    """A fault of a device, as scripted."""

    patient: str
    device: str
    fault: str
    from_ns: int
    to_ns: int


class WitnessLine(_Line, frozen=True, kw_only=True, tag="witness"):
    """Hash of a whole run, births and packets and the truth before this line: the same bytes for the same of these."""

    scenario: str
    seed: int
    version: str
    from_ns: int  # unix time of its start: packets and truth tell the time
    sha256: str
    patients: int = 0
    seconds: float = 0.0  # that were asked for; 0: for ever
    site: str = ""
    scenario_sha256: str = ""  # of the scenario's file
    wfdb: tuple[str, ...] = ()  # recorded hearts, and pulses, as they were asked for
    pulse: tuple[str, ...] = ()
    records_sha256: str = ""  # of every record's files, the scenario's own among them; empty: there was none
    whole: bool = True  # it went on to its end


class AlarmLine(_Line, frozen=True, kw_only=True, tag="alarm"):
    """An alarm of that condition has its onset in this window.

    `required`: it must come. Otherwise it may: definitions differ at the edge, a fault explains it, or it should have
    been noticed but not every flow knows the condition.

    `due`: the patient needs it, whether or not today's flow knows the condition or a fault of the sensor hides it. What
    a monitor should speak of is decided in `foreseen`.
    """

    patient: str
    condition: str
    from_ns: int
    to_ns: int
    required: bool = True
    due: bool = False


TruthLine = PatientLine | BeatLine | RhythmLine | VitalLine | EventLine | FaultLine | AlarmLine | WitnessLine

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(TruthLine)


def encode_line(line: TruthLine) -> bytes:
    """JSON of a line, without a line break."""
    return _encoder.encode(line)


def read_truth(path: Path | str) -> Iterator[TruthLine]:
    """Lines of a truth file, in order."""
    with Path(path).open("rb") as file:
        for line in file:
            yield _decoder.decode(line)


class Who(NamedTuple):
    """Names of a patient and of what surrounds the patient."""

    patient: str
    device: str
    bed: str
    site: str
    ward: str = "ward-1"
