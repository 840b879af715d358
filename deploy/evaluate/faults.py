"""Task `faults`: every fault of every simulated device named in time, none that is not there, none as physiology."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from scipy import stats

from dataflows.events import SECOND_NS
from deploy.evaluate.fault_names import (
    AFTERMATH_NS,
    AFTERWARDS,
    MUST,
    OF_THE_SIGNAL,
    USUAL_AFTERMATH_NS,
    Ear,
    Told,
    explains,
)
from deploy.evaluate.fault_scripts import KINDS, TURNS, as_toml, ward
from deploy.evaluate.played import rows_of
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, share
from deploy.truth import gather
from device_sim.fleet import FleetOptions
from device_sim.truth import AlarmLine, FaultLine, TruthLine

DAY_S: Final = 86_400.0
WITHIN_NS: Final = 5 * SECOND_NS
EARLY_NS: Final = SECOND_NS // 2  # what a device says of a packet it says of all of it
RULE: Final = (
    "simulated; each kind of device with each of its faults in turn, and without; a fault is named if its own name is "
    "told within 5 s of its scripted beginning (a restart or a burst after the fault: of its end); a name is false if "
    "no fault of the device explains it; physiology is false if no rhythm of the patient explains it; each record is a "
    "seed; bounds are exact binomial and Poisson ones, 95 %"
)


class Sum(msgspec.Struct, frozen=True):
    """What was counted in some runs."""

    patient_days: float
    faults: int
    named: int
    false_names: int
    as_physiology: int  # physiological alarms that nothing but a fault explains


class FaultRow(msgspec.Struct, frozen=True):
    """One fault over all devices and seeds."""

    fault: str
    name: str  # that it must be given
    faults: int
    named: int  # within 5 s
    named_ci: tuple[float, float]
    median_s: float  # of those that were named at all
    latest_s: float


class Record(Sum, frozen=True):
    """One seed."""

    record: str


class Gross(Sum, frozen=True):
    """All seeds together."""

    se: float
    se_ci: tuple[float, float]
    false_a_day: float
    false_a_day_most: float  # upper bound
    as_physiology_a_day: float
    as_physiology_a_day_most: float


class FaultsReport(msgspec.Struct, frozen=True, tag_field="task", tag="faults"):
    """What `femtoward evaluate faults --json` prints."""

    rule: str
    records: tuple[str, ...]  # seeds
    gross: Gross
    per_record: tuple[Record, ...]
    per_fault: tuple[FaultRow, ...]
    missed: tuple[str, ...]  # device and fault, with how often
    wrong: tuple[str, ...]  # what was told that was false, with how often
    cpu_s_per_hour: float  # of a patient, simulator included
    version: str
    simulated: bool = True


class Found(NamedTuple):
    """What came of one ward."""

    faults: list[tuple[str, str, str, int | None]]  # kind of device, fault, name; and the delay, ns; None: never named
    wrong: list[tuple[str, Told, str]]  # kind of device, what was told, and of the fault it was near


def evaluate(request: Request, tell: Tell, kinds: Sequence[str] = KINDS, turns: int = TURNS) -> FaultsReport:
    """Play wards of faulty devices through the flow and hold what it told to what was wrong.

    Parameters
    ----------
    request
        Names no folder; its records are seeds, by default one.
    tell
        Told in words what is being done.
    kinds, turns
        Of devices, and how many faults each patient's has.
    """
    seeds = request.records or ("1",)
    if not all(seed.isdecimal() for seed in seeds):
        raise EvaluateError(f"records {', '.join(seeds)}: need seeds, whole numbers")
    begin, days, parts = time.process_time(), 0.0, dict[str, Found]()
    rows = []
    for seed in seeds:
        scripts, seconds = ward(int(seed), kinds, turns)
        n = len(scripts)
        tell(f"seed {seed}: {n} patients for {seconds:g} s")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scenario.toml"
            path.write_text(as_toml(scripts), encoding="utf-8")
            options = FleetOptions(patients=n, scenario=str(path), seed=int(seed), seconds=seconds)
            parts[seed] = _found(options, [script.device for script in scripts])
        days += n * seconds / DAY_S
        rows.append(Record(*_sum(n * seconds / DAY_S, [parts[seed]]), record=seed))
    whole = _sum(days, list(parts.values()))
    return FaultsReport(
        rule=RULE,
        records=seeds,
        gross=_gross(*whole),
        per_record=tuple(rows),
        per_fault=_per_fault(parts.values()),
        missed=_counted(
            f"{kind}: {fault} as {name}" for f in parts.values() for kind, fault, name, ns in f.faults if _late(ns)
        ),
        wrong=_counted(
            f"{kind}: {told.name}{' (physiology)' if told.physiological else ''} at {near}"
            for f in parts.values()
            for kind, told, near in f.wrong
        ),
        cpu_s_per_hour=(time.process_time() - begin) / (days * 24.0),
        version=installed(),
    )


def as_text(report: FaultsReport) -> str:
    """The report for people."""
    lines = [f"{'fault':<22}{'name':<22}{'faults':>8}{'named %':>9}{'95 %':>16}{'median s':>10}{'latest s':>10}"]
    for row in report.per_fault:
        low, high = (100 * edge for edge in row.named_ci)
        named = 100 * share(row.named, row.faults)
        lines.append(
            f"{row.fault:<22}{row.name:<22}{row.faults:>8}{named:>9.2f}{f'{low:.1f} to {high:.1f}':>16}"
            f"{row.median_s:>10.2f}{row.latest_s:>10.2f}"
        )
    gross, (low, high) = report.gross, (100 * edge for edge in report.gross.se_ci)
    lines += ["", *(f"missed: {line}" for line in report.missed), *(f"false: {line}" for line in report.wrong)]
    lines.append(
        f"{gross.named} of {gross.faults} named within 5 s: {100 * gross.se:.2f} % (95 %: {low:.2f} to {high:.2f})\n"
        f"{gross.false_names} false names in {gross.patient_days:.2f} patient-days: at most "
        f"{gross.false_a_day_most:.2f} a day (95 %)\n"
        f"{gross.as_physiology} raised as physiology: at most {gross.as_physiology_a_day_most:.2f} a day (95 %)\n"
        f"CPU {report.cpu_s_per_hour:.1f} s for a patient's hour, simulator included; version {report.version}\n"
        f"rule: {report.rule}"
    )
    return "\n".join(lines)


def _found(options: FleetOptions, kinds: Sequence[str]) -> Found:
    lines: list[TruthLine] = []
    told: list[Told] = []
    ear: Ear | None = None
    for at_ns, row in rows_of(options, lines):
        ear = ear or Ear({line.patient: line.device for line in gather(lines).patients.values()})
        told += ear.hear(at_ns, row)
    truth = gather(lines)
    found = Found([], [])
    for (patient, who), kind in zip(truth.patients.items(), kinds, strict=True):
        mine = [one for one in told if one.device == who.device]
        faults = truth.faults.get(patient, [])
        for fault in faults:
            found.faults.extend((kind, fault.fault, name, ns) for name, ns in _named(fault, mine))
        expected = [alarm for alarm in truth.alarms if alarm.patient == patient]
        for one in mine:
            near = [fault for fault in faults if _near(fault, one)]
            if not _right(one, near, expected):
                found.wrong.append((kind, one, near[-1].fault if near else "nothing"))
    return found


def _named(fault: FaultLine, told: Sequence[Told]) -> list[tuple[str, int | None]]:
    """Names that a fault must be given, and after which time each was."""
    name = fault.fault
    wanted = [(MUST[name], fault.from_ns)]
    if name in AFTERWARDS:
        wanted.append((AFTERWARDS[name], fault.to_ns))
    found: list[tuple[str, int | None]] = []
    for what, from_ns in wanted:
        at = [one.at_ns - from_ns for one in told if one.name == what and one.at_ns >= from_ns - EARLY_NS]
        found.append((what, min((ns for ns in at if ns < fault.to_ns - from_ns + 2 * WITHIN_NS), default=None)))
    return found


def _near(fault: FaultLine, one: Told) -> bool:
    after_ns = AFTERMATH_NS.get(fault.fault, USUAL_AFTERMATH_NS)
    return fault.from_ns - EARLY_NS <= one.at_ns <= fault.to_ns + after_ns


def _right(one: Told, near: Sequence[FaultLine], expected: Sequence[AlarmLine]) -> bool:
    """Whether what was told is true of a fault, or, of a patient, of something else that happens."""
    told_of = [alarm for alarm in expected if alarm.condition == one.name and alarm.from_ns <= one.at_ns]
    if one.physiological:  # no fault is an excuse
        return any(one.at_ns <= alarm.to_ns + WITHIN_NS for alarm in told_of)
    if one.name in OF_THE_SIGNAL:
        return True  # says that nothing can be seen, and is no name
    return any(explains(fault.fault, one.name) for fault in near)


def _late(ns: int | None) -> bool:
    return ns is None or ns > WITHIN_NS


def _sum(days: float, parts: Sequence[Found]) -> tuple[float, int, int, int, int]:
    faults = [one for part in parts for one in part.faults]
    wrong = [told for part in parts for _, told, _ in part.wrong]
    return (
        days,
        len(faults),
        sum(not _late(ns) for *_, ns in faults),
        sum(not told.physiological for told in wrong),
        sum(told.physiological for told in wrong),
    )


def _gross(days: float, faults: int, named: int, false: int, physiology: int) -> Gross:
    return Gross(
        days,
        faults,
        named,
        false,
        physiology,
        se=share(named, faults),
        se_ci=binomial(named, faults),
        false_a_day=share(false, days),
        false_a_day_most=most(false) / days,
        as_physiology_a_day=share(physiology, days),
        as_physiology_a_day_most=most(physiology) / days,
    )


def _per_fault(parts: Iterable[Found]) -> tuple[FaultRow, ...]:
    rows = []
    every = [one for part in parts for one in part.faults]
    for fault, name in dict.fromkeys((fault, name) for _, fault, name, _ in sorted(every, key=lambda one: one[1])):
        delays = [ns for _, what, called, ns in every if (what, called) == (fault, name)]
        seconds = np.array([ns / SECOND_NS for ns in delays if ns is not None])
        named = sum(not _late(ns) for ns in delays)
        rows.append(
            FaultRow(
                fault=fault,
                name=name,
                faults=len(delays),
                named=named,
                named_ci=binomial(named, len(delays)),
                median_s=float(np.median(seconds)) if len(seconds) else np.nan,
                latest_s=float(seconds.max()) if len(seconds) else np.nan,
            )
        )
    return tuple(rows)


def _counted(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{word}: {n}" for word, n in Counter(words).most_common())


def binomial(part: int, whole: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % bounds of a share.

    Examples
    --------
    >>> tuple(round(edge, 3) for edge in binomial(100, 100))
    (0.964, 1.0)
    """
    if not whole:
        return np.nan, np.nan
    low = float(stats.beta.ppf(0.025, part, whole - part + 1)) if part else 0.0
    high = float(stats.beta.ppf(0.975, part + 1, whole - part)) if part < whole else 1.0
    return low, high


def most(events: int) -> float:
    """Upper 95 % bound (one-sided) of what a Poisson number of events is expected to be.

    Examples
    --------
    >>> round(most(0), 1)
    3.0
    """
    return float(stats.chi2.ppf(0.95, 2 * (events + 1)) / 2.0)
