"""Task `rates`: heart rates of simulated wearables of every kind against the truth, and how sure they say they are."""

import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from anomaly.kernel import Array
from dataflows.cardiac_second import AS_OF_LAG_NS
from dataflows.events import SECOND_NS
from deploy.evaluate.played import Played, played
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, share
from deploy.score import SETTLING_NS, true_rate_bpm
from device_sim.devices import DEVICES

SECONDS: Final = 240.0
SEEDS: Final = (11, 12)
NINETY_FIVE: Final = 1.96  # standard uncertainties to each side
HEARTS: Final = (  # that every kind of wearable gets
    "rate_bpm = 62.0\nsdnn_ms = 60.0",
    "rate_bpm = 78.0",
    'rate_bpm = 84.0\nrhythms = [{ rhythm = "atrial-fibrillation", from_s = 20.0, for_s = 1000.0 }]',
    'rate_bpm = 70.0\nrhythms = [{ rhythm = "tachycardia", from_s = 100.0, for_s = 80.0, rate_bpm = 128.0 }]',
    "rate_bpm = 51.0\nsdnn_ms = 40.0",
    'rate_bpm = 74.0\nactivities = [{ activity = "turning", from_s = 90.0, for_s = 8.0 }]',
)
RULE: Final = (
    "simulated wearables of every kind, six hearts and two seeds for four minutes each, through the whole flow; the "
    "rate is 60 over the mean of the last 8 RR intervals (none that begins more than 10 s ago), the truth the same "
    "functional of the true beats; the first 15 s are not judged; an interval is 1.96 stated uncertainties to each side"
)


class RateRow(msgspec.Struct, frozen=True):
    """Heart rates of one kind of wearable, or of all."""

    record: str
    seconds: int  # in which the true heart has a rate
    missing: float  # share of them without a value
    coverage: float  # share of the values whose interval holds the truth
    half_width_bpm: float  # median of the intervals' halves
    error_bpm_p95: float  # 95th percentile of the error's size
    width_ratio: float  # of these two


class RatesReport(msgspec.Struct, frozen=True, tag_field="task", tag="rates"):
    """What `femtoward evaluate rates --json` prints."""

    rule: str
    records: tuple[str, ...]  # kinds of wearables
    gross: RateRow
    per_record: tuple[RateRow, ...]
    cpu_s_per_hour: float  # of a patient, simulation included
    algorithm: str
    version: str
    source: str = "simulated"


def evaluate(request: Request, tell: Tell) -> RatesReport:
    """Simulate wearables, run them through the flow, and compare.

    Parameters
    ----------
    request
        Names no folder; its records are kinds of wearables, all that have a heart's lane by default.
    tell
        Told in words what is being done.
    """
    names = heads(request.records)
    rows: list[RateRow] = []
    every: list[tuple[int, Array]] = []
    begin = time.process_time()
    for name in names:
        tell(f"{len(HEARTS)} patients with {name}")
        parts = [_compared(simulated(name, seed)) for seed in SEEDS]
        together = sum(total for total, _ in parts), np.concatenate([found for _, found in parts])
        rows.append(_row(name, *together))
        every.append(together)
    return RatesReport(
        rule=RULE,
        records=names,
        gross=_row("all", sum(total for total, _ in every), np.concatenate([values for _, values in every])),
        per_record=tuple(rows),
        cpu_s_per_hour=(time.process_time() - begin) / (len(names) * len(HEARTS) * len(SEEDS) * SECONDS / 3600.0),
        algorithm="dataflows.cardiac.Cardiac",
        version=installed(),
    )


def heads(asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """Kinds of wearables that measure a heart: those asked for, or all."""
    known = [name for name, kind in DEVICES.items() if kind.head.kind == "mcg"]
    for name in asked or ():
        if name not in known:
            raise EvaluateError(f"no wearable {name!r} measures a heart: need some of {', '.join(known)}")
    return asked or tuple(known)


def as_text(report: RatesReport) -> str:
    """The report for people."""
    titles = ("seconds", "missing %", "covered %", "+- bpm", "p95 bpm", "ratio")
    lines = [f"{'wearable':<38}" + "".join(f"{title:>11}" for title in titles)]
    lines += [
        f"{row.record:<38}{row.seconds:>11}{100 * row.missing:>11.2f}{100 * row.coverage:>11.2f}"
        f"{row.half_width_bpm:>11.3f}{row.error_bpm_p95:>11.3f}{row.width_ratio:>11.2f}"
        for row in (*report.per_record, report.gross)
    ]
    lines += [
        f"\nCPU {report.cpu_s_per_hour:.1f} s per patient-hour, simulation included",
        f"{report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def simulated(name: str, seed: int) -> Played:
    """Run the hearts of one kind of wearable through the whole flow."""
    text = 'about = "hearts for one kind of wearable"\n' + "".join(
        f'[[patients]]\ndevice = "{name}"\n{heart}\n' for heart in HEARTS
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.toml"
        path.write_text(text, encoding="utf-8")
        return played(str(path), len(HEARTS), SECONDS, seed)


def _compared(found: Played) -> tuple[int, Array]:
    """Seconds in which there is a true rate, and error and stated uncertainty of those with a value, shape (n, 2)."""
    rows = {(row.patient, row.second): row for row in found.vitals}
    seconds, values = 0, []
    for patient, line in found.truth.patients.items():
        beats = found.truth.beats_ns.get(patient, [])
        first = line.from_ns + SETTLING_NS
        for second in range(-(-first // SECOND_NS), found.end_ns // SECOND_NS - 1):
            rate = true_rate_bpm(beats, (second + 1) * SECOND_NS - AS_OF_LAG_NS)
            if rate is None:
                continue
            seconds += 1
            row = rows.get((patient, second))
            if row is not None and np.isfinite(row.hr.value):
                values.append((row.hr.value - rate, row.hr.u))
    return seconds, np.array(values).reshape(-1, 2)


def _row(name: str, seconds: int, values: Array) -> RateRow:
    size, u = np.abs(values[:, 0]), values[:, 1]
    half = float(np.median(NINETY_FIVE * u)) if len(u) else np.nan
    p95 = float(np.percentile(size, 95.0)) if len(size) else np.nan
    return RateRow(
        record=name,
        seconds=seconds,
        missing=share(seconds - len(values), seconds),
        coverage=share(int((size <= NINETY_FIVE * u).sum()), len(values)),
        half_width_bpm=half,
        error_bpm_p95=p95,
        width_ratio=half / p95 if p95 else np.nan,
    )
