"""Task `vitals`: breath rate, QT and pulse transit of simulated wearables of every kind against the truth."""

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np

from anomaly.kernel import Array
from dataflows.events import SECOND_NS, Reading, Vitals
from deploy.evaluate import rates
from deploy.evaluate.played import Played
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, share
from deploy.score import SETTLING_NS
from device_sim.spad import PULSE, TRANSIT_S
from device_sim.truth import VitalLine

BREATH_S: Final = 32  # of light and field that a breath rate is told by
LEAST_BREATH_S: Final = 24  # of them, of which the truth is known
TRANSIT_NS: Final = 30 * SECOND_NS
RR_S: Final = (0.3, 1.2)  # between which a simulated pulse is stretched
RULE: Final = (
    "simulated wearables of every kind, six hearts and two seeds for four minutes each, through the whole flow; the "
    "first 15 s are not judged; the truth of a breath rate is its mean over the 32 s that it is told by, of QT that of "
    "the last normal beat, of transit the tangent's foot of the simulated pulse (the simulator's foot lies before it), "
    "the median of half a minute; an interval is 1.96 stated uncertainties to each side"
)


class VitalRow(msgspec.Struct, frozen=True):
    """One vital of one kind of wearable, or of all."""

    record: str
    vital: str
    unit: str
    seconds: int  # of which the truth is known
    told: float  # share of them with a value
    bias: float
    spread: float  # standard deviation of the error
    error_p95: float  # 95th percentile of its size
    u: float  # median of what was stated
    coverage: float  # share of the values whose 95 % interval holds the truth


class VitalsReport(msgspec.Struct, frozen=True, tag_field="task", tag="vitals"):
    """What `femtoward evaluate vitals --json` prints."""

    rule: str
    records: tuple[str, ...]  # kinds of wearables
    gross: tuple[VitalRow, ...]  # by vital
    per_record: tuple[VitalRow, ...]
    cpu_s_per_hour: float  # of a patient, simulation included
    algorithm: str
    version: str
    source: str = "simulated"


class Compared(NamedTuple):
    """Of one vital."""

    seconds: int
    values: Array  # (n, 2) error and stated uncertainty


class _Patient(NamedTuple):
    """What was true of one patient, by second."""

    lines: dict[int, VitalLine]
    beats_ns: Array

    def breath(self, second: int) -> float | None:
        each = [self.lines[s].breath_rate_bpm for s in range(second - BREATH_S + 1, second + 1) if s in self.lines]
        return float(np.mean(each)) if len(each) >= LEAST_BREATH_S and min(each) > 0.0 else None

    def qt(self, second: int) -> float | None:
        line = self.lines.get(second)
        return line.qt_ms if line else None

    def transit(self, second: int) -> float | None:
        end = (second + 1) * SECOND_NS
        rr = np.diff(self.beats_ns[(self.beats_ns > end - TRANSIT_NS) & (self.beats_ns <= end)]) / SECOND_NS
        if not len(rr):
            return None
        centre, width, _ = PULSE[0]
        return 1e3 * (TRANSIT_S + (centre - 2.0 * width) * float(np.median(np.sqrt(np.clip(rr, *RR_S)))))


_VITALS: Final[tuple[tuple[str, str, Callable[[Vitals], Reading], Callable[[_Patient, int], float | None]], ...]] = (
    ("resp", "/min", lambda row: row.resp, _Patient.breath),
    ("qt", "ms", lambda row: row.qt, _Patient.qt),
    ("transit", "ms", lambda row: row.transit, _Patient.transit),
)


def evaluate(request: Request, tell: Tell) -> VitalsReport:
    """Simulate wearables, run them through the flow, and compare.

    Parameters
    ----------
    request
        Names no folder; its records are kinds of wearables, all that have a heart's lane by default.
    tell
        Told in words what is being done.
    """
    names = rates.heads(request.records)
    rows: list[VitalRow] = []
    every: dict[str, list[Compared]] = {vital: [] for vital, *_ in _VITALS}
    patients_s = len(rates.HEARTS) * len(rates.SEEDS) * rates.SECONDS
    begin = time.process_time()
    for name in names:
        tell(f"{len(rates.HEARTS)} patients with {name}")
        parts: dict[str, list[Compared]] = {vital: [] for vital in every}
        for seed in rates.SEEDS:
            for vital, found in _compared(rates.simulated(name, seed)):
                parts[vital].append(found)
        rows += [_row(name, vital, part) for vital, part in parts.items()]
        for vital, part in parts.items():
            every[vital] += part
    return VitalsReport(
        rule=RULE,
        records=names,
        gross=tuple(_row("all", vital, found) for vital, found in every.items()),
        per_record=tuple(rows),
        cpu_s_per_hour=(time.process_time() - begin) * 3600.0 / (len(names) * patients_s),
        algorithm="anomaly.breath.BreathTracker, anomaly.qt.QtMeter, anomaly.transit.transit",
        version=installed(),
    )


def as_text(report: VitalsReport) -> str:
    """The report for people."""
    titles = ("seconds", "told %", "bias", "spread", "p95", "u", "covered %")
    lines = [f"{'wearable':<38}{'vital':<14}" + "".join(f"{title:>10}" for title in titles)]
    lines += [
        f"{row.record:<38}{f'{row.vital} {row.unit}':<14}{row.seconds:>10}{100 * row.told:>10.1f}{row.bias:>10.2f}"
        f"{row.spread:>10.2f}{row.error_p95:>10.2f}{row.u:>10.2f}{100 * row.coverage:>10.1f}"
        for row in (*report.per_record, *report.gross)
    ]
    lines += [
        f"\nCPU {report.cpu_s_per_hour:.1f} s per patient-hour, simulation included",
        f"{report.algorithm} {report.version}",
        f"rule: {report.rule}",
        f"source: {report.source}",
    ]
    return "\n".join(lines)


def _compared(found: Played) -> Iterator[tuple[str, Compared]]:
    lines: dict[str, dict[int, VitalLine]] = {}
    for line in found.lines:
        if isinstance(line, VitalLine):
            lines.setdefault(line.patient, {})[line.second] = line
    rows = {(row.patient, row.second): row for row in found.vitals}
    for vital, _, reading_of, truth_of in _VITALS:
        seconds, values = 0, []
        for patient, line in found.truth.patients.items():
            true = _Patient(lines.get(patient, {}), np.array(found.truth.beats_ns.get(patient, []), np.int64))
            first = -(-(line.from_ns + SETTLING_NS) // SECOND_NS)
            for second in range(first, found.end_ns // SECOND_NS - 1):
                truth = truth_of(true, second)
                if truth is None:
                    continue
                seconds += 1
                row = rows.get((patient, second))
                reading = reading_of(row) if row is not None else Reading()
                if np.isfinite(reading.value):
                    values.append((reading.value - truth, reading.u))
        yield vital, Compared(seconds, np.array(values).reshape(-1, 2))


def _row(name: str, vital: str, found: list[Compared]) -> VitalRow:
    values, seconds = np.concatenate([one.values for one in found]), sum(one.seconds for one in found)
    error, u = values[:, 0], values[:, 1]
    some = len(values) > 0
    return VitalRow(
        record=name,
        vital=vital,
        unit=next(unit for one, unit, *_ in _VITALS if one == vital),
        seconds=seconds,
        told=share(len(values), seconds),
        bias=float(error.mean()) if some else np.nan,
        spread=float(error.std()) if some else np.nan,
        error_p95=float(np.percentile(np.abs(error), 95.0)) if some else np.nan,
        u=float(np.median(u)) if some else np.nan,
        coverage=share(int((np.abs(error) <= rates.NINETY_FIVE * u).sum()), len(values)),
    )
