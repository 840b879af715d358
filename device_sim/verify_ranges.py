"""Where a magnetometer stops being linear, where it clips, and what it does in a field in which it cannot work."""

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from device_sim.checked import Check, close, near
from device_sim.devices import DEVICES, Head
from device_sim.gradiometer import ScalarGradiometer
from device_sim.helium import Helium
from device_sim.nv import Nv
from device_sim.testbench import EARTH_PT, field_of, readings

Array = NDArray[np.float64]

_SHARE = 0.8  # of the range


def check_curve(name: str, head: Head) -> Check:
    """Reading of a steady field at four fifths of the range, against the curve that is declared."""
    kernel = head.kernel
    size = _SHARE * kernel.range_pt
    declared = size
    if not isinstance(kernel, (ScalarGradiometer, Nv)):
        opm = kernel.resonance if isinstance(kernel, Helium) else kernel
        under = (size / ((1.0 + opm.loop_gain) * opm.linewidth_pt)) ** 2
        declared = size * (1.0 + opm.loop_gain) / (1.0 + opm.loop_gain + under)
    seen = readings(kernel, field_of(kernel, np.full((1, 1, round(kernel.rate_hz)), size))).field_pt[0, 0, -1]
    return close(name, "reading at 80 % of the range", "pT", declared, float(seen), share=0.001)


def check_clipping(name: str, head: Head) -> Check:
    """Where the reading stops in a field just beyond the range."""
    kernel = head.kernel
    field = field_of(kernel, np.full((1, 1, round(kernel.rate_hz)), 1.2 * kernel.range_pt))
    reading = readings(kernel, field)
    measured = float(np.abs(reading.field_pt[0, 0, -1])) if reading.saturated[0, 0, -1] else float("nan")
    return near(name, "reading beyond the range, and said", "pT", kernel.range_pt, measured, by=1e-3)


def check_third_axis() -> list[Check]:
    """Noise of helium's third axis against that of the good ones."""
    helium = Helium()
    n_samples = round(60 * helium.rate_hz)
    white = default_rng(19).standard_normal((1, 3, n_samples))
    spread = readings(helium, np.zeros((1, 3, 3, n_samples)), white).field_pt[0].std(axis=-1)
    ratio = float(spread[2] / spread[:2].mean())
    return [close("he4-room", "noise of the third axis against the others", "", helium.third_axis, ratio, share=0.05)]


def check_heading() -> list[Check]:
    """What a gradiometer reads that turns from a field across its axis into one along it."""
    checks = []
    for name in ("scalar-gradiometer-open-ward", "scalar-gradiometer-closed-open-ward"):
        kernel = DEVICES[name].head.kernel
        if not isinstance(kernel, ScalarGradiometer):
            raise TypeError(f"{name}: need a scalar gradiometer here")
        field = np.zeros((1, 1, 6, round(kernel.rate_hz)))
        field[:, :, [0, 3]] = EARTH_PT
        seen = float(readings(kernel, field).field_pt[0, 0, -1])
        checks.append(close(name, "heading error", "pT", kernel.heading_pt, seen, share=0.01))
    return checks


def check_open_ward() -> list[Check]:
    """What a SERF array says of itself in the earth's field."""
    kernel = DEVICES["serf-open-ward"].head.kernel
    field = np.zeros((1, 3, 3, round(10 * kernel.rate_hz)))
    field[:, :, 1] = 48e6
    reading = readings(kernel, field)
    away = reading.locked[0].mean(), reading.saturated[0].any(axis=0).mean()
    return [
        near("serf-open-ward", "time with a lock in the earth's field", "%", 0.0, 100.0 * float(away[0]), by=1.0),
        near("serf-open-ward", "time at the end of its range there", "%", 100.0, 100.0 * float(away[1]), by=1.0),
    ]
