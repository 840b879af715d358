"""A sensor that ages is told from one that is well, with how fast; from its patient it is told by what it measures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from test_ailments import on_time, tape_of
from wire import SECOND_NS, beating, packets

from anomaly.ageing import growth
from dataflows.events import DeviceStatus
from dataflows.fold import Fold
from dataflows.wear import BIN_NS, DAY_NS, Wear

Array = NDArray[np.float64]
EVERY_NS = BIN_NS // 12
PT = 0.015


def worn(days: float, a_day: float, seed: int, moves: tuple[float, ...] = (), declared: float = PT) -> Wear:
    """A sensor whose noise floor grows, in a ward that is louder by day, for some days."""
    rng, wear, place = np.random.default_rng(seed), Wear(), 0.0
    left = sorted(moves)
    for k in range(round(days * DAY_NS / EVERY_NS)):
        day = k * EVERY_NS / DAY_NS
        if left and day >= left[0]:
            left.pop(0)
            place = rng.normal(0.0, 0.1)
            wear.moved()
        level = np.log(PT) + day * np.log1p(a_day) + place + 0.02 * np.sin(2.0 * np.pi * day) + rng.normal(0.0, 0.03)
        wear.take(float(np.exp(level)), declared, k * EVERY_NS + 1)
    return wear


@pytest.mark.parametrize("seed", range(5))
def test_a_sensor_that_ages_is_named_within_days_with_its_slope_and_goes_on_with_its_next_wearer(seed: int) -> None:
    assert not worn(1.9, 0.03, seed, declared=0.0).ages
    wear = worn(6.0, 0.03, seed, moves=(4.2,), declared=0.0)
    assert wear.ages
    assert abs(wear.a_day - 0.03) < 3.0 * wear.u < 0.03
    before = wear.a_day
    wear.moved()
    assert wear.ages
    assert wear.a_day == pytest.approx(before, abs=wear.u)


def test_a_sensor_that_is_well_does_not_age_by_its_ward_its_place_or_a_fault() -> None:
    wears = [worn(10.0, 0.0, seed, moves=(3.1, 6.6)) for seed in range(20)]
    assert not any(wear.ages for wear in wears)
    for _ in range(30):  # a burst of noise for hours
        wears[0].take(50.0 * PT, PT, round(10.1 * DAY_NS))
    assert not wears[0].ages


def test_a_sensor_that_is_as_loud_as_no_new_one_is_named_by_what_it_declares() -> None:
    loud = worn(1.0, 0.0, 1, declared=PT / 2.0)
    assert loud.ages
    assert not worn(0.4, 0.0, 1, declared=PT / 2.0).ages, "one bin is none"


def test_what_is_not_measured_teaches_nothing() -> None:
    wear = Wear()
    for floor in (0.0, float("nan"), float("inf"), -1.0):
        wear.take(floor, PT, 5 * DAY_NS)
    assert wear == Wear()


def test_a_patient_who_changes_is_no_sensor_that_ages_and_the_other_way_round() -> None:
    fast = packets("w1", np.concatenate([beating(10.0, 60.0), beating(10.0, 110.0)]))
    hours = [replace(p, blocks=tuple(replace(b, noise_floor=PT) for b in p.blocks)) for p in fast]
    rows = [row for _, row in Fold(1).feed(tape_of(on_time(hours), 21.0).records) if isinstance(row, DeviceStatus)]
    assert {row.faults for row in rows} == {""}


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_the_slope_is_that_of_a_plain_fit_with_a_level_for_each_stay(seed: int, n_stays: int) -> None:
    rng = np.random.default_rng(seed)
    day = np.sort(rng.uniform(0.0, 14.0, 40))
    stay = np.sort(rng.integers(n_stays, size=40))
    level = 0.02 * day + stay + rng.normal(0.0, 0.05, 40)
    level[rng.integers(40)] = np.nan
    slope, u = growth(day[None], level[None], stay[None])
    there = ~np.isnan(level)
    columns = np.column_stack([day, *(stay == k for k in np.unique(stay[there]))])[there]
    fit = np.linalg.lstsq(columns, level[there], rcond=None)[0]
    assert_allclose(slope[0], fit[0], rtol=1e-6, atol=1e-9)
    assert u[0] > 0.0
    alone = growth(day[None], level[None], stay[None])
    order = np.stack([np.arange(40), np.arange(40)[::-1], np.arange(40)])
    bank = growth(day[order], level[order], stay[order])
    assert_array_equal([one[0] for one in alone], [one[2] for one in bank])


def test_too_few_levels_say_nothing() -> None:
    day = np.arange(3.0)[None]
    slope, u = growth(day, np.array([[1.0, np.nan, np.nan]]), np.zeros((1, 3), np.int64))
    assert np.isnan([slope[0], u[0]]).all()
    assert SECOND_NS > 0
