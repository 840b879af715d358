"""Whether the dashboards say who is watched: what was told last is no word of now, and what is over does not stand."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import outgoing
import pytest
from board_queries import Asked, boards, filled, other_queries, panel_queries, panels
from influx_server import InfluxServer
from msgspec.structs import replace
from outgoing import NS

from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.events import AlarmEvent, AlarmState, Need, Row
from dataflows.store import Stored
from deploy.grafana.words import GOOD, QUIET
from deploy.provision import influx
from deploy.settings import Influx

NOW_S = int(time.time())
Cells = dict[str, Any]


class Watch(NamedTuple):
    """A server, and questions to it."""

    server: InfluxServer

    def write(self, rows: Sequence[Row]) -> None:
        courier = InfluxCourier(InfluxOptions(url=self.server.url, api="v1"))
        assert courier.deliver([Stored(number, row) for number, row in enumerate(rows, start=1)]) == []
        courier.close()

    def ask(self, asked: Asked, **chosen: str) -> list[Cells]:
        """Rows of an answer, with their tags."""
        return [
            {**one.get("tags", {}), **dict(zip(one["columns"], values, strict=True))}
            for one in self.server.query(filled(asked, chosen, NOW_S - 3600, NOW_S + 3600))
            for values in one["values"]
        ]


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        settings = Influx(url=server.url, api="v1")
        influx.apply(settings, influx.plan(settings))
        yield Watch(server)


def panel_of(board: str, title: str) -> tuple[dict[str, Any], dict[str, Asked]]:
    """A panel, and what it asks by its letters."""
    panel = next(one for b in boards() if b["uid"] == board for one in panels(b) if one["title"] == title)
    return panel, {one.letter: one for one in panel_queries() if (one.dashboard, one.panel) == (board, title)}


def alarm(step: int, state: AlarmState, *, evidence_s: float, arrival_s: float, id_: str = "a1") -> AlarmEvent:
    """A transition so many seconds after the beginning of a patient's story, which was two minutes ago."""
    begin_ns = (NOW_S - 120) * NS
    return replace(
        outgoing.alarm(id_, step, state),
        site="told",
        event_ns=begin_ns + round(evidence_s * NS),
        arrival_ns=begin_ns + round(arrival_s * NS),
        onset_ns=begin_ns + round(evidence_s * NS),
    )


def standing(watch: Watch, patient: str, rows: Sequence[AlarmEvent]) -> list[object]:
    watch.write([replace(row, patient=patient) for row in rows])
    _, asked = panel_of("femtoward-alarms", "Alarms now, and who acknowledged them")
    return [row["now"] for row in watch.ask(asked["A"], site="told", patient=patient)]


@pytest.mark.servers
def test_an_alarm_that_a_devices_queue_ended_does_not_stand_acknowledged(watch: Watch) -> None:
    """Silent for 8 s; acknowledged at 30.02 s; what was in its queue ends the asystole, by evidence of 28 s."""
    raised = alarm(0, "active", evidence_s=22.0, arrival_s=22.1)
    seen = alarm(1, "acknowledged", evidence_s=30.02, arrival_s=30.02)
    over = alarm(2, "ended", evidence_s=28.0, arrival_s=30.05)
    assert standing(watch, "queue", [raised, seen]) == ["acknowledged"]
    assert standing(watch, "queue", [raised, seen, over]) == []


@pytest.mark.servers
def test_an_alarm_out_of_a_queue_stands_though_its_evidence_is_older_than_the_arrival_of_an_end(watch: Watch) -> None:
    over = alarm(2, "ended", evidence_s=28.0, arrival_s=50.0)
    again = alarm(0, "active", evidence_s=40.0, arrival_s=50.1, id_="a2")
    assert standing(watch, "again", [over, again]) == ["active"]


@pytest.mark.servers
@pytest.mark.parametrize("arrival_s", [50.0, 60.0])
def test_of_what_one_message_brings_the_newest_evidence_counts(watch: Watch, arrival_s: float) -> None:
    """A gateway's bundle brings a quarter of a second and the next at one moment."""
    raised = alarm(0, "active", evidence_s=40.0, arrival_s=arrival_s)
    over = alarm(1, "ended", evidence_s=40.25, arrival_s=arrival_s)
    again = alarm(0, "active", evidence_s=40.5, arrival_s=arrival_s, id_="a2")
    assert standing(watch, f"bundle-{arrival_s:g}", [raised, over]) == []
    assert standing(watch, f"bundle-{arrival_s:g}", [raised, over, again]) == ["active"]


@pytest.mark.servers
def test_the_rows_of_the_log_are_in_the_order_in_which_the_ward_took_them_in(watch: Watch) -> None:
    rows = [
        alarm(0, "active", evidence_s=22.0, arrival_s=22.1),
        alarm(1, "acknowledged", evidence_s=30.02, arrival_s=30.02),
        alarm(2, "ended", evidence_s=28.0, arrival_s=30.05),
    ]
    watch.write([replace(row, patient="order") for row in rows])
    _, asked = panel_of("femtoward-alarms", "Alarm log")
    said = [row["state"] for row in watch.ask(asked["A"], site="told", patient="order")]
    assert said == ["ended", "acknowledged", "active"]


def needs(watch: Watch, title: str, site: str) -> dict[str, Cells]:
    """What a panel's column `need` says of each patient, as its transformations make it, and in which colour."""
    panel, asked = panel_of("femtoward-ward", title)
    options = next(one["options"] for one in panel["transformations"] if one["id"] == "calculateField")
    assert (options["mode"], options["alias"], options["reduce"]["reducer"]) == ("reduceRow", "need", "sum")
    merged: dict[str, Cells] = {}
    for letter in asked:
        for row in watch.ask(asked[letter], site=site):
            merged.setdefault(row["patient"], {}).update(row)
    shown = next(
        change["value"]
        for change in [
            {"id": "mappings", "value": panel["fieldConfig"]["defaults"].get("mappings")},
            *(one for over in panel["fieldConfig"]["overrides"] for one in over["properties"] if "need" in str(over)),
        ]
        if change["id"] == "mappings" and change["value"]
    )
    words: dict[str, Cells] = shown[0]["options"]
    sums = {who: sum(row.get(name) or 0.0 for name in options["reduce"]["include"]) for who, row in merged.items()}
    return {who: words[f"{need:g}"] | {"need": need} for who, need in sums.items()}


def lies(site: str, patient: str, need: Need, age_s: int, heard_s: int | None) -> list[Row]:
    """Somebody whose bed was told, and whose vitals came, so long ago."""
    bed = replace(outgoing.bed(patient, need, (NOW_S - age_s) * NS), site=site)
    return [bed] if heard_s is None else [bed, replace(outgoing.vitals(patient, NOW_S - heard_s), site=site)]


@pytest.mark.servers
@pytest.mark.parametrize("title", ["Greatest need now", "Beds, those in need first"])
def test_a_need_that_was_told_is_unknown_without_vitals_and_never_green(watch: Watch, title: str) -> None:
    ahead_s = -600  # of the clock: it must still be new when it is asked
    watch.write(
        [
            *lies("watched", "calm", 0, 300, ahead_s),
            *lies("watched", "silent", 0, 300, 60),
            *lies("watched", "never", 0, 300, None),
            *lies("watched", "seen", 3, 300, 60),
            *lies("watched", "dying", 6, 300, 60),
            *lies("watched", "high", 6, 300, ahead_s),
            replace(outgoing.vitals("stranger", NOW_S + 600), site="watched"),
        ]
    )
    said = needs(watch, title, "watched")
    assert (said["calm"]["text"], said["calm"]["color"]) == ("nothing", GOOD)
    assert said["high"]["text"] == "!!! HIGH"
    for who in ("silent", "never", "seen", "dying"):
        assert "? unknown" in said[who]["text"]
        assert said[who]["color"] != GOOD
    assert said["dying"]["text"].startswith("!!! HIGH")
    assert said["stranger"]["color"] == QUIET  # no bed of this name
    order = sorted(said, key=lambda who: -said[who]["need"])
    assert order == ["dying", "high", "seen", "never", "silent", "calm", "stranger"]


@pytest.mark.servers
@pytest.mark.parametrize(
    ("age_s", "words"),
    [(-600, "● now"), (20, "~ 10 to 30 s ago"), (120, "✗ 30 s to 5 min ago"), (1800, "✗ 5 min to 2 h ago")],
)
def test_the_age_of_the_newest_vitals_is_said_in_words(watch: Watch, age_s: int, words: str) -> None:
    site = f"age-{abs(age_s)}"
    second = int(time.time()) - age_s
    watch.write([replace(outgoing.vitals(second=second), site=site)])
    panel, asked = panel_of("femtoward-ward", "Newest vitals")
    [row] = watch.ask(asked["A"], site=site)
    shown = panel["fieldConfig"]["defaults"]["mappings"][0]["options"][f"{row['newest']}"]
    assert shown["text"] == words
    assert (shown["color"] == GOOD) is (age_s < 10)


@pytest.mark.servers
def test_where_no_vitals_came_for_hours_nobody_is_said_to_be_watched(watch: Watch) -> None:
    panel, asked = panel_of("femtoward-ward", "Newest vitals")
    watch.write([replace(outgoing.vitals(second=NOW_S - 9000), site="dead")])
    assert watch.ask(asked["A"], site="dead") == []
    assert "NOBODY IS WATCHED" in panel["fieldConfig"]["defaults"]["noValue"]


@pytest.mark.servers
def test_an_alarm_of_the_whole_ward_is_seen_whatever_is_chosen(watch: Watch) -> None:
    lost = replace(
        alarm(0, "active", evidence_s=60.0, arrival_s=60.0), site="*", patient="ward", condition="broker-lost"
    )
    watch.write([lost])
    for board, title in (
        ("femtoward-ward", "Whole ward"),
        ("femtoward-alarms", "Alarms now, and who acknowledged them"),
        ("femtoward-alarms", "Alarm log"),
        ("femtoward-alarms", "Most frequent"),
        ("femtoward-patient", "Alarm log"),
    ):
        _, asked = panel_of(board, title)
        conditions = {row["condition"] for row in watch.ask(asked["A"], site="told", ward="icu", patient="p1")}
        assert "broker-lost" in conditions, (board, title)
    marks = [one for one in other_queries() if one.panel == "high alarms"]
    assert {one.dashboard for one in marks} >= {"femtoward-ward", "femtoward-patient"}
    for one in marks:
        said = {row["condition"] for row in watch.ask(one, site="told", ward="icu", patient="p1")}
        assert "broker-lost" in said, one.name
