"""Evaluation of classes: the EC57 rules, the report, and annotation files that WFDB reads."""

import json
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
from test_beat_classes import RATE, ectopic, heart
from test_evaluate import write_record

from anomaly.beat_classes import BeatClass
from deploy.evaluate import annotations
from deploy.evaluate.class_scores import NO_BEAT, count, labels
from deploy.evaluate.classes import as_text, evaluate
from deploy.evaluate.records import EvaluateError, Recording
from deploy.evaluate.request import Request

N, S, V = (int(one) for one in (BeatClass.NORMAL, BeatClass.SUPRAVENTRICULAR, BeatClass.VENTRICULAR))


def recording(symbols: str) -> Recording:
    """Beats a second apart from 301 s on, one symbol each."""
    return Recording(
        name="made",
        rate_hz=100.0,
        leads=np.zeros((1, 40_000)),
        beats=np.arange(30_100.0, 30_100.0 + 100.0 * len(symbols), 100.0),
        symbols=np.array(list(symbols)),
        fibrillation=np.zeros((0, 2)),
        noisy=np.zeros((0, 2)),
        paced=False,
    )


def test_each_pair_of_symbol_and_class_counts_as_in_the_standard() -> None:
    # Symbol, class told (0: unknown), and what it adds to ventricular and supraventricular tp, fn, fp.
    cases = [
        ("N", N, (0, 0, 0), (0, 0, 0)),
        ("N", V, (0, 0, 1), (0, 0, 0)),
        ("L", S, (0, 0, 0), (0, 0, 1)),
        ("V", V, (1, 0, 0), (0, 0, 0)),
        ("E", N, (0, 1, 0), (0, 0, 0)),
        ("V", S, (0, 1, 0), (0, 0, 1)),
        ("V", 0, (0, 1, 0), (0, 0, 0)),
        ("A", S, (0, 0, 0), (1, 0, 0)),
        ("a", V, (0, 0, 1), (0, 1, 0)),
        ("F", V, (0, 0, 0), (0, 0, 0)),
        ("F", S, (0, 0, 0), (0, 0, 1)),
        ("Q", V, (0, 0, 0), (0, 0, 0)),
    ]
    for symbol, told, ventricular, supraventricular in cases:
        made = recording(symbol)
        assert count(made, made.beats + 3.0, np.array([told])) == (ventricular, supraventricular), (symbol, told)


def test_a_beat_that_was_not_found_is_missed_and_one_that_is_none_is_false() -> None:
    made = recording("NV")
    at = np.array([30_100.0, 30_150.0])
    assert count(made, at, np.array([N, V])) == ((0, 1, 1), (0, 0, 0))
    assert labels(made, at).tolist() == [N, NO_BEAT]
    early = np.array([10_000.0, 30_100.0, 30_200.0])  # while it is learned
    assert count(made, early, np.array([V, N, V])) == ((1, 0, 0), (0, 0, 0))


def test_a_folder_gives_a_report_and_annotations_that_wfdb_reads(tmp_path: Path) -> None:
    rr, ventricular = ectopic(330.0, 5)
    x, times = heart(rr, ventricular)
    marks = [(float(at), "V" if one else "N") for at, one in zip(times, ventricular, strict=True)]
    write_record(tmp_path, "a", x, marks, rate_hz=round(RATE))
    paced = [(at, "/") for at, _ in marks]
    write_record(tmp_path, "b", x, paced, rate_hz=round(RATE))
    report = evaluate(Request(tmp_path, annotations=tmp_path / "out"), lambda _: None)
    assert (report.counted, [row.paced for row in report.per_record]) == (1, [False, True])
    assert report.gross.f1 >= 0.9
    assert report.unseen is not None
    assert report.decision_s_max <= 1.5
    body = json.loads(msgspec.json.encode(report))
    assert body["task"] == "classes"
    assert {"rule", "records", "gross", "average", "per_record", "cpu_s_per_hour", "supraventricular"} <= set(body)
    assert "supraventricular beats" in as_text(report)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb  # noqa: PLC0415 - slow, and warns of its own code

        read = wfdb.rdann(str(tmp_path / "out" / "a"), annotations.EXTENSION)
    told = dict(zip(read.sample.tolist(), read.symbol, strict=True))
    assert abs(sum(symbol == "V" for symbol in told.values()) - ventricular.sum()) <= 3
    assert set(told.values()) <= {"N", "V", "S", "Q"}


def test_notes_rhythms_and_nothing_at_all_survive_the_file(tmp_path: Path) -> None:
    marks = [
        annotations.Mark(200.4, "V"),
        annotations.Mark(100.0, annotations.RHYTHM, "(AFIB"),
        annotations.Mark(150.0, annotations.COMMENT, "asystole high"),
        annotations.Mark(-30.0, "N"),
    ]
    annotations.write(tmp_path, "some", 250.0, marks)
    annotations.write(tmp_path, "none", 250.0, [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb  # noqa: PLC0415 - slow, and warns of its own code

        some = wfdb.rdann(str(tmp_path / "some"), annotations.EXTENSION)
        none = wfdb.rdann(str(tmp_path / "none"), annotations.EXTENSION)
    assert some.sample.tolist() == [100, 150, 200]
    assert some.symbol == ["+", '"', "V"]
    assert [note.strip("\0") for note in some.aux_note] == ["(AFIB", "asystole high", ""]
    assert len(none.sample) == 1


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluateError, match="cannot be written"):
        annotations.write(tmp_path / "file", "some", 250.0, [])
