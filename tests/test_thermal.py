"""Skin temperature: a median with an honest uncertainty, silent where there is no skin."""

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from anomaly.thermal import Thermal, ThermalOut

Array = NDArray[np.float64]
THERMAL = Thermal(1.0)


def read(values: list[float]) -> list[ThermalOut]:
    outs: list[ThermalOut] = laws.run(THERMAL, [np.array([[[v]]]) for v in values])[1]
    return outs


def test_it_keeps_the_laws() -> None:
    rng = np.random.default_rng(0)
    blocks = [34.0 + rng.standard_normal((5, 1, 1)) for _ in range(12)]
    for block in blocks:
        block[1] = np.nan
        block[2] = 12.0
    laws.a_row_alone_equals_the_row_in_a_bank(THERMAL, blocks)
    laws.gathering_rows_between_steps_changes_nothing(THERMAL, blocks)
    laws.a_step_writes_to_no_argument(THERMAL, blocks)
    laws.state_survives_pickling(THERMAL, blocks)


@settings(max_examples=30)
@given(st.lists(st.one_of(st.floats(10.0, 50.0), st.just(np.nan), st.just(np.inf)), min_size=1, max_size=30))
def test_the_value_is_the_median_of_the_plausible_readings_of_nine_seconds(values: list[float]) -> None:
    for k, out in enumerate(read(values)):
        window = [v for v in values[max(0, k - 8) : k + 1] if 20.0 <= v <= 45.0]
        if not np.isnan(out.value[0]):
            assert out.value[0] == pytest.approx(np.median(window))
            assert out.u[0] >= 0.1
        if np.isnan(values[k]) or not 20.0 <= values[k] <= 45.0:
            assert np.isnan(out.value[0])
            assert np.isnan(out.u[0])


def test_a_steady_skin_is_read_from_the_first_second_with_the_uncertainty_of_the_contact() -> None:
    outs = read([34.5] * 10)
    assert_allclose([out.value[0] for out in outs], 34.5)
    assert_allclose([out.u[0] for out in outs], 0.1)


def test_one_wild_reading_changes_nothing_but_the_uncertainty() -> None:
    outs = read([34.5] * 8 + [41.0])
    assert outs[-1].value[0] == 34.5


def test_a_sensor_that_swings_has_a_large_uncertainty() -> None:
    outs = read([33.0, 36.0] * 6)
    assert outs[-1].u[0] > 0.5


def test_readings_outside_of_a_living_skin_are_silent_but_handed_on_raw() -> None:
    out = read([34.0] * 5 + [18.0])[-1]
    assert np.isnan(out.value[0])
    assert out.raw[0] == 18.0
    assert np.isnan(read([np.nan])[0].raw[0])


def test_a_device_taken_off_shows_its_fall_and_a_slowly_cooling_patient_does_not() -> None:
    t = np.arange(300.0)
    off = 23.0 + 12.0 * np.exp(-t / 90.0)
    cooling = 35.0 - 1.0 * t / 3600.0
    fall_off = read([35.0] * 20 + off[:60].tolist())[-1].fall[0]
    fall_cooling = read([35.0] * 20 + cooling.tolist())[-1].fall[0]
    assert fall_off > 1.5
    assert abs(fall_cooling) < 0.05


def test_a_block_of_many_readings_equals_many_blocks_of_one() -> None:
    values = 34.0 + 0.1 * np.random.default_rng(1).standard_normal(30)
    whole = values.reshape(1, 1, -1)
    _, out = THERMAL.step(THERMAL.init(whole), whole)
    assert_array_equal(out.value, read(values.tolist())[-1].value)


@pytest.mark.parametrize("wrong", [{"rate_hz": 0.0}, {"window_s": 0.0}, {"low_c": 50.0}])
def test_an_empty_window_or_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Thermal(**({"rate_hz": 1.0} | wrong))
