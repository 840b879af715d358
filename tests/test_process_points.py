"""How the parts of a host are, scraped and written: what is read, what is said of one that is away."""

import logging
import math
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from carrying import Place, Reports
from http_stub import HttpStub, Reply
from hypothesis import given
from hypothesis import strategies as st
from influx_server import InfluxServer
from line_parser import Point, parse
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, start_http_server
from servers import eventually, free_port

from dataflows import metrics as of_flow
from dataflows.couriers.courier import CourierOptions, run_couriers
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.part_metrics import LATENCY, SOURCES, quantile, reading
from dataflows.couriers.process_points import ProcessOptions, ProcessPoints, Target
from dataflows.latency import Latency
from deploy import health
from deploy.metrics import RESTARTS
from ingest import metrics as of_ingest
from ingest.beacon import Beacon

NOW_NS = 1_700_000_000_000_000_000


class PartRegistry:
    """What one part exports, as the real ones do."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.alive = Gauge("femtoward_alive", "", registry=self.registry)
        self.ready = Gauge("femtoward_ready", "", registry=self.registry)
        self.alive.set(1)


class FlowRegistry(PartRegistry):
    """The same of a flow."""

    def __init__(self) -> None:
        super().__init__()
        self.behind = Gauge("femtoward_flow_behind_seconds", "", registry=self.registry)
        self.rows = Counter("femtoward_store_rows", "", ["kind"], registry=self.registry)
        self.bad = Counter("femtoward_bad_messages", "", ["reason"], registry=self.registry)
        # Code of ingest that the flow loads brings its metrics along.
        self.bytes = Gauge("femtoward_journal_bytes", "", registry=self.registry)
        self.latency = Latency(LATENCY, "", (0.1, 0.2, 0.4), self.registry)


@contextmanager
def exported(registry: CollectorRegistry) -> Iterator[str]:
    """Serve a registry's /metrics; yields its address."""
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def points(*targets: Target, runs: tuple[str, ...] = (), influx: str = "http://127.0.0.1:1") -> ProcessPoints:
    options = ProcessOptions(targets=targets, run_urls=runs)
    return ProcessPoints(options, InfluxOptions(url=influx), Beacon(), now_ns=lambda: NOW_NS)


def flow(url: str) -> Target:
    return Target(part="flow", instance="0", name="flow", url=url)


def test_every_metric_of_the_table_is_one_that_the_parts_export() -> None:
    of_ingest.MESSAGES.inc(0)
    health.BUILD.info({"part": "test"})
    of_flow.ROWS.labels("test")
    of_flow.BAD.labels("test")
    of_flow.BACKLOG.labels("test")
    of_flow.FAILING.labels("test")
    RESTARTS.labels("test")
    known = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    assert {source.metric for source in SOURCES} <= known
    assert f"{LATENCY}_bucket" in known
    assert "femtoward_restarts_total" in known


def test_a_part_is_one_point_with_the_sums_of_its_metrics_and_nothing_of_other_parts() -> None:
    part = FlowRegistry()
    part.ready.set(1)
    part.behind.set(0.25)
    part.rows.labels("vitals").inc(70)
    part.rows.labels("wave").inc(30)
    part.bad.labels("undecodable").inc(2)
    part.bytes.set(5)
    with exported(part.registry) as url:
        said = points(flow(url)).lines()
    assert [parse(one) for one in said] == [
        Point(
            "process",
            {"part": "flow", "instance": "0"},
            {"alive": 1, "ready": 1, "behind_s": 0.25, "rows": 100, "bad_messages": 2},
            NOW_NS,
        )
    ]


def test_latency_is_that_of_the_time_between_two_scrapes() -> None:
    part = FlowRegistry()
    part.latency.add(np.full(1000, 0.3))  # long ago
    with exported(part.registry) as url:
        asked = points(flow(url))
        assert "latency_ms_p50" not in parse(asked.lines()[0]).fields
        part.latency.add(np.full(100, 0.05))
        fields = parse(asked.lines()[0]).fields
        assert fields["latency_ms_p50"] == 50.0
        assert fields["latency_ms_p99"] == 99.0
        assert "latency_ms_p50" not in parse(asked.lines()[0]).fields  # nothing since


def test_a_flow_that_has_started_again_counts_from_nought() -> None:
    before, after = FlowRegistry(), FlowRegistry()
    before.latency.add(np.full(1000, 0.05))
    after.latency.add(np.full(10, 0.15))
    port = free_port()
    target = flow(f"http://127.0.0.1:{port}/metrics")
    asked = points(target)
    for part in (before, after):
        server, thread = start_http_server(port, "127.0.0.1", part.registry)
        [said] = asked.lines()
        server.shutdown()
        server.server_close()
        thread.join()
    assert parse(said).fields["latency_ms_p50"] == 150.0


def test_a_part_that_does_not_answer_is_not_alive_and_that_is_the_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.couriers.process_points.SCRAPE_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as hangs,
        exported(PartRegistry().registry) as well,
        HttpStub(lambda _: Reply(404)) as no_metrics,
    ):
        targets = [
            Target(part="ingest", instance="main", name="ingest", url=url)
            for url in (
                f"http://127.0.0.1:{hangs.getsockname()[1]}/metrics",
                f"http://127.0.0.1:{free_port()}/metrics",
                no_metrics.url,
                well,
            )
        ]
        said = [parse(one).fields for one in points(*targets).lines()]
    assert said == [{"alive": 0, "ready": 0}] * 3 + [{"alive": 1, "ready": 0}]


@pytest.mark.parametrize("text", ["", "<html>a portal</html>", "femtoward_alive one\n", 'x{y="z\n', "\x00\x01"])
def test_what_is_no_metrics_is_no_answer(text: str) -> None:
    with HttpStub(lambda _: Reply(200, text)) as server:
        assert parse(points(flow(server.url)).lines()[0]).fields == {"alive": 0, "ready": 0}


def test_this_process_speaks_for_itself_and_restarts_come_from_its_supervisor() -> None:
    registry = CollectorRegistry()
    restarts = Counter("femtoward_restarts", "", ["part"], registry=registry)
    restarts.labels("couriers").inc(3)
    restarts.labels("flow").inc(1)
    with exported(registry) as run:
        own = Target(part="couriers", instance="main", name="couriers")
        gone = flow(f"http://127.0.0.1:{free_port()}/metrics")
        here, there = (parse(one).fields for one in points(own, gone, runs=(run,)).lines())
    assert (here["alive"], here["ready"], here["restarts"]) == (1, 0, 3)
    assert there == {"alive": 0, "ready": 0, "restarts": 1}


def test_what_cannot_be_written_is_said_once_and_neither_kept_nor_raised(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    own = Target(part="couriers", instance="main", name="couriers")
    with HttpStub(lambda _: Reply(503)) as server:
        asked = points(own, influx=server.url)
        asked.write()
        asked.write()
        assert len(caplog.records) == 1
        server.reply = lambda _: Reply(400, '{"error":"field type conflict"}')
        asked.write()
        server.reply = lambda _: Reply(204)
        asked.write()
        server.reply = lambda _: Reply(503)
        asked.write()
        assert [record.message for record in caplog.records] == [
            "how the parts are was not written, nor is it kept: InfluxDB answers 503: "
        ] * 2
        assert [request.body.count("process,") for request in server.requests] == [1] * 5
        assert "bucket=femtoward%2Fsecond" in server.requests[0].path


@pytest.mark.servers
def test_the_couriers_write_how_the_parts_are_while_they_carry(tmp_path: Path) -> None:
    place, folder, stopping = Place(tmp_path), tmp_path / "influx", threading.Event()
    folder.mkdir()
    with InfluxServer(folder) as server, exported(FlowRegistry().registry) as url:
        options = CourierOptions(
            store=place.store,
            cursors=place.cursors,
            influx=InfluxOptions(url=server.url, api="v1"),
            process=ProcessOptions(
                targets=(flow(url), Target(part="couriers", instance="main", name="couriers")), every_s=0.05
            ),
        )
        thread = threading.Thread(target=run_couriers, args=(options, stopping, Reports()), daemon=True)
        thread.start()
        statement = 'SELECT last(alive) FROM "second"."process" GROUP BY part, instance'

        def seen() -> set[tuple[str, str]]:
            if not any("femtoward" in row for one in server.query("SHOW DATABASES") for row in one.get("values", [])):
                return set()
            kept = server.query("SHOW RETENTION POLICIES ON femtoward")[0]["values"]  # made after the database
            if not any(row[0] == "second" for row in kept):
                return set()
            return {(one["tags"]["part"], one["tags"]["instance"]) for one in server.query(statement)}

        eventually(lambda: seen() == {("flow", "0"), ("couriers", "main")}, what="points of both parts")
        stopping.set()
        thread.join()
        types = dict(server.query('SHOW FIELD KEYS FROM "second"."process"')[0]["values"])
    assert types["alive"] == "integer"


@given(st.lists(st.floats(0.0, 0.4), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_of_the_value_that_it_stands_for(values: list[float], share: float) -> None:
    registry = CollectorRegistry()
    latency = Latency(LATENCY, "", (0.1, 0.2, 0.4), registry)
    latency.add(np.array(values))
    found = quantile(reading(registry.collect()).latency, share)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    bound = next(bound for bound in (0.1, 0.2, 0.4) if exact <= bound)
    assert bound / 2 - 0.1 <= found <= bound + 1e-12


def test_a_quantile_of_nothing_is_none_and_of_what_has_no_bound_the_lower_one() -> None:
    assert math.isnan(quantile({}, 0.5))
    assert math.isnan(quantile({0.1: 0.0, math.inf: 0.0}, 0.5))
    assert quantile({0.1: 0.0, math.inf: 4.0}, 0.5) == 0.1
