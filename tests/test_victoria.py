"""The v2 path by influxdb-client into a real server that speaks it: VictoriaMetrics keeps every number."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, device, ledger, vitals, wave
from victoria_server import Sample, VictoriaServer

from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.line_protocol import points
from dataflows.events import Reading, Row
from dataflows.store import Stored


@pytest.mark.servers
def test_victoria_metrics_keeps_every_number_that_the_v2_path_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.couriers.outlet.HERE", frozenset())  # gzipped, as to any other machine
    text = 'quotes " and \\ , commas = 🫀\\'  # a newline within a text is the end of a line to this server
    rows: list[Row] = [
        *(replace(vitals(second=SECOND + n), hr=Reading(60.0 + 1 / (n + 3), 1e-9 * n, 0.5)) for n in range(50)),
        replace(vitals("p2"), reason=text),
        alarm(reason=text),
        alarm(step=1, state="ended"),
        wave(),
        device(),
        ledger(),
    ]
    with VictoriaServer(tmp_path) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url, api="v2"))
        stored = [Stored(number, row) for number, row in enumerate(rows, start=1)]
        assert courier.deliver(stored) == []
        assert courier.deliver(stored) == []  # overwrites itself
        courier.close()
        found = server.samples()
    wanted = {
        Sample(f"{measurement}_{name}", tags, time_ns // (NS // 1000)): value
        for row in rows
        for measurement, tags, time_ns, fields in points(row)
        for name, value in fields.items()
    }
    assert found.keys() == wanted.keys()
    numbers = {sample: float(value) for sample, value in wanted.items() if not isinstance(value, str)}
    assert len(numbers) > 500
    assert [found[sample] for sample in numbers] == pytest.approx(list(numbers.values()), rel=1e-12, abs=0.0)
