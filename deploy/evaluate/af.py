"""Task `af`: atrial fibrillation, by duration on long records and by strip on short ones."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.rhythms import Rhythm, are_strips, records_of, strips
from deploy.evaluate.statistics import Rates, installed, interval, mean_rates, share
from deploy.evaluate.streamed import lane_of, seconds

ALGORITHM = "anomaly.fibrillation.fibrillation"
AF, FLUTTER = "AFIB", "AFL"
BY_DURATION = (
    "by duration, each second: the rhythm in the middle of it by the marks against what the flow says at its end, "
    "causal, first lead, from the first second on, nothing said counts as no fibrillation; flutter is scored apart"
)
BY_STRIP = (
    "by strip: what the flow says at the end of its last whole second; every strip counts, one of which nothing is "
    "said is wrong; specificity against normal, other and noisy strips apart"
)
SOURCES = (
    "Goldberger et al., Circulation 101:e215 (2000), doi:10.1161/01.CIR.101.23.e215; Moody & Mark, IEEE Eng Med Biol "
    "20:45-50 (2001), doi:10.1109/51.932724; Clifford et al., Comput Cardiol 44 (2017), doi:10.22489/CinC.2017.065-469"
)


class Gross(msgspec.Struct, frozen=True):
    """All seconds, or all strips, together; 95 % confidence by bootstrap over records."""

    se: float
    sp: float
    f1: float
    se_95: tuple[float, float]
    sp_95: tuple[float, float]
    flutter_as_af: float  # share of the seconds of flutter in which fibrillation is said; of records only
    sp_normal: float  # of strips only, as the next two
    sp_other: float
    sp_noisy: float
    unknown: float  # share of which nothing is said


class Row(msgspec.Struct, frozen=True):
    """One record: seconds; one strip: itself."""

    record: str
    label: str  # of a strip
    af: int  # to be found
    tp: int
    fp: int
    rest: int  # to be left
    se: float
    sp: float
    f1: float
    probability: float  # at the end of a strip


class AfReport(msgspec.Struct, frozen=True, tag_field="task", tag="af"):
    """What `femtoward evaluate af --json` prints."""

    rule: str
    records: tuple[str, ...]
    gross: Gross
    average: Rates
    per_record: tuple[Row, ...]
    cpu_s_per_hour: float
    algorithm: str
    version: str
    source: str


class Told(NamedTuple):
    """What the flow said of one recording, a value for each whole second."""

    truth: NDArray[np.int64]  # (n_seconds,) 1 fibrillation, 0 none, -1 not known
    probability: Array  # (n_seconds,)


def evaluate(request: Request, tell: Tell) -> AfReport:
    """Stream recordings through the flow's cardiac lane and score what it says of atrial fibrillation.

    Parameters
    ----------
    request
        Names a folder of WFDB records with rhythm marks (``NAME.hea`` beside ``NAME.atr``), or one of strips
        (``NAME.mat`` beside ``REFERENCE.csv``).
    tell
        Told in words what is being done.
    """
    short = are_strips(request.folder)
    recordings = (strips if short else records_of)(request.folder, request.records)
    tell(f"looking for atrial fibrillation in {len(recordings)} {'strips' if short else 'records'} of {request.folder}")
    start = time.process_time()
    told = listen(recordings)
    cpu_s = time.process_time() - start
    counts = [_strip(r, t) if short else _record(r, t) for r, t in zip(recordings, told, strict=True)]
    rows = tuple(_row(r, t, c, short=short) for r, t, c in zip(recordings, told, counts, strict=True))
    return AfReport(
        rule=BY_STRIP if short else BY_DURATION,
        records=tuple(recording.name for recording in recordings),
        gross=_gross(recordings, np.stack(counts), short=short),
        average=mean_rates(rows),
        per_record=rows,
        cpu_s_per_hour=cpu_s / sum(len(r.signal) / r.rate_hz / 3600.0 for r in recordings),
        algorithm=ALGORITHM,
        version=installed(),
        source=SOURCES,
    )


def listen(recordings: Sequence[Rhythm]) -> list[Told]:
    """What the flow says of each recording at the end of each second."""
    told: list[Told | None] = [None] * len(recordings)
    for rate_hz in sorted({recording.rate_hz for recording in recordings}):
        mine = [k for k, recording in enumerate(recordings) if recording.rate_hz == rate_hz]
        lane = lane_of(rate_hz)
        truth, chance = [], []
        for moment in seconds(lane, [recordings[k].signal for k in mine]):
            estimate = lane.estimate(moment.state, moment.end_ns)
            truth.append(estimate.fibrillation)
            chance.append(estimate.fibrillation_p)
        for row, k in enumerate(mine):
            n = recordings[k].n_seconds
            told[k] = Told(np.array([x[row] for x in truth[:n]]), np.array([x[row] for x in chance[:n]]))
    return [one for one in told if one is not None]


def _record(recording: Rhythm, told: Told) -> NDArray[np.int64]:
    """Seconds: of fibrillation, found, of others, of these wrongly said, of flutter, said of it, not known."""
    names, said = recording.each_second(), told.truth == 1
    af, flutter = names == AF, names == FLUTTER
    rest = ~af & ~flutter
    return np.array(
        [_n(af), _n(af & said), _n(rest), _n(rest & said), _n(flutter), _n(flutter & said), _n(told.truth < 0)]
    )


def _strip(recording: Rhythm, told: Told) -> NDArray[np.int64]:
    """The same of one strip: an `A` that is not said is missed, another of which nothing is said is wrong."""
    is_af, last = recording.rhythm[0] == "A", int(told.truth[-1])
    wrong = not is_af and last != 0
    return np.array([is_af, is_af and last == 1, not is_af, wrong, 0, 0, last < 0], np.int64)


def _row(recording: Rhythm, told: Told, counts: NDArray[np.int64], *, short: bool) -> Row:
    af, tp, rest, fp = (int(count) for count in counts[:4])
    return Row(
        record=recording.name,
        label=recording.rhythm[0] if short else "",
        af=af,
        tp=tp,
        fp=fp,
        rest=rest,
        se=share(tp, af),
        sp=share(rest - fp, rest),
        f1=share(2 * tp, af + tp + fp),
        probability=float(told.probability[-1]) if short else np.nan,
    )


def _gross(recordings: Sequence[Rhythm], counts: NDArray[np.int64], *, short: bool) -> Gross:
    total = counts.sum(axis=0)
    per = counts.astype(np.float64)

    def of(label: str) -> float:
        mine = np.array([short and recording.rhythm[0] == label for recording in recordings])
        return share(*_left(per[mine]))

    return Gross(
        se=share(int(total[1]), int(total[0])),
        sp=share(*_left(per)),
        f1=share(2 * int(total[1]), int(total[0] + total[1] + total[3])),
        se_95=interval(per, lambda drawn: share(drawn[:, 1].sum(), drawn[:, 0].sum())),
        sp_95=interval(per, lambda drawn: share(*_left(drawn))),
        flutter_as_af=share(int(total[5]), int(total[4])),
        sp_normal=of("N"),
        sp_other=of("O"),
        sp_noisy=of("~"),
        unknown=share(int(total[6]), len(recordings) if short else sum(r.n_seconds for r in recordings)),
    )


def _left(counts: Array) -> tuple[float, float]:
    """What was rightly left, of what was to be left."""
    return float((counts[:, 2] - counts[:, 3]).sum()), float(counts[:, 2].sum())


def _n(truth: BoolArray) -> int:
    return int(np.count_nonzero(truth))


def as_text(report: AfReport) -> str:
    """The report for people, in percent; of strips, those that went wrong."""
    short = any(row.label for row in report.per_record)
    if short:
        wrong = [row for row in report.per_record if row.tp < row.af or row.fp]
        lines = ["wrong strips, with the probability of fibrillation at the end:"]
        lines += [f"  {row.record:<12}{row.label}{100 * row.probability:>8.0f} %" for row in wrong]
    else:
        titles = ("AF s", "found s", "rest s", "wrong s", "Se %", "Sp %")
        lines = [f"{'record':<12}" + "".join(f"{title:>10}" for title in titles)]
        lines += [
            f"{row.record:<12}{row.af:>10}{row.tp:>10}{row.rest:>10}{row.fp:>10}"
            f"{100 * row.se:>10.2f}{100 * row.sp:>10.2f}"
            for row in report.per_record
        ]
    gross, average = report.gross, report.average
    apart = (
        f"Sp against normal {100 * gross.sp_normal:.1f}, other {100 * gross.sp_other:.1f}, "
        f"noisy {100 * gross.sp_noisy:.1f}"
        if short
        else f"flutter taken for fibrillation in {100 * gross.flutter_as_af:.1f} % of its time"
    )
    return "\n".join(
        [
            *lines,
            f"\ngross    Se {_with(gross.se, gross.se_95)}  Sp {_with(gross.sp, gross.sp_95)}  F1 {100 * gross.f1:.2f}",
            f"average  Se {100 * average.se:.2f}  Sp {100 * average.sp:.2f}",
            f"{apart}; nothing said of {100 * gross.unknown:.2f} %",
            f"CPU {report.cpu_s_per_hour:.3f} s per hour of signal; {report.algorithm} {report.version}",
            f"rule: {report.rule}",
            f"source: {report.source}",
        ]
    )


def _with(value: float, bounds: tuple[float, float]) -> str:
    return f"{100 * value:.2f} ({100 * bounds[0]:.1f} to {100 * bounds[1]:.1f})"
