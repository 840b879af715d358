"""A SERF magnetometer: what it makes of the field in front of it."""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]


class OpmState(NamedTuple):
    """What the sensors carry from chunk to chunk."""

    lag: Array  # (n, n_channels, 1)
    pink: Array  # (n_sections, n, n_channels, 2)


class OpmOut(NamedTuple):
    """What the sensors read."""

    field_pt: Array  # (n, n_channels, n_samples)
    saturated: NDArray[np.bool_]  # (n, n_channels, n_samples)


@dataclass(frozen=True)
class Opm:
    """SERF OPM, open loop, with the response ``lag -> dispersive curve -> gain -> + noise -> range``.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    noise_pt
        White noise density at the output, pT / sqrt(Hz): photon shot noise, so that the lag does not shape it. QZFM
        7-15 fT (DOMAIN 1.1).
    knee_hz
        Where 1/f noise equals the white: density = ``noise_pt * sqrt(1 + knee_hz / f)``. 1-5 Hz (DOMAIN 1.2).
    bandwidth_hz
        First order, -3 dB. QZFM 135 Hz.
    range_pt
        Clips at plus and minus this. QZFM 5 nT.
    linewidth_pt
        B0 of the dispersive curve ``y = B / (1 + (B / B0)^2)``, 15-30 nT (DOMAIN 1.2).
    """

    rate_hz: float = 500.0
    noise_pt: float = 0.015
    knee_hz: float = 2.0
    bandwidth_hz: float = 135.0
    range_pt: float = 5000.0
    linewidth_pt: float = 25_000.0

    def __post_init__(self) -> None:
        """Refuse a sensor that cannot be."""
        if not 0.0 < self.bandwidth_hz < self.rate_hz / 2:
            raise ValueError(
                f"bandwidth_hz={self.bandwidth_hz}: need 0 < bandwidth_hz < rate_hz / 2 = {self.rate_hz / 2}"
            )
        if not (self.noise_pt >= 0.0 and 0.0 < self.knee_hz < self.rate_hz / 2):
            raise ValueError(
                f"noise_pt={self.noise_pt}, knee_hz={self.knee_hz}: need noise >= 0 and a knee in the band"
            )
        if not (self.range_pt > 0.0 and self.linewidth_pt > 2.0 * self.range_pt):
            # Beyond B0 the curve falls again: within the range it must rise.
            raise ValueError(f"linewidth_pt={self.linewidth_pt}: need more than twice range_pt={self.range_pt} > 0")

    def init(self, first_pt: Array) -> OpmState:
        """Steady state for a field of shape ``(n, n_channels)`` that has long been there."""
        b, a = self._lag()
        lag = first_pt[..., None] * signal.lfilter_zi(b, a)
        return OpmState(lag, np.zeros((len(_pink_sections(self.knee_hz, self.rate_hz)), *first_pt.shape, 2)))

    def step(self, state: OpmState, field_pt: Array, white: Array, gain: Array) -> tuple[OpmState, OpmOut]:
        """Read a field.

        Parameters
        ----------
        state
            As returned before.
        field_pt : ndarray, shape (n, n_channels, n_samples)
            Field along each sensor's true axis.
        white : ndarray, shape (n, n_channels, n_samples)
            Standard normal numbers.
        gain : ndarray, shape (n, n_channels)
            True gain; 1 as calibrated.
        """
        lagged, lag = signal.lfilter(*self._lag(), field_pt, zi=state.lag)
        noise, pink = signal.sosfilt(_pink_sections(self.knee_hz, self.rate_hz), white, zi=state.pink)
        # White noise of density n has the standard deviation n * sqrt(rate / 2).
        noise *= self.noise_pt * math.sqrt(self.rate_hz / 2)
        seen = gain[..., None] * lagged / (1.0 + (lagged / self.linewidth_pt) ** 2) + noise
        saturated = np.abs(seen) >= self.range_pt
        return OpmState(lag, pink), OpmOut(np.clip(seen, -self.range_pt, self.range_pt), saturated)

    def _lag(self) -> tuple[Array, Array]:
        # Bilinear with the -3 dB point in place; its delay at low frequency is 1.2 ms at 135 Hz.
        b, a = signal.butter(1, self.bandwidth_hz, fs=self.rate_hz)
        return b, a


# Poles and zeros, in knees, of a ladder whose density is within 0.04 dB of sqrt(1 + knee / f) above a hundredth of the
# knee: a least-squares fit in the logarithm. Below 0.008 knees the noise is flat.
_PINK_POLES = np.array([0.00808, 0.04298, 0.17886, 0.77774, 4.02705, 36.23486])
_PINK_ZEROS = np.array([0.02012, 0.08449, 0.31928, 1.11487, 4.56528, 37.14884])


@cache
def _pink_sections(knee_hz: float, rate_hz: float) -> Array:
    """Filter that turns white noise of density 1 into one of density ``sqrt(1 + knee / f)``, shape (3, 6)."""
    poles = np.exp(-2.0 * np.pi * knee_hz * _PINK_POLES / rate_hz)
    zeros = np.exp(-2.0 * np.pi * knee_hz * _PINK_ZEROS / rate_hz)
    gain = float(np.prod((1.0 + poles) / (1.0 + zeros)))  # one at half the sampling rate
    sos: Array = signal.zpk2sos(zeros, poles, gain)
    return sos
