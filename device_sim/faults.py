"""Faults that can be put on a device, by name, and how large each is."""

import math
from typing import Literal, NamedTuple, get_args

FaultName = Literal[
    # of the magnetometers
    "saturation",
    "lost-lock",
    "stuck",
    "noise",
    "laser-step",
    "cell-cooling",
    "heater-line",
    "flicker",
    "dead-channel",
    "gain-step",
    "wrong-calibration",
    "calibrating",
    "expired-calibration",
    # of the device
    "off-body",
    "reboot",
    "battery-low",
    "clock-skew",
    "clock-step",
    # of the way to the broker
    "silence",
    "dead-spot",
    "packet-loss",
    "duplication",
    "reordering",
]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)
HEATED: tuple[FaultName, ...] = ("cell-cooling", "heater-line")  # of a sensor whose cells have a heater

# A magnet or a phone beside the sensor: an offset beyond the range of +-5 nT, along z. A sensor that reaches further
# takes as much more to saturate.
SATURATION_PT, SATURATION_RANGES = 9000.0, 1.2
# White noise that buries a 50 pT beat: 15 pT/rtHz gives about -5 dB in 40 Hz (formula in DOMAIN 1.1).
NOISE_PT = 15.0
# A laser that hops to another mode shifts the light's frequency: a fictitious field (light shift); from memory.
LASER_STEP_PT = 800.0
# A cell that is not heated cools, its vapour thins and its signal falls, about half for 10 K; from memory.
CELL_CEL, CELL_COOLING_S, CELL_COOLS_BY_K, CELL_HALF_K = 150.0, 20.0, 40.0, 10.0
# The heater's current beats with the sampling; frequency and size from memory.
HEATER_HZ, HEATER_PT = 23.0, 25.0
# A light source or an amplifier that fails grows noisier: the white part of its density when it has, and how fast it
# gets there; from memory.
FLICKER_PT, FLICKER_KNEE_HZ, FLICKER_GROWS_S = 0.5, 20.0, 10.0
# Of a sensor whose own density is larger, as an NV ensemble's is, so many times that: else nobody could see it.
FAILED_TIMES = 30.0
GAIN_STEP = 0.7  # an amplifier that loses a part of its gain; from memory
# Coefficients of another device, by channel in turn; from memory.
WRONG_GAINS = (1.25, 0.8, 1.12, 0.7)
# A device that calibrates itself puts a tone along each axis with coils of its own, and hears nothing else meanwhile;
# from memory. That a calibration has expired moves no sample: a month's drift is within the declared gain error.
CALIBRATION_HZ, CALIBRATION_PT = (31.0, 37.0, 43.0), 100.0
CLOCK_SKEW = 300e-6  # a bad crystal: 50 ppm is usual; from memory
CLOCK_STEP_S = 2.5  # somebody sets the device's clock; from memory
BATTERY_LOW_PERCENT = 8
LOSS_SHARE, DOUBLE_SHARE, SWAP_SHARE = 0.3, 0.3, 0.3
# What keeps packets from leaving.
MUTE: tuple[FaultName, ...] = ("silence", "dead-spot", "reboot")


class Fault(NamedTuple):
    """One fault of one device, in seconds since the start of the run."""

    name: FaultName
    from_s: float
    to_s: float


def warm_up_s(fault: Fault) -> float:
    """How long heated cells take after a restart until they are warm enough for a lock to be looked for."""
    cooled_k = CELL_COOLS_BY_K * (1.0 - math.exp(-(fault.to_s - fault.from_s) / CELL_COOLING_S))
    return CELL_COOLING_S * math.log(max(1.0, cooled_k / CELL_HALF_K))
