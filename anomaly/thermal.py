"""Skin temperature that a loose contact cannot fool, and how far it has fallen."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array

MEAN_DEVIATION_TO_SIGMA = 1.2533  # of a normal distribution
MEDIAN_TO_MEAN = 1.2533  # standard error of a median over that of a mean, normal distribution


class ThermalState(NamedTuple):
    """The newest readings, and the warmest level of late."""

    recent: Array  # (n_devices, n_recent) Cel, oldest first; NaN: none, or not plausible
    warm: Array  # (n_devices,) Cel; NaN: none yet


class ThermalOut(NamedTuple):
    """Temperature after a block."""

    value: Array  # (n_devices,) Cel, median of the newest readings; NaN: less than half of them are plausible
    u: Array  # (n_devices,) standard uncertainty, Cel
    fall: Array  # (n_devices,) Cel under the warmest level of late; NaN where `value` is
    raw: Array  # (n_devices,) Cel, newest finite reading whether plausible or not; NaN: none in this block


@dataclass(frozen=True)
class Thermal:
    """Median of the newest readings, with the spread and the contact in its uncertainty.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    window_s
        Readings that the median is taken over.
    low_c, high_c
        Readings outside are no skin.
    contact_u_c
        Standard uncertainty of a skin contact, Cel: no sensor noise is as large.
    cooling_c_per_h
        How fast the warmest level forgets: a patient cools by this much without having taken the device off.
    """

    rate_hz: float
    window_s: float = 9.0
    low_c: float = 20.0
    high_c: float = 45.0
    contact_u_c: float = 0.1
    cooling_c_per_h: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an empty window or range."""
        if self.rate_hz <= 0.0 or self.window_s <= 0.0:
            raise ValueError(f"need positive rate_hz and window_s, got {self.rate_hz=}, {self.window_s=}")
        if not self.low_c < self.high_c:
            raise ValueError(f"need low_c={self.low_c} < high_c={self.high_c}")

    @property
    def n_recent(self) -> int:
        """Readings in the window."""
        return max(1, round(self.window_s * self.rate_hz))

    def init(self, first: Array) -> ThermalState:
        """Nothing read; `first` has shape ``(n_devices, 1, n_samples)``."""
        return ThermalState(np.full((len(first), self.n_recent), np.nan), np.full(len(first), np.nan))

    def step(self, state: ThermalState, block: Array) -> tuple[ThermalState, ThermalOut]:
        """Read a block of shape ``(n_devices, 1, n_samples)`` in Cel; NaN and infinity are no readings."""
        n_samples = block.shape[-1]
        plausible = (block[:, 0] >= self.low_c) & (block[:, 0] <= self.high_c)
        readings = np.where(plausible, block[:, 0], np.nan)
        recent = np.concatenate([state.recent, readings], axis=-1)[:, -self.n_recent :]
        n = np.count_nonzero(~np.isnan(recent), axis=-1)
        # Half of the newest readings, so that a sensor that came off stops speaking soon; at the start those there are.
        least = np.minimum(np.count_nonzero(~np.isnan(state.recent), axis=-1), self.n_recent) // 2 + 1
        median = _median(recent, n)
        value = np.where((n >= least) & plausible.any(axis=-1), median, np.nan)
        # The mean deviation, not the median one: that is 0 for a contact that jumps between two values.
        deviation = np.abs(np.where(np.isnan(recent), 0.0, recent - median[:, None]))
        spread = MEAN_DEVIATION_TO_SIGMA * deviation.sum(axis=-1) / np.maximum(n, 1)
        u = np.hypot(
            self.contact_u_c, MEDIAN_TO_MEAN * spread / np.sqrt(np.maximum(n, 1))
        )  # a median is 25 % worse than a mean
        cooled = state.warm - self.cooling_c_per_h / 3600.0 * n_samples / self.rate_hz
        warm = np.fmax(value, cooled)
        finite = np.isfinite(block[:, 0])
        at = n_samples - 1 - np.argmax(finite[:, ::-1], axis=-1)
        newest = np.take_along_axis(block[:, 0], at[:, None], axis=-1)[:, 0]
        raw = np.where(np.isfinite(newest), newest, np.nan)
        return ThermalState(recent, warm), ThermalOut(value, np.where(np.isnan(value), np.nan, u), warm - value, raw)


def _median(values: Array, n: Array) -> Array:
    """Median of the `n` numbers in each row, NaN where there is none; NaN sorts behind every number."""
    ordered = np.sort(values, axis=-1)
    low = np.take_along_axis(ordered, np.maximum(n - 1, 0)[:, None] // 2, axis=-1)[:, 0]
    high = np.take_along_axis(ordered, (n // 2)[:, None].clip(0, values.shape[-1] - 1), axis=-1)[:, 0]
    return np.where(n > 0, 0.5 * (low + high), np.nan)
