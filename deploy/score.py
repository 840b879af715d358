"""What the flow found against what the simulator knew: rates, alarms and the time from a sample to its row."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dataflows.events import AlarmEvent, Vitals
from dataflows.rules import RULES
from dataflows.store import Commit
from deploy.truth import Truth
from device_sim.truth import AlarmLine, FaultLine

SECOND_NS = 1_000_000_000
SETTLING_NS = 15 * SECOND_NS  # after a patient comes, and after a fault ends
CLOSING_NS = SECOND_NS  # a second closes when the data has passed it by: not yet, if intake ended before
NEWEST_RR = 8
RR_SPAN_NS = 10 * SECOND_NS
LEAST_RR = 2
STALE_NS = 4 * SECOND_NS
TOLERANCE_BPM = 2.0
# Conditions that say no more than that a signal is bad: during a scripted fault they are the truth.
EXCUSED_BY_FAULTS = frozenset({"poor-signal", "cannot-analyse"})


class RateScore(NamedTuple):
    """Heart rates of settled patient-seconds in which the true heart has a rate."""

    seconds: int
    within: int  # within 2 bpm of the truth
    missing: int  # no value: a miss
    error_bpm_median: float  # of those with a value; NaN: none

    @property
    def share(self) -> float:
        """Share within 2 bpm; NaN where there was nothing to judge."""
        return self.within / self.seconds if self.seconds else float("nan")


class AlarmScore(NamedTuple):
    """Alarms against the script."""

    expected: int
    found: int
    missed: list[AlarmLine]
    false: list[AlarmEvent]  # first event of each alarm that nothing in the script explains
    due: int  # clinically, of a condition that this flow knows, whatever hides it from a sensor
    due_found: int
    unknown: list[AlarmLine]  # clinically due, of a condition that has no detector here yet: a miss of nobody's


class Latency(NamedTuple):
    """Time from the newest sample of a vitals row to its commit, in ms; NaN: no row with a known commit."""

    p50_ms: float
    p99_ms: float


def true_rate_bpm(beats_ns: Sequence[int], as_of_ns: int) -> float | None:
    """60 over the mean of the last 8 RR intervals, leaving out those that begin more than 10 s before `as_of_ns`.

    This is the rule of `anomaly.intervals.heart_rate`, written again for true beats; a test holds the two together.

    Parameters
    ----------
    beats_ns
        Times of true beats, ascending.
    as_of_ns
        Only beats up to here are known.

    Returns
    -------
    float or None
        Beats per minute; None with fewer than 2 intervals, or when the last beat is more than 4 s old.
    """
    end = bisect_right(beats_ns, as_of_ns)
    start = max(end - 1 - NEWEST_RR, bisect_left(beats_ns, as_of_ns - RR_SPAN_NS))
    n_intervals = end - 1 - start
    if n_intervals < LEAST_RR or beats_ns[end - 1] < as_of_ns - STALE_NS:
        return None
    return 60.0 * SECOND_NS * n_intervals / (beats_ns[end - 1] - beats_ns[start])


def score_rates(
    truth: Truth, vitals: Iterable[Vitals], intake_end_ns: int, as_of_lag_ns: int, patients: Iterable[str] | None = None
) -> RateScore:
    """Compare each settled second's heart rate with the same functional of the true beats.

    Parameters
    ----------
    truth
        What the simulator knew.
    vitals
        Rows of the store, in any order.
    intake_end_ns
        When the devices were told to stop.
    as_of_lag_ns
        How long before the end of its second a row's beats end: what the flow uses.
    patients
        Only these; all without it.
    """
    found = {(row.patient, row.second): row.hr.value for row in vitals}
    seconds = within = missing = 0
    errors = []
    for patient in truth.patients if patients is None else patients:
        beats, faults = truth.beats_ns.get(patient, []), truth.faults.get(patient, [])
        first = truth.patients[patient].from_ns + SETTLING_NS
        for second in range(-(-first // SECOND_NS), (intake_end_ns - CLOSING_NS) // SECOND_NS):
            start, end = second * SECOND_NS, (second + 1) * SECOND_NS
            rate = true_rate_bpm(beats, end - as_of_lag_ns)
            if rate is None or _disturbed(faults, start, end):
                continue
            seconds += 1
            value = found.get((patient, second), float("nan"))
            if np.isnan(value):
                missing += 1
                continue
            errors.append(abs(value - rate))
            within += errors[-1] <= TOLERANCE_BPM
    return RateScore(seconds, within, missing, float(np.median(errors)) if errors else float("nan"))


def score_alarms(truth: Truth, events: Iterable[AlarmEvent], run_end_ns: int) -> AlarmScore:
    """Match alarms to the script by patient, condition and onset.

    A window of the script is required or merely allowed; one that had not ended when the run did is allowed. An alarm
    that fits no window is false, of whatever kind; only a bad signal during a scripted fault, or within 15 s of it, is
    excused. The onset of a technical alarm may lie up to one packet before its window.
    """
    first: dict[tuple[str, int], AlarmEvent] = {}  # an alarm whose condition comes again soon is found as often
    for event in (one for one in events if one.occurrences):  # not shelved before it came true
        time = (event.id, event.occurrences)
        if time not in first or event.step < first[time].step:
            first[time] = event
    expected = [alarm for alarm in truth.alarms if alarm.required and alarm.to_ns <= run_end_ns]
    missed = [alarm for alarm in expected if not any(fits(event, alarm) for event in first.values())]
    false = [
        event
        for event in first.values()
        if not any(fits(event, alarm) for alarm in truth.alarms)
        and not (event.condition in EXCUSED_BY_FAULTS and _disturbed_at(truth.faults.get(event.patient, []), event))
    ]
    known = {rule.condition for rule in RULES}
    due = [alarm for alarm in truth.alarms if alarm.due and alarm.to_ns <= run_end_ns]
    unknown = [alarm for alarm in due if alarm.condition not in known]
    due_known = [alarm for alarm in due if alarm.condition in known]
    due_found = sum(any(fits(event, alarm) for event in first.values()) for alarm in due_known)
    false.sort(key=lambda event: (event.onset_ns, event.id))
    return AlarmScore(len(expected), len(expected) - len(missed), missed, false, len(due_known), due_found, unknown)


def score_latency(vitals: Iterable[tuple[int, Vitals]], commits: Sequence[Commit]) -> Latency:
    """Time from the end of each row's second to its commit; rows whose evidence came late are left out.

    Parameters
    ----------
    vitals
        Rows with their ids.
    commits
        Ascending.
    """
    last_ids = [commit.last_id for commit in commits]
    waits = []
    for row_id, row in vitals:
        at = bisect_right(last_ids, row_id - 1)
        if at < len(commits) and not row.late:
            waits.append((commits[at].at_ns - (row.second + 1) * SECOND_NS) / 1e6)
    if not waits:
        return Latency(float("nan"), float("nan"))
    p50, p99 = np.percentile(waits, [50, 99])
    return Latency(float(p50), float(p99))


def lag_ms(newest: Mapping[str, int], truth: Truth, at_ns: int) -> float:
    """How much older than need be the newest row of the patient furthest behind is, in ms.

    A row can only come at the end of its second, so an age of up to a second is nobody's fault.

    Parameters
    ----------
    newest
        Newest second committed by `at_ns`, per patient.
    truth
        Every patient counts, but those in a scripted fault at that time.
    at_ns
        When it was looked at: the end of intake.
    """
    ends = [
        (newest[patient] + 1) * SECOND_NS if patient in newest else said.from_ns
        for patient, said in truth.patients.items()
        if not _disturbed(truth.faults.get(patient, []), at_ns - SECOND_NS, at_ns)
    ]
    return max(0.0, (at_ns - SECOND_NS - min(ends)) / 1e6) if ends else float("nan")


def fits(event: AlarmEvent, alarm: AlarmLine) -> bool:
    """Whether an alarm's onset lies in a window of the truth."""
    return (
        event.patient == alarm.patient
        and event.condition == alarm.condition
        and alarm.from_ns <= event.onset_ns <= alarm.to_ns
    )


def _disturbed(faults: Sequence[FaultLine], start_ns: int, end_ns: int) -> bool:
    return any(fault.from_ns < end_ns and start_ns < fault.to_ns + SETTLING_NS for fault in faults)


def _disturbed_at(faults: Sequence[FaultLine], event: AlarmEvent) -> bool:
    return any(fault.from_ns <= event.onset_ns <= fault.to_ns + SETTLING_NS for fault in faults)
