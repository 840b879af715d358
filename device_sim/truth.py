"""What the simulator knows and the flow must find, as JSON lines: beats, rhythms, vitals, faults, expected alarms."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from device_sim.expected import Expected, FaultExpectations, HeartExpectations
from device_sim.physiology import Beat, BeatClass, Breath, rate_over
from device_sim.scenario import Script

MAX_NS = 1 << 62


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
    """Rates as of the end of ``[second, second + 1)``; null where there is none (see `physiology.rate_over`)."""

    patient: str
    second: int
    heart_rate_bpm: float | None
    breath_rate_bpm: float


class FaultLine(_Line, frozen=True, kw_only=True, tag="fault"):
    """A fault of a device, as scripted."""

    patient: str
    device: str
    fault: str
    from_ns: int
    to_ns: int


class AlarmLine(_Line, frozen=True, kw_only=True, tag="alarm"):
    """An alarm of that condition has its onset in this window.

    `required`: it must come. Otherwise it may: definitions differ at the edge, or a fault explains it.
    """

    patient: str
    condition: str
    from_ns: int
    to_ns: int
    required: bool = True


TruthLine = PatientLine | BeatLine | RhythmLine | VitalLine | FaultLine | AlarmLine

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


class Scribe:
    """Writes down one patient's truth as time passes.

    Parameters
    ----------
    who
        The patient.
    script, breath
        What happens to the patient, and the patient's breathing.
    t_start_ns
        Unix time of the start of the run; all other times here count from it, in s.
    phase_s
        When the device takes its first sample.
    end_s
        When the run ends (infinity: never); what could only be noticed later is not required.
    rhythm
        Name of the rhythm where the script says nothing.
    """

    def __init__(
        self,
        who: Who,
        script: Script,
        breath: Breath,
        *,
        t_start_ns: int,
        phase_s: float,
        end_s: float = math.inf,
        rhythm: str = "sinus",
    ) -> None:
        self._who = who
        self._script = script
        self._breath = breath
        self._t_start_ns = t_start_ns
        self._end_s = end_s
        self._base_rhythm = rhythm
        self._rhythm = (rhythm, 0.0)
        self._now_s = 0.0
        self._second = -(-t_start_ns // 1_000_000_000)
        self._beats: deque[float] = deque(maxlen=64)
        self._heart = HeartExpectations()
        self._faults = FaultExpectations(phase_s)

    def opening(self) -> list[TruthLine]:
        """Lines that come before all others."""
        return [PatientLine(**self._who._asdict(), from_ns=self._t_start_ns)]

    def until(self, to_s: float, beats: Iterable[Beat]) -> list[TruthLine]:
        """Lines of the time up to `to_s`; `beats` are those of that time."""
        lines: list[TruthLine] = []
        who = self._who
        for beat in beats:
            lines += self._alarms(self._heart.beat(beat.time_s))
            lines += self._vitals(beat.time_s)
            self._beats.append(beat.time_s)
            lines.append(BeatLine(patient=who.patient, time_ns=self._ns(beat.time_s), kind=beat.kind))
        lines += self._alarms(self._heart.silence(to_s))
        lines += self._vitals(to_s)
        if self._script.patient.rhythms or self._script.patient.faults:
            lines += self._events(to_s)
        self._now_s = to_s
        return lines

    def closing(self) -> list[TruthLine]:
        """Lines that come after all others."""
        name, from_s = self._rhythm
        end = self._ns(self._now_s)
        last = RhythmLine(patient=self._who.patient, rhythm=name, from_ns=self._ns(from_s), to_ns=end)
        return [*self._alarms(self._heart.close(self._now_s)), last]

    def _events(self, to_s: float) -> list[TruthLine]:
        lines: list[TruthLine] = []
        who = self._who
        edges: set[float] = set()
        for episode in self._script.episodes(self._now_s, to_s):
            edges.update(edge for edge in (episode.from_s, episode.to_s) if self._now_s <= edge < to_s)
        for edge in sorted(edges):
            name, from_s = self._rhythm
            begun = self._script.episodes(edge, edge + 1e-9)
            self._rhythm = (begun[0].rhythm if begun else self._base_rhythm, edge)
            if edge > from_s:
                lines.append(
                    RhythmLine(patient=who.patient, rhythm=name, from_ns=self._ns(from_s), to_ns=self._ns(edge))
                )
        for fault in self._script.faults(self._now_s, to_s):
            if self._now_s <= fault.from_s < to_s:
                span = {"from_ns": self._ns(fault.from_s), "to_ns": self._ns(min(fault.to_s, self._end_s))}
                lines.append(FaultLine(patient=who.patient, device=who.device, fault=fault.name, **span))
                lines += self._alarms(self._faults.begun(fault))
        return lines

    def _vitals(self, to_s: float) -> list[TruthLine]:
        """Every second that ends by `to_s`; called before a later beat is noted."""
        lines: list[TruthLine] = []
        while (end_ns := (self._second + 1) * 1_000_000_000) <= self._ns(to_s):
            end_s = (end_ns - self._t_start_ns) / 1e9
            turns = self._breath.turns(np.array([end_s - 1.0, end_s]))
            lines.append(
                VitalLine(
                    patient=self._who.patient,
                    second=self._second,
                    heart_rate_bpm=rate_over(self._beats, end_s),
                    breath_rate_bpm=60.0 * float(turns[1] - turns[0]),
                )
            )
            self._second += 1
        return lines

    def _alarms(self, expected: Iterable[Expected]) -> list[TruthLine]:
        return [
            AlarmLine(
                patient=self._who.patient,
                condition=one.condition,
                from_ns=self._ns(one.from_s),
                to_ns=self._ns(one.to_s),
                required=one.required and one.to_s <= self._end_s and not self._hidden(one),
            )
            for one in expected
        ]

    def _hidden(self, one: Expected) -> bool:
        """Whether a fault hides the heart while a physiological alarm would be due."""
        return one.physiological and bool(self._script.faults(one.since_s, one.to_s))

    def _ns(self, at_s: float) -> int:
        return min(MAX_NS, self._t_start_ns + round(at_s * 1e9)) if at_s < 1e9 else MAX_NS
