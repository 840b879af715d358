"""What other limits would have done: a journal is played again, and what is missed or spared is told."""

import threading
from pathlib import Path
from typing import NamedTuple

import pytest
from commandline import Run, command_line, refused

from dataflows.body import encode
from dataflows.limits import DEFAULTS, HIGH, HR, InForce
from dataflows.store import Store
from deploy.evaluate.played import T0_NS, records_of
from deploy.other_limits import Change, in_force, parse_delay, parse_limit
from deploy.problem import UserError
from deploy.replay import replay
from deploy.truth import Truth, gather
from deploy.what_if import WhatIf, play, what_if
from device_sim.fleet import FleetOptions
from device_sim.truth import TruthLine, encode_line
from ingest.journal import Journal, RecordKind

SCENARIO = """
about = "Two hearts race: one a little, one much."
[[patients]]
rhythms = [{ rhythm = "tachycardia", from_s = 10.0, for_s = 18.0, rate_bpm = 148.0, ramp_s = 3.0 }]
[[patients]]
rhythms = [{ rhythm = "tachycardia", from_s = 10.0, for_s = 18.0, rate_bpm = 172.0, ramp_s = 3.0 }]
"""


class Recorded(NamedTuple):
    journal: Path
    truth: Truth
    truth_file: Path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "scenario.toml").write_text(SCENARIO)
    options = FleetOptions(patients=2, scenario=str(folder / "scenario.toml"), seconds=32.0)
    lines: list[TruthLine] = []
    now = [T0_NS]
    with Journal(folder / "journal", now_ns=lambda: now[0]) as journal:
        for records in records_of(options, lines):
            if records:
                now[0] = records[0].arrival_ns
                journal.append([(RecordKind(record.kind), record.topic, record.payload) for record in records])
    (folder / "truth.jsonl").write_bytes(b"\n".join(map(encode_line, lines)))
    return Recorded(folder / "journal", gather(lines), folder / "truth.jsonl")


def asked(recorded: Recorded, limit: str, truth: Truth) -> WhatIf:
    return what_if(recorded.journal, [parse_limit(limit)], [], truth, lambda _: None, threading.Event())


def test_with_nothing_changed_the_alarms_are_those_of_the_flow(recorded: Recorded, tmp_path: Path) -> None:
    replay(recorded.journal, tmp_path / "again", 4, lambda _: None, threading.Event())
    with Store(tmp_path / "again" / "main" / "store.sqlite", readonly=True) as store:
        flow = {event.key: encode(event) for one in store.alarms() for event in store.history(one.id)}
    assert flow
    played = play(recorded.journal, (), (), lambda _: None, threading.Event())
    assert {event.key: encode(event) for event in played} == flow


def test_a_limit_that_is_higher_spares_an_alarm_and_says_what_it_misses(recorded: Recorded) -> None:
    found = asked(recorded, "hr-high=+15", truth=recorded.truth)
    (racing,) = [one for one in found.by_condition if one.condition == "extreme-tachycardia"]
    assert (racing.before, racing.after, racing.fewer) == (2, 1, 0.5)
    assert (racing.labelled, racing.missed) == (2, 1)
    assert found.says.startswith("hr-high 15 higher: 50 % fewer alarms of extreme-tachycardia, ")
    assert "1 of the 2 labelled events missed" in found.says
    (said,) = found.missed
    assert said.startswith("extreme-tachycardia of ")


def test_a_limit_that_changes_nothing_misses_nothing(recorded: Recorded) -> None:
    assert "none of the 2 labelled events missed" in asked(recorded, "hr-high=+1", truth=recorded.truth).says


def test_a_relative_limit_moves_a_patients_own_and_an_absolute_one_only_the_default() -> None:
    own: InForce = in_force([Change("hr-high", 10.0, relative=True)])
    own.set("p1", {"hr": (None, 150.0)})
    assert own.of(["p1", "p2"])[:, HR, HIGH].tolist() == [160.0, DEFAULTS[HR, HIGH] + 10.0]
    fixed = in_force([Change("hr-high", 120.0, relative=False)])
    fixed.set("p1", {"hr": (None, 150.0)})
    assert fixed.of(["p1", "p2"])[:, HR, HIGH].tolist() == [150.0, 120.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hr=5", "need one of hr-low"),
        ("spo2-high=+1", "need one of"),
        ("hr-high", "need NAME="),
        ("x-low=+1", "one of"),
    ],
)
def test_a_limit_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_limit(text)


def test_limits_that_cross_and_delays_below_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="need low < high"):
        in_force([parse_limit("hr-low=150")])
    with pytest.raises(UserError, match="none is below 0"):
        parse_delay("asystole=-1")
    with pytest.raises(UserError, match="need a condition"):
        parse_delay("hiccup=1")


def test_the_command_compares(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recorded: Recorded
) -> None:
    femtoward: Run = command_line(monkeypatch, capsys)
    delayed = ("--delay", "extreme-tachycardia=+300", "--truth", recorded.truth_file)
    outcome = femtoward("alarms", "what-if", recorded.journal, *delayed, "--json")
    total = outcome.json["total"]
    assert (outcome.status, total["before"] - total["after"], total["missed"]) == (1, 2, 2)
    assert outcome.json["delays"] == ["extreme-tachycardia 300 higher"]
    refused(femtoward("alarms", "what-if", recorded.journal), "nothing is to be changed")
