"""What lies between a sensor's response and its samples: low pass, delay, and skew between the channels."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Reading(NamedTuple):
    """What magnetometers put out."""

    field_pt: Array  # (n, n_channels, n_samples)
    saturated: Mask  # (n, n_channels, n_samples)
    locked: Mask  # (n, n_samples)
    zeroing: Mask  # (n, n_samples)


class PathState(NamedTuple):
    """What a path carries from chunk to chunk."""

    line: Array  # (n, n_channels, n_delay)
    zi: Array  # (n_sections, n, n_channels, 2)


@dataclass(frozen=True)
class SignalPath:
    """Butterworth low pass and delay; whole samples in a delay line, the rest and the skew in an all-pass (Thiran).

    Parameters
    ----------
    rate_hz
        Sampling rate.
    bandwidth_hz
        -3 dB.
    delay_s
        Delay besides that of the low pass.
    skew_s
        What each channel lags behind that; one for all, or one per channel.
    order
        Of the low pass.
    """

    rate_hz: float
    bandwidth_hz: float
    delay_s: float
    skew_s: tuple[float, ...] = (0.0,)
    order: int = 1

    def __post_init__(self) -> None:
        """Refuse a path that cannot be."""
        if not 0.0 < self.bandwidth_hz < self.rate_hz / 2:
            raise ValueError(
                f"bandwidth_hz={self.bandwidth_hz}: need 0 < bandwidth_hz < rate_hz / 2 = {self.rate_hz / 2}"
            )
        if self.delay_s * self.rate_hz < 1.0:
            raise ValueError(f"delay_s={self.delay_s}: need at least one sample, {1.0 / self.rate_hz} s")
        # A first-order all-pass is flat for half a sample to one and a half.
        if not self.skew_s or max(abs(skew) for skew in self.skew_s) * self.rate_hz > 0.5:
            raise ValueError(f"skew_s={self.skew_s}: need one or more of at most half a sample, {0.5 / self.rate_hz} s")

    @cached_property
    def lag_s(self) -> float:
        """Group delay of the low pass at low frequency."""
        corner = 2.0 * self.rate_hz * np.tan(np.pi * self.bandwidth_hz / self.rate_hz)
        poles = signal.buttap(self.order)[1]
        return float(np.sum(np.real(-1.0 / poles)) / corner)

    def total_delay_s(self, channel: int) -> float:
        """Delay of a channel at low frequency, all in all."""
        return self.delay_s + self.skew_s[channel % len(self.skew_s)] + self.lag_s

    def init(self, first: Array) -> PathState:
        """Steady state for values of shape ``(n, n_channels)`` that have long been there."""
        zi = np.stack([signal.sosfilt_zi(sos) for sos in self._sections])  # (n_skews, n_sections, 2)
        per_channel = zi[np.arange(first.shape[1]) % len(zi)]
        return PathState(
            np.repeat(first[..., None], self._whole, axis=-1),
            (first[:, :, None, None] * per_channel).transpose(2, 0, 1, 3),
        )

    def step(self, state: PathState, values: Array) -> tuple[PathState, Array]:
        """Pass values of shape ``(n, n_channels, n_samples)`` on."""
        n_samples = values.shape[-1]
        joined = np.concatenate([state.line, values], axis=-1)
        line = joined[..., n_samples:].copy()
        joined = joined[..., :n_samples]
        if len(self._sections) == 1:
            passed, zi = signal.sosfilt(self._sections[0], joined, zi=state.zi)
            return PathState(line, zi), passed
        passed, zi = np.empty_like(values), np.empty_like(state.zi)
        for channel in range(values.shape[1]):
            sos = self._sections[channel % len(self._sections)]
            passed[:, channel], zi[:, :, channel] = signal.sosfilt(sos, joined[:, channel], zi=state.zi[:, :, channel])
        return PathState(line, zi), passed

    @cached_property
    def _whole(self) -> int:
        return round(self.delay_s * self.rate_hz) - 1

    @cached_property
    def _sections(self) -> tuple[Array, ...]:
        """Second-order sections for each skew."""
        low: Array = signal.butter(self.order, self.bandwidth_hz, fs=self.rate_hz, output="sos")
        found = []
        for skew in self.skew_s:
            samples = (self.delay_s + skew) * self.rate_hz - self._whole
            a = (1.0 - samples) / (1.0 + samples)
            turn_b, turn_a = np.array([a, 1.0]), np.array([1.0, a])
            if self.order % 2:
                # The section of the real pole has room for the all-pass: one section less to go through.
                first = np.concatenate([np.convolve(low[0, :2], turn_b), np.convolve(low[0, 3:5], turn_a)])
                found.append(np.concatenate([first[None], low[1:]]))
            else:
                found.append(np.concatenate([low, [[a, 1.0, 0.0, 1.0, a, 0.0]]]))
        return tuple(found)
