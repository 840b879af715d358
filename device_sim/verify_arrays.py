"""What follows from the declarations: whether a beat can be seen, and how far a field from far away can be removed."""

from dataclasses import replace

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from device_sim.checked import Check, at_least, close, near
from device_sim.devices import DEVICES, Head, Kernel
from device_sim.heartvector import R_DIRECTION, heart_vectors
from device_sim.nv import Nv
from device_sim.opm import Opm
from device_sim.physiology import Beat
from device_sim.testbench import field_of, noise_of, readings
from device_sim.unit import Unit, random_unit
from device_sim.verify_magnetometers import measured_by, true_sensitivity

Array = NDArray[np.float64]

GAIN_ERRORS = (0.002, 0.005, 0.01, 0.02, 0.05)
BEAT_PT, BRICK_WALL_HZ, DRIFT_HZ = 50.0, 40.0, 0.1
_TONES_HZ = (0.5, 0.75, 1.25)  # whole turns in 16 s, one along each axis


def check_beats(seconds: int) -> list[Check]:
    """R peak of a beat of 50 pT over the noise, both as the shipped sensors read them and behind a wall at 40 Hz.

    Once in white noise only, as DOMAIN 1.1 computes it, and once with the knee that the sensor has: what of its 1/f
    noise lies below 0.1 Hz does not hide a beat.
    """
    checks = []
    for name, device, white_db in (("SERF 15 fT/rtHz", "reference", 54.0), ("NV 9 pT/rtHz", "nv-light-shield", -1.0)):
        kernel = DEVICES[device].head.kernel
        if not isinstance(kernel, (Opm, Nv)):
            raise TypeError(f"{device}: need a SERF or an NV array here")
        peak = beat_peak(kernel)
        flicker = kernel.knee_hz * np.log(BRICK_WALL_HZ / DRIFT_HZ)
        declared_db = 20.0 * np.log10(BEAT_PT / kernel.noise_pt / np.sqrt(BRICK_WALL_HZ - DRIFT_HZ + flicker))
        for noise, knee_hz, low_hz, db in (
            ("white noise alone", 1e-3, 0.0, white_db),
            (
                f"its noise with the knee at {kernel.knee_hz:g} Hz, from {DRIFT_HZ:g} Hz",
                kernel.knee_hz,
                DRIFT_HZ,
                declared_db,
            ),
        ):
            silence = noise_of(replace(kernel, knee_hz=knee_hz), 4, seconds, seed=13)
            snr = 20.0 * np.log10(peak / _walled(silence, kernel.rate_hz, low_hz).std())
            what = f"R peak of a 50 pT beat below 40 Hz over {noise}"
            checks.append(near(name, what, "dB", float(db), float(snr), by=1.0))
    return checks


def beat_peak(kernel: Kernel) -> float:
    """R peak of a beat of 50 pT as a sensor without noise reads it, behind the wall, pT."""
    n_samples = round(4 * kernel.rate_hz)
    beat = [(0, Beat(2.0, "N", 0.9, atrial=True))]
    ventricles, atria = np.split(heart_vectors(beat, np.zeros((1, 3)), np.zeros(1), n_samples, kernel.rate_hz)[0], 2)
    wave = R_DIRECTION @ (ventricles + atria)
    seen = readings(kernel, field_of(kernel, BEAT_PT / wave.max() * wave[None, None])).field_pt[0]
    return float(_walled(seen, kernel.rate_hz, 0.0).max())


def _walled(signals: Array, rate_hz: float, low_hz: float) -> Array:
    """Signals of shape ``(n, n_samples)`` without their means and with what lies between `low_hz` and 40 Hz only."""
    spectrum = np.fft.rfft(signals - signals.mean(axis=-1, keepdims=True), axis=-1)
    f = np.fft.rfftfreq(signals.shape[-1], 1.0 / rate_hz)
    spectrum[:, (f < low_hz) | (f > BRICK_WALL_HZ)] = 0.0
    left: Array = np.fft.irfft(spectrum, n=signals.shape[-1], axis=-1)
    return left


def check_rejection() -> list[Check]:
    """Rejection of a homogeneous field by a fixed projector that knows the nominal axes only."""
    checks = []
    for name in ("serf-light-shield", "meg-cap"):
        for error in GAIN_ERRORS:
            head = _of_one_time(name, gain_error=error, tilt_rad=error, cross_talk=0.0)
            unit = random_unit(default_rng(round(1e6 * error)), head)
            projector = _away_from(head.all_orientations())
            true = true_sensitivity(head, unit)
            declared = np.linalg.norm(projector @ true) / np.linalg.norm(true)
            seen = _homogeneous(head, unit, 20.0)
            measured = np.linalg.norm(projector @ seen) / np.linalg.norm(seen)
            what = f"what a fixed projector leaves of a homogeneous field, gains and axes {100 * error:g} % off"
            checks.append(close(name, what, "%", 100.0 * float(declared), 100.0 * float(measured), share=0.05))
    return checks


def check_refit() -> list[Check]:
    """A projector that is fitted to the readings passes 1 / error, and stops where the sensors stop being linear."""
    error, name = 0.02, "serf-light-shield"
    head = _of_one_time(name, gain_error=error, tilt_rad=error, cross_talk=0.01)
    unit = random_unit(default_rng(14), head)
    weak, strong = 50.0, 3000.0
    checks = [
        at_least(name, "rejection of a fitted projector, weak field", "", 1.0 / error, _refitted(head, unit, weak))
    ]
    # Two tones of size B across each other make one of B / B0 / 2 at the sum and the difference of their frequencies,
    # where no gain can take it away: the cross-axis projection error is the non-linearity that counts.
    opm = head.kernel
    if not isinstance(opm, Opm):
        raise TypeError(f"{name}: need a SERF array here")
    for size in (weak, strong):
        ceiling = 2.0 * opm.linewidth_pt / size
        off_db = 20.0 * np.log10(_refitted(head, unit, size) / ceiling)
        what = f"rejection of a fitted projector at {size:g} pT against 2 B0 / B = {ceiling:.3g}"
        checks.append(near(name, what, "dB", 0.0, float(off_db), by=3.0))
    return checks


def _of_one_time(name: str, **changes: float) -> Head:
    """A head without skew: this is about gains, and a skew is a gain error that grows with frequency."""
    head = DEVICES[name].head
    kernel = head.kernel
    if not isinstance(kernel, (Opm, Nv)):
        raise TypeError(f"{name}: need a SERF or an NV array here")
    return replace(head, kernel=replace(kernel, skew_s=(0.0,)), **changes)  # type: ignore[arg-type]  # floats all


def _away_from(axes: Array) -> Array:
    """Projector onto what a homogeneous field cannot be, shape ``(n, n)``."""
    projector: Array = np.eye(len(axes)) - axes @ np.linalg.pinv(axes)
    return projector


def _homogeneous(head: Head, unit: Unit, size_pt: float) -> Array:
    """Readings of a field that is the same everywhere, with a tone of its own along each axis."""
    rate_hz = head.kernel.rate_hz
    t = np.arange(round(20 * rate_hz)) / rate_hz
    tones = size_pt * np.sin(2.0 * np.pi * np.array(_TONES_HZ)[:, None] * t)
    field = np.einsum("cpa,at->cpt", unit.frames, tones)[None]
    return measured_by(head, unit, field)[:, round(4 * rate_hz) :]


def _refitted(head: Head, unit: Unit, size_pt: float) -> float:
    """Rejection in the later half of the readings by a projector that was fitted to their first half."""
    seen = _homogeneous(head, unit, size_pt)
    half = seen.shape[-1] // 2
    axes = np.linalg.svd(seen[:, :half], full_matrices=False)[0][:, :3]
    left = _away_from(axes) @ seen[:, half:]
    return float(np.linalg.norm(seen[:, half:]) / np.linalg.norm(left))
