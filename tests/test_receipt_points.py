"""Receipts as points of InfluxDB, in a real influxd."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from influx_server import InfluxServer
from outgoing import NS, SECOND

from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.receipt_points import ReceiptPoints, new_receipts
from dataflows.couriers.receipts import Receipt, Receipts


@pytest.fixture
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        yield server


@pytest.mark.servers
def test_receipts_are_points_each_written_once(influxd: InfluxServer, tmp_path: Path) -> None:
    influxd.query("CREATE DATABASE receipts")
    path = tmp_path / "couriers.sqlite"
    points = ReceiptPoints(str(path), InfluxOptions(url=influxd.url, api="v1", bucket="receipts", tiers="none"))
    points.write()  # there is nothing yet
    at_ns = SECOND * NS
    with Receipts(path) as kept:
        for receiver, what, after_ms in (("pager", "queued", 0), ("pager", "delivered", 45), ("phone", "delivered", 9)):
            kept.note(Receipt(receiver, "north", "a1", 0, what, at_ns + after_ms * NS // 1000))
        points.write()
        kept.note(Receipt("pager", "north", "a1", 0, "did mark-true", at_ns + 5 * NS))
        points.write()
        assert new_receipts(path, 3, 9)[0].receipt.what == "did mark-true"
    points.write()
    [series] = influxd.query("SELECT * FROM receipt", "receipts")
    assert series["columns"] == ["time", "after_ms", "alarm", "receiver", "site", "step", "what"]
    assert sorted(row[1:] for row in series["values"] if row[3] == "pager") == [
        [0, "a1", "pager", "north", 0, "queued"],
        [45, "a1", "pager", "north", 0, "delivered"],
        [5000, "a1", "pager", "north", 0, "did mark-true"],
    ]
    assert [row[1:] for row in series["values"] if row[3] == "phone"] == [
        [None, "a1", "phone", "north", 0, "delivered"]
    ]
