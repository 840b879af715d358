"""A heart that follows a script: beat after beat, by the rhythm in force, with its LF and respiratory variation."""

import math
from collections import deque

import numpy as np
from numpy.random import Generator

from device_sim.breath import Lungs
from device_sim.course import levels, sinus_bpm_at
from device_sim.events import RhythmName
from device_sim.physiology import Beat
from device_sim.rhythms import REST_SPREAD, SILENT, Now, Step, steps
from device_sim.script import Episode, Script
from device_sim.tones import PointTones, gaussian_tones

# LF peak at 0.1 Hz (McSharry 2003, DOMAIN 1.3).
LF_HZ, LF_WIDTH_HZ, LF_TONES = 0.1, 0.01, 8
AFTER_SILENCE_S = 0.4
FOR_EVER_S = 1e12
# QT follows the rate over about a minute, most of it in the first beats; here by one time constant. From memory.
QT_SETTLES_BEATS = 20.0


class Heart:
    """A heart that follows a script.

    RR = mean RR(t) * (1 + LF(t) + HF(t)): LF a Gaussian peak at 0.1 Hz, HF in phase with the breath.

    Differs from ECGSYN (McSharry 2003) in that HF is the breath itself, a tone whose phase wanders, so that the breath
    rate in the truth, the respiratory arrhythmia and the movement of the chest are one.

    Parameters
    ----------
    script
        What the heart does when.
    lungs
        The patient's breathing.
    rng
        The heart's own generator; it is drawn from per beat only, so that no cut of time changes the beats.
    """

    def __init__(self, script: Script, lungs: Lungs, rng: Generator) -> None:
        self._script = script
        self._lungs = lungs
        self._rng = rng
        patient = script.patient
        low_share = patient.lf_hf / (1.0 + patient.lf_hf)
        self._low = PointTones(gaussian_tones(rng, LF_TONES, LF_HZ, LF_WIDTH_HZ, math.sqrt(low_share)))
        self._high_amplitude = math.sqrt(2.0 * (1.0 - low_share))
        self._spread = patient.sdnn_ms * patient.rate_bpm / 60e3 or REST_SPREAD
        self._plan: deque[Step] = deque()
        rr = 60.0 / sinus_bpm_at(script, 0.0)
        self._last_s = -rr * float(rng.uniform())
        self._settled_rr_s = rr
        self._next: tuple[float, Step | None] = self._last_s + rr, Step(rr)  # None: planned when its time has come

    def advance(self, until_s: float) -> list[Beat]:
        """Beats up to and including `until_s` that were not returned before, in order."""
        beats = []
        while self._next[0] <= until_s:
            # Not before: what the lungs are asked of a time to come, they forget of the present.
            time_s, step = self._next
            beats.append(self._beat(time_s, step or self._planned(time_s)[-1]))
            self._next = self._after(time_s)
        return beats

    def _after(self, time_s: float) -> tuple[float, Step | None]:
        if not self._plan:
            self._plan.extend(self._planned(time_s))
        step = self._plan.popleft()
        next_s = time_s + step.after_s
        silence = self._episode(next_s)
        if silence is None or silence.rhythm not in SILENT:
            return next_s, step
        self._plan.clear()
        while silence is not None and silence.rhythm in SILENT:
            next_s = min(silence.to_s, FOR_EVER_S) + AFTER_SILENCE_S
            silence = self._episode(next_s) if next_s < FOR_EVER_S else None
        return next_s, None

    def _planned(self, time_s: float) -> list[Step]:
        episode = self._episode(time_s)
        rhythm: RhythmName = episode.rhythm if episode else "sinus"
        now = Now(time_s, 60.0 / sinus_bpm_at(self._script, time_s), self._swing(time_s), self._spread)
        if not self._script.patient.steady:
            now = now._replace(spread=self._spread * float(levels(self._script, np.array([time_s])).spread[0]))
        return steps(rhythm, now, self._rng)

    def _beat(self, time_s: float, step: Step) -> Beat:
        rr = time_s - self._last_s
        shape = step.shape
        if shape != "atrium":
            self._last_s = time_s
            # A pause says nothing of the rate.
            self._settled_rr_s += (min(rr, 2.0) - self._settled_rr_s) / QT_SETTLES_BEATS
        st, t_wave = self._repolarisation(time_s)
        lungs = self._lungs.depth_at(time_s) * math.sin(2.0 * math.pi * self._lungs.turns_at(time_s))
        return Beat(time_s, step.kind, rr, shape == "normal", shape, self._settled_rr_s, step.stroke, st, t_wave, lungs)

    def _repolarisation(self, time_s: float) -> tuple[float, float]:
        """Shift of ST and size of T."""
        st, t_wave = 0.0, 1.0
        for event in self._script.patient.st:
            share = self._script.share_at(event, event.ramp_s, time_s)
            st += share * event.st
            t_wave *= 1.0 + share * (event.t_wave - 1.0)
        return st, t_wave

    def _episode(self, t_s: float) -> Episode | None:
        """Rhythm in force."""
        if self._script.patient.rhythms:
            for episode in self._script.episodes(t_s, t_s + 1e-9):
                return episode
        return None

    def _swing(self, t_s: float) -> float:
        """Variation of the moment, mean 0, standard deviation 1 at rest."""
        # The heart runs faster while the lungs fill: RR is shortest a little before they are fullest.
        breath = min(1.5, self._lungs.depth_at(t_s)) * math.cos(2.0 * math.pi * self._lungs.turns_at(t_s))
        return self._low.at(t_s) - self._high_amplitude * breath
