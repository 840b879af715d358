"""Evaluation of bedside alarms: the score's rule, folds that keep a patient together, and the floor on recordings."""

import json
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from anomaly.judgement import ARRHYTHMIAS
from anomaly.kernel import IntArray
from deploy.evaluate.alarms import as_text, evaluate, score
from deploy.evaluate.bedside import ALARM_S, alarms_of, read
from deploy.evaluate.fit_alarms import AT, MIX, SLOPE, fit, weights_of
from deploy.evaluate.nested import FOLDS, choose, folds, nested, patients_of
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request

Array = NDArray[np.float64]
RATE = 125


def wave(beats: Array, seconds: float, width_s: float) -> Array:
    t = np.arange(round(seconds * RATE)) / RATE
    x = 0.002 * np.random.default_rng(1).standard_normal(len(t))
    for at in beats:
        near = np.abs(t - at) < 0.6
        x[near] += np.exp(-0.5 * ((t[near] - at) / width_s) ** 2)
    return x


def write(folder: Path, name: str, ecg: Array, pleth: Array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb  # noqa: PLC0415 - slow, and warns of its own code

        wfdb.wrsamp(
            name,
            fs=RATE,
            units=["mV", "NU"],
            sig_name=["II", "PLETH"],
            p_signal=np.stack([ecg, pleth], axis=-1),
            fmt=["16", "16"],
            write_dir=str(folder),
        )


def test_the_score_is_the_challenges_in_the_whole_sets_mix() -> None:
    cells = np.zeros((len(ARRHYTHMIAS), 2, 2))
    cells[:, :, 0] = 3.0
    assert score(cells) == (1.0, 1.0, 1.0)
    cells[ARRHYTHMIAS.index("asystole"), 0] = [1.0, 1.0]  # half of 22 missed
    tp = sum(true for true, _ in MIX.values()) - 11.0
    whole = sum(true + false for true, false in MIX.values())
    assert score(cells)[0] == pytest.approx((whole - 11.0) / (whole - 11.0 + 5.0 * 11.0))
    assert score(cells)[1] == pytest.approx(tp / (tp + 11.0))
    assert np.isnan(score(np.zeros_like(cells))[0])


def test_weights_stand_for_the_whole_set() -> None:
    kind = np.array([0, 0, 0, 1])
    weights = weights_of(kind, np.array([True, False, False, True]))
    np.testing.assert_allclose(weights, [22.0, 50.0, 50.0, 46.0])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=1, max_size=80))
def test_folds_keep_a_patient_together_and_spread_what_is_alike(records: list[tuple[int, int]]) -> None:
    strata, patients = (np.array(column, np.int64) for column in zip(*records, strict=True))
    fold = folds(strata, patients, FOLDS, 0)
    assert all(len(np.unique(fold[patients == patient])) == 1 for patient in patients)
    if len(np.unique(patients)) >= FOLDS:
        assert len(np.unique(fold)) == FOLDS


def test_names_with_neighbouring_numbers_are_of_one_patient() -> None:
    assert patients_of(["v253l", "v254s", "a255l", "v318s"]).tolist() == [0, 0, 0, 1]


def test_no_record_is_predicted_by_a_fit_or_a_choice_that_has_seen_its_patient() -> None:
    strata, patients = np.arange(60) % 3, np.arange(60) // 2
    asked: list[tuple[IntArray, IntArray]] = []

    def predict(choice: int, train: IntArray, test: IntArray) -> Array:
        assert not set(patients[train]) & set(patients[test])
        asked.append((train, test))
        return np.full(len(test), float(choice))

    predicted, choice = nested(strata, patients, 3, predict, lambda told, _: abs(float(told.mean()) - 1.0))
    assert (choice == 1).all()
    assert (predicted == 1.0).all()
    outer = [test for train, test in asked if len(train) + len(test) == 60]
    assert sorted(np.concatenate(outer).tolist()) == list(range(60))
    assert choose(strata, patients, np.arange(0), 3, predict, lambda *_: 0.0) == 0


def test_without_records_a_fit_is_its_priors_and_with_many_it_is_theirs() -> None:
    none = fit(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0))
    assert (none.slope, none.at) == (SLOPE, AT)
    margins = np.linspace(-2.0, 1.0, 400)
    many = fit(margins, margins > -0.5, np.ones(400))
    assert many.at == pytest.approx(-0.5, abs=0.06)
    assert many.slope > 2.0 * SLOPE


def test_a_folder_of_alarms_gives_a_report(tmp_path: Path) -> None:
    beats = np.arange(0.5, 320.0, 0.8)
    ecg = wave(beats[(beats < 294.0) | (beats > 299.8)], 320.0, 0.012)
    write(tmp_path, "a10l", ecg, wave(beats, 320.0, 0.12))
    write(tmp_path, "a20l", ecg, wave(beats[(beats < 294.0) | (beats > 299.8)], 320.0, 0.12))
    (tmp_path / "ALARMS.csv").write_text("record,alarm,true_alarm\na10l,Asystole,0\na20l,Asystole,1\n")
    told: list[str] = []
    report = evaluate(Request(tmp_path), told.append)
    assert told
    assert [row.called_true for row in report.per_record] == [False, True]
    assert report.gross.score == 1.0
    assert "the light pulse" in report.per_record[0].reason
    assert read(tmp_path, "a10l").leads.shape == (1, round(ALARM_S * RATE))  # nothing after the alarm is looked at
    body = json.loads(msgspec.json.encode(report))
    assert body["task"] == "alarms"
    assert {"rule", "records", "gross", "average", "per_record", "cpu_s_per_hour", "missed", "shipped"} <= set(body)
    assert {"score", "se", "sp", "score_low", "score_high"} <= set(body["gross"])
    assert "true alarms called false: none" in as_text(report)
    assert evaluate(Request(tmp_path, ("a20l",)), told.append).records == ("a20l",)


def test_what_cannot_be_evaluated_is_said(tmp_path: Path) -> None:
    with pytest.raises(EvaluateError, match=r"there is no .*ALARMS\.csv"):
        alarms_of(tmp_path, None)
    (tmp_path / "ALARMS.csv").write_text("record,alarm,true_alarm\n")
    with pytest.raises(EvaluateError, match="names no record"):
        alarms_of(tmp_path, None)
    (tmp_path / "ALARMS.csv").write_text("record,alarm,true_alarm\na1,Hiccup,1\n")
    with pytest.raises(EvaluateError, match=r"Hiccup.*need record, alarm \(one of Asystole"):
        alarms_of(tmp_path, None)
    (tmp_path / "ALARMS.csv").write_text("record,alarm,true_alarm\na1,Asystole,1\n")
    with pytest.raises(EvaluateError, match="there is no record 'b'"):
        alarms_of(tmp_path, ("b",))
    with pytest.raises(EvaluateError, match=r"record a1 .*cannot be read"):
        read(tmp_path, "a1")


@pytest.mark.recordings
@pytest.mark.parametrize(("half", "least"), [(0, 0.82), (1, 0.78)])
@pytest.mark.long
def test_bedside_alarms_are_told_true_from_false(recordings: Path, half: int, least: float) -> None:
    # Changes may not lead to worse results. Half of the records at a time, by the constants that the flow has.
    names = [alarm.record for alarm in alarms_of(recordings / "cinc2015", None)]
    report = evaluate(Request(recordings / "cinc2015", tuple(names[half::2])), lambda _: None)
    assert report.shipped.score >= least
    assert report.shipped.se >= 0.95
