"""Vitals by the minute and by the hour: a real influxd's continuous query and our own courier agree on every point."""

import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from carrying import Place, Recorder, Reports
from http_stub import HttpStub, Reply
from influx_server import InfluxServer
from line_parser import Point, parse
from msgspec.structs import replace
from outgoing import alarm, vitals
from servers import eventually

from dataflows.couriers import tiers
from dataflows.couriers.carrier import Carrier, Pace
from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.lanes import BackOff
from dataflows.couriers.punctual import IN_TIME_S, Punctual
from dataflows.couriers.tier_courier import AFTER_S, SLACK_S, TierCourier
from dataflows.couriers.tier_queries import THINNINGS, select_into, task
from dataflows.couriers.tiers import FIELDS, HOUR, MINUTE, TIERS, Tier
from dataflows.events import Reading, Vitals
from dataflows.store import Store, Stored

NAN = math.nan


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        yield server


def some_hours(seed: int, patients: int = 3, rows: int = 400) -> list[Vitals]:
    """Seconds of the last few hours, as they come: with holes, with what was not measurable, in any order."""
    chance = random.Random(seed)  # noqa: S311 - a test's, and the same each time
    begin_s = int(time.time()) // 3600 * 3600 - 2 * 3600

    def reading(low: float, high: float) -> Reading:
        return Reading() if chance.random() < 0.2 else Reading(chance.uniform(low, high), 0.5, 0.9)

    found = [
        replace(
            vitals(f"p {number}", second),
            hr=reading(40.0, 180.0),
            pulse=reading(40.0, 180.0),
            rmssd=reading(1.0, 90.0),
            sdnn=reading(1.0, 90.0),
            rr_interval=reading(300.0, 1500.0) if number else Reading(),  # of one patient never
            temp=reading(30.0, 40.0),
            resp=reading(6.0, 30.0),
            spo2=reading(80.0, 100.0),
            quality=chance.random(),
            coverage=chance.random(),
        )
        for number in range(patients)
        for second in sorted(chance.sample(range(begin_s, begin_s + 2 * 3600 - 1), rows))
    ]
    chance.shuffle(found)
    return found


def v1(server: InfluxServer, bucket: str) -> InfluxOptions:
    return InfluxOptions(url=server.url, api="v1", bucket=bucket, tiers="courier")


def read_back(server: InfluxServer, tier: Tier, database: str) -> dict[tuple[object, ...], dict[str, float]]:
    """Every point of a tier by its patient and time."""
    statement = f'SELECT * FROM "{tier.policy}"."{tier.measurement}" GROUP BY *'  # noqa: S608 - our own names
    found = {}
    for series in server.query(statement, database):
        for time_ns, *values in series["values"]:
            said = dict(zip(series["columns"][1:], values, strict=True))
            key = (*sorted((name, text) for name, text in series["tags"].items() if text), time_ns)
            found[key] = {name: value for name, value in said.items() if value is not None}
    return found


def query_by_hand(server: InfluxServer, tier: Tier, database: str) -> None:
    """What the continuous query does by itself, for all of the past."""
    server.query(select_into(tier, database, "time >= 0 AND time < now()"), database)


def carried(courier: TierCourier, place: Place, after: int = 0) -> None:
    with Store(place.store, readonly=True) as store:
        while rows := store.read(after, courier.batch, courier.kinds):
            assert courier.deliver(rows) == []
            after = rows[-1].id


@pytest.mark.servers
@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.policy)
def test_the_server_and_our_courier_make_the_same_points_and_late_rows_put_them_right(
    influxd: InfluxServer, tmp_path: Path, tier: Tier
) -> None:
    by_query, by_courier = f"queried-{tier.policy}", f"carried-{tier.policy}"
    place, rows = Place(tmp_path), some_hours(1)
    seconds = InfluxCourier(v1(influxd, by_query))
    courier = TierCourier(tier, v1(influxd, by_courier), place.store)
    came = 0
    for some in (rows[:900], rows[900:]):  # the others come late
        place.put(*some)
        assert seconds.deliver([Stored(number, row) for number, row in enumerate(some, start=1)]) == []
        query_by_hand(influxd, tier, by_query)
        carried(courier, place, after=came)
        came += len(some)
        wanted, found = read_back(influxd, tier, by_query), read_back(influxd, tier, by_courier)
        assert found.keys() == wanted.keys()
        for key, fields in wanted.items():
            assert found[key] == pytest.approx(fields, rel=1e-12)
    assert len(wanted) == 6 if tier is HOUR else len(wanted) > 300
    again = TierCourier(tier, v1(influxd, by_courier), place.store)  # as after a crash
    carried(again, place)
    assert read_back(influxd, tier, by_courier) == found
    for one in (seconds, courier, again):
        one.close()


@pytest.mark.servers
def test_a_point_of_an_hour_has_every_field_of_its_seconds(influxd: InfluxServer, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put(*some_hours(2, patients=2))
    courier = TierCourier(HOUR, v1(influxd, "fields"), place.store)
    carried(courier, place)
    courier.close()
    types = dict(influxd.query('SHOW FIELD KEYS FROM "hour"."vitals_1h"', "fields")[0]["values"])
    assert types == {f"{name}{end}": "float" for name in FIELDS for end in ("", "_min", "_max")}


def test_a_period_is_made_once_by_all_of_its_rows_and_again_by_a_late_one(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put(*(vitals("p1", 600 + second, hr=60.0 + second) for second in range(60) if second != 7))
    with HttpStub() as server:
        courier = TierCourier(MINUTE, InfluxOptions(url=server.url), place.store)
        with Store(place.store, readonly=True) as store:
            rows = store.read(0, 100)
        courier.deliver(rows[:20])  # makes it of all 59
        courier.deliver(rows[20:])
        [request] = server.requests
        assert _fields(request.body) == (pytest.approx(89.88135593220339), 60.0, 119.0)
        place.put(vitals("p1", 607, hr=500.0))
        with Store(place.store, readonly=True) as store:
            courier.deliver(store.read(59, 100))
        courier.close()
        assert len(server.requests) == 2
        assert _fields(server.requests[1].body)[2] == 500.0


def test_what_the_server_did_not_take_is_made_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put(vitals("p1", 600), vitals("p2", 600))
    with HttpStub(lambda _: Reply(503)) as server:
        courier = TierCourier(MINUTE, InfluxOptions(url=server.url), place.store)
        with Store(place.store, readonly=True) as store:
            rows = store.read(0, 9)
        with pytest.raises(DeliveryFailed, match="503"):
            courier.deliver(rows)
        server.reply = lambda _: Reply(204)
        assert courier.deliver(rows) == []
        courier.close()
        assert [request.body.count("vitals_1m") for request in server.requests] == [2, 2]


def test_seconds_without_any_number_make_no_point_and_wards_have_one_each() -> None:
    nothing = replace(vitals("p1", 60), hr=Reading(), quality=NAN, coverage=NAN)
    assert tiers.lines(MINUTE, 60, [nothing]) == []
    [line] = tiers.lines(MINUTE, 60, [nothing, vitals("p1", 61, hr=50.0), vitals("p1", 62, hr=53.0)])
    point = parse(line)
    assert point == Point(
        "vitals_1m",
        {"patient": "p1", "site": "north"},
        {
            "hr": 51.5,
            "hr_min": 50.0,
            "hr_max": 53.0,
            **{f"quality{end}": 0.95 for end in ("", "_min", "_max")},
            **{f"coverage{end}": 1.0 for end in ("", "_min", "_max")},
        },
        60 * 10**9,
    )


class Clock:
    """Wall clock that a test turns."""

    def __init__(self) -> None:
        self.now_ns = 10**18

    def __call__(self) -> int:
        return self.now_ns


def test_a_row_ripens_after_its_commit_before_it_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.couriers.hold.LOOK_S", 0.0)
    place, clock = Place(tmp_path), Clock()
    recorder = Recorder(batch=10)
    recorder.kinds, recorder.hold_s = ("vitals",), 60.0
    stopping = threading.Event()
    pace = Pace(poll_s=0.002, back_off=BackOff(0.005, 0.02))
    carrier = Carrier(recorder, place.store, place.cursors, Reports(), pace, now_ns=clock)
    with Store(place.store, now_ns=clock) as store:
        store.put([vitals("p1", 1)])
        store.put([vitals("p1", 2)])  # and with it the time of the first is known
        clock.now_ns += 30 * 10**9
        store.put([vitals("p1", 3)])
        store.put([vitals("p1", 4)])
        thread = threading.Thread(target=carrier.run, args=(stopping,))
        thread.start()
        eventually(lambda: Path(place.cursors).exists())
        assert recorder.delivered == []
        clock.now_ns += 31 * 10**9
        assert recorder.wait_for(2) == ["p1/1", "p1/2"]
        clock.now_ns += 30 * 10**9
        assert recorder.wait_for(3) == ["p1/1", "p1/2", "p1/3"]  # when the fourth was durable, the next put will say
        stopping.set()
        thread.join()
    assert place.settled() == 3


def test_the_couriers_of_the_tiers_look_at_a_row_a_whole_period_later() -> None:
    made = [TierCourier(tier, InfluxOptions(url="http://127.0.0.1:1"), "nowhere") for tier in TIERS]
    assert [(one.name, one.hold_s) for one in made] == [
        ("influx-minute", 60 + SLACK_S),
        ("influx-hour", 3600 + SLACK_S),
    ]
    for one in made:
        one.close()


def test_where_influxdb_thins_out_itself_rows_wait_until_it_looks_back_at_them_no_more() -> None:
    for tier, thinning in zip(TIERS, THINNINGS, strict=True):
        assert (thinning.tier, thinning.back) == (tier, {600: "10m", 7200: "2h"}[tier.reach_s])
        courier = TierCourier(tier, InfluxOptions(url="http://127.0.0.1:1"), "nowhere", Punctual())
        assert courier.hold_s == tier.reach_s + tier.step_s + AFTER_S
        courier.close()


class Seconds:
    """Wall clock (s) that a test turns."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_a_row_is_in_time_within_five_minutes_unless_it_came_late_or_is_forgotten() -> None:
    clock = Seconds(1000.0)
    punctual = Punctual(clock)
    rows = [Stored(number, vitals("p1", 900 + number)) for number in range(1, 7)]
    came_late, after = Stored(7, replace(vitals("p1", 3), late=True)), Stored(8, vitals("p1", 908))
    assert rows[0] not in punctual
    punctual.delivered(rows[:3])
    punctual.delivered([Stored(20, alarm())])  # of which nothing is thinned out
    punctual.delivered([*rows[3:6], came_late])  # what was late by itself says nothing of the others
    assert [one.id for one in [*rows, came_late] if one in punctual] == [1, 2, 3, 4, 5, 6]
    clock.now_s += IN_TIME_S - 60
    punctual.delivered([after])
    assert after not in punctual
    punctual.delivered([Stored(30, vitals("p1", 1200))])
    assert [one.id for one in rows if one in punctual] == [1, 2, 3, 4, 5, 6]
    clock.now_s += IN_TIME_S + 1  # nothing was taken for so long: nobody knows what InfluxDB did meanwhile
    punctual.delivered([Stored(31, vitals("p1", 1500))])
    assert not any(one in punctual for one in rows)
    assert Stored(31, vitals("p1", 1500)) in punctual


def test_what_influxdb_had_in_time_is_left_to_it_and_what_came_late_is_made(tmp_path: Path) -> None:
    place, clock = Place(tmp_path), Seconds(700.0)
    place.put(*(vitals("p1", second) for second in (600, 601, 660, 661)), replace(vitals("p1", 720), late=True))
    with HttpStub() as server, Store(place.store, readonly=True) as store:
        options = InfluxOptions(url=server.url)
        punctual = Punctual(clock)
        seconds = InfluxCourier(options, punctual)
        thinner = TierCourier(MINUTE, options, place.store, punctual)
        rows = store.read(0, 100)
        assert seconds.deliver(rows[:2]) == []
        clock.now_s = 660 + IN_TIME_S + 1
        assert seconds.deliver(rows[2:]) == []
        before = len(server.requests)
        assert thinner.deliver(rows) == []
        [request] = server.requests[before:]
        assert [parse(line).time_ns // 10**9 for line in request.body.split("\n")] == [660, 720]
        anew = TierCourier(MINUTE, options, place.store, Punctual())  # as after a start
        assert anew.deliver(rows) == []
        assert server.requests[-1].body.count("vitals_1m") == 3
        for one in (seconds, thinner, anew):
            one.close()


@pytest.mark.servers
@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.policy)
def test_after_an_outage_influxdb_and_our_courier_together_make_every_point(
    influxd: InfluxServer, tmp_path: Path, tier: Tier
) -> None:
    place, rows = Place(tmp_path), sorted(some_hours(3), key=lambda row: row.second)
    place.put(*rows)
    begin_s = rows[0].second // 3600 * 3600
    clock = Seconds(0.0)
    punctual = Punctual(clock)
    together, wanted = f"together-{tier.policy}", f"wanted-{tier.policy}"
    seconds = InfluxCourier(v1(influxd, together), punctual)
    thinner = TierCourier(tier, v1(influxd, together), place.store, punctual)
    carried_to = 0
    for minute in (*range(1, 31), *range(75, 122)):  # InfluxDB is away for 45 minutes, and over the turn of the hour
        clock.now_s = begin_s + 60.0 * minute
        with Store(place.store, readonly=True) as store:
            due = store.read(carried_to, 9_999)
        batch = [one for one in due if isinstance(one.row, Vitals) and one.row.second < clock.now_s]
        assert seconds.deliver(batch) == []
        carried_to = batch[-1].id if batch else carried_to
        if minute * 60 % tier.step_s == 0:
            back_s = int(clock.now_s) - tier.reach_s
            since = f"time >= {back_s - back_s % tier.step_s}s AND time < {int(clock.now_s)}s"
            influxd.query(select_into(tier, together, since), together)
    whole = InfluxCourier(v1(influxd, wanted))
    assert whole.deliver([Stored(number, row) for number, row in enumerate(rows, start=1)]) == []
    query_by_hand(influxd, tier, wanted)
    carried(thinner, place)
    found, right = read_back(influxd, tier, together), read_back(influxd, tier, wanted)
    assert found.keys() == right.keys()
    for key, fields in right.items():
        assert found[key] == pytest.approx(fields, rel=1e-12)
    for one in (seconds, thinner, whole):
        one.close()


def test_a_task_looks_at_whole_periods_and_names_what_it_reads_and_writes() -> None:
    for thinning in THINNINGS:
        flux = task(thinning, 'ward "${x}"')
        length = "1m" if thinning.tier is MINUTE else "1h"
        assert f"every: {thinning.every}, offset: 10s" in flux
        assert f"end = date.truncate(t: now(), unit: {length})" in flux
        assert f"range(start: date.sub(d: {thinning.back}, from: end), stop: end)" in flux
        assert 'from(bucket: "ward \\"\\${x}\\"/second")' in flux
        assert f'to(bucket: "ward \\"\\${{x}}\\"/{thinning.tier.policy}")' in flux
        assert all(f'r._field == "{name}"' in flux for name in FIELDS)
        assert flux.count("(") == flux.count(")")
        assert flux.count("{") == flux.count("}")


def _fields(body: str) -> Sequence[object]:
    fields = parse(body).fields
    return fields["hr"], fields["hr_min"], fields["hr_max"]
