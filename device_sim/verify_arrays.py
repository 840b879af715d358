"""What follows from the declarations: whether a beat can be seen, and how far a field from far away can be removed."""

from dataclasses import replace

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from device_sim.checked import Check, at_least, close, near
from device_sim.devices import DEVICES, Head
from device_sim.nv import Nv
from device_sim.opm import Opm
from device_sim.testbench import noise_of
from device_sim.unit import Unit, random_unit
from device_sim.verify_magnetometers import measured_by, true_sensitivity

Array = NDArray[np.float64]

GAIN_ERRORS = (0.002, 0.005, 0.01, 0.02, 0.05)
BEAT_PT, BRICK_WALL_HZ = 50.0, 40.0
_TONES_HZ = (0.5, 0.75, 1.25)  # whole turns in 16 s, one along each axis


def check_beats(seconds: int) -> list[Check]:
    """R peak of 50 pT over the noise of 0 to 40 Hz, as DOMAIN 1.1 computes it: white noise only."""
    serf = Opm(noise_pt=0.015, knee_hz=1e-3)
    nv = replace(DEVICES["nv-light-shield"].head.kernel, knee_hz=1e-3)
    checks = []
    for name, kernel, declared_db in (("SERF 15 fT/rtHz", serf, 54.0), ("NV 9 pT/rtHz", nv, -1.0)):
        noise = noise_of(kernel, 4, seconds, seed=13)
        spectrum = np.fft.rfft(noise - noise.mean(axis=-1, keepdims=True), axis=-1)
        spectrum[:, np.fft.rfftfreq(noise.shape[-1], 1.0 / kernel.rate_hz) > BRICK_WALL_HZ] = 0.0
        rms = np.fft.irfft(spectrum, n=noise.shape[-1], axis=-1).std()
        snr = 20.0 * np.log10(BEAT_PT / rms)
        checks.append(near(name, "R peak of 50 pT over the noise below 40 Hz", "dB", declared_db, float(snr), by=1.0))
    return checks


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
