"""Atrial fibrillation out of the beats of the last half minute, and since when by those of eight."""

from typing import Final, NamedTuple

import numpy as np

from anomaly.fibrillation_model import OFFSET, WEIGHTS
from anomaly.intervals import STALE_NS, BeatRing, newest
from anomaly.irregularity import Irregularity, irregularity
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.peaks import moving_sum

LIMIT = 0.5  # of the probability
EIGHT = 8  # intervals that the onset is told by
ALIKE = 0.08  # of their median: intervals that differ by less are alike; breathing alone does not make more
CHANCE = 0.5  # share of pairs of them that are not: with more, the eight are irregular
GROUPED = 0.25  # of `Irregularity.echo`
LOOK_BACK = 96  # beats searched for the onset; that of a longer episode moves along
RANGES: Final = {  # features are held to what they were fitted on
    "rate": (30.0, 200.0),
    "echo": (0.0, 1.2),
    "p_size": (-7.0, 1.0),
    "p_clear": (-7.0, 7.0),
    "rest_pitch": (-7.0, 1.5),
    "step_upper": (0.0, 1.0),
    "step_mean": (0.0, 1.0),
    "step_quarter": (0.0, 1.0),
}


class Fibrillation(NamedTuple):
    """What is known of atrial fibrillation as of a time, shape (n_devices,) each."""

    known: BoolArray  # False: too few beats, or none for 4 s; `true` is False then
    true: BoolArray  # the probability is `LIMIT` or more
    probability: Array  # NaN where it is not known
    onset_ns: IntArray  # first beat of the unbroken irregularity; 0 where it is not true
    grouped: BoolArray  # the intervals repeat those of some beats before, as in Wenckebach's block: no chance in them
    quality: Array  # mean quality of the last eight beats


def fibrillation(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> Fibrillation:
    """Tell whether the rhythm is atrial fibrillation.

    The probability is logistic in the features of `irregularity`: the intervals between ordinary beats come in no
    order and no two are alike, and before the QRS there is no P wave in step with it. The onset is the first of the
    beats from which on each eight intervals hold more unlike than like pairs.

    Fitted on one half of 27 records of the MIT-BIH Arrhythmia Database (first lead) and of 400 strips of PhysioNet/CinC
    2017 and tested on the other half, both ways, mean of 8 splits by record: by duration Se 96.4 and Sp 97.4 %; of the
    strips with fibrillation 86.8 % are found, 98.6 % of the normal and 92.1 % of the others left. Fitted on all
    (``python -m deploy.evaluate.fit_af``): 96.0 and 98.4; 90.9, 98.0 and 94.0. Atrial flutter with a changing
    conduction is taken for fibrillation in nine tenths of its time.

    Wenckebach's block, with its P waves ever farther before the QRS, is as likely as fibrillation to it; so are some
    strips with fibrillation that are grouped: `grouped` says it apart, for an alarm that may wait.

    Parameters
    ----------
    ring
        Rows of a ring of beats, marked by `averaged.AveragedBeat`.
    as_of_ns, since_ns : ndarray of int, shape (n_devices,)
        As in `conditions.asystole`.

    References
    ----------
    Petrenas et al. 2015, doi:10.1016/j.compbiomed.2015.01.019, for the eight intervals; differs in: pairs are compared
    with their median, and it tells the onset only. Sarkar et al. 2008, doi:10.1109/TBME.2007.903707, for telling
    irregularity by ectopic beats from that of fibrillation; differs in: ectopic beats are told by their shape.
    """
    features = irregularity(ring, as_of_ns, since_ns)
    found = probability(features)
    last = newest(ring, as_of_ns, EIGHT + 1, since_ns)
    known = ~np.isnan(found) & (last.times_ns[:, -1] >= as_of_ns - STALE_NS)
    true = known & (np.nan_to_num(found) >= LIMIT)
    return Fibrillation(
        known=known,
        true=true,
        probability=np.where(known, found, np.nan),
        onset_ns=_onset(ring, as_of_ns, since_ns, true),
        grouped=np.nan_to_num(features.echo, nan=1.0) < GROUPED,
        quality=last.quality.mean(axis=-1),
    )


def probability(features: Irregularity) -> Array:
    """Probability by the features of each row; NaN where they are."""
    total = np.full(features.rate.shape, OFFSET)
    for name, weight in WEIGHTS.items():
        total = total + weight * held(name, getattr(features, name))
    chance: Array = 1.0 / (1.0 + np.exp(-total))
    return chance


def held(name: str, value: Array) -> Array:
    """A feature within its range."""
    low, high = RANGES.get(name, (-np.inf, np.inf))
    return np.clip(value, low, high)


def _onset(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray, true: BoolArray) -> IntArray:
    """First beat of the newest run of irregular eights; the oldest beat searched if none came before. 0 if not true."""
    found = np.zeros(len(true), np.int64)
    row = np.flatnonzero(true)
    if len(row):  # most are not
        found[row] = _began(BeatRing._make(leaf[row] for leaf in ring), as_of_ns[row], since_ns[row])
    return found


def _began(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> IntArray:
    """First beat of that run in each row."""
    beats = newest(ring, as_of_ns, LOOK_BACK + EIGHT + 1, since_ns)
    rr = np.diff(beats.times_ns, axis=-1) / 1e9
    used = beats.there[:, :-1]
    windows = np.lib.stride_tricks.sliding_window_view(rr, EIGHT, axis=-1)
    median = np.sort(windows, axis=-1)[..., EIGHT // 2]
    unlike = np.zeros(median.shape, np.int64)
    for k in range(1, EIGHT):
        apart = np.lib.stride_tricks.sliding_window_view(np.abs(rr[:, k:] - rr[:, :-k]), EIGHT - k, axis=-1)
        unlike += np.count_nonzero(apart > ALIKE * median[..., None], axis=-1)
    pairs = EIGHT * (EIGHT - 1) / 2.0
    # A window with a beat too few is no evidence of regularity: what lies before the evidence is not searched.
    whole = moving_sum(used.astype(np.float64), EIGHT) == EIGHT
    regular = whole & (unlike <= CHANCE * pairs)
    place = np.arange(regular.shape[-1])
    last = np.where(regular, place, -1).max(axis=-1)
    # The window after the last regular one: with three intervals by chance most of its pairs are unlike. The onset is
    # the beat that the first of them ends with.
    first = np.minimum(last + 1 + EIGHT - 2, rr.shape[-1])
    oldest = np.argmax(beats.there, axis=-1)
    first = np.where(last < 0, oldest, first)
    onset: IntArray = np.take_along_axis(beats.times_ns, first[:, None], axis=-1)[:, 0]
    return onset
