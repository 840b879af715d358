"""The InfluxDB courier: the request of the v2 path, what it does with refusals, and a real influxd from end to end."""

import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
import pytest
from carrying import stored
from http_stub import HttpStub, Reply
from hypothesis import given, settings
from hypothesis import strategies as st
from influx_server import InfluxServer
from line_parser import Point, parse
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, any_vitals, device, ledger, one_of_each, texts, vitals, wave

from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.line_protocol import lines
from dataflows.couriers.schema import RETENTION_OF, qualified
from dataflows.events import Row, Vitals

TOKEN = "a-token-that-must-not-be-seen"  # noqa: S105 - of no server

Api = Literal["v1", "v2"]


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        yield server


def v1(server: InfluxServer, bucket: str) -> InfluxCourier:
    return InfluxCourier(InfluxOptions(url=server.url, api="v1", bucket=bucket, tiers="none"))


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_the_v2_path_is_written_as_the_api_has_it(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    if encoding == "gzip":  # as to any other machine
        monkeypatch.setattr("dataflows.couriers.outlet.HERE", frozenset())
    variable = "WARD_TOKEN"
    monkeypatch.setenv(variable, TOKEN)
    with HttpStub() as server:
        options = InfluxOptions(url=server.url, bucket="ward one", org="clinic", secret_env=variable, tiers="none")
        courier = InfluxCourier(options)
        assert courier.deliver(stored(one_of_each())) == []
        courier.close()
        [request] = server.requests
    path, _, query = request.path.partition("?")
    assert path == "/api/v2/write"
    assert sorted(query.split("&")) == ["bucket=ward+one", "org=clinic", "precision=ns"]
    assert request.headers["authorization"] == f"Token {TOKEN}"
    assert request.headers["content-encoding"] == encoding
    assert request.headers["content-type"].startswith("text/plain")
    assert request.body == "\n".join(line for row in one_of_each() for line in lines(row))


def test_each_row_goes_to_its_retention_in_as_few_requests_as_there_are() -> None:
    asked: dict[Api, list[dict[str, str]]] = {"v1": [], "v2": []}
    for api, queries in asked.items():
        with HttpStub() as server:
            courier = InfluxCourier(InfluxOptions(url=server.url, api=api, bucket="ward"))
            assert courier.deliver(stored(one_of_each())) == []
            courier.close()
            for request in server.requests:
                queries.append(dict(parse_qsl(request.path.partition("?")[2])))
                policy = queries[-1].get("rp", queries[-1].get("bucket", "").removeprefix("ward/"))
                for line in request.body.split("\n"):
                    assert RETENTION_OF[parse(line).measurement].name == policy
    assert sorted(query["rp"] for query in asked["v1"]) == ["forever", "minute", "second", "wave"]
    assert sorted(query["bucket"] for query in asked["v2"]) == [
        "ward/forever",
        "ward/minute",
        "ward/second",
        "ward/wave",
    ]


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_secret_that_the_server_repeats_is_in_no_error(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = "WARD_TOKEN"
    monkeypatch.setenv(variable, TOKEN)
    for reply in (Reply(403, f'{{"message":"who is {TOKEN}?"}}'), Reply(500, f"who is {TOKEN}?")):
        with HttpStub(lambda _, reply=reply: reply) as server:  # type: ignore[misc]
            courier = InfluxCourier(InfluxOptions(url=server.url, api=api, user="me", secret_env=variable))
            with pytest.raises(DeliveryFailed, match=r"who is \*\*\*\?") as failure:
                courier.deliver(stored([vitals()]))
            courier.close()
        assert TOKEN not in repr(failure.value)


@pytest.mark.parametrize("token", [f"{TOKEN}\n{TOKEN}", f"{TOKEN}\x00", f"{TOKEN}ü"])
def test_a_token_that_no_header_can_carry_is_refused_at_the_start_and_not_shown(token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    with pytest.raises(ValueError, match="characters that no token has") as refusal:
        InfluxCourier(InfluxOptions(url="http://host", secret_file=str(file)))
    assert TOKEN not in str(refusal.value)


def test_a_bucket_that_is_missing_is_for_provisioning_to_make() -> None:
    said = '{"code":"not found","message":"bucket \\"femtoward/second\\" not found"}'
    with HttpStub(lambda _: Reply(404, said)) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url))
        with pytest.raises(DeliveryFailed, match=r"run `femtoward provision`.*femtoward/second\" not found"):
            courier.deliver(stored([vitals()]))
        courier.close()


def test_the_token_is_in_no_log_and_in_no_error(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with HttpStub(lambda _: Reply(401, '{"code":"unauthorized","message":"unauthorized access"}')) as server:
        options = InfluxOptions(url=server.url, secret_file=str(tmp_path / "token"))
        courier = InfluxCourier(options)
        with pytest.raises(DeliveryFailed, match=r"401.*check the token.*unauthorized access") as failure:
            courier.deliver(stored([vitals()]))
        courier.close()
        assert server.requests[0].headers["authorization"] == f"Token {TOKEN}"
    assert TOKEN not in caplog.text + repr(failure.value) + repr(options)


@pytest.mark.parametrize(
    ("reply", "reason", "retry_after_s"),
    [
        (Reply(503, "", (("Retry-After", "7"),)), "503", 7.0),
        (Reply(429, '{"code":"too many requests"}', (("Retry-After", "30"),)), "429", 30.0),
        (Reply(404, '{"code":"not found","message":"bucket not found"}'), "404.*check bucket.*bucket not found", None),
        (Reply(429, "", (("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),)), "429", 0.0),
        (Reply(429, ""), "429", None),
        (Reply(500, "<html>oops</html>"), "500: <html>oops", None),
        (Reply(200, "a portal that answers everything"), "200", None),
        (Reply(302, "", (("Location", "http://127.0.0.1:1/"),)), "302", None),
    ],
)
@pytest.mark.parametrize("api", ["v1", "v2"])
def test_everything_but_204_is_a_failure_that_may_pass(
    api: Api, reply: Reply, reason: str, retry_after_s: float | None
) -> None:
    with HttpStub(lambda _: reply) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url, api=api))
        with pytest.raises(DeliveryFailed, match=reason) as failure:
            courier.deliver(stored([vitals()]))
        assert failure.value.retry_after_s == retry_after_s
        courier.close()


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_server_that_is_not_there_is_a_failure_that_may_pass(api: Api) -> None:
    with HttpStub() as server:
        url = server.url
    courier = InfluxCourier(InfluxOptions(url=url, api=api))
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        courier.deliver(stored([vitals()]))
    courier.close()


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 20", b"HTTP/1.1 500 Oops\r\nContent-Length: 900\r\n\r\nhal"])
def test_a_server_that_closes_half_way_is_a_failure_that_may_pass(api: Api, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        courier = InfluxCourier(InfluxOptions(url=f"http://127.0.0.1:{server.getsockname()[1]}", api=api))
        with pytest.raises(DeliveryFailed, match="InfluxDB"):
            courier.deliver(stored([vitals()]))
        courier.close()
        thread.join()


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_server_that_hangs_is_a_failure_that_may_pass(api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        courier = InfluxCourier(InfluxOptions(url=url, api=api, timeout_s=0.2))
        with pytest.raises(DeliveryFailed, match="cannot be reached"):
            courier.deliver(stored([vitals()]))
        courier.close()


def test_a_part_that_fails_is_followed_by_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.couriers.influx.MOST_LINES", 2)
    replies = [Reply(204), Reply(503), Reply(204), Reply(204), Reply(204), Reply(204)]
    rows = stored([ledger(revision) for revision in range(1, 7)])
    with HttpStub(lambda _: replies.pop(0)) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url))
        with pytest.raises(DeliveryFailed, match="503"):
            courier.deliver(rows)
        assert courier.deliver(rows) == []
        courier.close()
        said = [[parse(line).fields["revision"] for line in request.body.split("\n")] for request in server.requests]
    assert said == [[1, 2], [3, 4], [1, 2], [3, 4], [5, 6]]


def test_a_large_batch_goes_in_requests_of_bounded_size() -> None:
    with HttpStub() as server:
        courier = InfluxCourier(InfluxOptions(url=server.url))
        courier.deliver(stored([wave(second=SECOND + i) for i in range(500)]))
        courier.close()
        assert [request.body.count("\n") + 1 for request in server.requests] == [5_000, 5_000, 2_500]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "influx:8086"}, "need http://host:8086"),
        ({"url": "http://me:secret@host:8086"}, "url holds a user or a password"),
        ({"url": "http://host", "bucket": ""}, "bucket is empty"),
        ({"url": "http://host", "batch": 0}, "need batch >= 1"),
        ({"url": "http://host", "bucket": "db/rp"}, "need a name without /"),
        ({"url": "http://host", "api": "v3"}, "Invalid enum value"),
        ({"url": "http://host", "tokn": "x"}, "unknown field"),
    ],
)
def test_a_malformed_option_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message) as refusal:
        msgspec.convert(changes, InfluxOptions)
    assert "secret@" not in str(refusal.value)


@pytest.mark.parametrize(
    ("env", "file", "message"),
    [
        ("NOT_SET_ANYWHERE", "", "NOT_SET_ANYWHERE is not set"),
        ("", "/nowhere/token", "cannot be read from /nowhere/token"),
        ("A", "b", "need one"),
    ],
)
def test_a_missing_token_is_refused_at_the_start(env: str, file: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InfluxCourier(InfluxOptions(url="http://host", secret_env=env, secret_file=file))


@pytest.mark.servers
def test_influxd_makes_what_is_missing_and_keeps_each_row_as_long_as_it_should(influxd: InfluxServer) -> None:
    now_s = int(time.time())
    hour = now_s // 3600
    rows: list[Row] = [
        vitals(second=now_s),
        replace(alarm(), event_ns=now_s * NS),
        wave(second=now_s),
        device(last_seen_ns=now_s * NS),
        ledger(hour=hour),
    ]
    courier = InfluxCourier(InfluxOptions(url=influxd.url, api="v1", bucket="kept"))
    assert courier.deliver(stored(rows)) == []  # the database is not there
    influxd.query("DROP RETENTION POLICY wave ON kept")
    assert courier.deliver(stored(rows)) == []  # a policy is not there
    courier.close()
    kept = {row[0]: row[1] for row in influxd.query("SHOW RETENTION POLICIES ON kept")[0]["values"]}
    assert {name: kept[name] for name in ("second", "wave", "minute", "hour", "forever")} == {
        "second": "720h0m0s",
        "wave": "48h0m0s",
        "minute": "8760h0m0s",
        "hour": "87600h0m0s",
        "forever": "0s",
    }
    for name in ("vitals", "alarm", "wave", "device", "ledger"):
        [series] = influxd.query(f"SELECT * FROM {qualified(name)}", "kept")  # noqa: S608
        assert len(series["values"]) == (25 if name == "wave" else 1)
    assert influxd.query("SELECT hr FROM vitals", "kept")  # the policy of the seconds is the database's own


@pytest.mark.servers
def test_influxd_makes_the_database_and_gives_back_every_kind_of_row(influxd: InfluxServer) -> None:
    text = 'quotes " and \\ , commas = \n newlines 🫀\\'
    rows: list[Row] = [
        replace(vitals(), reason=text),
        alarm(reason=text),
        alarm(step=1, state="ended"),
        wave(),
        device(),
        ledger(),
    ]
    courier = v1(influxd, 'of "every" kind')
    assert courier.deliver(stored(rows)) == []
    assert courier.deliver(stored(rows)) == []  # overwrites itself
    courier.close()
    _same_points(influxd, 'of "every" kind', rows)


@pytest.mark.servers
@given(rows=st.lists(any_vitals, min_size=1, max_size=8, unique_by=lambda row: row.second), patient=texts)
@settings(max_examples=25)
def test_influxd_gives_back_any_text_and_any_number(influxd: InfluxServer, rows: list[Vitals], patient: str) -> None:
    courier = v1(influxd, "anything")
    site = f"site-{next(_NUMBERS)}"
    some: list[Row] = [replace(row, site=site, patient=patient) for row in rows]
    assert courier.deliver(stored(some)) == []
    courier.close()
    _same_points(influxd, "anything", some, site)


@pytest.mark.servers
def test_influxd_refuses_one_line_and_keeps_the_rest(influxd: InfluxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    courier = v1(influxd, "poisoned")
    assert courier.deliver(stored([vitals("p0")])) == []
    monkeypatch.setattr(
        "dataflows.couriers.influx.lines",
        lambda row: [f'vitals,patient={row.patient} hr="text" {SECOND * NS}'] if row.patient == "p3" else lines(row),
    )
    refused = courier.deliver(stored([vitals(f"p{i}") for i in range(1, 8)]))
    courier.close()
    assert [one.row.id for one in refused] == [3]
    assert "field type conflict" in refused[0].reason
    [series] = influxd.query('SELECT "patient", hr FROM vitals', "poisoned")
    assert {row[1] for row in series["values"]} == {"p0", "p1", "p2", "p4", "p5", "p6", "p7"}


@pytest.mark.servers
def test_rows_older_than_the_retention_are_refused_without_being_tried_one_by_one(influxd: InfluxServer) -> None:
    influxd.query("CREATE DATABASE short WITH DURATION 1h")
    courier = v1(influxd, "short")
    refused = courier.deliver(stored([vitals(f"p{i}") for i in range(20)]))
    courier.close()
    assert len(refused) == 20
    assert "beyond retention policy" in refused[0].reason


def _patients(server: InfluxServer, database: str) -> set[str]:
    return {one["tags"]["patient"] for one in server.query("SELECT hr FROM vitals GROUP BY patient", database)}


@pytest.mark.servers
def test_a_server_that_takes_no_new_patients_is_at_fault_and_no_row_is(tmp_path: Path) -> None:
    with InfluxServer(tmp_path, data="max-values-per-tag = 20") as server:
        courier = v1(server, "full")
        assert courier.deliver(stored([vitals(f"p{i}") for i in range(20)])) == []
        with pytest.raises(DeliveryFailed, match=r"no new patients: .*max-values-per-tag limit exceeded \(20/20\)"):
            courier.deliver(stored([vitals(f"p{i}", SECOND + 1) for i in range(15, 25)]))  # some of them are known
        with pytest.raises(DeliveryFailed, match=r"set max-values-per-tag = 0, .* index-version = 'tsi1' in \[data\]"):
            courier.deliver(stored([alarm(patient="p3"), *(vitals(f"p{i}", SECOND + 2) for i in range(20, 25))]))
        assert courier.deliver(stored([vitals("p3", SECOND + 3)])) == []  # those who are known go on
        assert len(_patients(server, "full")) == 20
        server.stop()
        server.configure("max-values-per-tag = 0\nmax-series-per-database = 0\nindex-version = 'tsi1'")
        server.start()
        assert courier.deliver(stored([vitals(f"p{i}", SECOND + 1) for i in range(15, 25)])) == []
        assert len(_patients(server, "full")) == 25
        courier.close()


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_server_that_is_full_of_series_is_at_fault_and_no_row_is(api: Api) -> None:
    said = '{"error":"partial write: max-series-per-database limit exceeded: (1000000) dropped=1"}'
    with HttpStub(lambda request: Reply(400, said) if "p9" in request.body else Reply(204)) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url, api=api))
        with pytest.raises(DeliveryFailed, match=r"no new patients: .* \(1000000\) .*set max-values-per-tag = 0"):
            courier.deliver(stored([vitals(f"p{i}") for i in range(10)]))
        courier.close()


def _same_points(server: InfluxServer, database: str, rows: list[Row], site: str = "north") -> None:
    """Everything that the server holds of a site is what the rows' lines say, in values and in types."""
    wanted = [parse(line) for row in rows for line in lines(row)]
    found = []
    for measurement in {point.measurement for point in wanted}:
        keys = {row[0] for row in server.query(f'SHOW TAG KEYS FROM "{measurement}"', database)[0]["values"]}
        types = dict(server.query(f'SHOW FIELD KEYS FROM "{measurement}"', database)[0]["values"])
        [series] = server.query(f"SELECT * FROM \"{measurement}\" WHERE site = '{site}'", database)  # noqa: S608
        for values in series["values"]:
            said = {name: value for name, value in zip(series["columns"], values, strict=True) if value is not None}
            time_ns = said.pop("time")
            tags = {name: said.pop(name) for name in keys if name in said}
            # JSON knows one kind of number, the server's list of fields knows better.
            fields = {name: _TYPES[types[name]](value) for name, value in said.items()}
            found.append(Point(measurement, tags, fields, time_ns))
    assert sorted(map(_comparable, found)) == sorted(map(_comparable, wanted))


_NUMBERS = itertools.count()
_TYPES: dict[str, Callable[[Any], Any]] = {"float": float, "integer": int, "boolean": bool, "string": str}


def _comparable(point: Point) -> str:
    # The server's JSON says -0 for -0.0, which reads as a whole number.
    fields = {name: value + 0.0 if isinstance(value, float) else value for name, value in point.fields.items()}
    return repr((point.time_ns, point.measurement, sorted(point.tags.items()), sorted(fields.items())))
