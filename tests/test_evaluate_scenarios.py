"""`femtoward evaluate scenarios`: the flow on simulated wards, held to the truth, and what has no detector is said."""

import json
from pathlib import Path

from commandline import Run, refused

from dataflows.rules import RULES
from deploy.evaluate import scenarios
from deploy.evaluate.request import Request

SCENARIO = """
about = "one heart stops for a while, one beats and moves nothing"
seconds = 45.0
[[patients]]
rhythms = [{ rhythm = "asystole", from_s = 16.0, for_s = 10.0 }]
[[patients]]
rhythms = [{ rhythm = "pulseless", from_s = 10.0, for_s = 20.0 }]
"""


def test_what_was_due_is_counted_by_condition_and_no_detector_is_no_miss(femtoward: Run, tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(SCENARIO)
    told: list[str] = []
    report = scenarios.evaluate(Request(Path(), (str(path),)), told.append)
    assert told == [f"{path}: 2 patients for 45 s"]
    (row,) = report.per_record
    assert (row.required, row.found, row.false, row.due, row.due_found) == (1, 1, 0, 1, 1)
    known = {rule.condition for rule in RULES}
    assert row.undetected == ("pulseless" not in known)
    by_condition = {one.condition: one for one in report.per_condition}
    assert by_condition["asystole"].found == by_condition["asystole"].due == 1
    assert by_condition["pulseless"].due == 1
    assert report.gross.due_se == report.average.due_se == 1.0
    assert report.gross.hr > 0.99
    said = scenarios.as_text(report)
    assert "asystole" in said
    assert ("no detector yet" in said) == ("pulseless" not in known)
    refused(femtoward("evaluate", "scenarios", "--records", "wrad"), "scenario 'wrad' is unknown: allowed are apnoea")
    refused(femtoward("evaluate", "scenarios", str(tmp_path)), "simulates what it measures: leave")


def test_the_report_is_one_json_object(femtoward: Run, tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text('about = "nothing"\nseconds = 5.0\n[[patients]]\n')
    outcome = femtoward("evaluate", "scenarios", "--records", str(path), "--json")
    assert outcome.status == 0, outcome.err
    said = json.loads(outcome.out)
    assert (said["task"], said["records"], said["simulated"]) == ("scenarios", [str(path)], True)
    assert (said["gross"]["required"], said["gross"]["se"], said["gross"]["false"]) == (0, None, 0)
