"""Oxygen saturation out of photon counts at three wavelengths: a ratio of ratios that no counter's noise biases."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from scipy import signal

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.sos import SosFilter, SosState

WAVELENGTHS_NM: Final = (525.0, 660.0, 940.0)  # in the order of the channels of a block
NEAR_NM: Final = 25.0  # an emitter's wavelength may differ by so much
LOW_HZ, HIGH_HZ = 0.7, 6.0  # of the pulse; breath, which moves all wavelengths alike, lies below
WINDOW_S: Final = 6.0  # time constant of the averages
# Textbook line of a simulated device (Webster 1997, Design of Pulse Oximeters: SpO2 = 110 - 25 R). Any real one is
# calibrated on people; this is a simulated calibration and no claim.
AT_ZERO, SLOPE = 110.0, 25.0
LINE_U: Final = 1.0  # %, standard uncertainty of that line; of a real one 2 to 3 (ISO 80601-2-61, from memory)
LEAST_PULSE: Final = 3e-4  # of the light, rms in the band: a weaker pulse is none
LEAST_COUNTS: Final = 100.0  # a sample, of each wavelength: below it there is no light path
SETTLED: Final = 1.5  # time constants until the averages mean something
LEARN_S: Final = 30.0  # time constant of what is usual
STILL: Final = 0.98  # correlation of 525 and 940 nm from which on nothing but the pulse is seen
MOVES: Final = 0.08  # share of movement in what is seen at 940 nm: below it there is none
MOST_MOVES: Final = 0.75  # above it the pulse cannot be told any more
SHARE_U: Final = (0.02, 0.1)  # of that share: its standard uncertainty, absolute and relative
SPO2: Final = (50.0, 100.0)  # what the line may say
_PAIRS: Final = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


class OximeterState(NamedTuple):
    """Delay lines of the band and of the averages, and since when there has been light."""

    band: SosState
    mean: Array  # (n, 6, 1) delay lines of the averages of the products
    lit: Array  # (n,) samples with light, in a row
    last: Array  # (n, 3, 1) newest absorbance that was measured
    base: Array  # (n, 3, 1) what is taken off it, so that light which comes back makes no step
    seen: IntArray  # (n,) samples
    usual: Array  # (n,) pulse at 525 over that at 940 nm while nothing moves; NaN: not known yet


class OximeterOut(NamedTuple):
    """As of the end of a block, shape (n,) each; NaN where it cannot be measured."""

    spo2: Array  # %
    u: Array  # %, standard uncertainty
    quality: Array  # 0..1, share of what is seen at 660 and 940 nm that the pulse explains
    perfusion: Array  # rms of the pulse at 940 nm over the light


@dataclass(frozen=True)
class Oximeter:
    """Ratio of ratios, with the pulse seen at 525 nm as the instrument.

    The absorbances at 660 and 940 nm are both projected on that at 525 nm, where the pulse is strongest. The noise of
    the three counters is independent, so that none biases the ratio, unlike that of variances. What the pulse does not
    explain at 660 and 940 nm gives the uncertainty.

    Movement dims all wavelengths alike, the pulse does not: the pulse at 525 nm is so many times that at 940 nm, which
    is learned for each row while nothing moves. Where that ratio sinks, the share of movement follows, and is taken
    out of both projections.

    Parameters
    ----------
    rate_hz
        Sampling rate, at least 25 Hz.

    Notes
    -----
    Any cut of the signal gives the same values at the ends that two cuts share.

    References
    ----------
    Webster (ed.) 1997, Design of Pulse Oximeters, for the ratio of ratios; instrumental variables: Durbin 1954,
    doi:10.2307/1401917. Differs in: projection on a third wavelength instead of peaks and valleys of two.

    Examples
    --------
    >>> t = np.arange(2000) / 100.0
    >>> pulse = np.sin(2.0 * np.pi * 1.2 * t)
    >>> counts = 1e6 * np.exp(-np.array([0.03, 0.0078, 0.015])[None, :, None] * pulse)
    >>> kernel = Oximeter(100.0)
    >>> _, out = kernel.step(kernel.init(counts), counts)
    >>> np.round(out.spo2, 1)
    array([97.])
    """

    rate_hz: float

    def __post_init__(self) -> None:
        """Refuse a rate at which the pulse does not fit."""
        if not self.rate_hz >= 25.0:
            raise ValueError(f"need rate_hz >= 25 to see the pulse's shape, got {self.rate_hz=}")

    def init(self, first: Array) -> OximeterState:
        """State of rows that have seen nothing; `first` has shape ``(n, 3, n_samples)``."""
        n, start = len(first), _absorbance(first[..., :1])
        band = self._band.init(np.zeros_like(start))
        zero = np.zeros(n)
        return OximeterState(
            band, np.zeros((n, len(_PAIRS), 1)), zero, start, start, zero.astype(np.int64), np.full(n, np.nan)
        )

    def step(self, state: OximeterState, block: Array) -> tuple[OximeterState, OximeterOut]:
        """Take a block of photon counts of shape ``(n, 3, n_samples)``, wavelengths as `WAVELENGTHS_NM`."""
        n_samples = block.shape[-1]
        dark = np.logical_or.reduce(block < LEAST_COUNTS, axis=1)
        absorbance, base = _held(state, _absorbance(block), dark)
        band, wave = self._band.step(state.band, absorbance - base)
        products = np.stack([wave[:, a] * wave[:, b] for a, b in _PAIRS], axis=1)
        means, delay = signal.lfilter([1.0 - self._keep], [1.0, -self._keep], products, zi=state.mean)
        newest_dark = np.where(dark, np.arange(n_samples), -1).max(axis=-1)
        lit = np.where(newest_dark >= 0, n_samples - 1.0 - newest_dark, state.lit + n_samples)
        usual, first = state.usual, self._second - 1 - state.seen % self._second
        for turn in range(-(-n_samples // self._second)):  # once a second, wherever the signal is cut
            at = first + turn * self._second
            due, at = at < n_samples, np.minimum(at, n_samples - 1)
            then = np.take_along_axis(means, at[:, None, None], axis=-1)[..., 0]
            bright = self._bright(dark, state.lit, at)
            usual = np.where(due & bright, _learned(usual, then), usual)
        new = OximeterState(
            band, delay, lit, absorbance[..., -1:].copy(), base[..., -1:].copy(), state.seen + n_samples, usual
        )
        return new, self._judged(means[..., -1], lit, usual)

    def _judged(self, mean: Array, lit: Array, usual: Array) -> OximeterOut:
        """Ratio and its uncertainty out of the averages of products."""
        gg, gr, gi, rr, ri, ii = (mean[:, k] for k in range(len(_PAIRS)))
        there = (gi > 0.0) & (gg > np.square(LEAST_PULSE)) & (lit >= SETTLED * self._window)
        safe_gi, safe_gg = np.where(there, gi, 1.0), np.where(there, gg, 1.0)
        # Of what is seen at 940 nm in step with 525 nm, so much is movement, which is the same at all wavelengths.
        known = np.where(np.isnan(usual), 2.0, usual)
        moves = np.where(there & ~np.isnan(usual), (known - gg / safe_gi) / (known - 1.0), 0.0)
        moves = np.where(moves > MOVES, moves, 0.0)
        left = 1.0 - np.minimum(moves, MOST_MOVES)
        there &= moves <= MOST_MOVES
        seen = np.where(there, gr / safe_gi, np.nan)
        ratio = (seen - (1.0 - left)) / left
        # What is left at 660 nm of what 940 nm foretells, over the samples that are independent in the band.
        rest = np.maximum(rr - 2.0 * seen * ri + np.square(seen) * ii, 0.0)
        independent = 2.0 * WINDOW_S * 2.0 * (HIGH_HZ - LOW_HZ)
        u = SLOPE * np.sqrt(rest * safe_gg / independent) / safe_gi / left
        share_u = np.where(moves > 0.0, SHARE_U[0] + SHARE_U[1] * moves, 0.0)
        u = np.hypot(u, SLOPE * np.abs(seen - 1.0) / np.square(left) * share_u)
        red, infra = np.square(gr) / safe_gg, np.square(gi) / safe_gg  # powers that are in step
        share = (red + infra) / np.maximum(rr + ii, 1e-300) * left
        spo2 = AT_ZERO - SLOPE * ratio
        measured = there & (spo2 >= SPO2[0]) & (spo2 <= SPO2[1] + 3.0 * np.where(there, u, 0.0) + LINE_U)
        return OximeterOut(
            spo2=np.where(measured, np.minimum(spo2, SPO2[1]), np.nan),
            u=np.where(measured, np.hypot(u, LINE_U), np.nan),
            quality=np.where(measured, np.clip(share, 0.0, 1.0), 0.0),
            perfusion=np.where(there, np.sqrt(infra) * left, np.nan),
        )

    def _bright(self, dark: BoolArray, lit: Array, at: IntArray) -> BoolArray:
        """Whether there had been light for long enough at a sample of each row."""
        place = np.arange(dark.shape[-1])
        newest = np.where(dark & (place <= at[:, None]), place, -1).max(axis=-1)
        bright: BoolArray = np.where(newest >= 0, at - newest, lit + at + 1.0) >= SETTLED * self._window
        return bright

    @property
    def _window(self) -> float:
        return WINDOW_S * self.rate_hz

    @cached_property
    def _second(self) -> int:
        return max(1, round(self.rate_hz))

    @cached_property
    def _band(self) -> SosFilter:
        return SosFilter(signal.butter(2, [LOW_HZ, HIGH_HZ], "bandpass", fs=self.rate_hz, output="sos"))

    @cached_property
    def _keep(self) -> float:
        return float(np.exp(-1.0 / (WINDOW_S * self.rate_hz)))


def channels_of(wavelengths_nm: tuple[float, ...]) -> tuple[int, ...]:
    """Channels of a stream that measure at `WAVELENGTHS_NM`; empty where one is missing.

    Examples
    --------
    >>> channels_of((940.0, 660.0, 525.0)), channels_of((940.0, 660.0))
    ((2, 1, 0), ())
    """
    found = []
    for wanted in WAVELENGTHS_NM:
        near = [k for k, given in enumerate(wavelengths_nm) if abs(given - wanted) <= NEAR_NM]
        if not near:
            return ()
        found.append(near[0])
    return tuple(found)


def _learned(usual: Array, mean: Array) -> Array:
    """What is usual after one more second, of which nothing is learned while anything moves."""
    gg, gi, ii = mean[:, 0], mean[:, 2], mean[:, 5]
    seen = (gi > 0.0) & (gg > np.square(LEAST_PULSE)) & (ii > 0.0)
    ratio = gg / np.where(seen, gi, 1.0)
    still = seen & (gi > STILL * np.sqrt(gg * np.where(seen, ii, 1.0))) & (ratio > 1.0 + MOVES)
    # Movement only ever lowers the ratio: what is lower is learned more slowly.
    pace = np.where(ratio < usual, 0.25, 1.0) / LEARN_S
    learned: Array = np.where(still, np.where(np.isnan(usual), ratio, usual + pace * (ratio - usual)), usual)
    return learned


def _held(state: OximeterState, absorbance: Array, dark: BoolArray) -> tuple[Array, Array]:
    """Absorbance that stays where it was in the dark, and what to take off it, which follows where light comes back."""
    place = np.where(dark, 0, np.arange(1, dark.shape[-1] + 1))
    newest = np.maximum.accumulate(place, axis=-1)[:, None, :]
    known = np.concatenate([state.last, absorbance], axis=-1)
    held = np.take_along_axis(known, np.broadcast_to(newest, absorbance.shape), axis=-1)
    before = np.concatenate([state.last, held[..., :-1]], axis=-1)
    was_dark = np.concatenate([(state.lit == 0.0)[:, None], dark[:, :-1]], axis=-1)
    back = (was_dark & ~dark)[:, None, :]
    steps = np.concatenate([state.base, np.where(back, held - before, 0.0)], axis=-1)
    return held, np.cumsum(steps, axis=-1)[..., 1:]


def _absorbance(counts: Array) -> Array:
    absorbance: Array = -np.log(np.maximum(counts, 1.0))
    return absorbance
