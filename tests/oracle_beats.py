"""A slow, obvious twin of the beat detector: one row, the whole signal at once, one Python step per candidate."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from anomaly.beats import BeatDetector

Array = NDArray[np.float64]


@dataclass
class Beat:
    """One beat: R peak and decision in samples."""

    at: float
    decided: float
    found_back: bool


@dataclass
class Row:
    """The rules' memory in lists. After learning every deque is full, as the rings are."""

    rate: float
    due: float
    last: float = 0.0
    last_peak: float = 0.0
    learning: bool = True
    undisturbed: bool = True
    beats: deque[float] = field(default_factory=lambda: deque([0.0] * 8, 8))
    n_beats: int = 0
    others: deque[float] = field(default_factory=lambda: deque([0.0] * 8, 8))
    valleys: deque[float] = field(default_factory=lambda: deque(maxlen=16))
    peaks: deque[float] = field(default_factory=lambda: deque(maxlen=16))
    intervals: deque[float] = field(default_factory=lambda: deque(maxlen=8))
    memory: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=16))  # place, peak, at
    found: list[Beat] = field(default_factory=list)

    @property
    def signal(self) -> float:
        """4th smallest of the last 8 beats."""
        return sorted(self.beats)[3]

    @property
    def noise(self) -> float:
        """4th smallest of the last 8 others."""
        return sorted(self.others)[3]

    @property
    def rr(self) -> float:
        """Median interval."""
        return float(np.median(self.intervals))

    def floor(self, since: float) -> float:
        """What noise alone does not exceed."""
        floor = min(4.2 * sorted(self.valleys)[8], 2.4 * sorted(self.peaks)[4])
        return floor * 1.3 if since > 3.0 * self.rate else floor

    def accept(self, place: float, peak: float) -> None:
        """Levels after a beat."""
        if place - self.last < 3.0 * self.rate:
            self.intervals.append(place - self.last)
        level = min(peak, (10.0 if self.n_beats < 8 else 4.0) * self.signal)
        known, seeds = list(self.beats)[: self.n_beats], list(self.beats)[self.n_beats + 1 :]
        if self.n_beats >= 8:
            known, seeds = known[1:], []
        elif known:
            seeds = [min(level, known[-1])] * len(seeds)
        self.beats = deque([*known, level, *seeds], 8)
        self.n_beats += 1
        self.last, self.last_peak = place, peak


def beats(kernel: BeatDetector, x: Array) -> list[Beat]:
    """Beats of a signal of shape ``(n_channels, n_samples)``, in order of decision."""
    rate, factor = kernel.rate_hz, kernel._factor
    slow = rate / factor
    feature, energy_at = _feature(kernel, x)
    ahead = round(kernel.lookahead_s * slow)
    row = Row(rate, 2.0 * rate)
    row.intervals.extend([0.8 * rate] * 8)
    for group in _candidates(kernel, feature):
        place = group * factor + factor - 1
        at = _locate(kernel, x, place, energy_at[:, group])
        if at is None:
            continue
        while row.due <= place + ahead * factor:
            _wait_is_over(row)
        step = max(1, round(kernel.window_s * slow) // 4)
        back = round(kernel.valley_s * slow)
        valley = min(feature[k] for k in range(group - back, group + 1, step))
        _judge(row, float(place), float(feature[group]), float(valley), at, float(place + ahead * factor))
    while row.due <= x.shape[1] - 1:
        _wait_is_over(row)
    return row.found


def _judge(row: Row, place: float, peak: float, valley: float, at: float, now: float) -> None:
    row.valleys.append(valley)
    row.peaks.append(peak)
    if row.learning:
        row.memory.append((place, peak, at))
        return
    since = place - row.last
    if since <= 0.2 * row.rate:
        return
    t_wave = since < 0.36 * row.rate and peak < 0.5 * row.last_peak
    threshold = max(row.noise + 0.35 * (row.signal - row.noise), row.floor(since))
    if peak > threshold and not t_wave:
        row.accept(place, peak)
        if row.undisturbed:
            row.others.append(valley)
        row.undisturbed = True
        row.memory.clear()
        row.due = max(place + 1.5 * row.rr, now)
        row.found.append(Beat(at, now, found_back=False))
    else:
        row.others.append(min(peak, row.signal))
        row.undisturbed = False
        if not t_wave:
            row.memory.append((place, peak, at))


def _wait_is_over(row: Row) -> None:
    now = row.due
    if row.learning:
        _learn(row)
        return
    earliest = max(row.last + 0.3 * row.rate, now - min(3.0 * row.rate, 1.7 * row.rr))
    best = max((entry for entry in row.memory if entry[0] > earliest), key=lambda entry: entry[1], default=None)
    threshold = max(row.noise + 0.5 * 0.35 * (row.signal - row.noise), 1.3 * row.floor(0.0))
    if best is not None and best[1] > threshold:
        row.accept(best[0], best[1])
        row.found.append(Beat(best[2], now, found_back=True))
        row.memory = deque((entry for entry in row.memory if entry[0] > best[0]), 16)
        row.due = max(best[0] + 1.5 * row.rr, now + 0.2 * row.rate)
        return
    row.due = now + 0.5 * row.rate
    if not row.found or now - row.last >= 20.0 * row.rate:
        row.learning = True
        row.memory.clear()
        row.due += 2.0 * row.rate
    else:
        floor = row.floor(0.0)
        row.beats = deque((max(0.9 * level, floor) for level in row.beats), 8)


def _learn(row: Row) -> None:
    now = row.due
    if not row.memory:
        row.due += 2.0 * row.rate
        return
    peaks = sorted(entry[1] for entry in row.memory)
    n = len(peaks)
    low = peaks[n // 4]
    high = peaks[-2] if n >= 3 else peaks[-1]
    row.beats.extend([high] * 8)
    row.others.extend([min(low, 0.25 * high)] * 8)
    for ring, share in ((row.valleys, 2), (row.peaks, 4)):
        ring.extendleft([sorted(ring)[len(ring) // share]] * (16 - len(ring)))
    row.last = now - 3.0 * row.rate
    row.due = now + 1.5 * row.rr
    row.learning = False


def _slow(factor: int, x: Array) -> Array:
    """Every `factor`-th sample of a signal smoothed by a triangle; before the signal is its first sample."""
    before, slow = x[:, 0] * (0.5 * factor * (factor - 1)), []
    for start in range(0, x.shape[1] - factor + 1, factor):
        weighted, total = np.zeros(len(x)), np.zeros(len(x))
        for k in range(factor - 1, -1, -1):
            weighted = weighted + (factor - k) * x[:, start + k]
            total = total + x[:, start + k]
        slow.append((weighted + before) * (1.0 / factor**2))
        before = factor * total - weighted
    return np.stack(slow, axis=1)


def _feature(kernel: BeatDetector, x: Array) -> tuple[Array, Array]:
    """RMS slope over the window at each slow sample, and the weight of each channel."""
    slow_hz = kernel.rate_hz / kernel._factor
    slope, _ = signal.lfilter(*kernel._slope, _slow(kernel._factor, x), zi=kernel._settled(x[None])[0])
    energy = slope**2
    weight = np.ones_like(energy)
    if len(x) > 1:
        pole = np.exp(-1.0 / (2.0 * slow_hz))
        root = signal.lfilter([1.0 - pole], [1.0, -pole], energy**0.25, axis=-1)
        for k in range(root.shape[1]):
            usual = sorted(root[:, k])[len(x) // 2]
            for channel in range(len(x)):
                if root[channel, k] > 0.0:
                    weight[channel, k] = min(10.0, usual / root[channel, k]) ** 4
    total = (energy * weight).sum(axis=0)
    window = round(kernel.window_s * slow_hz)
    return np.sqrt([total[max(0, k - window + 1) : k + 1].sum() / window for k in range(len(total))]), weight


def _candidates(kernel: BeatDetector, feature: Array) -> list[int]:
    """Places whose feature nothing exceeds in the window around them."""
    before, ahead, valley = (
        round(seconds * kernel.rate_hz / kernel._factor)
        for seconds in (kernel.before_s, kernel.lookahead_s, kernel.valley_s)
    )
    return [
        k
        for k in range(valley, len(feature) - ahead)
        if feature[k] > 0.0 and feature[k] > feature[k - 1] and feature[k] == feature[k - before : k + ahead + 1].max()
    ]


def _locate(kernel: BeatDetector, x: Array, place: int, weight: Array) -> float | None:
    """R peak: where the raw signal near the QRS is farthest from its mean; None where it is flat."""
    rate = kernel.rate_hz
    reach, smooth = round(kernel.reach_s * rate), max(1, round(kernel.smooth_s * rate))
    centre, margin = place - kernel._delay, reach + smooth - 1
    index = np.clip(np.arange(centre - margin, centre + margin + 1), 0, None)
    score = np.zeros(2 * reach + 1)
    alive = False
    for channel in range(len(x)):
        part = x[channel, index]
        alive |= bool(part.max() - part.min() > 1e-10 * np.abs(part).max())
        box = np.ones(smooth)
        light = np.convolve(np.convolve(part - part.mean(), box, "valid"), box, "valid")
        score += weight[channel] * light**2
    score *= 1.0 - 0.5 * (np.arange(-reach, reach + 1) / reach) ** 2
    if not alive:
        return None
    best = int(score.argmax())
    shift = 0.0
    if 0 < best < 2 * reach:
        left, middle, right = score[best - 1 : best + 2]
        if left - 2 * middle + right < 0:
            shift = float(np.clip(0.5 * (left - right) / (left - 2 * middle + right), -0.5, 0.5))
    return centre + best - reach + shift
