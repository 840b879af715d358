"""Breath of patients: what the lanes say is followed, held, hidden by movement, forgotten, and kept in snapshots."""

import numpy as np
from numpy.typing import NDArray

from anomaly.breath import N_RATES, RATES
from dataflows.breathing import REASONS, Breath, Breathing
from dataflows.estimates import Second, nothing_measured
from dataflows.events import SECOND_NS

Array = NDArray[np.float64]
T0 = 1_700_000_000


def heard(rates_bpm: list[float], *, moving: bool = False) -> Second:
    """A second in which light says one rate of each patient; NaN: it says nothing."""
    n = len(rates_bpm)
    known = nothing_measured(n)
    said = np.zeros((n, N_RATES))
    for row, rate in enumerate(rates_bpm):
        if np.isfinite(rate):
            said[row] = 8.0 * np.exp(-0.5 * ((RATES - rate) / 1.0) ** 2)
    light = known.optical._replace(
        present=np.ones(n, np.bool_), breath=said, breath_series=np.isfinite(rates_bpm).astype(np.int64)
    )
    stirs = known.motion._replace(moving=np.full(n, moving))
    return known._replace(optical=light, motion=stirs)


def fed(breathing: Breathing, known: Second, first_s: int, seconds: int) -> Breath:
    """Feed one second again and again; what is known in the end."""
    patients = [f"p{row}" for row in range(len(known.worn))]
    for second in range(first_s, first_s + seconds):
        breath = breathing.step(patients, known, np.full(len(patients), (T0 + second) * SECOND_NS))
    return breath


def why(breath: Breath) -> list[str]:
    return [REASONS[k] for k in breath.why.tolist()]


def test_a_rate_is_told_once_it_is_believed_and_the_others_say_why_not() -> None:
    breathing = Breathing()
    known = heard([14.0, float("nan"), 31.0])
    known.optical.present[1] = False
    breath = fed(breathing, known, 1, 40)
    assert abs(breath.rate[0] - 14.0) < 1.0
    assert abs(breath.rate[2] - 31.0) < 1.0
    assert np.isnan(breath.rate[1])
    assert why(breath) == ["", "no-signal", ""]
    assert breath.lanes.tolist() == [2, 0, 2]
    assert why(fed(Breathing(), heard([float("nan")]), 1, 10)) == ["settling"]


def test_a_movement_hides_what_is_said_for_half_a_minute() -> None:
    breathing = Breathing()
    fed(breathing, heard([14.0]), 1, 40)
    fed(breathing, heard([5.0], moving=True), 41, 2)
    held = fed(breathing, heard([5.0]), 43, 20)
    assert abs(held.rate[0] - 14.0) < 1.5  # what a step in the window says is not listened to
    assert why(fed(Breathing(), heard([5.0], moving=True), 1, 60)) == ["moving"]


def test_what_nobody_says_any_more_is_not_held_for_long() -> None:
    breathing = Breathing()
    fed(breathing, heard([14.0]), 1, 40)
    nothing = heard([float("nan")])
    assert why(fed(breathing, nothing, 41, 10)) == [""]
    assert why(fed(breathing, nothing, 51, 60)) == ["settling"]


def test_after_a_long_hole_nothing_is_believed() -> None:
    breathing = Breathing()
    fed(breathing, heard([14.0]), 1, 40)
    assert np.isnan(fed(breathing, heard([float("nan")]), 400, 1).rate[0])


def test_a_patient_alone_is_as_one_among_many_and_as_one_who_was_kept() -> None:
    many, alone = Breathing(), Breathing()
    rates = [12.0 + row for row in range(17)]
    fed(many, heard(rates), 1, 30)
    fed(alone, heard([rates[0]]), 1, 30)
    kept = Breathing()
    assert kept.restore(many.image()) == []
    last, one = fed(many, heard(rates), 31, 6), fed(alone, heard([rates[0]]), 31, 6)
    again = fed(kept, heard(rates), 31, 6)
    for a, b, c in zip(last, one, again, strict=True):
        assert a[0] == b[0] or (np.isnan(a[0]) and np.isnan(b[0]))
        np.testing.assert_array_equal(a, c)


def test_who_was_forgotten_begins_anew() -> None:
    breathing = Breathing()
    fed(breathing, heard([14.0]), 1, 40)
    breathing.forget("p0")
    assert np.isnan(fed(breathing, heard([float("nan")]), 41, 1).rate[0])
