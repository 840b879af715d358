"""The whole report: every sensor as it was measured against what it declares, and how many patients a core makes."""

import time
from collections.abc import Callable
from typing import NamedTuple

from device_sim.checked import Check, at_least
from device_sim.devices import DEVICES
from device_sim.fleet import Fleet, FleetOptions
from device_sim.verify_arrays import check_beats, check_refit, check_rejection
from device_sim.verify_magnetometers import (
    Curve,
    check_bandwidth,
    check_delay,
    check_gains,
    check_mismatch,
    check_noise,
    check_tilt,
    sensors,
)
from device_sim.verify_others import check_accelerometer, check_photons, check_resonances, check_thermometer
from device_sim.verify_ranges import check_clipping, check_curve, check_heading, check_open_ward, check_third_axis
from device_sim.verify_wire import check_wire

PATIENTS_PER_CORE = 500
LEAST_S = 240  # of signal: a density at 0.1 Hz needs periods, and enough of them to average
_FLEET, _WARM_STEPS, _STEPS = 200, 8, 16


class Verified(NamedTuple):
    """What was found."""

    checks: list[Check]
    curves: list[Curve]


def verify(seconds: int, tell: Callable[[str], None], *, speed: bool = True) -> Verified:
    """Measure everything.

    Parameters
    ----------
    seconds
        Of signal for each density; an hour is 3600.
    tell
        Takes a line about each sensor that is begun.
    speed
        Whether to measure how fast a fleet is made, which depends on the machine.
    """
    checks: list[Check] = []
    curves: list[Curve] = []
    for name, head in sensors().items():
        tell(name)
        noise, curve = check_noise(name, head, seconds)
        curves.append(curve)
        checks += [noise, check_bandwidth(name, head), check_delay(name, head), check_gains(name, head)]
        checks += [check_curve(name, head), check_clipping(name, head)]
        checks += [*check_tilt(name, head), *check_mismatch(name, head), *check_wire(name, DEVICES[name])]
    checks += [*check_third_axis(), *check_heading(), *check_open_ward()]
    tell("photon counter, resonances, thermometer, accelerometer")
    checks += [*check_photons(), *check_resonances(), *check_thermometer(seconds), *check_accelerometer(seconds)]
    tell("arrays")
    checks += [*check_beats(min(seconds, 600)), *check_rejection(), *check_refit()]
    if speed:
        tell("speed")
        checks.append(at_least("fleet", "reference patients a core makes in real time", "", PATIENTS_PER_CORE, made()))
    return Verified(checks, curves)


def made() -> float:
    """Reference patients for whom a core makes signals, packets and truth in real time."""
    fleet = Fleet(FleetOptions(patients=_FLEET, scenario="quiet"), 1_700_000_000_000_000_000)
    for _ in range(_WARM_STEPS):
        fleet.step()
        fleet.truth_lines()
    begun = time.process_time()
    for _ in range(_STEPS):
        fleet.step()
        fleet.truth_lines()
    return _FLEET * (_STEPS / 4) / (time.process_time() - begun)
