"""How many series there will be: as stated, and as a real influxd counts them."""

from collections.abc import Iterator
from typing import get_args

import pytest
import urllib3
from influx_server import InfluxServer
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, device, ledger, vitals, wave

from dataflows.couriers import part_metrics, receipt_points, tiers
from dataflows.couriers.cardinality import Assumed, lasts, series
from dataflows.couriers.line_protocol import lines
from dataflows.couriers.links import DOINGS
from dataflows.couriers.receipts import Receipt, What
from dataflows.couriers.schema import DERIVED
from dataflows.events import AlarmState, Answer, Bad, BedState, Condition, Removal, Row
from ingest.packet import BadReason

PATIENTS = 100
CONDITIONS: tuple[Condition, ...] = ("asystole", "lost-contact", "poor-signal", "off-body")
STATES: tuple[AlarmState, ...] = ("active", "acknowledged", "ended")


def day() -> Iterator[Row]:
    """Rows of a hundred patients for whom everything that is assumed of a day comes true."""
    for n in range(PATIENTS):
        patient, wards = f"p{n}", ["icu", "step-down"] if n % 5 == 0 else ["icu"]
        for ward in wards:
            yield replace(vitals(patient), ward=ward)
            yield BedState("north", patient, SECOND * NS, ward, f"b{n}", True, 0, "", "", "", 0, 0, 0)
        yield replace(wave(), patient=patient)
        for condition in CONDITIONS:
            for step, state in enumerate(STATES):
                event = replace(alarm(f"{n}", step, state, patient=patient), condition=condition)
                yield from (replace(event, ward=ward) for ward in wards)
        for name in [f"w{n}", f"x{n}"] if n % 2 else [f"w{n}"]:
            yield replace(ledger(), device=name)
            yield replace(device(), device=name, patient=patient)
        yield from [replace(device(), device=f"w{n}", patient="")] * (n < PATIENTS * 3 // 4)
    for offset, reason in enumerate(get_args(BadReason)):
        yield Bad("north", offset, 0, SECOND * NS, "t", reason, "", 1)
    yield Answer("north", "c1", "nurse", True, "", SECOND * NS)
    for what in ("journal", "vitals", "wave", "bad", "alarm"):
        yield Removal("north", 1, SECOND * NS, what, 1, 2, 3, "why")


def derived() -> Iterator[str]:
    """Lines that are made of no row."""
    for n in range(PATIENTS):
        for ward in ["icu", "step-down"] if n % 5 == 0 else ["icu"]:
            for tier in tiers.TIERS:
                yield from tiers.lines(tier, SECOND // 3600 * 3600, [replace(vitals(f"p{n}"), ward=ward)])
    for n in range(Assumed().receivers):
        for what in (*get_args(What), *(f"did {doing}" for doing in DOINGS)):
            yield receipt_points.line(Receipt(f"pager{n}", "north", "a1", 0, what, SECOND * NS), None)
    for house in range(Assumed().houses):
        for kind in range(Assumed().alarmed):
            yield f"burden,condition=c{kind},priority=high,site=north,ward=w{house} raised=1i {SECOND * NS}"
    for part in get_args(part_metrics.Part):
        yield part_metrics.line(part, "main", {"alive": 1}, SECOND * NS)


@pytest.mark.servers
def test_influxd_counts_the_series_that_the_schema_foretells(tmp_path_factory: pytest.TempPathFactory) -> None:
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        server.query("CREATE DATABASE femtoward")
        said = "\n".join([*(line for row in day() for line in lines(row)), *derived()])
        answer = urllib3.request("POST", f"{server.url}/write?db=femtoward", body=said.encode())
        assert answer.status == 204, answer.data
        counted = {one["name"]: one["values"][0][0] for one in server.query("SHOW SERIES EXACT CARDINALITY")}
        [total] = server.query("SHOW SERIES CARDINALITY")
    foretold = series(Assumed(patients=PATIENTS))
    assert counted == foretold
    assert total["values"][0][0] == sum(foretold.values())


def test_a_thousand_patients_bring_twenty_eight_thousand_series_in_a_day() -> None:
    assert sum(series(Assumed(patients=1000)).values()) == 28_332


def test_a_year_of_new_patients_brings_two_million_series_most_of_them_of_alarms_which_are_kept_for_good() -> None:
    year = series(Assumed(), days=365)
    assert sum(year.values()) == 1_950_695
    assert (year["alarm"], year["strip"]) == (92_000 * 14.4, 92_000 * 4)
    longer = series(Assumed(), days=730)
    assert {name for name in year if longer[name] > year[name]} == {"alarm", "strip", "vitals_1m", "vitals_1h"}
    assert {name for name in year if series(Assumed(), days=31)[name] == year[name]} >= {
        "vitals",
        "bed",
        "device",
        "wave",
    }
    assert series(Assumed(), days=3650)["vitals_1m"] == series(Assumed(), days=400)["vitals_1m"]


def test_the_limits_that_influxdb_1_comes_with_are_reached_on_the_day_that_is_stated() -> None:
    last = lasts(Assumed(), 1_000_000)
    assert sum(series(Assumed(), last).values()) <= 1_000_000 < sum(series(Assumed(), last + 1).values())
    assert last == 182
    a_tag = series(Assumed(conditions=1, states=1, wards=1), days=397)["alarm"]
    assert a_tag == 100_000, "patients of whom there are alarms: max-values-per-tag"


def test_series_grow_with_patients_and_not_with_time_rows_or_alarms() -> None:
    few, many = (sum(series(Assumed(patients=n)).values()) for n in (1000, 2000))
    fixed = series(Assumed(patients=0))
    assert {name: count for name, count in fixed.items() if count} == {
        "pipeline": 18,
        "removal": 5,
        "receipt": 55,
        "burden": 300,
        "process": 4,
    }
    assert many - few == few - sum(fixed.values())


def test_what_is_assumed_of_reasons_parts_and_tables_is_all_there_is() -> None:
    assert Assumed().reasons == len(get_args(BadReason))
    assert Assumed().receipts == len(get_args(What)) + len(DOINGS)
    assert Assumed().parts == len(get_args(part_metrics.Part))


def test_what_is_derived_is_written_with_the_fields_of_the_schema() -> None:
    of = {one.name: {field.name: field.type for field in one.fields} for one in DERIVED}
    thinned = {f"{name}{suffix}" for name in tiers.FIELDS for suffix in ("", "_min", "_max")}
    assert set(of["vitals_1m"]) == set(of["vitals_1h"]) == thinned
    process = {source.field: source.type for source in part_metrics.SOURCES}
    assert of["process"] == {**process, **dict.fromkeys(part_metrics.QUANTILES, "float"), "restarts": "integer"}
