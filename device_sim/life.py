"""The bodies' side of a second: breath, heart, pulse and skin of every patient, whatever sensor looks at them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device_sim.activity import PRESS_HZ, PRESS_STROKE, Movement, movement
from device_sim.bodies import Body
from device_sim.brain import brain_moments
from device_sim.breath import Breath
from device_sim.course import SKIN_OF_CORE
from device_sim.flutter import ATRIAL, quivering
from device_sim.heartvector import AFTER_S, R_DIRECTION, heart_vectors
from device_sim.moment import Moment
from device_sim.physiology import Beat
from device_sim.script import REST_CORE_CEL
from device_sim.spad import MODULATION, TRANSIT_S, pulse_strength, pulse_waves
from device_sim.tones import upsample

Array = NDArray[np.float64]

_BREATH_KNOTS = 50
# Pulse oximetry's linear calibration, SpO2 = 110 - 25 R with R the ratio of the modulations at 660 and 940 nm: a
# textbook's, from memory. At 660 nm the light must change most; the green at 525 nm is left alone.
RATIO_AT_0, RATIO_SLOPE = 110.0, 25.0
_940, _660 = 0, 1
HAND_BPM, HAND_STROKE = 84.0, 0.8  # pulse of somebody else's finger on a device that was taken off; from memory


def lungs_filling(breath: Breath, now: Moment, n_samples: int, rate_hz: float) -> Array:
    """Filling of the lungs, -1 to 1 at rest, shape ``(n, n_samples)``."""
    n_knots = round(n_samples / rate_hz * _BREATH_KNOTS)
    knots = now.starts_s[:, None] + np.arange(n_knots + 1) / _BREATH_KNOTS
    filling = np.sin(2.0 * np.pi * breath.turns(knots))
    for row, lungs in now.breathing:
        filling[row] = lungs.filling(knots[row])
    return upsample(filling, n_samples // n_knots)


def heart_dipoles(body: Body, now: Moment, starts_s: Array, n_samples: int, rate_hz: float) -> Array:
    """Dipoles of ventricles and atria in units of the R peak, shape ``(n, 6, n_samples)``, from `starts_s` on."""
    beats = [(row, beat) for row, beat in now.beats if beat.time_s > starts_s[row] - AFTER_S]
    dipoles = heart_vectors(beats, body.sway_rad, starts_s, n_samples, rate_hz)
    steps = np.arange(n_samples) / rate_hz
    for row, episode in now.quivering:
        t = starts_s[row] + steps
        # What quivers are the atria, or the ventricles.
        part = slice(3, 6) if episode.rhythm in ATRIAL else slice(3)
        dipoles[row, part] += quivering(episode, t, float(body.f_wave_hz[row]), float(body.f_wave_start[row]))
    for row, recording, origin_s in now.recorded:
        dipoles[row] = 0.0
        dipoles[row, :3] = R_DIRECTION[:, None] * recording.at(starts_s[row] + steps - origin_s)
    return dipoles


def pulses(now: Moment, n_samples: int, rate_hz: float) -> Array:
    """Pulse wave in the skin, 1 at the top of a full pulse, shape ``(n, n_samples)``."""
    late_s = {row: float(levels.late_s[0]) for row, levels in now.levels}
    beats = [
        (row, beat._replace(time_s=beat.time_s + late_s[row]) if row in late_s else beat, pulse_strength(beat))
        for row, beat in now.beats
        if beat.ventricles and beat.stroke > 0.0
    ]
    for row, span in now.activities:
        start_s = float(now.starts_s[row])
        end_s = start_s + n_samples / rate_hz
        if span.event.activity == "compressions":
            made = _regular(PRESS_HZ, max(span.from_s, start_s - 1.5), min(span.to_s, end_s), span.from_s)
            # The pulse starts where it is made: the transit from an R peak does not apply.
            beats += [(row, beat._replace(time_s=beat.time_s - 0.5 * TRANSIT_S), PRESS_STROKE) for beat in made]
    wave = pulse_waves(beats, now.starts_s, n_samples, rate_hz)
    for row, recording, origin_s in now.pulsed:
        wave[row] = recording.at(now.starts_s[row] + np.arange(n_samples) / rate_hz - origin_s)
    return wave


def modulations(now: Moment) -> Array:
    """Share of the light that a full pulse takes away, by patient and wavelength, shape ``(n, 3)``."""
    shares = np.tile(np.array(MODULATION), (len(now.starts_s), 1))
    for row, levels in now.levels:
        shares[row] *= levels.perfusion[0]
        shares[row, _660] = shares[row, _940] * (RATIO_AT_0 - levels.spo2[0]) / RATIO_SLOPE
    return shares


def skin_changes(now: Moment) -> Array:
    """What the core's temperature adds to that of the skin, Cel, shape ``(n,)``."""
    change = np.zeros(len(now.starts_s))
    for row, levels in now.levels:
        change[row] = SKIN_OF_CORE * (levels.core_cel[0] - REST_CORE_CEL)
    return change


def movements(now: Moment, delay_s: float, n_samples: int, rate_hz: float) -> list[tuple[int, Movement]]:
    """Rows whose device moves, and how, `delay_s` before the times of the samples."""
    steps = np.arange(n_samples) / rate_hz - delay_s
    return [(row, movement(span, now.starts_s[row] + steps)) for row, span in now.activities]


def head_moments(
    body: Body, now: Moment, rows: Sequence[int], starts_s: Array, n_samples: int, rate_hz: float
) -> Array:
    """Moments of the dipoles in the heads of some patients, A m, shape ``(n_rows, n_sources, n_samples)``."""
    steps = np.arange(n_samples) / rate_hz
    spans = {row: [span for at, span in now.brains if at == row] for row in rows}
    return np.stack([brain_moments(body.brain, row, spans[row], starts_s[row] + steps) for row in rows])


def hand_pulse(t_s: Array, rate_hz: float) -> Array:
    """Pulse wave of the finger of somebody who holds the device, from the time `t_s[0]` on."""
    end_s = float(t_s[-1])
    beats = [(0, beat, HAND_STROKE) for beat in _regular(HAND_BPM / 60.0, float(t_s[0]) - 1.5, end_s, 0.0)]
    wave: Array = pulse_waves(beats, t_s[:1], len(t_s), rate_hz)[0]
    return wave


def _regular(rate_hz: float, from_s: float, to_s: float, origin_s: float) -> list[Beat]:
    """Beats at a fixed rate, counted from `origin_s`, so that no cut of time moves them."""
    first, after = (int(np.ceil((edge - origin_s) * rate_hz)) for edge in (from_s, to_s))
    return [Beat(origin_s + k / rate_hz, "N", 1.0 / rate_hz, atrial=False) for k in range(first, after)]
