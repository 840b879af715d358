"""What each panel reads of InfluxDB at each refresh with 1,000 patients, worked out of its queries, and bounded."""

import re
from typing import Any

import pytest
from board_queries import boards, panels

PATIENTS = 1000  # in one ward, the worst case
DEVICES = 1.5 * PATIENTS
ALARMS = 100  # of a patient in a day, each raised, acknowledged and over
DAY_S = 86_400
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": DAY_S}
# Points a second of all patients.
RATES = {
    "vitals": PATIENTS * 1.0,
    "vitals_1m": PATIENTS / 60,
    "vitals_1h": PATIENTS / 3600,
    "wave": PATIENTS * 25.0,
    "alarm": PATIENTS * ALARMS * 3 / DAY_S,
    "strip": PATIENTS * ALARMS * 1250 / DAY_S,
    "bed": PATIENTS * (24 + 2 * ALARMS) / DAY_S,
    "device": DEVICES / 2,
    "ledger": DEVICES / 3600,
    "process": 4 / 10,
    "receipt": PATIENTS * ALARMS * 3 * 4 / DAY_S,  # two receivers, each event queued and delivered
    "pipeline": 1.0,
    "removal": 0.01,
}
# Series of which the newest point is sought; in parts, as the cardinality page supposes them.
SERIES = {
    "vitals": 1.2 * PATIENTS,
    "bed": 1.2 * PATIENTS,
    "alarm": 12 * 1.2 * PATIENTS,
    "device": 1.5 * DEVICES,
    "process": 4.0,
}
USUAL = 50_000  # points of a panel at each refresh
# What may read more, and why it must.
MORE = {
    ("femtoward-ward", "Heart rates"): 70_000,  # a line a patient, by the minute
    ("femtoward-ward", "Signal qualities"): 70_000,
    ("femtoward-alarms", "Alarm log"): 310_000,  # an upper bound: it stops at 500 rows
    ("femtoward-alarms", "Alarms per patient and day"): 1_800_000,  # closed at first
    ("femtoward-alarms", "Alarms raised"): 310_000,
    ("femtoward-alarms", "Time until acknowledged"): 310_000,
    ("femtoward-alarms", "Most frequent"): 310_000,
    ("femtoward-alarms", "What became of what receivers were told"): 1_300_000,  # closed at first
    # Closed at first: every event of a day or of a month, for whoever asks what alarms cost people.
    ("femtoward-alarms", "What people did and said"): 310_000,
    ("femtoward-alarms", "What became of alarms"): 1_600_000,
    ("femtoward-alarms", "Shares"): 1_300_000,
    ("femtoward-alarms", "How long alarms take"): 310_000,
    # A technician's, once a minute: every word of every device of the last hour.
    **{
        ("femtoward-devices", title): 2_800_000
        for title in (
            "States",
            "Locks",
            "Faults",
            "Noise floor",
            "Noise floor over the declared one",
            "Clocks",
            "Drift of the clocks",
        )
    },
}
PANELS = [(board, panel) for board in boards() for panel in panels(board)]
OPEN_PER_S = 100_000  # points a second that one viewer of a dashboard costs, what is closed at first left aside


def lasting_s(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS_S[unit]


def points(board: dict[str, Any], panel: dict[str, Any]) -> float:
    """Points that the queries of a panel read at one refresh."""
    shown_s = lasting_s(panel.get("timeFrom") or board["time"]["from"].removeprefix("now-"))
    of_one = board["uid"] == "femtoward-patient"  # site and patient are single choices
    total = 0.0
    for target in panel["targets"]:
        # Innermost statements: what they say, whom they ask, from when on, in which steps.
        for said, measurement, where in re.findall(
            r'SELECT ((?:(?!SELECT).)*?) FROM "\w+"\."(\w+)"((?:(?!SELECT).)*)', target.get("query", "")
        ):
            span = re.search(r"now\(\) - (\w+)", where)
            span_s = lasting_s(span[1]) if span else shown_s
            newest = said.startswith("last(") and "time(" not in where
            read = SERIES[measurement] if newest else RATES[measurement] * span_s
            total += read / PATIENTS if of_one and measurement in SERIES | RATES else read
    return total


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=lambda one: one.get("uid") or one["title"])
def test_no_panel_reads_more_than_is_stated_with_a_thousand_patients(
    board: dict[str, Any], panel: dict[str, Any]
) -> None:
    reads = points(board, panel)
    assert 0 < reads <= MORE.get((board["uid"], panel["title"]), USUAL), f"{panel['title']} reads {reads:,.0f} points"


@pytest.mark.parametrize("board", boards(), ids=lambda board: board["uid"])
def test_a_dashboard_that_is_looked_at_costs_what_is_stated(board: dict[str, Any]) -> None:
    seen = [panel for panel in board["panels"] if panel["type"] != "row"]
    reads = sum(points(board, panel) for panel in seen) / lasting_s(board["refresh"])
    assert reads <= OPEN_PER_S * (3.5 if board["uid"] == "femtoward-devices" else 1), f"{reads:,.0f} points a second"


def test_the_sums_are_those_that_a_hand_works_out() -> None:
    ward = next(board for board in boards() if board["uid"] == "femtoward-ward")
    trend = next(panel for panel in ward["panels"] if panel["title"] == "Heart rates")
    assert points(ward, trend) == pytest.approx(PATIENTS * 60)
    assert points({**ward, "time": {"from": "now-24h"}}, trend) == pytest.approx(PATIENTS * 1440)
    raw = {"targets": [{"query": trend["targets"][0]["query"].replace("vitals_1m", "vitals")}]}
    assert points(ward, raw) == PATIENTS * 3600
