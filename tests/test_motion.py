"""Movement is measured, stillness takes its time, and only positive proof says that a device is off its patient."""

import laws
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from anomaly.motion import Motion, OffBodyEvidence, off_body

Array = NDArray[np.float64]
RATE_HZ, BLOCK = 52.0, 13
MOTION = Motion(RATE_HZ)
IMU_MS2 = 70e-6 * 9.81 * np.sqrt(RATE_HZ / 2.0)


def worn(seconds: float = 30.0, breath_ms2: float = 0.08, n: int = 1) -> Array:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    x: Array = IMU_MS2 * np.random.default_rng(0).standard_normal((n, 3, len(t)))
    x += np.array([1.0, 2.0, 9.5])[:, None] + breath_ms2 * np.sin(2.0 * np.pi * 0.25 * t) * np.array(
        [[0.9], [0.3], [0.3]]
    )
    return x


def blocks_of(x: Array) -> list[Array]:
    return laws.cut(x, range(BLOCK, x.shape[-1], BLOCK))


def lying_aside(**other: object) -> OffBodyEvidence:
    """All the proof that there can be, but for what is named."""
    proof = OffBodyEvidence(
        pulse=np.array([False]),
        still=np.array([True]),
        moving=np.array([False]),
        skin_c=np.array([25.0]),
        fall_c=np.array([9.0]),
        light_share=np.array([0.1]),
    )
    return proof._replace(**{name: np.array([value]) for name, value in other.items()})


def test_it_keeps_the_laws() -> None:
    x = worn(2.0, n=5)
    x[1] = 0.0
    x[2] *= 3.0
    laws.a_row_alone_equals_the_row_in_a_bank(MOTION, blocks_of(x))
    laws.gathering_rows_between_steps_changes_nothing(MOTION, blocks_of(x))
    laws.a_step_writes_to_no_argument(MOTION, blocks_of(x))
    laws.state_survives_pickling(MOTION, blocks_of(x))


def test_a_breathing_chest_is_neither_moving_nor_still() -> None:
    _, outs = laws.run(MOTION, blocks_of(worn(60.0)))
    assert not any(out.still[0] or out.moving[0] for out in outs)


def test_a_table_is_still_after_ten_seconds_and_not_before() -> None:
    _, outs = laws.run(MOTION, blocks_of(worn(30.0, breath_ms2=0.0)))
    still = [bool(out.still[0]) for out in outs]
    assert not any(still[: 4 * 9])
    assert all(still[4 * 11 :])


def test_activity_is_the_rms_of_what_is_not_gravity() -> None:
    t = np.arange(round(20 * RATE_HZ)) / RATE_HZ
    x = worn(20.0, breath_ms2=0.0)
    x[:, 1] += 2.0 * np.sin(2.0 * np.pi * 4.0 * t)
    _, outs = laws.run(MOTION, blocks_of(x))
    assert_allclose([out.activity[0] for out in outs[20:]], np.sqrt(2.0), rtol=0.02)
    assert all(out.moving[0] for out in outs[20:])


def test_all_signs_together_prove_that_the_device_is_off() -> None:
    assert off_body(lying_aside())[0]
    assert off_body(lying_aside(still=False, moving=True))[0]
    assert off_body(lying_aside(skin_c=33.0, fall_c=2.0))[0]
    assert off_body(lying_aside(light_share=8.0))[0]


@pytest.mark.parametrize(
    "lacking",
    [
        {"pulse": True},
        {"still": False},
        {"skin_c": 33.0, "fall_c": 0.5},
        {"skin_c": np.nan, "fall_c": np.nan},
        {"light_share": 0.9},
        {"light_share": np.nan},
    ],
)
def test_one_sign_lacking_or_not_measured_proves_nothing(lacking: dict[str, object]) -> None:
    assert not off_body(lying_aside(**lacking))[0]


def test_a_patient_in_arrest_is_not_taken_for_a_device_on_a_table() -> None:
    # As still as a table, without pulse, a little pale, and cooling for a quarter of an hour.
    assert not off_body(lying_aside(skin_c=34.0, fall_c=0.3, light_share=1.1))[0]


def test_rows_are_judged_each_by_itself() -> None:
    both = OffBodyEvidence(*(np.concatenate(pair) for pair in zip(lying_aside(), lying_aside(pulse=True), strict=True)))
    assert_array_equal(off_body(both), [True, False])


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="still_ms2"):
        Motion(RATE_HZ, still_ms2=1.0)
    with pytest.raises(ValueError, match="high_hz"):
        Motion(RATE_HZ, high_hz=40.0)
