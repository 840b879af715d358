"""Evaluation of ventricular rhythms: which windows count, what is said where nothing can be, floors on recordings."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from test_ventricular import beats, fibrillation

from deploy.evaluate import ventricular_windows
from deploy.evaluate.fit_vf import as_module, models
from deploy.evaluate.logistic_fit import fitted
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request
from deploy.evaluate.ventricular_windows import Labelled, Seconds, labels
from deploy.evaluate.vf import as_text, evaluate

Array = NDArray[np.float64]
RATE = 250


def silent(_: str) -> None:
    """Tell nobody."""


def write_record(folder: Path, name: str, x: Array, marks: Sequence[tuple[float, str]]) -> None:
    """A WFDB record of one lead with rhythm labels from the times (s) named on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb  # noqa: PLC0415 - slow, and warns of its own code

        wfdb.wrsamp(
            name, fs=RATE, units=["mV"], sig_name=["ECG"], p_signal=x[:, None], fmt=["16"], write_dir=str(folder)
        )
        sample = np.array([max(1, round(at * RATE)) for at, _ in marks])
        notes = [f"({rhythm}" for _, rhythm in marks]
        wfdb.wrann(name, "atr", sample, ["+"] * len(marks), aux_note=notes, write_dir=str(folder))


def changing(*changes: tuple[float, str]) -> Labelled:
    """A record of 60 s without a signal whose rhythm changes at the seconds named."""
    at, rhythm = zip(*changes, strict=True)
    return Labelled("made", float(RATE), np.zeros((1, 60 * RATE)), np.array(at) * RATE, np.array(rhythm))


def test_a_window_has_a_label_if_all_of_it_has_one() -> None:
    record = changing((0.0, "N"), (20.0, "VF"), (40.0, "N"))
    label, touched = labels(record, np.array([10.0, 19.0, 22.0, 26.0, 42.0, 46.0]) * RATE)
    assert label.tolist() == ["N", "N", "mixed", "VF", "mixed", "N"]
    assert touched.tolist() == [False, False, True, True, True, False]


def test_a_short_run_within_a_window_touches_it() -> None:
    label, touched = labels(changing((0.0, "N"), (20.0, "VT"), (22.0, "N")), np.array([24.0, 28.0]) * RATE)
    assert label.tolist() == ["mixed", "N"]
    assert touched.tolist() == [True, False]


def test_before_the_first_label_there_is_none() -> None:
    label, touched = labels(changing((20.0, "VT")), np.array([10.0, 22.0, 30.0]) * RATE)
    assert label.tolist() == ["", "mixed", "VT"]
    assert touched.tolist() == [False, True, True]


def test_fibrillation_is_found_and_beats_are_let_be(tmp_path: Path) -> None:
    x = np.concatenate([beats(30.0, 70.0), fibrillation(30.0)]) + 0.01 * np.random.default_rng(0).standard_normal(15000)
    write_record(tmp_path, "a", x, [(0.0, "N"), (30.0, "VF")])
    write_record(tmp_path, "b", x[:7500], [(0.0, "N")])
    report = evaluate(Request(tmp_path, without=("b",)), silent)
    assert report.weights == "shipped"
    assert (report.gross.se, report.gross.sp, report.gross.f1) == (1.0, 1.0, 1.0)
    assert report.undisputed is not None
    assert report.undisputed.records == 1
    assert [row.rest for row in report.per_record] == [25, 25]
    assert report.confusion["rest"] == {"VF": 0, "VT": 0, "neither": 50}
    decoded = msgspec.json.decode(msgspec.json.encode(report))
    assert {"task", "rule", "records", "gross", "average", "per_record", "cpu_s_per_hour"} <= set(decoded)
    assert decoded["per_record"][1]["se"] is None
    assert "without b" in as_text(report)


def test_what_cannot_be_evaluated_is_said(tmp_path: Path) -> None:
    write_record(tmp_path, "a", beats(10.0, 70.0), [(0.0, "N")])
    with pytest.raises(EvaluateError, match="record 'zz' cannot be left out"):
        evaluate(Request(tmp_path, without=("zz",)), silent)


def test_the_weights_written_are_those_fitted() -> None:
    rng = np.random.default_rng(3)
    label = np.repeat(np.array(["N", "VT", "VF"]), 200)
    place = np.repeat([0.0, 1.0, 2.0], 200)
    some = []
    for name in ("a", "b"):
        leads = (place[:, None] + rng.standard_normal((600, 7)))[:, None]
        nothing = np.zeros(600)
        some.append(Seconds(name, 600.0, nothing, label, label != "N", leads, nothing, nothing, nothing))
    found = models(some)
    space: dict[str, object] = {}
    exec(as_module(found), space)  # noqa: S102 - it is Python that we have just written
    for name, model in zip(found._fields, found, strict=True):
        written = space[name.upper()]
        assert isinstance(written, type(model))
        odds = model.log_odds(some[0].leads[:, 0])
        np.testing.assert_allclose(written.log_odds(some[0].leads[:, 0]), odds, atol=0.01)
        assert odds[label == "VF"].mean() > odds[label == "VT"].mean()


def test_a_fit_weighs_what_it_is_told_to_weigh() -> None:
    x = np.repeat(np.linspace(0.0, 1.0, 50), 2)[:, None]
    positive = np.arange(100) % 2 == 0
    even = fitted(x, positive, np.ones(100))
    more = fitted(x, positive, np.where(positive, 3.0, 1.0))
    assert abs(even.log_odds(x)).max() < 0.01
    np.testing.assert_allclose(more.log_odds(x), np.log(3.0), atol=0.01)


@pytest.mark.recordings
def test_ventricular_rhythms_are_told_on_recordings_by_weights_that_have_not_seen_them(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ventricular_windows, "PACKET_S", 5.0)  # any cut tells the same, and this is cheaper
    report = evaluate(Request(recordings / "vfdb", without=("418",)), silent)
    assert report.weights == "left out"
    assert report.undisputed is not None
    assert report.undisputed.gross.se >= 0.95
    assert report.undisputed.gross.sp >= 0.95
    assert report.undisputed.ventricular.se >= 0.93
    assert report.undisputed.ventricular.sp >= 0.93
    assert report.gross.se >= 0.95
    assert report.gross.sp >= 0.90


@pytest.mark.recordings
@pytest.mark.long
def test_other_rhythms_stay_nearly_silent(recordings: Path) -> None:
    report = evaluate(Request(recordings / "mitdb"), silent)
    assert report.false_s_per_hour <= 6.0
