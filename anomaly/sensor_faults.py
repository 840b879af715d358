"""Faults of a magnetometer that its own noise gives away: it grows, flickers, has a line, dies or is scaled anew."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray, IntArray

BLOCKS: Final = 8  # newest blocks whose spectra are kept: two seconds of packets
QUARTER: Final = 0.25  # of them: what a beat leaves in some of the blocks does not count
LEARN_S: Final = 8.0  # until what is usual is known
MEMORY_S: Final = 120.0
SLOPE_S: Final = 3.0
SLOW_S: Final = 2.0  # gains are judged by what is slower than the noise's own scatter
FARTHEST: Final = 3.0  # log power, so that what is far off is soon forgotten
STRANGE: Final = 2.0  # by which power differs from what is usual and nothing is learned from it
RECENT: Final = 5  # blocks whose median is the noise of late: one that a step disturbs does not count
LEAST_BINS: Final = 4  # there, so that their median is one
HIGHS: Final = 8  # bins above the heart's band that the slope is measured against
HIGH: Final = (0.2, 0.45)  # of the sampling rate: above the heart's band
# Powers against what is usual.
NOISIER: Final = 8.0
DEAD: Final = 0.1
GAIN: Final = (0.25, 0.65)  # all channels alike
GAIN_SPREAD: Final = 2.2  # of one channel's over another's, by chance
UNEQUAL: Final = (0.72, 1.35)  # some channels below, some above
SLOPE: Final = 1.7  # of the noise at 12 to 20 Hz over that above the heart's band, from which on it flickers
LINE_HZ: Final = (16.0, 46.0)
LINE_STANDS: Final = 8.0  # a line's power over that 12 Hz to each side
LINE_OVER: Final = 30.0  # and over the noise above the heart's band
APART_HZ: Final = 12.0
STILL_UNEQUAL: Final = (0.8, 1.25)  # once it is named, as long as this holds
STILL_LOST: Final = 0.8
OVER_S: Final = 3.0  # without it, and a fault is over


class SensorFault(IntEnum):
    """What is named; where several hold, the first in this order."""

    NONE = 0
    DEAD_CHANNEL = 1
    FLICKER = 2
    NOISE = 3
    LINE = 4
    CALIBRATION = 5
    GAIN = 6


HOLD_S: Final = np.array([0.75, 1.0, 1.0, 1.5, 1.0, 1.0])  # of each fault from DEAD_CHANNEL on, until it is named


class SensorFaultState(NamedTuple):
    """What is usual, and what has held for how long; one row per device."""

    usual: Array  # (n, n_channels) usual log power density above the heart's band; NaN: not known
    recent: NDArray[np.float32]  # (n, RECENT, n_channels) log power density there in the newest blocks; NaN: none
    slow: Array  # (n, n_channels) its change against what is usual, followed slowly
    slope: Array  # (n,) log power at 12 to 20 Hz over that above the heart's band while noisy, followed slowly; NaN
    noisy: IntArray  # (n,) blocks in a row with far more noise
    learned_s: Array  # (n,)
    spectra: NDArray[
        np.float32
    ]  # (n, BLOCKS, n_bins) below and above the heart's band, log power of the newest blocks, median of the channels
    held_s: Array  # (n, 6) for how long each sign has been there
    fault: IntArray  # (n,) SensorFault that is named
    over_s: Array  # (n,) for how long its sign has been gone


@dataclass(frozen=True)
class SensorFaultWatch:
    """Name faults by the noise of the sensors: where there is no heart, nothing but a fault changes it.

    What is usual is learned for each channel and follows slowly while nothing is wrong. Every step takes one block of
    all rows; a block is a packet.

    Parameters
    ----------
    rate_hz, block_len
        Of the stream.
    mains_hz
        Lines that are no fault.

    Notes
    -----
    Thresholds are wide of what noise does by chance: a power above the heart's band, median of some 30 bins and
    of `RECENT` blocks, scatters by a tenth. They are not fitted.
    """

    rate_hz: float
    block_len: int
    mains_hz: float = 50.0

    def init(self, n: int, n_channels: int) -> SensorFaultState:
        """Rows of which nothing is known."""
        zero = np.zeros(n)
        return SensorFaultState(
            usual=np.full((n, n_channels), np.nan),
            recent=np.full((n, RECENT, n_channels), np.nan, np.float32),
            slow=np.zeros((n, n_channels)),
            slope=np.full(n, np.nan),
            noisy=np.zeros(n, np.int64),
            learned_s=zero,
            spectra=np.full((n, BLOCKS, len(self._bins) + len(self._highs)), np.nan, np.float32),
            held_s=np.zeros((n, len(HOLD_S))),
            fault=np.zeros(n, np.int64),
            over_s=zero.copy(),
        )

    def step(self, state: SensorFaultState, block: Array, fit: BoolArray) -> tuple[SensorFaultState, IntArray]:
        """Judge a block.

        Parameters
        ----------
        state
            Of ``n`` rows.
        block : ndarray, shape (n, n_channels, block_len)
            Finite samples as they were measured.
        fit : ndarray of bool, shape (n,)
            False where the sensor does not measure (saturated, zeroing, no lock): nothing is judged or learned then.

        Returns
        -------
        SensorFaultState
            After it.
        ndarray of int, shape (n,)
            `SensorFault` that is named.
        """
        if not self.able:
            return state, np.zeros(len(block), np.int64)
        second = self.block_len / self.rate_hz
        below, above = self._spectrum(block)
        # What comes after a break begins anew: the newest blocks are those since then.
        before = np.where(fit[:, None, None], state.recent[:, 1:], np.float32(np.nan))
        newest = np.where(fit[:, None], above, np.nan).astype(np.float32)
        recent = np.concatenate([before, newest[:, None]], axis=1)
        known = fit & np.isfinite(recent).all(axis=(1, 2))
        power = np.median(np.where(known[:, None, None], recent, 0.0).astype(np.float64), axis=1)
        newest = np.where(fit[:, None], below, np.nan).astype(np.float32)
        spectra = np.concatenate([state.spectra[:, 1:], newest[:, None]], axis=1)
        learning = state.learned_s < LEARN_S
        judged = known & ~learning
        change = np.clip(power - np.where(judged[:, None], state.usual, power), -FARTHEST, FARTHEST)
        silent = (change < np.log(DEAD)).all(axis=-1)  # one value is repeated: that has a name of its own
        slow = np.where(
            (judged & ~silent)[:, None], state.slow - np.expm1(-second / SLOW_S) * (change - state.slow), 0.0
        )
        steady = self._steady(spectra, power)
        n_low = len(self._bins)
        tilt = steady[:, :n_low][:, self._low].mean(axis=-1) - steady[:, n_low:].mean(axis=-1)
        former = np.where(np.isnan(state.slope), tilt, state.slope)
        noisy = np.where(judged & (np.median(change, axis=-1) > np.log(NOISIER)), state.noisy + 1, 0)
        # Before, quieter blocks are among those that are kept.
        slope = np.where(noisy >= BLOCKS - RECENT // 2, former - np.expm1(-second / SLOPE_S) * (tilt - former), np.nan)
        signs = self._signs(change, slow, slope, steady[:, :n_low], np.median(power, axis=-1)) & judged[:, None]
        stays = signs | self._lingers(slow)

        held_s = np.where(signs, state.held_s + second, 0.0)
        ripe = held_s >= HOLD_S
        found = np.where(ripe.any(axis=-1), np.argmax(ripe, axis=-1) + 1, 0)
        mine = np.take_along_axis(stays, np.maximum(state.fault - 1, 0)[:, None], axis=-1)[:, 0]
        over_s = np.where((state.fault > 0) & ~mine & known, state.over_s + second, 0.0)
        gone = over_s >= OVER_S
        fault = np.where((found > 0) & ((state.fault == 0) | (found < state.fault) | gone), found, state.fault)
        fault = np.where(gone & (found == 0), 0, fault)

        calm = known & ~signs.any(axis=-1) & (fault == 0) & (np.abs(change) < np.log(STRANGE)).all(axis=-1)
        first = np.isnan(state.usual)
        pace = np.where(learning, second / np.maximum(state.learned_s + second, second), second / MEMORY_S)[:, None]
        followed = np.where(first, power, state.usual + pace * (power - np.where(first, power, state.usual)))
        return SensorFaultState(
            usual=np.where(calm[:, None], followed, state.usual),
            recent=recent,
            slow=slow,
            slope=slope,
            noisy=noisy,
            learned_s=np.where(calm, np.minimum(state.learned_s + second, LEARN_S), state.learned_s),
            spectra=spectra,
            held_s=held_s,
            fault=fault,
            over_s=np.where(fault > 0, over_s, 0.0),
        ), fault

    def _steady(self, spectra: NDArray[np.float32], power: Array) -> Array:
        """Log power that is there in three of four blocks, shape (n, n_bins)."""
        kept = np.sort(np.where(np.isnan(spectra), np.inf, spectra).astype(np.float64), axis=1)
        steady = kept[:, round(QUARTER * (BLOCKS - 1))]
        found: Array = np.where(np.isfinite(steady), steady, np.median(power, axis=-1)[:, None])
        return found

    def _signs(self, change: Array, slow: Array, slope: Array, steady: Array, above: Array) -> BoolArray:
        """Which signs are there, in the order of `SensorFault`, shape (n, 6)."""
        lowest, highest = change.min(axis=-1), change.max(axis=-1)
        noisy = ~np.isnan(slope)
        flickers = noisy & (np.nan_to_num(slope) > np.log(SLOPE))
        stands = np.zeros(len(change), np.bool_)
        for k in self._line:
            peak = steady[:, k]
            apart = (peak - steady[:, k - self._apart] > np.log(LINE_STANDS)) & (
                peak - steady[:, k + self._apart] > np.log(LINE_STANDS)
            )
            stands |= apart & (peak - above > np.log(LINE_OVER))
        dead = (lowest < np.log(DEAD)) & (highest > np.log(DEAD))  # where all are, a value is repeated: that has a name
        least, most, middle = slow.min(axis=-1), slow.max(axis=-1), np.median(slow, axis=-1)
        unequal = (least < np.log(UNEQUAL[0])) & (most > np.log(UNEQUAL[1])) & ~noisy
        lost = (middle > np.log(GAIN[0])) & (middle < np.log(GAIN[1])) & (most - least < np.log(GAIN_SPREAD))
        return np.stack([dead, flickers, noisy & ~flickers, stands & ~noisy, unequal & ~dead, lost], axis=-1)

    def _lingers(self, slow: Array) -> BoolArray:
        """Which signs are still there, by weaker ones of changed gains, shape (n, 6)."""
        least, most, middle = slow.min(axis=-1), slow.max(axis=-1), np.median(slow, axis=-1)
        lingers = np.zeros((len(slow), len(HOLD_S)), np.bool_)
        lingers[:, SensorFault.CALIBRATION - 1] = (least < np.log(STILL_UNEQUAL[0])) & (most > np.log(STILL_UNEQUAL[1]))
        lingers[:, SensorFault.GAIN - 1] = middle < np.log(STILL_LOST)
        return lingers

    def _spectrum(self, block: Array) -> tuple[Array, Array]:
        """Log power density in the kept bins, median of the channels, and that above the heart of each channel."""
        spectrum = np.fft.rfft((block - block.mean(axis=-1, keepdims=True)) * self._window, axis=-1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        bins = np.concatenate([self._bins, self._highs])
        below = np.log(np.maximum(np.median(power[..., bins], axis=1), 1e-300))
        above = np.median(power[..., self._high], axis=-1) / np.log(2.0)  # powers are exponentially distributed
        return below, np.log(np.maximum(above, 1e-300))

    @property
    def able(self) -> bool:
        """Whether a block is long enough for a spectrum; of shorter ones nothing is judged."""
        return len(self._high) >= LEAST_BINS and len(self._bins) > 0

    @cached_property
    def _window(self) -> Array:
        window: Array = np.hanning(self.block_len + 1)[:-1]
        return window * float(np.sqrt(2.0 / (self.rate_hz * max(float((window**2).sum()), 1e-300))))

    @cached_property
    def _bins(self) -> IntArray:
        hz = np.fft.rfftfreq(self.block_len, 1.0 / self.rate_hz)
        return np.flatnonzero((hz > 2.0) & (hz <= LINE_HZ[1] + APART_HZ + 2.0))

    @cached_property
    def _high(self) -> IntArray:
        hz = np.fft.rfftfreq(self.block_len, 1.0 / self.rate_hz)
        off = np.abs(hz - np.rint(hz / self.mains_hz) * self.mains_hz) > 2.5 * self.rate_hz / self.block_len
        return np.flatnonzero((hz >= HIGH[0] * self.rate_hz) & (hz <= HIGH[1] * self.rate_hz) & off)

    @cached_property
    def _highs(self) -> IntArray:
        if len(self._high) == 0:
            return self._high
        place = np.linspace(0.0, len(self._high) - 1.0, min(HIGHS, len(self._high)))
        return self._high[np.unique(np.rint(place).astype(np.int64))]

    @cached_property
    def _hz(self) -> Array:
        return self._bins * self.rate_hz / self.block_len

    @cached_property
    def _low(self) -> BoolArray:
        low = (self._hz >= 12.0) & (self._hz <= 20.0)
        return low if low.any() else self._hz == self._hz[:1]

    @cached_property
    def _apart(self) -> int:
        return max(1, round(APART_HZ * self.block_len / self.rate_hz))

    @cached_property
    def _line(self) -> list[int]:
        """Bins at which a line is looked for: inside, and away from the mains."""
        last = len(self._bins) - self._apart
        off = np.abs(self._hz - self.mains_hz) > 8.0
        fits = (self._hz >= LINE_HZ[0]) & (self._hz <= LINE_HZ[1]) & off
        return [k for k in np.flatnonzero(fits).tolist() if self._apart <= k < last]
