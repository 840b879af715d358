"""Task `beats`: QRS detection by the rules of ANSI/AAMI EC57."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from anomaly.beats import BeatDetector
from anomaly.kernel import Array, BoolArray
from deploy.evaluate.matching import match
from deploy.evaluate.records import EvaluateError, Recording, names_of, read
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, mean, share

WINDOW_S = 0.150
LEARNING_S = 300.0
PACKET_S = 0.25
ALGORITHM = "anomaly.beats.BeatDetector"
RULE = (
    "ANSI/AAMI EC57: first lead, causal, in packets of about 250 ms; a detection matches an annotated beat within "
    "150 ms, one to one; the first 5 minutes are learned on and not counted; segments of ventricular flutter and "
    "fibrillation are left out; bias is the mean and spread the standard deviation of detection minus annotation, "
    "nothing fitted"
)
SOURCE = (
    "WFDB annotations; for MIT-BIH: Moody & Mark, IEEE Eng Med Biol 20:45-50 (2001), doi:10.1109/51.932724; "
    "Goldberger et al., Circulation 101:e215 (2000), doi:10.1161/01.CIR.101.23.e215"
)


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


class Average(msgspec.Struct, frozen=True):
    """Mean over records, each weighing the same."""

    se: float
    ppv: float
    f1: float


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


class Scores(msgspec.Struct, frozen=True):
    """A set of records, both ways."""

    records: int
    gross: Gross
    average: Average


class BeatsReport(msgspec.Struct, frozen=True, tag_field="task", tag="beats"):
    """What `femtoward evaluate beats --json` prints."""

    rule: str
    records: tuple[str, ...]
    gross: Gross
    average: Average
    nonpaced: Scores
    per_record: tuple[RecordScore, ...]
    searched_back: float
    decision_s_median: float  # from the R peak found to the decision, without search-back
    decision_s_max: float
    search_back_s_max: float
    cpu_s_per_hour: float  # of detection, per hour of signal
    algorithm: str
    version: str
    source: str


class Detections(NamedTuple):
    """Beats found in one record, by time."""

    at: Array  # samples
    found_back: BoolArray
    delay: Array  # samples from R peak to decision


def evaluate(request: Request, tell: Tell) -> BeatsReport:
    """Stream records through the flow's beat detector and score what it finds.

    Parameters
    ----------
    request
        Names a folder of WFDB records (``NAME.hea``) with reference annotations (``NAME.atr``).
    tell
        Told in words what is being done.
    """
    folder = request.folder
    names = names_of(folder, request.records)
    tell(f"reading {len(names)} records of {folder}")
    recordings = [read(folder, name) for name in names]
    scores: dict[str, tuple[RecordScore, Array]] = {}
    found: list[tuple[Recording, Detections]] = []
    cpu_s = 0.0
    for rate_hz in sorted({recording.rate_hz for recording in recordings}):
        bank = [recording for recording in recordings if recording.rate_hz == rate_hz]
        tell(f"detecting beats in {len(bank)} records at {rate_hz:g} Hz")
        start = time.process_time()
        found += zip(bank, detect([recording.signal for recording in bank], rate_hz), strict=True)
        cpu_s += time.process_time() - start
    back = fast = slow = np.zeros(0)
    for recording, detections in found:
        scores[recording.name] = score(recording, detections)
        late = detections.found_back
        back = np.append(back, late[_counted(detections.at, recording)])
        fast = np.append(fast, detections.delay[~late] / recording.rate_hz)
        slow = np.append(slow, detections.delay[late] / recording.rate_hz)
    ordered = [scores[name] for name in names]
    everything = summary(ordered)
    return BeatsReport(
        rule=RULE,
        records=names,
        gross=everything.gross,
        average=everything.average,
        nonpaced=summary([item for item in ordered if not item[0].paced]),
        per_record=tuple(row for row, _ in ordered),
        searched_back=mean(back),
        decision_s_median=float(np.median(fast)) if len(fast) else np.nan,
        decision_s_max=float(fast.max()) if len(fast) else np.nan,
        search_back_s_max=float(slow.max()) if len(slow) else np.nan,
        cpu_s_per_hour=cpu_s / sum(len(recording.signal) / recording.rate_hz / 3600.0 for recording in recordings),
        algorithm=ALGORITHM,
        version=installed(),
        source=SOURCE,
    )


def detect(signals: Sequence[Array], rate_hz: float) -> list[Detections]:
    """Stream signals as the rows of one bank, in packets of about 250 ms.

    Each is held at its last value until the longest has ended and two packets more, for the decisions that are pending.
    """
    packet = max(1, round(PACKET_S * rate_hz))
    n_packets = -(-max(len(x) for x in signals) // packet) + 2
    bank = np.stack([np.pad(x, (0, n_packets * packet - len(x)), mode="edge") for x in signals])[:, None, :]
    try:
        kernel = BeatDetector(rate_hz)
    except ValueError as error:
        raise EvaluateError(f"the records are sampled at {rate_hz:g} Hz: {error}") from error
    state = kernel.init(bank[..., :packet])
    parts = []
    for k in range(n_packets):
        state, out = kernel.step(state, np.ascontiguousarray(bank[..., k * packet : (k + 1) * packet]))
        row, slot = np.nonzero(~np.isnan(out.at))
        at = out.at[row, slot]
        parts.append(np.stack([row, at, out.found_back[row, slot], out.decided[row, slot] - at]))
    row, at, back, delay = np.concatenate(parts, axis=1)
    result = []
    for k, x in enumerate(signals):
        mine = np.flatnonzero((row == k) & (at < len(x)))
        mine = mine[np.argsort(at[mine], kind="stable")]
        result.append(Detections(at[mine], back[mine] > 0.0, delay[mine]))
    return result


def score(recording: Recording, detections: Detections) -> tuple[RecordScore, Array]:
    """Score of one record, and the time errors (ms) of its counted matches.

    A match counts if its annotation does; a detection without a partner counts by its own time.
    """
    of_beat, of_found = match(recording.beats, detections.at, WINDOW_S * recording.rate_hz)
    beats = _counted(recording.beats, recording)
    extra = _counted(detections.at, recording) & (of_found < 0)
    hit = beats & (of_beat >= 0)
    error_ms = (detections.at[of_beat[hit]] - recording.beats[hit]) * 1e3 / recording.rate_hz
    tp, fn, fp = int(hit.sum()), int((beats & ~hit).sum()), int(extra.sum())
    row = RecordScore(
        record=recording.name,
        paced=recording.paced,
        tp=tp,
        fn=fn,
        fp=fp,
        se=share(tp, tp + fn),
        ppv=share(tp, tp + fp),
        f1=share(2 * tp, 2 * tp + fn + fp),
        bias_ms=mean(error_ms),
        spread_ms=float(error_ms.std()) if len(error_ms) else np.nan,
        searched_back=mean(detections.found_back[_counted(detections.at, recording)].astype(float)),
    )
    return row, error_ms


def summary(scored: Sequence[tuple[RecordScore, Array]]) -> Scores:
    """Gross and average statistics of a set of records."""
    rows = [row for row, _ in scored]
    tp, fn, fp = (sum(getattr(row, name) for row in rows) for name in ("tp", "fn", "fp"))
    errors = np.concatenate([np.zeros(0), *(error for _, error in scored)])
    return Scores(
        records=len(rows),
        gross=Gross(
            se=share(tp, tp + fn),
            ppv=share(tp, tp + fp),
            f1=share(2 * tp, 2 * tp + fn + fp),
            bias_ms=mean(errors),
            spread_ms=float(errors.std()) if len(errors) else np.nan,
            tp=tp,
            fn=fn,
            fp=fp,
        ),
        average=Average(*(mean(np.array([getattr(row, name) for row in rows])) for name in ("se", "ppv", "f1"))),
    )


def as_text(report: BeatsReport) -> str:
    """The report for people, in percent."""
    titles = ("TP", "FN", "FP", "Se %", "+P %", "F1 %", "bias ms", "spread ms")
    lines = [f"{'record':<12}{'paced':>6}" + "".join(f"{title:>10}" for title in titles)]
    lines += [
        f"{row.record:<12}{'yes' if row.paced else '':>6}{row.tp:>10}{row.fn:>10}{row.fp:>10}{100 * row.se:>10.2f}"
        f"{100 * row.ppv:>10.2f}{100 * row.f1:>10.2f}{row.bias_ms:>10.1f}{row.spread_ms:>10.1f}"
        for row in report.per_record
    ]
    everything = Scores(len(report.records), report.gross, report.average)
    for name, scores in (("all records", everything), ("without paced", report.nonpaced)):
        gross, average = scores.gross, scores.average
        counts = f"TP {gross.tp}  FN {gross.fn}  FP {gross.fp}"
        lines += [
            f"\n{name} ({scores.records}): {counts}  bias {gross.bias_ms:.1f} ms  spread {gross.spread_ms:.1f} ms",
            f"  gross    Se {100 * gross.se:.3f}  +P {100 * gross.ppv:.3f}  F1 {100 * gross.f1:.3f}",
            f"  average  Se {100 * average.se:.3f}  +P {100 * average.ppv:.3f}  F1 {100 * average.f1:.3f}",
        ]
    median_ms, most_ms = 1e3 * report.decision_s_median, 1e3 * report.decision_s_max
    fast = f"{median_ms:.0f} ms after the R peak (median), {most_ms:.0f} ms at most"
    back = f"{100 * report.searched_back:.2f} % by search-back, {report.search_back_s_max:.2f} s at most"
    lines += [
        f"\ndecided {fast}; {back}",
        f"CPU {report.cpu_s_per_hour:.3f} s per hour of signal; {report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def _counted(at: Array, recording: Recording) -> BoolArray:
    """Which times are scored: after learning, and a match window away from fibrillation."""
    window = WINDOW_S * recording.rate_hz
    counted = at >= LEARNING_S * recording.rate_hz
    for start, end in recording.fibrillation:
        counted &= (at < start - window) | (at > end + window)
    return counted
