"""A run's rows in a real influxd: every one is read back as the store has it, field by field, whatever the text."""

import base64
import json
import math
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from influx_server import InfluxServer
from msgspec.structs import fields, replace
from outgoing import NS, SECOND, alarm, device, ledger, vitals
from wire import ECG, Tape, beating, birth_of, packets, played

from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.measurement import Measurement
from dataflows.couriers.schema import EVERYTHING, MEASUREMENTS, SCHEMA
from dataflows.events import AlarmEvent, Answer, Bad, BedState, Reading, Removal, Row, Vitals, Wave
from dataflows.fold import Fold
from dataflows.roll_call import RollCall
from dataflows.shard import Shard
from dataflows.store import Store, Stored
from ingest.command import Acknowledge, Admit, Discharge, Transfer
from ingest.documents import encode_status
from ingest.journal import RecordKind
from ingest.profile import Calibration, Status
from ingest.topics import topic_of

NASTY = "say \"no\", a=b  c\\ d\\\\e\n\r\t'f' 🫀 ü ,= \\"
MOST, LEAST = 2**63 - 1, -(2**63)
DATABASE = "round trip"

Key = tuple[tuple[tuple[str, str], ...], int]  # tags, time
Fields = dict[str, Any]


def run() -> list[Row]:
    """A ward with alarms, commands, rubbish and reports, texts as nasty as they may be."""
    lead = replace(ECG, noise_floor=0.02, calibration=Calibration(id="c1", time_ns=1, expiry_ns=1_800_000_000 * NS))
    tape = Tape()
    for n in range(3):
        tape.birth(replace(birth_of(f"w{n}", None, streams=(lead,)), model=NASTY))
        tape.command(Admit(id=f"a{n}", patient=f"p{n}", device=f"w{n}", ward=f"ward-{n % 2}", bed=f"bed-{n}"))
    sent = [packets(f"w{n}", beating(30.0, 60.0 + 10 * n, [(10.0, 26.0)] if n < 2 else [])) for n in range(3)]
    del sent[2][60:70]
    played(tape, [one[:100] for one in sent])
    raised = next(row for row in rows_of(tape) if isinstance(row, AlarmEvent))
    tape.command(Acknowledge(id="k1", patient=raised.patient, alarm=raised.id, note=NASTY))
    tape.command(Acknowledge(id="k2", patient="p0", alarm="unknown"))
    tape.command(Transfer(id="t1", patient="p0", bed="bed-9", ward="ward-9"))
    status = encode_status(Status(state="zeroing", reason=NASTY))
    tape.add(RecordKind.MESSAGE, topic_of("s", "w1", "status"), status)
    tape.add(RecordKind.MESSAGE, f"femtoward/v1/s/{NASTY}/data", NASTY.encode())
    tape.add(RecordKind.MESSAGE, topic_of("s", "w1", "data"), NASTY.encode())
    removed = {"what": "vitals", "first": 1, "end": 2, "size": 3, "why": NASTY}
    report = {"reporter": "disk", "ok": False, "detail": NASTY, "removed": removed}
    tape.add(RecordKind.REPORT, "", json.dumps(report).encode())
    played(tape, [one[100:] for one in sent])
    tape.command(Discharge(id="d1", patient="p2"))
    tape.ticks(14.0)
    return rows_of(tape)


def rows_of(tape: Tape) -> list[Row]:
    folded = Fold(1).feed(tape.records)
    rows: list[Row] = [content for shard, content in folded if shard is None]  # type: ignore[misc]  # rows have no shard
    made = Shard().feed(content for shard, content in folded if shard is not None)  # type: ignore[misc]
    rows += [row for row in made if not isinstance(row, RollCall)]
    return rows


def extremes() -> list[Row]:
    """Rows at the ends of what their types hold, and one of each field."""
    ends = (0.0, -0.0, 5e-324, -2.5e-308, 1.7976931348623157e308, 1 / 3)
    every = {field.name: field.type for field in fields(Vitals)}
    readings = {
        name: Reading(*(ends[(n + i) % len(ends)] for i in range(3)))
        for n, name in enumerate(name for name, kind in every.items() if kind is Reading)
    }
    numbers = {name: -0.25 for name, kind in every.items() if kind is float}
    full = replace(vitals("p8", reason=NASTY), **numbers, **readings)
    most = dict.fromkeys(("published", "stored", "quarantined", "lost", "repeated", "late", "away"), MOST)
    return [
        full,
        replace(full, second=SECOND + 1, settling=True, late=True, coverage=math.inf, quality=-math.inf),
        replace(ledger(revision=MOST), **most),
        replace(ledger(revision=1), device="w8", published=LEAST),
        replace(alarm("a8"), onset_ns=MOST, arrival_ns=LEAST, limit=40.0, value=math.nan, note=NASTY, actor=NASTY),
        replace(alarm("a9"), u=0.5, condition_delay_ms=-0.0, signal_delay_ms=5e-324, episode=NASTY, until_ns=MOST),
        replace(device(revision=MOST), device="w9", simulated=False, calibration_expiry_ns=MOST, reason=NASTY),
        replace(device(revision=MOST), device="w10", ageing=3.1, ageing_u=0.4),
        Removal("-", MOST, SECOND * NS, "wave", LEAST, MOST, 0, NASTY),
        Bad("s", MOST, 1, SECOND * NS, NASTY, "undecodable", NASTY, MOST, MOST),
        Answer("s", NASTY, NASTY, False, NASTY, SECOND * NS),
    ]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[Stored]:
    """Everything that a store has of the run."""
    with Store(tmp_path_factory.mktemp("store") / "store.sqlite") as store:
        rows = [*run(), *extremes()]
        assert store.put(rows).conflicts == 0
        return store.read(0, len(rows))


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory, stored: list[Stored]) -> Iterator[InfluxServer]:
    """A server that a courier has brought it to."""
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url, api="v1", bucket=DATABASE, tiers="none"))
        assert courier.deliver(stored) == []
        courier.close()
        yield server


def wanted(stored: list[Stored], measurement: Measurement) -> dict[Key, Fields]:
    """What the rows say, read off their attributes: by no code of the encoder but the schema."""
    points: dict[Key, Fields] = {}
    for row in (one.row for one in stored if one.row.kind == measurement.row.kind):
        said = [(tag.name, attrgetter(tag.path)(row)) for tag in measurement.tags]
        tags = tuple(sorted((*measurement.constant_tags, *((name, value) for name, value in said if value))))
        fields = {field.name: attrgetter(field.path)(row) for field in measurement.fields}
        points[tags, measurement.time_ns(row)] = {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in fields.items()
            if not (isinstance(value, float) and not math.isfinite(value)) and value != b""
        }
    return points


def found(server: InfluxServer, measurement: str) -> dict[Key, Fields]:
    """Every point that the server has."""
    points: dict[Key, Fields] = {}
    for series in server.query(f'SELECT * FROM "{measurement}" GROUP BY *', DATABASE):  # noqa: S608 - our own names
        tags = tuple(sorted((name, value) for name, value in series["tags"].items() if value))
        for time_ns, *values in series["values"]:
            pairs = zip(series["columns"][1:], values, strict=True)
            points[tags, time_ns] = {name: value for name, value in pairs if value is not None}
    return points


@pytest.mark.servers
@pytest.mark.parametrize("name", dict.fromkeys(one.name for one in SCHEMA if one.shape == "one"))
def test_every_point_is_what_the_store_says(influxd: InfluxServer, stored: list[Stored], name: str) -> None:
    rows: dict[Key, Fields] = {}
    for measurement in (one for one in SCHEMA if one.name == name):
        rows |= wanted(stored, measurement)
    assert rows
    assert found(influxd, name) == rows


@pytest.mark.servers
def test_waves_and_strips_are_there_sample_by_sample(influxd: InfluxServer, stored: list[Stored]) -> None:
    waves, strips = found(influxd, "wave"), found(influxd, "strip")
    seen = 0
    for row in (one.row for one in stored):
        if isinstance(row, Wave):
            samples = np.frombuffer(row.samples, "<i2").reshape(25, 5) * row.scale
            tags = (("patient", row.patient), ("site", row.site), ("stream", row.stream))
            said = [waves.pop((tags, row.second * NS + n * NS // 25)) for n in range(25)]
            assert [(one["lo"], one["hi"]) for one in said] == [
                (pytest.approx(low, rel=1e-5), pytest.approx(high, rel=1e-5))
                for low, high in zip(samples.min(axis=1), samples.max(axis=1), strict=True)
            ]
        elif isinstance(row, AlarmEvent) and row.strip:
            tags = (("condition", row.condition), ("patient", row.patient), ("site", row.site))
            [alarm_ns] = {MEASUREMENTS["alarm"][0].time_ns(row)}
            samples = np.frombuffer(row.strip, "<i2") * row.strip_scale
            times_ns = [alarm_ns - (len(samples) - n) * NS // 125 for n in range(len(samples))]
            assert [strips.pop((tags, at_ns))["value"] for at_ns in times_ns] == pytest.approx(samples, rel=1e-5)
            seen += len(samples) == 1250
    assert seen >= 2
    assert not waves
    assert not strips


@pytest.mark.servers
def test_every_field_has_the_type_that_the_schema_gives_it(influxd: InfluxServer) -> None:
    types = {series["name"]: dict(series["values"]) for series in influxd.query("SHOW FIELD KEYS", DATABASE)}
    said: dict[str, dict[str, str]] = {}
    for one in SCHEMA:
        of = {field.name: "string" if field.type == "bytes" else field.type for field in one.fields}
        said.setdefault(one.name, {}).update(of)
    assert types == said


@pytest.mark.servers
def test_the_run_has_a_row_of_every_kind_and_its_beds_tell_of_alarms_and_moves(stored: list[Stored]) -> None:
    assert {one.row.kind for one in stored} == {*MEASUREMENTS, "patient"}
    beds = [one.row for one in stored if isinstance(one.row, BedState)]
    assert {row.ward for row in beds} == {"ward-0", "ward-1", "ward-9"}
    assert {row.need for row in beds} >= {0, 3, 6}
    assert {row.admitted for row in beds} == {True, False}
    assert {one.name for one in EVERYTHING} >= {"vitals_1m", "vitals_1h", "process"}
