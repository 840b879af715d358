"""Task `scenarios`: the whole flow on the simulator's scenarios: what had to be found, what was due, what was false."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from anomaly.kernel import Array
from dataflows.cardiac_second import AS_OF_LAG_NS
from dataflows.rules import RULES
from deploy.evaluate.played import Played, played
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, interval, share
from deploy.score import AlarmScore, RateScore, fits, score_alarms, score_rates
from device_sim.scenario import load_scenario, names

LONGEST_S: Final = 300.0  # of a scenario: what takes hours is for the task of deterioration
DAY_S: Final = 86_400.0
RULE: Final = (
    "simulated; required: the script says that it must come, and the signal shows it; due: the patient needs it, "
    "whatever hides it; found if its onset lies in the window of the truth, false if it fits no window; no det.: due, "
    "and no detector for it; heart rate within 2 bpm of 60 / mean of the last 8 RR, a missing one is a miss"
)


class Counts(msgspec.Struct, frozen=True):
    """Alarms and rates of some runs."""

    patients: int
    hours: float  # of patients
    required: int
    found: int
    false: int
    due: int  # of conditions that have a detector
    due_found: int
    undetected: int  # due, of conditions without one
    hr_seconds: int
    hr_within: int


class ScenarioScore(Counts, frozen=True):
    """One scenario."""

    record: str
    seconds: float


class Gross(Counts, frozen=True):
    """All scenarios together."""

    se: float  # share of what was required
    due_se: float  # share of what was due and has a detector
    due_se_ci: tuple[float, float]
    false_a_day: float  # for each patient and day, in scenarios that are full of events
    hr: float  # share of the settled patient-seconds


class Average(msgspec.Struct, frozen=True):
    """Means over scenarios."""

    se: float
    due_se: float
    hr: float


class ConditionScore(msgspec.Struct, frozen=True):
    """One condition over all scenarios."""

    condition: str
    detector: bool
    due: int
    found: int
    false: int


class ScenariosReport(msgspec.Struct, frozen=True, tag_field="task", tag="scenarios"):
    """What `femtoward evaluate scenarios --json` prints."""

    rule: str
    records: tuple[str, ...]
    gross: Gross
    average: Average
    per_record: tuple[ScenarioScore, ...]
    per_condition: tuple[ConditionScore, ...]
    cpu_s_per_hour: float  # of a patient, simulator included
    version: str
    simulated: bool = True


def evaluate(request: Request, tell: Tell) -> ScenariosReport:
    """Play each scenario through the flow and hold what came of it to the truth.

    Parameters
    ----------
    request
        Names no folder; its records are scenarios, by default all that are built in; its seed 0 is the usual one, 1.
    tell
        Told in words what is being done.
    """
    asked = request.records or tuple(names())
    scores: list[ScenarioScore] = []
    due: Counter[tuple[str, bool]] = Counter()
    false: Counter[str] = Counter()
    begin = time.process_time()
    for name in asked:
        try:
            scenario = load_scenario(name)
        except ValueError as error:
            raise EvaluateError(str(error)) from error
        seconds, patients = min(scenario.seconds, LONGEST_S), len(scenario.patients)
        tell(f"{name}: {patients} patients for {seconds:g} s")
        run = played(name, patients, seconds, request.seed or 1)
        alarms = score_alarms(run.truth, run.alarms, run.end_ns)
        rates = score_rates(run.truth, run.vitals, run.end_ns, AS_OF_LAG_NS)
        due.update(_due(run))
        false.update(event.condition for event in alarms.false)
        scores.append(_scored(name, seconds, patients, alarms, rates))
    hours = sum(score.hours for score in scores)
    return ScenariosReport(
        rule=RULE,
        records=asked,
        gross=_gross(scores),
        average=_average(scores),
        per_record=tuple(scores),
        per_condition=_per_condition(due, false),
        cpu_s_per_hour=(time.process_time() - begin) / hours,
        version=installed(),
    )


def as_text(report: ScenariosReport) -> str:
    """The report for people."""
    head = ("patients", "s", "required", "found", "false", "due", "found", "no det.")
    lines = [f"{'scenario':<26}" + "".join(f"{name:>9}" for name in head)]
    for row in report.per_record:
        found = (row.required, row.found, row.false, row.due, row.due_found, row.undetected)
        lines.append(f"{row.record:<26}{row.patients:>9}{row.seconds:>9g}" + "".join(f"{n:>9}" for n in found))
    lines += ["", f"{'condition':<28}{'due':>6}{'found':>7}{'false':>7}"]
    lines += [
        f"{row.condition:<28}{row.due:>6}{row.found if row.detector else '-':>7}{row.false:>7}"
        f"{'' if row.detector else '  no detector yet'}"
        for row in report.per_condition
    ]
    gross = report.gross
    low, high = (100 * edge for edge in gross.due_se_ci)
    lines.append(
        f"\nrequired: {gross.found} of {gross.required} found; {gross.false} false in {gross.hours:.1f} patient-hours\n"
        f"due: {gross.due_found} of {gross.due} found ({100 * gross.due_se:.0f} %, 95 % {low:.0f} to {high:.0f}); "
        f"{gross.undetected} more without a detector yet\n"
        f"heart rate within 2 bpm: {100 * gross.hr:.2f} % of {gross.hr_seconds} settled patient-seconds\n"
        f"CPU {report.cpu_s_per_hour:.1f} s for a patient's hour, simulator included; version {report.version}\n"
        f"rule: {report.rule}"
    )
    return "\n".join(lines)


def _due(run: Played) -> Iterable[tuple[str, bool]]:
    """Condition of each alarm that was due by the end of a run, and whether it came."""
    for alarm in run.truth.alarms:
        if alarm.due and alarm.to_ns <= run.end_ns:
            yield alarm.condition, any(fits(event, alarm) for event in run.alarms)


def _scored(name: str, seconds: float, patients: int, alarms: AlarmScore, rates: RateScore) -> ScenarioScore:
    return ScenarioScore(
        record=name,
        seconds=seconds,
        patients=patients,
        hours=patients * seconds / 3600.0,
        required=alarms.expected,
        found=alarms.found,
        false=len(alarms.false),
        due=alarms.due,
        due_found=alarms.due_found,
        undetected=len(alarms.unknown),
        hr_seconds=rates.seconds,
        hr_within=rates.within,
    )


def _gross(scores: Sequence[ScenarioScore]) -> Gross:
    whole = {name: sum(getattr(score, name) for score in scores) for name in Counts.__struct_fields__}
    counts = np.array([[score.due_found, score.due] for score in scores], np.float64)
    return Gross(
        **whole,
        se=share(whole["found"], whole["required"]),
        due_se=share(whole["due_found"], whole["due"]),
        due_se_ci=interval(counts, _share_of),
        false_a_day=share(whole["false"], whole["hours"] * 3600.0 / DAY_S),
        hr=share(whole["hr_within"], whole["hr_seconds"]),
    )


def _share_of(drawn: Array) -> float:
    return share(float(drawn[:, 0].sum()), float(drawn[:, 1].sum()))


def _average(scores: Sequence[ScenarioScore]) -> Average:
    def mean(part: str, whole: str) -> float:
        shares = [getattr(score, part) / getattr(score, whole) for score in scores if getattr(score, whole)]
        return float(np.mean(shares)) if shares else np.nan

    return Average(mean("found", "required"), mean("due_found", "due"), mean("hr_within", "hr_seconds"))


def _per_condition(due: Counter[tuple[str, bool]], false: Counter[str]) -> tuple[ConditionScore, ...]:
    known = {rule.condition for rule in RULES}
    return tuple(
        ConditionScore(
            condition=name,
            detector=name in known,
            due=due[name, True] + due[name, False],
            found=due[name, True],
            false=false[name],
        )
        for name in sorted({*(name for name, _ in due), *false})
    )
