"""A fleet's packets: their bytes, what they hold, and what faults do to them."""

import math
from pathlib import Path

import numpy as np
import pytest
import wfdb_quietly
from numpy.typing import NDArray
from scipy import signal
from sim_signals import START_NS, Run

from device_sim.fleet import Fleet, FleetOptions
from device_sim.recording import load_recording
from device_sim.truth import AlarmLine, BeatLine, RhythmLine, VitalLine
from device_sim.wearable import ACCELERATION, MCG, PACKET_NS, PPG, REFERENCE, TEMPERATURE
from ingest.packet import StateFlag

Array = NDArray[np.float64]


def heart_band(field: Array, low_hz: float = 1.0) -> Array:
    """Field without drift and mains, with no delay; from 8 Hz on of a heart little but QRS, of a room little at all."""
    sos = signal.butter(2, (low_hz, 30.0), "bandpass", fs=500.0, output="sos")
    filtered: Array = signal.sosfiltfilt(sos, field)
    return filtered


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, again, other = (Run("ward", patients=3, seconds=5.0, seed=seed) for seed in (1, 1, 2))
    assert first.raw == again.raw
    assert first.truth == again.truth
    assert first.raw[0] != other.raw[0]


def test_a_patient_does_not_depend_on_how_many_others_there_are() -> None:
    few, many = Run("faults", patients=4, seconds=20.0), Run("faults", patients=9, seconds=20.0)
    for device in range(4):
        assert few.raw[device] == many.raw[device]
        assert few.fleet.births[device] == many.fleet.births[device]
    patient = few.fleet.names[2].patient
    beats, same = (
        [line for line in run.truth if isinstance(line, BeatLine) and line.patient == patient] for run in (few, many)
    )
    assert beats == same


def test_packets_follow_each_other_and_match_their_birth() -> None:
    run = Run("quiet", patients=2, seconds=6.0)
    for device in range(2):
        packets = run.packets(device)
        assert [packet.seq for packet in packets] == list(range(24))
        origin = START_NS + run.fleet.phase_ns[device]
        assert [packet.t0_ns for packet in packets] == [origin + k * PACKET_NS for k in range(24)]
        assert {packet.clock for packet in packets} == {2}
        for number, packet in enumerate(packets):
            streams = [block.stream for block in packet.blocks]
            assert streams == ([0, 1, 2, 3, 4] if number % 4 == 0 else [0, 1, 2, 3])
            for block in packet.blocks[:4]:
                assert block.first_sample == number * run.fleet.births[device].streams[block.stream].block_len
            if number % 4 == 0:
                assert packet.blocks[4].first_sample == number // 4


def test_devices_leave_at_different_times_of_the_250_ms() -> None:
    phases = sorted(Fleet(FleetOptions(patients=50, scenario="quiet"), START_NS).phase_ns)
    assert phases[0] >= 0
    assert phases[-1] < PACKET_NS
    assert max(np.diff(phases)) < 4 * PACKET_NS / 50


def test_a_new_start_is_a_new_boot() -> None:
    options = FleetOptions(patients=1, scenario="quiet")
    boots = {Fleet(options, start).step()[0][1][20:60] for start in (START_NS, START_NS + 1)}
    assert len(boots) == 2


def test_r_peaks_of_the_field_lie_on_the_true_beats() -> None:
    run = Run("quiet", patients=3, seconds=20.0)
    for device in range(3):
        field = heart_band(run.signal(device, MCG))
        best = field[np.argmax(np.abs(field).max(axis=1))]
        best = best * np.sign(best[np.argmax(np.abs(best))])
        peaks, _ = signal.find_peaks(best, height=0.5 * best.max(), distance=150)
        beats = run.beats_s(device)
        peaks = peaks[(peaks > 50) & (peaks < 9950)]
        beats = beats[(beats > peaks[0] / 500.0 - 0.1) & (beats < peaks[-1] / 500.0 + 0.1)]
        assert len(peaks) == len(beats)
        # 4 ms of the electronics and 1.2 ms of the lag.
        assert np.median(peaks / 500.0 - beats) == pytest.approx(0.0052, abs=0.0015)
        assert np.std(peaks / 500.0 - beats) < 0.0025
        assert 35.0 < np.median(best[peaks]) < 105.0


def test_pulses_follow_the_r_peaks_by_the_transit_time() -> None:
    run = Run("quiet", patients=1, seconds=30.0)
    light = run.signal(0, PPG)[2]
    sos = signal.butter(2, (0.7, 8.0), "bandpass", fs=100.0, output="sos")
    pulse = -signal.sosfiltfilt(sos, light)
    tops, _ = signal.find_peaks(pulse, height=0.5 * np.percentile(pulse, 99), distance=45)
    beats = run.beats_s(0)
    after = [min((top / 100.0 - beat for top in tops if top / 100.0 > beat), default=math.nan) for beat in beats[1:-2]]
    # Transit 0.20 s, rise 0.12 s times the root of RR.
    assert np.median(after) == pytest.approx(0.32, abs=0.03)


def test_asystole_is_flat_and_without_a_pulse() -> None:
    run = Run("ward", patients=2, seconds=32.0)
    field = heart_band(run.signal(1, MCG), 8.0)
    assert np.abs(field[:, 24 * 500 : 31 * 500]).max() < 0.1 * np.abs(field[:, 5 * 500 : 15 * 500]).max()
    light = run.signal(1, PPG)[2]
    sos = signal.butter(2, (0.7, 8.0), "bandpass", fs=100.0, output="sos")
    pulse = signal.sosfiltfilt(sos, light)
    assert pulse[2400:3100].std() < 0.2 * pulse[500:1500].std()


def test_other_sensors_read_what_a_patient_at_rest_gives() -> None:
    run = Run("quiet", patients=2, seconds=10.0)
    for device in range(2):
        acceleration = run.signal(device, ACCELERATION)
        assert np.median(np.sqrt(np.sum(acceleration**2, axis=0))) == pytest.approx(9.8, abs=0.6)
        temperature = run.signal(device, TEMPERATURE)
        assert temperature.shape == (1, 10)
        assert np.all((temperature > 33.5) & (temperature < 36.5))


@pytest.fixture(scope="module")
def faulty() -> Run:
    """One patient per fault, each from 15 s on."""
    return Run("faults", patients=7, seconds=45.0)


def slots(flags: list[int], flag: StateFlag) -> list[int]:
    return [number for number, value in enumerate(flags) if value & flag]


def test_a_saturated_sensor_rails_and_says_so(faulty: Run) -> None:
    marked = slots(faulty.flags(0, MCG), StateFlag.SATURATED)
    assert marked[0] in (60, 61)
    assert 115 <= marked[-1] <= 120
    assert np.all(faulty.signal(0, MCG)[:, 17 * 500 : 28 * 500] == 5000.0)


def test_a_lost_lock_is_flagged_and_re_zeroed_before_it_ends(faulty: Run) -> None:
    flags = faulty.flags(1, MCG)
    unlocked = [number for number, value in enumerate(flags) if not value & StateFlag.LOCKED]
    assert unlocked == list(range(unlocked[0], unlocked[-1] + 1))
    assert len(unlocked) in (60, 61)
    assert slots(flags, StateFlag.ZEROING) == unlocked[-len(slots(flags, StateFlag.ZEROING)) :]
    assert len(slots(flags, StateFlag.ZEROING)) in (12, 13)


def test_a_stuck_sensor_repeats_its_last_value_and_the_others_go_on(faulty: Run) -> None:
    field, reference = faulty.signal(2, MCG), faulty.signal(2, REFERENCE)
    frozen = slice(16 * 500, 29 * 500)
    assert np.all(np.diff(field[:, frozen]) == 0.0)
    assert np.all(np.diff(field[:, : 14 * 500]).std(axis=1) > 0.0)
    assert np.all(np.diff(field[:, 31 * 500 :]).std(axis=1) > 0.0)
    assert np.all(np.diff(reference[:, frozen]).std(axis=1) > 0.0)


def test_a_noisy_sensor_reports_its_noise(faulty: Run) -> None:
    floors = [packet.blocks[MCG].noise_floor for packet in faulty.packets(3)]
    assert floors[10] == pytest.approx(0.015)
    assert floors[80] == pytest.approx(15.0)
    field = np.diff(faulty.signal(3, MCG))
    assert field[:, 20 * 500 : 30 * 500].std() > 20.0 * field[:, : 14 * 500].std()


def test_a_device_off_the_body_sees_no_heart_no_pulse_no_breath_and_cools(faulty: Run) -> None:
    field = heart_band(faulty.signal(4, MCG), 8.0)
    assert np.abs(field[:, 18 * 500 : 38 * 500]).max() < 0.1 * np.abs(field[:, : 14 * 500]).max()
    light = faulty.signal(4, PPG)
    assert light[:, 1800:3800].std() < 0.2 * light[:, :1400].std()
    motion = faulty.signal(4, ACCELERATION)
    assert motion[:, 18 * 52 : 38 * 52].std(axis=1).max() < 0.5 * motion[:, : 14 * 52].std(axis=1).max()
    temperature = faulty.signal(4, TEMPERATURE)[0]
    assert temperature[38] < temperature[14] - 1.5


def test_a_silent_device_sends_nothing_and_counts_on_without_a_gap_in_its_packets(faulty: Run) -> None:
    packets = faulty.packets(5)
    assert [packet.seq for packet in packets] == list(range(len(packets)))
    gaps = np.diff([packet.t0_ns for packet in packets])
    assert np.sum(gaps != PACKET_NS) == 1
    assert 15.0e9 <= gaps.max() <= 15.6e9
    hole = int(np.argmax(gaps))
    missing = packets[hole + 1].blocks[MCG].first_sample - packets[hole].blocks[MCG].first_sample
    assert missing * 2_000_000 == gaps.max()


def test_a_device_in_a_dead_spot_sends_everything_late_in_one_burst(faulty: Run) -> None:
    packets = faulty.packets(6)
    assert [packet.seq for packet in packets] == list(range(180))
    burst = max(set(faulty.left_at[6]), key=faulty.left_at[6].count)
    assert faulty.left_at[6].count(burst) in (60, 61, 62)
    assert burst in (119, 120, 121)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"patients": 0}, "patients=0"), ({"seed": -1}, "seed=-1"), ({"seconds": -1.0}, "seconds=-1.0")],
)
def test_options_that_cannot_be_are_refused_by_name(wrong: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        FleetOptions(**wrong)  # type: ignore[arg-type]  # one dict holds values for several fields


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A record of 20 s at 360 Hz with a beat every 0.9 s, one of them ectopic."""
    t = np.arange(360 * 20) / 360.0
    beats = np.arange(0.5, 19.9, 0.9)
    lead = 0.1 + np.sum(1.3 * np.exp(-0.5 * ((t[:, None] - beats) / 0.012) ** 2), axis=1)
    folder = tmp_path_factory.mktemp("record")
    symbols = ["V" if k == 7 else "N" for k in range(len(beats))]
    wfdb_quietly.write(folder, "tiny", lead, np.rint(beats * 360).astype(int), symbols)
    return str(folder / "tiny")


def test_a_recorded_ecg_drives_field_pulse_and_truth(record: str) -> None:
    run = Run("quiet", patients=2, seconds=30.0, wfdb=record)
    beats = run.beats_s(0)
    recorded = np.arange(0.5, 19.9, 0.9)
    np.testing.assert_allclose(beats[: len(recorded)], recorded, atol=0.002)
    np.testing.assert_allclose(beats[len(recorded)], 20.5, atol=0.002, err_msg="it repeats at its end")
    kinds = [line.kind for line in run.truth if isinstance(line, BeatLine) and line.patient == "patient-0001"]
    assert kinds.index("V") == 7
    field = heart_band(run.signal(0, MCG))
    best = np.abs(field[np.argmax(np.abs(field).max(axis=1))])
    peaks, _ = signal.find_peaks(best, height=20.0, distance=200)
    assert np.median(best[peaks]) == pytest.approx(50.0, rel=0.3)
    late = [peak / 500.0 - beats[np.argmin(np.abs(beats - peak / 500.0))] for peak in peaks[1:15]]
    assert np.median(late) == pytest.approx(0.0050, abs=0.0031)
    assert any(isinstance(line, RhythmLine) and line.rhythm == "recorded" for line in run.truth)
    other = Run("quiet", patients=2, seconds=5.0)
    assert run.raw[1][:20] == other.raw[1]


def test_a_missing_record_is_refused_with_the_file_that_was_looked_for(tmp_path: Path, record: str) -> None:
    with pytest.raises(ValueError, match=r"no file .*nothing\.hea"):
        load_recording(str(tmp_path / "nothing"))
    (tmp_path / "bare.hea").write_bytes(Path(record + ".hea").read_bytes())
    with pytest.raises(ValueError, match=r"no file .*bare\.atr \(beat annotations"):
        load_recording(str(tmp_path / "bare"))


def test_of_a_recorded_heart_the_truth_is_what_was_annotated(tmp_path: Path) -> None:
    beats = [(at, "N", "") for at in (*np.arange(0.5, 7.9, 0.8), *np.arange(16.5, 24.0, 0.7))]
    notes = sorted([*beats, (8.0, "[", ""), (9.0, "!", ""), (16.0, "]", ""), (20.0, "+", "(AFIB")])
    at, symbols, texts = ([note[k] for note in notes] for k in range(3))
    lead = np.exp(-0.5 * ((np.arange(360 * 30)[:, None] / 360.0 - [one[0] for one in beats]) / 0.012) ** 2).sum(axis=1)
    wfdb_quietly.write(tmp_path, "noted", lead, np.rint(np.array(at) * 360).astype(int), symbols, texts=texts)
    run = Run("quiet", patients=1, seconds=40.0, wfdb=str(tmp_path / "noted"))
    rhythms = [
        (line.rhythm, round((line.to_ns - START_NS) / 1e9)) for line in run.truth if isinstance(line, RhythmLine)
    ]
    assert rhythms == [
        ("recorded", 8),
        ("ventricular-fibrillation", 16),
        ("recorded", 20),
        ("atrial-fibrillation", 30),
        ("recorded", 38),
        ("ventricular-fibrillation", 40),
    ]
    silences = [line for line in run.truth if isinstance(line, AlarmLine) and line.condition == "asystole"]
    assert silences
    assert not any(line.required for line in silences), "nobody annotated one"
    assert {line.qt_ms for line in run.truth if isinstance(line, VitalLine)} == {None}


@pytest.mark.recordings
def test_a_record_of_the_mit_database_can_be_a_heart(recordings: Path) -> None:
    run = Run("quiet", patients=1, seconds=20.0, wfdb=str(recordings / "mitdb" / "101"))
    assert len(run.beats_s(0)) == pytest.approx(20 * 1865 / 1805.0, abs=4)
    assert np.abs(heart_band(run.signal(0, MCG))).max() > 25.0


def test_a_recorded_pulse_stands_in_for_the_light_and_any_patient_may_have_a_record(
    tmp_path: Path, record: str
) -> None:
    t = np.arange(125 * 20) / 125.0
    wfdb_quietly.write(tmp_path, "pulse", 0.5 + 0.4 * np.sin(2.0 * np.pi * 1.5 * t), np.array([10]), ["N"])
    path = tmp_path / "recorded.toml"
    path.write_text(
        'about = "recorded"\n[[patients]]\n[[patients]]\nrate_bpm = 60.0\npulse_record = "pulse"\n'
        f'[[patients]]\nrecord = "{record}"\n'
    )
    run = Run(str(path), patients=3, seconds=16.0)
    light = run.signal(1, PPG)[2]
    f, power = signal.welch(light - light.mean(), fs=100.0, nperseg=len(light))
    # The record is taken at the rate that its writer gave it.
    rate_hz = 1.5 * 360.0 / 125.0
    assert f[np.argmax(power * (f > 0.5))] == pytest.approx(rate_hz, abs=0.1)
    vitals = [line for line in run.truth if isinstance(line, VitalLine) and line.patient == "patient-0002"]
    assert {(line.pulse_rate_bpm, line.spo2) for line in vitals} == {(None, None)}, "nobody noted them"
    assert vitals[-1].qt_ms, "the heart is not a recorded one"
    rhythms = {(line.patient, line.rhythm) for line in run.truth if isinstance(line, RhythmLine)}
    assert rhythms == {("patient-0001", "sinus"), ("patient-0002", "sinus"), ("patient-0003", "recorded")}
