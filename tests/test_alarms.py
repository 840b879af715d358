"""The alarm state machine: every phase against every kind of evidence, and the promises around stale data."""

import itertools
from typing import get_args

import numpy as np
import pytest

from dataflows.alarms import AlarmBank, Evidence, Phase, Transition, alarm_id, no_alarms, nothing_known, step
from dataflows.events import SECOND_NS, Condition
from dataflows.rules import COLUMN, N_CONDITIONS, RULES
from dataflows.units import UNITS
from dataflows.ward import Moment, Ward

ASYSTOLE, POOR = COLUMN["asystole"], COLUMN["poor-signal"]
T0 = 1_000 * SECOND_NS


def told(column: int, truth: int, onset_ns: int) -> Evidence:
    evidence = nothing_known(1)
    evidence.truth[0, column] = truth
    evidence.onset_ns[0, column] = onset_ns
    return evidence


def run(column: int, script: list[tuple[int, int]], *, stale: bool = False) -> tuple[AlarmBank, list[tuple[int, int]]]:
    """Feed (second, truth) pairs; return the bank and (second, transition) of what happened."""
    bank, happened = no_alarms(1), []
    for second, truth in script:
        now = T0 + second * SECOND_NS
        bank, moved = step(bank, told(column, truth, now), np.array([now]), np.array([stale]))
        if moved[0, column]:
            happened.append((second, int(moved[0, column])))
    return bank, happened


def test_every_condition_has_one_rule() -> None:
    assert sorted(rule.condition for rule in RULES) == sorted(get_args(Condition)) == sorted(UNITS)


def test_a_condition_without_delay_pages_at_once_and_ends_after_its_clear_time() -> None:
    _, happened = run(ASYSTOLE, [(0, 0), (1, 1), (2, 1), (3, 0), (4, 0), (5, 0), (6, 0)])
    assert happened == [(1, Transition.RAISED), (5, Transition.ENDED)]


def test_a_condition_with_delay_pages_only_when_it_held_for_so_long() -> None:
    assert run(POOR, [(s, 1) for s in range(10)])[1] == []
    assert run(POOR, [(s, 1) for s in range(12)])[1] == [(10, Transition.RAISED)]
    assert run(POOR, [(s, int(s != 5)) for s in range(15)])[1] == []


def test_time_in_which_nobody_looked_does_not_count_as_held() -> None:
    assert run(POOR, [(0, 1), (1, 1), (15, 1), (16, 1)])[1] == []
    assert run(POOR, [(0, 1), *((s, 1) for s in range(15, 26))])[1] == [(25, Transition.RAISED)]


def test_a_flicker_within_the_clear_time_does_not_end_an_alarm() -> None:
    assert run(ASYSTOLE, [(0, 1), (1, 0), (2, 1), (3, 0), (4, 1)])[1] == [(0, Transition.RAISED)]


def test_what_is_not_known_neither_raises_nor_clears() -> None:
    assert run(ASYSTOLE, [(s, -1) for s in range(20)])[1] == []
    assert run(ASYSTOLE, [(0, 1), *((s, -1) for s in range(1, 60))])[1] == [(0, Transition.RAISED)]


def test_stale_evidence_is_recorded_as_missed_and_pages_once_it_is_young() -> None:
    bank, happened = run(ASYSTOLE, [(0, 1), (1, 1)], stale=True)
    assert happened == [(0, Transition.MISSED)]
    now = T0 + 2 * SECOND_NS
    bank, moved = step(bank, told(ASYSTOLE, 1, now), np.array([now]), np.array([False]))
    assert moved[0, ASYSTOLE] == Transition.RAISED
    assert bank.onset_ns[0, ASYSTOLE] == T0


def test_a_missed_alarm_that_is_over_says_no_more() -> None:
    bank, happened = run(ASYSTOLE, [(0, 1), (1, 0), (2, 0), (3, 0), (4, 0)], stale=True)
    assert happened == [(0, Transition.MISSED)]
    assert bank.phase[0, ASYSTOLE] == Phase.CLEAR


def test_stale_evidence_does_not_end_an_alarm_that_stands() -> None:
    bank, _ = run(ASYSTOLE, [(0, 1)])
    for second in range(1, 20):
        now = T0 + second * SECOND_NS
        bank, moved = step(bank, told(ASYSTOLE, 0, now), np.array([now]), np.array([True]))
        assert not moved.any()
    assert bank.phase[0, ASYSTOLE] == Phase.ACTIVE


def test_the_next_alarm_of_a_kind_has_another_name_even_if_its_onset_is_claimed_to_be_the_same() -> None:
    bank, onsets = no_alarms(1), []
    for second, truth in enumerate([1, 0, 0, 0, 1]):
        now = T0 + second * SECOND_NS
        bank, moved = step(bank, told(ASYSTOLE, truth, T0), np.array([now]), np.array([False]))
        if moved[0, ASYSTOLE] == Transition.RAISED:
            onsets.append(int(bank.onset_ns[0, ASYSTOLE]))
    assert len(onsets) == 2
    assert alarm_id("s/p", "asystole", onsets[0]) != alarm_id("s/p", "asystole", onsets[1])


@pytest.mark.parametrize("column", range(N_CONDITIONS), ids=[rule.condition for rule in RULES])
def test_every_phase_against_every_kind_of_evidence(column: int) -> None:
    expected = {
        # (phase, truth, stale): (phase after, transition), all delays having passed
        (Phase.CLEAR, 1, False): (Phase.ACTIVE, Transition.RAISED),
        (Phase.CLEAR, 1, True): (Phase.MISSED, Transition.MISSED),
        (Phase.MISSED, 1, False): (Phase.ACTIVE, Transition.RAISED),
        (Phase.MISSED, 0, True): (Phase.CLEAR, Transition.NONE),
        (Phase.MISSED, 0, False): (Phase.CLEAR, Transition.NONE),
        (Phase.ACTIVE, 0, False): (Phase.CLEAR, Transition.ENDED),
        (Phase.ACKNOWLEDGED, 0, False): (Phase.CLEAR, Transition.ENDED),
    }
    for phase, truth, stale in itertools.product(Phase, (1, 0, -1), (False, True)):
        bank = no_alarms(1)
        bank.phase[0, column] = phase
        bank.onset_ns[0, column] = T0
        bank.over_ns[0, column] = T0 + 1 if truth == 0 else 0
        now = T0 + 100 * SECOND_NS
        after, moved = step(bank, told(column, truth, T0), np.array([now]), np.array([stale]))
        assert (Phase(int(after.phase[0, column])), Transition(int(moved[0, column]))) == expected.get(
            (phase, truth, stale), (phase, Transition.NONE)
        ), (phase, truth, stale)


def test_a_patient_alone_equals_the_patient_in_a_ward_of_others() -> None:
    rng = np.random.default_rng(5)
    n, seconds = 40, 60
    truth = rng.integers(-1, 2, (seconds, n, N_CONDITIONS))
    stale = rng.random((seconds, n)) < 0.1
    ward, alone = no_alarms(n), no_alarms(1)
    for second in range(seconds):
        now = np.full(n, T0 + second * SECOND_NS)
        evidence = nothing_known(n)
        evidence.truth[:] = truth[second]
        evidence.onset_ns[:] = now[:, None]
        ward, moved = step(ward, evidence, now, stale[second])
        one = Evidence._make(column[7:8].copy() for column in evidence)
        alone, moved_alone = step(alone, one, now[7:8], stale[second, 7:8])
        np.testing.assert_array_equal(moved[7:8], moved_alone)
    for of_ward, of_alone in zip(ward, alone, strict=True):
        np.testing.assert_array_equal(of_ward[7:8], of_alone)


def test_a_step_writes_to_no_argument() -> None:
    bank, evidence = no_alarms(3), nothing_known(3)
    evidence.truth[:] = 1
    for array in (*bank, *evidence):
        array.setflags(write=False)
    step(bank, evidence, np.full(3, T0), np.zeros(3, np.bool_))


def test_an_event_tells_what_is_known_of_its_value_and_how_sure_it_is() -> None:
    ward = Ward(lambda _patient, _event_ns: (b"", 1.0), lambda _patient: ("", ""))
    ward.admit("s/p")
    evidence = nothing_known(1)
    for condition, u, limit, confidence in (
        ("extreme-bradycardia", 0.4, 45.0, 0.93),
        ("asystole", float("nan"), float("nan"), float("nan")),
        ("frozen", float("nan"), float("nan"), float("nan")),
    ):
        column = COLUMN[condition]  # type: ignore[index]  # a literal in a tuple
        evidence.truth[0, column], evidence.onset_ns[0, column], evidence.value[0, column] = 1, T0, 38.0
        evidence.u[0, column], evidence.limit[0, column] = u, limit
        evidence.confidence[0, column] = confidence
    events = {e.condition: e for e in ward.observe(Moment(["s/p"], [T0], [T0], [0.7]), evidence)}
    slow = events["extreme-bradycardia"]
    assert (slow.value, slow.u, slow.unit, slow.limit, slow.confidence) == (38.0, 0.4, "/min", 45.0, 0.93)
    assert (events["asystole"].limit, events["asystole"].unit, events["asystole"].confidence) == (4.0, "s", 0.7)
    assert events["frozen"].confidence == 1.0
