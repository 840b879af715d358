"""A bench for magnetometers: tones, steps and silence in front of a kernel, and what it reads of them."""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from device_sim.devices import Kernel
from device_sim.electronics import Reading, SignalPath
from device_sim.gradiometer import ScalarGradiometer
from device_sim.helium import Helium
from device_sim.readout import Around, read, start, whites_of

Array = NDArray[np.float64]
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
    beside = beside or around(n, n_channels, n_samples)
    white = np.zeros((n, whites_of(kernel) * n_channels, n_samples)) if white is None else white
    still = field_of(kernel, np.zeros((n, n_channels, 1)))[..., 0]
    _, reading = read(kernel, start(kernel, still, beside), field, white, beside)
    return reading


def path_of(kernel: Kernel) -> SignalPath:
    """Low pass and delay of a kernel."""
    return kernel.resonance.path if isinstance(kernel, Helium) else kernel.path


def noise_of(kernel: Kernel, n: int, seconds: int, seed: int = 4, scale_pt: float = 0.0) -> Array:
    """Readings of `n` sensors in silence, shape ``(n, seconds * rate)``, in whole counts if there is a scale."""
    rng = np.random.default_rng(seed)
    n_samples = round(kernel.rate_hz)
    field = field_of(kernel, np.zeros((n, 1, n_samples)))
    beside = around(n, 1, n_samples)
    state = start(kernel, field[..., 0], beside)
    noise = np.empty((n, seconds * n_samples))
    for second in range(seconds):
        white = rng.standard_normal((n, whites_of(kernel), n_samples))
        state, reading = read(kernel, state, field, white, beside)
        noise[:, second * n_samples : (second + 1) * n_samples] = reading.field_pt[:, 0]
    return np.rint(noise / scale_pt) * scale_pt if scale_pt else noise


def response(kernel: Kernel, frequency_hz: float, size_pt: float = 50.0, seconds: float = 4.0) -> complex:
    """Gain of a kernel's first channel at a frequency, with its phase."""
    t = np.arange(round(seconds * kernel.rate_hz)) / kernel.rate_hz
    tone = size_pt * np.sin(2.0 * np.pi * frequency_hz * t)
    out = readings(kernel, field_of(kernel, tone[None, None])).field_pt[0, 0]
    return complex(lock_in(out, frequency_hz, kernel.rate_hz) / lock_in(tone, frequency_hz, kernel.rate_hz))


def lock_in(values: Array, frequency_hz: float, rate_hz: float) -> NDArray[np.complex128]:
    """Size and phase of a tone in the later half of signals of shape ``(..., n_samples)``: whole turns of it."""
    half = values.shape[-1] // 2
    turns = np.floor(half / rate_hz * frequency_hz)
    late = slice(values.shape[-1] - round(turns * rate_hz / frequency_hz), None)
    t = np.arange(values.shape[-1]) / rate_hz
    wave = np.exp(-2j * np.pi * frequency_hz * t[late])
    size: NDArray[np.complex128] = np.sum(values[..., late] * wave, axis=-1) * 2j / len(wave)
    return size


def third_octaves(
    noise: Array, rate_hz: float, low_hz: float, high_hz: float, segment_s: float
) -> tuple[Array, Array, Array, Array]:
    """Density of noise of shape ``(n, n_samples)`` in third-octaves.

    Returns
    -------
    tuple of ndarray
        Centres of the bands, mean power density in each, and the frequencies and power density that they came from.
    """
    f, density = signal.welch(noise, fs=rate_hz, nperseg=round(segment_s * rate_hz))
    power = density.mean(axis=0)
    n_bands = int(np.floor(3.0 * np.log2(high_hz / low_hz) - 0.5)) + 1
    centres = low_hz * 2.0 ** (np.arange(n_bands) / 3.0)
    means = [power[(f >= one / 2 ** (1 / 6)) & (f < one * 2 ** (1 / 6))].mean() for one in centres]
    return centres, np.array(means), f, power


def off_db(
    noise: Array, kernel: Kernel, low_hz: float, high_hz: float, segment_s: float = 40.0
) -> tuple[Array, Array, Array]:
    """Bands, how far the density of noise lies from what a kernel declares, dB, and the density itself."""
    centres, means, f, _ = third_octaves(noise, kernel.rate_hz, low_hz, high_hz, segment_s)
    declared = [
        np.mean(1.0 + kernel.knee_hz / f[(f >= one / 2 ** (1 / 6)) & (f < one * 2 ** (1 / 6))]) for one in centres
    ]
    return centres, 10.0 * np.log10(means / (kernel.noise_pt**2 * np.array(declared))), np.sqrt(means)
