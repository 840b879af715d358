"""The last seconds of every channel at a low rate, to cut waves out of at sub-sample times."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from anomaly.kernel import Array, IntArray
from anomaly.sos import SosFilter, SosState

Samples = NDArray[np.float32]


class ThinState(NamedTuple):
    """Band-pass, and the newest thinned samples, oldest first."""

    band: SosState
    seen: IntArray  # (n_devices,) input samples
    trail: Samples  # (n_devices, n_channels, n_kept)


class Thinned(NamedTuple):
    """Trail and block joined: thinned sample k of a row stands at ``k - first``."""

    samples: Samples  # (n_devices, n_channels, n)
    first: IntArray  # (n_devices,)


@dataclass(frozen=True)
class ThinTrail:
    """Band-pass each channel, keep the input sample nearest to each multiple of ``1 / out_hz``.

    Parameters
    ----------
    rate_hz : float
        Sampling rate, at least `out_hz`.
    out_hz : float
        Rate of the trail.
    seconds : float
        How much is kept from block to block.
    low_hz, high_hz : float
        Band; the baseline goes below it, what would alias above it.
    """

    rate_hz: float
    out_hz: float = 100.0
    seconds: float = 2.4
    low_hz: float = 0.5
    high_hz: float = 35.0

    def __post_init__(self) -> None:
        """Refuse rates that would alias or invent samples."""
        if not 0.0 < self.out_hz <= self.rate_hz:
            raise ValueError(f"need 0 < out_hz={self.out_hz} <= rate_hz={self.rate_hz}")
        if not 0.0 < self.low_hz < self.high_hz < self.out_hz / 2.0:
            raise ValueError(
                f"need 0 < low_hz={self.low_hz} < high_hz={self.high_hz} < out_hz / 2 = {self.out_hz / 2.0}"
            )

    @cached_property
    def band(self) -> SosFilter:
        """High-pass of first order, which bends the T wave least, and low-pass of third."""
        high = signal.butter(1, self.low_hz, "highpass", fs=self.rate_hz, output="sos")
        low = signal.butter(3, self.high_hz, fs=self.rate_hz, output="sos")
        return SosFilter(np.concatenate([high, low]))

    @cached_property
    def delay_s(self) -> float:
        """How much later the band-pass gives a wave, at the frequencies of a QRS."""
        _, delay = signal.group_delay(signal.sos2tf(self.band.sos), w=[10.0], fs=self.rate_hz)
        return float(delay[0]) / self.rate_hz

    @property
    def n_kept(self) -> int:
        """Samples kept from block to block."""
        return round(self.seconds * self.out_hz)

    def init(self, first: Array) -> ThinState:
        """Nothing seen: zeros in front of `first`, shape ``(n_devices, n_channels, n_samples)``."""
        n, channels = first.shape[:2]
        trail = np.zeros((n, channels, self.n_kept), np.float32)
        return ThinState(self.band.init(first), np.zeros(n, np.int64), trail)

    def step(self, state: ThinState, block: Array) -> tuple[ThinState, Thinned]:
        """Thin a block of shape ``(n_devices, n_channels, n_samples)``."""
        n, channels, n_samples = block.shape
        band, x = self.band.step(state.band, block)
        ratio = self.rate_hz / self.out_hz
        # Smallest k whose nearest input sample, floor(k * ratio + 1/2), is not yet behind us.
        made = np.ceil((state.seen - 0.5) / ratio).astype(np.int64)
        seen = state.seen + n_samples
        after = np.ceil((seen - 0.5) / ratio).astype(np.int64)
        most = int(n_samples / ratio) + 2
        at = np.floor((made[:, None] + np.arange(most)) * ratio + 0.5).astype(np.int64) - state.seen[:, None]
        at = np.minimum(at, n_samples - 1)
        new = np.take_along_axis(x, np.broadcast_to(at[:, None], (n, channels, most)), axis=-1)
        joined = np.concatenate([state.trail, new.astype(np.float32)], axis=-1)
        keep = (after - made)[:, None] + np.arange(self.n_kept)
        trail = np.take_along_axis(joined, np.broadcast_to(keep[:, None], (n, channels, self.n_kept)), axis=-1)
        return ThinState(band, seen, trail), Thinned(joined, made - self.n_kept)

    def cut(self, thinned: Thinned, row: IntArray, at: Array, now: Array, span: tuple[int, int]) -> Array:
        """Waves around input positions `at` (sub-sample) of the rows named, as they can be cut at the samples `now`.

        Returns
        -------
        ndarray, shape (n_cut, n_channels, span[0] + 1 + span[1])
            The thinned signal from ``span[0]`` samples before to ``span[1]`` behind, by cubic interpolation; what is
            older than `seconds` repeats the oldest that is not.
        """
        before, after = span
        centre = (at / self.rate_hz + self.delay_s) * self.out_hz
        whole = np.floor(centre)
        f = (centre - whole)[:, None, None]
        start = whole.astype(np.int64) - thinned.first[row] - before
        made = np.ceil((now + 0.5) * self.out_hz / self.rate_hz).astype(np.int64) - thinned.first[row]
        place = start[:, None] + np.arange(-1, before + after + 3)
        place = np.minimum(np.maximum(place, (made - self.n_kept)[:, None]), (made - 1)[:, None])
        x = thinned.samples[row[:, None, None], np.arange(thinned.samples.shape[1])[:, None], place[:, None]]
        x = x.astype(np.float64)
        # Lagrange through four neighbours.
        a, b, c, d = x[..., :-3], x[..., 1:-2], x[..., 2:-1], x[..., 3:]
        wave: Array = (
            -f * (f - 1.0) * (f - 2.0) / 6.0 * a
            + (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0 * b
            - (f + 1.0) * f * (f - 2.0) / 2.0 * c
            + (f + 1.0) * f * (f - 1.0) / 6.0 * d
        )
        return wave
