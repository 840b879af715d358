"""Photon counter, NV resonances, thermometer and accelerometer against their declarations."""

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from device_sim.checked import Check, at_most, close, near
from device_sim.imu import Imu, ImuUnit, random_imu
from device_sim.nv import Nv
from device_sim.spad import Spad
from device_sim.testbench import lock_in, third_octaves
from device_sim.thermometer import Thermometer

Array = NDArray[np.float64]

_N_BINS = 200_000
_N_ROWS = 16


def check_photons() -> list[Check]:
    """Mean, and variance over mean, of the counts at a weak, a usual and a blinding light."""
    spad = Spad()
    checks = []
    for rate_cps in (1e5, 5e7, 5e8):
        counts = spad.count(np.full((1, 1, _N_BINS), rate_cps), [default_rng(15)])[0, 0]
        at = f"at {rate_cps:.0e} photons a second"
        declared = spad.mean_cps(rate_cps) * spad.bin_s
        checks.append(close("spad", f"counts of a bin {at}", "", declared, float(counts.mean()), share=0.002))
        fano = float(counts.var() / counts.mean())
        checks.append(close("spad", f"variance over mean {at}", "", spad.fano(rate_cps), fano, share=0.02))
    return checks


def check_resonances() -> list[Check]:
    """What a millikelvin does to one resonance, to both, and to the magnet."""
    checks = []
    for name, nv in (("nv", Nv(bias_per_k=0.0)), ("nv with its magnet", Nv(magnet_s=0.2))):
        field = np.zeros((1, 1, 3, 4000))
        warmth = np.concatenate([np.zeros(500), np.full(3500, 1e-3)])[None]
        state = nv.init(field[..., 0], np.zeros(1), thermometry=True)
        _, out = nv.step(state, field, np.zeros((1, 8, 4000)), np.eye(1)[None], warmth)
        single = float(abs(out.single_pt[0, 0, 600] - out.single_pt[0, 0, 0]))
        both = float(abs(out.reading.field_pt[0, 0, -1]))
        magnet = abs(nv.drift_pt_k) * 1e-3
        if not magnet:
            checks.append(close(name, "1 mK in one resonance", "pT", 2650.0, single, share=0.02))
        checks.append(at_most(name, "1 mK in the two resonances' reading", "pT", magnet + 26.5, both))
        if magnet:
            checks.append(close(name, "drift of the magnet by 1 mK", "pT", magnet, both, share=0.01))
    return [*checks, *_check_axes(Nv(bias_per_k=0.0))]


def _check_axes(nv: Nv) -> list[Check]:
    """What the four axes together read of a field that lies askew, and of the diamond's temperature in it."""
    askew_pt, warmer_k = np.array([1e6, -3e6, 2e6]), 0.25
    field = np.zeros((1, 1, 3, 2000))
    field[0, 0, :, 1000:] = askew_pt[:, None]
    state = nv.init(field[..., 0], np.zeros(1), thermometry=True)
    warmth = np.where(np.arange(2000) < 1500, 0.0, warmer_k)[None]
    _, out = nv.step(state, field, np.zeros((1, 8, 2000)), np.eye(1)[None], warmth)
    along = float(out.reading.field_pt[0, 0, -1])
    warmed = float(out.temperature_k[0, 0, -1] - out.temperature_k[0, 0, 0])
    return [
        close(
            "nv",
            "field along the sensitive axis from four axes, 3.6 uT across",
            "pT",
            float(askew_pt[0]),
            along,
            share=1e-3,
        ),
        close(
            "nv", "temperature from the mean of eight resonances in that field", "mK", 250.0, 1e3 * warmed, share=1e-3
        ),
    ]


def check_thermometer(seconds: int) -> list[Check]:
    """Noise of readings once a second, and the contact's time constant."""
    thermometer, rng = Thermometer(), default_rng(16)
    n = max(2000, seconds)
    skin = np.full((_N_ROWS, n), 34.0)
    _, seen = thermometer.step(thermometer.init(skin[:, 0]), skin, rng.standard_normal(skin.shape), np.zeros(_N_ROWS))
    centres, power, f, _ = third_octaves(seen, 1.0, 0.05, 0.45, 200.0)
    bands = [(f >= one / 2 ** (1 / 6)) & (f < one * 2 ** (1 / 6)) for one in centres]
    declared = [thermometer.noise_cel**2 * np.mean(1.0 + thermometer.knee_hz / f[band]) for band in bands]
    off = 10.0 * np.log10(power / np.array(declared))
    worst = float(off[np.argmax(np.abs(off))])
    step = np.concatenate([np.full(5, 34.0), np.full(200, 35.0)])[None]
    _, seen = Thermometer(noise_cel=0.0).step(thermometer.init(step[:, 0]), step, 0.0 * step, np.zeros(1))
    late_s = float(np.sum(35.0 - seen[0, 5:]) + 0.5)
    return [
        near("nv-thermometer", "noise density, worst third-octave", "dB", 0.0, worst, by=1.0),
        close("nv-thermometer", "time constant of the contact", "s", thermometer.contact_s, late_s, share=0.03),
    ]


def check_accelerometer(seconds: int) -> list[Check]:
    """Noise, bandwidth, delay, and gains with misalignment."""
    imu, rng = Imu(), default_rng(17)
    perfect = ImuUnit(np.eye(3)[None], np.zeros((1, 3)))
    still = np.zeros((1, 3, round(max(400, seconds) * imu.rate_hz)))
    _, seen = imu.step(imu.init(still[..., 0], perfect), still, rng.standard_normal(still.shape), perfect)
    centres, power, f, _ = third_octaves(seen[0], imu.rate_hz, 0.2, 24.0, 40.0)
    bands = [(f >= one / 2 ** (1 / 6)) & (f < one * 2 ** (1 / 6)) for one in centres]
    declared = np.array([imu.noise_ms2**2 * np.mean(1.0 + imu.knee_hz / f[band]) for band in bands])
    off = 10.0 * np.log10(power / declared)
    worst = float(off[np.argmax(np.abs(off))])
    quiet = Imu(noise_ms2=0.0)
    tried = imu.bandwidth_hz * np.array([0.9, 1.0, 1.1])
    sizes = [abs(_turn(quiet, perfect, float(frequency_hz))[0, 0]) for frequency_hz in tried]
    bandwidth = float(np.interp(-np.sqrt(0.5), -np.array(sizes), tried))
    slow = _turn(quiet, perfect, 1.0)[0, 0]
    late_s = float(-np.angle(slow) / (2.0 * np.pi))
    one = random_imu(rng)
    unit = ImuUnit(one.matrix[None], one.offset_ms2[None])
    error = 100.0 * float(np.max(np.abs(np.real(_turn(quiet, unit, 1.0) / slow) - one.matrix)))
    return [
        near("imu", "noise density, worst third-octave", "dB", 0.0, worst, by=1.0),
        close("imu", "bandwidth", "Hz", imu.bandwidth_hz, bandwidth, share=0.03),
        near("imu", "delay", "ms", 1e3 * imu.path.total_delay_s(0), 1e3 * late_s, by=1.0),
        near("imu", "gain and cross-axis error, worst pair", "%", 0.0, error, by=0.1),
    ]


def _turn(imu: Imu, unit: ImuUnit, frequency_hz: float) -> NDArray[np.complex128]:
    """Gain of each axis to each, with its phase, shape (3, 3)."""
    t = np.arange(round(100 * imu.rate_hz)) / imu.rate_hz
    tone = np.sin(2.0 * np.pi * frequency_hz * t)
    columns = []
    for axis in range(3):
        true = np.zeros((1, 3, len(t)))
        true[0, axis] = tone
        _, seen = imu.step(imu.init(true[..., 0], unit), true, np.zeros_like(true), unit)
        centred = seen[0] - unit.offset_ms2[0][:, None]
        columns.append(lock_in(centred, frequency_hz, imu.rate_hz) / lock_in(tone, frequency_hz, imu.rate_hz))
    return np.stack(columns, axis=-1)
