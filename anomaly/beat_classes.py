"""What kind of beat each one is: normal, supraventricular or ventricular, for a bank of devices."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anomaly.beat_context import BeatContext, ContextState
from anomaly.class_model import SUPRAVENTRICULAR, VENTRICULAR
from anomaly.kernel import Array, IntArray
from anomaly.trees import Trees

LEAST_APART_S = 0.2  # two beats are judged no nearer to each other than they were found


class BeatClass(IntEnum):
    """Kind of a beat; 0 stands for one that has not been told, or cannot be."""

    UNKNOWN = 0
    NORMAL = 1
    SUPRAVENTRICULAR = 2
    VENTRICULAR = 3
    PACED = 4


class ClassesOut(NamedTuple):
    """Beats judged in one block, oldest first; `m` depends on the block's length only."""

    at: Array  # (n, m) R peak as the detector told it, samples; NaN where none
    kind: IntArray  # (n, m) BeatClass
    ventricular: Array  # (n, m) probability; NaN where none, or nothing to tell it from
    supraventricular: Array  # (n, m) the same
    decided: Array  # (n, m) sample number after which it was judged


@dataclass(frozen=True)
class BeatClassifier:
    """Tell the kind of each beat that a `BeatDetector` finds in the same blocks, `wait_s` after its R peak.

    What is asked: how it lies in time among its neighbours (`anomaly.beat_timing`), and how its wave compares with
    running templates of the kinds of beats that its own patient has (`anomaly.beat_shapes`). Neither unit nor sign of
    the signal matters, nor how many channels there are. Two small sets of boosted trees make probabilities of it.

    Parameters
    ----------
    rate_hz : float
        Sampling rate, 100 to 2000 Hz.
    wait_s : float
        Time from an R peak to its judgement.
    at_least : float
        Probability from which on a beat is called ventricular, or supraventricular.
    ventricular, supraventricular : Trees
        Log odds of a beat's being ventricular, and of its being supraventricular if it is not ventricular.

    Notes
    -----
    On 23 records of the MIT-BIH Arrhythmia Database without paced beats (Moody & Mark 2001), each judged by trees that
    were fitted on five sixths of them without it, ventricular beats are told with F1 94.1 % on the first lead and
    94.2 % on both (EC57, our own detections; 95 % confidence 89 to 97.5: patients differ more than beats do). Fitted on
    half of the records, 12 patients, it is 86 and 88 %: one patient whose slow ventricular runs have no like in the
    other half makes most of the difference. What its kind says of each beat brings 2.0 and 1.5 of these points.
    Supraventricular beats are told poorly, with F1 37 %: in atrial fibrillation every early beat looks like one.

    Paced beats are not told from others: that asks for the pacemaker's spike, which is above the band kept here.

    References
    ----------
    de Chazal, O'Dwyer & Reilly 2004, doi:10.1109/TBME.2004.827359, for features of intervals and shape; Llamedo &
    Martinez 2011, doi:10.1109/TBME.2010.2068048, for ratios to the patient's own. Differ in: running kinds of beats
    instead of fixed shapes, nothing that has a unit or a sign, and a decision 1.4 s after each beat.
    """

    rate_hz: float
    wait_s: float = 1.4
    at_least: float = 0.5
    ventricular: Trees = VENTRICULAR
    supraventricular: Trees = SUPRAVENTRICULAR

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0.0 < self.at_least < 1.0:
            raise ValueError(f"need 0 < at_least={self.at_least} < 1: it is a probability")
        _ = self.context

    @cached_property
    def context(self) -> BeatContext:
        """What a beat is told from."""
        return BeatContext(self.rate_hz, self.wait_s, self.ventricular)

    def init(self, first: Array) -> ContextState:
        """State of rows that have seen nothing, shape of `first` as in `step`."""
        return self.context.init(first)

    def step(self, state: ContextState, block: Array, found: Array, decided: Array) -> tuple[ContextState, ClassesOut]:
        """Judge the beats that are due.

        Parameters
        ----------
        state
            Of these rows.
        block : ndarray, shape (n_devices, n_channels, n_samples)
            The signal that the beats were found in.
        found, decided : ndarray, shape (n_devices, m)
            Beats found in this block and when, as in `BeatsOut`.
        """
        state, due = self.context.step(state, block, found, decided)
        n, n_samples = len(block), block.shape[-1]
        m = 2 * ((n_samples - 1) // max(1, round(LEAST_APART_S * self.rate_hz)) + 1)
        out = ClassesOut(
            at=np.full((n, m), np.nan),
            kind=np.zeros((n, m), np.int64),
            ventricular=np.full((n, m), np.nan),
            supraventricular=np.full((n, m), np.nan),
            decided=np.full((n, m), np.nan),
        )
        if len(due.row):
            ventricular = _probability(due.odds)
            supra = (1.0 - ventricular) * _probability(self.supraventricular.total(due.features))
            kind = np.select(
                [~due.known, ventricular >= self.at_least, supra >= self.at_least],
                [BeatClass.UNKNOWN, BeatClass.VENTRICULAR, BeatClass.SUPRAVENTRICULAR],
                BeatClass.NORMAL,
            )
            where = (due.row, due.slot)
            out.at[where], out.kind[where], out.decided[where] = due.at, kind, due.decided
            out.ventricular[where] = np.where(due.known, ventricular, np.nan)
            out.supraventricular[where] = np.where(due.known, supra, np.nan)
        return state, out


def _probability(log_odds: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-log_odds))
