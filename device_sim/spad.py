"""Photon-counting PPG at three wavelengths: the pulse wave of the same heart, and what a SPAD array counts of it."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.physiology import Beat

Array = NDArray[np.float64]

TRANSIT_S = 0.200  # from R peak to the foot of the pulse at the chest's skin; from memory
# The pulse wave as two Gaussians after its foot: centre, width, height. The first rises from 4 % of itself at the foot.
# At RR = 1 s; both stretch with sqrt(RR). Shape from memory.
PULSE = ((0.120, 0.048, 1.0), (0.330, 0.080, 0.38))
PULSE_AFTER_S = 0.75
FULL_RR_S = 0.75  # after a shorter filling the stroke is smaller in proportion

# Share of the light that a full pulse takes away, at 940, 660 and 525 nm. 660 / 940 gives a ratio of ratios of 0.52,
# SpO2 = 110 - 25 R = 97 %. From memory.
MODULATION = (0.015, 0.0078, 0.030)
# Detected photons per second without dead time; DOMAIN 1.2: 100 Mcps for a good signal.
RATE_CPS = (60e6, 50e6, 40e6)
AMBIENT_CPS = 0.4e6
AMBIENT_OFF_BODY_CPS = 15e6
BREATH_MODULATION = 0.002  # of the light, by the venous filling; from memory


def pulse_waves(beats: list[tuple[int, Beat, float]], starts_s: Array, n_samples: int, rate_hz: float) -> Array:
    """Pulse wave of each patient, 1 at the top of a full pulse.

    Parameters
    ----------
    beats
        Row, beat, and the pulse's strength.
    starts_s : ndarray, shape (n,)
        Time of each row's first sample.
    n_samples, rate_hz
        Length and rate of the rows.

    Returns
    -------
    ndarray, shape (n, n_samples)
    """
    table = np.array([(row, beat.time_s + TRANSIT_S, beat.rr_s, size) for row, beat, size in beats]).reshape(-1, 4)
    row = table[:, 0].astype(np.int64)
    stretch = np.sqrt(np.clip(table[:, 2], 0.3, 1.2))[:, None]
    foot = (table[:, 1] - starts_s[row]) * rate_hz
    index = np.ceil(foot - 0.1 * rate_hz).astype(np.int64)[:, None] + np.arange(int((PULSE_AFTER_S + 0.1) * rate_hz))
    since_s = (index - foot[:, None]) / rate_hz / stretch
    wave = np.zeros(index.shape)
    for centre, width, height in PULSE:
        wave += height * np.exp(-0.5 * ((since_s - centre) / width) ** 2)
    wave *= table[:, 3, None]
    inside = (index >= 0) & (index < n_samples)
    at = (row[:, None] * n_samples + index)[inside]
    flat: Array = np.bincount(at, wave[inside], minlength=len(starts_s) * n_samples).astype(np.float64)
    return flat.reshape(len(starts_s), n_samples)


def pulse_strength(beat: Beat) -> float:
    """Stroke of a beat against a full one: less after a short filling, and less from an ectopic focus."""
    filling: float = min(1.0, (beat.rr_s / FULL_RR_S) ** 1.5)
    return filling * beat.stroke * (0.7 if beat.kind == "V" else 1.0)


@dataclass(frozen=True)
class Spad:
    """A SPAD array that counts photons in bins.

    Parameters
    ----------
    bin_s
        Length of a bin.
    dead_time_s
        Non-paralysable dead time: a rate n is registered as ``m = n / (1 + n dead_time_s)``. An array stays below 1 ns
        (DOMAIN 1.2: three-wavelength SPAD oximeter).
    dark_cps
        Dark counts per second of the array; from memory.
    afterpulse
        Share of the counts that are followed by one more, by a carrier that was trapped; about 1 % (DOMAIN 1.2).
    leak
        Share of a neighbouring wavelength's light that an emitter still gives while another is on; from memory.
    """

    bin_s: float = 0.010
    dead_time_s: float = 1e-9
    dark_cps: float = 20e3
    afterpulse: float = 0.01
    leak: float = 0.002

    def __post_init__(self) -> None:
        """Refuse a counter that cannot be."""
        if not (self.bin_s > 0.0 and self.dead_time_s >= 0.0 and self.dark_cps >= 0.0):
            raise ValueError(f"{self}: need bin_s > 0, dead_time_s >= 0 and dark_cps >= 0")
        if not (0.0 <= self.afterpulse < 1.0 and 0.0 <= self.leak < 0.5):
            raise ValueError(f"{self}: need 0 <= afterpulse < 1 and 0 <= leak < 0.5")

    def mean_cps(self, rate_cps: float) -> float:
        """Counts per second that are registered of photons that come at a rate."""
        arrivals = rate_cps + self.dark_cps
        return arrivals / (1.0 + arrivals * self.dead_time_s) * (1.0 + self.afterpulse)

    def fano(self, rate_cps: float) -> float:
        """Variance over mean of the counts of a bin."""
        busy = 1.0 + (rate_cps + self.dark_cps) * self.dead_time_s
        p = self.afterpulse
        return (1.0 + p) * busy**-2 + p * (1.0 - p) / (1.0 + p)

    def count(self, rates_cps: Array, rngs: list[Generator]) -> Array:
        """Registered counts per bin.

        The mean is that of a non-paralysable counter and so is the variance, ``mean / (1 + n dead_time_s)^2``; then
        each count may be followed by one more.

        Parameters
        ----------
        rates_cps : ndarray, shape (n, n_wavelengths, n_bins)
            Photons that would be detected per second without dead time.
        rngs
            One generator per row.
        """
        mixed = rates_cps
        if self.leak and rates_cps.shape[1] > 1:
            mixed = (1.0 - self.leak) * rates_cps + self.leak * np.roll(rates_cps, 1, axis=1)
        arrivals = (mixed + self.dark_cps) * self.bin_s
        drawn = np.empty_like(arrivals)
        for row, rng in enumerate(rngs):
            drawn[row] = rng.poisson(arrivals[row])
        busy = 1.0 + arrivals * (self.dead_time_s / self.bin_s)
        counts = np.maximum(np.rint(arrivals / busy + (drawn - arrivals) * busy**-1.5), 0.0)
        if self.afterpulse:
            for row, rng in enumerate(rngs):
                counts[row] += rng.binomial(counts[row].astype(np.int64), self.afterpulse)
        return counts
