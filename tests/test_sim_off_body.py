"""A device that is taken off is turned and carried to the table, and so are its magnetometers."""

import numpy as np
import pytest
from sim_signals import Run

from device_sim.activity import turned
from device_sim.events import ActivityEvent
from device_sim.faults import Fault
from device_sim.imu import random_posture
from device_sim.script import Span
from device_sim.table import FLAT_MS2, LAYING_S, hand_turn, laid, table_turns
from device_sim.wearable import GRAVITY, N_REFERENCE, REFERENCE


def test_whatever_the_posture_a_device_comes_to_lie_flat() -> None:
    rng = np.random.default_rng(1)
    gravity = np.stack(
        [*(random_posture(rng).gravity_ms2 for _ in range(20)), [0.0, 0.0, GRAVITY], [0.0, 0.0, -GRAVITY]]
    )
    turns = table_turns(gravity)
    seen = turned(gravity.T, turns.T).T
    np.testing.assert_allclose(seen, np.tile(FLAT_MS2, (22, 1)), atol=1e-9)
    assert np.abs(turns[-1]).max() < 1e-9


def test_the_way_to_the_table_is_smooth_and_over_when_the_device_is_worn_again() -> None:
    t = np.arange(0.0, 30.0, 0.01)
    share = laid(Fault("off-body", 5.0, 20.0), t)
    assert share[t <= 5.0].max() == share[t >= 20.0].max() == 0.0
    assert share[(t > 5.0 + LAYING_S) & (t < 20.0 - LAYING_S)].min() == 1.0
    assert np.abs(np.diff(share)).max() < 0.01 * 2.0 / LAYING_S


def test_a_hand_tilts_a_device_by_what_its_accelerometer_sees_of_the_sway() -> None:
    t = np.arange(0.0, 4.0, 0.01)
    span = Span(ActivityEvent(activity="device-in-hand", from_s=0.0), 0.0, 10.0)
    turn = hand_turn(span, t)
    seen = turned(np.broadcast_to(FLAT_MS2[:, None], turn.shape), turn)
    assert np.ptp(seen[0]) == pytest.approx(2.0 * 0.7, rel=0.02)


def test_magnetometers_turn_with_the_device_and_come_back() -> None:
    field = Run("off-body", patients=1, seconds=60.0).signal(0, REFERENCE)
    slow = field.reshape(N_REFERENCE, 60, 500).mean(axis=-1)
    before, away, back = (slow[:, span].mean(axis=1) for span in (slice(4, 16), slice(24, 44), slice(50, 58)))
    assert np.abs(away - before).max() > 300.0, "on the table the remnant field comes from elsewhere"
    assert np.abs(back - before).max() < 0.5 * np.abs(away - before).max()
