"""Ventricular fibrillation and tachycardia that stand, and since when, from decisions that come once a second."""

from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.ventricular import VentricularOut

STILL = 0.3  # what stands goes on standing from here on
EVEN = 0.5
LIKELY = 0.6  # so much of one window is a beginning, where the beats do not speak against it
SURE = 0.9  # what begins is as probable as this, where they do
WILD = 0.3  # a fibrillation called tachycardia is worse than the other way about
TOGETHER = 2  # decisions in a row that are a beginning
APART = 3  # decisions in a row without it that are an end
SHARE_NS = 2_500_000_000  # so much of the window is of a rhythm when it is first told by it
SLOWEST_BPM = 100.0  # a tachycardia is faster
LOUD = np.array([0.25, 0.5])  # of the usual level: below it there is but noise; tachycardia is no smaller than beats
USUAL_SHARE = 1.0 / 30.0  # of a new calm second in the usual level
FIBRILLATION, TACHYCARDIA = 0, 1


class WatchState(NamedTuple):
    """What has been decided of late; axis 1: fibrillation (or flutter), tachycardia."""

    onset_ns: IntArray  # (n, 2) of what stands; 0: it does not
    first_ns: IntArray  # (n, 2) since when it is told, standing or not; 0: it is not
    told: IntArray  # (n, 2) decisions in a row by which it would begin
    untold: IntArray  # (n, 2) decisions in a row by which it would end
    at_ns: IntArray  # (n,) end of the newest window; 0: none yet
    known: BoolArray  # (n,) it had a signal
    ventricular: Array  # (n,) its probabilities, as of `VentricularOut`
    disorder: Array  # (n,)
    rate_bpm: Array  # (n,) of fast beats, else of the wave
    usual: Array  # (n,) level while nothing is wrong, in the unit of the signal; NaN: not seen yet


def nothing_told(n_devices: int) -> WatchState:
    """State before the first decision."""
    none = np.zeros((n_devices, 2), np.int64)
    unknown = np.full(n_devices, np.nan)
    return WatchState(
        none, none, none, none, none[:, 0], np.zeros(n_devices, np.bool_), unknown, unknown, unknown, unknown
    )


def watched(state: WatchState, at_ns: IntArray, out: VentricularOut, beat_bpm: Array) -> WatchState:
    """Take the decisions of one block.

    A rhythm begins with two windows of 3 s in a row that are sure of it, and ends with three decisions by 5 s in a row
    against it. A tachycardia begins earlier, with one window or with two that are less sure, where the beats are as
    fast or none is found; nothing but a wave that is sure of itself begins against slow beats.

    It is fibrillation where all three questions say so, and goes on being it as long as the heart is in any ventricular
    rhythm at all: a name that flaps helps nobody. What is ventricular otherwise, and faster than 100 /min, is
    tachycardia.

    What is far below the level of calm seconds is noise that is left when the heart stands still, whatever its shape.

    Parameters
    ----------
    state
        Of the rows.
    at_ns : ndarray of int, shape (n, m)
        Corrected time of the end of each window; 0 where nothing fell due.
    out
        The decisions.
    beat_bpm : ndarray, shape (n,)
        Rate of the newest beats; NaN where none is young.
    """
    for slot in range(at_ns.shape[1]):
        here = at_ns[:, slot] > 0
        if here.any():
            one = _told(state, at_ns[:, slot], VentricularOut(*(field[:, slot] for field in out)), beat_bpm)
            state = WatchState(
                *(
                    np.where(here[:, None] if new.ndim > 1 else here, new, old)
                    for new, old in zip(one, state, strict=True)
                )
            )
    return state


def _told(state: WatchState, at_ns: IntArray, out: VentricularOut, beat_bpm: Array) -> WatchState:
    """One decision of every row; the fields of `out` have lost their axis 1."""
    known = np.isfinite(out.ventricular)
    stands = state.onset_ns > 0
    fast = 60.0 * out.rate_hz >= SLOWEST_BPM
    free = ~(beat_bpm < SLOWEST_BPM)
    chance = out.quick[:, 0]
    wild = (out.quick[:, 1] > SURE) & (out.quick[:, 2] > WILD)
    race = ~wild & fast & (free & (chance > EVEN) | (chance > SURE)) & ~stands[:, FIBRILLATION]
    loud = ~(out.level[:, None] < LOUD * state.usual[:, None])
    now = np.stack([wild & (chance > SURE), race], axis=-1) & loud
    ill = loud[:, FIBRILLATION] & (out.ventricular > STILL)
    still = np.stack([ill, ill & fast & loud[:, TACHYCARDIA]], axis=-1)
    told, untold = np.where(now, state.told + 1, 0), np.where(now | still, 0, state.untold + 1)
    first = np.where(now, np.where(state.first_ns > 0, state.first_ns, at_ns[:, None] - SHARE_NS), 0)
    enough = told >= TOGETHER
    enough[:, TACHYCARDIA] |= now[:, TACHYCARDIA] & free & (chance > LIKELY)
    begins = ~stands & enough
    ends = untold >= APART
    # Of a tachycardia that has become fibrillation nothing is left to be told.
    ends[:, TACHYCARDIA] |= begins[:, FIBRILLATION]
    calm = loud[:, FIBRILLATION] & (chance < STILL)
    first_calm = calm & np.isnan(state.usual)
    usual = np.where(first_calm, out.level, state.usual)
    usual = np.where(calm, usual + USUAL_SHARE * (out.level - usual), usual)
    onset = np.where(ends, 0, np.where(begins, first, state.onset_ns))
    return WatchState(
        onset_ns=onset,
        first_ns=first,
        told=told,
        untold=untold,
        at_ns=at_ns,
        known=known,
        ventricular=out.ventricular,
        disorder=out.disorder,
        # A wave of wide beats is often largest at twice their rate; in fibrillation beats are found by chance.
        rate_bpm=np.where((beat_bpm >= SLOWEST_BPM) & (onset[:, FIBRILLATION] == 0), beat_bpm, 60.0 * out.rate_hz),
        usual=usual,
    )
