"""Recorded hearts and pulses stand in for any body, and the witness says of which bytes they were."""

import gzip
import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
import wfdb_quietly

from device_sim.fleet import Fleet, FleetOptions
from device_sim.recorded_pulse import load_pulse
from device_sim.standin import placed, records_sha256
from device_sim.truth import BeatLine, PatientLine, TruthLine, VitalLine
from device_sim.witness import T_START_NS, differences, options_of, witnessed


def write(folder: Path, name: str, beat_every_s: float) -> str:
    """Write a record of 10 s at 250 Hz whose lead is a beat now and then."""
    beats = np.arange(0.4, 9.9, beat_every_s)
    t = np.arange(2500) / 250.0
    lead = np.sum(np.exp(-0.5 * ((t[:, None] - beats) / 0.03) ** 2), axis=1)
    wfdb_quietly.write(folder, name, lead, np.rint(beats * 250).astype(int), ["N"] * len(beats), rate_hz=250)
    return str(folder / name)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A slow and a fast one."""
    folder = tmp_path_factory.mktemp("records")
    return write(folder, "slow", 1.2), write(folder, "fast", 0.5)


def told(options: FleetOptions) -> list[TruthLine]:
    """Truth of a fleet."""
    fleet = Fleet(options, T_START_NS)
    for _ in range(round(4 * options.seconds)):
        fleet.step()
    return fleet.closing_lines()


def test_records_stand_in_for_the_patients_that_are_named_and_then_for_the_first(records: tuple[str, str]) -> None:
    slow, fast = records
    lines = told(
        FleetOptions(patients=4, scenario="quiet", seconds=8.0, wfdb=(f"3={fast}", slow), pulse=(f"2={slow}",))
    )
    recorded = {line.patient for line in lines if isinstance(line, PatientLine) and line.recorded}
    assert recorded == {"patient-0001", "patient-0003"}
    gaps = {
        patient: np.diff([line.time_ns for line in lines if isinstance(line, BeatLine) and line.patient == patient])
        for patient in recorded
    }
    assert np.median(gaps["patient-0001"]) == pytest.approx(1.2e9, rel=0.01)
    assert np.median(gaps["patient-0003"]) == pytest.approx(0.5e9, rel=0.01)
    pulseless = {line.patient for line in lines if isinstance(line, VitalLine) and line.spo2 is None}
    assert pulseless == {"patient-0002"}, "nobody noted what a recorded pulse was"


@pytest.mark.parametrize("packed", [False, True])
def test_a_pulse_may_come_from_a_table(tmp_path: Path, *, packed: bool) -> None:
    t = np.arange(2500) / 125.0
    rows = "".join(f"{at:.3f},0.5,{0.5 + 0.4 * np.sin(3.0 * np.pi * at):.6f}\n" for at in t)
    text = f"Time [s], RESP, PLETH\n{rows}".encode()
    path = tmp_path / ("signals.csv.gz" if packed else "signals.csv")
    path.write_bytes(gzip.compress(text) if packed else text)
    wave = load_pulse(str(path)).wave
    assert len(wave) == 10000
    np.testing.assert_allclose(
        wave[100:9900:500], (1.0 + np.sin(3.0 * np.pi * np.arange(0.2, 19.8, 1.0))) / 2.0, atol=0.02
    )
    options = FleetOptions(patients=1, scenario="quiet", seconds=2.0, pulse=(str(path),))
    assert witnessed(options).records_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "text", ["", "Time [s], PLETH\n", "Time [s], PLETH\n0.0,1.0\n0.0,2.0\n", "Time [s], PLETH\na,b\n"]
)
def test_a_table_that_holds_no_pulse_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "signals.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"signals\.csv' cannot be read: "):
        load_pulse(str(path))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("9=a",), r"wfdb '9=a': there is no patient 9; need 1 <= N <= 2 in N=RECORD"),
        (("0=a",), r"wfdb '0=a': there is no patient 0"),
        (("1=a", "1=b"), r"wfdb '1=b': patient 1 has 'a' already; need one each"),
        (("a", "b", "c"), r"wfdb 'c': no patient is left; 3 records for 2 patients"),
    ],
)
def test_a_record_without_a_patient_is_refused(given: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        FleetOptions(patients=2, wfdb=given)
    with pytest.raises(ValueError, match=complaint):
        placed("wfdb", given, 2)


def test_a_witness_knows_the_bytes_of_every_record(records: tuple[str, str], tmp_path: Path) -> None:
    own = write(tmp_path, "own", 0.8)
    options = FleetOptions(patients=2, scenario="quiet", seconds=2.0, wfdb=(own,), pulse=(f"2={records[0]}",))
    then = witnessed(options)
    assert then.records_sha256 == records_sha256([own, records[0]])
    again = msgspec.json.decode(msgspec.json.encode(then), type=type(then))
    assert differences(then, witnessed(options_of(again), again.from_ns)) == []
    signal = tmp_path / "own.dat"
    signal.write_bytes(bytes(reversed(signal.read_bytes())))
    assert records_sha256([own, records[0]]) != then.records_sha256
    assert not witnessed(FleetOptions(patients=1, scenario="quiet", seconds=1.0)).records_sha256


def test_the_start_and_the_site_change_the_bytes_but_no_beat() -> None:
    options = FleetOptions(patients=1, scenario="quiet", seconds=2.0)
    first, later = witnessed(options), witnessed(options, T_START_NS + 1_000_000_000)
    assert first.sha256 != later.sha256
    assert (later.from_ns, later.scenario_sha256) == (T_START_NS + 1_000_000_000, first.scenario_sha256)


def test_a_birth_that_is_said_anew_is_witnessed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    options = FleetOptions(patients=1, scenario="quiet", seconds=1.0)
    plain = witnessed(options).sha256
    monkeypatch.setattr(Fleet, "rebirths", lambda _: [(0, b"another birth")])
    assert witnessed(options).sha256 != plain
