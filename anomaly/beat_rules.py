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
    """What a row knows of its beats and of its noise. Times are sample numbers, levels are in the feature's unit."""

    beats: Array  # (n, 8) peaks of the last beats
    others: Array  # (n, 8) peaks of the last candidates that were no beats
    recent: Array  # (n, 2, 16) valley and peak of the last candidates, whatever they were
    intervals: Array  # (n, 8) last RR intervals, samples
    turn: IntArray  # (n, 5) entries ever made in beats, others, recent, intervals, memory
    memory_place: Array  # (n, 16) rejected candidates since the last beat
    memory_peak: Array  # (n, 16), 0 where there is none
    memory_at: Array  # (n, 16)
    last: Array  # (n,) place of the last beat
    last_peak: Array  # (n,)
    due: Array  # (n,) when learning ends, later when to search back
    signal: Array  # (n,) level of beats
    noise: Array  # (n,) level of other candidates
    floor: Array  # (n,) what noise alone does not exceed
    rr: Array  # (n,) median RR interval, samples
    learning: BoolArray  # (n,)
    undisturbed: BoolArray  # (n,) no candidate was rejected since the last beat


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
    clear: float = 4.0  # times the median valley
    tall: float = 2.4  # times the lower quartile of the peaks
    clear_alone: float = 1.3  # times both, where no beat came for `lone_s`, and for the largest of several
    lone_s: float = 3.0  # longer intervals say nothing about the rhythm; older candidates are not searched
    refractory_s: float = 0.2
    back_refractory_s: float = 0.3
    t_wave_s: float = 0.36
    t_wave_share: float = 0.5
    patience: float = 1.5  # median intervals without a beat before a search-back
    retry_s: float = 0.5
    sink: float = 0.9
    sink_s: float = 20.0  # without a beat for so long, learn again

    def init(self, n: int) -> Levels:
        """Rows that have yet to learn their levels."""
        zero = np.zeros(n)
        return Levels(
            beats=np.zeros((n, N_BEATS)),
            others=np.zeros((n, N_BEATS)),
            recent=np.zeros((n, 2, N_RECENT)),
            intervals=np.full((n, N_BEATS), 0.8 * self.second),
            turn=np.zeros((n, 5), np.int64),
            memory_place=np.zeros((n, N_MEMORY)),
            memory_peak=np.zeros((n, N_MEMORY)),
            memory_at=np.zeros((n, N_MEMORY)),
            last=zero,
            last_peak=zero.copy(),
            due=np.full(n, self.learn_s * self.second),
            signal=zero.copy(),
            noise=zero.copy(),
            floor=zero.copy(),
            rr=np.full(n, 0.8 * self.second),
            learning=np.ones(n, np.bool_),
            undisturbed=np.ones(n, np.bool_),
        )

    def decide(self, levels: Levels, candidates: Candidates, end: IntArray) -> tuple[Levels, Found]:
        """All events up to the sample numbers `end`, shape ``(n,)``, in the order of their time in each row."""
        levels = Levels._make(leaf.copy() for leaf in levels)
        n = len(end)
        stop = np.searchsorted(candidates.row, np.arange(n), side="right")
        following = np.concatenate([np.zeros(1, np.int64), stop[:-1]])
        decided = np.append(candidates.place + self.lookahead, np.inf)
        used = np.zeros(n, np.int64)
        found: list[Found] = []
        rows = np.flatnonzero((following < stop) | (levels.due <= end))
        while len(rows):
            index = np.where(following[rows] < stop[rows], following[rows], len(candidates.row))
            at_time = decided[index]
            due = levels.due[rows]
            first = (due <= at_time) & (due <= end[rows])
            if first.any():
                early = rows[first]
                learned = levels.learning[early]
                if learned.any():
                    self._learn(levels, early[learned])
                if not learned.all():
                    found += self._search_back(levels, early[~learned])
            if not first.all():
                late, index = rows[~first], index[~first]
                found += self._judge(
                    levels, late, Candidates._make(field[index] for field in candidates), decided[index]
                )
                following[late] += 1
            rows = rows[(following[rows] < stop[rows]) | (levels.due[rows] <= end[rows])]
        return levels, _in_slots(found, used)

    def _judge(self, levels: Levels, row: IntArray, candidate: Candidates, now: Array) -> list[Found]:
        """One candidate in each of the rows named."""
        peak = candidate.peak
        where = levels.turn[row, 2] % N_RECENT
        levels.recent[row, 0, where] = candidate.valley
        levels.recent[row, 1, where] = peak
        levels.turn[row, 2] += 1
        levels.floor[row] = self._floor(levels.recent[row])
        since = candidate.place - levels.last[row]
        signal, noise = levels.signal[row], levels.noise[row]
        # Where there is no rhythm to expect a beat from, more is asked of it.
        floor = levels.floor[row] * np.where(since > self.lone_s * self.second, self.clear_alone, 1.0)
        threshold = np.maximum(noise + self.share * (signal - noise), floor)
        t_wave = (since < self.t_wave_s * self.second) & (peak < self.t_wave_share * levels.last_peak[row])
        learning = levels.learning[row]
        heard = ~learning & (since > self.refractory_s * self.second)
        beat = heard & (peak > threshold) & ~t_wave
        other = heard & ~beat
        if other.any():
            chosen = row[other]
            # A T wave or an artefact larger than the beats must not raise the noise above them.
            _push(levels.others, levels.turn, 1, chosen, np.minimum(peak[other], signal[other]))
            levels.noise[chosen] = np.sort(levels.others[chosen], axis=1)[:, 3]
            levels.undisturbed[chosen] = False
        kept = learning | (other & ~t_wave)
        if kept.any():
            chosen = row[kept]
            where = levels.turn[chosen, 4] % N_MEMORY
            levels.memory_place[chosen, where] = candidate.place[kept]
            levels.memory_peak[chosen, where] = peak[kept]
            levels.memory_at[chosen, where] = candidate.at[kept]
            levels.turn[chosen, 4] += 1
        if not beat.any():
            return []
        chosen, now = row[beat], now[beat]
        quality = _quality(levels, chosen, peak[beat])
        quiet = levels.undisturbed[chosen]
        self._accept(levels, chosen, candidate.place[beat], peak[beat])
        if quiet.any():
            # Fast rhythms leave no candidates between beats: then the quiet is the noise.
            _push(levels.others, levels.turn, 1, chosen[quiet], candidate.valley[beat][quiet])
            levels.noise[chosen[quiet]] = np.sort(levels.others[chosen[quiet]], axis=1)[:, 3]
        levels.undisturbed[chosen] = True
        levels.memory_peak[chosen] = 0.0
        levels.due[chosen] = np.maximum(levels.last[chosen] + self.patience * levels.rr[chosen], now)
        return [Found(chosen, chosen, candidate.at[beat], now, np.zeros(len(chosen), np.bool_), quality)]

    def _search_back(self, levels: Levels, row: IntArray) -> list[Found]:
        """The largest candidate since the last beat, if it is clear of the noise; else hear better from now on."""
        now = levels.due[row]
        signal, noise = levels.signal[row], levels.noise[row]
        threshold = np.maximum(
            noise + self.back_share * self.share * (signal - noise), self.clear_alone * levels.floor[row]
        )
        place = levels.memory_place[row]
        earliest = np.maximum(levels.last[row] + self.back_refractory_s * self.second, now - self.lone_s * self.second)
        peaks = np.where(place > earliest[:, None], levels.memory_peak[row], 0.0)
        best = peaks.argmax(axis=1)
        peak = peaks[np.arange(len(row)), best]
        beat = peak > threshold
        missed = row[~beat]
        if len(missed):
            levels.due[missed] += self.retry_s * self.second
            # Nothing yet, or nothing for long: what was learned may have been an artefact far above the beats.
            lost = (levels.turn[missed, 0] == 0) | (now[~beat] - levels.last[missed] >= self.sink_s * self.second)
            if lost.any():
                self._forget(levels, missed[lost])
            missed = missed[~lost]
            low = np.maximum(levels.beats[missed] * self.sink, levels.floor[missed, None])
            levels.beats[missed] = low
            levels.signal[missed] = np.sort(low, axis=1)[:, 3]
        if not beat.any():
            return []
        chosen, best, now, peak = row[beat], best[beat], now[beat], peak[beat]
        quality = _quality(levels, chosen, peak)
        place = levels.memory_place[chosen, best]
        self._accept(levels, chosen, place, peak)
        levels.memory_peak[chosen] = np.where(
            levels.memory_place[chosen] <= place[:, None], 0.0, levels.memory_peak[chosen]
        )
        levels.due[chosen] = np.maximum(
            place + self.patience * levels.rr[chosen], now + self.refractory_s * self.second
        )
        return [Found(chosen, chosen, levels.memory_at[chosen, best], now, np.ones(len(chosen), np.bool_), quality)]

    def _accept(self, levels: Levels, row: IntArray, place: Array, peak: Array) -> None:
        """Levels and rhythm after a beat."""
        since = place - levels.last[row]
        steady = since < self.lone_s * self.second
        chosen = row[steady]
        _push(levels.intervals, levels.turn, 3, chosen, since[steady])
        ordered = np.sort(levels.intervals[chosen], axis=1)
        levels.rr[chosen] = 0.5 * (ordered[:, 3] + ordered[:, 4])
        # One step of a sensor may be 10,000 beats tall. What was learned may be noise beside a single slow beat: until
        # it has been replaced, the lower of two beats stands for all those to come.
        turn = levels.turn[row, 0]
        level = np.minimum(peak, np.where(turn < N_BEATS, 10.0, 4.0) * levels.signal[row])
        before = levels.beats[row, (turn - 1) % N_BEATS]
        to_come = (turn[:, None] > 0) & (np.arange(N_BEATS) >= turn[:, None])
        levels.beats[row] = np.where(to_come, np.minimum(level, before)[:, None], levels.beats[row])
        _push(levels.beats, levels.turn, 0, row, level)
        levels.signal[row] = np.sort(levels.beats[row], axis=1)[:, 3]
        levels.last[row] = place
        levels.last_peak[row] = peak

    def _learn(self, levels: Levels, row: IntArray) -> None:
        """First levels from the candidates of the first seconds; a row that had none goes on learning."""
        seen = np.minimum(levels.turn[row, 4], N_MEMORY)
        levels.due[row] += np.where(seen > 0, self.patience * levels.rr[row], self.learn_s * self.second)
        row, seen = row[seen > 0], seen[seen > 0]
        rank = np.sort(levels.memory_peak[row], axis=1)
        each = np.arange(len(row))
        # The second largest: the largest may be an artefact.
        levels.beats[row] = rank[each, np.where(seen >= 3, N_MEMORY - 2, N_MEMORY - 1)][:, None]
        low = rank[each, N_MEMORY - seen + seen // 4]
        # Where nothing but beats was seen, the low ones are beats as well.
        levels.others[row] = np.minimum(low, 0.25 * levels.beats[row, 0])[:, None]
        # Until 16 were seen, the others are as the middle one of those that were.
        known = np.minimum(levels.turn[row, 2], N_RECENT)
        middle, lower = N_RECENT - known + known // 2, N_RECENT - known + known // 4
        ordered = np.sort(levels.recent[row], axis=-1)
        usual = np.stack([ordered[each, 0, middle], ordered[each, 1, lower]], axis=1)[..., None]
        levels.recent[row] = np.where(np.arange(N_RECENT) < known[:, None, None], levels.recent[row], usual)
        levels.floor[row] = self._floor(levels.recent[row])
        levels.signal[row], levels.noise[row] = levels.beats[row, 0], levels.others[row, 0]
        # No rhythm to expect a beat from yet.
        levels.last[row] = levels.due[row] - self.patience * levels.rr[row] - self.lone_s * self.second
        levels.learning[row] = False

    def _forget(self, levels: Levels, row: IntArray) -> None:
        """Learn again."""
        levels.learning[row] = True
        levels.memory_peak[row] = 0.0
        levels.turn[row, 4] = 0
        levels.due[row] += self.learn_s * self.second

    def _floor(self, recent: Array) -> Array:
        """The lower of two estimates: from the valleys (fast rhythms have no peaks but beats), from the smaller peaks.

        With several channels the sum of their noises is steadier, its peaks lower above its valleys: then the second is
        the lower one.
        """
        ordered = np.sort(recent, axis=-1)
        return np.minimum(self.clear * ordered[:, 0, N_RECENT // 2], self.tall * ordered[:, 1, N_RECENT // 4])


def _push(ring: Array, turn: IntArray, which: int, row: IntArray, value: Array) -> None:
    """Enter one value in the ring of each row named."""
    ring[row, turn[row, which] % ring.shape[1]] = value
    turn[row, which] += 1


def _quality(levels: Levels, row: IntArray, peak: Array) -> Array:
    """How far a beat stands out of the noise, 0 to 1; one much larger than the others counts like one much smaller."""
    usual = np.minimum(peak, levels.signal[row] * (levels.signal[row] / peak))
    # 0 / 0 cannot be: a candidate's peak is positive, and the signal level never sinks to nothing.
    return np.clip(1.0 - np.maximum(levels.noise[row], 0.25 * levels.floor[row]) / usual, 0.0, 1.0)


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
