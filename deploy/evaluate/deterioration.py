"""Task `deterioration`: who gets worse, found in simulated days of vitals: false alarms, lead, an oracle's delay."""

import time
from typing import Final

import msgspec
import numpy as np

from anomaly.baseline import DAY_S
from anomaly.deterioration import Deterioration
from anomaly.kernel import Array, BoolArray, IntArray
from deploy.evaluate.oracle import oracle_ratio
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request, Tell
from deploy.evaluate.statistics import installed, interval, share
from deploy.evaluate.ward_days import CRITICAL_CARE, EVERY_S, WARD, Limits, WardDays, alarms_of, ward_days

SEEDS: Final = tuple(range(100, 110))  # never used to choose anything
PATIENTS: Final = 40
DAYS: Final = 4.0
RULE: Final = (
    "simulated vitals by the minute, 10 seeds of 40 patients for 4 days, a quarter of whom gets worse once after the "
    "first day and stays so; artefacts frozen beforehand; an alarm after the beginning of a course is true, any other "
    "false; lead against fixed limits that are widened until they alarm as often"
)
SOURCE: Final = "simulated; artefacts as often as counted on wards: Weller 2018, PubMed 29214598"

Alarms = tuple[IntArray, Array, IntArray, Array]  # whose and when (s), and the same of those that became urgent


class Gross(msgspec.Struct, frozen=True):
    """All patients of all seeds together."""

    patient_days: float
    alarms_a_day: float  # all of them, for each patient and day
    alarms_a_day_ci: tuple[float, float]
    false_a_day: float
    urgent_false: int
    urgent_false_in_1000_days: float
    urgent_false_most: float  # upper end of 95 % confidence, in 1,000 patient-days
    courses: int
    found: int
    found_by_fixed: int
    found_by_median: float  # share of its course after which a deterioration is found
    lead_h_median: float  # over a monitor with fixed limits and as many alarms, of what both find
    fixed_alarms_a_day: float
    fixed_widened: float  # times its limits' distance from what is normal
    anchors: tuple[float, float]  # alarms a day of healthy patients: critical-care limits, wide limits with a delay
    oracle_delay_ratio: float  # mean delay over that of who knows each patient's true baseline, at equal false alarms


class SeedScore(msgspec.Struct, frozen=True):
    """One seed."""

    seed: int
    patient_days: float
    alarms: int
    false: int
    urgent_false: int
    courses: int
    found: int


class DeteriorationReport(msgspec.Struct, frozen=True, tag_field="task", tag="deterioration"):
    """What `femtoward evaluate deterioration --json` prints."""

    rule: str
    records: tuple[str, ...]  # seeds
    gross: Gross
    per_record: tuple[SeedScore, ...]
    cpu_s_per_patient_day: float
    algorithm: str
    version: str
    source: str


def evaluate(request: Request, tell: Tell) -> DeteriorationReport:
    """Simulate wards, run the flow's kernel over them, and count.

    Parameters
    ----------
    request
        Names no folder; its records are seeds, `SEEDS` by default.
    tell
        Told in words what is being done.
    """
    try:
        seeds = tuple(int(name) for name in request.records) if request.records else SEEDS
    except ValueError as error:
        raise EvaluateError(f"records={request.records}: need seeds, such as 100,101") from error
    wards, found, scores, cpu_s = [], [], [], 0.0
    for seed in seeds:
        tell(f"{PATIENTS} patients for {DAYS:g} days, seed {seed}")
        ward = ward_days(seed, PATIENTS, DAYS)
        begin = time.process_time()
        alarms = run(Deterioration(), ward)
        cpu_s += time.process_time() - begin
        wards.append(ward)
        found.append(alarms)
        scores.append(_scored(seed, ward, *alarms))
    days = sum(score.patient_days for score in scores)
    burden = sum(score.alarms for score in scores) / days
    tell("fixed limits with as many alarms")
    widened = _widened(wards, burden)
    fixed = [alarms_of(_wider(WARD, widened), ward) for ward in wards]
    shares, leads, by_fixed = _leads(wards, found, fixed)
    tell("an oracle that knows every patient's true baseline")
    healthy = ward_days(seeds[0], PATIENTS, DAYS, 0.0)
    urgent = sum(score.urgent_false for score in scores)
    counts = np.array([[score.alarms, score.patient_days] for score in scores])
    gross = Gross(
        patient_days=days,
        alarms_a_day=burden,
        alarms_a_day_ci=interval(counts, lambda drawn: float(drawn[:, 0].sum() / drawn[:, 1].sum())),
        false_a_day=sum(score.false for score in scores) / days,
        urgent_false=urgent,
        urgent_false_in_1000_days=1e3 * urgent / days,
        urgent_false_most=1e3 * _most(urgent) / days,
        courses=sum(score.courses for score in scores),
        found=sum(score.found for score in scores),
        found_by_fixed=by_fixed,
        found_by_median=float(np.median(shares)) if len(shares) else np.nan,
        lead_h_median=float(np.median(leads)) / 3600.0 if len(leads) else np.nan,
        fixed_alarms_a_day=sum(len(who) for who, _ in fixed) / days,
        fixed_widened=widened,
        anchors=(_burden(CRITICAL_CARE, healthy), _burden(WARD, healthy)),
        oracle_delay_ratio=oracle_ratio(),
    )
    return DeteriorationReport(
        rule=RULE,
        records=tuple(str(seed) for seed in seeds),
        gross=gross,
        per_record=tuple(scores),
        cpu_s_per_patient_day=cpu_s / days,
        algorithm="anomaly.deterioration.Deterioration",
        version=installed(),
        source=SOURCE,
    )


def run(kernel: Deterioration, ward: WardDays) -> Alarms:
    """Alarms of the kernel: whose and when (s), and the same of those that became urgent."""
    rest = ward.seen.copy()
    rest[..., :2][ward.moving] = np.nan  # who moves is not at rest
    state = kernel.init(len(rest))
    raised, urgent = [], []
    before = np.zeros(len(rest), np.bool_)
    for k, t_s in enumerate(ward.t_s):
        state, out = kernel.step(state, rest[:, k], (ward.hour * 3600.0 + t_s) % DAY_S)
        raised.append(out.raised)
        urgent.append(out.urgent & ~before)
        before = out.urgent
    return *_listed(np.stack(raised, axis=-1), ward.t_s), *_listed(np.stack(urgent, axis=-1), ward.t_s)


def as_text(report: DeteriorationReport) -> str:
    """The report for people."""
    gross = report.gross
    lines = [f"{'seed':<8}{'days':>8}{'alarms':>8}{'false':>8}{'urgent false':>14}{'courses':>9}{'found':>7}"]
    lines += [
        f"{row.seed:<8}{row.patient_days:>8.0f}{row.alarms:>8}{row.false:>8}{row.urgent_false:>14}{row.courses:>9}{row.found:>7}"
        for row in report.per_record
    ]
    low, high = gross.alarms_a_day_ci
    saying = (
        f"\n{gross.patient_days:.0f} simulated patient-days: {gross.alarms_a_day:.3f} alarms for each"
        f" (95 % {low:.3f} to {high:.3f}), {gross.false_a_day:.3f} of them false\n"
        f"false and urgent: {gross.urgent_false}, {gross.urgent_false_in_1000_days:.1f} in 1,000 days, at most"
        f" {gross.urgent_false_most:.1f} (95 %)\n"
        f"found: {gross.found} of {gross.courses} courses, half of them before {100 * gross.found_by_median:.0f} % of"
        " the way to their full size\n"
        f"fixed limits at {gross.fixed_alarms_a_day:.3f} alarms a day ({gross.fixed_widened:.2f} times as wide) find"
        f" {gross.found_by_fixed}, {gross.lead_h_median:.1f} h later (median)\n"
        f"anchors of the artefacts: {gross.anchors[0]:.0f} and {gross.anchors[1]:.1f} a day (counted: 101, 2.3)\n"
        f"delay over that of an oracle: {gross.oracle_delay_ratio:.3f}\n"
        f"CPU {1e3 * report.cpu_s_per_patient_day:.1f} ms for a patient-day; {report.algorithm} {report.version}\n"
        f"rule: {report.rule}\n"
        f"source: {report.source}"
    )
    lines.append(saying)
    return "\n".join(lines)


def _scored(seed: int, ward: WardDays, who: IntArray, when: Array, urgent: IntArray, urgent_when: Array) -> SeedScore:
    mine, urgent_mine = _own(ward, who, when), _own(ward, urgent, urgent_when)
    return SeedScore(
        seed=seed,
        patient_days=len(ward.seen) * len(ward.t_s) * EVERY_S / DAY_S,
        alarms=len(who),
        false=int((~mine).sum()),
        urgent_false=int((~urgent_mine).sum()),
        courses=int(np.isfinite(ward.from_s).sum()),
        found=len(set(who[mine].tolist())),
    )


def _own(ward: WardDays, who: IntArray, when: Array) -> BoolArray:
    """Which alarms belong to a course."""
    with np.errstate(invalid="ignore"):
        own: BoolArray = when >= ward.from_s[who]
    return own


def _leads(
    wards: list[WardDays], found: list[Alarms], fixed: list[tuple[IntArray, Array]]
) -> tuple[list[float], list[float], int]:
    """How early courses are found (share of each), how much earlier than by fixed limits (s), how many by those."""
    shares, leads, by_fixed = [], [], 0
    for ward, (who, when, _, _), (their, theirs) in zip(wards, found, fixed, strict=True):
        own, their_own = _own(ward, who, when), _own(ward, their, theirs)
        for patient in np.flatnonzero(np.isfinite(ward.from_s)).tolist():
            mine = when[own & (who == patient)]
            other = theirs[their_own & (their == patient)]
            by_fixed += bool(len(other))
            if len(mine):
                shares.append((mine.min() - ward.from_s[patient]) / ward.over_s[patient])
                if len(other):
                    leads.append(other.min() - mine.min())
    return shares, leads, by_fixed


def _wider(limits: Limits, times: float) -> Limits:
    """Limits that lie so many times as far from what is normal."""
    return Limits(
        (72.0 - times * (72.0 - limits.hr[0]), 72.0 + times * (limits.hr[1] - 72.0)),
        (16.0 - times * (16.0 - limits.resp[0]), 16.0 + times * (limits.resp[1] - 16.0)),
        96.0 - times * (96.0 - limits.spo2),
        limits.minutes,
    )


def _widened(wards: list[WardDays], burden: float) -> float:
    """By how much fixed limits have to be wider (or narrower) to alarm as often, in all wards together."""
    days = sum(len(ward.seen) * len(ward.t_s) * EVERY_S / DAY_S for ward in wards)
    low, high = 0.3, 3.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        count = sum(len(alarms_of(_wider(WARD, middle), ward)[0]) for ward in wards)
        low, high = (middle, high) if count / days > burden else (low, middle)
    return high


def _burden(limits: Limits, ward: WardDays) -> float:
    return share(len(alarms_of(limits, ward)[0]), len(ward.seen) * len(ward.t_s) * EVERY_S / DAY_S)


def _most(count: int) -> float:
    """Upper end of the 95 % confidence of a Poisson count (3.0 for none)."""
    from scipy.stats import chi2  # noqa: PLC0415 - a second to import

    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2.0)


def _listed(flags: BoolArray, t_s: Array) -> tuple[IntArray, Array]:
    row, column = np.nonzero(flags)
    return row.astype(np.int64), t_s[column]
