"""What the kind of each beat is told from: its time and wave among those of its own patient, for a bank of devices."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anomaly import beat_shapes
from anomaly.beat_shapes import AFTER, BEFORE, HZ, Kinds
from anomaly.beat_timing import N_BACK, TIMING, timing
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.thin_trail import ThinState, ThinTrail
from anomaly.trees import Trees

N_BEATS = N_BACK + 16  # newest beats of a row, among them those that wait to be judged
FEATURES = (*TIMING, *beat_shapes.FEATURES)


class ContextState(NamedTuple):
    """What is carried from block to block."""

    thin: ThinState
    kinds: Kinds
    at: Array  # (n, N_BEATS) newest R peaks, newest last, samples; NaN in front where there were fewer
    decided: Array  # (n, N_BEATS) when they were found
    waiting: IntArray  # (n,) how many of them are not judged yet


class Due(NamedTuple):
    """Beats due in one block: of each row in the order of time, one after the other."""

    row: IntArray  # (n_due,)
    slot: IntArray  # (n_due,) how many of its row came before it in this block
    at: Array  # (n_due,) R peak as the detector told it, samples
    decided: Array  # (n_due,) sample number after which it is judged
    known: BoolArray  # (n_due,) there is something to compare it with
    features: Array  # (n_due, len(FEATURES))
    kind: IntArray  # (n_due,) place of the kind of beats that it is of
    had: Array  # (n_due,) beats that its kind had before, fading
    odds: Array  # (n_due,) log odds that it is ventricular


@dataclass(frozen=True)
class BeatContext:
    """Describe each beat that a `BeatDetector` finds in the same blocks, `wait_s` after its R peak.

    A beat that a search-back finds later than that is described when it is found. Of the beats that follow, those count
    that are found by then.

    Parameters
    ----------
    rate_hz : float
        Sampling rate, 100 to 2000 Hz.
    wait_s : float
        Time from an R peak to its judgement.
    ventricular : Trees
        Log odds that a beat is ventricular, by its features alone. In the odds that are told, the mean of those of its
        kind has its share: ten beats of one shape are seldom of different classes.
    """

    rate_hz: float
    wait_s: float
    ventricular: Trees

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not HZ <= self.rate_hz <= 2000.0:
            raise ValueError(f"need {HZ:g} <= rate_hz={self.rate_hz} <= 2000 to tell beats: resample the signal")
        if not 0.6 <= self.wait_s <= 1.5:
            raise ValueError(f"need 0.6 <= wait_s={self.wait_s} <= 1.5: after the T wave, and not much later")

    @cached_property
    def thin(self) -> ThinTrail:
        """Keeps the waves."""
        return ThinTrail(self.rate_hz, HZ)

    def init(self, first: Array) -> ContextState:
        """State of rows that have seen nothing, shape of `first` as in `step`."""
        n, channels = first.shape[:2]
        return ContextState(
            thin=self.thin.init(first),
            kinds=beat_shapes.none_yet(n, channels),
            at=np.full((n, N_BEATS), np.nan),
            decided=np.full((n, N_BEATS), np.nan),
            waiting=np.zeros(n, np.int64),
        )

    def step(self, state: ContextState, block: Array, found: Array, decided: Array) -> tuple[ContextState, Due]:
        """Describe the beats that are due.

        Parameters
        ----------
        state
            Of these rows.
        block : ndarray, shape (n_devices, n_channels, n_samples)
            The signal that the beats were found in.
        found, decided : ndarray, shape (n_devices, m)
            Beats found in this block and when, as in `BeatsOut`.
        """
        thin, thinned = self.thin.step(state.thin, block)
        at, when, waiting = _joined(state, found, decided)
        end = thin.seen - 1
        kinds = Kinds._make(leaf.copy() for leaf in state.kinds)
        used = np.zeros(len(block), np.int64)
        after, found_when = (np.pad(x, ((0, 0), (0, 2)), constant_values=np.nan) for x in (at, when))
        parts = []
        row = np.flatnonzero(waiting > 0)
        while len(row):
            place = at.shape[1] - waiting[row]
            now = np.maximum(when[row, place], np.ceil(at[row, place] + self.wait_s * self.rate_hz))
            due = now <= end[row]
            row, place, now = row[due], place[due], now[due]
            if not len(row):
                break
            next_two = place[:, None] + np.arange(1, 3)
            seen = found_when[row[:, None], next_two] <= now[:, None]
            following = np.where(seen, after[row[:, None], next_two], np.nan)
            told = timing(at[row[:, None], place[:, None] + np.arange(-N_BACK - 1, 1)], following, now, self.rate_hz)
            wave = self.thin.cut(thinned, row, at[row, place], now, (BEFORE, AFTER))
            mine = Kinds._make(leaf[row] for leaf in kinds)
            mine, shape = beat_shapes.describe(mine, wave, told[:, [0, 4]])
            features = np.concatenate([told, shape.features], axis=-1)
            mine, odds = beat_shapes.agreed(mine, shape, self.ventricular.total(features))
            for whole, part in zip(kinds, mine, strict=True):
                whole[row] = part
            parts.append(
                Due(row, used[row], at[row, place], now, shape.known, features, shape.kind, shape.had, odds),
            )
            used[row] += 1
            waiting[row] -= 1
            row = row[waiting[row] > 0]
        keep = slice(at.shape[1] - N_BEATS, None)
        new = ContextState(thin, kinds, at[:, keep].copy(), when[:, keep].copy(), waiting)
        return new, _all(parts)


def _joined(state: ContextState, found: Array, decided: Array) -> tuple[Array, Array, IntArray]:
    """Beats that were and beats that came, newest last in every row, and how many wait."""
    width = N_BEATS + found.shape[1]
    there = ~np.isnan(found)
    came = there.sum(axis=-1)
    at, when = (np.concatenate(pair, axis=-1) for pair in ((state.at, found), (state.decided, decided)))
    if not came.any():
        order = np.broadcast_to(np.roll(np.arange(width), found.shape[1]), at.shape)
    else:
        # Places without a beat go to the front; beats keep their order.
        empty = np.concatenate([np.zeros(state.at.shape, np.bool_), ~there], axis=-1)
        order = np.argsort(~empty, axis=-1, kind="stable")
    at, when = np.take_along_axis(at, order, axis=-1), np.take_along_axis(when, order, axis=-1)
    return at, when, state.waiting + came


def _all(parts: list[Due]) -> Due:
    if not parts:
        none = np.zeros(0, np.int64)
        nought = np.zeros(0)
        nothing = np.zeros((0, len(FEATURES)))
        return Due(none, none, nought, nought, np.zeros(0, np.bool_), nothing, none, nought, nought)
    return Due._make(np.concatenate(field) for field in zip(*parts, strict=True))
