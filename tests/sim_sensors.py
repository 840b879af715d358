"""Helpers for tests of the simulator's sensors: constant fields, tones and noise through a kernel."""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from device_sim.electronics import Reading
from device_sim.gradiometer import ScalarGradiometer
from device_sim.helium import Helium
from device_sim.nv import Nv
from device_sim.opm import Opm
from device_sim.readout import Around, read, start

Array = NDArray[np.float64]
Kernel = Opm | Helium | ScalarGradiometer | Nv
EARTH_PT = 48e6


def field_of(kernel: Kernel, values_pt: Array) -> Array:
    """Field whose signal, as the kernel declares it, is `values_pt` of shape ``(n, n_channels, n_samples)``."""
    n, n_channels, n_samples = values_pt.shape
    if isinstance(kernel, ScalarGradiometer):
        field = np.zeros((n, n_channels, 6, n_samples))
        field[:, :, [2, 5]] = EARTH_PT
        field[:, :, 2] += values_pt
        return field
    field = np.zeros((n, n_channels, 3, n_samples))
    field[:, :, 0] = values_pt
    return field


def around(n: int, n_channels: int, n_samples: int) -> Around:
    """Perfect gains, and nothing that changes."""
    mixing = np.tile(np.eye(n_channels), (n, 1, 1))
    return Around(mixing, np.zeros((n, n_channels)), np.zeros((n, n_samples)))


def readings(kernel: Kernel, field: Array, white: Array | None = None, beside: Around | None = None) -> Reading:
    """One chunk from a sensor that was zeroed without any signal."""
    n, n_channels, _, n_samples = field.shape
    per_channel = 2 if isinstance(kernel, Nv) else 1
    beside = beside or around(n, n_channels, n_samples)
    white = np.zeros((n, per_channel * n_channels, n_samples)) if white is None else white
    still = field_of(kernel, np.zeros((n, n_channels, 1)))[..., 0]
    _, reading = read(kernel, start(kernel, still, beside), field, white, beside)
    return reading


def noise_of(kernel: Kernel, n: int, seconds: int, seed: int = 4) -> Array:
    """Readings without a signal, shape ``(n, seconds * rate)``."""
    rng = np.random.default_rng(seed)
    n_samples = round(kernel.rate_hz)
    field = field_of(kernel, np.zeros((n, 1, n_samples)))
    beside = around(n, 1, n_samples)
    state = start(kernel, field[..., 0], beside)
    parts = []
    for _ in range(seconds):
        white = rng.standard_normal((n, 2 if isinstance(kernel, Nv) else 1, n_samples))
        state, reading = read(kernel, state, field, white, beside)
        parts.append(reading.field_pt[:, 0])
    return np.concatenate(parts, axis=-1)


def response(kernel: Kernel, frequency_hz: float, size_pt: float = 50.0, seconds: float = 4.0) -> complex:
    """Gain of a kernel at a frequency, with its phase."""
    t = np.arange(round(seconds * kernel.rate_hz)) / kernel.rate_hz
    tone = size_pt * np.sin(2.0 * np.pi * frequency_hz * t)
    out = readings(kernel, field_of(kernel, tone[None, None])).field_pt[0, 0]
    late = slice(len(t) // 2, None)
    wave = np.exp(-2j * np.pi * frequency_hz * t[late])
    return complex(np.sum(out[late] * wave) / np.sum(tone[late] * wave))


def third_octaves_db(noise: Array, rate_hz: float, white: float, knee_hz: float, top_hz: float) -> list[float]:
    """How far the density of noise lies from ``white * sqrt(1 + knee / f)``, by third-octaves from 0.2 Hz."""
    length = round(40 * rate_hz)
    f, density = signal.welch(noise[:, length:], fs=rate_hz, nperseg=length)
    power = density.mean(axis=0)
    found = []
    for centre in 0.2 * 2.0 ** (np.arange(60) / 3.0):
        band = (f >= centre / 2 ** (1 / 6)) & (f < centre * 2 ** (1 / 6))
        if centre * 2 ** (1 / 6) > top_hz:
            break
        declared = white**2 * (1.0 + knee_hz / f[band])
        found.append(10.0 * np.log10(power[band].sum() / declared.sum()))
    return found
