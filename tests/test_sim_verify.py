"""The report on the simulator's sensors: every figure agrees, and one that does not is said and ends in status 1."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commandline import Run, refused

from deploy.verify import CheckRow, VerifyReport, in_words
from device_sim import verify as report
from device_sim.births import birth_of
from device_sim.checked import at_least, at_most, close, near
from device_sim.devices import DEVICES
from device_sim.fleet import Fleet
from device_sim.helium import Helium
from device_sim.opm import Opm
from device_sim.verify_arrays import beat_peak
from device_sim.verify_magnetometers import sensors
from device_sim.verify_wire import check_wire

SHORT_S = 240


@pytest.fixture(scope="module")
def verified() -> report.Verified:
    """All that does not depend on the machine, by four minutes of signal."""
    return report.verify(SHORT_S, lambda _: None, speed=False)


def test_every_figure_agrees_with_its_declaration(verified: report.Verified) -> None:
    assert [check for check in verified.checks if not check.ok] == []


def test_every_kind_of_sensor_in_the_table_is_measured(verified: report.Verified) -> None:
    measured = {check.sensor for check in verified.checks}
    assert set(sensors()) <= measured
    assert {"spad", "nv-thermometer", "imu", "nv"} <= measured
    kernels = {device.head.kernel for device in DEVICES.values()}
    assert {head.kernel for head in sensors().values()} == kernels


def test_each_magnetometer_has_its_five_figures(verified: report.Verified) -> None:
    for name in sensors():
        whats = " ".join(check.what for check in verified.checks if check.sensor == name)
        for word in ("noise density", "bandwidth", "delay", "gain and cross-axis error"):
            assert word in whats, (name, word)


def test_bands_go_from_a_tenth_of_a_hertz_to_the_band_edge(verified: report.Verified) -> None:
    for curve in verified.curves:
        assert curve.frequency_hz[0] == pytest.approx(0.1)
        rate_hz = DEVICES[curve.sensor].rate_hz
        assert 0.4 * rate_hz / 2 ** (1 / 2) < curve.frequency_hz[-1] < 0.4 * rate_hz
        np.testing.assert_allclose(np.diff(np.log2(curve.frequency_hz)), 1.0 / 3.0)


def test_a_figure_agrees_to_the_edge_of_its_tolerance_and_no_further() -> None:
    assert near("s", "w", "dB", 0.0, 1.0, by=1.0).ok
    assert not near("s", "w", "dB", 0.0, -1.01, by=1.0).ok
    assert close("s", "w", "Hz", 100.0, 97.0, share=0.03).ok
    assert not close("s", "w", "Hz", 100.0, 96.0, share=0.03).ok
    assert at_least("s", "w", "", 5.0, 5.0).ok
    assert not at_most("s", "w", "", 5.0, 5.1).ok
    assert not near("s", "w", "dB", 0.0, float("nan"), by=1.0).ok


def test_every_channel_in_packets_is_held_against_the_birth() -> None:
    device = DEVICES["he4-room"]
    assert [check for check in check_wire("he4-room", device) if not check.ok] == []
    helium = device.head.kernel
    assert isinstance(helium, Helium)
    quiet = replace(device, head=replace(device.head, kernel=replace(helium, axes=(0, 1) * 7 + (0,))))
    # The same noise from a birth that forgets the third axes.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("device_sim.verify_wire.birth_of", lambda _, *rest: birth_of(quiet, *rest))
        wrong = [check.what for check in check_wire("he4-room", device) if not check.ok]
    assert wrong == [
        f"noise of {stream} in packets against the birth, worst channel" for stream in ("mcg", "reference")
    ]
    assert {*DEVICES["he4-room"].head.channel_noise_pt} == {0.045, 0.18}


def test_a_head_whose_counts_do_not_reach_its_sensors_range_is_refused() -> None:
    with pytest.raises(ValueError, match="need the sensor's range of 200000 pT"):
        replace(DEVICES["he4-room"].head, scale_pt=0.01)


def test_a_beat_is_measured_through_the_sensor_and_with_its_real_knee(verified: report.Verified) -> None:
    beats = {(check.sensor, "knee" in check.what): check.measured for check in verified.checks if "beat" in check.what}
    assert len(beats) == 4
    for sensor in ("SERF 15 fT/rtHz", "NV 9 pT/rtHz"):
        assert beats[sensor, True] < beats[sensor, False] - 0.3
    # A sensor that is too slow for a QRS complex loses of its peak.
    assert beat_peak(Opm(bandwidth_hz=5.0)) < 0.6 * beat_peak(Opm()) < 0.6 * 50.0


def test_the_command_prints_one_object_and_draws_a_picture(
    femtoward: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verified: report.Verified
) -> None:
    monkeypatch.setattr("deploy.verify.verify", lambda *_: verified)
    path = tmp_path / "report.png"
    outcome = femtoward("simulate", "--verify", "--json", "--plot", path)
    assert outcome.status == 0
    assert (outcome.json["ok"], outcome.json["wrong"], outcome.json["seconds"]) == (True, 0, 3600)
    assert outcome.json["figures"] == len(verified.checks)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_is_off_is_said_and_ends_in_status_1(
    femtoward: Run, monkeypatch: pytest.MonkeyPatch, verified: report.Verified
) -> None:
    off = verified._replace(checks=[*verified.checks, near("serf", "delay", "ms", 4.0, 9.0, by=1.0)])
    monkeypatch.setattr("deploy.verify.verify", lambda *_: off)
    outcome = femtoward("simulate", "--verify")
    assert outcome.status == 1
    assert "WRONG serf: delay: declared 4, measured 9 ms (1 ms)" in outcome.out
    assert f"{len(verified.checks)} of {len(verified.checks) + 1} figures agree" in outcome.out


def test_too_short_a_time_and_two_things_at_once_are_refused(femtoward: Run) -> None:
    refused(femtoward("simulate", "--verify", "--seconds", 10), "--seconds 10: need at least 240")
    refused(femtoward("simulate", "--verify", "--list"), "give one of them")


def test_the_report_in_words_and_in_json_say_the_same() -> None:
    row = CheckRow(sensor="s", what="w", unit="dB", declared=0.0, measured=0.5, within="1 dB", ok=True)
    whole = VerifyReport(ok=True, seconds=240, figures=1, wrong=0, checks=(row,), path="a.png")
    said = in_words(whole)
    assert said[0] == "ok    s: w: declared 0, measured 0.5 dB (1 dB)"
    assert said[-1] == "picture in a.png"
    assert json.dumps(said)


def test_the_speed_of_a_fleet_is_measured_in_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_FLEET", 3)
    monkeypatch.setattr(Fleet, "step", lambda _: [])
    assert report.made() > 3.0
