"""A patient's own limits: within bounds, in force until the patient leaves, and kept whatever is restarted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import command_line, refused
from numpy.testing import assert_array_equal
from shards import canonical, items_of, of, one_patient, rows_of, told
from test_ventricular_alarms import NOW, pulse, second_of
from wire import Tape, beating, birth_of, packets, played

import deploy.alarms
from anomaly.deterioration import QUIET
from dataflows import estimates, findings, fusion
from dataflows.alarms import Evidence
from dataflows.breathing import Breath
from dataflows.courses import Course
from dataflows.events import AlarmEvent, Answer, Condition, PatientInfo
from dataflows.fold import Fold
from dataflows.items import Limited
from dataflows.limits import DEFAULTS, VITALS, InForce, defaults
from dataflows.rows import Made
from dataflows.rules import COLUMN, RULES
from dataflows.shard import Shard
from dataflows.slow_vitals import nothing_told
from dataflows.store import Store
from ingest.command import Command, Discharge, SetLimits
from ingest.limits import LIMITS
from ingest.registry import Registry

RULE = {rule.condition: rule for rule in RULES}


def known(second: estimates.Second, limits: Any = None, **breath: Any) -> Evidence:  # noqa: ANN401 - columns of any type
    """What is true of one patient whose breath is as named."""
    nan, zero, no = np.full(1, np.nan), np.zeros(1, np.int64), np.zeros(1, np.bool_)
    course = Course(np.full(1, QUIET), zero, no, zero, nan, nan, nan)
    breathes = Breath(nan, nan, np.zeros(1), zero, zero, nan, zero, no)._replace(**breath)
    made = Made(fusion.fused(second), breathes, course, nothing_told(1))
    return findings.evidence(second, made, defaults(1) if limits is None else limits, np.array([NOW]))


def truth(evidence: Evidence, condition: Condition) -> int:
    return int(evidence.truth[0, COLUMN[condition]])


def test_each_limit_has_a_rule_whose_default_lies_within_its_bounds_and_low_ones_below_high_ones() -> None:
    names: dict[str, tuple[Condition, Condition]] = {
        "hr": ("extreme-bradycardia", "extreme-tachycardia"),
        "resp": ("resp-low", "resp-high"),
        "spo2": ("spo2-low", "spo2-low"),
        "temp": ("temp-low", "temp-high"),
    }
    for vital, limits in LIMITS.items():
        for condition, edge in zip(names[vital], (limits.low, limits.high), strict=True):
            if edge is not None:
                assert edge.least <= edge.default <= edge.most
                assert RULE[condition].limit == edge.default
        if limits.low and limits.high:
            assert limits.low.most < limits.high.least


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("resp-low", 7.9, 1),
        ("resp-low", 8.5, -1),  # between the limit and where it is back: neither
        ("resp-low", 9.0, 0),
        ("resp-high", 30.5, 1),
        ("resp-high", 29.5, -1),
        ("resp-high", 20.0, 0),
        ("spo2-low", 89.0, 1),
        ("spo2-low", 90.5, -1),
        ("spo2-low", 97.0, 0),
        ("temp-low", 27.0, 1),
        ("temp-high", 38.5, 1),
        ("temp-high", 34.0, 0),
    ],
)
def test_a_vital_beyond_its_limit_is_true_and_false_only_well_within(
    condition: Condition, value: float, expected: int
) -> None:
    one, good = np.array([value]), np.ones(1)
    second = second_of({"spo2": one, "spo2_u": good, "spo2_quality": good})
    second = second._replace(thermal=second.thermal._replace(temp=one, present=np.array([True])))
    evidence = known(second, rate=one, u=good, quality=good)
    assert truth(evidence, condition) == expected
    column = COLUMN[condition]
    assert (evidence.value[0, column], evidence.limit[0, column]) == (value, RULE[condition].limit)


def test_a_vital_that_is_not_trusted_or_not_measured_neither_raises_nor_clears() -> None:
    low, bad, nothing = np.array([80.0]), np.array([0.3]), np.full(1, np.nan)
    for value, quality in ((low, bad), (nothing, np.ones(1))):
        second = second_of({"spo2": value, "spo2_quality": quality})
        evidence = known(second, rate=value, quality=quality)
        assert {truth(evidence, name) for name in ("spo2-low", "resp-low", "resp-high", "temp-low")} == {-1}
    moves = second_of({"spo2": low, "spo2_quality": np.ones(1)})
    moves = moves._replace(motion=moves.motion._replace(moving=np.array([True])))
    assert truth(known(moves), "spo2-low") == -1


def test_a_pulse_speaks_for_a_heart_of_which_nothing_is_known() -> None:
    for bpm, condition in ((35.0, "extreme-bradycardia"), (150.0, "extreme-tachycardia")):
        rate = np.array([bpm])
        counted = {"trust": np.ones(1), "slowest_bpm": rate, "fastest_bpm": rate}
        lost = second_of(pulse(bpm) | counted, present=np.zeros(1, np.bool_), asystole=np.array([-1]))
        evidence, column = known(lost), COLUMN[condition]
        assert evidence.truth[0, column] == 1
        assert evidence.value[0, column] == bpm
        assert "of the heart's own signal nothing is known" in RULES[column].reasons[evidence.why[0, column]]
        unsure = second_of(pulse(bpm) | counted | {"trust": np.array([0.5])}, present=np.zeros(1, np.bool_))
        assert known(unsure).truth[0, column] == -1


def test_limits_in_force_are_the_defaults_but_for_the_patients_own() -> None:
    limits = InForce()
    assert_array_equal(limits.of(["a", "b"]), np.stack([DEFAULTS, DEFAULTS]))
    limits.set("b", {"hr": (50.0, None)})
    assert limits.of(["a", "b"])[:, VITALS.index("hr")].tolist() == [[40.0, 140.0], [50.0, 140.0]]
    again = InForce()
    again.restore(limits.image())
    assert_array_equal(again.of(["b"]), limits.of(["b"]))
    limits.forget("b")
    assert_array_equal(limits.of(["b"]), defaults(1))


def tape(*commands: SetLimits) -> Tape:
    """A patient whose heart beats at 50 /min, with limits set before."""
    made = Tape()
    made.birth(birth_of("w1", "p1"))
    for command in commands:
        made.command(command)
    return played(made, [packets("w1", beating(16.0, 50.0))])


def answers(made: Tape) -> list[tuple[bool, str]]:
    rows = [content for shard, content in Fold(1).feed(made.records) if shard is None]
    return [(row.done, row.detail) for row in rows if isinstance(row, Answer)]


def test_a_limit_that_was_moved_raises_what_the_default_would_not() -> None:
    own = tape(SetLimits(id="c1", patient="p1", vital="hr", low=55.0))
    assert told(rows_of(tape())) == []
    (raised,) = of(AlarmEvent, rows_of(own))
    assert (raised.condition, raised.limit, raised.unit) == ("extreme-bradycardia", 55.0, "/min")
    assert answers(own) == [(True, "nurse: p1 has limits of hr 55 to 140 /min")]


def test_a_limit_outside_the_bounds_is_refused_and_changes_nothing() -> None:
    bad = tape(
        SetLimits(id="c1", patient="p1", vital="hr", low=75.0),
        SetLimits(id="c2", patient="nobody", vital="hr", low=45.0),
    )
    assert answers(bad) == [
        (False, "a low limit of 75 /min came for hr: need 30 to 60 /min, or none for the default of 40 /min"),
        (False, "nobody is not admitted here: no limits are kept of who is not"),
    ]
    assert told(rows_of(bad)) == []


def test_a_limit_goes_back_to_the_default_when_it_is_set_to_none() -> None:
    back = tape(SetLimits(id="c1", patient="p1", vital="hr", low=55.0), SetLimits(id="c2", patient="p1", vital="hr"))
    assert told(rows_of(back)) == []


def test_limits_outlive_every_restart_and_end_with_the_stay() -> None:
    own = tape(SetLimits(id="c1", patient="p1", vital="hr", low=55.0))
    own.command(Discharge(id="c2", patient="p1"))
    items = items_of(own)[0]
    whole = Shard().feed(items)
    for cut in (2, 4, len(items) // 2):  # before the limit came, after it, and in the middle
        first, second = Shard(), Shard()
        before = first.feed(items[:cut])
        assert second.restore(Shard.VERSION, first.image()) == []
        assert canonical([*before, *second.feed(items[cut:])]) == canonical(whole)
    shard = Shard()
    shard.feed(items)
    assert shard.limits.image() == {}
    fold = Fold(1)
    fold.feed(own.records[:3])
    again = Fold(1)
    again.restore(Fold.VERSION, fold.image())
    told_again = [content for _, content in again.feed(own.records[3:4])]
    assert [item.limits for item in told_again if isinstance(item, Limited)] == [{"hr": (55.0, None)}]


def test_a_registry_of_before_limits_is_read() -> None:
    registry = Registry()
    registry.apply_birth("s", birth_of("w1", "p1"))
    assert Registry.decode(registry.encode()).patients("s")[0].limits == {}


def test_limits_are_set_by_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Store(tmp_path / "main" / "store.sqlite") as store:
        store.put([PatientInfo("north", "p1", "bed-1", ("w1",), True, 1)])
    given: list[Command] = []

    def give(_settings: object, site: str, actor: str, command: Command) -> Answer:
        given.append(command)
        return Answer(site, command.id, actor, done=True, detail="so be it", arrival_ns=1)

    monkeypatch.setattr(deploy.alarms, "give", give)
    femtoward = command_line(monkeypatch, capsys)
    outcome = femtoward("alarms", "limits", "p1", "hr", "--low", "45", "--data-dir", tmp_path, "--json")
    assert (outcome.status, outcome.json["detail"]) == (0, "so be it")
    (command,) = given
    assert isinstance(command, SetLimits)
    assert (command.patient, command.vital, command.low, command.high) == ("p1", "hr", 45.0, None)
    where = ("--data-dir", tmp_path)
    refused(femtoward("alarms", "limits", "p9", "hr", *where), "no patients are called 'p9'")
    refused(femtoward("alarms", "limits", "p1", "hr", "--low", "150", "--high", "50", *where), "need low < high=50")


def test_a_steady_heart_within_its_limits_raises_nothing() -> None:
    assert told(rows_of(one_patient(beating(16.0, 70.0)))) == []
