"""Task `vf`: fibrillation, flutter and tachycardia of the ventricles on records with rhythm labels."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.ventricular import N_JOINED, fused
from deploy.evaluate.fit_vf import Models, kinds, models
from deploy.evaluate.records import EvaluateError, names_of
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import Rates, installed, interval, mean, mean_rates, share
from deploy.evaluate.ventricular_windows import Seconds, read, streamed

ALGORITHM = "anomaly.ventricular.VentricularDetector"
LEAST = 3  # records with fibrillation, and with tachycardia, from which on weights are fitted without each
RULE = (
    "the last 5 s, each second, causal, in packets of about 250 ms, all leads; scored where all of these 5 s "
    "has one rhythm label, NOISE left out and ASYS scored alone; vf: VF, VFIB and VFL against all that is neither "
    "these nor VT; ventricular: VF, VFIB, VFL and VT against the rest; at even odds; gross pools the windows, average "
    "is over the records that have such windows; left out: each record is judged by weights fitted to the others of "
    "the folder; shipped: by those of the flow, which may have seen the record"
)
SOURCE = (
    "WFDB annotations; for vfdb: Greenwald, The development and analysis of a ventricular fibrillation detector, MIT "
    "1986; Goldberger et al., Circulation 101:e215 (2000), doi:10.1161/01.CIR.101.23.e215"
)


class Gross(msgspec.Struct, frozen=True):
    """All windows together, with 95 % confidence by the bootstrap over records."""

    se: float
    sp: float
    f1: float
    se_95: tuple[float, float]
    sp_95: tuple[float, float]


class Scores(msgspec.Struct, frozen=True):
    """A set of records judged by one set of weights."""

    records: int
    gross: Gross  # of vf
    average: Rates
    ventricular: Gross
    ventricular_average: Rates
    confusion: dict[str, dict[str, int]]  # windows by label, then by what was said
    false_s_per_hour: float  # called ventricular, of all seconds that no part of the window has such a label in


class Row(msgspec.Struct, frozen=True):
    """One record."""

    record: str
    vf: int  # windows
    vt: int
    rest: int
    se: float  # of vf
    sp: float
    f1: float
    ventricular_se: float
    ventricular_sp: float


class VfReport(msgspec.Struct, frozen=True, tag_field="task", tag="vf"):
    """What `femtoward evaluate vf --json` prints."""

    rule: str
    records: tuple[str, ...]
    weights: str  # what `gross` and `per_record` were judged by: "left out" or "shipped"
    gross: Gross
    average: Rates
    ventricular: Gross
    ventricular_average: Rates
    confusion: dict[str, dict[str, int]]
    false_s_per_hour: float
    without: tuple[str, ...]
    undisputed: Scores | None  # the same without the records named
    shipped: Scores
    per_record: tuple[Row, ...]
    cpu_s_per_hour: float
    algorithm: str
    version: str
    source: str


class Judged(NamedTuple):
    """Windows of one record and what was said of them."""

    seconds: Seconds
    kind: IntArray  # as `fit_vf.kinds`
    ventricular: BoolArray
    fibrillation: BoolArray
    disorder: BoolArray


def evaluate(request: Request, tell: Tell) -> VfReport:
    """Stream records through the flow's ventricular kernel and score what it decides.

    Parameters
    ----------
    request
        Names a folder of WFDB records with rhythm labels (``NAME.hea`` beside ``NAME.atr``), and what to leave out of
        a second count.
    tell
        Told in words what is being done.
    """
    names = names_of(request.folder, request.records)
    for name in request.without:
        if name not in names:
            raise EvaluateError(f"record {name!r} cannot be left out: it is none of {', '.join(names)}")
    tell(f"reading {len(names)} records of {request.folder}")
    records = [read(request, name) for name in names]
    start = time.process_time()
    windows = streamed(records)
    cpu_s = time.process_time() - start
    shipped = [
        Judged(one, kinds(one), one.ventricular > 0.5, one.fibrillation > 0.5, one.disorder > 0.5) for one in windows
    ]
    many = [sum(bool((judged.kind == kind).any()) for judged in shipped) for kind in (1, 2)]
    fit = min(many) >= LEAST
    judged = shipped
    if fit:
        tell(f"fitting weights without each of {len(names)} records")
        judged = [_judged(one, models([other for other in windows if other is not one])) for one in windows]
    everything = scores(judged)
    kept = [one for one in judged if one.seconds.name not in request.without]
    return VfReport(
        rule=RULE,
        records=names,
        weights="left out" if fit else "shipped",
        gross=everything.gross,
        average=everything.average,
        ventricular=everything.ventricular,
        ventricular_average=everything.ventricular_average,
        confusion=everything.confusion,
        false_s_per_hour=everything.false_s_per_hour,
        without=request.without,
        undisputed=scores(kept) if request.without else None,
        shipped=scores(shipped),
        per_record=tuple(_row(one) for one in judged),
        cpu_s_per_hour=cpu_s / sum(one.seconds for one in windows) * 3600.0,
        algorithm=ALGORITHM,
        version=installed(),
        source=SOURCE,
    )


def scores(judged: Sequence[Judged]) -> Scores:
    """Score a set of records."""
    rows = [_row(one) for one in judged]
    calm = [~one.seconds.touched for one in judged]
    false = sum(int((one.ventricular & quiet).sum()) for one, quiet in zip(judged, calm, strict=True))
    return Scores(
        records=len(rows),
        gross=_gross(np.array([_counts(one) for one in judged])),
        average=mean_rates(rows),
        ventricular=_gross(np.array([_counts(one, ventricular=True) for one in judged])),
        ventricular_average=Rates(
            mean(np.array([row.ventricular_se for row in rows])),
            mean(np.array([row.ventricular_sp for row in rows])),
            mean(np.array([_rates(_counts(one, ventricular=True)).f1 for one in judged])),
        ),
        confusion=_confusion(judged),
        false_s_per_hour=3600.0 * share(false, sum(int(quiet.sum()) for quiet in calm)),
    )


def as_text(report: VfReport) -> str:
    """The report for people, in percent."""
    titles = ("VF", "VT", "rest", "vf Se %", "Sp %", "V Se %", "Sp %")
    lines = [f"{'record':<12}" + "".join(f"{title:>9}" for title in titles)]
    lines += [
        f"{row.record:<12}{row.vf:>9}{row.vt:>9}{row.rest:>9}{100 * row.se:>9.1f}{100 * row.sp:>9.1f}"
        f"{100 * row.ventricular_se:>9.1f}{100 * row.ventricular_sp:>9.1f}"
        for row in report.per_record
    ]
    everything = Scores(
        len(report.records),
        report.gross,
        report.average,
        report.ventricular,
        report.ventricular_average,
        report.confusion,
        report.false_s_per_hour,
    )
    sets = [(f"all records, weights {report.weights}", everything)]
    if report.undisputed is not None:
        sets.append((f"without {', '.join(report.without)}, weights {report.weights}", report.undisputed))
    sets.append(("all records, weights shipped", report.shipped))
    for title, found in sets:
        lines.append(f"\n{title} ({found.records}):")
        for name, gross, average in (
            ("vf", found.gross, found.average),
            ("ventricular", found.ventricular, found.ventricular_average),
        ):
            low_high = [f"[{100 * low:.1f}, {100 * high:.1f}]" for low, high in (gross.se_95, gross.sp_95)]
            lines.append(
                f"  {name:<12} gross Se {100 * gross.se:.1f} {low_high[0]}  Sp {100 * gross.sp:.1f} {low_high[1]}; "
                f"average Se {100 * average.se:.1f}  Sp {100 * average.sp:.1f}"
            )
        for label, said in found.confusion.items():
            lines.append(f"  {label} said to be: " + ", ".join(f"{name} {count}" for name, count in said.items()))
        lines.append(f"  called ventricular where nothing is: {found.false_s_per_hour:.1f} s per hour")
    lines += [
        f"\nCPU {report.cpu_s_per_hour:.3f} s per hour of signal; {report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def _judged(seconds: Seconds, by: Models) -> Judged:
    said = [joined(fused(model, seconds.leads)) > 0.0 for model in by]
    return Judged(seconds, kinds(seconds), *said)


def joined(odds: Array) -> Array:
    """Mean of the log odds of the windows of one record, each with the two before it, as the kernel has it."""
    before = np.concatenate([np.full(N_JOINED - 1, np.nan), odds])
    recent = np.lib.stride_tricks.sliding_window_view(before, N_JOINED)
    there = np.isfinite(recent)
    total = np.where(there, recent, 0.0).sum(axis=-1)
    return np.where(np.isfinite(odds), total / np.maximum(there.sum(axis=-1), 1), np.nan)


def _counts(one: Judged, *, ventricular: bool = False) -> Array:
    """Found, missed, left, wrongly said."""
    ill = one.kind > 0 if ventricular else one.kind == 2
    well, said = one.kind == 0, one.ventricular if ventricular else one.fibrillation
    return np.array([(ill & said).sum(), (ill & ~said).sum(), (well & ~said).sum(), (well & said).sum()], np.float64)


def _rates(counts: Array) -> Rates:
    tp, fn, tn, fp = (float(count) for count in counts)
    return Rates(share(tp, tp + fn), share(tn, tn + fp), share(2.0 * tp, 2.0 * tp + fn + fp))


def _gross(counts: Array) -> Gross:
    total = _rates(counts.sum(axis=0))
    return Gross(
        total.se,
        total.sp,
        total.f1,
        se_95=interval(counts, lambda drawn: _rates(drawn.sum(axis=0)).se),
        sp_95=interval(counts, lambda drawn: _rates(drawn.sum(axis=0)).sp),
    )


def _confusion(judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Windows by label and by what was said of them."""
    names = ("VF", "VT", "neither")
    table = {label: dict.fromkeys(names, 0) for label in ("VF", "VT", "rest", "ASYS", "NOISE")}
    for one in judged:
        said = np.where(~one.ventricular, 2, np.where(one.disorder, 0, 1))
        for label, mine in (
            ("VF", one.kind == 2),
            ("VT", one.kind == 1),
            ("rest", one.kind == 0),
            ("ASYS", one.seconds.label == "ASYS"),
            ("NOISE", one.seconds.label == "NOISE"),
        ):
            for k, name in enumerate(names):
                table[label][name] += int((mine & (said == k)).sum())
    return table


def _row(one: Judged) -> Row:
    vf, ventricular = _rates(_counts(one)), _rates(_counts(one, ventricular=True))
    return Row(
        record=one.seconds.name,
        vf=int((one.kind == 2).sum()),
        vt=int((one.kind == 1).sum()),
        rest=int((one.kind == 0).sum()),
        se=vf.se,
        sp=vf.sp,
        f1=vf.f1,
        ventricular_se=ventricular.se,
        ventricular_sp=ventricular.sp,
    )
