"""Every query of every dashboard against a real InfluxDB that holds a simulated ward: each must find something."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, get_args

import pytest
import urllib3
from board_queries import Asked, filled, other_queries, panel_queries
from board_ward import EAST, PATIENT, SITE, WARD, elsewhere, ward_rows
from influx_server import InfluxServer

from dataflows.couriers import receipt_points
from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.part_metrics import SOURCES, Part, Reading, fields, line
from dataflows.couriers.receipts import Receipt, What
from dataflows.couriers.tier_queries import select_into
from dataflows.couriers.tiers import TIERS
from dataflows.events import SECOND_NS, Vitals
from dataflows.store import Stored
from deploy.grafana import rules
from deploy.provision import influx
from deploy.settings import Influx

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
    """A server as `femtoward provision` makes it, filled by the courier, thinned out as the server would."""
    rows = ward_rows(tmp_path_factory.mktemp("ward"))
    rows += elsewhere(rows)
    seconds = [row.second for row in rows if isinstance(row, Vitals)]
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        settings = Influx(url=server.url, api="v1")
        influx.apply(settings, influx.plan(settings))
        courier = InfluxCourier(InfluxOptions(url=server.url, api="v1"))
        assert courier.deliver([Stored(number, row) for number, row in enumerate(rows, start=1)]) == []
        courier.close()
        write(server, "second", _of_processes(min(seconds), max(seconds)))
        write(server, "minute", [_told(site, what, max(seconds)) for site in (SITE, EAST) for what in get_args(What)])
        for tier in TIERS:
            server.query(select_into(tier, "femtoward", f"time >= {min(seconds)}s AND time <= {max(seconds)}s"))
        yield Ward(server, min(seconds) // 3600 * 3600, max(seconds) + 1)


def write(server: InfluxServer, retention: str, lines: Sequence[str]) -> None:
    url = f"{server.url}/write?db=femtoward&rp={retention}"
    answer = urllib3.request("POST", url, body="\n".join(lines).encode(), retries=False)
    assert answer.status == 204, answer.data


def _told(site: str, what: What, second: int) -> str:
    """What the couriers write of a receiver."""
    return receipt_points.line(Receipt("pager", site, "a1", 0, what, second * SECOND_NS), (second - 1) * SECOND_NS)


def _of_processes(first_s: int, last_s: int) -> list[str]:
    """What the couriers write of the processes that they scrape."""
    said, before = [], None
    for n, second in enumerate(range(first_s, last_s + 1, 10), start=1):
        sums = {source.metric: 1.0 if source.field in {"alive", "ready"} else float(n) for source in SOURCES}
        now = Reading(sums, {0.1: 50.0 * n, 0.5: 99.0 * n, math.inf: 100.0 * n})
        for part in get_args(Part):
            values = {**fields(part, now, before), "restarts": n}
            said.append(line(part, "main", values, second * SECOND_NS))
        before = now
    return said


def _values(series: list[dict[str, Any]]) -> dict[str, int]:
    """How many values each column has."""
    found: dict[str, int] = {}
    for one in series:
        for index, column in enumerate(one["columns"]):
            found[column] = found.get(column, 0) + sum(row[index] is not None for row in one["values"])
    return found


@pytest.mark.parametrize("asked", panel_queries(), ids=lambda asked: asked.name)
def test_every_query_of_every_panel_finds_something_in_each_column(ward: Ward, asked: Asked) -> None:
    chosen = {"site": SITE, "patient": PATIENT} if asked.dashboard == "femtoward-patient" else {}
    found = _values(ward.ask(asked, **chosen))
    assert found, f"{asked.name} returns nothing: {asked.query}"
    empty = [column for column, count in found.items() if not count]
    assert not empty, f"{asked.name} returns nothing in {empty}: {asked.query}"


Said = tuple[tuple[tuple[str, str], ...], str, int, Any]  # tags, column, time, value
# What is counted, or is the greatest or the least, of everybody shown.
OF_ALL = {
    *("Newest vitals", "Alarms not acknowledged", "Beds taken", "Poorest signal now"),
    *("Alarms per patient and day", "Alarms raised", "Time until acknowledged", "Messages refused", "Shares"),
}


def _said(series: list[dict[str, Any]]) -> set[Said]:
    """Every value with its column, its time and whose it is said to be."""
    return {
        (tuple(sorted(one.get("tags", {}).items())), column, values[0], value)
        for one in series
        for values in one["values"]
        for column, value in zip(one["columns"][1:], values[1:], strict=True)
    }


@pytest.mark.parametrize(
    "asked",
    [one for one in panel_queries() if "$site" in one.query and one.panel not in OF_ALL],
    ids=lambda asked: asked.name,
)
def test_no_value_mixes_two_who_share_a_name_at_two_sites(ward: Ward, asked: Asked) -> None:
    chosen = {"patient": PATIENT} if asked.dashboard == "femtoward-patient" else {}
    alone = _said(ward.ask(asked, site=SITE, **chosen)) | _said(ward.ask(asked, site=EAST, **chosen))
    both = _said(ward.ask(asked, site=f"({SITE}|{EAST})", **chosen))
    assert both
    assert both <= alone, f"{asked.name}: {sorted(both - alone, key=repr)[:3]}"
    sites = {
        value
        for tags, column, _, said in both
        for name, value in (*tags, (column, said))
        if name == "site" and isinstance(value, str)
    }
    assert sites >= {SITE, EAST} or "= '-'" in asked.query, f"{asked.name} does not say of which site a value is"


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
    write(ward.server, "second", [f"vitals,patient=stranger,site={SITE} hr=60,coverage=1,quality=1 {at_ns}"])
    measured = next(one for one in panel_queries() if (one.panel, one.letter) == ("Beds, those in need first", "B"))
    assert "stranger" in {one["tags"]["patient"] for one in ward.ask(measured)}
    assert "stranger" in {one["tags"]["patient"] for one in ward.ask(measured, ward=WARD)}  # else nobody watches
    band = next(one for one in panel_queries() if (one.panel, one.dashboard) == ("Heart rate", "femtoward-patient"))
    assert ward.ask(band, site=SITE, patient="stranger")
    assert not ward.ask(band, site=SITE, patient="stranger", ward=WARD)


def test_the_ward_says_what_the_rows_say(ward: Ward) -> None:
    beds = next(one for one in panel_queries() if (one.panel, one.letter) == ("Beds, those in need first", "A"))
    said = {
        one["tags"]["patient"]: dict(zip(one["columns"], one["values"][0], strict=True))
        for one in ward.ask(beds, site=SITE)
    }
    assert said[PATIENT]["words"] == "!!! HIGH extreme-tachycardia (seen)"
    assert (said[PATIENT]["need"], said[PATIENT]["standing"], said[PATIENT]["acknowledged"]) == (3, 1, 1)
    assert {bed["bed"] for bed in said.values()} >= {"bed-0009", "bed-0002"}  # one was moved
    assert said["patient-0004"]["need"] == 5
    assert said["patient-0001"]["need"] == 0
    standing = next(one for one in panel_queries() if one.panel == "Alarms now, and who acknowledged them")
    alarms = {
        (one["tags"]["patient"], one["tags"]["condition"]): dict(zip(one["columns"], one["values"][0], strict=True))
        for one in ward.ask(standing, site=SITE)
    }
    assert alarms[PATIENT, "extreme-tachycardia"]["actor"] == "nurse-7"
    assert alarms[PATIENT, "extreme-tachycardia"]["now"] == "acknowledged"
    assert alarms["patient-0002", "asystole"]["now"] == "latched"  # it is over, and nobody has seen it
    assert alarms["patient-0005", "lost-contact"]["now"] == "shelved"
    assert ("patient-0004", "saturated") in alarms
