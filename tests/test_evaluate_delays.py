"""`femtoward evaluate delays`: what happens is timed from the truth, and what is not said is no delay but a miss."""

from pathlib import Path

import numpy as np
import pytest

from deploy.evaluate import delays
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request


def test_what_happens_to_each_is_timed_and_held_to_its_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    some = {"asystole", "extreme-tachycardia", "lost-contact"}
    monkeypatch.setattr(delays, "KINDS", tuple(kind for kind in delays.KINDS if kind.condition in some))
    monkeypatch.setattr(delays, "EACH", 1)
    monkeypatch.setattr(delays, "BEGIN_S", 9.0)
    monkeypatch.setattr(delays, "SECONDS", 24.0)
    told: list[str] = []
    report = delays.evaluate(Request(Path(), ("3",)), told.append)
    assert told == ["seed 3: 3 patients for 24 s"]
    by_name = {(row.condition, row.since): row for row in report.per_condition}
    for name in (
        ("asystole", "last beat"),
        ("extreme-tachycardia", "defining beat"),
        ("extreme-tachycardia", "onset"),
        ("lost-contact", "its 10 s"),
    ):
        row = by_name[name]
        assert (row.cases, row.missed, row.met) == (1, 0, True), name
        assert 0.0 < row.max_s <= row.goal_s
    assert "asystole" in delays.as_text(report)


def test_what_was_not_said_is_a_miss() -> None:
    row = delays._scored(delays.GOALS[0], [4.5, np.inf])
    assert (row.cases, row.missed, row.max_s, row.met) == (2, 1, 4.5, False)


def test_what_is_no_seed_is_refused() -> None:
    with pytest.raises(EvaluateError, match="need seeds, such as 1,2,3"):
        delays.evaluate(Request(Path(), ("ward",)), lambda _: None)
