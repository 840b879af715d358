"""Recorded noise in `femtoward evaluate beats`: how much of it, where, and what is counted."""

import json
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from test_evaluate import lead, write_record

from deploy.evaluate.beats import as_text, evaluate
from deploy.evaluate.noise import Noise, add, noise_size, qrs_size, read_noise
from deploy.evaluate.records import EvaluateError, Recording, read
from deploy.evaluate.request import Request

Array = NDArray[np.float64]
RATE = 250


def recorded(seconds: float = 700.0, leads: int = 2) -> Recording:
    """A recording of two leads, the second of half the height."""
    beats = np.arange(0.5, seconds - 0.6, 0.8)
    x = lead(beats, seconds)
    return Recording(
        name="made",
        rate_hz=float(RATE),
        leads=np.stack([x / (k + 1) for k in range(leads)]),
        beats=beats * RATE,
        symbols=np.where(np.arange(len(beats)) % 5 == 0, "V", "N"),
        fibrillation=np.zeros((0, 2)),
        noisy=np.zeros((0, 2)),
        paced=False,
    )


def white(snr_db: float, seed: int = 0, rate_hz: float = RATE, leads: int = 1) -> Noise:
    """Ten minutes of noise."""
    x = 7.0 + 3.0 * np.random.default_rng(5).standard_normal((leads, round(600 * rate_hz)))
    return Noise("white", rate_hz, x, snr_db, seed)


@pytest.mark.parametrize("snr_db", [-6.0, 0.0, 12.0])
@pytest.mark.parametrize("rate_hz", [RATE, 360.0])
def test_noise_has_the_ratio_asked_for_in_each_lead(snr_db: float, rate_hz: float) -> None:
    clean = recorded()
    mixed = add(white(snr_db, rate_hz=rate_hz), clean)
    for k in range(2):
        added = (mixed.leads - clean.leads)[k, 300 * RATE : 420 * RATE]
        got = 20.0 * np.log10(qrs_size(clean, k) / np.sqrt(8.0) / noise_size(added, RATE))
        assert got == pytest.approx(snr_db, abs=0.1)


def test_noise_lies_in_two_of_four_minutes_after_five_and_begins_without_a_step() -> None:
    clean = recorded()
    mixed = add(white(0.0), clean)
    np.testing.assert_array_equal(mixed.noisy / RATE, [[300.0, 420.0], [540.0, 660.0]])
    added = mixed.leads - clean.leads
    for start, end in ((0, 300), (420, 540), (660, 700)):
        assert np.ptp(added[:, start * RATE : end * RATE], axis=-1).max() < 1e-9
    walk = Noise("walk", float(RATE), np.cumsum(white(0.0).leads - 7.0, axis=-1), 0.0)
    steps = np.abs(np.diff(add(walk, clean).leads - clean.leads, axis=-1))
    assert steps.max() <= 2.0 * steps[:, 301 * RATE : 419 * RATE].max()


def test_the_seed_draws_where_noise_begins_for_each_record() -> None:
    clean = recorded(360.0)
    first, again, other = (add(white(0.0, seed), clean).leads for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    renamed = add(white(0.0, 1), clean._replace(name="another")).leads
    assert np.abs(first - renamed).max() > 0.1


def test_leads_share_the_noises_that_there_are() -> None:
    clean = recorded(360.0, leads=3)
    added = add(white(0.0, leads=2), clean).leads - clean.leads
    size = [qrs_size(clean, k) for k in range(3)]
    np.testing.assert_allclose(added[2] / size[2], added[0] / size[0], atol=1e-9)
    rises = np.diff(added[:2], axis=-1)
    assert abs((rises[0] * rises[1]).mean()) < 0.1 * rises[0].std() * rises[1].std()


def test_a_size_is_that_of_normal_beats() -> None:
    clean = recorded()
    large = clean.leads.copy()
    for at in clean.beats[::5].astype(int):
        large[:, at - 5 : at + 5] *= 10.0
    assert qrs_size(clean._replace(leads=large), 0) == pytest.approx(qrs_size(clean, 0), rel=0.02)


def test_what_cannot_be_mixed_is_said(tmp_path: Path) -> None:
    with pytest.raises(EvaluateError, match=r"no noise record .*nowhere"):
        read_noise(tmp_path / "nowhere", 0.0, 0)
    with pytest.raises(EvaluateError, match="flat lead"):
        add(Noise("flat", float(RATE), np.ones((1, 1000 * RATE)), 0.0), recorded())
    with pytest.raises(EvaluateError, match="no normal beat"):
        add(white(0.0), recorded()._replace(symbols=np.full(len(recorded().beats), "V")))


def test_a_report_in_noise_counts_the_noisy_parts_and_the_others_beside_them(tmp_path: Path) -> None:
    beats = np.arange(0.5, 479.0, 0.8)
    x = lead(beats, 480.0)
    records, noises = tmp_path / "records", tmp_path / "noises"
    records.mkdir()
    noises.mkdir()
    write_record(records, "a", np.stack([x, 0.5 * x]), [(float(at), "N") for at in beats])
    write_record(noises, "hiss", white(0.0, leads=2).leads[:, : 400 * RATE], [(0.5, "N")])
    request = Request(records, leads=2, noise=noises / "hiss", snr_db=24.0, seed=3)
    report = evaluate(request, lambda _: None)
    assert report.gross.tp + report.gross.fn == int(((beats >= 300) & (beats < 420)).sum())
    assert report.clean_parts is not None
    assert report.clean_parts.gross.tp == int((beats >= 420).sum())
    assert report.gross.f1 > 0.99
    body = json.loads(msgspec.json.encode(report))
    assert body["noise"] == {"record": "hiss", "snr_db": 24.0, "seed": 3}
    assert body["leads"] == 2
    said = as_text(report)
    assert "noise hiss at 24 dB, seed 3" in said
    assert "clean parts (1)" in said


def test_a_record_that_the_stress_test_made_knows_its_noisy_parts(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        write_record(tmp_path, "made", lead(np.arange(0.5, 439.0, 0.8), 440.0), [(0.5, "N")])
    assert len(read(tmp_path, "made").noisy) == 0
    header = tmp_path / "made.hea"
    header.write_text(header.read_text() + "# Created by `nst' from records 1 and em (SNR = 0 dB)\n")
    np.testing.assert_array_equal(read(tmp_path, "made").noisy / RATE, [[300.0, 420.0]])
