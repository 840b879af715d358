"""Every device of the table can be worn: its packets match its birth, and what it sees is what its physics allows."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal
from sim_flow import flowed
from sim_signals import Run

from deploy.score import score_alarms
from device_sim.bodies import body_lead, chances_of, random_body
from device_sim.devices import DEVICES, Head
from device_sim.heartvector import R_DIRECTION
from device_sim.opm import Opm
from device_sim.scenario import load_scenario, script_of
from device_sim.unit import random_unit
from ingest.packet import StateFlag

Array = NDArray[np.float64]
SECONDS = 12


@pytest.fixture(scope="module")
def worn() -> Run:
    """One patient per device, all at rest."""
    return Run("devices", patients=len(DEVICES), seconds=SECONDS)


def number_of(name: str) -> int:
    return [script.device for script in load_scenario("devices").patients].index(name)


def test_the_library_shows_every_device() -> None:
    assert sorted(script.device for script in load_scenario("devices").patients) == sorted(DEVICES)


def beat_snr_db(run: Run, name: str) -> float:
    """R peaks over noise in 3 to 40 Hz, averaged over beats by their true times, on the best channel."""
    device = number_of(name)
    rate = DEVICES[name].rate_hz
    sos = signal.butter(3, (3.0, 40.0), "bandpass", fs=rate, output="sos")
    field = signal.sosfiltfilt(sos, run.signal(device, 0))[:, rate:-rate]
    beats = np.rint((run.beats_s(device) + 0.006 - 1.0) * rate).astype(int)
    beats = beats[(beats > rate // 4) & (beats < field.shape[1] - rate // 4)]
    pieces = np.stack([field[:, at - rate // 10 : at + rate // 10] for at in beats])
    mean = pieces.mean(axis=0)
    noise = (pieces - mean).std(axis=(0, 2))
    return float(20.0 * np.log10(np.max(np.ptp(mean, axis=1) / 2.0 / noise)))


@pytest.mark.parametrize("name", DEVICES)
def test_its_packets_match_its_birth_and_its_streams_are_whole(worn: Run, name: str) -> None:
    device, kind = number_of(name), DEVICES[name]
    birth = worn.fleet.births[device]
    assert len(worn.packets(device)) == 4 * SECONDS
    assert birth.model == kind.model
    head = birth.streams[0]
    assert (head.kind, head.sensor, head.n_channels) == (kind.head.kind, kind.head.sensor, kind.head.n_channels)
    assert head.noise_floor == pytest.approx(kind.head.noise_pt)
    packets = worn.packets(device)
    assert all(block.noise_floor == head.noise_floor for packet in packets for block in packet.blocks[:1])
    assert worn.signal(device, 0).shape == (kind.head.n_channels, kind.rate_hz * SECONDS)
    assert [stream.name for stream in birth.streams][-3:] == ["ppg", "acceleration", "temperature"]


@pytest.mark.parametrize("name", [name for name in DEVICES if name != "serf-open-ward"])
def test_it_works_in_the_room_that_it_is_made_for(worn: Run, name: str) -> None:
    flags = worn.flags(number_of(name), 0)
    assert all(flag & StateFlag.LOCKED and not flag & StateFlag.SATURATED for flag in flags)


def test_a_serf_array_in_an_open_ward_is_saturated_and_without_a_lock(worn: Run) -> None:
    flags = worn.flags(number_of("serf-open-ward"), 0)
    assert all(flag & StateFlag.SATURATED and not flag & StateFlag.LOCKED for flag in flags)
    assert beat_snr_db(worn, "serf-open-ward") < 0.0


@pytest.mark.parametrize(
    ("name", "at_least_db"),
    [("serf-room", 30.0), ("he4-room", 25.0), ("serf-light-shield", 15.0), ("nv-best-light-shield", 10.0)],
)
def test_good_sensors_behind_a_shield_see_every_beat(worn: Run, name: str, at_least_db: float) -> None:
    assert beat_snr_db(worn, name) > at_least_db


def test_the_flow_takes_the_heart_from_whichever_sensor_hears_it_and_else_from_the_light() -> None:
    seconds = 40.0
    found = flowed("devices", len(DEVICES), seconds)
    score = score_alarms(found.truth, found.alarms, found.end_ns)
    assert (score.missed, score.false) == ([], [])
    assert [alarm.condition for alarm in found.alarms if alarm.state == "active"] == ["saturated"]
    last = {row.patient: row.source for row in found.vitals}
    sources = {name: last[f"patient-{number_of(name) + 1:04d}"] for name in DEVICES}
    light_only = {"serf-open-ward", "meg-cap", "nv-open-ward", "nv-light-shield", "scalar-gradiometer-open-ward"}
    assert {name for name, source in sources.items() if source == "ppg"} == light_only
    assert all("mcg" in sources[name] for name in DEVICES if name not in light_only)


def test_an_nv_array_of_today_cannot_see_a_single_beat(worn: Run) -> None:
    # 9 pT/rtHz is 57 pT in 40 Hz: averaged over a dozen beats there may be something.
    assert beat_snr_db(worn, "nv-light-shield") < 6.0


def test_a_gradiometer_sees_a_third_of_the_heart_that_a_magnetometer_there_would_see() -> None:
    head, chances = DEVICES["scalar-gradiometer-open-ward"].head, chances_of(3, 0)
    body = random_body(chances.body, script_of(load_scenario("quiet"), 0), 50.0)
    lead = body_lead(head, random_unit(chances.unit, head), body)[:, :3].reshape(head.n_all, 6, 3) @ R_DIRECTION
    near, far = lead[:, 0], lead[:, 3]
    best = np.argmax(np.abs(near))
    assert 0.25 < abs(near[best] - far[best]) / abs(near[best]) < 0.55


def test_a_cap_sees_alpha_where_the_eyes_are_closed_and_no_heart() -> None:
    run = Run("cap", patients=1, seconds=34.0)
    field = run.signal(0, 0)
    f, power = signal.welch(field[:, 8000:], fs=1000.0, nperseg=4000)
    alpha, beside = (
        np.sqrt(power[:, (f >= low) & (f <= high)].max(axis=1)) for low, high in ((8.0, 12.0), (60.0, 90.0))
    )
    assert alpha.max() > 5.0 * beside.max()
    assert 0.03 < alpha.max() < 1.5
    assert field.shape[0] == 16


def test_an_unknown_device_is_refused_with_the_names_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('about = "bad"\n[[patients]]\ndevice = "squid"\n')
    with pytest.raises(ValueError, match="device 'squid' is unknown: allowed are reference, serf-light-shield"):
        load_scenario(str(path))


def test_a_head_with_a_hole_in_its_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match="positions_m has 1 entries, orientations 0"):
        Head("mcg", "opm-serf", Opm(), ((0.0, 0.0, 0.0),), ())
