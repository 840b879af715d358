"""Breath of every patient of a shard: what the lanes heard of it, followed over time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from anomaly.apnoea import ChestBreath, ChestOut, ChestState
from anomaly.breath import EVERY_S, N_RATES, BreathState, BreathTracker, evidence
from dataflows import tree
from dataflows.estimates import BoolArray, FloatArray, IntArray, Second
from dataflows.events import SECOND_NS
from dataflows.followed import Followed

GOOD_QUALITY = 0.5  # belief near the rate, from which on it is told
FORGET_NS = 30 * SECOND_NS  # without a look: what was believed is not worth more than what is usual
HOLD_NS = 40 * SECOND_NS  # a rate holds for so long without a series that says anything, if it is believed so long
STIRRED_NS = 28 * SECOND_NS  # a movement hides breath for so long: a step in a window is louder than any breath
PAUSE_S = 12.0  # without breath, from which on there is no rate
REASONS = ("", "no-signal", "settling", "unclear", "no-breath", "moving")
LANES = ("mcg", "ppg", "motion")

TRACKER = BreathTracker()
CHEST = ChestBreath()


def due(end_ns: IntArray) -> BoolArray:
    """Whether breath is looked for at the end of a second."""
    is_due: BoolArray = end_ns // SECOND_NS % EVERY_S == 0
    return is_due


def heard(
    series_of: Callable[[IntArray], FloatArray], own_bpm: Sequence[float], here: BoolArray, end_ns: IntArray
) -> tuple[FloatArray, IntArray]:
    """Gather what the series of a lane say of every rate, in the rows that are `here` and due.

    Parameters
    ----------
    series_of : callable
        ``series_of(rows)`` returns series of shape (n_rows, n_series, 128).
    own_bpm
        See `anomaly.breath.evidence`; one per series.
    here : shape (n,)
        The lane has data of this second.
    end_ns : shape (n,)
        Of the second.

    Returns
    -------
    said : shape (n, n_rates)
        Sum over the series; 0 where nothing is said.
    n_series : shape (n,)
        Series that said anything.
    """
    said, n_series = np.zeros((len(here), N_RATES)), np.zeros(len(here), np.int64)
    rows = np.flatnonzero(here & due(end_ns))
    if len(rows):
        each = evidence(series_of(rows), np.array(own_bpm))
        for k in range(each.shape[1]):  # in this order, however many rows there are
            said[rows] += each[:, k]
            n_series[rows] += each[:, k].max(axis=-1) > 0.0
    return said, n_series


class PatientState(NamedTuple):
    """What is believed of each patient's breath, and when it was looked for."""

    tracker: BreathState
    looked_ns: IntArray  # (n,) end of the second of the last look; 0: none
    heard_ns: IntArray  # (n,) the same of the last look at which any series said anything
    lanes: IntArray  # (n,) who said anything then, a bit for each of `LANES`
    chest: ChestState
    stirred_ns: IntArray  # (n,) end of the second of the last movement that is no breath; 0: none


class Breath(NamedTuple):
    """Breath of n patients, shape (n,) each."""

    rate: FloatArray  # 1/min; NaN where it could not be measured
    u: FloatArray
    quality: FloatArray
    why: IntArray  # index into REASONS
    lanes: IntArray  # a bit for each of `LANES`
    pause_s: FloatArray  # since the chest last moved with breath; 0: it does; NaN: not known
    since_ns: IntArray  # when it last moved; 0 where that is not known
    sure: BoolArray  # False: it may not have moved for longer, since something was missed


class Breathing(Followed[PatientState]):
    """The trackers of a shard's patients."""

    def __init__(self) -> None:
        super().__init__("breath", lambda patients: _nothing_heard(len(patients)))

    def step(self, patients: Sequence[str], known: Second, end_ns: IntArray) -> Breath:
        """Take what the lanes know of one second of some patients, each of whom stands here once."""
        state = self.state_of(patients)
        stale = np.flatnonzero((state.looked_ns > 0) & (end_ns - state.looked_ns > FORGET_NS))
        if len(stale):
            tree.put(state, stale, _nothing_heard(len(stale)))
        stirs = known.motion.moving | (known.motion.swing > CHEST.most_ms2)  # NaN compares false
        state = state._replace(stirred_ns=np.where(stirs, end_ns, state.stirred_ns))
        rows = np.flatnonzero(due(end_ns))
        if len(rows):
            part = tree.take(known, rows)
            tree.put(state, rows, _looked(tree.take(state, rows), part, end_ns[rows]))
        chest, pause = CHEST.step(state.chest, known.motion.swing, end_ns)
        state = state._replace(chest=chest)
        self.bank.put(patients, state)
        return _told(state, known, pause, end_ns)


def _nothing_heard(n: int) -> PatientState:
    zero = np.zeros(n, np.int64)
    return PatientState(TRACKER.init(np.zeros((n, 1))), zero, zero, zero, CHEST.init(n), zero)


def _looked(state: PatientState, known: Second, end_ns: IntArray) -> PatientState:
    calm = end_ns - state.stirred_ns >= STIRRED_NS
    said = known.cardiac.breath + known.optical.breath + known.motion.breath
    tracker, _ = TRACKER.step(state.tracker, np.where(calm[:, None], said, 0.0))
    lanes_here = known.cardiac, known.optical, known.motion
    spoke = [calm & (lane.breath_series > 0) for lane in lanes_here]
    lanes = sum((one.astype(np.int64) << bit for bit, one in enumerate(spoke)), np.zeros(len(end_ns), np.int64))
    anyone = lanes > 0
    return state._replace(
        tracker=tracker,
        looked_ns=end_ns,
        heard_ns=np.where(anyone, end_ns, state.heard_ns),
        lanes=np.where(anyone, lanes, state.lanes),
    )


def _told(state: PatientState, known: Second, pause: ChestOut, end_ns: IntArray) -> Breath:
    out = TRACKER.out(state.tracker)
    lately = (state.heard_ns > 0) & (end_ns - state.heard_ns <= HOLD_NS)
    clear = out.quality >= GOOD_QUALITY
    present = known.cardiac.present | known.optical.present | known.motion.present
    paused = pause.pause_s >= PAUSE_S  # NaN compares false
    moving = (~lately | ~clear) & (end_ns - state.stirred_ns < STIRRED_NS)
    why = np.select([~present, paused, moving, ~lately, ~clear], [1, 4, 5, 2, 3], 0)
    told = why == 0
    return Breath(
        rate=np.where(told, out.rate_bpm, np.nan),
        u=np.where(told, out.u, np.nan),
        quality=np.where(lately & present, out.quality, 0.0),
        why=why,
        lanes=np.where(lately & present, state.lanes, 0),
        pause_s=pause.pause_s,
        since_ns=pause.since_ns,
        sure=pause.sure,
    )
