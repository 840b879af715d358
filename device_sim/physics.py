"""One second of every sensor of every patient, as arrays: bodies, surroundings, sensors and faults put together."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.activity import hand_shake, moved_acceleration, turned
from device_sim.background import KNOTS_HZ, N_FAST, N_SLOW, Background
from device_sim.bodies import Body, Chances
from device_sim.devices import Device
from device_sim.electronics import Reading
from device_sim.environment import ROOMS, Grid, Surroundings, interference
from device_sim.faults import CELL_CEL, Fault
from device_sim.heartvector import AFTER_S, BEFORE_S
from device_sim.hitches import Hitches, cell_cooling_k, during, intrude, shift
from device_sim.imu import BREATH_MS2, Imu, ImuState, accelerations
from device_sim.life import hand_pulse, head_moments, heart_dipoles, modulations, movements, pulses, skin_changes
from device_sim.moment import Moment
from device_sim.movement import BREATH_SHIFT_M, HEAD_OF_CHEST, breath_turn, field_of_movement, turned_gradient
from device_sim.opm import OpmState
from device_sim.readout import Around, State, n_whites, read, restarted, start
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
from device_sim.table import TABLE_M, hand_turn, laid, table_turns
from device_sim.thermometer import Thermometer, ThermometerState, off_body
from device_sim.tones import evaluate, upsample
from device_sim.unit import Unit
from device_sim.wearable import ACCELERATION_RATE_HZ, PPG_RATE_HZ, SLOTS_PER_CHUNK

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CHUNK_S = 1
LOOK_AHEAD_S = BEFORE_S  # beats must be known this long beyond a chunk
LOOK_BACK_S = max(AFTER_S, TRANSIT_S + PULSE_AFTER_S) + 0.4  # and this long before it
SKIN_TO_DIAMOND = 0.3  # share of the skin's changes of temperature that reach a magnetometer; from memory

_BREATH_KNOTS = 50


class Wear(NamedTuple):
    """The devices of a batch, and where they are; axis 0 is the device."""

    unit: Unit
    body_lead: Array  # (n, n_probes, n_sources): R peaks or A m -> pT
    room_lead: Array  # (n, n_probes, 3)
    gradient_lead: Array  # (n, n_probes, 9), or none where it does not matter
    around: Surroundings


class Signals(NamedTuple):
    """What the sensors put out in a chunk; axis 0 is the patient."""

    field_pt: Array  # (n, n_all, rate)
    saturated: Mask  # (n, n_all, rate)
    locked: Mask  # (n, SLOTS_PER_CHUNK)
    zeroing: Mask  # (n, SLOTS_PER_CHUNK)
    noise_pt: Array  # (n, SLOTS_PER_CHUNK), as the magnetometers measure it themselves
    counts: Array  # (n, 3, 100)
    acceleration: Array  # (n, 3, 52)
    temperature: Array  # (n, 1)
    coil_pt: Array  # (n,): largest field that the coils add
    cell_cel: Array  # (n,): temperature of the cells at the end
    calibrating: Mask  # (n, SLOTS_PER_CHUNK)


class Physics:
    """The sensors of a batch of patients who wear devices of one kind.

    Parameters
    ----------
    kind
        The devices.
    body
        Constants of the patients.
    wear
        Constants of their devices.
    grid
        The mains.
    chances
        Random number generators, one set per patient.
    """

    def __init__(self, kind: Device, body: Body, wear: Wear, grid: Grid, chances: list[Chances]) -> None:
        self._head = kind.head
        self._rate_hz = kind.rate_hz
        self._body = body
        self._wear = wear
        self._grid = grid
        self._chances = chances
        self._spad = Spad(bin_s=1.0 / PPG_RATE_HZ)
        self._imu, self._thermometer = Imu(), Thermometer()
        self._background = Background(ROOMS[kind.room], kind.rate_hz)
        self._unrest = self._background.init([one.room for one in chances])
        self._state: State | None = None
        self._motion: ImuState | None = None
        self._heat: ThermometerState | None = None
        self._hitches = Hitches(kind.head, [one.fault for one in chances])
        self._mix = np.concatenate([wear.body_lead, wear.room_lead, wear.gradient_lead], axis=-1)
        worn = 0.0 if kind.head.stand_off_m else 1.0
        follows = HEAD_OF_CHEST if kind.head.kind == "meg" else 1.0
        self._posture = body.posture._replace(tilt=follows * body.posture.tilt)
        self._table_turn = worn * table_turns(self._posture.gravity_ms2)
        self._breath_turn = worn * breath_turn(self._posture.gravity_ms2, BREATH_MS2 * self._posture.tilt)
        self._breath_shift = worn * follows * BREATH_SHIFT_M * np.array([0.0, 0.0, 1.0])

    def chunk(self, now: Moment) -> Signals:
        """Signals of the second that begins at ``now.starts_s``; seconds must follow each other."""
        n, n_field = len(now.starts_s), n_whites(self._head) * self._rate_hz
        n_acceleration = 3 * ACCELERATION_RATE_HZ
        white = np.empty((n, n_field + n_acceleration + 1))
        for row, chances in enumerate(self._chances):
            chances.noise.standard_normal(out=white[row])
        knots = self._breath(now, now.starts_s[:, None] + np.arange(_BREATH_KNOTS * CHUNK_S + 1) / _BREATH_KNOTS)
        reading, noise_pt = self._magnetic(now, knots, white[:, :n_field].reshape(n, -1, self._rate_hz))
        white_motion = white[:, n_field : n_field + n_acceleration].reshape(n, 3, ACCELERATION_RATE_HZ)
        acceleration, temperature = self._contact(now, white_motion, white[:, -1:])
        counts = self._light(now, upsample(knots, PPG_RATE_HZ // _BREATH_KNOTS))
        locked: Mask = np.all(reading.locked.reshape(n, SLOTS_PER_CHUNK, -1), axis=-1)
        zeroing: Mask = np.any(reading.zeroing.reshape(n, SLOTS_PER_CHUNK, -1), axis=-1)
        return Signals(
            reading.field_pt,
            reading.saturated,
            locked,
            zeroing,
            noise_pt,
            counts,
            acceleration,
            temperature,
            np.abs(self._state.coil_pt).max(axis=(1, 2)) if isinstance(self._state, OpmState) else np.zeros(n),
            self._cells(now),
            self._calibrating(now),
        )

    def _calibrating(self, now: Moment) -> Mask:
        """Slots in which a device calibrates itself."""
        found = np.zeros((len(now.starts_s), SLOTS_PER_CHUNK), np.bool_)
        for row, fault in now.faults:
            if fault.name == "calibrating":
                slots_s = now.starts_s[row] + np.arange(SLOTS_PER_CHUNK) / SLOTS_PER_CHUNK
                found[row] |= (slots_s + 1.0 / SLOTS_PER_CHUNK > fault.from_s) & (slots_s < fault.to_s)
        return found

    def _cells(self, now: Moment) -> Array:
        """Temperatures of the cells at the end of the second."""
        cells = np.full(len(now.starts_s), CELL_CEL)
        for row, fault in now.faults:
            if fault.name == "cell-cooling" or (fault.name == "reboot" and self._head.heated):
                cells[row] -= float(cell_cooling_k(fault, now.starts_s[row] + CHUNK_S))
        return cells

    def _contact(self, now: Moment, white_motion: Array, white_heat: Array) -> tuple[Array, Array]:
        """Readings of accelerometers and thermometers, shapes (n, 3, 52) and (n, 1)."""
        body, unit = self._body, self._wear.unit
        t = now.starts_s[:, None] + np.arange(ACCELERATION_RATE_HZ) / ACCELERATION_RATE_HZ
        motion = accelerations(self._posture, self._breath(now, t), t)
        for row, move in movements(now, 0.0, ACCELERATION_RATE_HZ, ACCELERATION_RATE_HZ):
            motion[row] = moved_acceleration(motion[row], self._posture.gravity_ms2[row], move)
        second = now.starts_s[:, None]
        heat = (body.skin_cel + skin_changes(now))[:, None] + evaluate(body.skin_slow, second)
        for row, fault in now.faults:
            if fault.name == "off-body":
                self._take_off(row, fault, now.starts_s[row], motion, heat)
        for row, span in now.activities:
            if span.event.activity == "device-in-hand":
                motion[row] += hand_shake(span, t[row])
        if self._motion is None or self._heat is None:
            self._motion = self._imu.init(motion[..., 0], unit.imu)
            self._heat = self._thermometer.init(heat[:, 0])
        self._motion, acceleration = self._imu.step(self._motion, motion, white_motion, unit.imu)
        self._heat, temperature = self._thermometer.step(self._heat, heat, white_heat, unit.contact_cel)
        return acceleration, temperature

    def _breath(self, now: Moment, t_s: Array) -> Array:
        """Filling of the lungs, -1 to 1 at rest, at times of shape ``(n, n_samples)``."""
        filling: Array = np.sin(2.0 * np.pi * self._body.breath.turns(t_s))
        for row, lungs in now.breathing:
            filling[row] = lungs.filling(t_s[row])
        return filling

    def _magnetic(self, now: Moment, breath: Array, white: Array) -> tuple[Reading, Array]:
        """Readings of the magnetometers, and what they measure of their own noise."""
        n, n_samples = len(now.starts_s), self._rate_hz * CHUNK_S
        factor = n_samples // _BREATH_KNOTS
        if self._head.kind == "meg":
            source = head_moments(self._body, now, range(n), now.starts_s, n_samples, self._rate_hz)
        else:
            source = heart_dipoles(self._body, now, now.starts_s, n_samples, self._rate_hz)
        t = now.starts_s[:, None] + np.arange(n_samples) / self._rate_hz
        worn = np.ones((n, n_samples), np.bool_)
        for row, fault in now.faults:
            if fault.name == "off-body":
                worn[row] &= ~during(fault, t[row])
                source[row] *= worn[row]
        room = self._room(now, breath, worn, t)
        for row, fault in now.faults:
            intrude(fault, t[row], self._head, room[row])
        seen = [source, room, self._gradient(now, breath, worn, t)] if self._wear.gradient_lead.size else [source, room]
        field = np.matmul(self._mix, np.concatenate(seen, axis=1)).reshape(n, self._head.n_all, -1, n_samples)
        for row, fault in now.faults:
            shift(fault, t[row], self._head, field[row])
        around = self._around(now, factor * (breath.shape[1] - 1))
        if self._state is None:
            self._state = start(self._head.kernel, field[..., 0], around)
        for row, fault in now.faults:
            if fault.name == "reboot" and now.starts_s[row] <= fault.to_s < now.starts_s[row] + CHUNK_S:
                away_s = fault.to_s - fault.from_s
                self._state = restarted(self._head.kernel, self._state, row, field[..., 0], around, away_s)
        self._state, reading = read(self._head.kernel, self._state, field, white, around)
        noise_pt = np.full((n, SLOTS_PER_CHUNK), self._head.noise_pt)
        for row, fault in now.faults:
            self._hitches.put(row, fault, t[row], reading, noise_pt)
        return reading, noise_pt

    def _room(self, now: Moment, breath: Array, worn: Mask, t: Array) -> Array:
        """Field of the room in the axes of devices that move with their patients while these wear them."""
        around, n_samples = self._wear.around, worn.shape[1]
        room = interference(around, self._grid, now.starts_s, n_samples, self._rate_hz)
        room += self._noise_of_the_room(n_samples)
        turn, shift_m = self._breath_turn[..., None] * breath[:, None], self._breath_shift[:, None] * breath[:, None]
        moved = upsample(
            field_of_movement(around.remnant_pt, around.gradient_pt_m, turn, shift_m), n_samples // _BREATH_KNOTS
        )
        room += np.multiply(moved, worn[:, None], out=moved)
        if not self._head.stand_off_m:
            for row, move in movements(now, 0.0, n_samples, self._rate_hz):
                shifted = room[row] + around.gradient_pt_m[row] @ (move.shift_m * worn[row])
                room[row] = turned(shifted, move.turn_rad * worn[row])
            for row, turn_rad, share in self._put_down(now, t):
                there = room[row] + (around.gradient_pt_m[row] @ TABLE_M)[:, None] * share
                room[row] = turned(there, turn_rad)
        return room

    def _noise_of_the_room(self, n_samples: int) -> Array:
        """Field of the room as far as it is chance, shape (n, 3, n_samples)."""
        n_knots = KNOTS_HZ * CHUNK_S
        n_slow = N_SLOW * n_knots
        white = np.empty((len(self._chances), n_slow + N_FAST * n_samples))
        for row, chances in enumerate(self._chances):
            chances.room.standard_normal(out=white[row])
        slow = white[:, :n_slow].reshape(-1, N_SLOW, n_knots)
        fast = white[:, n_slow:].reshape(-1, N_FAST, n_samples)
        self._unrest, field = self._background.step(self._unrest, slow, fast, self._wear.around.shaken)
        return field

    def _put_down(self, now: Moment, t: Array) -> list[tuple[int, Array, Array]]:
        """Rows whose device is off the body, how it is turned, and how far it is on its way to the table."""
        found = []
        for row, fault in now.faults:
            if fault.name == "off-body":
                share = laid(fault, t[row])
                found.append((row, self._table_turn[row, :, None] * share, share))
        still = np.zeros(t.shape[1])
        for row, span in now.activities:
            if span.event.activity == "device-in-hand":
                found.append((row, hand_turn(span, t[row]), still))
        return found

    def _gradient(self, now: Moment, breath: Array, worn: Mask, t: Array) -> Array:
        """Gradient of the room's field in the axes of devices that turn, shape (n, 9, n_samples)."""
        n, n_samples = worn.shape
        still = self._wear.around.gradient_pt_m[..., None]
        turn = self._breath_turn[..., None] * breath[:, None]
        moved = upsample((turned_gradient(still, turn) - still).reshape(n, 9, -1), n_samples // _BREATH_KNOTS)
        gradient = (moved * worn[:, None]).reshape(n, 3, 3, -1) + still
        for row, move in movements(now, 0.0, n_samples, self._rate_hz):
            gradient[row] = turned_gradient(gradient[row], move.turn_rad * worn[row])
        for row, turn_rad, _ in self._put_down(now, t):
            gradient[row] = turned_gradient(gradient[row], turn_rad)
        return gradient.reshape(n, 9, -1)

    def _around(self, now: Moment, n_samples: int) -> Around:
        """Gains as of this second, and temperatures."""
        unit = self._wear.unit
        drift = evaluate(unit.drift, now.starts_s[:, None])
        edges = now.starts_s[:, None] + np.array([0.0, CHUNK_S])
        usual = self._body.skin_cel
        skin = evaluate(self._body.skin_slow, edges) + skin_changes(now)[:, None]
        for row, fault in now.faults:
            if fault.name == "off-body":
                skin[row] = off_body(usual[row] + skin[row], edges[row], fault) - usual[row]
        warmth = upsample(SKIN_TO_DIAMOND * skin, n_samples)
        return Around(unit.mixing * (1.0 + drift[..., None]), unit.mismatch, warmth)

    def _light(self, now: Moment, breath: Array) -> Array:
        """Counts of the photon counters, shape (n, 3, 100)."""
        n_samples = PPG_RATE_HZ * CHUNK_S
        pulse = pulses(now, n_samples, PPG_RATE_HZ)
        slow = 1.0 + BREATH_MODULATION * breath
        for row, move in movements(now, 0.0, n_samples, PPG_RATE_HZ):
            slow[row] *= move.light
        back = np.array(RATE_CPS)[:, None] * (self._body.light[:, None] * slow)[:, None]
        rates = back * (1.0 - modulations(now)[..., None] * pulse[:, None]) + AMBIENT_CPS
        for row, fault in now.faults:
            if fault.name == "off-body":
                t = now.starts_s[row] + np.arange(PPG_RATE_HZ * CHUNK_S) / PPG_RATE_HZ
                # Off the skin a small part of the light comes back, without a pulse, and the room's light comes in.
                rates[row] = np.where(during(fault, t), 0.02 * back[row] + AMBIENT_OFF_BODY_CPS, rates[row])
        for row, span in now.activities:
            if span.event.activity == "device-in-hand":
                t = now.starts_s[row] + np.arange(n_samples) / PPG_RATE_HZ
                held = back[row] * (1.0 - np.array(MODULATION)[:, None] * hand_pulse(t, PPG_RATE_HZ)) + AMBIENT_CPS
                rates[row] = np.where((t >= span.from_s) & (t < span.to_s), held, rates[row])
        return self._spad.count(rates, [chances.photons for chances in self._chances])

    def _take_off(self, row: int, fault: Fault, start_s: float, acceleration: Array, temperature: Array) -> None:
        """Lay a device on the table, in place."""
        temperature[row] = off_body(temperature[row], np.array([start_s]), fault)
        t = start_s + np.arange(ACCELERATION_RATE_HZ * CHUNK_S) / ACCELERATION_RATE_HZ
        steady = np.broadcast_to(self._posture.gravity_ms2[row, :, None], acceleration[row].shape)
        turn_rad = table_turns(self._posture.gravity_ms2[row : row + 1])[0]
        put_down = turned(steady, turn_rad[:, None] * laid(fault, t))
        acceleration[row] = np.where(during(fault, t), put_down, acceleration[row])
