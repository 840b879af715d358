"""What tells a wave without pauses from a train of beats: features of seconds of a lead, free of unit and sign."""

from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray
from anomaly.peaks import moving_sum

GRID_HZ = 100.0  # of the windows
WINDOW_S = 3
NAMES = ("busy", "lively", "leakage", "undershoot", "roaming", "spiky", "swift")
LOW_HZ, HIGH_HZ = 1.2, 10.0  # a wave's rate is looked for here
_BUSY_SHARE = 0.1  # of the 98th percentile of the slope
_LIVELY_SHARE = 0.35  # of the 95th percentile of its envelope
_ENVELOPE = 10  # samples
_UNDERSHOOT = 60  # samples of lag
_BOXES, _APART = 30, 8  # phase space: boxes a side, samples between its two axes
_POINTS = 512  # of the spectrum: a window and the lags looked at fit in
_TINY = 1e-300


class Features(NamedTuple):
    """Of each window."""

    values: Array  # (n_windows, len(NAMES)); 0 where not usable
    usable: BoolArray  # (n_windows,) False: flat, or not finite
    rate_hz: Array  # (n_windows,) where the spectrum peaks
    level: Array  # (n_windows,) rms, in the unit of the signal


def features(windows: Array) -> Features:
    """Features of windows of `WINDOW_S` at `GRID_HZ`, between 1 and 30 Hz.

    In the order of `NAMES`:

    - share of the time in which the slope is above a tenth of its largest (98th percentile): between beats nothing
      moves, in fibrillation and in fast ventricular tachycardia all does;
    - share in which the slope's envelope is above a third of its largest;
    - leakage: what is left when the signal is added to itself half a mean period earlier (the VF filter);
    - the lowest autocorrelation up to 0.6 s: near -1 for a pure wave;
    - share of the boxes of phase space, 30 a side, 80 ms apart, that the window enters, per sample;
    - log kurtosis of the slope;
    - rms of the slope over that of the signal, as a frequency in Hz: noise without a heart is faster than any.

    Parameters
    ----------
    windows : ndarray, shape (n_windows, WINDOW_S * GRID_HZ)
        Contiguous along time.

    Examples
    --------
    A wave without pauses, and beats:

    >>> t = np.arange(300) / GRID_HZ
    >>> wave, beats = np.sin(2 * np.pi * 4.6 * t), np.exp(-0.5 * ((t % 0.8 - 0.4) / 0.02) ** 2)
    >>> np.round(features(np.stack([wave, beats])).values[:, 0], 1).tolist()
    [0.9, 0.2]

    References
    ----------
    Amann, Tratnig & Unterkofler 2005, doi:10.1186/1475-925X-4-60, compares such measures: leakage after Kuo & Dillman
    1978, phase space after their own, doi:10.1109/TBME.2006.880909. Differs in: shares of the slope instead of
    threshold crossings of the signal, so that the T wave and the drift of the baseline matter less.
    """
    x = windows - windows.mean(axis=-1, keepdims=True)
    level = np.sqrt((x * x).mean(axis=-1))
    usable = np.isfinite(level) & (level > 1e-10 * np.abs(windows).max(axis=-1))
    x = np.where(usable[:, None], x, _STAND_IN) / np.where(usable, level, 1.0)[:, None]
    n = x.shape[-1]
    steps = np.diff(x, axis=-1)
    swift = np.sqrt((steps * steps).mean(axis=-1))
    steps /= swift[:, None] + _TINY
    slope = np.abs(steps)
    envelope = moving_sum(slope, _ENVELOPE)
    bins = np.fft.rfft(x, _POINTS, axis=-1)
    spectrum = bins.real**2 + bins.imag**2
    squares = steps * steps
    values = np.stack(
        [
            _share_above(slope, 0.98, _BUSY_SHARE),
            _share_above(envelope, 0.95, _LIVELY_SHARE),
            _leakage(x),
            _undershoot(spectrum, n),
            _roaming(x),
            np.log((squares * squares).mean(axis=-1) + _TINY),
            swift * (GRID_HZ / (2.0 * np.pi)),
        ],
        axis=-1,
    )
    rate_hz = _peak(spectrum)
    return Features(
        np.where(usable[:, None], values, 0.0), usable, np.where(usable, rate_hz, np.nan), np.where(usable, level, 0.0)
    )


def _peak(spectrum: Array) -> Array:
    """Frequency of the highest bin of the band, moved to the top of the parabola through it and its neighbours."""
    frequency = np.fft.rfftfreq(_POINTS, 1.0 / GRID_HZ)
    band = np.flatnonzero((frequency >= LOW_HZ) & (frequency <= HIGH_HZ))
    top = band[spectrum[:, band].argmax(axis=-1)]
    row = np.arange(len(top))
    before, at, after = (np.log(spectrum[row, top + k] + _TINY) for k in (-1, 0, 1))
    bend = before - 2.0 * at + after
    shift = np.where(bend < 0.0, 0.5 * (before - after) / np.where(bend < 0.0, bend, -1.0), 0.0)
    return np.asarray((top + np.clip(shift, -0.5, 0.5)) * (GRID_HZ / _POINTS))


def _share_above(x: Array, rank: float, share: float) -> Array:
    top = np.sort(x, axis=-1)[:, int(rank * x.shape[-1])]
    above: Array = (x > share * top[:, None]).mean(axis=-1)
    return above


def _leakage(x: Array) -> Array:
    """What is left of the sum of the signal and of itself half a mean period earlier."""
    n = x.shape[-1]
    size = np.abs(x)
    half = np.pi * size.sum(axis=-1) / (np.abs(np.diff(x, axis=-1)).sum(axis=-1) + _TINY)
    lag = np.clip(np.rint(half).astype(np.int64), 1, n // 4)
    before = np.arange(n) - lag[:, None]
    earlier = np.take_along_axis(x, np.maximum(before, 0), axis=-1)
    both = (before >= 0).astype(np.float64)
    left: Array = (np.abs(x + earlier) * both).sum(axis=-1) / (((size + np.abs(earlier)) * both).sum(axis=-1) + _TINY)
    return left


def _undershoot(spectrum: Array, n: int) -> Array:
    """Lowest unbiased autocorrelation."""
    lags = np.fft.irfft(spectrum, axis=-1)[:, :_UNDERSHOOT] * (n / (n - np.arange(_UNDERSHOOT)))
    lowest: Array = (lags / (lags[:, :1] + _TINY)).min(axis=-1)
    return lowest


def _roaming(x: Array) -> Array:
    """Boxes of phase space entered, per sample."""
    low, high = x.min(axis=-1, keepdims=True), x.max(axis=-1, keepdims=True)
    box = np.minimum(((x - low) / (high - low + _TINY) * _BOXES).astype(np.int64), _BOXES - 1)
    entered = np.sort(box[:, _APART:] * _BOXES + box[:, :-_APART], axis=-1)
    found: Array = (np.count_nonzero(np.diff(entered, axis=-1), axis=-1) + 1.0) / entered.shape[-1]
    return found


_STAND_IN = np.sin(np.arange(round(WINDOW_S * GRID_HZ)))  # for a window without a signal: nothing is told of it
