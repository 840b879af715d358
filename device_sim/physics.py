"""One second of every sensor of every patient, as arrays: bodies, surroundings, sensors and faults put together."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.activity import moved_acceleration, turned
from device_sim.bodies import Body, Chances
from device_sim.environment import Grid, interference
from device_sim.faults import NOISE_PT, SATURATION_PT, UNLOCKED_NOISE_PT, ZEROING_S, Fault
from device_sim.heartvector import AFTER_S, BEFORE_S
from device_sim.imu import accelerations
from device_sim.life import (
    hand_pulse,
    heart_dipoles,
    lungs_filling,
    modulations,
    movements,
    pulses,
    skin_changes,
)
from device_sim.moment import Moment
from device_sim.opm import Opm, OpmState
from device_sim.spad import (
    AMBIENT_CPS,
    AMBIENT_OFF_BODY_CPS,
    BREATH_MODULATION,
    MODULATION,
    PULSE_AFTER_S,
    RATE_CPS,
    TRANSIT_S,
    Spad,
)
from device_sim.thermometer import off_body, temperatures
from device_sim.wearable import (
    ACCELERATION_RATE_HZ,
    FIELD_RATE_HZ,
    N_FIELD,
    N_MCG,
    OPM_NOISE_PT,
    PPG_RATE_HZ,
    SLOTS_PER_CHUNK,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CHUNK_S = 1
DELAY_S = 0.004  # of the magnetometer's electronics; commercial systems 1-10 ms (DOMAIN 1.1)
LOOK_AHEAD_S = BEFORE_S  # beats must be known this long beyond a chunk
LOOK_BACK_S = max(AFTER_S, TRANSIT_S + PULSE_AFTER_S) + 0.4  # and this long before it
_SADDLE_S = 0.3  # an intruding field takes this long to come and go


class Signals(NamedTuple):
    """What the sensors put out in a chunk; axis 0 is the patient."""

    field_pt: Array  # (n, N_FIELD, 500)
    saturated: Mask  # (n, N_FIELD, 500)
    locked: Mask  # (n, SLOTS_PER_CHUNK)
    zeroing: Mask  # (n, SLOTS_PER_CHUNK)
    noise_pt: Array  # (n, SLOTS_PER_CHUNK), as the magnetometers measure it themselves
    counts: Array  # (n, 3, 100)
    acceleration: Array  # (n, 3, 52)
    temperature: Array  # (n, 1)


class Physics:
    """The sensors of a fleet.

    Parameters
    ----------
    body
        Constants of the patients.
    grid
        The mains.
    chances
        Random number generators, one set per patient.
    """

    def __init__(self, body: Body, grid: Grid, chances: list[Chances]) -> None:
        self._body = body
        self._grid = grid
        self._chances = chances
        self._opm = Opm(rate_hz=FIELD_RATE_HZ, noise_pt=OPM_NOISE_PT)
        self._spad = Spad(bin_s=1.0 / PPG_RATE_HZ)
        self._opm_state: OpmState | None = None
        self._stuck_at = np.full((len(chances), N_MCG), np.nan)

    def chunk(self, now: Moment) -> Signals:
        """Signals of the second that begins at ``now.starts_s``; seconds must follow each other."""
        n = len(now.starts_s)
        n_field, n_acceleration = N_FIELD * FIELD_RATE_HZ, 3 * ACCELERATION_RATE_HZ
        white = np.empty((n, n_field + n_acceleration + 1))
        for row, chances in enumerate(self._chances):
            chances.noise.standard_normal(out=white[row])
        breath = lungs_filling(self._body.breath, now, FIELD_RATE_HZ * CHUNK_S, FIELD_RATE_HZ)
        field = self._field(now, breath)
        if self._opm_state is None:
            self._opm_state = self._opm.init(field[..., 0])
        noise = white[:, :n_field].reshape(n, N_FIELD, FIELD_RATE_HZ)
        self._opm_state, out = self._opm.step(self._opm_state, field, noise, self._body.gain)
        steps = np.arange(ACCELERATION_RATE_HZ) / ACCELERATION_RATE_HZ
        t = now.starts_s[:, None] + steps
        acceleration = accelerations(
            self._body.posture,
            np.sin(2.0 * np.pi * self._body.breath.turns(t)) if not now.breathing else self._breath(now, t),
            t,
            white[:, n_field : n_field + n_acceleration].reshape(n, 3, ACCELERATION_RATE_HZ),
        )
        t = now.starts_s[:, None]
        temperature = temperatures(self._body.skin_cel + skin_changes(now), self._body.skin_slow, t, white[:, -1:])
        for row, move in movements(now, 0.0, ACCELERATION_RATE_HZ, ACCELERATION_RATE_HZ):
            acceleration[row] = moved_acceleration(acceleration[row], self._body.posture.gravity_ms2[row], move)
        counts = self._light(now, breath)
        quiet = np.ones((n, SLOTS_PER_CHUNK))
        signals = Signals(
            out.field_pt, out.saturated, quiet > 0, quiet < 0, OPM_NOISE_PT * quiet, counts, acceleration, temperature
        )
        for row, fault in now.faults:
            self._put(row, fault, now.starts_s[row], signals)
        return signals

    def _breath(self, now: Moment, t_s: Array) -> Array:
        """Filling of the lungs at the times `t_s` of shape ``(n, n_samples)``."""
        breath = np.sin(2.0 * np.pi * self._body.breath.turns(t_s))
        for row, lungs in now.breathing:
            breath[row] = lungs.filling(t_s[row])
        return breath

    def _field(self, now: Moment, breath: Array) -> Array:
        """Field along each magnetometer's true axis, pT, shape (n, N_FIELD, 500)."""
        body = self._body
        n_samples = FIELD_RATE_HZ * CHUNK_S
        # What a sample holds was in front of the sensor DELAY_S earlier.
        starts_s = now.starts_s - DELAY_S
        heart = heart_dipoles(body, now, starts_s, n_samples, FIELD_RATE_HZ)
        t = starts_s[:, None] + np.arange(n_samples) / FIELD_RATE_HZ
        around = interference(body.around, self._grid, starts_s, n_samples, FIELD_RATE_HZ)
        for row, move in movements(now, DELAY_S, n_samples, FIELD_RATE_HZ):
            around[row] = turned(around[row], move.turn_rad)
        for row, fault in now.faults:
            if fault.name == "off-body":
                heart[row] *= ~_during(fault, t[row])
            elif fault.name == "saturation":
                rise = np.clip((t[row] - fault.from_s) / _SADDLE_S, 0.0, 1.0)
                fall = np.clip((fault.to_s - t[row]) / _SADDLE_S, 0.0, 1.0)
                around[row, 2] += SATURATION_PT * np.minimum(rise, fall)
        field: Array = np.matmul(body.mix, np.concatenate([heart, around, breath[:, None]], axis=1))
        return field

    def _light(self, now: Moment, breath: Array) -> Array:
        """Counts of the photon counters, shape (n, 3, 100)."""
        n_samples = PPG_RATE_HZ * CHUNK_S
        pulse = pulses(now, n_samples, PPG_RATE_HZ)
        slow = 1.0 + BREATH_MODULATION * breath[:, :: FIELD_RATE_HZ // PPG_RATE_HZ]
        for row, move in movements(now, 0.0, n_samples, PPG_RATE_HZ):
            slow[row] *= move.light
        back = np.array(RATE_CPS)[:, None] * (self._body.light[:, None] * slow)[:, None]
        rates = back * (1.0 - modulations(now)[..., None] * pulse[:, None]) + AMBIENT_CPS
        for row, fault in now.faults:
            if fault.name == "off-body":
                t = now.starts_s[row] + np.arange(PPG_RATE_HZ * CHUNK_S) / PPG_RATE_HZ
                # Off the skin a small part of the light comes back, without a pulse, and the room's light comes in.
                rates[row] = np.where(_during(fault, t), 0.02 * back[row] + AMBIENT_OFF_BODY_CPS, rates[row])
        for row, span in now.activities:
            if span.event.activity == "device-in-hand":
                t = now.starts_s[row] + np.arange(n_samples) / PPG_RATE_HZ
                held = back[row] * (1.0 - np.array(MODULATION)[:, None] * hand_pulse(t, PPG_RATE_HZ)) + AMBIENT_CPS
                rates[row] = np.where((t >= span.from_s) & (t < span.to_s), held, rates[row])
        return self._spad.count(rates, [chances.photons for chances in self._chances])

    def _put(self, row: int, fault: Fault, start_s: float, signals: Signals) -> None:
        """Put a fault of the sensors themselves on a patient's signals, in place."""
        n_samples = FIELD_RATE_HZ * CHUNK_S
        t = start_s + np.arange(n_samples) / FIELD_RATE_HZ
        during = _during(fault, t)
        slots = during.reshape(SLOTS_PER_CHUNK, -1).any(axis=1)
        field, saturated = signals.field_pt[row], signals.saturated[row]
        if fault.name == "stuck":
            carried = during[0] and fault.from_s <= start_s - CHUNK_S / n_samples
            if carried and np.isfinite(self._stuck_at[row]).all():
                held = self._stuck_at[row]
            else:
                held = field[:N_MCG, max(0, int(np.argmax(during)) - 1)].copy()
            field[:N_MCG] = np.where(during, held[:, None], field[:N_MCG])
            saturated[:N_MCG] &= ~during
            self._stuck_at[row] = held
        elif fault.name in ("noise", "lost-lock"):
            density = NOISE_PT if fault.name == "noise" else UNLOCKED_NOISE_PT
            extra = density * np.sqrt(FIELD_RATE_HZ / 2) * self._chances[row].fault.standard_normal(field.shape)
            if fault.name == "lost-lock":
                field[:] = np.where(during, extra, field)
                saturated &= ~during
                signals.locked[row] &= ~slots
                zeroing = during & (t >= fault.to_s - ZEROING_S)
                signals.zeroing[row] |= zeroing.reshape(SLOTS_PER_CHUNK, -1).any(axis=1)
            else:
                field += during * extra
            signals.noise_pt[row, slots] = density
        elif fault.name == "off-body":
            seconds = np.array([start_s])
            signals.temperature[row] = off_body(signals.temperature[row], seconds, fault)
            t = start_s + np.arange(ACCELERATION_RATE_HZ * CHUNK_S) / ACCELERATION_RATE_HZ
            # On the table the device lies flat and still.
            lying = signals.acceleration[row] - self._body.posture.gravity_ms2[row][:, None]
            flat = np.array([0.0, 0.0, -9.80665])[:, None] + 0.05 * lying
            signals.acceleration[row] = np.where(_during(fault, t), flat, signals.acceleration[row])


def _during(fault: Fault, t_s: Array) -> Mask:
    return (t_s >= fault.from_s) & (t_s < fault.to_s)
