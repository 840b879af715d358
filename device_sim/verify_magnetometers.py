"""Every magnetometer against its declaration: noise, bandwidth, delay, gain and cross-axis error."""

from dataclasses import replace
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from device_sim.checked import Check, close, near
from device_sim.devices import DEVICES, Head
from device_sim.gradiometer import ScalarGradiometer
from device_sim.helium import Helium
from device_sim.nv import Nv
from device_sim.readout import Around, n_whites, read, start
from device_sim.testbench import EARTH_PT, field_of, lock_in, noise_of, off_db, path_of, readings, response
from device_sim.unit import Unit, random_unit

Array = NDArray[np.float64]

# Sensors whose densities are averaged: at least these, and in a short run so many that the lowest third-octave, which
# holds one line of the spectrum, rests on some 500 periodograms and scatters by 0.2 dB. With 8 sensors in 240 s it
# scattered by 0.4 dB, and one run in ten fell beyond 1 dB although nothing was wrong.
N_SENSORS, SENSOR_SECONDS = 8, 8000
LOW_HZ = 0.1
BAND_EDGE = 0.4  # of the rate: noise is declared up to the filter in front of the converter


class Curve(NamedTuple):
    """Density of a sensor's noise, for a picture."""

    sensor: str
    frequency_hz: Array
    measured_pt: Array
    declared_pt: Array


def sensors() -> dict[str, Head]:
    """One device for every kind of magnetometer in the table."""
    found: dict[str, Head] = {}
    known = set()
    for name, device in DEVICES.items():
        if device.head.kernel not in known:
            known.add(device.head.kernel)
            found[name] = device.head
    return found


def check_noise(name: str, head: Head, seconds: int) -> tuple[Check, Curve]:
    """Amplitude spectral density in third-octaves from 0.1 Hz, as the counts on the wire have it."""
    kernel = head.kernel
    warm = min(100, seconds // 4)
    n_sensors = max(N_SENSORS, -(-SENSOR_SECONDS // seconds))
    noise = noise_of(kernel, n_sensors, seconds + warm, seed=crc32(name.encode()), scale_pt=head.scale_pt)
    centres, off, density = off_db(
        noise[:, round(warm * kernel.rate_hz) :], kernel, LOW_HZ, BAND_EDGE * kernel.rate_hz, min(80.0, seconds / 8)
    )
    worst = float(off[np.argmax(np.abs(off))])
    declared = kernel.noise_pt * np.sqrt(1.0 + kernel.knee_hz / centres)
    return (
        near(name, f"noise density, worst third-octave of {len(centres)}", "dB", 0.0, worst, by=1.0),
        Curve(name, centres, density, declared),
    )


def check_bandwidth(name: str, head: Head) -> Check:
    """Where a tone has lost 3 dB against one at 1 Hz."""
    kernel = head.kernel
    slow = abs(response(kernel, 1.0))
    tried = kernel.bandwidth_hz * np.array([0.9, 0.95, 1.0, 1.05, 1.1])
    sizes = np.array([abs(response(kernel, float(one))) / slow for one in tried])
    measured = float(np.interp(-np.sqrt(0.5), -sizes, tried))
    return close(name, "bandwidth", "Hz", kernel.bandwidth_hz, measured, share=0.03)


def check_delay(name: str, head: Head) -> Check:
    """Delay of the channel that is furthest from its declaration, at 5 Hz."""
    kernel, frequency_hz = head.kernel, 5.0
    path = path_of(kernel)
    t = np.arange(round(4 * kernel.rate_hz)) / kernel.rate_hz
    tone = np.sin(2.0 * np.pi * frequency_hz * t)
    field = field_of(kernel, 50.0 * np.tile(tone, (1, head.n_all, 1)))
    out = readings(kernel, field).field_pt[0]
    turn = lock_in(out, frequency_hz, kernel.rate_hz) / lock_in(tone, frequency_hz, kernel.rate_hz)
    measured = -np.angle(turn) / (2.0 * np.pi * frequency_hz)
    declared = np.array([path.total_delay_s(channel) for channel in range(head.n_all)])
    worst = int(np.argmax(np.abs(measured - declared)))
    return near(name, "delay, worst channel", "ms", 1e3 * declared[worst], 1e3 * float(measured[worst]), by=1.0)


def check_gains(name: str, head: Head) -> Check:
    """Sensitivity of every channel to fields along x, y and z: gain, cross-talk and true axes of one device."""
    unit = random_unit(default_rng(12), head)
    measured, true = sensitivity(head, unit), true_sensitivity(head, unit)
    off = 100.0 * float(np.max(np.abs(measured - true)))
    return near(name, "gain and cross-axis error, worst channel and axis", "%", 0.0, off, by=0.1)


def true_sensitivity(head: Head, unit: Unit) -> Array:
    """What a device's gains and axes make of a field along x, y and z, shape ``(n_all, 3)``."""
    if isinstance(head.kernel, ScalarGradiometer):
        # Along the earth's field, at the near cell alone, in the place of x; across it there is nothing.
        along: Array = unit.mixing.sum(axis=1, keepdims=True) * np.array([1.0, 0.0, 0.0])
        return along
    sensitivity: Array = unit.mixing @ unit.frames[:, 0]
    return sensitivity


def sensitivity(head: Head, unit: Unit, size_pt: float = 20.0) -> Array:
    """The same, as it is measured with a slow tone along each axis."""
    kernel, frequency_hz = head.kernel, 1.0
    t = np.arange(round(8 * kernel.rate_hz)) / kernel.rate_hz
    tone = size_pt * np.sin(2.0 * np.pi * frequency_hz * t)
    columns = []
    for axis in range(3):
        if isinstance(kernel, ScalarGradiometer):
            field = np.zeros((1, head.n_all, 6, len(t)))
            field[:, :, [0, 3]] = EARTH_PT
            field[:, :, axis] += tone
        else:
            field = unit.frames[None, :, :, axis, None] * tone
        out = measured_by(head, unit, field)
        turn = lock_in(out, frequency_hz, kernel.rate_hz) / lock_in(tone, frequency_hz, kernel.rate_hz)
        late_s = np.array([path_of(kernel).total_delay_s(channel) for channel in range(head.n_all)])
        size = np.real(turn * np.exp(2j * np.pi * frequency_hz * late_s))
        columns.append(size * np.sqrt(1.0 + (frequency_hz / kernel.bandwidth_hz) ** 2))
    return np.stack(columns, axis=-1)


def measured_by(head: Head, unit: Unit, field: Array) -> Array:
    """Readings of one device without noise, shape ``(n_all, n_samples)``, of a field ``(1, n_all, n_probes, n)``."""
    kernel, n_samples = head.kernel, field.shape[-1]
    around = Around(unit.mixing[None], 0.0 * unit.mismatch[None], np.zeros((1, n_samples)))
    white = np.zeros((1, n_whites(head), n_samples))
    # Zeroed where nothing is: what the coils leave of a field is another matter.
    still = 0.0 * field[..., 0]
    if isinstance(kernel, ScalarGradiometer):
        still[..., [0, 3]] = EARTH_PT
    _, reading = read(kernel, start(kernel, still, around), field, white, around)
    seen: Array = reading.field_pt[0]
    return seen


def check_tilt(name: str, head: Head) -> list[Check]:
    """Cross-axis projection error of a zero-field sensor: the tilt of its axis by a field across it."""
    kernel = head.kernel
    if isinstance(kernel, (ScalarGradiometer, Nv)):
        return []
    opm = kernel.resonance if isinstance(kernel, Helium) else kernel
    across_pt = 2000.0
    t = np.arange(round(8 * opm.rate_hz)) / opm.rate_hz
    tone = 10.0 * np.sin(2.0 * np.pi * t)
    field = np.zeros((1, 1, 3, len(t)))
    field[0, 0, 1], field[0, 0, 2] = across_pt, tone
    alone = replace(opm, null_share=0.0, noise_factors=(1.0,), skew_s=(0.0,))
    around = Around(np.eye(1)[None], np.zeros((1, 1)), np.zeros((1, len(t))))
    first = 0.0 * field[..., 0]
    _, reading = read(alone, start(alone, first, around), field, np.zeros((1, 1, len(t))), around)
    turn = lock_in(reading.field_pt[0, 0], 1.0, opm.rate_hz) / lock_in(tone, 1.0, opm.rate_hz)
    share = across_pt / ((1.0 + opm.cross_gain) * opm.linewidth_pt)
    declared = 100.0 * share / (1.0 + opm.cross_gain) * (1.0 + opm.loop_gain) / (1.0 + opm.loop_gain + share**2)
    measured = 100.0 * float(np.abs(turn))
    return [near(name, "tilt of the axis by 2 nT across it", "%", declared, measured, by=0.1)]


def check_mismatch(name: str, head: Head) -> list[Check]:
    """What a gradiometer keeps of a change that is the same at both of its cells, worst channel."""
    kernel = head.kernel
    if not isinstance(kernel, ScalarGradiometer):
        return []
    unit = random_unit(default_rng(18), head)
    t = np.arange(round(8 * kernel.rate_hz)) / kernel.rate_hz
    tone = 10.0 * kernel.rejection * np.sin(2.0 * np.pi * t)
    field = np.zeros((1, head.n_all, 6, len(t)))
    field[:, :, [0, 3]] = EARTH_PT + tone
    around = Around(np.eye(head.n_all)[None], unit.mismatch[None], np.zeros((1, len(t))))
    white = np.zeros((1, head.n_all, len(t)))
    _, reading = read(kernel, start(kernel, field[..., 0], around), field, white, around)
    seen = np.abs(lock_in(reading.field_pt[0], 1.0, kernel.rate_hz) / lock_in(tone, 1.0, kernel.rate_hz))
    worst = int(np.argmax(np.abs(unit.mismatch)))
    declared = 100.0 * abs(float(unit.mismatch[worst]))
    return [
        close(
            name,
            "what is left of a homogeneous change, worst channel",
            "%",
            declared,
            100.0 * float(seen[worst]),
            share=0.01,
        )
    ]
