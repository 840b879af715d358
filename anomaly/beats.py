"""Heart beats in ECG or MCG as they come: a causal QRS detector for a bank of devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from scipy import signal

from anomaly.beat_rules import BeatRules, Candidates, Found, Levels
from anomaly.decimate import Decimator, DecimatorState
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.peaks import dominant, moving_sum, parabola

SLOW_HZ = 120.0  # about this rate is enough for all but the R peak's time
MOST_GAIN = 10.0  # of a quiet channel, fourth root of energy: the hum of a dead one is not worth more
GOOD = 0.5  # quality from which on a beat is good: who measures intervals may rely on it


class BeatsOut(NamedTuple):
    """Beats decided in one block, in order of decision; `m` depends on the block's length only."""

    at: Array  # (n, m) R peak, samples since the row's first sample, sub-sample; NaN where none
    found_back: BoolArray  # (n, m) by search-back
    quality: Array  # (n, m) 0..1, how far it stands out of the noise; NaN where none
    decided: Array  # (n, m) sample number after which it was decided; NaN where none
    signal: Array  # (n,) running level of beats: RMS slope in the band, in the unit of the signal
    noise: Array  # (n,) running level of what is no beat


class BeatState(NamedTuple):
    """What is carried from block to block."""

    seen: IntArray  # (n,) samples
    slow: DecimatorState
    slope: Array  # (n, n_channels, 4) delay line of the filter
    restless: Array  # (n, n_channels, 1) delay line of the running restlessness of each channel
    energy: Array  # (n, window - 1)
    feature: Array  # (n, valley + lookahead)
    weight: Array  # (n, n_channels, lookahead); no channels where there is one only
    trail: Array  # (n, n_channels, ...) raw signal, to find the R peak in; the rest is at a lower rate
    levels: Levels


@dataclass(frozen=True)
class BeatDetector:
    """Causal QRS detector: one call per block for all devices.

    Each channel passes a filter that gives its slope between `low_hz` and `high_hz`. The slope's energy, summed over
    the channels and over a window of `window_s`, is the feature; neither the unit nor the sign of a channel matters. A
    peak of the feature that dominates the `before_s` before and the `lookahead_s` after it is a candidate, which
    `BeatRules` decide. The R peak itself is found in the raw signal, where no filter has moved it.

    Several channels are weighted so that their backgrounds are equal: one bad sensor does not hide the beats that the
    others see, and neither does one whose waves are all large.

    Parameters
    ----------
    rate_hz : float
        Sampling rate, 100 to 2000 Hz.

    Notes
    -----
    Blocks may be cut anywhere, and may differ in length. An ordinary beat is decided `delay_s` after its R peak.

    The parameters stand on a plateau: on 27 records of the MIT-BIH Arrhythmia Database (Moody & Mark 2001, lead 0) 14
    choices around them (band 4-5 to 16-22 Hz, window 0.09-0.12 s, look-ahead 0.14-0.15 s, valley 0.26-0.36 s, lower
    rate 90-120 Hz) reached F1 99.73 to 99.86 %; on every other record 99.74 to 99.91, on the rest 99.68 to 99.81.

    A wave without pauses, as in ventricular fibrillation and in much fast ventricular tachycardia, is no train of
    beats to this kernel: it finds few or none.

    Examples
    --------
    A spike of 20 ms each second, seen by two rows of opposite sign and different unit:

    >>> t = np.arange(10 * 250) / 250.0
    >>> ecg = np.exp(-0.5 * ((t % 1.0 - 0.5) / 0.01) ** 2)
    >>> bank = np.stack([ecg, -50.0 * ecg])[:, None, :]
    >>> kernel = BeatDetector(250.0)
    >>> _, out = kernel.step(kernel.init(bank), bank)
    >>> np.round(out.at[:, :8] / 250.0, 2).tolist()[1]
    [2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]

    References
    ----------
    Pan & Tompkins 1985, doi:10.1109/TBME.1985.325532, for the feature. Differs in: one causal filter with the
    derivative in it, at a lower sampling rate; peaks by dominance in a window instead of by state; R peak by a parabola
    in the raw signal.
    """

    rate_hz: float
    low_hz: float = 4.0
    high_hz: float = 18.0
    window_s: float = 0.1
    before_s: float = 0.2
    lookahead_s: float = 0.15
    valley_s: float = 0.3
    reach_s: float = 0.072  # the R peak lies this near to where the feature says
    smooth_s: float = 0.008  # half of the length of the smoothing before it is looked for
    restless_s: float = 2.0  # time constant of the channels' weights

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 100.0 <= self.rate_hz <= 2000.0:
            raise ValueError(f"need 100 <= rate_hz={self.rate_hz} <= 2000 to find beats: resample the signal")
        if not 0.0 < self.low_hz < self.high_hz < 0.45 * self._slow_hz:
            raise ValueError(f"need 0 < low_hz={self.low_hz} < high_hz={self.high_hz} < 0.45 * {self._slow_hz:g} Hz")
        if not self.window_s < self.lookahead_s <= self.before_s <= self.valley_s:
            raise ValueError(
                f"need window_s={self.window_s} < lookahead_s={self.lookahead_s} <= before_s={self.before_s} "
                f"<= valley_s={self.valley_s}"
            )

    @property
    def delay_s(self) -> float:
        """Time from an ordinary beat's R peak to its decision; a wide beat takes 0.05 s more."""
        return self._response_s(0.012) + self.rules.lookahead / self.rate_hz

    @cached_property
    def rules(self) -> BeatRules:
        """How candidates are decided."""
        return BeatRules(second=self.rate_hz, lookahead=self._lookahead * self._factor)

    def init(self, first: Array) -> BeatState:
        """State of rows that have seen nothing; filters are settled on the first sample of `first`."""
        n, channels = first.shape[:2]
        lookahead = self._lookahead
        return BeatState(
            seen=np.zeros(n, np.int64),
            slow=self._slow.init(first),
            slope=self._settled(first),
            restless=np.zeros((n, channels, 1)),
            energy=np.zeros((n, self._samples(self.window_s) - 1)),
            feature=np.zeros((n, self._samples(self.valley_s) + lookahead)),
            weight=np.ones((n, channels if channels > 1 else 0, lookahead)),
            trail=np.repeat(first[..., :1], self.rules.lookahead + self._delay + self._margin, axis=-1),
            levels=self.rules.init(n),
        )

    def step(self, state: BeatState, block: Array) -> tuple[BeatState, BeatsOut]:
        """Beats decided in a block of shape ``(n_devices, n_channels, n_samples)``."""
        phase = state.slow.phase
        if (phase == phase[:1]).all():
            return self._step(state, block)
        # Rows that began at different samples of a group have different numbers of groups in this block.
        parts = [np.flatnonzero(phase == one) for one in np.unique(phase)]
        stepped = [self._step(_rows(state, rows), block[rows]) for rows in parts]
        order = np.argsort(np.concatenate(parts))
        return (
            _joined([new for new, _ in stepped], order),
            _joined([out for _, out in stepped], order),
        )

    def _step(self, state: BeatState, block: Array) -> tuple[BeatState, BeatsOut]:
        n, _, n_samples = block.shape
        trail = np.concatenate([state.trail, block], axis=-1)
        slow, x = self._slow.step(state.slow, block)
        new = state._replace(seen=state.seen + n_samples, slow=slow, trail=trail[..., n_samples:].copy())
        candidates = NOTHING
        if x.shape[-1]:
            new, candidates = self._look(new, x, trail, state.seen + (self._factor - 1 - state.slow.phase))
        levels, found = self.rules.decide(state.levels, candidates, new.seen - 1)
        return new._replace(levels=levels), self._out(levels, found, n, n_samples)

    def _look(self, state: BeatState, x: Array, trail: Array, first: IntArray) -> tuple[BeatState, Candidates]:
        """Take slow samples in, of which the first stands for the sample number `first`; what is new to decide."""
        channels, n_samples = x.shape[1:]
        moved, slope = signal.lfilter(*self._slope, x, zi=state.slope)
        energy = moved * moved
        restless, weight = state.restless, state.weight
        if channels > 1:
            restless, weights = self._weights(restless, energy)
            energy = energy * weights
            weight = np.concatenate([weight, weights], axis=-1)
        total = energy[:, 0]
        for channel in range(1, channels):
            total = total + energy[:, channel]
        energy = np.concatenate([state.energy, total], axis=-1)
        window = state.energy.shape[1] + 1
        feature = np.concatenate([state.feature, moving_sum(energy, window)], axis=-1)
        new = state._replace(
            slope=slope,
            restless=restless,
            energy=energy[:, n_samples:].copy(),
            feature=feature[:, n_samples:].copy(),
            weight=weight[..., -state.weight.shape[-1] :].copy(),
        )
        return new, self._candidates(first, state.seen, feature, weight, trail)

    def _out(self, levels: Levels, found: Found, n: int, n_samples: int) -> BeatsOut:
        # Accepted candidates are a refractory time apart, and so are search-backs.
        m = 2 * ((n_samples - 1) // max(1, round(self.rules.refractory_s * self.rate_hz)) + 1)
        out = BeatsOut(
            at=np.full((n, m), np.nan),
            found_back=np.zeros((n, m), np.bool_),
            quality=np.full((n, m), np.nan),
            decided=np.full((n, m), np.nan),
            signal=levels.signal.copy(),
            noise=levels.noise.copy(),
        )
        out.at[found.row, found.slot] = found.at
        out.found_back[found.row, found.slot] = found.found_back
        out.quality[found.row, found.slot] = found.quality
        out.decided[found.row, found.slot] = found.decided
        return out

    def _candidates(self, first: IntArray, seen: IntArray, feature: Array, weight: Array, trail: Array) -> Candidates:
        """Peaks that can be decided now, with what the rules need to know of each."""
        lookahead = self._lookahead
        before, valley = self._samples(self.before_s), self._samples(self.valley_s)
        row, sample = dominant(feature[:, valley - before :], before, lookahead)
        place = first[row] + self._factor * (sample - lookahead)
        # Before that, valleys would be those of the zeros that the history starts with.
        ready = place >= valley * self._factor
        row, sample, place = row[ready], sample[ready], place[ready]
        weights = weight[row, :, sample] if weight.shape[1] else None
        at, alive = self._locate(row, place - (seen[row] - trail.shape[-1]), weights, trail)
        row, sample, place, at = row[alive], sample[alive], place[alive], at[alive]
        # The feature is smooth: each quarter of its window will do.
        back = np.arange(0, valley + 1, max(1, self._samples(self.window_s) // 4))
        least = feature[row[:, None], sample[:, None] + back].min(axis=1)
        peak = feature[row, sample + valley]
        return Candidates(
            row=row, place=place.astype(np.float64), peak=self._level(peak), valley=self._level(least), at=place + at
        )

    def _locate(self, row: IntArray, end: IntArray, weight: Array | None, trail: Array) -> tuple[Array, BoolArray]:
        """R peak near each candidate, samples after its place, and whether anything happened there at all.

        `end` is where in the trail the place is, `weight` that of each channel there.

        The raw signal within reach, free of its mean and lightly smoothed, is largest there; farther away from where
        the feature says that the QRS is, it counts for less.
        """
        smooth, reach, margin = self._raw(self.smooth_s), self._raw(self.reach_s), self._margin
        start = end - self._delay - margin
        windows = np.lib.stride_tricks.sliding_window_view(trail, 2 * margin + 1, axis=-1)
        part = windows[row, :, start]
        # A filter rings on for a while after the signal has become flat.
        alive = (np.ptp(part, axis=-1) > 1e-10 * np.abs(part).max(axis=-1)).any(axis=-1)
        part = moving_sum(moving_sum(part - part.mean(axis=-1, keepdims=True), smooth), smooth)
        energy = part * part
        if weight is not None:
            energy = energy * weight[..., None]
        total = energy[:, 0]
        for channel in range(1, trail.shape[1]):
            total = total + energy[:, channel]
        total = total * self._taper
        each = np.arange(len(row))
        best = total.argmax(axis=-1)
        inner = np.clip(best, 1, 2 * reach - 1)
        shift = parabola(total[each, inner - 1], total[each, inner], total[each, inner + 1])
        return best - reach - self._delay + np.where(inner == best, shift, 0.0), alive

    def _weights(self, restless: Array, energy: Array) -> tuple[Array, Array]:
        """Weight of each channel at each sample: what brings its background to that of the (upper) median channel.

        The mean fourth root of the energy is the background's far more than the beats'.
        """
        pole = float(np.exp(-1.0 / (self.restless_s * self._slow_hz)))
        root, restless = signal.lfilter([1.0 - pole], [1.0, -pole], np.sqrt(np.sqrt(energy)), zi=restless)
        usual = np.sort(root, axis=1)[:, root.shape[1] // 2, None]
        share = np.divide(usual, root, out=np.ones_like(root), where=root > 0.0)
        share = np.minimum(share, MOST_GAIN)
        share *= share
        return restless, share * share

    def _level(self, energy: Array) -> Array:
        """RMS over the window."""
        return np.sqrt(energy / self._samples(self.window_s))

    def _samples(self, seconds: float) -> int:
        return max(1, round(seconds * self._slow_hz))

    def _raw(self, seconds: float) -> int:
        return max(1, round(seconds * self.rate_hz))

    @property
    def _factor(self) -> int:
        return max(1, round(self.rate_hz / SLOW_HZ))

    @property
    def _slow_hz(self) -> float:
        return self.rate_hz / self._factor

    @cached_property
    def _lookahead(self) -> int:
        return self._samples(self.lookahead_s)

    @cached_property
    def _slow(self) -> Decimator:
        return Decimator(self._factor)

    @cached_property
    def _slope(self) -> tuple[Array, Array]:
        """Band-pass and derivative: numerator and denominator, with gain 1 in the middle of the band."""
        _, poles, _ = signal.butter(2, [self.low_hz, self.high_hz], "bandpass", fs=self._slow_hz, output="zpk")
        # One of the two zeros at half the sampling rate moves to 0 Hz: that is the derivative.
        above, below = np.poly([1.0, 1.0, 1.0, -1.0]), np.poly(poles)
        _, response = signal.freqz(above, below, np.array([np.sqrt(self.low_hz * self.high_hz)]), fs=self._slow_hz)
        return np.asarray(above / abs(response[0]), np.float64), np.asarray(below, np.float64)

    def _settled(self, first: Array) -> Array:
        """Delay line of the filter for a constant equal to each channel's first sample."""
        line: Array = first[..., :1] * signal.lfilter_zi(*self._slope)
        return line

    @cached_property
    def _delay(self) -> int:
        """How long after a spike the feature peaks, samples."""
        return round(self._response_s(1.0 / self.rate_hz) * self.rate_hz)

    def _response_s(self, width_s: float) -> float:
        """When the feature of a Gaussian wave peaks: where its slope's energy lies, and half the window."""
        n = self._factor * round(self._slow_hz)
        pulse = np.exp(-0.5 * (np.arange(-n, n) / self.rate_hz / width_s) ** 2)[None, None]
        _, slow = self._slow.step(self._slow.init(pulse), pulse)
        t = (np.arange(slow.shape[-1]) * self._factor + self._factor - 1 - n) / self.rate_hz
        slope, _ = signal.lfilter(*self._slope, slow, zi=self._settled(slow))
        energy = slope[0, 0] ** 2
        return float((t * energy).sum() / energy.sum() + 0.5 * (self._samples(self.window_s) - 1) / self._slow_hz)

    @property
    def _margin(self) -> int:
        return self._raw(self.reach_s) + self._raw(self.smooth_s) - 1

    @cached_property
    def _taper(self) -> Array:
        reach = self._raw(self.reach_s)
        return 1.0 - 0.5 * (np.arange(-reach, reach + 1) / reach) ** 2


NOTHING = Candidates(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
T = TypeVar("T")


def _rows(tree: T, rows: IntArray) -> T:
    """The rows named, of every array of a nested NamedTuple."""
    if isinstance(tree, np.ndarray):
        return cast("T", tree[rows])
    make = cast("Any", tree)._make
    return cast("T", make(_rows(branch, rows) for branch in cast("tuple[Any, ...]", tree)))


def _joined(trees: Sequence[T], order: IntArray) -> T:
    """Their rows one after the other, in the order named."""
    if isinstance(trees[0], np.ndarray):
        return cast("T", np.concatenate(cast("Any", trees))[order])
    make = cast("Any", trees[0])._make
    return cast("T", make(_joined(branch, order) for branch in zip(*cast("Any", trees), strict=True)))
