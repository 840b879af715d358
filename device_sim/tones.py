"""Sums of sinusoids: random processes that are functions of time, so that no cut of time can change them."""

import math
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]


class Tones(NamedTuple):
    """``value(t) = sum amplitude * sin(2 pi (frequency_hz t + phase))``; leading axes are rows."""

    frequency_hz: Array  # (..., n_tones)
    amplitude: Array  # (..., n_tones)
    phase: Array  # (..., n_tones), turns


class PointTones:
    """Tones of one row for single points of time: for few of them NumPy takes ten times as long."""

    def __init__(self, tones: Tones) -> None:
        turns = 2.0 * np.pi * np.stack([tones.frequency_hz, tones.phase])
        self._parts = list(zip(*turns.tolist(), tones.amplitude.tolist(), strict=True))

    def at(self, t_s: float) -> float:
        """Value at a time."""
        return math.fsum(size * math.sin(rate * t_s + start) for rate, start, size in self._parts)


def random_tones(rng: Generator, n_tones: int, band_hz: tuple[float, float], rms: float) -> Tones:
    """Tones of equal strength, log-uniform in frequency over `band_hz`, with the given rms."""
    low, high = np.log(band_hz)
    return Tones(
        np.exp(rng.uniform(low, high, n_tones)),
        np.full(n_tones, rms * np.sqrt(2.0 / n_tones)),
        rng.uniform(0.0, 1.0, n_tones),
    )


def gaussian_tones(rng: Generator, n_tones: int, centre_hz: float, width_hz: float, rms: float) -> Tones:
    """Tones of equal strength whose frequencies are normally distributed: a Gaussian spectral peak.

    One lies near each quantile: two that fell together would beat for hours, and the power of an hour be anything.
    """
    share = (np.arange(n_tones) + 0.5 + rng.uniform(-0.3, 0.3, n_tones)) / n_tones
    return Tones(
        np.abs(centre_hz + width_hz * ndtri(share)),
        np.full(n_tones, rms * np.sqrt(2.0 / n_tones)),
        rng.uniform(0.0, 1.0, n_tones),
    )


def stack(rows: list[Tones]) -> Tones:
    """Put tones of one size on a new leading axis."""
    return Tones(*(np.stack(leaves) for leaves in zip(*rows, strict=True)))


def evaluate(tones: Tones, t_s: Array) -> Array:
    """Value at the times `t_s` of shape ``(..., n_times)``, whose leading axes are those of the tones."""
    turns = tones.frequency_hz[..., None, :] * t_s[..., None] + tones.phase[..., None, :]
    value: Array = np.sum(tones.amplitude[..., None, :] * np.sin(2.0 * np.pi * turns), axis=-1)
    return value


def upsample(knots: Array, factor: int) -> Array:
    """Straight lines between knots of shape ``(..., m + 1)``: shape ``(..., m * factor)``."""
    ramp = np.arange(factor) / factor
    lines = knots[..., :-1, None] + np.diff(knots, axis=-1)[..., None] * ramp
    joined: Array = lines.reshape(*knots.shape[:-1], -1)
    return joined
