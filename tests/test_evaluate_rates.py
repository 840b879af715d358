"""Tasks `rates` and `vitals`: what is stated holds on a few simulated hearts, and mistakes are told."""

from pathlib import Path

import msgspec
import pytest

from deploy.evaluate import rates, vitals
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request


def test_rates_of_a_good_sensor_are_there_and_within_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SECONDS", 40.0)
    monkeypatch.setattr(rates, "SEEDS", (3,))
    monkeypatch.setattr(rates, "HEARTS", rates.HEARTS[:2])
    report = rates.evaluate(Request(Path(), ("serf-room",)), lambda _: None)
    [row] = report.per_record
    assert row.seconds == report.gross.seconds > 40
    assert row.missing <= 0.01
    assert row.coverage >= 0.9
    assert row.error_bpm_p95 < 0.1
    assert msgspec.json.decode(msgspec.json.encode(report))["task"] == "rates"
    assert "serf-room" in rates.as_text(report)


def test_vitals_of_a_good_sensor_are_there_and_within_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SECONDS", 64.0)
    monkeypatch.setattr(rates, "SEEDS", (3,))
    monkeypatch.setattr(rates, "HEARTS", rates.HEARTS[:2])
    report = vitals.evaluate(Request(Path(), ("reference",)), lambda _: None)
    resp, qt, transit = report.per_record
    assert [row.vital for row in report.gross] == ["resp", "qt", "transit"]
    assert qt.seconds == transit.seconds > 90
    assert min(qt.told, transit.told) > 0.9
    assert resp.told > 0.5
    assert abs(qt.bias) < 8.0
    assert abs(transit.bias) < 6.0
    assert qt.spread < 4.0
    assert min(qt.coverage, transit.coverage, resp.coverage) > 0.8
    assert msgspec.json.decode(msgspec.json.encode(report))["task"] == "vitals"
    assert "transit ms" in vitals.as_text(report)


def test_a_wearable_that_measures_no_heart_is_refused() -> None:
    with pytest.raises(EvaluateError, match="no wearable 'meg-cap' measures a heart"):
        rates.evaluate(Request(Path(), ("meg-cap",)), lambda _: None)
