"""Rhythms of a brain: what share of its power lies in the alpha and the beta band, by the last four seconds."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from scipy import signal

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.median import median

WINDOW_S: Final = 4.0
SEGMENT_S: Final = 2.0  # behind a Hann window, half overlapped: three in a window
ALPHA_HZ: Final = (8.0, 13.0)
BETA_HZ: Final = (13.0, 30.0)
WHOLE_HZ: Final = (4.0, 40.0)  # slower is a blink or a movement, faster muscle and mains
SLOW_HZ: Final = (1.0, 4.0)
FAST_HZ: Final = (33.0, 45.0)
RISING: Final = 2.0  # density of the fast part over that of beta, from which on it is muscle: a brain's falls
BLINKING: Final = 30.0  # power of the slow part over the whole band's, from which on it leaks into it
WILD: Final = 10.0  # a channel with so many times the power of the middle one is not a brain's
LEAST_SEGMENTS: Final = 2


class BandReason(IntEnum):
    """Why there are no bands."""

    NONE = 1
    SETTLING = 2
    MUSCLE = 3
    BLINK = 4


class BandsOut(NamedTuple):
    """Shape (n,) each; NaN where there are too few segments without an artefact."""

    alpha: Array  # share of the power between 4 and 40 Hz
    alpha_u: Array
    beta: Array
    beta_u: Array
    kept: Array  # share of the segments
    why: IntArray  # BandReason


@dataclass(frozen=True)
class BandShares:
    """Welch's periodogram of all channels together, the segments with muscle or a blink in them left out.

    Parameters
    ----------
    rate_hz
        At least 90 Hz.
    factor
        By how much the signal was thinned by `anomaly.decimate.Decimator`: its fall towards high frequencies is taken
        back.

    Notes
    -----
    Powers of channels are added, but for those that are wild. The uncertainty of a share is that of a ratio of two
    powers of so many independent values as four seconds hold, and the spread of the segments.

    References
    ----------
    Welch 1967, doi:10.1109/TAU.1967.1161901. That muscle's spectrum rises where a brain's falls: Muthukumaraswamy 2013,
    doi:10.3389/fnhum.2013.00138.

    Examples
    --------
    >>> t = np.arange(400) / 100.0
    >>> x = np.sin(2 * np.pi * 10.0 * t) + 0.1 * np.sin(2 * np.pi * 20.0 * t)
    >>> out = BandShares(100.0).measure(x[None, None])
    >>> round(float(out.alpha[0]), 2), round(float(out.beta[0]), 2)
    (0.99, 0.01)
    """

    rate_hz: float
    factor: int = 1

    def __post_init__(self) -> None:
        """Refuse a rate at which muscle cannot be told."""
        if self.rate_hz < 2.0 * FAST_HZ[1]:
            raise ValueError(f"need rate_hz >= {2.0 * FAST_HZ[1]:g} to tell muscle, got {self.rate_hz=}")

    @property
    def n_window(self) -> int:
        """Samples of a window."""
        return round(WINDOW_S * self.rate_hz)

    def measure(self, window: Array) -> BandsOut:
        """Measure windows of shape ``(n, n_channels, n_window)``; one with NaN in it settles."""
        n_segment = round(SEGMENT_S * self.rate_hz)
        there: BoolArray = np.isfinite(window.sum(axis=(1, 2)))
        x = np.where(there[:, None, None], window, 0.0)
        starts = range(0, self.n_window - n_segment + 1, n_segment // 2)
        parts = np.stack([x[..., k : k + n_segment] for k in starts], axis=1)
        parts = (parts - parts.mean(axis=-1, keepdims=True)) * signal.windows.hann(n_segment, sym=False)
        spectrum = np.fft.rfft(parts, axis=-1)
        power = (spectrum.real**2 + spectrum.imag**2) * self._gain  # (n, n_segments, n_channels, n_bins)
        whole = self._band(power, WHOLE_HZ)
        usual = median(whole.mean(axis=1), whole.mean(axis=1) > 0.0)
        tame = (whole > 0.0) & (whole <= WILD * np.nan_to_num(usual)[:, None, None])

        def pooled(band: tuple[float, float]) -> Array:
            total: Array = np.where(tame, self._band(power, band), 0.0).sum(axis=-1)
            return total

        whole = np.maximum(pooled(WHOLE_HZ), 1e-300)
        alpha, beta = pooled(ALPHA_HZ) / whole, pooled(BETA_HZ) / whole
        fast = pooled(FAST_HZ) / (FAST_HZ[1] - FAST_HZ[0])
        muscle = fast > RISING * (beta * whole) / (BETA_HZ[1] - BETA_HZ[0])
        blink = pooled(SLOW_HZ) > BLINKING * whole
        kept = tame.any(axis=-1) & ~muscle & ~blink & there[:, None]
        n = np.count_nonzero(kept, axis=-1)
        known = n >= LEAST_SEGMENTS
        return BandsOut(
            *self._share(alpha, kept, known, ALPHA_HZ),
            *self._share(beta, kept, known, BETA_HZ),
            kept=n / kept.shape[1],
            why=np.select(
                [~there, known, np.count_nonzero(muscle, axis=-1) >= np.count_nonzero(blink, axis=-1)],
                [BandReason.SETTLING, BandReason.NONE, BandReason.MUSCLE],
                BandReason.BLINK,
            ).astype(np.int64),
        )

    def _share(self, share: Array, kept: BoolArray, known: BoolArray, band: tuple[float, float]) -> tuple[Array, Array]:
        n = np.maximum(np.count_nonzero(kept, axis=-1), 1)
        mean = np.where(kept, share, 0.0).sum(axis=-1) / n
        spread = np.sqrt(np.where(kept, np.square(share - mean[:, None]), 0.0).sum(axis=-1) / n / n)
        width = band[1] - band[0]
        rest = WHOLE_HZ[1] - WHOLE_HZ[0] - width
        u = np.hypot(spread, mean * (1.0 - mean) * np.sqrt((1.0 / width + 1.0 / rest) / WINDOW_S))
        return np.where(known, mean, np.nan), np.where(known, u, np.nan)

    def _band(self, power: Array, band: tuple[float, float]) -> Array:
        inside = np.flatnonzero((self._hz >= band[0]) & (self._hz < band[1]))
        total: Array = np.ascontiguousarray(power[..., inside[0] : inside[-1] + 1]).sum(axis=-1)
        return total

    @cached_property
    def _hz(self) -> Array:
        hz: Array = np.arange(round(SEGMENT_S * self.rate_hz) // 2 + 1) / SEGMENT_S
        return hz

    @cached_property
    def _gain(self) -> Array:
        """What takes the triangle's fall of power back."""
        if self.factor == 1:
            return np.ones_like(self._hz)
        turn = np.maximum(np.pi * self._hz / self.rate_hz, 1e-9)
        box = np.sin(turn) / (self.factor * np.sin(turn / self.factor))
        gain: Array = 1.0 / np.maximum(box**4, 0.01)
        return gain
