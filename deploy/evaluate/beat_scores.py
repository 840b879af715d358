"""Scores of beats found against beats annotated, by the rules of ANSI/AAMI EC57, with their confidence."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from anomaly.beats import GOOD
from anomaly.kernel import Array, BoolArray, IntArray
from deploy.evaluate.matching import match
from deploy.evaluate.records import Recording
from deploy.evaluate.statistics import interval, mean, share

WINDOW_S = 0.150
LEARNING_S = 300.0
SHORT_S = 10.0  # windows whose worst is told: a mean over half an hour hides what an alarm would have seen
N_INTERVALS = 8  # before a beat, whose median is the rhythm that a search-back is held against


class Detections(NamedTuple):
    """Beats found in one record, by time."""

    at: Array  # samples
    found_back: BoolArray
    delay: Array  # samples from R peak to decision
    quality: Array


class Scored(NamedTuple):
    """What was counted in one record, or in parts of it."""

    record: str
    paced: bool
    tp: int
    fn: int
    fp: int
    error_ms: Array  # detection minus annotation, of each match
    found_back: BoolArray  # of each counted detection
    good_hits: int  # matched detections marked good
    good_extra: int  # the same without a partner
    windows: IntArray  # (n_windows, 3) tp, fn, fp of each 10 s that hold a beat or a detection


class Gross(msgspec.Struct, frozen=True):
    """All beats of all records together; fractions, NaN (null in JSON) where nothing was to be found."""

    se: float
    ppv: float
    f1: float
    bias_ms: float
    spread_ms: float
    tp: int
    fn: int
    fp: int
    se_95: tuple[float, float]  # confidence, by bootstrap over records
    ppv_95: tuple[float, float]
    f1_95: tuple[float, float]


class Average(msgspec.Struct, frozen=True):
    """Mean over records, each weighing the same."""

    se: float
    ppv: float
    f1: float
    f1_95: tuple[float, float]


class Good(msgspec.Struct, frozen=True):
    """Detections marked good."""

    quality: float  # from which on they are
    share: float  # of the counted detections
    ppv: float
    holding: float  # share of all annotated beats that have one


class Windows(msgspec.Struct, frozen=True):
    """Windows of 10 s that hold a beat or a detection, over all records."""

    n: int
    perfect: float  # share without an error
    f1_lowest_percent: float  # F1 that 99 of 100 windows reach
    f1_worst: float


class RecordScore(msgspec.Struct, frozen=True):
    """One record."""

    record: str
    paced: bool
    tp: int
    fn: int
    fp: int
    se: float
    ppv: float
    f1: float
    bias_ms: float
    spread_ms: float
    searched_back: float  # share of the counted detections that a search-back found
    good: float  # share of the counted detections that were marked good
    f1_worst_10s: float


class Scores(msgspec.Struct, frozen=True):
    """A set of records, both ways."""

    records: int
    gross: Gross
    average: Average
    good: Good
    windows: Windows


def score(recording: Recording, detections: Detections, part: str = "all") -> Scored:
    """Count one record, or its ``"noisy"`` or ``"clean"`` parts.

    A match counts if its annotation does; a detection without a partner counts by its own time.
    """
    of_beat, of_found = match(recording.beats, detections.at, WINDOW_S * recording.rate_hz)
    beats = counted(recording.beats, recording, part)
    found = counted(detections.at, recording, part)
    hit, extra = beats & (of_beat >= 0), found & (of_found < 0)
    partner = of_beat[hit]
    good = detections.quality >= GOOD
    kinds = (recording.beats[hit], recording.beats[beats & ~hit], detections.at[extra])
    return Scored(
        record=recording.name,
        paced=recording.paced,
        tp=int(hit.sum()),
        fn=int((beats & ~hit).sum()),
        fp=int(extra.sum()),
        error_ms=(detections.at[partner] - recording.beats[hit]) * 1e3 / recording.rate_hz,
        found_back=np.concatenate([detections.found_back[partner], detections.found_back[extra]]),
        good_hits=int(good[partner].sum()),
        good_extra=int(good[extra].sum()),
        windows=_windows(kinds, SHORT_S * recording.rate_hz),
    )


def record_score(scored: Scored) -> RecordScore:
    """Fractions of one record."""
    tp, fn, fp, errors = scored.tp, scored.fn, scored.fp, scored.error_ms
    return RecordScore(
        record=scored.record,
        paced=scored.paced,
        tp=tp,
        fn=fn,
        fp=fp,
        se=share(tp, tp + fn),
        ppv=share(tp, tp + fp),
        f1=share(2 * tp, 2 * tp + fn + fp),
        bias_ms=mean(errors),
        spread_ms=float(errors.std()) if len(errors) else np.nan,
        searched_back=mean(scored.found_back.astype(np.float64)),
        good=share(scored.good_hits + scored.good_extra, tp + fp),
        f1_worst_10s=float(_f1(scored.windows).min(initial=np.inf)) if len(scored.windows) else np.nan,
    )


def summary(scored: Sequence[Scored]) -> Scores:
    """Gross and average statistics of a set of records."""
    counts = np.array([(one.tp, one.fn, one.fp) for one in scored], np.float64).reshape(-1, 3)
    errors = np.concatenate([np.zeros(0), *(one.error_ms for one in scored)])
    windows = np.concatenate([np.zeros((0, 3), np.int64), *(one.windows for one in scored)])
    tp, fn, fp = (int(total) for total in counts.sum(axis=0))
    hits, extra = sum(one.good_hits for one in scored), sum(one.good_extra for one in scored)
    f1 = _f1(windows)
    return Scores(
        records=len(scored),
        gross=Gross(
            se=_gross_se(counts),
            ppv=_gross_ppv(counts),
            f1=_gross_f1(counts),
            bias_ms=mean(errors),
            spread_ms=float(errors.std()) if len(errors) else np.nan,
            tp=tp,
            fn=fn,
            fp=fp,
            se_95=interval(counts, _gross_se),
            ppv_95=interval(counts, _gross_ppv),
            f1_95=interval(counts, _gross_f1),
        ),
        average=Average(
            se=mean(_each(_gross_se, counts)),
            ppv=mean(_each(_gross_ppv, counts)),
            f1=mean(_each(_gross_f1, counts)),
            f1_95=interval(_each(_gross_f1, counts), mean),
        ),
        good=Good(GOOD, share(hits + extra, tp + fp), share(hits, hits + extra), share(hits, tp + fn)),
        windows=Windows(
            n=len(windows),
            perfect=mean((f1 == 1.0).astype(np.float64)),
            f1_lowest_percent=float(np.percentile(f1, 1.0)) if len(f1) else np.nan,
            f1_worst=float(f1.min()) if len(f1) else np.nan,
        ),
    )


def rhythm_before(at: Array, found_back: BoolArray) -> Array:
    """Median of the last intervals before each beat that a search-back found, samples; NaN where there are none."""
    back = np.flatnonzero(found_back)
    return np.array([np.median(np.diff(at[max(0, k - N_INTERVALS - 1) : k])) if k > 1 else np.nan for k in back])


def _gross_se(counts: Array) -> float:
    return share(float(counts[:, 0].sum()), float(counts[:, :2].sum()))


def _gross_ppv(counts: Array) -> float:
    return share(float(counts[:, 0].sum()), float(counts[:, ::2].sum()))


def _gross_f1(counts: Array) -> float:
    hits = 2.0 * float(counts[:, 0].sum())
    return share(hits, hits + float(counts[:, 1:].sum()))


def _each(statistic: Callable[[Array], float], counts: Array) -> Array:
    """A statistic of each record alone."""
    return np.array([statistic(row[None]) for row in counts], np.float64)


def _windows(kinds: Sequence[Array], length: float) -> IntArray:
    """How many of each kind each window holds, for those that hold any."""
    which = [np.floor(at / length).astype(np.int64) for at in kinds]
    n = max((int(at.max()) + 1 for at in which if len(at)), default=0)
    counts = np.stack([np.bincount(at, minlength=n) for at in which], axis=-1).astype(np.int64)
    return counts[counts.any(axis=-1)]


def _f1(counts: IntArray) -> Array:
    """F1 of each window; one with errors only has 0."""
    hits = 2.0 * counts[:, 0]
    return hits / (hits + counts[:, 1] + counts[:, 2])


def counted(at: Array, recording: Recording, part: str) -> BoolArray:
    """Which times are scored: after learning, a match window away from fibrillation, in the part asked for."""
    window = WINDOW_S * recording.rate_hz
    inside: BoolArray = at >= LEARNING_S * recording.rate_hz
    for start, end in recording.fibrillation:
        inside &= (at < start - window) | (at > end + window)
    if part != "all":
        noisy = np.zeros(len(at), np.bool_)
        for start, end in recording.noisy:
            noisy |= (at >= start) & (at < end)
        inside &= noisy if part == "noisy" else ~noisy
    return inside
