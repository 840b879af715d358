"""The banked alarms: delays, hysteresis, latching, episodes, inhibition; and that they do as their slow twin does."""

from typing import get_args

import numpy as np
import pytest
from alarm_twin import Twin
from hypothesis import given
from hypothesis import strategies as st

from dataflows.alarm_bank import AlarmBank, happen, no_alarms
from dataflows.alarm_table import CHANGES, STATE, Event, Phase
from dataflows.alarms import REFUTED, STALE_NS, Evidence, nothing_known, step, tick
from dataflows.events import SECOND_NS, Condition
from dataflows.priorities import RANK
from dataflows.rules import COLUMN, N_CONDITIONS, RULES
from dataflows.units import UNITS
from dataflows.ward import Moment, Ward

ASYSTOLE, POOR, SLOW = COLUMN["asystole"], COLUMN["poor-signal"], COLUMN["extreme-bradycardia"]
T0 = 1_000 * SECOND_NS


def told(column: int, truth: int, onset_ns: int) -> Evidence:
    evidence = nothing_known(1)
    evidence.truth[0, column] = truth
    evidence.onset_ns[0, column] = onset_ns
    return evidence


def one_step(bank: AlarmBank, column: int, truth: int, second: float, *, stale: bool = False) -> tuple[AlarmBank, str]:
    """One condition of one patient; what is told of it."""
    now = T0 + round(second * SECOND_NS)
    arrival = now + (STALE_NS + 1 if stale else 0)
    bank, happened = step(bank, told(column, truth, now), np.array([now]), np.array([arrival]))
    return bank, CHANGES[happened.change[0, column]] or ""


def run(column: int, script: list[tuple[int, int]], *, stale: bool = False) -> tuple[AlarmBank, list[tuple[int, str]]]:
    """Feed (second, truth) pairs; return the bank and (second, change) of what happened."""
    bank, happened = no_alarms(1), []
    for second, truth in script:
        bank, change = one_step(bank, column, truth, second, stale=stale)
        if change:
            happened.append((second, change))
    return bank, happened


def test_every_condition_has_one_rule() -> None:
    assert sorted(rule.condition for rule in RULES) == sorted(get_args(Condition)) == sorted(UNITS)


def test_a_condition_without_delay_pages_at_once_and_ends_after_its_clear_time() -> None:
    _, happened = run(SLOW, [(0, 0), (1, 1), (2, 1), (3, 0), (4, 0), (5, 0), (6, 0)])
    assert happened == [(1, "raised"), (6, "ended")]


def test_what_latches_stands_until_somebody_has_seen_it_and_comes_again_as_the_same() -> None:
    bank, happened = run(ASYSTOLE, [(0, 1), (1, 0), (2, 0), (3, 0), (60, 0), (61, 1)])
    assert happened == [(0, "raised"), (3, "latched"), (61, "retriggered")]
    assert (bank.first_ns[0, ASYSTOLE], bank.occurrences[0, ASYSTOLE]) == (T0, 2)


def test_a_condition_with_delay_pages_only_when_it_held_for_so_long() -> None:
    assert run(POOR, [(s, 1) for s in range(10)])[1] == []
    assert run(POOR, [(s, 1) for s in range(12)])[1] == [(10, "raised")]
    assert run(POOR, [(s, int(s != 5)) for s in range(15)])[1] == []


def test_time_in_which_nobody_looked_does_not_count_as_held() -> None:
    assert run(POOR, [(0, 1), (1, 1), (15, 1), (16, 1)])[1] == []
    assert run(POOR, [(0, 1), *((s, 1) for s in range(15, 26))])[1] == [(25, "raised")]


def test_a_flicker_within_the_clear_time_does_not_end_an_alarm() -> None:
    assert run(ASYSTOLE, [(0, 1), (1, 0), (2, 1), (3, 0), (4, 1)])[1] == [(0, "raised")]


def test_what_is_not_known_neither_raises_nor_clears() -> None:
    assert run(ASYSTOLE, [(s, -1) for s in range(20)])[1] == []
    assert run(ASYSTOLE, [(0, 1), *((s, -1) for s in range(1, 60))])[1] == [(0, "raised")]


def test_stale_evidence_is_recorded_as_missed_and_pages_once_it_is_young() -> None:
    bank, happened = run(ASYSTOLE, [(0, 1), (1, 1)], stale=True)
    assert happened == [(0, "missed")]
    bank, change = one_step(bank, ASYSTOLE, 1, 2)
    assert change == "raised"
    assert (bank.onset_ns[0, ASYSTOLE], bank.next_step[0, ASYSTOLE]) == (T0, 2)


def test_a_missed_alarm_that_is_over_says_no_more() -> None:
    bank, happened = run(ASYSTOLE, [(0, 1), (1, 0), (2, 0), (3, 0), (4, 0)], stale=True)
    assert happened == [(0, "missed")]
    assert bank.phase[0, ASYSTOLE] == Phase.CLEAR


def test_stale_evidence_does_not_end_an_alarm_that_stands() -> None:
    bank, _ = run(ASYSTOLE, [(0, 1)])
    for second in range(1, 20):
        bank, change = one_step(bank, ASYSTOLE, 0, second, stale=True)
        assert not change
    assert bank.phase[0, ASYSTOLE] == Phase.ACTIVE


def test_one_that_comes_again_soon_is_the_same_alarm_later_another_of_the_episode_and_then_a_new_one() -> None:
    rule = RULES[SLOW]
    bank, _ = run(SLOW, [(0, 1), (1, 0), (4, 0)])
    (first,) = bank.first_ns[:, SLOW]
    soon, later, much_later = (4 + gap - 1 for gap in (rule.gap_s, rule.gap_s + 5, rule.episode_s + 5))
    again, change = one_step(bank, SLOW, 1, soon)
    assert (change, again.first_ns[0, SLOW], again.occurrences[0, SLOW]) == ("retriggered", first, 2)
    again, change = one_step(bank, SLOW, 1, later)
    assert (change, again.episode_ns[0, SLOW], again.occurrences[0, SLOW]) == ("raised", first, 1)
    again, change = one_step(bank, SLOW, 1, much_later)
    assert (change, again.episode_ns[0, SLOW]) == ("raised", 0)


def test_the_next_alarm_of_a_kind_has_another_name_even_if_its_onset_is_claimed_to_be_the_same() -> None:
    bank, names = no_alarms(1), []
    for second, truth in ((0, 1), (1, 0), (5, 0), (90, 1)):
        now = T0 + second * SECOND_NS
        bank, happened = step(bank, told(SLOW, truth, T0), np.array([now]), np.array([now]))
        if CHANGES[happened.change[0, SLOW]] in {"raised", "retriggered"}:
            names.append((int(bank.first_ns[0, SLOW]), int(bank.occurrences[0, SLOW])))
    assert len(set(names)) == 2


def test_who_asks_for_what_has_gone_on_getting_worse_gets_the_higher_priority_also_when_it_was_acknowledged() -> None:
    column = COLUMN["cannot-analyse"]
    bank, happened = run(column, [(s, 1) for s in range(70)])
    assert happened == [(10, "raised"), (60, "worsened")]
    bank, _ = run(column, [(s, 1) for s in range(50)])
    bank.phase[0, column] = Phase.ACKNOWLEDGED
    bank, change = one_step(bank, column, 1, 60)  # not looked at for longer than a condition goes on by itself
    assert (change, bank.phase[0, column]) == ("worsened", Phase.ACTIVE)


def shelved(bank: AlarmBank, column: int, second: float, minutes: float) -> AlarmBank:
    event, at_ns = np.zeros(bank.phase.shape, np.int8), np.array([T0 + round(second * SECOND_NS)])
    event[0, column] = Event.SHELVE
    return happen(bank, event, at_ns, at_ns, until_ns=int(at_ns[0]) + round(minutes * 60) * SECOND_NS)[0]


@pytest.mark.parametrize("true_s", [(0, 17), (0, 1), (0, 0)])  # it stands, its delay ran, it never was
def test_what_comes_back_worse_on_the_shelf_breaks_it(true_s: tuple[int, int]) -> None:
    column, happened = COLUMN["spo2-low"], list[tuple[int, str]]()
    bank, _ = run(column, [(s, int(s in range(*true_s))) for s in range(17)])
    bank = shelved(bank, column, 17, 60)
    for second in range(18, 120):
        evidence = told(column, int(second >= 60), T0 + max(second, 60) * SECOND_NS)
        evidence.value[0, column] = 80.0
        at_ns = np.array([T0 + second * SECOND_NS])
        bank, one = step(bank, evidence, at_ns, at_ns)
        if change := CHANGES[one.change[0, column]]:
            happened.append((second, change))
    assert happened == [(70, "retriggered"), (71, "worsened")]
    assert (bank.phase[0, column], bank.priority[0, column]) == (Phase.ACTIVE, RANK["high"])


@pytest.mark.parametrize(("found", "last"), [(2, "latched"), (-1, "unshelved")])  # before it, somebody has seen it
def test_what_was_found_only_on_the_shelf_has_to_be_seen_though_its_onset_lies_before(found: int, last: str) -> None:
    bank = no_alarms(1) if found > 0 else run(ASYSTOLE, [(found, 1)])[0]
    bank = shelved(bank, ASYSTOLE, 0, 2)
    for second in range(1, 60):
        now = np.array([T0 + second * SECOND_NS])
        bank, _ = step(bank, told(ASYSTOLE, int(found <= second < 20 and found > 0), T0 - 2 * SECOND_NS), now, now)
    bank, happened = tick(bank, np.array([T0 + 120 * SECOND_NS]))
    assert CHANGES[happened.change[0, ASYSTOLE]] == last


def test_what_is_worse_hides_what_says_the_same_until_it_is_over() -> None:
    bank, changes = no_alarms(1), []
    for second in range(12):
        now = np.array([T0 + second * SECOND_NS])
        evidence = nothing_known(1)
        evidence.truth[0, [ASYSTOLE, SLOW]] = int(1 <= second < 5), 1
        evidence.onset_ns[0, [ASYSTOLE, SLOW]] = now[0], T0
        if second == 0:
            evidence.truth[0, SLOW] = 0
        bank, happened = step(bank, evidence, now, now)
        changes += [
            (second, RULES[column].condition, CHANGES[happened.change[0, column]])
            for column in np.flatnonzero(happened.change[0]).tolist()
        ]
    assert changes == [(1, "asystole", "raised"), (5, "extreme-bradycardia", "raised"), (7, "asystole", "latched")]
    assert bank.onset_ns[0, SLOW] == T0 + SECOND_NS or bank.onset_ns[0, SLOW] == T0


def test_a_refutation_ends_what_stood_as_never_true_once_it_holds() -> None:
    bank, happened = run(ASYSTOLE, [(0, 1), (1, REFUTED), (2, REFUTED), (3, REFUTED), (4, 0)])
    assert happened == [(0, "raised"), (3, "retracted")]
    assert bank.phase[0, ASYSTOLE] == Phase.RETRACTED
    assert one_step(bank, ASYSTOLE, 1, 5)[1] == "raised"  # that is another alarm


def test_a_patient_alone_equals_the_patient_in_a_ward_of_others() -> None:
    rng = np.random.default_rng(5)
    n, seconds = 40, 60
    truth = rng.integers(-2, 2, (seconds, n, N_CONDITIONS))
    stale = rng.random((seconds, n)) < 0.1
    ward, alone = no_alarms(n), no_alarms(1)
    for second in range(seconds):
        now = np.full(n, T0 + second * SECOND_NS)
        evidence = nothing_known(n)
        evidence.truth[:] = truth[second]
        evidence.onset_ns[:] = now[:, None]
        arrival = now + stale[second] * 2 * STALE_NS
        ward, happened = step(ward, evidence, now, arrival)
        one = Evidence._make(column[7:8].copy() for column in evidence)
        alone, happened_alone = step(alone, one, now[7:8], arrival[7:8])
        np.testing.assert_array_equal(happened.change[7:8], happened_alone.change)
    for of_ward, of_alone in zip(ward, alone, strict=True):
        np.testing.assert_array_equal(of_ward[7:8], of_alone)


def test_a_step_writes_to_no_argument() -> None:
    bank, evidence = no_alarms(3), nothing_known(3)
    evidence.truth[:] = 1
    for array in (*bank, *evidence):
        array.setflags(write=False)
    at_ns = np.full(3, T0)
    bank, _ = step(bank, evidence, at_ns, at_ns)
    for array in bank:
        array.setflags(write=False)
    tick(bank, at_ns + 3600 * SECOND_NS)


def test_an_event_tells_what_is_known_of_its_value_and_how_sure_it_is() -> None:
    ward = Ward(lambda _patient, _event_ns: (b"", 1.0), lambda _patient: ("", ""))
    ward.admit("s/p")
    evidence = nothing_known(1)
    for condition, u, limit, confidence in (
        ("extreme-tachycardia", 0.4, 45.0, 0.93),
        ("asystole", float("nan"), float("nan"), float("nan")),
        ("frozen", float("nan"), float("nan"), float("nan")),
    ):
        column = COLUMN[condition]
        evidence.truth[0, column], evidence.onset_ns[0, column], evidence.value[0, column] = 1, T0, 38.0
        evidence.u[0, column], evidence.limit[0, column] = u, limit
        evidence.confidence[0, column] = confidence
    events = {e.condition: e for e in ward.observe(Moment(["s/p"], [T0], [T0], [0.7]), evidence)}
    fast = events["extreme-tachycardia"]
    assert (fast.value, fast.u, fast.unit, fast.limit, fast.confidence) == (38.0, 0.4, "/min", 45.0, 0.93)
    assert (events["asystole"].limit, events["asystole"].unit, events["asystole"].confidence) == (4.0, "s", 0.7)
    assert events["frozen"].confidence == 1.0


MOMENT = st.tuples(
    st.sampled_from(["evidence"] * 8 + ["tick"] * 3),
    st.sampled_from([0.25, 1.0, 1.0, 1.0, 2.0, 3.5, 31.0, 70.0, 400.0]),
    st.lists(st.sampled_from([1, 1, 1, 0, 0, -1, REFUTED]), min_size=5, max_size=5),
    st.sampled_from([0.0, 0.0, 0.0, 31.0]),
    st.sampled_from([0.0, 20.0, float("nan")]),
)
WATCHED = [COLUMN[name] for name in ("asystole", "extreme-bradycardia", "cannot-analyse", "ventricular-run", "pause")]


@given(st.lists(MOMENT, max_size=40))
def test_the_bank_does_as_its_slow_twin_does(moments: list[tuple[str, float, list[int], float, float]]) -> None:
    bank, twin, said, now = no_alarms(1), Twin(), list[tuple[object, ...]](), T0
    for what, seconds, truths, late_s, value in moments:
        now += round(seconds * SECOND_NS)
        if what == "tick":
            bank, happened = tick(bank, np.array([now]))
            twin.tick(now)
        else:
            evidence = nothing_known(1)
            evidence.truth[0, WATCHED], evidence.onset_ns[0, WATCHED], evidence.value[0, WATCHED] = truths, now, value
            arrival = now + round(late_s * SECOND_NS)
            bank, happened = step(bank, evidence, np.array([now]), np.array([arrival]))
            truth, onset, measured = (field[0].tolist() for field in evidence[:3])
            twin.observe(truth, onset, measured, now, arrival)
        for column in np.flatnonzero(happened.change[0]).tolist():
            cell = {name: int(field[0, column]) for name, field in zip(bank._fields, bank, strict=True)}
            numbers = [cell[name] for name in ("first_ns", "occurrences", "level", "until_ns")]
            change = CHANGES[happened.change[0, column]] or ""
            step_ = cell["next_step"] - 1
            said.append((RULES[column].condition, STATE[Phase(cell["phase"])], change, step_, *numbers))
    assert said == twin.told
    for column in WATCHED:
        its = twin.cells[column]
        cell = {name: int(field[0, column]) for name, field in zip(bank._fields, bank, strict=True)}
        mine = [cell[name] for name in ("phase", "onset_ns", "begun_ns", "ended_ns", "priority")]
        assert mine == [its.phase, its.onset, its.begun, its.ended, its.rank]
