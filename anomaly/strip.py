"""The last seconds of one lead at 125 Hz, kept for whoever has to look at an alarm."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from anomaly.kernel import Array, IntArray
from anomaly.sos import SosFilter, SosState

Samples = NDArray[np.float32]
MOST_HALF = 6e4  # that half precision holds


class StripState(NamedTuple):
    """Low-pass, number of samples seen, and the ring."""

    low: SosState
    seen: IntArray  # (n_devices,) input samples stepped so far
    ring: Samples | NDArray[np.float16]  # (n_devices, n_kept) output sample k stands at k mod n_kept; NaN: none yet


class StripOut(NamedTuple):
    """The output samples that this block completed."""

    first: IntArray  # (n_devices,) number of the first of them, counted at `out_hz` from the row's first sample
    samples: Samples  # (n_devices, n_most) NaN behind the last


@dataclass(frozen=True)
class StripRing:
    """Thin the first channel to `out_hz` and keep its last `seconds`.

    Output sample k is the low-passed input sample nearest to ``k / out_hz`` after the row's first sample, so that the
    strip does not depend on where the packets were cut. The first channel is the lead: always the same one, so that a
    nurse compares like with like.

    Parameters
    ----------
    rate_hz
        Sampling rate of the input.
    out_hz
        Rate of the strip.
    seconds
        How much is kept.
    low_hz
        Corner of the low-pass (Butterworth, 4th order), below half of `out_hz`.
    half
        Keep samples to 11 bits, in half the room.
    """

    rate_hz: float
    out_hz: float = 125.0
    seconds: float = 12.0
    low_hz: float = 40.0
    half: bool = False

    def __post_init__(self) -> None:
        """Refuse rates that would alias or invent samples."""
        if not 0.0 < self.out_hz <= self.rate_hz:
            raise ValueError(f"need 0 < out_hz={self.out_hz} <= rate_hz={self.rate_hz}")
        if not 0.0 < self.low_hz < self.out_hz / 2.0:
            raise ValueError(f"need 0 < low_hz={self.low_hz} < out_hz / 2 = {self.out_hz / 2.0}")

    @cached_property
    def low(self) -> SosFilter:
        """The filter against aliases."""
        return SosFilter(signal.butter(4, self.low_hz, fs=self.rate_hz, output="sos"))

    @cached_property
    def delay(self) -> float:
        """How much later the low-pass gives a wave, input samples."""
        _, response = signal.sosfreqz(self.low.sos, np.array([9.9, 10.1]), fs=self.rate_hz)
        turn = np.unwrap(np.angle(response))
        return float(-(turn[1] - turn[0]) / (2.0 * np.pi * 0.2) * self.rate_hz)

    @property
    def n_kept(self) -> int:
        """Samples in the ring."""
        return round(self.seconds * self.out_hz)

    def init(self, first: Array) -> StripState:
        """Empty ring; `first` has shape ``(n_devices, n_channels, n_samples)``."""
        n = len(first)
        ring = np.full((n, self.n_kept), np.nan, np.float16 if self.half else np.float32)
        return StripState(self.low.init(first[:, :1]), np.zeros(n, np.int64), ring)

    def step(self, state: StripState, block: Array) -> tuple[StripState, StripOut]:
        """Keep what is due of a block of shape ``(n_devices, n_channels, n_samples)``."""
        n_samples = block.shape[-1]
        low, x = self.low.step(state.low, block[:, :1])
        ratio = self.rate_hz / self.out_hz
        # Smallest k whose nearest input sample, floor(k * ratio + 1/2), is not yet behind us.
        first = np.ceil((state.seen - 0.5) / ratio).astype(np.int64)
        number = first[:, None] + np.arange(int(n_samples / ratio) + 2)
        at = np.floor(number * ratio + 0.5).astype(np.int64) - state.seen[:, None]
        due = at < n_samples
        picked = np.take_along_axis(x[:, 0], np.minimum(at, n_samples - 1), axis=-1).astype(np.float32)
        row, column = np.nonzero(due)
        # A block longer than the ring writes some places twice: only the newest may stay.
        newest = number[row, column] >= (first + due.sum(axis=-1) - self.n_kept)[row]
        row, column = row[newest], column[newest]
        ring = state.ring.copy()
        new = picked[row, column]
        ring[row, number[row, column] % self.n_kept] = np.clip(new, -MOST_HALF, MOST_HALF) if self.half else new
        picked[~due] = np.nan
        return StripState(low, state.seen + n_samples, ring), StripOut(first, picked)

    def number_at(self, position: Array) -> IntArray:
        """Number of the output sample nearest to an input sample position, counted from the row's first sample."""
        return np.floor(position * (self.out_hz / self.rate_hz) + 0.5).astype(np.int64)

    def take(self, state: StripState, first: IntArray, n_samples: int) -> Samples:
        """Output samples ``first .. first + n_samples`` of every row.

        Parameters
        ----------
        state
            Rows of a state.
        first : ndarray of int, shape (n_devices,)
            Number of the first sample wanted, at `out_hz`.
        n_samples
            How many.

        Returns
        -------
        ndarray of float32, shape (n_devices, n_samples)
            NaN where the ring does not hold the sample any more, or not yet.
        """
        number = first[:, None] + np.arange(n_samples)
        made = np.ceil((state.seen - 0.5) * (self.out_hz / self.rate_hz)).astype(np.int64)[:, None]
        held = (number >= np.maximum(made - self.n_kept, 0)) & (number < made)
        values = np.take_along_axis(state.ring, number % self.n_kept, axis=-1)
        return np.where(held, values, np.float32(np.nan)).astype(np.float32)

    def take_seconds(self, state: StripState, end: Array, seconds: float) -> Samples:
        """Return the strip of `seconds` that ends at the input sample position `end` of each row, oldest first."""
        n_samples = round(seconds * self.out_hz)
        return self.take(state, self.number_at(end) - n_samples, n_samples)
