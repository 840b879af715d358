"""Task `delays`: how long after it happens an alarm comes, on simulated patients of whom each has one thing happen."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np

from anomaly.conditions import BRADYCARDIA_BEATS, BRADYCARDIA_BPM, TACHYCARDIA_BEATS, TACHYCARDIA_BPM
from dataflows.events import SECOND_NS, AlarmEvent, Condition
from deploy.evaluate.played import Played, played
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed
from device_sim.truth import RhythmLine

SEEDS: Final = tuple(range(1, 11))
SECONDS: Final = 42.0
EACH: Final = 2  # patients of each kind, at a time
BEGIN_S: Final = 14.0  # what happens begins then, or up to a second later
RULE: Final = (
    "simulated; from what is true of the patient to the arrival of the packet or tick that makes the event, which "
    "comes 20 ms after the last sample; each case at another phase of the second; the defining beat is the last of the "
    "5 or 17 whose rate is beyond the limit, the first of them the onset"
)
_ASYSTOLE_NS = 4 * SECOND_NS


class Kind(NamedTuple):
    """What happens to a patient, as a line of a scenario."""

    condition: Condition
    line: str  # with the time at which it begins


class Goal(NamedTuple):
    """What is asked of a delay."""

    condition: Condition
    since: str
    most_s: float
    of: Literal["mean", "max"]


KINDS: Final[tuple[Kind, ...]] = (
    Kind("asystole", 'rhythms = [{{ rhythm = "asystole", from_s = {0}, for_s = 12.0 }}]'),
    Kind(
        "ventricular-tachycardia",
        'rhythms = [{{ rhythm = "ventricular-tachycardia", from_s = {0}, for_s = 20.0, rate_bpm = 175.0 }}]',
    ),
    Kind(
        "ventricular-fibrillation", 'rhythms = [{{ rhythm = "ventricular-fibrillation", from_s = {0}, for_s = 20.0 }}]'
    ),
    Kind("extreme-bradycardia", 'rhythms = [{{ rhythm = "bradycardia", from_s = {0}, rate_bpm = 32.0 }}]'),
    Kind("extreme-tachycardia", 'rhythms = [{{ rhythm = "tachycardia", from_s = {0}, rate_bpm = 172.0 }}]'),
    Kind("lost-contact", 'faults = [{{ fault = "silence", from_s = {0}, for_s = 20.0 }}]'),
)
GOALS: Final[tuple[Goal, ...]] = (
    Goal("asystole", "last beat", 6.0, "max"),
    Goal("ventricular-tachycardia", "onset", 5.0, "mean"),
    Goal("ventricular-fibrillation", "onset", 5.0, "mean"),
    Goal("extreme-bradycardia", "defining beat", 1.0, "max"),
    Goal("extreme-bradycardia", "onset", 10.0, "max"),
    Goal("extreme-tachycardia", "defining beat", 1.0, "max"),
    Goal("extreme-tachycardia", "onset", 10.0, "max"),
    Goal("lost-contact", "its 10 s", 2.0, "max"),
)


class DelayScore(msgspec.Struct, frozen=True):
    """One condition, since one thing; NaN where nothing was found."""

    condition: str
    since: str
    cases: int
    missed: int
    mean_s: float
    p50_s: float
    p99_s: float
    max_s: float
    goal_s: float
    goal_of: str
    met: bool


class DelaysReport(msgspec.Struct, frozen=True, tag_field="task", tag="delays"):
    """What `femtoward evaluate delays --json` prints."""

    rule: str
    records: tuple[str, ...]  # seeds
    per_condition: tuple[DelayScore, ...]
    version: str
    simulated: bool = True


def evaluate(request: Request, tell: Tell) -> DelaysReport:
    """Let one thing happen to each of some patients, and time what is said of it.

    Parameters
    ----------
    request
        Names no folder; its records are seeds.
    tell
        Told in words what is being done.
    """
    try:
        seeds = tuple(map(int, request.records)) if request.records else SEEDS
    except ValueError as error:
        raise EvaluateError(f"--records {','.join(request.records or ())}: need seeds, such as 1,2,3") from error
    found: dict[tuple[Condition, str], list[float]] = {(goal.condition, goal.since): [] for goal in GOALS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            path = Path(folder) / f"{seed}.toml"
            path.write_text(script(seed))
            tell(f"seed {seed}: {EACH * len(KINDS)} patients for {SECONDS:g} s")
            for condition, since, delay_s in delays(played(str(path), EACH * len(KINDS), SECONDS, seed)):
                found[condition, since].append(delay_s)
    return DelaysReport(
        rule=RULE,
        records=tuple(map(str, seeds)),
        per_condition=tuple(_scored(goal, found[goal.condition, goal.since]) for goal in GOALS),
        version=installed(),
    )


def as_text(report: DelaysReport) -> str:
    """The report for people."""
    names = ("cases", "missed", "mean", "p50", "p99", "max")
    lines = [f"{'condition':<26}{'s after':<15}" + "".join(f"{name:>8}" for name in names) + "   goal"]
    for row in report.per_condition:
        times = "".join(f"{value:>8.2f}" for value in (row.mean_s, row.p50_s, row.p99_s, row.max_s))
        goal = f"{row.goal_of} <= {row.goal_s:g}: {'met' if row.met else 'NOT MET'}"
        lines.append(f"{row.condition:<26}{row.since:<15}{row.cases:>8}{row.missed:>8}{times}   {goal}")
    lines.append(f"version {report.version}\nrule: {report.rule}")
    return "\n".join(lines)


def script(seed: int) -> str:
    """A scenario in which one thing happens to each patient, at a phase of the second that the seed chooses."""
    rng = np.random.default_rng(seed)
    lines = ['about = "one thing happens to each"', f"seconds = {SECONDS}"]
    for kind in KINDS:
        for _ in range(EACH):
            at_s, rate = BEGIN_S + rng.uniform(), rng.uniform(60.0, 85.0)
            lines += ["[[patients]]", f"rate_bpm = {rate:.1f}", kind.line.format(f"{at_s:.3f}")]
    return "\n".join(lines) + "\n"


def delays(run: Played) -> Iterator[tuple[Condition, str, float]]:
    """Yield what happened in a run, since what it is timed, and the delay; infinite where nothing was said."""
    rhythms = {line.patient: line for line in run.lines if isinstance(line, RhythmLine) and line.rhythm in _ZEROS}
    for patient, line in rhythms.items():
        condition, zeros = _ZEROS[line.rhythm]
        said_ns = _said(run.alarms, patient, condition, line.from_ns)
        for since, zero_ns in zeros(run.truth.beats_ns[patient], line.from_ns):
            yield condition, since, (said_ns - zero_ns) / SECOND_NS
    for alarm in run.truth.alarms:
        if alarm.condition == "lost-contact" and alarm.required:
            due_ns = (alarm.from_ns + alarm.to_ns) // 2
            yield "lost-contact", "its 10 s", (_said(run.alarms, alarm.patient, "lost-contact", 0) - due_ns) / SECOND_NS


def _said(alarms: Iterable[AlarmEvent], patient: str, condition: Condition, from_ns: int) -> float:
    """Arrival of what raised an alarm; infinite: nothing did."""
    return min(
        (
            float(event.arrival_ns)
            for event in alarms
            if (event.patient, event.condition, event.state) == (patient, condition, "active")
            and event.arrival_ns > from_ns
        ),
        default=np.inf,
    )


Zeros = Callable[[Sequence[int], int], Iterator[tuple[str, int]]]


def _onset(_: Sequence[int], from_ns: int) -> Iterator[tuple[str, int]]:
    yield "onset", from_ns


def _last_beat(beats_ns: Sequence[int], from_ns: int) -> Iterator[tuple[str, int]]:
    beats = np.array(beats_ns, np.int64)
    rests = np.diff(beats, append=beats[-1] + 2 * _ASYSTOLE_NS) >= _ASYSTOLE_NS
    near = beats >= from_ns - _ASYSTOLE_NS
    yield "last beat", int(beats[rests & near][0])


def _over(n_beats: int, limit_bpm: float, sign: float) -> Zeros:
    def zeros(beats_ns: Sequence[int], from_ns: int) -> Iterator[tuple[str, int]]:
        beats = np.array(beats_ns, np.int64)
        first, last = beats[: 1 - n_beats], beats[n_beats - 1 :]
        rate = 60.0 * (n_beats - 1) * SECOND_NS / (last - first)
        beyond = np.flatnonzero((sign * (rate - limit_bpm) > 0.0) & (last > from_ns))
        if len(beyond):
            yield "defining beat", int(last[beyond[0]])
            yield "onset", int(first[beyond[0]])

    return zeros


_ZEROS: Final[dict[str, tuple[Condition, Zeros]]] = {
    "asystole": ("asystole", _last_beat),
    "ventricular-tachycardia": ("ventricular-tachycardia", _onset),
    "ventricular-fibrillation": ("ventricular-fibrillation", _onset),
    "bradycardia": ("extreme-bradycardia", _over(BRADYCARDIA_BEATS, BRADYCARDIA_BPM, -1.0)),
    "tachycardia": ("extreme-tachycardia", _over(TACHYCARDIA_BEATS, TACHYCARDIA_BPM, 1.0)),
}


def _scored(goal: Goal, delays_s: Sequence[float]) -> DelayScore:
    times = np.array([delay for delay in delays_s if np.isfinite(delay)] or [np.nan])
    mean, greatest = float(times.mean()), float(times.max())
    missed = sum(not np.isfinite(delay) for delay in delays_s)
    p50, p99 = (float(value) for value in np.percentile(times, [50, 99]))
    return DelayScore(
        condition=goal.condition,
        since=goal.since,
        cases=len(delays_s),
        missed=missed,
        mean_s=mean,
        p50_s=p50,
        p99_s=p99,
        max_s=greatest,
        goal_s=goal.most_s,
        goal_of=goal.of,
        met=not missed and (mean if goal.of == "mean" else greatest) <= goal.most_s,
    )
