"""How much the wearer moves, whether the device lies still, and whether it is proven to be off the body."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import signal

from anomaly.kernel import Array, BoolArray
from anomaly.sos import SosFilter, SosState

MOVING_MS2 = 0.5  # rms; walking is 1 to 3, turning over in bed about 1
STILL_MS2 = 0.012  # rms; breathing and the recoil of the heart move a chest by more, a quiet IMU is noisier than 0.003
STILL_S = 10.0  # two to three breaths

COLD_C = 30.0  # skin under a device is warmer, a room is colder
FALL_C = 1.0  # below the warmest level of late: under a device no patient's skin does that in a minute
DARK_SHARE = 0.4  # of the light that came while there was a pulse: blood leaving the skin changes it by a few per cent
BRIGHT_SHARE = 2.5  # of the same: nothing between lamp or window and the sensor


class MotionState(NamedTuple):
    """High-pass, and how long the device has been quiet."""

    high: SosState
    quiet_s: Array  # (n_devices,)


class MotionOut(NamedTuple):
    """Movement in a block."""

    activity: Array  # (n_devices,) rms of the dynamic part of the acceleration vector, m/s2
    moving: BoolArray  # (n_devices,)
    still: BoolArray  # (n_devices,) quieter than a living chest for `STILL_S`


@dataclass(frozen=True)
class Motion:
    """Activity of an accelerometer, per block.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    high_hz
        Corner of the high-pass that takes gravity away, leaves most of a breath, and forgets a turn within 5 s.
    moving_ms2, still_ms2, still_s
        Limits; see the constants.
    """

    rate_hz: float
    high_hz: float = 0.25
    moving_ms2: float = MOVING_MS2
    still_ms2: float = STILL_MS2
    still_s: float = STILL_S

    def __post_init__(self) -> None:
        """Refuse limits in the wrong order."""
        if not 0.0 < self.high_hz < self.rate_hz / 2.0:
            raise ValueError(f"need 0 < high_hz={self.high_hz} < rate_hz / 2 = {self.rate_hz / 2.0}")
        if not 0.0 < self.still_ms2 < self.moving_ms2:
            raise ValueError(f"need 0 < still_ms2={self.still_ms2} < moving_ms2={self.moving_ms2}")

    @cached_property
    def high(self) -> SosFilter:
        """The filter that takes gravity away."""
        return SosFilter(signal.butter(1, self.high_hz, "highpass", fs=self.rate_hz, output="sos"))

    def init(self, first: Array) -> MotionState:
        """At rest at the first sample; `first` has shape ``(n_devices, n_axes, n_samples)``."""
        return MotionState(self.high.init(first), np.zeros(len(first)))

    def step(self, state: MotionState, block: Array) -> tuple[MotionState, MotionOut]:
        """Measure a block of shape ``(n_devices, n_axes, n_samples)`` in m/s2, finite."""
        high, x = self.high.step(state.high, block)
        n_samples = block.shape[-1]
        activity = np.sqrt((x * x).reshape(len(x), -1).sum(axis=-1) / n_samples)
        quiet_s = np.where(activity < self.still_ms2, state.quiet_s + n_samples / self.rate_hz, 0.0)
        return MotionState(high, quiet_s), MotionOut(activity, activity > self.moving_ms2, quiet_s >= self.still_s)


class OffBodyEvidence(NamedTuple):
    """What a device that lies beside its patient shows; every array has shape (n_devices,), NaN: not measured."""

    pulse: BoolArray  # an optical pulse was found in the last seconds
    still: BoolArray  # `MotionOut.still`
    moving: BoolArray  # `MotionOut.moving`
    skin_c: Array  # `ThermalOut.raw`, Cel: the newest reading, plausible or not
    fall_c: Array  # `ThermalOut.fall`, Cel
    light_share: Array  # optical counts now over those when there last was a pulse


def off_body(evidence: OffBodyEvidence) -> BoolArray:
    """Say where it is proven that the device is not on its patient.

    This takes an asystole alarm its priority, so it has to be positive proof and not mere absence of signs of life. A
    patient in cardiac arrest has no pulse, may be as still as a table (no breath, no recoil) and cools, by about 1
    degree per hour. What such a patient does not do is let the light path change and the skin temperature drop at the
    same time. So all of these must hold: no pulse; the light path is lost (under 40 % of what came through the patient)
    or open to the room (over 2.5 times as much); the sensor is under 30 degrees or has fallen by 1 degree against
    a level that may itself fall by 1 degree per hour; and the device is either still as on a table or being carried
    about, but not moved as gently as a body in bed. What was not measured proves nothing.

    Parameters
    ----------
    evidence
        See there.
    """
    e = evidence
    with_light = (e.light_share < DARK_SHARE) | (e.light_share > BRIGHT_SHARE)  # NaN compares false
    with_cold = (e.skin_c < COLD_C) | (e.fall_c > FALL_C)
    return ~e.pulse & with_light & with_cold & (e.still | e.moving)
