"""NEWS2: every cell of the published chart, and the pair where something is not measured."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly.news2 import MOST, UNKNOWN, Observations, Range, news2

CALM = {"resp": 16.0, "spo2": 97.0, "oxygen": 0, "systolic": 120.0, "pulse": 70.0, "alert": 1, "temp": 37.0}
# Royal College of Physicians 2017, chart 1: the least and the largest value of each cell.
CHART: list[tuple[str, list[tuple[float, float, int]]]] = [
    ("resp", [(3, 8, 3), (9, 11, 1), (12, 20, 0), (21, 24, 2), (25, 60, 3)]),
    ("spo2", [(50, 91, 3), (92, 93, 2), (94, 95, 1), (96, 100, 0)]),
    ("oxygen", [(0, 0, 0), (1, 1, 2)]),
    ("systolic", [(50, 90, 3), (91, 100, 2), (101, 110, 1), (111, 219, 0), (220, 290, 3)]),
    ("pulse", [(20, 40, 3), (41, 50, 1), (51, 90, 0), (91, 110, 1), (111, 130, 2), (131, 220, 3)]),
    ("alert", [(1, 1, 0), (0, 0, 3)]),
    ("temp", [(30.0, 35.0, 3), (35.1, 36.0, 1), (36.1, 38.0, 0), (38.1, 39.0, 1), (39.1, 42.0, 2)]),
]
SCALE_2: dict[int, list[tuple[int, int, int]]] = {
    0: [(50, 83, 3), (84, 85, 2), (86, 87, 1), (88, 92, 0), (93, 100, 0)],
    1: [(50, 83, 3), (84, 85, 2), (86, 87, 1), (88, 92, 0), (93, 94, 1), (95, 96, 2), (97, 100, 3)],
}


def score(**changed: float) -> Range:
    values = {**CALM, "hypercapnic": 0, **changed}
    return news2(Observations(**{name: np.array([value]) for name, value in values.items()}))


def test_every_cell_of_the_chart_is_as_published() -> None:
    assert score().high.tolist() == [0]
    for name, cells in CHART:
        for low, high, points in cells:
            for value in (low, high):
                assert score(**{name: value}).low.tolist() == score(**{name: value}).high.tolist() == [points], name


@pytest.mark.parametrize("oxygen", [0, 1])
def test_the_second_scale_of_saturation_asks_for_oxygen(oxygen: int) -> None:
    for low, high, points in SCALE_2[oxygen]:
        for spo2 in range(low, high + 1):
            assert score(spo2=spo2, oxygen=oxygen, hypercapnic=1).low.tolist() == [points + 2 * oxygen], spo2
    unknown = score(spo2=98.0, oxygen=UNKNOWN, hypercapnic=1)
    assert (unknown.low.tolist(), unknown.high.tolist()) == ([0], [5])


def test_values_are_read_as_on_the_chart() -> None:
    for name, value, points in [
        ("pulse", 90.49, 0),
        ("pulse", 90.5, 1),
        ("temp", 38.04, 0),
        ("temp", 38.05, 1),
        ("resp", 24.5, 3),
        ("spo2", 95.5, 0),
    ]:
        assert score(**{name: value}).low.tolist() == [points], (name, value)


def test_the_worst_is_twenty_and_nothing_measured_allows_all_of_it() -> None:
    worst = score(resp=30.0, spo2=80.0, oxygen=1, systolic=80.0, pulse=140.0, alert=0, temp=34.0)
    assert (worst.low.tolist(), worst.high.tolist(), worst.extreme.tolist()) == ([MOST], [MOST], [6])
    nothing = score(resp=np.nan, spo2=np.nan, oxygen=-1, systolic=np.nan, pulse=np.nan, alert=-1, temp=np.nan)
    assert (nothing.low.tolist(), nothing.high.tolist(), nothing.extreme.tolist()) == ([0], [MOST], [0])


def known(low: float, high: float) -> st.SearchStrategy[float]:
    return st.one_of(st.just(np.nan), st.floats(low, high))


flag = st.sampled_from([UNKNOWN, 0, 1])


@given(
    st.fixed_dictionaries(
        {
            "resp": known(0, 80),
            "spo2": known(0, 100),
            "oxygen": flag,
            "systolic": known(0, 300),
            "pulse": known(0, 300),
            "alert": flag,
            "temp": known(20, 45),
            "hypercapnic": flag,
        }
    )
)
def test_whatever_is_measured_later_lies_in_the_pair(values: dict[str, float]) -> None:
    pair = score(**values)
    assert 0 <= pair.low[0] <= pair.high[0] <= MOST
    gaps = {
        "resp": (5.0, 30.0, 16.0),
        "spo2": (80.0, 90.0, 99.0),
        "oxygen": (0, 1),
        "systolic": (80.0, 120.0),
        "pulse": (30.0, 70.0),
        "alert": (0, 1),
        "temp": (34.0, 37.0),
    }
    missing = [name for name in gaps if np.isnan(values[name]) or values[name] == UNKNOWN]
    for filled in itertools.islice(itertools.product(*(gaps[name] for name in missing)), 200):
        full = score(**{**values, **dict(zip(missing, filled, strict=True))})
        assert full.low[0] == full.high[0]
        assert pair.low[0] <= full.low[0] <= pair.high[0]


def test_a_patient_alone_scores_as_in_a_bank() -> None:
    generator = np.random.default_rng(0)
    many = Observations(
        resp=generator.uniform(5, 30, 64),
        spo2=generator.uniform(80, 100, 64),
        oxygen=generator.integers(-1, 2, 64),
        systolic=generator.uniform(70, 240, 64),
        pulse=generator.uniform(30, 150, 64),
        alert=generator.integers(-1, 2, 64),
        temp=generator.uniform(34, 40, 64),
        hypercapnic=generator.integers(-1, 2, 64),
    )
    together = news2(many)
    for row in range(64):
        one = {name: field[row : row + 1] for name, field in many._asdict().items()}
        alone = news2(Observations(**one))
        assert [field[0] for field in alone] == [field[row] for field in together]
