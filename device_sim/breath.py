"""Lungs: a tone whose rate wanders, and whose rate and depth follow the script."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.course import levels
from device_sim.script import Script
from device_sim.tones import PointTones, Tones, evaluate, random_tones

Array = NDArray[np.float64]

BREATH_WANDER = 0.04  # rms deviation of the breath rate, relative; from memory

_KNOT_S = 0.5  # the rate is constant from knot to knot
_BLOCK = 128  # knots that are worked out at once
_REMEMBERED = 1024  # knots that are kept


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


class Lungs:
    """One patient's breathing as the script has it.

    Parameters
    ----------
    script
        What happens to the patient.
    breath
        The patient's breathing at rest, without leading axes.
    """

    def __init__(self, script: Script, breath: Breath) -> None:
        self.script = script
        self._breath = breath
        self.steady = script.patient.steady
        self._rate_hz, self._start = float(breath.rate_hz), float(breath.start)
        self._wander = PointTones(breath.wander)
        self._first = 0
        self._extra = np.zeros(1)  # turns beyond those at rest, at the knots from `_first` on

    def turns(self, t_s: Array) -> Array:
        """Phase at the times `t_s`, shape ``(n_times,)``; they may go back some minutes."""
        turns = self._breath.turns(t_s)
        return turns if self.steady else turns + self._beyond_rest(t_s)

    def turns_at(self, t_s: float) -> float:
        """Phase at one time."""
        turns = self._rate_hz * t_s + self._start + self._wander.at(t_s)
        return turns if self.steady else turns + float(self._beyond_rest(np.array([t_s]))[0])

    def depth_at(self, t_s: float) -> float:
        """Depth of the breath at one time."""
        return 1.0 if self.steady else float(levels(self.script, np.array([t_s])).depth[0])

    def depth(self, t_s: Array) -> Array:
        """Depth of the breath, 1 at rest."""
        return np.ones(len(t_s)) if self.steady else levels(self.script, t_s).depth

    def filling(self, t_s: Array) -> Array:
        """How full the lungs are, -1 to 1 at rest."""
        filling: Array = self.depth(t_s) * np.sin(2.0 * np.pi * self.turns(t_s))
        return filling

    def _beyond_rest(self, t_s: Array) -> Array:
        """Integral of the rate that the script adds, by knots that do not depend on who asks when."""
        while (self._first + len(self._extra) - 1) * _KNOT_S < t_s.max():
            middle = (self._first + len(self._extra) - 0.5 + np.arange(float(_BLOCK))) * _KNOT_S
            rates: Array = levels(self.script, middle).breath_bpm / 60.0 - self._rate_hz
            grown = np.concatenate([self._extra, self._extra[-1] + np.cumsum(rates * _KNOT_S)])
            self._first += max(0, len(grown) - _REMEMBERED)
            self._extra = grown[-_REMEMBERED:]
        if self._first and t_s.min() < (known_s := self._first * _KNOT_S):
            raise ValueError(
                f"lungs were asked for {t_s.min():g} s and know the time from {known_s:g} s on: ask of no time "
                f"more than {(_REMEMBERED - _BLOCK) * _KNOT_S:g} s ahead before the present is over"
            )
        knots = (self._first + np.arange(len(self._extra))) * _KNOT_S
        beyond: Array = np.interp(t_s, knots, self._extra)
        return beyond
