"""Noise whose density is ``n sqrt(1 + knee / f)``, made from white noise by a filter."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]

# Poles and zeros, in knees, of a ladder whose density is within 0.04 dB of sqrt(1 + knee / f) above a hundredth of the
# knee: a least-squares fit in the logarithm. Below 0.008 knees the noise is flat.
_PINK_POLES = np.array([0.00808, 0.04298, 0.17886, 0.77774, 4.02705, 36.23486])
_PINK_ZEROS = np.array([0.02012, 0.08449, 0.31928, 1.11487, 4.56528, 37.14884])
_MIDDLE = 0.05  # of the sampling rate


def noise_init(shape: tuple[int, ...], knee_hz: float, rate_hz: float) -> Array:
    """Delay lines of the filter for rows of the given shape, shape ``(n_sections, *shape, 2)``."""
    return np.zeros((len(_pink_sections(knee_hz, rate_hz)), *shape, 2))


def noise_step(state: Array, white: Array, knee_hz: float, rate_hz: float) -> tuple[Array, Array]:
    """Noise of white density 1 per root hertz.

    Parameters
    ----------
    state
        As returned before.
    white : ndarray, shape (..., n_samples)
        Standard normal numbers.
    knee_hz
        Where the 1/f noise equals the white.
    rate_hz
        Sampling rate.
    """
    noise, state = signal.sosfilt(_pink_sections(knee_hz, rate_hz), white, zi=state)
    # White noise of density n has the standard deviation n * sqrt(rate / 2).
    noise *= np.sqrt(rate_hz / 2.0)
    return state, noise


@cache
def _pink_sections(knee_hz: float, rate_hz: float) -> Array:
    """Filter that turns white noise of density 1 into one of density ``sqrt(1 + knee / f)``, shape (3, 6)."""
    poles = np.exp(-2.0 * np.pi * knee_hz * _PINK_POLES / rate_hz)
    zeros = np.exp(-2.0 * np.pi * knee_hz * _PINK_ZEROS / rate_hz)
    # Right in the middle of the band. At half the rate it cannot be: with a knee of 5 Hz it then lacks 0.14 dB below.
    middle = np.exp(2j * np.pi * _MIDDLE)
    gain = np.sqrt(1.0 + knee_hz / (_MIDDLE * rate_hz)) * abs(np.prod((middle - poles) / (middle - zeros)))
    sos: Array = signal.zpk2sos(zeros, poles, float(gain))
    return sos
