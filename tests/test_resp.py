"""Evaluation of breath rate: the files, the windows, the figures, and what is said where nothing can be evaluated."""

import gzip
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from deploy.evaluate.breaths import BreathRecording, names_of, read
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request
from deploy.evaluate.resp import RespReport, Track, Windows, as_text, evaluate, score, windows

Array = NDArray[np.float64]
RATE = 125


def measure(folder: Path, records: tuple[str, ...] | None = None) -> RespReport:
    """Evaluate without a word."""
    return evaluate(Request(folder, records), lambda _: None)


def write(folder: Path, name: str, breath_bpm: float, seconds: float, *, packed: bool = True) -> None:
    """A simulated recording in BIDMC's form whose light and heart follow the breath."""
    t = np.arange(round(seconds * RATE)) / RATE
    breath = np.sin(2.0 * np.pi * breath_bpm / 60.0 * t)
    beats, at = [], 0.5
    while at < seconds:
        beats.append(at)
        at += 0.8 + 0.04 * np.sin(2.0 * np.pi * breath_bpm / 60.0 * at)
    rng = np.random.default_rng(round(breath_bpm))
    ecg, light = 0.01 * rng.standard_normal((2, len(t)))
    light = 0.3 + 0.1 * light + 0.03 * breath
    for at in beats:
        ecg += np.exp(-0.5 * ((t - at) / 0.012) ** 2)
        light += 0.4 * np.sin(np.pi * np.clip((t - at - 0.2) / 0.8, 0.0, 1.0)) ** 2
    marks = np.arange(0.25, seconds * breath_bpm / 60.0) * 60.0 / breath_bpm
    lines = ["Time [s], RESP, PLETH, V, AVR, II"]
    lines += [f"{a:.6g},0,{b:.5f},0,0,{c:.5f}" for a, b, c in zip(t, light, ecg, strict=True)]
    breaths = ["breaths ann1 [signal sample no], breaths ann2 [signal sample no]"]
    breaths += [f"{round(at * RATE)},{round(at * RATE) + 3}" for at in marks] + ["7,"]
    for what, text in (("Signals", lines), ("Breaths", breaths)):
        octets = "\n".join(text).encode()
        path = folder / f"{name}_{what}.csv{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(octets) if packed else octets)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated recordings, one of them not packed."""
    made = tmp_path_factory.mktemp("bidmc")
    write(made, "slow", 11.0, 100.0)
    write(made, "fast", 26.0, 70.0, packed=False)
    return made


def test_a_recording_is_read_packed_or_not(folder: Path) -> None:
    assert names_of(folder, None) == ("fast", "slow")
    assert names_of(folder, ("slow", "slow")) == ("slow",)
    for name, rate in (("slow", 11.0), ("fast", 26.0)):
        recording = read(folder, name)
        assert recording.rate_hz == 125.0
        assert len(recording.light) == len(recording.ecg)
        assert_allclose(np.diff(recording.breaths_s[1]), 60.0 / rate, atol=0.02)


def test_a_simulated_breath_is_found_and_told(folder: Path) -> None:
    report = measure(folder)
    assert report.records == ("fast", "slow")
    assert [row.windows for row in report.per_record] == [2, 3]
    for of in (report.ppg, report.ppg_ecg):
        assert of.gross.mae < 1.0
        assert of.gross.coverage >= 0.5
    assert report.constant_mae > 3.0


def test_the_report_speaks_json_and_words(folder: Path) -> None:
    report = measure(folder, ("slow",))
    said = json.loads(msgspec.json.encode(report))
    assert said["task"] == "resp"
    assert {"rule", "records", "gross", "average", "per_record", "cpu_s_per_hour"} <= set(said)
    assert {"mae", "coverage"} <= set(said["gross"])
    assert 0.0 <= said["gross"]["coverage"] <= 1.0
    assert "slow" in as_text(report)


def test_windows_count_where_both_annotators_mark_breaths() -> None:
    steady = np.arange(1.0, 96.0, 4.0)
    recording = BreathRecording("made", 125.0, np.zeros(100 * 125), np.zeros(100 * 125), (steady, steady[steady < 40]))
    track = Track(np.arange(1.0, 101.0), np.ones(100), np.arange(100) != 31)
    seen = windows(recording, track)
    assert_allclose(seen.truth, [[15.0, 15.0], [15.0, 15.0]])
    assert seen.rate.tolist() == [32.0, 64.0]  # believed at the end of the 32nd and of the 64th second
    assert seen.told.tolist() == [False, True]


def test_an_error_is_the_mean_of_the_distances_to_both_annotators() -> None:
    seen = Windows(np.array([[14.0, 16.0], [20.0, 20.0]]), np.array([15.0, 23.0]), np.array([1.0, 1.0]), np.ones(2) > 0)
    one = score(seen)
    assert (one.mae, one.mae_full, one.coverage) == (2.0, 2.0, 1.0)
    assert (one.bias, one.within_u, one.worst) == (1.5, 0.5, 3.0)
    assert np.isnan(score(seen._replace(told=np.zeros(2) > 0)).mae)


def test_what_is_missing_or_damaged_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluateError, match="no folder"):
        measure(tmp_path / "nowhere")
    with pytest.raises(EvaluateError, match="holds no recording"):
        measure(tmp_path)
    with pytest.raises(EvaluateError, match=r"'other'.*fast, slow"):
        measure(folder, ("other",))
    with pytest.raises(EvaluateError, match="no record was named"):
        measure(folder, ())
    write(tmp_path, "cut", 15.0, 40.0)
    packed = tmp_path / "cut_Signals.csv.gz"
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(EvaluateError, match="cannot be read"):
        measure(tmp_path)
    packed.write_bytes(gzip.compress(b"Time [s], PLETH\n0,1\n0.008,2\n"))
    with pytest.raises(EvaluateError, match="lacks II"):
        measure(tmp_path)


@pytest.mark.recordings
@pytest.mark.long
def test_breath_rate_on_recordings_does_not_get_worse(recordings: Path) -> None:
    report = measure(recordings / "bidmc")
    for of, mae, coverage, full in ((report.ppg, 0.75, 0.90, 0.85), (report.ppg_ecg, 0.70, 0.95, 0.75)):
        assert of.gross.mae <= mae
        assert of.gross.coverage >= coverage
        assert of.gross.mae_full <= full
    assert report.constant_mae > 2.9
