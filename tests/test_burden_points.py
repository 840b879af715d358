"""The burden of alarms by ward and hour, as points: what they count, and that they follow from the store alone."""

from pathlib import Path

import pytest
from http_stub import HttpStub, Reply
from line_parser import parse
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, bed

from dataflows.couriers.burden_points import HOUR_NS, BurdenPoints, lines
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.schema import DERIVED
from dataflows.events import AlarmEvent
from dataflows.store import Store

HOUR = SECOND * NS // HOUR_NS * HOUR_NS


def event(id_: str, at_s: int, step: int = 0, ward: str = "icu") -> AlarmEvent:
    state = "acknowledged" if step else "active"
    return replace(
        alarm(id_, step, state),  # type: ignore[arg-type]
        arrival_ns=HOUR + at_s * NS,
        onset_ns=HOUR + at_s * NS,
        ward=ward,
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    found = str(tmp_path / "store.sqlite")
    with Store(found) as store:
        store.put([replace(bed(), at_ns=HOUR, ward="icu")])
        store.put([event("a", 60), event("a", 80, 1), event("b", 90), event("c", 4000, ward="")])
    return found


def test_a_point_is_a_ward_an_hour_a_condition_and_a_priority(path: str) -> None:
    with Store(path, readonly=True) as store:
        found = [parse(line) for line in lines(store, HOUR + 4500 * NS)]
    said = {(p.tags.get("ward", ""), p.tags["condition"], (p.time_ns - HOUR) // HOUR_NS): p.fields for p in found}
    assert set(said) == {
        ("icu", "all", 0),
        ("icu", "asystole", 0),
        ("icu", "all", 1),
        ("", "all", 1),
        ("", "asystole", 1),
    }
    first = said["icu", "all", 0]
    assert (first["raised"], first["acknowledged"], first["acknowledged_s_p50"], first["repeats"]) == (2, 1, 20.0, 1)
    assert (first["patient_s"], first["floods"]) == (3600.0, 0)
    assert "acknowledged_s_p50" not in said["", "all", 1]
    (known,) = [{field.name: field.type for field in one.fields} for one in DERIVED if one.name == "burden"]
    kinds = {int: "integer", float: "float"}
    for fields in said.values():
        assert all(known[name] == kinds[type(value)] for name, value in fields.items())
    assert set(known) == set(first) | {"acknowledged_s_p90"}


def test_the_same_store_gives_the_same_points_and_a_failure_is_said_once(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with HttpStub() as server:
        points = BurdenPoints(path, InfluxOptions(url=server.url), now_ns=lambda: HOUR + 4500 * NS)
        points.write()
        points.write()
        assert server.requests[0].body == server.requests[1].body
        assert "femtoward%2Fhour" in server.requests[0].path
        server.reply = lambda _: Reply(503)
        points.write()
        points.write()
    assert caplog.text.count("the burden of alarms was not written") == 1
