"""Task `resp`: breath rate from light, and from light and ECG, against two annotators."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from anomaly.kernel import Array, BoolArray
from dataflows.breathing import GOOD_QUALITY, TRACKER, Breathing
from dataflows.cardiac import Cardiac
from dataflows.estimates import nothing_measured
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns
from dataflows.optical import Optical
from deploy.evaluate.breaths import BreathRecording, names_of, read
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, interval, mean, share
from ingest.packet import StateFlag

WINDOW_S = 32
PACKET_S = 0.25
START_NS = 1_600_000_000 * SECOND_NS  # when a recording is taken to begin
COUNTS, ABSORBED = 1e6, 0.02  # photons per sample, and what of them a full pulse takes away
ALGORITHM = "anomaly.breath.BreathTracker"
RULE = (
    "windows of 32 s that do not overlap; each in which both annotators mark at least two breaths counts; an "
    "annotator's rate is 60 over the mean interval of the breaths in the window; the estimate is what was believed at "
    "the window's end, causal, in packets of about 250 ms; error is the mean of its distances to both annotators; mae "
    "is over the windows whose quality reached the flow's own threshold, mae_full over all; neither the impedance "
    "respiration nor the monitor's numerics are an input"
)
SOURCE = (
    "BIDMC PPG and Respiration: Pimentel et al., IEEE Trans Biomed Eng 64:1914 (2017), doi:10.1109/TBME.2016.2613124; "
    "Goldberger et al., Circulation 101:e215 (2000), doi:10.1161/01.CIR.101.23.e215"
)


class Score(msgspec.Struct, frozen=True):
    """Of a set of windows; rates in breaths per minute, NaN (null in JSON) where there are none."""

    mae: float  # of the windows that were told
    coverage: float  # share of the windows that were told
    mae_full: float  # of all windows
    bias: float  # estimate minus mean of the annotators, of the windows that were told
    within_u: float  # share of these whose error is within one standard uncertainty
    worst: float  # error of the worst of them


class Scores(msgspec.Struct, frozen=True):
    """A set of inputs: all windows together, and the mean over records."""

    gross: Score
    average: Score
    mae_95: tuple[float, float]  # bootstrap over records
    mae_full_95: tuple[float, float]


class RecordScore(msgspec.Struct, frozen=True):
    """One record."""

    record: str
    windows: int
    rate: float  # mean of the annotators
    annotators_differ: float  # mean distance of the two
    ppg: Score
    ppg_ecg: Score


class RespReport(msgspec.Struct, frozen=True, tag_field="task", tag="resp"):
    """What `femtoward evaluate resp --json` prints."""

    rule: str
    records: tuple[str, ...]
    gross: Score  # with light and ECG
    average: Score
    ppg: Scores  # with light alone
    ppg_ecg: Scores
    constant_mae: float  # of the median rate of all windows, guessed in each
    windows: int
    per_record: tuple[RecordScore, ...]
    quality: float  # threshold
    cpu_s_per_hour: float  # of both, per hour of signal
    algorithm: str
    version: str
    source: str


class Track(NamedTuple):
    """What was believed at the end of each second of a recording."""

    rate: Array  # (n_seconds,)
    u: Array
    told: BoolArray  # its quality reached the threshold


class Windows(NamedTuple):
    """The windows of one recording that count; shape (n,) each."""

    truth: Array  # (n, 2) by annotator
    rate: Array
    u: Array
    told: BoolArray


def evaluate(request: Request, tell: Tell) -> RespReport:
    """Stream recordings through the flow's lanes and trackers and score the breath rate.

    Parameters
    ----------
    request
        Names a folder with BIDMC's CSV files.
    tell
        Told in words what is being done.
    """
    names = names_of(request.folder, request.records)
    tell(f"reading {len(names)} recordings of {request.folder}")
    recordings = [read(request.folder, name) for name in names]
    tracks: dict[str, tuple[Track, Track]] = {}
    cpu_s = 0.0
    for rate_hz in sorted({recording.rate_hz for recording in recordings}):
        bank = [recording for recording in recordings if recording.rate_hz == rate_hz]
        tell(f"following the breath of {len(bank)} recordings at {rate_hz:g} Hz")
        start = time.process_time()
        tracks |= zip((recording.name for recording in bank), follow(bank, rate_hz), strict=True)
        cpu_s += time.process_time() - start
    seen = [tuple(windows(recording, track) for track in tracks[recording.name]) for recording in recordings]
    light, both = [pair[0] for pair in seen], [pair[1] for pair in seen]
    truth = np.concatenate([each.truth for each in light])
    everything = scores(both)
    return RespReport(
        rule=RULE,
        records=names,
        gross=everything.gross,
        average=everything.average,
        ppg=scores(light),
        ppg_ecg=everything,
        constant_mae=mean(np.abs(truth - (np.median(truth) if len(truth) else np.nan)).mean(axis=-1)),
        windows=len(truth),
        per_record=tuple(
            RecordScore(
                record=recording.name,
                windows=len(a.truth),
                rate=mean(a.truth.ravel()),
                annotators_differ=mean(np.abs(a.truth[:, 0] - a.truth[:, 1])),
                ppg=score(a),
                ppg_ecg=score(b),
            )
            for recording, a, b in zip(recordings, light, both, strict=True)
        ),
        quality=GOOD_QUALITY,
        cpu_s_per_hour=cpu_s / sum(len(recording.light) / recording.rate_hz / 3600.0 for recording in recordings),
        algorithm=ALGORITHM,
        version=installed(),
        source=SOURCE,
    )


def follow(recordings: Sequence[BreathRecording], rate_hz: float) -> list[tuple[Track, Track]]:
    """Stream recordings as the rows of one bank, as the flow does; return the tracks with light, and with both."""
    packet = max(1, round(PACKET_S * rate_hz))
    n_packets = -(-max(len(recording.light) for recording in recordings) // packet)
    # The flow counts photons: the more blood, the fewer.
    light = COUNTS * np.exp(-ABSORBED * _padded([recording.light for recording in recordings], n_packets * packet))
    ecg = _padded([recording.ecg for recording in recordings], n_packets * packet)
    try:
        optical = Optical(rate_hz, packet, (Part("i4", 1),))
        cardiac = Cardiac(rate_hz, packet, Part("f4", 1), Part("i2", 0))
        t0_ns = np.full(len(recordings), START_NS)
        seen = optical.init(light[..., :packet], t0_ns)
        beaten = cardiac.init(ecg[..., :packet], t0_ns)
    except ValueError as error:
        raise EvaluateError(f"the recordings are sampled at {rate_hz:g} Hz: {error}") from error
    names = [recording.name for recording in recordings]
    flags = np.full(len(names), int(StateFlag.LOCKED))
    patients = Breathing(), Breathing()
    rows: tuple[list[Array], list[Array]] = ([], [])
    second = 1
    for k in range(n_packets):
        part = slice(k * packet, (k + 1) * packet)
        seen = optical.step(seen, np.ascontiguousarray(light[..., part]), t0_ns, flags)
        beaten = cardiac.step(beaten, np.ascontiguousarray(ecg[..., part]), t0_ns, flags)
        t0_ns = t0_ns + block_ns(optical)
        if t0_ns[0] < START_NS + second * SECOND_NS:
            continue
        end_ns = np.full(len(names), START_NS + second * SECOND_NS)
        second += 1
        known = nothing_measured(len(names))._replace(optical=optical.estimate(seen, end_ns))
        for which, one in enumerate((known, known._replace(cardiac=cardiac.estimate(beaten, end_ns)))):
            told = patients[which].step(names, one, end_ns)
            believed = TRACKER.out(patients[which].bank.take(names).tracker)
            rows[which].append(np.stack([believed.rate_bpm, believed.u, np.isfinite(told.rate)]))
    both = [np.stack(each, axis=-1) for each in rows]
    return [(_track(both[0][:, row]), _track(both[1][:, row])) for row in range(len(names))]


def windows(recording: BreathRecording, track: Track) -> Windows:
    """The windows in which both annotators mark breaths, and what was believed at the end of each."""
    n = min(int(len(recording.light) / recording.rate_hz), len(track.rate)) // WINDOW_S
    truth = np.array(
        [[_rate(marks, k * WINDOW_S, (k + 1) * WINDOW_S) for marks in recording.breaths_s] for k in range(n)]
    ).reshape(-1, 2)
    counted = np.isfinite(truth).all(axis=-1)
    at = (np.flatnonzero(counted) + 1) * WINDOW_S - 1
    return Windows(truth[counted], track.rate[at], track.u[at], track.told[at])


def score(seen: Windows) -> Score:
    """Score of some windows."""
    error = np.abs(seen.rate[:, None] - seen.truth).mean(axis=-1)
    off = seen.rate - seen.truth.mean(axis=-1)
    told = seen.told
    return Score(
        mae=mean(error[told]),
        coverage=share(int(told.sum()), len(told)),
        mae_full=mean(error),
        bias=mean(off[told]),
        within_u=mean((np.abs(off) <= seen.u)[told].astype(np.float64)),
        worst=float(error[told].max()) if told.any() else np.nan,
    )


def scores(per_record: Sequence[Windows]) -> Scores:
    """Gross and average scores of a set of records."""
    rows = [score(one) for one in per_record]
    everything = Windows(*(np.concatenate(columns) for columns in zip(*per_record, strict=True)))
    fields = {name: np.array([getattr(row, name) for row in rows]) for name in Score.__struct_fields__}
    return Scores(
        gross=score(everything),
        average=Score(**{name: mean(column) for name, column in fields.items()}),
        mae_95=interval(fields["mae"], mean),
        mae_full_95=interval(fields["mae_full"], mean),
    )


def as_text(report: RespReport) -> str:
    """The report for people."""
    titles = ("windows", "rate /min", "differ", "ppg MAE", "told %", "all", "+ecg MAE", "told %", "all")
    lines = [f"{'record':<12}" + "".join(f"{title:>10}" for title in titles)]
    for row in report.per_record:
        cells = f"{row.record:<12}{row.windows:>10}{row.rate:>10.1f}{row.annotators_differ:>10.2f}"
        for one in (row.ppg, row.ppg_ecg):
            cells += f"{one.mae:>10.2f}{100 * one.coverage:>10.0f}{one.mae_full:>10.2f}"
        lines.append(cells)
    for name, of in (("light", report.ppg), ("light and ECG", report.ppg_ecg)):
        lines.append(f"\n{name}:")
        for kind, one in (("gross", of.gross), ("average", of.average)):
            lines.append(
                f"  {kind:<8} MAE {one.mae:.2f} at {100 * one.coverage:.1f} % told, {one.mae_full:.2f} at 100 %; "
                f"bias {one.bias:+.2f}, within one u {100 * one.within_u:.0f} %, worst {one.worst:.1f}"
            )
        low, high = of.mae_95
        lines.append(f"  95 % of the average MAE over records: {low:.2f} to {high:.2f}")
    lines += [
        f"\n{report.windows} windows; the median rate guessed in each has MAE {report.constant_mae:.2f}",
        f"CPU {report.cpu_s_per_hour:.3f} s per hour of signal; {report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def _padded(signals: Sequence[Array], n_samples: int) -> Array:
    """Rows of one bank, shape (n, 1, n_samples), each held at its last value."""
    held = [np.pad(x, (0, n_samples - len(x)), mode="edge") for x in signals]
    return np.stack(held)[:, None, :]


def _track(rows: Array) -> Track:
    return Track(rows[0], rows[1], rows[2] > 0.0)


def _rate(breaths_s: Array, from_s: float, to_s: float) -> float:
    """Rate of the breaths in a window; NaN with fewer than two."""
    inside = breaths_s[(breaths_s >= from_s) & (breaths_s < to_s)]
    return 60.0 * (len(inside) - 1) / float(inside[-1] - inside[0]) if len(inside) > 1 else np.nan
