"""The last half minute of what is slow in a signal, thinned to 4 Hz: where breath moves a baseline."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from anomaly.kernel import Array, IntArray
from anomaly.sos import SosFilter, SosState

GRID_HZ = 4.0  # a breath takes a second at least
WINDOW_S = 32.0
N_GRID = round(WINDOW_S * GRID_HZ)
SPARE = 8  # samples kept beyond a window: its end may lie up to 2 s before the newest sample
LOW_HZ = 0.8  # below the heart, above nearly all breaths


class SlowState(NamedTuple):
    """Low-pass, number of samples seen, and the ring."""

    low: SosState
    origin: Array  # (n_devices, n_channels) first sample of the row
    seen: IntArray  # (n_devices,) input samples stepped so far
    ring: NDArray[np.float32]  # (n_devices, n_channels, n_kept) output sample k stands at k mod n_kept; NaN: none yet


@dataclass(frozen=True)
class SlowRing:
    """Low-pass every channel and keep its last 34 s at 4 Hz.

    Output sample k is the low-passed input sample nearest to ``k / 4`` s after the row's first sample: nothing depends
    on where the packets were cut. What is kept is the difference from the row's first sample, so that single precision
    does not lose a breath beside a large offset.

    Parameters
    ----------
    rate_hz
        Sampling rate of the input.
    low_hz
        Corner of the low-pass (Butterworth, 4th order).

    Examples
    --------
    >>> t = np.arange(0.0, 40.0, 0.02)
    >>> x = (1e6 + np.sin(2.0 * np.pi * 0.25 * t)).reshape(1, 1, -1)
    >>> kernel = SlowRing(50.0)
    >>> state, _ = kernel.step(kernel.init(x), x)
    >>> series = kernel.window(state, np.array([1990.0]))
    >>> series.shape, round(float(series.std()), 1)
    ((1, 1, 128), 0.7)
    """

    rate_hz: float
    low_hz: float = LOW_HZ

    def __post_init__(self) -> None:
        """Refuse rates that would alias or invent samples."""
        if not 0.0 < self.low_hz < GRID_HZ / 2.0 <= self.rate_hz / 2.0:
            raise ValueError(
                f"need 0 < low_hz={self.low_hz} < {GRID_HZ / 2.0:g} and rate_hz={self.rate_hz} >= {GRID_HZ:g}"
            )

    @property
    def n_kept(self) -> int:
        """Samples in the ring."""
        return N_GRID + SPARE

    @cached_property
    def low(self) -> SosFilter:
        """The filter against the heart and against aliases."""
        return SosFilter(signal.butter(4, self.low_hz, fs=self.rate_hz, output="sos"))

    def init(self, first: Array) -> SlowState:
        """Empty ring; `first` has shape ``(n_devices, n_channels, n_samples)``."""
        n, channels = first.shape[:2]
        ring = np.full((n, channels, self.n_kept), np.nan, np.float32)
        return SlowState(self.low.init(0.0 * first), first[..., 0].copy(), np.zeros(n, np.int64), ring)

    def step(self, state: SlowState, block: Array) -> tuple[SlowState, Array]:
        """Keep what is due of a block of shape ``(n_devices, n_channels, n_samples)``; give it back low-passed."""
        n_samples = block.shape[-1]
        low, y = self.low.step(state.low, block - state.origin[..., None])
        ratio = self.rate_hz / GRID_HZ
        # Smallest k whose nearest input sample, floor(k * ratio + 1/2), is not yet behind us.
        first = np.ceil((state.seen - 0.5) / ratio).astype(np.int64)
        number = first[:, None] + np.arange(int(n_samples / ratio) + 2)
        at = np.floor(number * ratio + 0.5).astype(np.int64) - state.seen[:, None]
        due = at < n_samples
        row, column = np.nonzero(due)
        # A block longer than the ring writes some places twice: only the newest may stay.
        newest = number[row, column] >= (first + due.sum(axis=-1) - self.n_kept)[row]
        row, column = row[newest], column[newest]
        ring = state.ring.copy()
        ring[row, :, number[row, column] % self.n_kept] = y[row, :, at[row, column]]
        return SlowState(low, state.origin, state.seen + n_samples, ring), y

    def window(self, state: SlowState, end: Array, seconds: float = WINDOW_S) -> Array:
        """Return the last seconds, 32 at most, up to the input sample position `end` of each row, oldest first.

        Returns
        -------
        ndarray, shape (n_devices, n_channels, 4 * seconds)
            NaN where the ring does not hold the sample any more, or not yet.
        """
        ratio = self.rate_hz / GRID_HZ
        n = round(seconds * GRID_HZ)
        number = np.floor(end / ratio).astype(np.int64)[:, None] - n + 1 + np.arange(n)
        made = np.ceil((state.seen - 0.5) / ratio).astype(np.int64)[:, None]
        held = (number >= np.maximum(made - self.n_kept, 0)) & (number < made)
        values = np.take_along_axis(state.ring, (number % self.n_kept)[:, None, :], axis=-1)
        return np.where(held[:, None, :], values.astype(np.float64), np.nan)
