"""Writes down one patient's truth as time passes."""

import math
from collections import deque
from collections.abc import Iterable
from typing import cast

import numpy as np

from device_sim.bodies import Body
from device_sim.bodywatch import BodyExpectations, Second
from device_sim.brain import instants
from device_sim.breath import Lungs
from device_sim.course import APNOEA_DEPTH, SKIN_OF_CORE, levels
from device_sim.devices import DEVICES
from device_sim.events import ARRESTED
from device_sim.expected import Expected, FaultExpectations, blind_expectations
from device_sim.foreseen import ASKED, HARD, STANDS_FOR, event_expectations, hides, rhythm_expectations
from device_sim.heartvector import QT_FIXED_S, QT_LONGEST_RR_S, QT_STRETCHED_S
from device_sim.heartwatch import HeartExpectations
from device_sim.physiology import Beat, rate_over
from device_sim.recording import RecordedHeart
from device_sim.script import REST_CORE_CEL, Episode
from device_sim.spad import PULSE, TRANSIT_S, pulse_strength
from device_sim.tones import PointTones
from device_sim.truth import (
    MAX_NS,
    AlarmLine,
    BeatLine,
    EventKind,
    EventLine,
    FaultLine,
    PatientLine,
    RhythmLine,
    TruthLine,
    VitalLine,
    Who,
)

_PULSE_AFTER_S = TRANSIT_S + PULSE[0][0]  # from the R peak to the top of the pulse
LEAST_STROKE = 0.2  # a pulse smaller than this against a full one is none; from memory


class Scribe:
    """Writes down one patient's truth as time passes.

    Parameters
    ----------
    who
        The patient.
    body, lungs
        The patient's constants (without leading axes), and breathing with the script of all that happens.
    t_start_ns
        Unix time of the start of the run; all other times here count from it, in s.
    phase_s
        When the device takes its first sample.
    end_s
        When the run ends (infinity: never); what could only be noticed later is not required.
    recorded
        The heart, if it is a recorded one. Its truth is what was annotated, and nothing besides.
    """

    def __init__(
        self,
        who: Who,
        body: Body,
        lungs: Lungs,
        *,
        t_start_ns: int,
        phase_s: float,
        end_s: float = math.inf,
        recorded: RecordedHeart | None = None,
    ) -> None:
        self._who = who
        self._script = lungs.script
        self._body = body
        self._lungs = lungs
        self._t_start_ns = t_start_ns
        self._end_s = end_s
        self._recorded = recorded
        self._base_rhythm = "recorded" if recorded else "sinus"
        self._rhythm = (self._base_rhythm, 0.0)
        self._now_s = 0.0
        self._second = -(-t_start_ns // 1_000_000_000)
        self._beats: deque[float] = deque(maxlen=64)
        self._pulses: deque[float] = deque(maxlen=64)
        self._qt_ms: float | None = None
        self._turns: float | None = None  # of the breath, at the end of the last second
        self._heart = HeartExpectations()
        self._bodily = BodyExpectations()
        self._faults = FaultExpectations(phase_s)
        patient = lungs.script.patient
        self._eventful = bool(patient.events)
        self._quivers = recorded is not None or any(
            event.rhythm == "ventricular-fibrillation" for event in patient.rhythms
        )
        self._edge_s = self._script.next_edge(0.0)
        self._skin_slow = PointTones(body.skin_slow)
        self._others = (
            *patient.activities,
            *patient.breaths,
            *patient.blood,
            *patient.temperatures,
            *patient.st,
            *patient.courses,
            *patient.brain,
        )

    def opening(self) -> list[TruthLine]:
        """Lines that come before all others."""
        blind = DEVICES[self._script.patient.device].blind
        standing = self._alarms(blind_expectations()) if blind else []
        recorded = self._recorded is not None
        return [PatientLine(**self._who._asdict(), from_ns=self._t_start_ns, recorded=recorded), *standing]

    def until(self, to_s: float, beats: Iterable[Beat]) -> list[TruthLine]:
        """Lines of the time up to `to_s`; `beats` are those of that time."""
        lines: list[TruthLine] = []
        who = self._who
        for beat in beats:
            if not beat.ventricles:
                continue
            self._quivering(beat.time_s)
            lines += self._alarms(self._of_beats(self._heart.beat(beat.time_s, beat.kind)))
            lines += self._vitals(beat.time_s)
            self._note(beat)
            lines.append(BeatLine(patient=who.patient, time_ns=self._ns(beat.time_s), kind=beat.kind))
        self._quivering(to_s)
        lines += self._alarms(self._of_beats(self._heart.silence(to_s)))
        lines += self._vitals(to_s)
        if self._recorded or self._edge_s < to_s:
            lines += self._rhythms(to_s)
        if self._edge_s < to_s:
            lines += self._events(to_s)
            self._edge_s = self._script.next_edge(to_s)
        if self._script.patient.brain:
            lines += self._instants(to_s)
        self._now_s = to_s
        return lines

    def closing(self) -> list[TruthLine]:
        """Lines that come after all others."""
        name, from_s = self._rhythm
        end = self._ns(self._now_s)
        last = RhythmLine(patient=self._who.patient, rhythm=name, from_ns=self._ns(from_s), to_ns=end)
        return [*self._alarms(self._of_beats(self._heart.close(self._now_s))), last]

    def _quivering(self, to_s: float) -> None:
        """Tell whoever watches the beats of a fibrillation up to a time."""
        if self._quivers:
            for episode in self._episodes(self._now_s, to_s):
                if episode.rhythm == "ventricular-fibrillation":
                    self._heart.quivering(min(episode.to_s, to_s))

    def _note(self, beat: Beat) -> None:
        self._beats.append(beat.time_s)
        if pulse_strength(beat) >= LEAST_STROKE:
            self._pulses.append(beat.time_s + _PULSE_AFTER_S)
        # Nobody measured the QT of a recorded beat.
        if beat.shape in ("normal", "narrow") and beat.kind != "V" and not self._recorded:
            settled = min(beat.settled_rr_s or beat.rr_s, QT_LONGEST_RR_S)
            self._qt_ms = 1e3 * (QT_FIXED_S + QT_STRETCHED_S * math.sqrt(settled))

    def _rhythms(self, to_s: float) -> list[TruthLine]:
        lines: list[TruthLine] = []
        edges: set[float] = set()
        # One that ends just now touches no later time.
        for episode in self._episodes(self._now_s - 1.0, to_s):
            edges.update(edge for edge in (episode.from_s, episode.to_s) if self._now_s <= edge < to_s)
            if self._now_s <= episode.from_s < to_s:
                lines += self._alarms(rhythm_expectations(episode))
        for edge in sorted(edges):
            name, from_s = self._rhythm
            begun = self._episodes(edge, edge + 1e-9)
            self._rhythm = (begun[0].rhythm if begun else self._base_rhythm, edge)
            if edge > from_s:
                span = {"from_ns": self._ns(from_s), "to_ns": self._ns(edge)}
                lines.append(RhythmLine(patient=self._who.patient, rhythm=name, **span))
        return lines

    def _episodes(self, from_s: float, to_s: float) -> list[Episode]:
        return self._recorded.episodes(from_s, to_s) if self._recorded else self._script.episodes(from_s, to_s)

    def _events(self, to_s: float) -> list[TruthLine]:
        lines: list[TruthLine] = []
        who = self._who
        for fault in self._script.faults(self._now_s, to_s):
            if self._now_s <= fault.from_s < to_s:
                span = self._span(fault.from_s, fault.to_s)
                lines.append(FaultLine(patient=who.patient, device=who.device, fault=fault.name, **span))
                lines += self._alarms(self._faults.begun(fault))
        for one in self._script.spans(self._others, self._now_s, to_s):
            if self._now_s <= one.from_s < to_s:
                what, name, span = cast("EventKind", one.event.what), one.event.name, self._span(one.from_s, one.to_s)
                lines.append(EventLine(patient=who.patient, what=what, name=name, **span))
                lines += self._alarms(event_expectations(one.event, one.from_s, one.to_s))
        return lines

    def _instants(self, to_s: float) -> list[TruthLine]:
        """Blinks and spikes."""
        lines: list[TruthLine] = []
        for head in self._script.spans(self._script.patient.brain, self._now_s, to_s):
            if head.event.brain in ("blinks", "spikes"):
                for at in instants(head, float(self._body.brain.start), self._now_s, to_s):
                    span = self._span(at, at)
                    lines.append(EventLine(patient=self._who.patient, what="brain", name=head.event.brain[:-1], **span))
        return lines

    def _vitals(self, to_s: float) -> list[TruthLine]:
        """Every second that ends by `to_s`; called before a later beat is noted."""
        lines: list[TruthLine] = []
        while (end_ns := (self._second + 1) * 1_000_000_000) <= self._ns(to_s):
            end_s = (end_ns - self._t_start_ns) / 1e9
            turns = self._lungs.turns_at(end_s)
            breath_bpm = 60.0 * (
                turns - (self._turns if self._turns is not None else self._lungs.turns_at(end_s - 1.0))
            )
            self._turns = turns
            spo2, core_cel = self._script.patient.spo2, REST_CORE_CEL
            if not self._lungs.steady:
                now = levels(self._script, np.array([end_s]))
                spo2, core_cel = float(now.spo2[0]), float(now.core_cel[0])
                breathes = float(now.depth[0] > APNOEA_DEPTH)
                breath_bpm *= breathes
                lines += self._body_alarms(end_s, float(now.breath_bpm[0]) * breathes, spo2, core_cel)
            # What a recorded pulse was, nobody noted.
            foreign = bool(self._script.patient.pulse_record)
            dark = foreign or self._bloodless(end_s)
            skin = float(self._body.skin_cel) + self._skin_slow.at(end_s)
            lines.append(
                VitalLine(
                    patient=self._who.patient,
                    second=self._second,
                    heart_rate_bpm=rate_over(self._beats, end_s),
                    breath_rate_bpm=breath_bpm,
                    pulse_rate_bpm=None if foreign else rate_over(self._pulses, end_s),
                    spo2=None if dark else round(spo2, 2),
                    skin_cel=round(skin + SKIN_OF_CORE * (core_cel - REST_CORE_CEL), 3),
                    core_cel=round(core_cel, 3),
                    qt_ms=round(self._qt_ms, 1) if self._qt_ms else None,
                )
            )
            self._second += 1
        return lines

    def _body_alarms(self, end_s: float, breath_bpm: float, spo2: float, core_cel: float) -> list[TruthLine]:
        rate_bpm = rate_over(self._beats, end_s)
        now = Second(
            end_s,
            math.nan if rate_bpm is None else rate_bpm,
            breath_bpm,
            math.nan if self._script.patient.pulse_record else spo2,
            core_cel,
            arrested=self._arrested(end_s),
        )
        return self._alarms(self._bodily.second(now))

    def _arrested(self, at_s: float) -> bool:
        return any(episode.rhythm in ARRESTED for episode in self._script.episodes(at_s, at_s + 1e-9))

    def _bloodless(self, at_s: float) -> bool:
        """Whether no pulse carries blood whose oxygen could be told, and no script says what it is all the same."""
        if not self._arrested(at_s):
            return False
        scripted = (event for event in self._script.patient.blood if event.blood == "desaturation")
        return not any(self._script.share_at(event, event.ramp_s, at_s) for event in scripted)

    def _alarms(self, expected: Iterable[Expected]) -> list[TruthLine]:
        return [
            AlarmLine(
                patient=self._who.patient,
                condition=one.condition,
                from_ns=self._ns(one.from_s),
                to_ns=self._ns(one.to_s),
                required=self._asked(one) and one.to_s <= self._end_s and not self._hidden(one),
                due=one.due and one.to_s <= self._end_s,
            )
            for one in expected
        ]

    def _asked(self, one: Expected) -> bool:
        return one.required or (one.due and one.condition in ASKED and not self._recorded)

    def _hidden(self, one: Expected) -> bool:
        """Whether a fault, a movement or a hard rhythm hides the heart while a physiological alarm would be due."""
        if not one.physiological:
            return False
        return self._unsaid(one) or (self._eventful and hides(self._script, one.since_s, one.to_s, one.condition))

    def _of_beats(self, expected: Iterable[Expected]) -> list[Expected]:
        """What beats call for; not due where nobody said that it was there, or where a rhythm stands for it."""
        return [
            one._replace(due=not self._unsaid(one) and not self._stood_for(one)) if one.due else one for one in expected
        ]

    def _stood_for(self, one: Expected) -> bool:
        """Whether a rhythm that is an alarm by itself stands for what its beats call for."""
        if not (self._recorded or self._eventful):
            return False
        episodes = self._episodes(one.since_s, one.to_s)
        return any(one.condition in STANDS_FOR.get(episode.rhythm, ()) for episode in episodes)

    def _unsaid(self, one: Expected) -> bool:
        """Whether the annotations of a recorded heart do not say that what its beats call for was there."""
        if not self._recorded or one.condition == "ventricular-tachycardia":  # whose beats are annotated one by one
            return False
        rhythms = {episode.rhythm for episode in self._recorded.episodes(one.since_s, one.to_s)}
        # Where no beat is annotated there may have been none, or nobody who looked.
        return bool(rhythms & HARD) or (one.condition in ("asystole", "pause") and "asystole" not in rhythms)

    def _span(self, from_s: float, to_s: float) -> dict[str, int]:
        return {"from_ns": self._ns(from_s), "to_ns": self._ns(min(to_s, self._end_s))}

    def _ns(self, at_s: float) -> int:
        return min(MAX_NS, self._t_start_ns + round(at_s * 1e9)) if at_s < 1e9 else MAX_NS
