"""Which candidate peaks are beats: adaptive levels, refractory time, T waves, search-back, for a bank of rows.

A candidate is a peak of the detection feature that dominates its surroundings. It is decided at a sample number of its
own (its place plus the look-ahead), and the end of learning and every search-back have theirs, so the order of events,
and with it every decision, does not depend on where packets were cut. The one loop here runs over the events of a row
within one block (a few), all rows at once.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray, IntArray

N_BEATS = 8  # beats, intervals and rejected candidates that the levels look back on
N_RECENT = 16  # candidates of any kind that the noise floor looks back on
N_MEMORY = 16  # rejected candidates kept for a search-back


class Candidates(NamedTuple):
    """Peaks of the feature, row by row and within a row by time."""

    row: IntArray  # (n_candidates,)
    place: Array  # sample number of the feature's peak
    peak: Array  # feature there
    valley: Array  # least feature shortly before: what is there when nothing happens
    at: Array  # sample number of the R peak, sub-sample


class Levels(NamedTuple):
    """What a row knows of its beats and of its noise, in one table: a row is gathered and scattered as one piece."""

    book: Array  # (n, WIDTH) columns as named below; times are sample numbers, levels are in the feature's unit

    @property
    def signal(self) -> Array:
        """Level of beats, shape ``(n,)``."""
        return self.book[:, SIGNAL]

    @property
    def noise(self) -> Array:
        """Level of other candidates."""
        return self.book[:, NOISE]

    @property
    def floor(self) -> Array:
        """What noise alone does not exceed."""
        return self.book[:, FLOOR]

    @property
    def learning(self) -> BoolArray:
        """Whether first levels are still being learned."""
        return self.book[:, LEARNING] > 0.0


BEATS = slice(0, 8)  # peaks of the last beats
OTHERS = slice(8, 16)  # peaks of the last candidates that were no beats
INTERVALS = slice(16, 24)  # last RR intervals, samples
VALLEYS = slice(24, 40)  # of the last candidates, whatever they were
PEAKS = slice(40, 56)  # likewise
PLACES = slice(56, 72)  # of the rejected candidates since the last beat, to search back in
REMEMBERED = slice(72, 88)  # their peaks, 0 where there is none
TIMES = slice(88, 104)  # their R peaks
N_BEAT, N_OTHER, N_INTERVAL, N_CANDIDATE, N_KEPT = range(104, 109)  # entries ever made in these rings
LAST, LAST_PEAK = 109, 110  # place and peak of the last beat
DUE = 111  # when learning ends, later when to search back
SIGNAL, NOISE, FLOOR, RR, LEARNING = range(112, 117)
UNDISTURBED = 117  # 1: no candidate was rejected since the last beat
WIDTH = 118


class Found(NamedTuple):
    """Beats in the order of decision, each in a slot of its row."""

    row: IntArray
    slot: IntArray
    at: Array
    decided: Array  # sample number at which it was decided
    found_back: BoolArray
    quality: Array


@dataclass(frozen=True)
class BeatRules:
    """Decide candidates with adaptive thresholds.

    A candidate is a beat if it lies more than `refractory_s` after the last beat, exceeds the floor and
    ``noise + share * (signal - noise)``, and is not a T wave (within `t_wave_s` of a beat and under half of its size).

    Notes
    -----
    The signal level is the 4th smallest of the last 8 beats, so that large ectopic beats do not deafen it; the noise
    level is the 4th smallest of the last 8 rejected peaks or, for beats with nothing in between, of the quiet before.

    The floor keeps the thresholds from sinking into the noise. It does not ask which candidates were beats, so that no
    mistake about that can move it: it is the lower of `clear` times the median valley between candidates (which the
    peaks of Gaussian noise exceed about once an hour) and `tall` times the lower quartile of all peaks.

    If no beat came for `patience` median intervals, the largest remembered candidate is taken if it exceeds half of
    the share; if none does, the signal level sinks by a tenth, again each half second: fast enough for beats that come
    back smaller, slow enough for the P waves of a ventricular standstill to be no beats before the pause is an alarm.

    References
    ----------
    Pan & Tompkins 1985, doi:10.1109/TBME.1985.325532; Hamilton & Tompkins 1986, doi:10.1109/TBME.1986.325695. Differs
    in: levels are order statistics of amplitudes, not running means of energies; there is a floor; T waves are told by
    the feature itself, not by a slope of their own; search-back comes after 1.5 instead of 1.66 intervals, and again.
    """

    second: float  # one second, samples
    lookahead: int
    learn_s: float = 2.0
    share: float = 0.35
    back_share: float = 0.5  # of the share, in a search-back
    clear: float = 4.2  # times the median valley
    tall: float = 2.4  # times the lower quartile of the peaks
    clear_alone: float = 1.3  # times both, where no beat came for `lone_s`, and for the largest of several
    lone_s: float = 3.0  # longer intervals say nothing about the rhythm; older candidates are not searched
    refractory_s: float = 0.2
    back_refractory_s: float = 0.3
    t_wave_s: float = 0.36
    t_wave_share: float = 0.5
    patience: float = 1.5  # median intervals without a beat before a search-back
    reach_back: float = 1.7  # median intervals: an older candidate is no beat that anybody still waits for
    retry_s: float = 0.5
    sink: float = 0.9
    sink_s: float = 20.0  # without a beat for so long, learn again

    def init(self, n: int) -> Levels:
        """Rows that have yet to learn their levels."""
        book = np.zeros((n, WIDTH))
        book[:, INTERVALS] = book[:, RR, None] = 0.8 * self.second
        book[:, DUE] = self.learn_s * self.second
        book[:, LEARNING] = book[:, UNDISTURBED] = 1.0
        return Levels(book)

    def decide(self, levels: Levels, candidates: Candidates, end: IntArray) -> tuple[Levels, Found]:
        """All events up to the sample numbers `end`, shape ``(n,)``, in the order of their time in each row."""
        book = levels.book.copy()
        n = len(end)
        stop = np.searchsorted(candidates.row, np.arange(n), side="right")
        following = np.concatenate([np.zeros(1, np.int64), stop[:-1]])
        decided = np.append(candidates.place + self.lookahead, np.inf)
        found: list[Found] = []
        rows = np.flatnonzero((following < stop) | (book[:, DUE] <= end))
        while len(rows):
            index = np.where(following[rows] < stop[rows], following[rows], len(candidates.row))
            due = book[rows, DUE]
            first = (due <= decided[index]) & (due <= end[rows])
            if first.any():
                self._wait_is_over(book, rows[first], found)
                rows, index = rows[~first], index[~first]
            if len(rows):
                self._judge(book, rows, Candidates._make(field[index] for field in candidates), decided[index], found)
                following[rows] += 1
            rows = np.flatnonzero((following < stop) | (book[:, DUE] <= end))
        return Levels(book), _in_slots(found, np.zeros(n, np.int64))

    def _judge(self, book: Array, rows: IntArray, candidate: Candidates, now: Array, found: list[Found]) -> None:
        """One candidate in each of the rows named."""
        b = book[rows]
        place, peak, valley = candidate.place, candidate.peak, candidate.valley
        each = np.arange(len(rows))
        which = b[:, N_CANDIDATE].astype(np.int64) % N_RECENT
        b[each, VALLEYS.start + which] = valley
        b[each, PEAKS.start + which] = peak
        b[:, N_CANDIDATE] += 1.0
        b[:, FLOOR] = floor = self._floor(b)
        since = place - b[:, LAST]
        signal, noise, learning = b[:, SIGNAL], b[:, NOISE], b[:, LEARNING] > 0.0
        # Where there is no rhythm to expect a beat from, more is asked of it.
        alone = np.where(since > self.lone_s * self.second, self.clear_alone, 1.0)
        threshold = np.maximum(noise + self.share * (signal - noise), floor * alone)
        t_wave = (since < self.t_wave_s * self.second) & (peak < self.t_wave_share * b[:, LAST_PEAK])
        heard = ~learning & (since > self.refractory_s * self.second)
        beat = heard & (peak > threshold) & ~t_wave
        other = heard & ~beat
        chosen = np.flatnonzero(other)
        if len(chosen):
            # A T wave or an artefact larger than the beats must not raise the noise above them.
            _push(b, OTHERS, N_OTHER, chosen, np.minimum(peak, signal)[chosen])
            b[chosen, UNDISTURBED] = 0.0
        chosen = np.flatnonzero(learning | (other & ~t_wave))
        if len(chosen):
            kept = b[chosen, N_KEPT].astype(np.int64) % N_MEMORY
            b[chosen, PLACES.start + kept] = place[chosen]
            b[chosen, REMEMBERED.start + kept] = peak[chosen]
            b[chosen, TIMES.start + kept] = candidate.at[chosen]
            b[chosen, N_KEPT] += 1.0
        chosen = np.flatnonzero(beat)
        if len(chosen):
            b[:, NOISE] = np.sort(b[:, OTHERS], axis=1)[:, 3]
            part, now = b[chosen], now[chosen]
            quality = _quality(part, peak[chosen])
            self._accept(part, place[chosen], peak[chosen])
            # Fast rhythms leave no candidates between beats: then the quiet is the noise.
            quiet = np.flatnonzero(part[:, UNDISTURBED] > 0.0)
            _push(part, OTHERS, N_OTHER, quiet, valley[chosen[quiet]])
            part[:, UNDISTURBED] = 1.0
            part[:, REMEMBERED] = 0.0
            part[:, DUE] = np.maximum(part[:, LAST] + self.patience * part[:, RR], now)
            b[chosen] = part
            row = rows[chosen]
            found.append(Found(row, row, candidate.at[chosen], now, np.zeros(len(row), np.bool_), quality))
        b[:, NOISE] = np.sort(b[:, OTHERS], axis=1)[:, 3]
        book[rows] = b

    def _wait_is_over(self, book: Array, rows: IntArray, found: list[Found]) -> None:
        learning = book[rows, LEARNING] > 0.0
        if learning.any():
            self._learn(book, rows[learning])
            rows = rows[~learning]
        if len(rows):
            self._search_back(book, rows, found)

    def _search_back(self, book: Array, rows: IntArray, found: list[Found]) -> None:
        """The largest candidate since the last beat, if it is clear of the noise; else hear better from now on."""
        b = book[rows]
        now, signal, noise = b[:, DUE].copy(), b[:, SIGNAL], b[:, NOISE]
        threshold = np.maximum(noise + self.back_share * self.share * (signal - noise), self.clear_alone * b[:, FLOOR])
        oldest = now - np.minimum(self.lone_s * self.second, self.reach_back * b[:, RR])
        earliest = np.maximum(b[:, LAST] + self.back_refractory_s * self.second, oldest)
        peaks = np.where(b[:, PLACES] > earliest[:, None], b[:, REMEMBERED], 0.0)
        best = peaks.argmax(axis=1)
        peak = peaks[np.arange(len(rows)), best]
        beat = peak > threshold
        missed = np.flatnonzero(~beat)
        if len(missed):
            part = b[missed]
            part[:, DUE] += self.retry_s * self.second
            low = np.maximum(part[:, BEATS] * self.sink, part[:, FLOOR, None])
            # Nothing yet, or nothing for long: what was learned may have been an artefact far above the beats.
            lost = (part[:, N_BEAT] == 0.0) | (now[missed] - part[:, LAST] >= self.sink_s * self.second)
            part[:, BEATS] = np.where(lost[:, None], part[:, BEATS], low)
            part[:, SIGNAL] = np.sort(part[:, BEATS], axis=1)[:, 3]
            part[lost, LEARNING] = 1.0
            part[lost, REMEMBERED] = 0.0
            part[lost, N_KEPT] = 0.0
            part[lost, DUE] += self.learn_s * self.second
            b[missed] = part
        chosen = np.flatnonzero(beat)
        if len(chosen):
            part, now, peak = b[chosen], now[chosen], peak[chosen]
            each, best = np.arange(len(chosen)), best[chosen]
            place, at = part[each, PLACES.start + best], part[each, TIMES.start + best]
            quality = _quality(part, peak)
            self._accept(part, place, peak)
            part[:, REMEMBERED] = np.where(part[:, PLACES] <= place[:, None], 0.0, part[:, REMEMBERED])
            part[:, DUE] = np.maximum(place + self.patience * part[:, RR], now + self.refractory_s * self.second)
            b[chosen] = part
            row = rows[chosen]
            found.append(Found(row, row, at, now, np.ones(len(row), np.bool_), quality))
        book[rows] = b

    def _accept(self, part: Array, place: Array, peak: Array) -> None:
        """Levels and rhythm after a beat, in rows of their own."""
        since = place - part[:, LAST]
        steady = np.flatnonzero(since < self.lone_s * self.second)
        _push(part, INTERVALS, N_INTERVAL, steady, since[steady])
        ordered = np.sort(part[:, INTERVALS], axis=1)
        part[:, RR] = 0.5 * (ordered[:, 3] + ordered[:, 4])
        # One step of a sensor may be 10,000 beats tall. What was learned may be noise beside a single slow beat: until
        # it has been replaced, the lower of two beats stands for all those to come.
        turn = part[:, N_BEAT]
        level = np.minimum(peak, np.where(turn < N_BEATS, 10.0, 4.0) * part[:, SIGNAL])
        early = np.flatnonzero((turn > 0.0) & (turn < N_BEATS))
        if len(early):
            count = turn[early].astype(np.int64)
            lower = np.minimum(level[early], part[early, BEATS.start + count - 1])
            part[early, BEATS] = np.where(np.arange(N_BEATS) >= count[:, None], lower[:, None], part[early, BEATS])
        _push(part, BEATS, N_BEAT, np.arange(len(part)), level)
        part[:, SIGNAL] = np.sort(part[:, BEATS], axis=1)[:, 3]
        part[:, LAST] = place
        part[:, LAST_PEAK] = peak

    def _learn(self, book: Array, rows: IntArray) -> None:
        """First levels from the candidates of the first seconds; a row that had none goes on learning."""
        seen = np.minimum(book[rows, N_KEPT].astype(np.int64), N_MEMORY)
        book[rows, DUE] += np.where(seen > 0, self.patience * book[rows, RR], self.learn_s * self.second)
        rows, seen = rows[seen > 0], seen[seen > 0]
        b = book[rows]
        rank = np.sort(b[:, REMEMBERED], axis=1)
        each = np.arange(len(rows))
        # The second largest: the largest may be an artefact.
        b[:, SIGNAL] = rank[each, np.where(seen >= 3, N_MEMORY - 2, N_MEMORY - 1)]
        low = rank[each, N_MEMORY - seen + seen // 4]
        # Where nothing but beats was seen, the low ones are beats as well.
        b[:, NOISE] = np.minimum(low, 0.25 * b[:, SIGNAL])
        b[:, BEATS], b[:, OTHERS] = b[:, SIGNAL, None], b[:, NOISE, None]
        # Until 16 were seen, the others are as the middle one of those that were.
        known = np.minimum(b[:, N_CANDIDATE].astype(np.int64), N_RECENT)
        for ring, usual in ((VALLEYS, known // 2), (PEAKS, known // 4)):
            middle = np.sort(b[:, ring], axis=-1)[each, N_RECENT - known + usual]
            b[:, ring] = np.where(np.arange(N_RECENT) < known[:, None], b[:, ring], middle[:, None])
        b[:, N_CANDIDATE] += np.where(known < N_RECENT, N_RECENT, 0)  # full from now on, if it learns again
        b[:, FLOOR] = self._floor(b)
        # No rhythm to expect a beat from yet.
        b[:, LAST] = b[:, DUE] - self.patience * b[:, RR] - self.lone_s * self.second
        b[:, LEARNING] = 0.0
        book[rows] = b

    def _floor(self, b: Array) -> Array:
        """The lower of two estimates: from the valleys (fast rhythms have no peaks but beats), from the smaller peaks.

        With several channels the sum of their noises is steadier, its peaks lower above its valleys: then the second is
        the lower one.
        """
        ordered = np.sort(b[:, VALLEYS.start : PEAKS.stop].reshape(-1, 2, N_RECENT), axis=-1)
        floor: Array = np.minimum(self.clear * ordered[:, 0, N_RECENT // 2], self.tall * ordered[:, 1, N_RECENT // 4])
        return floor


def _push(b: Array, ring: slice, count: int, rows: IntArray, value: Array) -> None:
    """Enter one value in the ring of each row named."""
    turn = b[rows, count]
    b[rows, ring.start + turn.astype(np.int64) % (ring.stop - ring.start)] = value
    b[rows, count] = turn + 1.0


def _quality(part: Array, peak: Array) -> Array:
    """How far a beat stands out of the noise, 0 to 1; one much larger than the others counts like one much smaller."""
    usual = np.minimum(peak, part[:, SIGNAL] * (part[:, SIGNAL] / peak))
    # 0 / 0 cannot be: a candidate's peak is positive, and the signal level never sinks to nothing.
    return np.clip(1.0 - np.maximum(part[:, NOISE], 0.25 * part[:, FLOOR]) / usual, 0.0, 1.0)


def _in_slots(found: list[Found], used: IntArray) -> Found:
    """One list of beats; each takes the next slot of its row."""
    if not found:
        none = np.zeros(0, np.int64)
        return Found(none, none, np.zeros(0), np.zeros(0), np.zeros(0, np.bool_), np.zeros(0))
    slots = []
    for part in found:  # a part has a row once at most
        slots.append(used[part.row])
        used[part.row] += 1
    whole = Found._make(np.concatenate(field) for field in zip(*found, strict=True))
    return whole._replace(slot=np.concatenate(slots))
