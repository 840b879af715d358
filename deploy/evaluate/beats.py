"""Task `beats`: QRS detection by the rules of ANSI/AAMI EC57, in clean records and in recorded noise."""

import time
from collections.abc import Sequence

import msgspec
import numpy as np

from anomaly.beats import BeatDetector
from anomaly.kernel import Array
from deploy.evaluate import annotations
from deploy.evaluate.beat_scores import (
    Average,
    Detections,
    Good,
    Gross,
    RecordScore,
    Scores,
    Windows,
    record_score,
    rhythm_before,
    score,
    summary,
)
from deploy.evaluate.noise import add, read_noise
from deploy.evaluate.records import EvaluateError, Recording, names_of, read
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, mean

PACKET_S = 0.25
BACK_S = 0.3  # of the bound on a search-back, beside the intervals
ALGORITHM = "anomaly.beats.BeatDetector"
RULE = (
    "ANSI/AAMI EC57: {leads}, causal, in packets of about 250 ms; a detection matches an annotated beat within "
    "150 ms, one to one; the first 5 minutes are learned on and not counted; segments of ventricular flutter and "
    "fibrillation are left out; bias is the mean and spread the standard deviation of detection minus annotation, "
    "nothing fitted; confidence by bootstrap over records"
)
NOISY_RULE = (
    "; noise by the protocol of the Noise Stress Test (two of every four minutes after the first five): the noisy "
    "parts are counted, the others beside them"
)
SOURCE = (
    "WFDB annotations; for MIT-BIH: Moody & Mark, IEEE Eng Med Biol 20:45-50 (2001), doi:10.1109/51.932724; "
    "Goldberger et al., Circulation 101:e215 (2000), doi:10.1161/01.CIR.101.23.e215"
)


class NoiseAdded(msgspec.Struct, frozen=True):
    """Noise that was added to every record."""

    record: str
    snr_db: float
    seed: int


class BeatsReport(msgspec.Struct, frozen=True, tag_field="task", tag="beats"):
    """What `femtoward evaluate beats --json` prints."""

    rule: str
    records: tuple[str, ...]
    leads: int
    noise: NoiseAdded | None
    gross: Gross
    average: Average
    good: Good
    windows: Windows
    nonpaced: Scores
    halves: tuple[Scores, Scores]  # every other record, and the rest
    clean_parts: Scores | None  # of records with noise; everything else is of their noisy parts
    per_record: tuple[RecordScore, ...]
    searched_back: float
    decision_s_median: float  # from the R peak found to the decision, without search-back
    decision_s_max: float
    search_back_s_max: float
    search_back_rr_max: float  # the same less 0.3 s, in median intervals
    cpu_s_per_hour: float  # of detection, per hour of signal
    algorithm: str
    version: str
    source: str


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
    recordings = [read(folder, name, request.leads) for name in names]
    noise = None
    if request.noise is not None:
        noise = read_noise(request.noise, request.snr_db, request.seed)
        recordings = [add(noise, recording) for recording in recordings]
    found: dict[str, Detections] = {}
    cpu_s = 0.0
    for rate_hz in sorted({recording.rate_hz for recording in recordings}):
        bank = [recording for recording in recordings if recording.rate_hz == rate_hz]
        tell(f"detecting beats in {len(bank)} records at {rate_hz:g} Hz")
        start = time.process_time()
        detected = detect([recording.leads for recording in bank], rate_hz)
        cpu_s += time.process_time() - start
        found |= {recording.name: one for recording, one in zip(bank, detected, strict=True)}
    if request.annotations is not None:
        for recording in recordings:
            marks = annotations.beats(found[recording.name].at)
            annotations.write(request.annotations, recording.name, recording.rate_hz, marks)
    stressed = any(len(recording.noisy) for recording in recordings)
    scored = [score(recording, found[recording.name], "noisy" if stressed else "all") for recording in recordings]
    clean = [score(recording, found[recording.name], "clean") for recording in recordings] if stressed else []
    everything = summary(scored)
    back = np.concatenate([one.found_back for one in scored])
    fast, slow, in_rr = _delays(recordings, found)
    leads = "first lead" if request.leads == 1 else f"first {request.leads} leads together"
    return BeatsReport(
        rule=RULE.format(leads=leads) + (NOISY_RULE if stressed else ""),
        records=names,
        leads=request.leads,
        noise=None if noise is None else NoiseAdded(noise.name, noise.snr_db, noise.seed),
        gross=everything.gross,
        average=everything.average,
        good=everything.good,
        windows=everything.windows,
        nonpaced=summary([one for one in scored if not one.paced]),
        halves=(summary(scored[::2]), summary(scored[1::2])),
        clean_parts=summary(clean) if stressed else None,
        per_record=tuple(record_score(one) for one in scored),
        searched_back=mean(back.astype(np.float64)),
        decision_s_median=float(np.median(fast)) if len(fast) else np.nan,
        decision_s_max=_most(fast),
        search_back_s_max=_most(slow),
        search_back_rr_max=_most(in_rr),
        cpu_s_per_hour=cpu_s / sum(one.leads.shape[-1] / one.rate_hz / 3600.0 for one in recordings),
        algorithm=ALGORITHM,
        version=installed(),
        source=SOURCE,
    )


def detect(signals: Sequence[Array], rate_hz: float) -> list[Detections]:
    """Stream signals of shape ``(n_leads, n_samples)`` as the rows of one bank, in packets of about 250 ms.

    Each is held at its last value until the longest has ended and two packets more, for the decisions that are pending.
    """
    packet = max(1, round(PACKET_S * rate_hz))
    n_packets = -(-max(x.shape[-1] for x in signals) // packet) + 2
    bank = np.stack([np.pad(x, ((0, 0), (0, n_packets * packet - x.shape[-1])), mode="edge") for x in signals])
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
        late = out.decided[row, slot] - at
        parts.append(np.stack([row, at, out.found_back[row, slot], late, out.quality[row, slot]]))
    row, at, back, delay, quality = np.concatenate(parts, axis=1)
    result = []
    for k, x in enumerate(signals):
        mine = np.flatnonzero((row == k) & (at < x.shape[-1]))
        mine = mine[np.argsort(at[mine], kind="stable")]
        result.append(Detections(at[mine], back[mine] > 0.0, delay[mine], quality[mine]))
    return result


def as_text(report: BeatsReport) -> str:
    """The report for people, in percent."""
    titles = ("TP", "FN", "FP", "Se %", "+P %", "F1 %", "bias ms", "spread ms", "good %", "worst 10 s")
    lines = [f"{'record':<12}{'paced':>6}" + "".join(f"{title:>11}" for title in titles)]
    lines += [
        f"{row.record:<12}{'yes' if row.paced else '':>6}{row.tp:>11}{row.fn:>11}{row.fp:>11}{100 * row.se:>11.2f}"
        f"{100 * row.ppv:>11.2f}{100 * row.f1:>11.2f}{row.bias_ms:>11.1f}{row.spread_ms:>11.1f}"
        f"{100 * row.good:>11.1f}{100 * row.f1_worst_10s:>11.1f}"
        for row in report.per_record
    ]
    everything = Scores(len(report.records), report.gross, report.average, report.good, report.windows)
    of = {"noisy parts, all records": everything, "noisy parts, without paced": report.nonpaced}
    if report.clean_parts is None:
        of = {"all records": everything, "without paced": report.nonpaced}
    else:
        of["clean parts"] = report.clean_parts
    of |= {"every other record": report.halves[0], "the rest": report.halves[1]}
    for name, scores in of.items():
        lines += _in_words(name, scores)
    median_ms, most_ms = 1e3 * report.decision_s_median, 1e3 * report.decision_s_max
    fast = f"{median_ms:.0f} ms after the R peak (median), {most_ms:.0f} ms at most"
    back = (
        f"{100 * report.searched_back:.2f} % by search-back, {report.search_back_s_max:.2f} s at most "
        f"(300 ms and {report.search_back_rr_max:.2f} intervals)"
    )
    if report.noise is not None:
        lines.append(f"\nnoise {report.noise.record} at {report.noise.snr_db:g} dB, seed {report.noise.seed}")
    lines += [
        f"\ndecided {fast}; {back}",
        f"CPU {report.cpu_s_per_hour:.3f} s per hour of signal; {report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def _in_words(name: str, scores: Scores) -> list[str]:
    gross, average, good, windows = scores.gross, scores.average, scores.good, scores.windows
    counts = f"TP {gross.tp}  FN {gross.fn}  FP {gross.fp}"
    sure = ", ".join(
        f"{title} {100 * low:.2f}-{100 * high:.2f}"
        for title, (low, high) in (("Se", gross.se_95), ("+P", gross.ppv_95), ("F1", gross.f1_95))
    )
    good_ones = (
        f"{100 * good.share:.2f} % of detections, +P {100 * good.ppv:.3f}, holding {100 * good.holding:.2f} % of beats"
    )
    worst = (
        f"without error {100 * windows.perfect:.2f} %, F1 of the worst percent {100 * windows.f1_lowest_percent:.1f}, "
        f"worst {100 * windows.f1_worst:.1f}"
    )
    return [
        f"\n{name} ({scores.records}): {counts}  bias {gross.bias_ms:.1f} ms  spread {gross.spread_ms:.1f} ms",
        f"  gross    Se {100 * gross.se:.3f}  +P {100 * gross.ppv:.3f}  F1 {100 * gross.f1:.3f}  (95 %: {sure})",
        f"  average  Se {100 * average.se:.3f}  +P {100 * average.ppv:.3f}  F1 {100 * average.f1:.3f}",
        f"  good (quality >= {good.quality:g})  {good_ones}",
        f"  10 s windows  {windows.n}, {worst}",
    ]


def _delays(recordings: Sequence[Recording], found: dict[str, Detections]) -> tuple[Array, Array, Array]:
    """Seconds to the decision without and with search-back, and the latter beyond 300 ms in median intervals."""
    fast, slow, in_rr = [], [], []
    for recording in recordings:
        one = found[recording.name]
        back, delay_s = one.found_back, one.delay / recording.rate_hz
        fast.append(delay_s[~back])
        slow.append(delay_s[back])
        rr_s = rhythm_before(one.at, back) / recording.rate_hz
        known = ~np.isnan(rr_s)
        in_rr.append((delay_s[back][known] - BACK_S) / rr_s[known])
    return np.concatenate(fast), np.concatenate(slow), np.concatenate(in_rr)


def _most(values: Array) -> float:
    return float(values.max()) if len(values) else np.nan
