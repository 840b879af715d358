"""Every query of every dashboard against a real InfluxDB that holds a simulated ward: each must find something."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import urllib3
from board_queries import Asked, filled, other_queries, panel_queries
from board_ward import PATIENT, SITE, WARD, ward_rows
from influx_server import InfluxServer

from dataflows.couriers.line_protocol import lines
from dataflows.couriers.schema import DERIVED
from dataflows.events import SECOND_NS, Vitals
from deploy.grafana import rules
from deploy.grafana.measurements import MEASUREMENTS

pytestmark = pytest.mark.servers


class Ward(NamedTuple):
    """A server with a ward in it, and the time that a dashboard shows of it."""

    server: InfluxServer
    from_s: int
    to_s: int

    def ask(self, asked: Asked, **chosen: str) -> list[dict[str, Any]]:
        return self.server.query(filled(asked, chosen, self.from_s, self.to_s))


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    rows = ward_rows(folder)
    seconds = [row.second for row in rows if isinstance(row, Vitals)]
    said = [line for row in rows for line in lines(row)]
    said += _of_processes(min(seconds), max(seconds))
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        server.query('CREATE DATABASE "femtoward"')
        for policy in sorted({known.retention for known in MEASUREMENTS.values()}):
            default = "DEFAULT" if policy == "second" else ""
            server.query(f'CREATE RETENTION POLICY "{policy}" ON "femtoward" DURATION INF REPLICATION 1 {default}')
        http = urllib3.PoolManager()
        for policy in sorted({known.retention for known in MEASUREMENTS.values()}):
            text = "\n".join(line for line in said if MEASUREMENTS[line.split(",")[0]].retention == policy)
            answer = http.request("POST", f"{server.url}/write?db=femtoward&rp={policy}", body=text.encode())
            assert answer.status == 204, answer.data
        http.clear()
        means = ", ".join(
            f'mean("{name}") AS "{name}", min("{name}") AS "{name}_min", max("{name}") AS "{name}_max"'
            for name in MEASUREMENTS["vitals_1m"].fields
            if not name.endswith(("_min", "_max"))
        )
        for into, every in (('"minute"."vitals_1m"', "1m"), ('"hour"."vitals_1h"', "1h")):
            server.query(
                f'SELECT {means} INTO {into} FROM "second"."vitals" WHERE time >= {min(seconds)}s AND '  # noqa: S608
                f"time <= {max(seconds)}s GROUP BY time({every}), *"
            )
        yield Ward(server, min(seconds) // 3600 * 3600, max(seconds) + 1)


def _of_processes(first_s: int, last_s: int) -> list[str]:
    """What the processes of a ward say of themselves."""
    [process] = [one for one in DERIVED if one.name == "process"]
    growing = {"messages", "rows"}
    return [
        f"process,instance=main,part={part} "
        + ",".join(
            f"{field.name}={second if field.name in growing else 1}{'i' if field.type == 'integer' else ''}"
            for field in process.fields
        )
        + f" {second * SECOND_NS}"
        for second in range(first_s, last_s + 1, 10)
        for part in ("ingest", "flow", "couriers")
    ]


def _values(series: list[dict[str, Any]]) -> dict[str, int]:
    """How many values each column has."""
    found: dict[str, int] = {}
    for one in series:
        for index, column in enumerate(one["columns"]):
            found[column] = found.get(column, 0) + sum(row[index] is not None for row in one["values"])
    return found


@pytest.mark.parametrize("asked", panel_queries(), ids=lambda asked: asked.name)
def test_every_query_of_every_panel_finds_something_in_each_column(ward: Ward, asked: Asked) -> None:
    chosen = {"patient": PATIENT} if asked.dashboard == "femtoward-patient" else {}
    found = _values(ward.ask(asked, **chosen))
    assert found, f"{asked.name} returns nothing: {asked.query}"
    empty = [column for column, count in found.items() if not count]
    assert not empty, f"{asked.name} returns nothing in {empty}: {asked.query}"


@pytest.mark.parametrize("asked", other_queries(), ids=lambda asked: asked.name)
def test_every_variable_and_annotation_finds_something(ward: Ward, asked: Asked) -> None:
    assert ward.ask(asked), f"{asked.name} returns nothing: {asked.query}"


@pytest.mark.parametrize("title", rules.queries())
def test_every_alert_rule_finds_numbers(ward: Ward, title: str) -> None:
    query = rules.queries()[title].text
    found = ward.server.query(query)
    assert found, f"{title} returns nothing: {query}"
    assert all(isinstance(value, (int, float)) for one in found for row in one["values"] for value in row[1:])


def test_a_choice_narrows_down_and_the_next_choice_follows_it(ward: Ward) -> None:
    patients = next(one for one in other_queries() if one.dashboard == "femtoward-alarms" and one.panel == "patient")
    assert len(ward.ask(patients, site=SITE, ward=WARD)[0]["values"]) == 6
    assert ward.ask(patients, site="elsewhere") == []
    beds = next(one for one in panel_queries() if one.panel == "Beds, those in need first")
    assert len(ward.ask(beds, site=SITE, ward=WARD)) == 6
    assert ward.ask(beds, ward="ward-9") == []
    assert len(ward.ask(beds, site=f"(elsewhere|{SITE})")) == 6  # as Grafana writes several


def test_all_takes_in_what_has_no_ward(ward: Ward) -> None:
    at_ns = ward.to_s * SECOND_NS
    http = urllib3.PoolManager()
    line = f"vitals,patient=stranger,site={SITE} hr=60,coverage=1,quality=1 {at_ns}"
    assert http.request("POST", f"{ward.server.url}/write?db=femtoward&rp=second", body=line).status == 204
    http.clear()
    measured = next(one for one in panel_queries() if (one.panel, one.letter) == ("Beds, those in need first", "B"))
    assert "stranger" in {one["tags"]["patient"] for one in ward.ask(measured)}
    assert "stranger" not in {one["tags"]["patient"] for one in ward.ask(measured, ward=WARD)}


def test_the_ward_says_what_the_rows_say(ward: Ward) -> None:
    beds = next(one for one in panel_queries() if (one.panel, one.letter) == ("Beds, those in need first", "A"))
    said = {one["tags"]["patient"]: dict(zip(one["columns"], one["values"][0], strict=True)) for one in ward.ask(beds)}
    assert said[PATIENT]["words"] == "!!! HIGH extreme-tachycardia (seen)"
    assert (said[PATIENT]["need"], said[PATIENT]["standing"], said[PATIENT]["acknowledged"]) == (3, 1, 1)
    assert {bed["bed"] for bed in said.values()} >= {"bed-0009", "bed-0002"}  # one was moved
    assert said["patient-0004"]["need"] == 5
    assert said["patient-0001"]["need"] == 0
    standing = next(one for one in panel_queries() if one.panel == "Alarms now, and who acknowledged them")
    alarms = {
        (one["tags"]["patient"], one["tags"]["condition"]): dict(zip(one["columns"], one["values"][0], strict=True))
        for one in ward.ask(standing)
    }
    assert alarms[PATIENT, "extreme-tachycardia"]["actor"] == "nurse-7"
    assert alarms[PATIENT, "extreme-tachycardia"]["now"] == "acknowledged"
    assert ("patient-0002", "asystole") not in alarms  # it is over
    assert ("patient-0004", "saturated") in alarms
