"""Evaluation of beats: the matcher, the EC57 rules, and what is said where nothing can be evaluated."""

import itertools
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deploy.evaluate.beat_scores import Detections, RecordScore, record_score, rhythm_before, score, summary
from deploy.evaluate.beats import BeatsReport, as_text, detect, evaluate
from deploy.evaluate.matching import match
from deploy.evaluate.records import EvaluateError, Recording, read
from deploy.evaluate.request import Request

Array = NDArray[np.float64]
RATE = 250


def measure(folder: Path, records: tuple[str, ...] | None = None) -> BeatsReport:
    """Evaluate without a word."""
    return evaluate(Request(folder, records), lambda _: None)


def lead(beats: Array, seconds: float) -> Array:
    """One lead in mV: a spike of 20 ms and a T wave for each beat."""
    t = np.arange(round(seconds * RATE)) / RATE
    x = 0.01 * np.random.default_rng(0).standard_normal(len(t))
    for at in beats:
        near = np.abs(t - at) < 0.6
        x[near] += np.exp(-0.5 * ((t[near] - at) / 0.012) ** 2) + 0.2 * np.exp(
            -0.5 * ((t[near] - at - 0.3) / 0.05) ** 2
        )
    return x


def write_record(folder: Path, name: str, x: Array, marks: Sequence[tuple[float, str]], rate_hz: int = RATE) -> None:
    """A WFDB record of one lead or of several, with annotations at the times (s) named."""
    x = np.atleast_2d(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb  # noqa: PLC0415 - slow, and warns of its own code

        wfdb.wrsamp(
            name,
            fs=rate_hz,
            units=["mV"] * len(x),
            sig_name=[f"lead{k}" for k in range(len(x))],
            p_signal=x.T,
            fmt=["16"] * len(x),
            write_dir=str(folder),
        )
        sample = np.array([round(at * rate_hz) for at, _ in marks])
        wfdb.wrann(name, "atr", sample, [symbol for _, symbol in marks], write_dir=str(folder))


def recording(beats: Sequence[float], fibrillation: Sequence[tuple[float, float]] = ()) -> Recording:
    """A recording of 400 s whose times are given in seconds."""
    return Recording(
        name="made",
        rate_hz=float(RATE),
        leads=np.zeros((1, 400 * RATE)),
        beats=np.array(beats, np.float64) * RATE,
        symbols=np.full(len(beats), "N"),
        fibrillation=np.array(fibrillation, np.float64).reshape(-1, 2) * RATE,
        noisy=np.array([[300.0, 320.0]]) * RATE,
        paced=False,
    )


def detections(at: Sequence[float], quality: float = 1.0) -> Detections:
    """Detections at times in seconds."""
    n = len(at)
    return Detections(
        np.array(at, np.float64) * RATE, np.zeros(n, np.bool_), np.full(n, 0.2 * RATE), np.full(n, quality)
    )


def of(recorded: Recording, found: Detections) -> RecordScore:
    """Score of one record in fractions."""
    return record_score(score(recorded, found))


@pytest.mark.parametrize(
    ("annotated", "detected", "expected"),
    [
        ([], [], []),
        ([1.0], [], [-1]),
        ([], [1.0], []),
        ([1.0], [1.15], [0]),
        ([1.0], [1.16], [-1]),
        ([1.0], [0.9, 1.05], [1]),
        ([1.0, 1.2], [1.09], [0, -1]),
        ([1.0, 1.2], [1.12], [-1, 0]),
        ([1.0, 1.2], [0.95, 1.04], [1, -1]),
        ([1.0, 2.0], [2.05, 3.0], [-1, 0]),
    ],
)
def test_small_cases_are_matched_as_by_hand(annotated: list[float], detected: list[float], expected: list[int]) -> None:
    of_beat, of_found = match(np.array(annotated), np.array(detected), 0.1500001)
    assert of_beat.tolist() == expected
    assert [of_found[k] for k in of_beat if k >= 0] == [i for i, k in enumerate(expected) if k >= 0]


times = st.lists(st.integers(0, 60), max_size=6, unique=True).map(sorted)


@given(times, times, st.integers(0, 10))
def test_the_matcher_takes_the_nearest_pairs_one_to_one(annotated: list[int], detected: list[int], window: int) -> None:
    of_beat, of_found = match(np.array(annotated, float), np.array(detected, float), float(window))
    pairs = {(i, int(k)) for i, k in enumerate(of_beat) if k >= 0}
    assert pairs == {(int(i), k) for k, i in enumerate(of_found) if i >= 0}
    possible = {
        (i, k)
        for i, k in itertools.product(range(len(annotated)), range(len(detected)))
        if abs(annotated[i] - detected[k]) <= window
    }
    assert pairs <= possible
    assert len({i for i, _ in pairs}) == len({k for _, k in pairs}) == len(pairs)
    for i, k in possible - pairs:  # whoever is left out was nearer to nobody than his rival
        rivals = [pair for pair in pairs if pair[0] == i or pair[1] == k]
        assert rivals
        assert min(abs(annotated[a] - detected[b]) for a, b in rivals) <= abs(annotated[i] - detected[k])


def test_learning_and_fibrillation_are_not_counted() -> None:
    beats = [10.0, 299.0, 301.0, 302.0, 320.0, 330.0, 350.0]
    scored = score(recording(beats, [(315.0, 325.0)]), detections([11.0, 299.0, 301.01, 303.0, 318.0, 330.0, 350.02]))
    row = record_score(scored)
    assert (row.tp, row.fn, row.fp) == (3, 1, 1)
    assert row.se == 0.75
    assert row.ppv == 0.75
    np.testing.assert_allclose(scored.error_ms, [10.0, 0.0, 20.0], atol=1e-6)
    assert row.bias_ms == pytest.approx(10.0)


def test_a_match_across_the_edge_of_learning_is_no_false_beat() -> None:
    row = of(recording([299.95, 310.0]), detections([300.02, 310.0]))
    assert (row.tp, row.fn, row.fp) == (1, 0, 0)


def test_nothing_to_find_is_not_a_number_and_null_in_json() -> None:
    row = of(recording([10.0]), detections([]))
    assert np.isnan(row.se)
    assert np.isnan(summary([]).gross.f1)
    assert json.loads(msgspec.json.encode(row))["se"] is None


def test_noisy_and_clean_parts_are_counted_apart() -> None:
    beats = recording([301.0, 310.0, 319.0, 330.0, 350.0])
    found = detections([301.0, 310.0, 312.0, 330.0])
    noisy, clean, whole = (score(beats, found, part) for part in ("noisy", "clean", "all"))
    assert (noisy.tp, noisy.fn, noisy.fp) == (2, 1, 1)
    assert (clean.tp, clean.fn, clean.fp) == (1, 1, 0)
    assert (whole.tp, whole.fn, whole.fp) == (3, 2, 1)


def test_the_worst_ten_seconds_and_the_good_beats_are_told() -> None:
    scored = score(recording([301.0, 302.0, 315.0, 316.0, 330.0]), detections([301.0, 302.0, 315.0, 317.0]))
    assert record_score(scored).f1_worst_10s == 0.0
    told = summary([scored])
    assert told.windows.n == 3
    assert told.windows.perfect == pytest.approx(1 / 3)
    assert (told.good.share, told.good.ppv, told.good.holding) == (1.0, 0.75, 0.6)
    unsure = summary([score(recording([301.0]), detections([301.0], quality=0.0))])
    assert unsure.good.share == unsure.good.holding == 0.0
    assert np.isnan(unsure.good.ppv)


def test_confidence_comes_from_drawing_whole_records() -> None:
    right, wrong = recording([301.0, 302.0]), recording([305.0])
    scored = [score(right, detections([301.0, 302.0])), score(wrong, detections([310.0]))]
    told = summary(scored)
    assert told.gross.f1_95 == (0.0, 1.0)
    assert told.average.se == 0.5
    assert told.gross.se == pytest.approx(2 / 3)


def test_a_search_back_is_held_against_the_rhythm_before_it() -> None:
    at = np.array([1.0, 2.0, 3.0, 5.0, 6.0])
    assert rhythm_before(at, at == 5.0).tolist() == [1.0]
    assert np.isnan(rhythm_before(at, at == 1.0)).all()


def test_a_row_does_not_depend_on_the_other_records() -> None:
    short, long = lead(np.arange(0.5, 60.0, 0.8), 60.0), lead(np.arange(0.7, 90.0, 0.7), 90.0)
    (alone,) = detect([short[None]], float(RATE))
    together = detect([long[None], short[None]], float(RATE))[1]
    np.testing.assert_array_equal(together.at, alone.at)
    assert len(alone.at) >= 70
    assert alone.at[-1] > 59.2 * RATE  # a beat just before the end is decided after it


def test_a_folder_of_records_gives_a_report(tmp_path: Path) -> None:
    beats = np.arange(0.5, 329.9, 0.8)
    marks = [(float(at), "N") for at in beats]
    write_record(tmp_path, "b", lead(beats, 330.0), [(0.1, "+"), *marks[:-5], *((at, "/") for at, _ in marks[-5:])])
    write_record(tmp_path, "a", lead(beats, 320.0), [mark for mark in marks if mark[0] < 320.0])
    told: list[str] = []
    report = evaluate(Request(tmp_path), told.append)
    assert report.records == ("a", "b")
    assert [row.paced for row in report.per_record] == [False, True]
    assert report.gross.f1 == 1.0
    assert report.nonpaced.records == 1
    assert report.gross.tp == int((beats >= 300).sum() + ((beats >= 300) & (beats < 320)).sum())
    assert abs(report.gross.bias_ms) < 3.0
    assert report.decision_s_max < 0.3
    assert told
    assert measure(tmp_path, ("b",)).records == ("b",)
    body = json.loads(msgspec.json.encode(report))
    assert body["task"] == "beats"
    assert {"rule", "records", "gross", "average", "nonpaced", "per_record", "cpu_s_per_hour", "algorithm"} <= set(body)
    assert set(body["per_record"][0]) >= {"record", "paced", "tp", "fn", "fp", "se", "ppv", "f1", "searched_back"}
    assert "without paced (1)" in as_text(report)
    assert body["halves"][0]["records"] == 1
    with pytest.raises(EvaluateError, match=r"record a .*has 1 lead, need 2"):
        evaluate(Request(tmp_path, leads=2), lambda _: None)


def test_flutter_segments_and_missing_samples_are_read(tmp_path: Path) -> None:
    x = lead(np.arange(0.5, 20.0, 0.8), 20.0)
    x[100:200] = np.nan
    write_record(tmp_path, "r", x, [(0.5, "N"), (5.0, "["), (5.2, "!"), (7.0, "]"), (8.5, "V"), (15.0, "[")])
    got = read(tmp_path, "r")
    np.testing.assert_allclose(got.fibrillation / RATE, [[5.0, 7.0], [15.0, 20.0]])
    np.testing.assert_allclose(got.beats / RATE, [0.5, 8.5])
    assert np.isfinite(got.signal).all()
    assert np.all(got.signal[100:200] == got.signal[99])


def test_what_cannot_be_evaluated_is_said(tmp_path: Path) -> None:
    with pytest.raises(EvaluateError, match=r"there is no folder .*nowhere"):
        measure(tmp_path / "nowhere")
    with pytest.raises(EvaluateError, match="holds no WFDB record"):
        measure(tmp_path)
    write_record(tmp_path, "good", lead(np.arange(0.5, 5.0, 0.8), 5.0), [(0.5, "N")])
    with pytest.raises(EvaluateError, match=r"no annotated record 'bad'.*there are good"):
        measure(tmp_path, ("bad",))
    with pytest.raises(EvaluateError, match="no record was named"):
        measure(tmp_path, ())
    write_record(tmp_path, "rhythm", lead(np.arange(0.5, 5.0, 0.8), 5.0), [(0.5, "+")])
    with pytest.raises(EvaluateError, match=r"rhythm .*has no beat annotations"):
        measure(tmp_path, ("rhythm",))
    write_record(tmp_path, "slow", lead(np.arange(0.5, 5.0, 0.8), 5.0), [(0.5, "N")], rate_hz=50)
    with pytest.raises(EvaluateError, match=r"sampled at 50 Hz: need 100 <= rate_hz"):
        measure(tmp_path, ("slow",))
    (tmp_path / "good.dat").unlink()
    with pytest.raises(EvaluateError, match=r"record good .*cannot be read"):
        measure(tmp_path, ("good",))


@pytest.mark.parametrize("damage", ["hea", "dat", "atr"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x17rubbish", b"good 1 x y\n"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str, content: bytes) -> None:
    write_record(tmp_path, "good", lead(np.arange(0.5, 5.0, 0.8), 5.0), [(0.5, "N"), (1.3, "N")])
    (tmp_path / f"good.{damage}").write_bytes(content)
    with pytest.raises(EvaluateError, match="good"):
        measure(tmp_path, ("good",))
