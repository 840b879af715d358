"""`femtoward evaluate faults`: faults are counted as named in time, false names and physiology as what they are."""

from pathlib import Path

import pytest

from dataflows.events import SECOND_NS
from deploy.evaluate import fault_names, faults
from deploy.evaluate.fault_scripts import KINDS, faults_of, ward
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request
from device_sim.events import ActivityEvent, FaultEvent
from device_sim.faults import FAULTS, FaultName
from device_sim.script import PatientScript
from device_sim.truth import FaultLine

SHORT: tuple[FaultName, ...] = ("packet-loss", "dead-channel", "battery-low")


def test_every_fault_has_a_name_and_every_ward_has_every_fault_of_its_devices() -> None:
    assert set(fault_names.MUST) == set(FAULTS)
    assert set(fault_names.MAY) <= set(FAULTS)
    scripts, seconds = ward(3, KINDS[:2])
    had = {(script.device, fault.fault) for script in scripts for fault in script.faults}
    assert had >= {(kind, fault) for kind in KINDS[:2] for fault in faults_of(kind)}
    assert all(event.to_s < seconds for script in scripts for event in script.events if event.for_s)
    assert scripts != ward(4, KINDS[:2])[0]
    assert "serf-open-ward" not in KINDS  # it can see nothing where it is


def test_a_small_ward_is_named_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(seed: int, _kinds: object, _turns: object) -> tuple[list[PatientScript], float]:
        scripts = [
            PatientScript(rate_bpm=60.0 + seed + k, faults=(FaultEvent(fault=name, from_s=18.0, for_s=8.0),))
            for k, name in enumerate(SHORT)
        ]
        sound = PatientScript(activities=(ActivityEvent(activity="walking", from_s=12.0, for_s=8.0),))
        return [*scripts, sound], 27.0

    monkeypatch.setattr(faults, "ward", small)
    report = faults.evaluate(Request(Path(), ("2",)), lambda _: None)
    assert report.gross.patient_days == pytest.approx(4 * 27.0 / 86_400.0)
    assert (report.gross.faults, report.gross.named) == (3, 3)
    assert (report.gross.false_names, report.gross.as_physiology, report.wrong, report.missed) == (0, 0, (), ())
    assert [(row.fault, row.name) for row in report.per_fault] == [
        ("battery-low", "battery-low"),
        ("dead-channel", "dead-channel"),
        ("packet-loss", "packets-lost"),
    ]
    assert all(0.0 < row.median_s <= row.latest_s < 5.0 for row in report.per_fault)
    assert report.simulated
    assert "3 of 3 named within 5 s: 100.00 %" in faults.as_text(report)


def test_what_is_told_late_or_of_nothing_is_counted_against_the_flow() -> None:
    fault = FaultLine(patient="p", device="d", fault="reboot", from_ns=0, to_ns=8 * SECOND_NS)
    told = [fault_names.Told(3 * SECOND_NS, "d", "silent"), fault_names.Told(14 * SECOND_NS, "d", "rebooted")]
    assert faults._named(fault, told) == [("silent", 3 * SECOND_NS), ("rebooted", 6 * SECOND_NS)]
    right = faults._right
    assert right(told[1], [fault], [])
    assert not right(told[1], [], [])
    assert not right(fault_names.Told(0, "d", "asystole", physiological=True), [fault], [])


def test_records_that_are_no_seeds_are_refused() -> None:
    with pytest.raises(EvaluateError, match="need seeds"):
        faults.evaluate(Request(Path(), ("one",)), lambda _: None)
