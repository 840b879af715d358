"""The score of a run: an honest judge must itself be judged."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly.intervals import RATE_INTERVALS, BeatRing, heart_rate, newest
from dataflows.events import AlarmEvent, AlarmState, Condition, Reading, Vitals
from dataflows.store import Commit
from deploy.score import SECOND_NS, lag_ms, score_alarms, score_latency, score_rates, true_rate_bpm
from deploy.truth import Truth, gather
from device_sim.truth import AlarmLine, BeatLine, FaultLine, PatientLine, RhythmLine

T0 = 1_700_000_000
LAG_NS = SECOND_NS // 4


def at(seconds: float) -> int:
    return T0 * SECOND_NS + round(seconds * SECOND_NS)


def vitals(second: float, hr: float, patient: str = "p", *, late: bool = False) -> Vitals:
    none = Reading()
    return Vitals(
        site="s",
        patient=patient,
        second=T0 + int(second),
        hr=Reading(hr, 0.5, 1.0),
        rr_interval=none,
        rmssd=none,
        sdnn=none,
        pulse=none,
        temp=none,
        coverage=1.0,
        quality=1.0,
        reason="",
        source="mcg",
        settling=False,
        late=late,
    )


def alarm(
    condition: Condition, onset_s: float, *, step: int = 0, state: AlarmState = "active", id_: str = ""
) -> AlarmEvent:
    return AlarmEvent(
        site="s",
        id=id_ or f"{condition}-{onset_s}",
        step=step,
        patient="p",
        condition=condition,
        category="physiological" if condition == "asystole" else "technical",
        priority="high",
        state=state,
        onset_ns=at(onset_s),
        event_ns=at(onset_s),
        arrival_ns=at(onset_s),
        value=0.0,
        limit=0.0,
        quality=1.0,
        confidence=1.0,
        algorithm="a",
        version="1",
        reason="",
    )


def ward(*, beats_s: list[float], faults: list[tuple[float, float]] = [], alarms: list[AlarmLine] = []) -> Truth:  # noqa: B006 - read only
    return gather(
        [
            PatientLine(patient="p", device="d", bed="b", site="s", from_ns=at(0)),
            *(BeatLine(patient="p", time_ns=at(beat), kind="N") for beat in beats_s),
            *(FaultLine(patient="p", device="d", fault="noise", from_ns=at(a), to_ns=at(b)) for a, b in faults),
            *alarms,
        ]
    )


def window(condition: str, from_s: float, to_s: float, *, required: bool = True) -> AlarmLine:
    return AlarmLine(patient="p", condition=condition, from_ns=at(from_s), to_ns=at(to_s), required=required)


@given(
    st.lists(st.integers(210_000_000, 6_000_000_000), min_size=0, max_size=40),
    st.integers(0, 20_000_000_000),
)
def test_the_truth_has_the_functional_of_the_flow(intervals_ns: list[int], after_ns: int) -> None:
    beats = at(0) + np.cumsum([0, *intervals_ns])
    as_of = int(beats[-1]) - after_ns + 5_000_000_000
    ring = BeatRing(
        beats[None, :].astype(np.int64), np.ones((1, len(beats)), np.float32), np.zeros((1, len(beats), 0), np.float16)
    )
    wanted = min(RATE_INTERVALS + 1, len(beats))
    of_flow, _, _ = heart_rate(newest(ring, np.array([as_of]), wanted), np.array([as_of]))
    of_truth = true_rate_bpm([int(beat) for beat in beats], as_of)
    assert (of_truth is None) == bool(np.isnan(of_flow[0]))
    if of_truth is not None:
        assert math.isclose(of_truth, float(of_flow[0]), rel_tol=1e-9)


def test_a_missing_value_is_a_miss_and_so_is_a_missing_row() -> None:
    truth = ward(beats_s=list(np.arange(0, 60, 1.0)))
    right = [vitals(s, 60.0) for s in range(60)]
    score = score_rates(truth, right, at(60), LAG_NS)
    assert (score.seconds, score.within, score.missing, score.share) == (44, 44, 0, 1.0)  # 15 .. 58
    wrong = [vitals(20, 62.1), vitals(21, float("nan")), *right[23:]]
    score = score_rates(truth, wrong, at(60), LAG_NS)
    assert (score.seconds, score.within, score.missing) == (44, 36, 7)  # 15 .. 19 and 22 have no row


def test_beats_after_the_instant_of_the_row_do_not_count() -> None:
    beats = [*np.arange(0, 30, 1.0), *np.arange(30, 60, 0.5)]
    truth = ward(beats_s=beats)
    late, early = (
        score_rates(truth, [vitals(30, 60.0)], at(32), 0),
        score_rates(truth, [vitals(30, 60.0)], at(32), SECOND_NS),
    )
    assert true_rate_bpm(truth.beats_ns["p"], at(31)) != true_rate_bpm(truth.beats_ns["p"], at(30))
    assert (late.within, early.within) == (0, 1)


def test_seconds_without_a_true_rate_and_disturbed_ones_are_left_out() -> None:
    beats = [*np.arange(0, 25, 1.0), *np.arange(50, 80, 1.0)]  # no heart from 24 to 50
    truth = ward(beats_s=beats, faults=[(60.0, 62.0)])
    judged = score_rates(truth, [], at(80), LAG_NS).seconds
    # 15 .. 27 (stale 4 s after the last beat), 52 .. 59 (two intervals again), 77 and 78 (15 s after the fault)
    assert judged == 13 + 8 + 2


def test_an_alarm_is_found_by_its_onset_in_the_window() -> None:
    truth = ward(beats_s=[], alarms=[window("asystole", 20, 22), window("frozen", 30, 36)])
    score = score_alarms(truth, [alarm("asystole", 21.0), alarm("frozen", 36.5)], at(60))
    assert (score.expected, score.found) == (2, 1)
    assert [said.condition for said in score.missed] == ["frozen"]
    assert [event.condition for event in score.false] == ["frozen"]


def test_every_event_of_an_alarm_is_one_alarm() -> None:
    events = [alarm("asystole", 5.0, step=step, id_="x") for step in (2, 0, 1)]
    assert len(score_alarms(ward(beats_s=[]), events, at(60)).false) == 1
    assert score_alarms(ward(beats_s=[]), events, at(60)).false[0].step == 0


def test_a_window_that_may_be_alarmed_excuses_and_requires_nothing() -> None:
    truth = ward(beats_s=[], alarms=[window("asystole", 20, 22, required=False), window("frozen", 50, 70)])
    score = score_alarms(truth, [alarm("asystole", 21.0), alarm("frozen", 55.0)], at(60))
    assert (score.expected, score.found, score.false) == (0, 0, [])
    assert score_alarms(truth, [], at(60)).missed == []


def test_only_a_bad_signal_is_excused_by_a_fault() -> None:
    truth = ward(beats_s=[], faults=[(20.0, 30.0)])
    excused, not_excused = alarm("poor-signal", 44.0), [alarm("asystole", 25.0), alarm("poor-signal", 46.0)]
    assert score_alarms(truth, [excused, *not_excused], at(60)).false == not_excused


def test_a_missed_alarm_that_nothing_explains_is_false_too() -> None:
    assert len(score_alarms(ward(beats_s=[]), [alarm("asystole", 5.0, state="missed")], at(60)).false) == 1


def test_latency_runs_from_the_end_of_the_second_to_the_commit() -> None:
    rows = [(1, vitals(0, 60.0)), (2, vitals(0, 60.0, "q")), (3, vitals(1, 60.0)), (4, vitals(0, 60.0, late=True))]
    commits = [Commit(2, at(1.1)), Commit(3, at(2.3))]
    latency = score_latency(rows, commits)
    assert math.isclose(latency.p50_ms, 100.0, abs_tol=1e-3)
    assert 290.0 < latency.p99_ms <= 300.0
    assert math.isnan(score_latency(rows, []).p50_ms)


def test_what_is_due_and_has_no_rule_is_counted_and_missed_by_nobody() -> None:
    due = AlarmLine(patient="p", condition="st-shift", from_ns=at(20), to_ns=at(30), required=False, due=True)
    truth = ward(beats_s=[], alarms=[due, window("asystole", 20, 22, required=False)])
    score = score_alarms(truth, [], at(90))
    assert (score.expected, score.missed, score.unknown) == (0, [], [due])
    assert not score_alarms(truth, [], at(25)).unknown, "its time was not over"


def test_what_is_due_and_known_is_counted_beside_what_is_required() -> None:
    alarms = [
        AlarmLine(patient="p", condition="asystole", from_ns=at(a), to_ns=at(a + 5), required=False, due=True)
        for a in (20, 40)
    ]
    score = score_alarms(ward(beats_s=[], alarms=alarms), [alarm("asystole", 21.0)], at(90))
    assert (score.expected, score.missed, score.due, score.due_found) == (0, [], 2, 1)


def test_lag_is_that_of_the_patient_furthest_behind() -> None:
    truth = ward(beats_s=[])
    assert lag_ms({"p": T0 + 9}, truth, at(10.9)) == 0.0
    assert lag_ms({"p": T0 + 6}, truth, at(10.5)) == 2500.0
    assert lag_ms({}, truth, at(10.0)) == 9000.0  # never a row since the patient came
    assert math.isnan(lag_ms({}, ward(beats_s=[], faults=[(0.0, 10.0)]), at(10.0)))


def test_a_recorded_heart_is_known_whatever_its_rhythm() -> None:
    line = PatientLine(patient="p", device="d", bed="b", site="s", from_ns=0, recorded=True)
    rhythm = RhythmLine(patient="p", rhythm="atrial-fibrillation", from_ns=0, to_ns=1)
    assert gather([line, rhythm]).recorded == ["p"]
