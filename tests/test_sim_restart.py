"""A magnetometer that was without power begins anew: coils are set, it warms up, its neighbours do not notice."""

import numpy as np
import pytest

from device_sim.devices import DEVICES
from device_sim.faults import CELL_HALF_K, Fault, warm_up_s
from device_sim.hitches import cell_cooling_k, waking_s
from device_sim.nv import Nv
from device_sim.readout import read, restarted, start, whites_of
from device_sim.testbench import around, field_of

NAMES = ("serf-room", "he4-room", "scalar-gradiometer-open-ward", "nv-light-shield")


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_is_that_of_one_device_alone_and_leaves_the_others_as_they_were(name: str) -> None:
    kernel = DEVICES[name].head.kernel
    rng = np.random.default_rng(1)
    n_samples = round(kernel.rate_hz)
    field = field_of(kernel, 100.0 * rng.standard_normal((3, 2, n_samples)))
    white = rng.standard_normal((3, 2 * whites_of(kernel), n_samples))
    beside = around(3, 2, n_samples)
    before, _ = read(kernel, start(kernel, field[..., 0], beside), field, white, beside)
    after = restarted(kernel, before, 1, field[..., -1], beside, 8.0)
    _, seen = read(kernel, after, field, white, beside)
    _, unchanged = read(kernel, before, field, white, beside)
    np.testing.assert_array_equal(seen.field_pt[[0, 2]], unchanged.field_pt[[0, 2]])
    alone = around(1, 2, n_samples)
    cold = 1.0 - np.exp(-8.0 / kernel.warming_s) if isinstance(kernel, Nv) else 0.0
    fresh = start(kernel, field[1:2, ..., -1], alone, cold)
    _, expected = read(kernel, fresh, field[1:2], white[1:2], alone)
    np.testing.assert_array_equal(seen.field_pt[1], expected.field_pt[0])


def test_what_is_heated_wakes_the_later_the_longer_it_was_off_and_the_others_at_once() -> None:
    short, long = Fault("reboot", 10.0, 12.0), Fault("reboot", 10.0, 300.0)
    assert warm_up_s(short) == 0.0
    assert float(cell_cooling_k(long, long.to_s + warm_up_s(long))) == pytest.approx(CELL_HALF_K, rel=1e-6)
    serf, helium, scalar, nv = (DEVICES[name].head for name in NAMES)
    assert waking_s(serf, long) > waking_s(serf, short) + 20.0
    assert waking_s(scalar, long) > 20.0
    for head in (helium, nv):
        assert waking_s(head, long) == waking_s(head, short) <= 2.0


def test_an_nv_sensor_that_was_off_drifts_while_its_magnet_warms() -> None:
    nv = Nv(warming_s=2.0, magnet_s=0.5)
    n_samples = 5000
    field, white = np.zeros((1, 1, 3, n_samples)), np.zeros((1, 4, n_samples))
    beside = around(1, 1, n_samples)
    warm = start(nv, field[..., 0], beside)
    drifts = []
    for away_s in (0.5, 20.0):
        _, reading = read(nv, restarted(nv, warm, 0, field[..., 0], beside, away_s), field, white, beside)
        drifts.append(abs(float(reading.field_pt[0, 0, -1])))
    assert 0.0 < drifts[0] < 0.3 * drifts[1]
    assert drifts[1] == pytest.approx(nv.magnet_heating_k * abs(nv.drift_pt_k), rel=0.05)
