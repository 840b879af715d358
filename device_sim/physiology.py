"""When a heart beats: RR intervals with their LF and respiratory peaks, and scripted rhythms."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.scenario import Episode, RhythmName, Script
from device_sim.tones import Tones, evaluate, gaussian_tones, random_tones

Array = NDArray[np.float64]
BeatClass = Literal["N", "V", "S"]

# LF peak at 0.1 Hz, LF/HF power 0.5 (McSharry 2003, DOMAIN 1.3).
LF_HZ, LF_WIDTH_HZ, LF_TONES = 0.1, 0.01, 8
LF_HF = 0.5
# Spread of RR over its mean: 4 % at rest gives an SDNN of 34 ms at 70 bpm; a driven rhythm is stiffer. From memory.
SPREAD: dict[RhythmName, float] = {"sinus": 0.04, "ectopy": 0.04, "bradycardia": 0.025, "tachycardia": 0.01}
# RR in atrial fibrillation: independent, standard deviation over mean about 0.22, AV node no faster than 0.3 s. Memory.
AF_SPREAD, AF_SHORTEST_S = 0.22, 0.33
# One ventricular ectopic beat in about six; coupling 0.6 of RR, then a full compensatory pause. From memory.
ECTOPY_SHARE, ECTOPY_COUPLING = 0.16, 0.6
AFTER_ASYSTOLE_S = 0.4
BREATH_WANDER = 0.04  # rms deviation of the breath rate, relative; from memory
FOR_EVER_S = 1e12


class Beat(NamedTuple):
    """One beat of the true heart."""

    time_s: float  # R peak, since the start of the run
    kind: BeatClass
    rr_s: float  # interval before it
    atrial: bool  # a P wave goes before


class BeatSource(Protocol):
    """Whatever decides when a heart beats."""

    def advance(self, until_s: float) -> list[Beat]:
        """Beats up to and including `until_s` that were not returned before, in order."""


class Breath(NamedTuple):
    """Breathing as a tone of constant depth whose rate wanders; leading axes are rows."""

    rate_hz: Array  # (...)
    start: Array  # (...), turns
    wander: Tones  # turns

    def turns(self, t_s: Array) -> Array:
        """Phase at the times `t_s` of shape ``(..., n_times)``; the lungs are fullest at a quarter turn."""
        return self.rate_hz[..., None] * t_s + self.start[..., None] + evaluate(self.wander, t_s)


def random_breath(rng: Generator, rate_bpm: float) -> Breath:
    """Breathing at a mean rate, its wander slower than 0.03 Hz."""
    rate_hz = rate_bpm / 60.0
    wander = random_tones(rng, 3, (0.008, 0.03), 1.0)
    # rms of the rate's deviation is 2 pi f times that of the phase, here in turns.
    wander = wander._replace(amplitude=wander.amplitude * BREATH_WANDER * rate_hz / (2 * np.pi * wander.frequency_hz))
    return Breath(np.array(rate_hz), np.array(rng.uniform()), wander)


@dataclass(frozen=True)
class Course:
    """Heart rate and rhythm as functions of time, from a script.

    Between two rates the logarithm of the rate moves on a straight line for the episode's `ramp_s`; asystole is abrupt.
    """

    script: Script

    def episode(self, t_s: float) -> Episode | None:
        """Episode in force at `t_s`."""
        for episode in self.script.episodes(t_s, t_s + 1e-9):
            return episode
        return None

    def rate_bpm(self, t_s: float) -> float:
        """Mean heart rate that the script asks for at `t_s`."""
        base = self.script.patient.rate_bpm
        # An episode that is over still matters while the rate comes back.
        for episode in reversed(self.script.episodes(t_s - 600.0, t_s + 1e-9)):
            rise = min(1.0, (t_s - episode.from_s) / episode.ramp_s) if episode.ramp_s else 1.0
            if t_s >= episode.to_s:
                fall = min(1.0, (t_s - episode.to_s) / episode.ramp_s) if episode.ramp_s else 1.0
                rise = 1.0 - fall
            return float(base * (episode.rate_bpm / base) ** rise)
        return base


class Heart:
    """A heart that follows a script.

    RR = mean RR(t) * (1 + LF(t) + HF(t)): LF a Gaussian peak at 0.1 Hz, HF in phase with the breath.

    Differs from ECGSYN (McSharry 2003) in that HF is the breath itself, a tone whose phase wanders, so that the breath
    rate in the truth, the respiratory arrhythmia and the movement of the chest are one.

    Parameters
    ----------
    script
        What the heart does when.
    breath
        The patient's breathing, without leading axes.
    rng
        The heart's own generator; it is drawn from per beat only, so that no cut of time changes the beats.
    """

    def __init__(self, script: Script, breath: Breath, rng: Generator) -> None:
        self._course = Course(script)
        self._breath = breath
        self._rng = rng
        low_share = LF_HF / (1.0 + LF_HF)
        self._low = gaussian_tones(rng, LF_TONES, LF_HZ, LF_WIDTH_HZ, math.sqrt(low_share))
        self._high_amplitude = math.sqrt(2.0 * (1.0 - low_share))
        rr = 60.0 / self._course.rate_bpm(0.0)
        self._compensate_s = 0.0
        self._next = Beat(rr * float(rng.uniform()), "N", rr, atrial=True)

    def advance(self, until_s: float) -> list[Beat]:
        """Beats up to and including `until_s` that were not returned before, in order."""
        beats = []
        while self._next.time_s <= until_s:
            beats.append(self._next)
            self._next = self._after(self._next)
        return beats

    def _after(self, beat: Beat) -> Beat:
        episode = self._course.episode(beat.time_s)
        rhythm: RhythmName = episode.rhythm if episode else "sinus"
        mean_rr = 60.0 / self._course.rate_bpm(beat.time_s)
        kind: BeatClass = "N"
        atrial = rhythm != "atrial-fibrillation"
        if rhythm == "atrial-fibrillation":
            rr = max(AF_SHORTEST_S, mean_rr * float(self._rng.gamma(AF_SPREAD**-2, AF_SPREAD**2)))
        else:
            rr = mean_rr * (1.0 + SPREAD.get(rhythm, SPREAD["sinus"]) * self._variation(beat.time_s))
        if self._compensate_s:
            rr, self._compensate_s = self._compensate_s, 0.0
        elif rhythm == "ectopy" and self._rng.uniform() < ECTOPY_SHARE:
            self._compensate_s = (2.0 - ECTOPY_COUPLING) * rr
            rr *= ECTOPY_COUPLING
            kind, atrial = "V", False
        time_s = beat.time_s + rr
        stop = self._course.episode(time_s)
        if stop is not None and stop.rhythm == "asystole":
            time_s = min(stop.to_s, FOR_EVER_S) + AFTER_ASYSTOLE_S
            kind, atrial = "N", True
        return Beat(time_s, kind, time_s - beat.time_s, atrial=atrial)

    def _variation(self, t_s: float) -> float:
        t = np.array([t_s])
        # The heart runs faster while the lungs fill: RR is shortest a little before they are fullest.
        breath = math.cos(2.0 * math.pi * float(self._breath.turns(t)[0]))
        return float(evaluate(self._low, t)[0]) - self._high_amplitude * breath


def rate_over(times_s: Sequence[float], end_s: float) -> float | None:
    """Heart rate as the ward defines it: 60 over the mean of the last 8 RR intervals that lie within 10 s.

    Parameters
    ----------
    times_s
        Beats in order, s.
    end_s
        As of when; later beats do not count.
    """
    stop = bisect_right(times_s, end_s)
    start = max(bisect_right(times_s, end_s - 10.0), stop - 9, 0)
    if stop - start < 2:
        return None
    return float(60.0 * (stop - start - 1) / (times_s[stop - 1] - times_s[start]))
