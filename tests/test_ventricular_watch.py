"""When a ventricular rhythm begins and ends, by decisions that come once a second."""

import numpy as np
from laws import leaves
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from anomaly.ventricular import VentricularOut
from anomaly.ventricular_features import NAMES
from anomaly.ventricular_watch import FIBRILLATION, SHARE_NS, TACHYCARDIA, WatchState, nothing_told, watched

Array = NDArray[np.float64]
SECOND = 1_000_000_000
NONE = float("nan")


def decided(
    ventricular: float, fibrillation: float = 0.0, disorder: float = 0.0, rate_hz: float = 3.0, level: float = 1.0
) -> VentricularOut:
    """One decision of one row; its window of 3 s says the same as its 5 s."""
    one = np.ones((1, 1))
    quick = np.array([[[ventricular, fibrillation, disorder]]])
    leads = np.zeros((1, 1, 1, len(NAMES)))
    return VentricularOut(
        one, ventricular * one, fibrillation * one, disorder * one, quick, rate_hz * one, level * one, leads
    )


def after(decisions: list[VentricularOut], beat_bpm: float = NONE) -> list[WatchState]:
    """States after each decision, a second apart, the first at 1 s."""
    states, state = [], nothing_told(1)
    for number, out in enumerate(decisions):
        state = watched(state, np.array([[(number + 1) * SECOND]]), out, np.array([beat_bpm]))
        states.append(state)
    return states


def standing(states: list[WatchState], which: int) -> list[bool]:
    return [bool(state.onset_ns[0, which] > 0) for state in states]


WILD, CALM = decided(0.99, 0.99, 0.9), decided(0.02)


def test_fibrillation_begins_with_the_second_sure_window_and_since_the_first() -> None:
    states = after([CALM] * 5 + [WILD] * 2)
    assert standing(states, FIBRILLATION) == [False] * 6 + [True]
    assert states[-1].onset_ns[0, FIBRILLATION] == 6 * SECOND - SHARE_NS


def test_one_window_alone_is_no_fibrillation() -> None:
    assert not any(standing(after([CALM, WILD, CALM, WILD, CALM]), FIBRILLATION))


def test_it_ends_with_the_third_decision_against_it() -> None:
    assert standing(after([WILD] * 6 + [CALM] * 3), FIBRILLATION)[-4:] == [True, True, True, False]
    assert all(standing(after([WILD] * 6 + [CALM, CALM, WILD, CALM, CALM]), FIBRILLATION)[6:])


def test_tachycardia_begins_at_once_where_the_beats_are_fast_or_none_is_found() -> None:
    race = decided(0.7)
    assert standing(after([CALM] * 4 + [race], 180.0), TACHYCARDIA)[-1]
    assert standing(after([CALM] * 4 + [race], NONE), TACHYCARDIA)[-1]
    assert not standing(after([CALM] * 4 + [race] * 4, 80.0), TACHYCARDIA)[-1]
    assert standing(after([CALM] * 4 + [decided(0.95)] * 2, 80.0), TACHYCARDIA)[-1]


def test_what_is_left_when_the_heart_stands_still_is_none_whatever_its_shape() -> None:
    assert not any(standing(after([CALM] * 5 + [decided(0.99, 0.99, 0.9, level=0.1)] * 5), FIBRILLATION))
    assert standing(after([CALM] * 5 + [decided(0.99, 0.99, 0.9, level=0.4)] * 5), FIBRILLATION)[-1]
    assert not any(standing(after([CALM] * 5 + [decided(0.95, level=0.4)] * 5), TACHYCARDIA))
    assert standing(after([CALM] * 5 + [decided(0.95, level=0.6)] * 5), TACHYCARDIA)[-1]


def test_a_slow_wave_is_no_tachycardia() -> None:
    assert not any(standing(after([decided(0.95, rate_hz=1.5)] * 6), TACHYCARDIA))


def test_a_tachycardia_that_becomes_fibrillation_is_that_alone_and_stays_it() -> None:
    race = decided(0.95, 0.2, 0.1)
    states = after([race] * 5 + [WILD] * 5 + [race] * 5)
    assert standing(states, TACHYCARDIA)[4]
    assert standing(states, FIBRILLATION)[6:] == [True] * 9
    assert not any(standing(states, TACHYCARDIA)[6:])


def test_what_has_no_signal_is_not_known_and_ends() -> None:
    states = after([WILD] * 6 + [decided(NONE, NONE, NONE, NONE)] * 3)
    assert [bool(state.known[0]) for state in states[-4:]] == [True, False, False, False]
    assert not standing(states, FIBRILLATION)[-1]


def test_the_rate_is_that_of_fast_beats_and_else_that_of_the_wave() -> None:
    assert after([decided(0.7)] * 3, 150.0)[-1].rate_bpm[0] == 150.0
    assert after([decided(0.7)] * 3, NONE)[-1].rate_bpm[0] == 180.0
    assert after([WILD] * 3, 150.0)[-1].rate_bpm[0] == 180.0


def test_a_row_without_a_decision_stays_as_it_is() -> None:
    state = after([WILD])[-1]
    again = watched(state, np.zeros((1, 1), np.int64), WILD, np.array([NONE]))
    for (path, old), (_, new) in zip(leaves(state), leaves(again), strict=True):
        assert_array_equal(old, new, err_msg=str(path))
