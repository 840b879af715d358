"""Task `alarms`: bedside alarms told true from false by the rules of PhysioNet/CinC 2015, real time."""

import time

import msgspec
import numpy as np
from scipy import stats

from anomaly.judgement import ARRHYTHMIAS, FITS, LEAST, Opinion, in_words
from anomaly.kernel import Array, BoolArray, IntArray
from deploy.evaluate.bedside import Alarm, alarms_of, is_ventricular, read, truth_of
from deploy.evaluate.fit_alarms import CHOICES, MIX, fits, opinions, probabilities, weights_of
from deploy.evaluate.listening import listen
from deploy.evaluate.nested import nested, patients_of
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, interval, mean, share

MISSED_COSTS = 5.0
ALGORITHM = "anomaly.witness, anomaly.judgement"
RULE = (
    "PhysioNet/CinC 2015, real time: nothing after 5:00 is used; score (TP+TN)/(TP+TN+FP+5FN) with each kind of alarm "
    "weighted to its true and false alarms in the whole training set; fitted and chosen by nested cross-validation, "
    "records with neighbouring numbers in one fold; `shipped` is by the constants that the flow has"
)
SOURCE = (
    "Clifford et al., Computing in Cardiology 42:273-276 (2015), doi:10.1109/CIC.2015.7408639; "
    "Goldberger et al., Circulation 101:e215 (2000), doi:10.1161/01.CIR.101.23.e215"
)
TITLES: dict[str, str] = dict(
    zip(ARRHYTHMIAS, ("asystole", "bradycardia", "tachycardia", "VF / flutter", "ventr. tachy."), strict=True)
)


class Gross(msgspec.Struct, frozen=True):
    """All alarms, weighted to the whole set's mix; fractions."""

    score: float
    score_low: float  # 95 % by bootstrap over records
    score_high: float
    se: float
    sp: float


class Average(msgspec.Struct, frozen=True):
    """Mean over the kinds of alarm."""

    se: float
    sp: float


class OfKind(msgspec.Struct, frozen=True):
    """One kind of alarm; limits are exact 95 % (Clopper & Pearson)."""

    alarm: str
    tp: int
    fn: int
    fp: int
    tn: int
    se: float
    se_low: float
    se_high: float
    sp: float
    sp_low: float
    sp_high: float


class RecordVerdict(msgspec.Struct, frozen=True):
    """One alarm."""

    record: str
    alarm: str
    true: bool
    called_true: bool
    probability: float  # that it is true
    margin: float
    reason: str


class AlarmsReport(msgspec.Struct, frozen=True, tag_field="task", tag="alarms"):
    """What `femtoward evaluate alarms --json` prints."""

    rule: str
    records: tuple[str, ...]
    gross: Gross
    average: Average
    per_alarm: tuple[OfKind, ...]
    per_record: tuple[RecordVerdict, ...]
    missed: tuple[RecordVerdict, ...]  # true alarms that were called false
    shipped: Gross
    chosen: dict[str, int]  # how often the inner folds chose which setting
    cpu_s_per_hour: float  # of detection, per hour of one record's signals
    algorithm: str
    version: str
    source: str


def evaluate(request: Request, tell: Tell) -> AlarmsReport:
    """Judge the alarms of a folder of records with ALARMS.csv.

    Parameters
    ----------
    request
        Names the folder.
    tell
        Told in words what is being done.
    """
    alarms = alarms_of(request.folder, request.records)
    kind, true = truth_of(alarms)
    tell(f"reading {len(alarms)} records of {request.folder}")
    bedsides = [read(request.folder, alarm.record) for alarm in alarms]
    tell("finding beats and pulses up to the alarms")
    start = time.process_time()
    rings = listen(bedsides, is_ventricular(alarms))
    cpu_s = time.process_time() - start
    tell("fitting by nested cross-validation")
    told = [opinions(rings, kind, choice) for choice in CHOICES]
    weights = weights_of(kind, true)

    def predict(choice: int, train: IntArray, test: IntArray) -> Array:
        return probabilities(told[choice], kind, fits(told[choice], kind, true, weights, train), test)

    def cost(predicted: Array, records: IntArray) -> float:
        wrong = (predicted >= LEAST) != true[records]
        return float((weights[records] * wrong * np.where(true[records], MISSED_COSTS, 1.0)).sum())

    patients = patients_of([alarm.record for alarm in alarms])
    found, choice = nested(2 * kind + true, patients, len(CHOICES), predict, cost)
    rows = tuple(_verdict(alarm, told[choice[k]], k, float(found[k])) for k, alarm in enumerate(alarms))
    called = found >= LEAST
    shipped = probabilities(told[0], kind, [FITS[alarm] for alarm in ARRHYTHMIAS], np.arange(len(kind))) >= LEAST
    per_alarm = tuple(_of_kind(k, kind, true, called) for k in range(len(ARRHYTHMIAS)) if (kind == k).any())
    hours = sum(bedside.leads.shape[1] / bedside.rate_hz for bedside in bedsides) / 3600.0
    return AlarmsReport(
        rule=RULE,
        records=tuple(alarm.record for alarm in alarms),
        gross=_gross(kind, true, called),
        average=Average(*(mean(np.array([getattr(row, name) for row in per_alarm])) for name in ("se", "sp"))),
        per_alarm=per_alarm,
        per_record=rows,
        missed=tuple(row for row in rows if row.true and not row.called_true),
        shipped=_gross(kind, true, shipped),
        chosen={str(CHOICES[k]): int((choice == k).sum()) for k in np.unique(choice)},
        cpu_s_per_hour=cpu_s / hours,
        algorithm=ALGORITHM,
        version=installed(),
        source=SOURCE,
    )


def score(cells: Array) -> tuple[float, float, float]:
    """Score, sensitivity and specificity in the whole set's mix.

    Parameters
    ----------
    cells : ndarray, shape (n_kinds, 2, 2)
        Records by kind of alarm, truth (true first), and whether they were called right (right first). A kind of which
        there are no true, or no false alarms, has no weight there.
    """
    mix = np.array([MIX[alarm] for alarm in ARRHYTHMIAS], np.float64)
    total = cells.sum(axis=-1)
    right = np.divide(cells[..., 0], total, out=np.zeros_like(total), where=total > 0) * mix
    wrong = np.where(total > 0, mix, 0.0) - right
    tp, tn, fn, fp = (float(x) for x in (*right.sum(axis=0), *wrong.sum(axis=0)))
    return share(tp + tn, tp + tn + fp + MISSED_COSTS * fn), share(tp, tp + fn), share(tn, tn + fp)


def _gross(kind: IntArray, true: BoolArray, called: BoolArray) -> Gross:
    place = 4 * kind + 2 * ~true + (called != true)
    whole = score(_cells(place))
    low, high = interval(place, lambda drawn: score(_cells(drawn.astype(np.int64)))[0])
    return Gross(score=whole[0], score_low=low, score_high=high, se=whole[1], sp=whole[2])


def _cells(place: IntArray) -> Array:
    return np.bincount(place, minlength=4 * len(ARRHYTHMIAS)).reshape(-1, 2, 2).astype(np.float64)


def _of_kind(k: int, kind: IntArray, true: BoolArray, called: BoolArray) -> OfKind:
    mine = kind == k
    tp, fn = int((mine & true & called).sum()), int((mine & true & ~called).sum())
    fp, tn = int((mine & ~true & called).sum()), int((mine & ~true & ~called).sum())
    se, sp = exact(tp, tp + fn), exact(tn, tn + fp)
    return OfKind(ARRHYTHMIAS[k], tp, fn, fp, tn, share(tp, tp + fn), *se, share(tn, tn + fp), *sp)


def exact(part: int, whole: int) -> tuple[float, float]:
    """Exact 95 % limits of a share.

    Examples
    --------
    >>> [round(x, 3) for x in exact(15, 15)]
    [0.782, 1.0]
    """
    if whole == 0:
        return np.nan, np.nan
    low = float(stats.beta.ppf(0.025, part, whole - part + 1)) if part else 0.0
    high = float(stats.beta.ppf(0.975, part + 1, whole - part)) if part < whole else 1.0
    return low, high


def _verdict(alarm: Alarm, opinion: Opinion, k: int, probability: float) -> RecordVerdict:
    value, witness = float(opinion.value[k]), int(opinion.witness[k])
    called_true = probability >= LEAST
    return RecordVerdict(
        record=alarm.record,
        alarm=alarm.condition,
        true=alarm.true,
        called_true=called_true,
        probability=round(probability, 4),
        margin=round(float(opinion.margin[k]), 4),
        reason=in_words(alarm.condition, value, ("the ECG", "the light pulse", "the pressure pulse"), witness),
    )


def as_text(report: AlarmsReport) -> str:
    """The report for people, in percent."""
    lines = [f"{'record':<10}{'alarm':<16}{'truth':<7}{'called':<8}{'prob.':>6}  reason"]
    lines += [
        f"{row.record:<10}{TITLES[row.alarm]:<16}{_word(row.true):<7}{_word(row.called_true):<8}"
        f"{row.probability:>6.2f}  {row.reason}"
        for row in report.per_record
    ]
    lines += ["", f"{'alarm':<16}{'TP':>4}{'FN':>4}{'FP':>4}{'TN':>4}{'Se %':>22}{'Sp %':>22}"]
    lines += [
        f"{TITLES[row.alarm]:<16}{row.tp:>4}{row.fn:>4}{row.fp:>4}{row.tn:>4}"
        f"{_range(row.se, row.se_low, row.se_high):>22}{_range(row.sp, row.sp_low, row.sp_high):>22}"
        for row in report.per_alarm
    ]
    for name, gross in (("nested cross-validation", report.gross), ("the flow's constants", report.shipped)):
        lines.append(
            f"\n{name}: score {_range(gross.score, gross.score_low, gross.score_high)} in the whole set's mix, "
            f"Se {100 * gross.se:.1f}, Sp {100 * gross.sp:.1f}"
        )
    lines.append(f"mean over kinds of alarm: Se {100 * report.average.se:.1f}, Sp {100 * report.average.sp:.1f}")
    lines.append(f"\ntrue alarms called false: {len(report.missed) or 'none'}")
    lines += [f"  {row.record}: {TITLES[row.alarm]}, {row.reason}" for row in report.missed]
    lines += [
        f"\nsettings chosen: {', '.join(f'{name} {n} x' for name, n in report.chosen.items())}",
        f"CPU {report.cpu_s_per_hour:.3f} s per hour of signal; {report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def _word(true: bool) -> str:  # noqa: FBT001 - one private caller
    return "true" if true else "false"


def _range(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} ({100 * low:.1f}-{100 * high:.1f})"
