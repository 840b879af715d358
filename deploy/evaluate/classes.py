"""Task `classes`: which beats are ventricular and which supraventricular, by the rules of ANSI/AAMI EC57."""

import time
from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np

from anomaly.beats import BeatDetector
from anomaly.kernel import Array
from deploy.evaluate import annotations
from deploy.evaluate.beats import PACKET_S, SOURCE
from deploy.evaluate.class_folds import SHIPPED, classifier, fold_of
from deploy.evaluate.class_scores import Counts, Found, count, fingerprint
from deploy.evaluate.records import EvaluateError, Recording, names_of, read
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, interval, mean, share

ALGORITHM = "anomaly.beat_classes.BeatClassifier"
RULE = (
    "ANSI/AAMI EC57, ventricular (VEB) and supraventricular (SVEB) beats on our own detections: {leads}, causal, in "
    "packets of about 250 ms; a detection matches an annotated beat within 150 ms, one to one; a beat of the class "
    "that was not found or was called anything else is missed, one that was called so and is not, or is no beat, is "
    "false; a fusion beat called ventricular is neither; the first 5 minutes are learned on and not counted; "
    "ventricular flutter and fibrillation, and records with paced beats, are left out; a record that the shipped model "
    "was fitted on is judged by one fitted on five sixths of them, without it; confidence by bootstrap over records"
)


class ClassGross(msgspec.Struct, frozen=True):
    """Beats of one class in all records together; fractions, NaN (null in JSON) where there was nothing to find."""

    se: float
    ppv: float
    f1: float
    tp: int
    fn: int
    fp: int
    se_95: tuple[float, float]
    ppv_95: tuple[float, float]
    f1_95: tuple[float, float]


class ClassAverage(msgspec.Struct, frozen=True):
    """Mean over records that have such beats, each weighing the same."""

    se: float
    ppv: float
    f1: float


class ClassScores(msgspec.Struct, frozen=True):
    """One class, both ways."""

    gross: ClassGross
    average: ClassAverage


class ClassRecord(msgspec.Struct, frozen=True):
    """One record."""

    record: str
    paced: bool
    fitted: bool  # the shipped model was fitted on it: it is judged by one that was not
    tp: int
    fn: int
    fp: int
    se: float
    ppv: float
    f1: float
    supraventricular: tuple[int, int, int]  # tp, fn, fp
    told: float  # share of the beats found that were given a class


class ClassesReport(msgspec.Struct, frozen=True, tag_field="task", tag="classes"):
    """What `femtoward evaluate classes --json` prints; without a name in front, figures are of ventricular beats."""

    rule: str
    records: tuple[str, ...]
    leads: int
    counted: int  # records without paced beats: those that the figures are of
    gross: ClassGross
    average: ClassAverage
    supraventricular: ClassScores
    unseen: ClassScores | None  # ventricular beats of the records that no model was fitted on
    per_record: tuple[ClassRecord, ...]
    decision_s_median: float  # from the R peak to the class
    decision_s_max: float  # more than 1.5 s of beats that a search-back found only
    cpu_s_per_hour: float  # of detection and classes, per hour of signal
    algorithm: str
    version: str
    source: str


def evaluate(request: Request, tell: Tell) -> ClassesReport:
    """Stream records through the flow's beat detector and classifier and score the classes.

    Parameters
    ----------
    request
        Names a folder of WFDB records (``NAME.hea``) with reference annotations (``NAME.atr``).
    tell
        Told in words what is being done.
    """
    names = names_of(request.folder, request.records)
    tell(f"reading {len(names)} records of {request.folder}")
    recordings = [read(request.folder, name, request.leads) for name in names]
    found: dict[str, Found] = {}
    cpu_s = 0.0
    folds = {one.name: fold_of().get(fingerprint(one), SHIPPED) for one in recordings}
    for rate_hz, fold in sorted({(one.rate_hz, folds[one.name]) for one in recordings}):
        bank = [one for one in recordings if (one.rate_hz, folds[one.name]) == (rate_hz, fold)]
        tell(f"telling beats in {len(bank)} records at {rate_hz:g} Hz")
        start = time.process_time()
        told = classify([one.leads for one in bank], rate_hz, fold)
        cpu_s += time.process_time() - start
        found |= {recording.name: one for recording, one in zip(bank, told, strict=True)}
    if request.annotations is not None:
        for recording in recordings:
            one = found[recording.name]
            marks = annotations.beats(one.at, one.kind)
            annotations.write(request.annotations, recording.name, recording.rate_hz, marks)
        tell(f"annotations are in {request.annotations}")
    return _report(request, recordings, found, cpu_s)


def classify(signals: Sequence[Array], rate_hz: float, fold: int = SHIPPED) -> list[Found]:
    """Stream signals of shape ``(n_leads, n_samples)`` as the rows of one bank, in packets of about 250 ms.

    Parameters
    ----------
    signals
        Each is held at its last value until the longest has ended and two seconds more.
    rate_hz
        Sampling rate.
    fold
        By the models that do not know the records of this fold.
    """
    packet = max(1, round(PACKET_S * rate_hz))
    n_packets = -(-max(x.shape[-1] for x in signals) // packet) + max(1, round(2.0 / PACKET_S))
    bank = np.stack([np.pad(x, ((0, 0), (0, n_packets * packet - x.shape[-1])), mode="edge") for x in signals])
    try:
        detector, judge = BeatDetector(rate_hz), classifier(rate_hz, fold)
    except ValueError as error:
        raise EvaluateError(f"the records are sampled at {rate_hz:g} Hz: {error}") from error
    beats, classes = detector.init(bank[..., :packet]), judge.init(bank[..., :packet])
    parts = []
    for k in range(n_packets):
        block = np.ascontiguousarray(bank[..., k * packet : (k + 1) * packet])
        beats, seen = detector.step(beats, block)
        classes, out = judge.step(classes, block, seen.at, seen.decided)
        row, slot = np.nonzero(~np.isnan(out.at))
        at = out.at[row, slot]
        parts.append(np.stack([row, at, out.kind[row, slot], out.ventricular[row, slot], out.decided[row, slot] - at]))
    row, at, kind, probability, delay = np.concatenate(parts, axis=1)
    result = []
    for k, x in enumerate(signals):
        mine = np.flatnonzero((row == k) & (at < x.shape[-1]))
        mine = mine[np.argsort(at[mine], kind="stable")]
        result.append(Found(at[mine], kind[mine].astype(np.int64), probability[mine], delay[mine]))
    return result


def as_text(report: ClassesReport) -> str:
    """The report for people, in percent."""
    titles = ("TP", "FN", "FP", "Se %", "+P %", "F1 %", "S TP", "S FN", "S FP", "told %")
    lines = [f"{'record':<12}{'paced':>6}" + "".join(f"{title:>9}" for title in titles)]
    lines += [
        f"{row.record:<12}{'yes' if row.paced else '':>6}{row.tp:>9}{row.fn:>9}{row.fp:>9}{100 * row.se:>9.2f}"
        f"{100 * row.ppv:>9.2f}{100 * row.f1:>9.2f}"
        + "".join(f"{n:>9}" for n in row.supraventricular)
        + f"{100 * row.told:>9.1f}"
        for row in report.per_record
    ]
    of = {"ventricular beats": ClassScores(report.gross, report.average)}
    of["supraventricular beats"] = report.supraventricular
    if report.unseen is not None:
        of["ventricular beats of records that no model was fitted on"] = report.unseen
    for name, scores in of.items():
        gross, average = scores.gross, scores.average
        low, high = gross.f1_95
        lines += [
            f"\n{name}: TP {gross.tp}  FN {gross.fn}  FP {gross.fp}",
            f"  gross    Se {100 * gross.se:.2f}  +P {100 * gross.ppv:.2f}  F1 {100 * gross.f1:.2f}",
            f"  F1 with 95 % confidence between {100 * low:.2f} and {100 * high:.2f}",
            f"  average  Se {100 * average.se:.2f}  +P {100 * average.ppv:.2f}  F1 {100 * average.f1:.2f}",
        ]
    lines += [
        f"\nclass {report.decision_s_median:.2f} s after the R peak (median), {report.decision_s_max:.2f} s at most",
        f"CPU {report.cpu_s_per_hour:.3f} s per hour of signal; {report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def _report(request: Request, recordings: Sequence[Recording], found: dict[str, Found], cpu_s: float) -> ClassesReport:
    both = {one.name: count(one, found[one.name].at, found[one.name].kind) for one in recordings}
    fitted = {one.name: fingerprint(one) in fold_of() for one in recordings}
    used = [one.name for one in recordings if not one.paced]
    ventricular = _scores([both[name][0] for name in used])
    unseen = [name for name in used if not fitted[name]]
    delay = np.concatenate([found[one.name].delay / one.rate_hz for one in recordings])
    leads = "first lead" if request.leads == 1 else f"first {request.leads} leads together"
    return ClassesReport(
        rule=RULE.format(leads=leads),
        records=tuple(one.name for one in recordings),
        leads=request.leads,
        counted=len(used),
        gross=ventricular.gross,
        average=ventricular.average,
        supraventricular=_scores([both[name][1] for name in used]),
        unseen=_scores([both[name][0] for name in unseen]) if unseen else None,
        per_record=tuple(
            ClassRecord(
                one.name,
                one.paced,
                fitted[one.name],
                *both[one.name][0],
                *_fractions(np.array([both[one.name][0]])),
                both[one.name][1],
                mean((found[one.name].kind > 0).astype(np.float64)),
            )
            for one in recordings
        ),
        decision_s_median=float(np.median(delay)) if len(delay) else np.nan,
        decision_s_max=float(delay.max()) if len(delay) else np.nan,
        cpu_s_per_hour=cpu_s / sum(one.leads.shape[-1] / one.rate_hz / 3600.0 for one in recordings),
        algorithm=ALGORITHM,
        version=installed(),
        source=SOURCE,
    )


def _scores(counts: Sequence[Counts]) -> ClassScores:
    rows = np.array(counts, np.float64).reshape(-1, 3)
    tp, fn, fp = (int(total) for total in rows.sum(axis=0))
    bounds = [interval(rows, partial(_fraction, which=k)) for k in range(3)]
    each = np.array([_fractions(row[None]) for row in rows if row[:2].sum()]).reshape(-1, 3)
    return ClassScores(
        ClassGross(*_fractions(rows), tp, fn, fp, *bounds),
        ClassAverage(*(mean(column) for column in each.T)),
    )


def _fractions(rows: Array) -> tuple[float, float, float]:
    """Se, +P and F1 of all rows together."""
    tp, fn, fp = (float(total) for total in rows.sum(axis=0))
    return share(tp, tp + fn), share(tp, tp + fp), share(2.0 * tp, 2.0 * tp + fn + fp)


def _fraction(rows: Array, which: int) -> float:
    return _fractions(rows)[which]
