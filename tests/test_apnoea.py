"""A chest that stops is told from one that breathes, moves, or lies in an arrest."""

import laws
import numpy as np
import pytest
from numpy.typing import NDArray
from sim_flow import flowed

from anomaly.apnoea import ChestBreath, ChestOut, ChestState, swing
from dataflows import findings, fusion
from dataflows.breathing import Breath, Breathing
from dataflows.courses import Courses
from dataflows.estimates import Second, nothing_measured
from dataflows.events import SECOND_NS
from dataflows.limits import defaults
from dataflows.rows import Made
from dataflows.rules import COLUMN
from dataflows.slow_vitals import nothing_told

Array = NDArray[np.float64]
T0 = 1_700_000_000 * SECOND_NS
NAN = float("nan")


def second_by_second(swings: Array, kernel: ChestBreath | None = None) -> tuple[ChestState, list[ChestOut]]:
    """Feed swings of shape (n, n_seconds)."""
    kernel = kernel or ChestBreath()
    state, outs = kernel.init(len(swings)), []
    for k in range(swings.shape[1]):
        state, out = kernel.step(state, swings[:, k], np.full(len(swings), T0 + (k + 1) * SECOND_NS))
        outs.append(out)
    return state, outs


def breathing(seconds: int = 60, size: float = 0.15) -> Array:
    """Swings of a chest that breathes, a little different from second to second."""
    return size * (1.0 + 0.2 * np.random.default_rng(0).standard_normal((1, seconds)))


def then(*parts: Array) -> list[ChestOut]:
    """What is known after each second of some stretches."""
    return second_by_second(np.concatenate(parts, axis=-1))[1]


def test_the_swing_is_the_length_of_the_box_around_the_axes() -> None:
    axes = np.zeros((2, 3, 20))
    axes[0, 0, 3], axes[0, 1, 7] = 3.0, -4.0
    axes[1, 2, 0] = NAN
    assert swing(axes)[0] == 5.0
    assert np.isnan(swing(axes)[1])


def test_a_row_alone_equals_the_row_in_a_bank() -> None:
    swings = np.random.default_rng(1).exponential(0.1, (64, 50))
    swings[:, 30:40] *= 0.01
    whole, outs = second_by_second(swings)
    for row in (0, 17, 63):
        alone, alone_outs = second_by_second(swings[row : row + 1])
        laws.same(laws.rows(whole, slice(row, row + 1)), alone)
        laws.same(tuple(laws.rows(out, slice(row, row + 1)) for out in outs), tuple(alone_outs))


def test_a_step_writes_to_no_argument() -> None:
    kernel = ChestBreath()
    state = kernel.init(3)
    for _, leaf in laws.leaves(state):
        leaf.setflags(write=False)
    swings = np.full(3, 0.1)
    swings.setflags(write=False)
    kernel.step(state, swings, np.full(3, T0))


def test_a_chest_that_stops_is_timed_from_its_last_movement() -> None:
    outs = then(breathing(), np.full((1, 30), 0.004))
    assert outs[59].pause_s[0] == 0.0
    assert [round(float(out.pause_s[0])) for out in outs[60:63]] == [5, 6, 7]
    assert outs[-1].since_ns[0] == T0 + 56 * SECOND_NS


def test_shallow_breath_is_breath() -> None:
    assert all(out.pause_s[0] == 0.0 for out in then(breathing(), breathing(60, 0.06))[60:])


def test_movement_ends_a_pause() -> None:
    outs = then(breathing(), np.full((1, 15), 0.004), np.full((1, 1), 3.0), np.full((1, 5), 0.004))
    assert outs[74].pause_s[0] > 15.0
    assert outs[75].pause_s[0] == 0.0
    assert outs[-1].pause_s[0] < 10.0
    assert second_by_second(np.full((1, 40), 3.0))[0].learned_s[0] == 0.0  # who turns all the while is not learned from


def test_nothing_is_known_before_a_breath_was_learned_of_a_chest_that_hardly_moves_or_without_a_sensor() -> None:
    assert all(np.isnan(out.pause_s[0]) for out in then(breathing(14)))
    assert all(np.isnan(out.pause_s[0]) for out in then(breathing(60, 0.01), np.full((1, 30), 0.0)))
    outs = then(breathing(), np.full((1, 30), NAN), np.full((1, 5), 0.004))
    assert np.isnan(outs[70].pause_s[0])
    assert outs[-1].pause_s[0] < 10.0  # what was not seen is no pause


def test_a_hole_in_time_is_no_pause() -> None:
    kernel = ChestBreath()
    state, _ = second_by_second(breathing())
    state, out = kernel.step(state, np.array([0.004]), np.array([T0 + 500 * SECOND_NS]))
    assert out.pause_s[0] == 0.0
    assert not out.sure[0]


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="share=2"):
        ChestBreath(share=2.0)
    with pytest.raises(ValueError, match="least_ms2=1"):
        ChestBreath(least_ms2=1.0)


def apnoea_of(known: Second, breath: Breath) -> int:
    """What the evidence says of an apnoea."""
    end_ns = np.array([T0])
    course = Courses().step(["p"], end_ns // SECOND_NS, np.full((1, 4), NAN))
    evidence = findings.evidence(
        known, Made(fusion.fused(known), breath, course, nothing_told(len(end_ns))), defaults(len(end_ns)), end_ns
    )
    return int(evidence.truth[0, COLUMN["apnoea"]])


def test_an_arrests_own_loss_of_breath_is_no_alarm_of_its_own() -> None:
    one, zero = np.ones(1, np.int64), np.zeros(1, np.int64)
    known = nothing_measured(1)
    nothing = Breathing().step(["p"], known, np.array([T0]))
    assert apnoea_of(known, nothing) == -1
    paused = nothing._replace(pause_s=np.array([25.0]), since_ns=np.array([T0 - 25 * SECOND_NS]))
    assert apnoea_of(known, paused) == 1
    short = paused._replace(pause_s=np.array([15.0]))
    assert apnoea_of(known, short) == -1, "it may have stood still before something was missed"
    assert apnoea_of(known, short._replace(sure=np.array([True]))) == 0
    stopped = known._replace(cardiac=known.cardiac._replace(asystole=one, present=one > 0))
    assert apnoea_of(stopped, paused) == -1
    dark = known._replace(optical=known.optical._replace(present=one > 0, last_pulse_ns=zero + T0 - 20 * SECOND_NS))
    assert apnoea_of(dark, paused) == -1
    beating = known._replace(optical=known.optical._replace(present=one > 0, last_pulse_ns=zero + T0 - SECOND_NS))
    assert apnoea_of(beating, paused) == 1


def test_a_simulated_apnoea_is_found_in_time_and_its_rate_is_no_number() -> None:
    found = flowed("apnoea", 1, 75.0)
    start_s = found.end_ns // SECOND_NS - 75
    raised = [alarm for alarm in found.alarms if alarm.condition == "apnoea" and alarm.state == "active"]
    assert len(raised) == 1
    assert 35.0 <= raised[0].event_ns / SECOND_NS - start_s <= 55.0  # it began at 20 s, and is one after 20 s
    rates = {row.second - start_s: row for row in found.vitals}
    assert np.isnan(rates[45].resp.value)
    assert rates[45].resp_reason == "no-breath"
