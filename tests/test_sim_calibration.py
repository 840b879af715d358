"""A device that calibrates itself says so and hears its own tones; one whose calibration has expired says that."""

import json

import numpy as np
import pytest
from sim_flow import flowed
from sim_signals import START_NS, Run

from deploy.score import score_alarms
from device_sim.births import CALIBRATION_DAYS
from device_sim.faults import CALIBRATION_HZ, CALIBRATION_PT
from device_sim.wearable import DAY_NS, MCG, REFERENCE
from ingest.packet import StateFlag

SELF, EXPIRED, WRONG = range(3)


@pytest.fixture(scope="module")
def run() -> Run:
    return Run("calibration", patients=3, seconds=44.0)


def test_it_is_flagged_while_it_lasts_on_every_magnetic_stream(run: Run) -> None:
    for stream in (MCG, REFERENCE):
        flagged = np.flatnonzero([flag & StateFlag.CALIBRATING for flag in run.flags(SELF, stream)]) / 4.0
        assert 19.5 <= flagged[0] <= 20.0
        assert 31.5 <= flagged[-1] <= 32.0
        assert len(flagged) == pytest.approx(12 * 4, abs=1)


def test_the_references_hear_one_tone_along_each_axis(run: Run) -> None:
    heard = run.signal(SELF, REFERENCE)[:, 22 * 500 : 30 * 500]
    t = np.arange(heard.shape[1]) / 500.0
    sizes = np.abs(heard @ np.exp(-2j * np.pi * np.outer(t, CALIBRATION_HZ))) * 2.0 / len(t)
    # Gains, tilts, cross-talk and a low pass of 135 Hz lie between.
    np.testing.assert_allclose(np.diag(sizes), CALIBRATION_PT, rtol=0.1)
    assert (sizes - np.diag(np.diag(sizes))).max() < 0.1 * CALIBRATION_PT


def test_its_status_goes_to_calibrating_and_back(run: Run) -> None:
    states = [json.loads(status)["state"] for status in run.statuses[SELF]]
    assert states == ["calibrating", "online"]
    expired = [json.loads(status)["reason"] for status in run.statuses[EXPIRED]]
    assert "calibration expired" in expired[0]
    assert "calibration expired" not in expired[-1]


def test_an_expired_calibration_stands_in_the_birth_and_moves_no_sample(run: Run) -> None:
    calibrations = [run.fleet.births[device].streams[MCG].calibration for device in (SELF, EXPIRED)]
    valid, expired = (calibration for calibration in calibrations if calibration)
    assert expired.expiry_ns <= START_NS < valid.expiry_ns
    assert expired.expiry_ns - expired.time_ns == CALIBRATION_DAYS * DAY_NS
    assert run.fleet.births[EXPIRED].birth == run.fleet.births[SELF].birth - CALIBRATION_DAYS


def test_after_it_the_device_is_born_again_with_a_new_calibration_and_its_packets_say_so(run: Run) -> None:
    for device, end_s in ((SELF, 32.0), (EXPIRED, 40.0)):
        before, after = run.births[device]
        old, new = before.streams[MCG].calibration, after.streams[MCG].calibration
        assert old
        assert new
        assert new.time_ns == pytest.approx(START_NS + end_s * 1e9, abs=0.5e9)
        assert new.expiry_ns == new.time_ns + CALIBRATION_DAYS * DAY_NS > old.expiry_ns
        assert after.streams[-1] == before.streams[-1]
        numbers = [packet.birth for packet in run.packets(device)]
        assert numbers == sorted(numbers)
        assert set(numbers) == {before.birth, after.birth}
        assert numbers.index(after.birth) == pytest.approx(4 * end_s, abs=1)


def test_the_flow_takes_a_device_that_calibrates_itself_for_one_that_cannot_measure() -> None:
    found = flowed("calibration", 3, 44.0)
    score = score_alarms(found.truth, found.alarms, found.end_ns)
    assert (score.missed, score.false) == ([], [])
    # Packets that named a birth that has not come would be refused, and leave holes at the end of a calibration.
    late = [row for row in found.vitals if row.patient.endswith("1") and row.second >= found.vitals[0].second + 40]
    assert all(row.coverage == 1.0 for row in late)
    assert {alarm.patient for alarm in found.alarms if alarm.condition == "saturated"} == set(found.truth.patients)
