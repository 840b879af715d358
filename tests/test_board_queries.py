"""Every query of every dashboard against a real InfluxDB that holds a simulated ward: each must find something."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import urllib3
from board_queries import Asked, filled, panel_queries
from board_ward import PATIENT, ward_rows
from influx_server import InfluxServer

from dataflows.couriers.line_protocol import lines
from dataflows.events import SECOND_NS, Vitals
from deploy.grafana.measurements import MEASUREMENTS, PROCESS, TIERED

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
        for policy in sorted({known.policy for known in MEASUREMENTS.values()}):
            default = "DEFAULT" if policy == "second" else ""
            server.query(f'CREATE RETENTION POLICY "{policy}" ON "femtoward" DURATION INF REPLICATION 1 {default}')
        http = urllib3.PoolManager()
        for policy in sorted({known.policy for known in MEASUREMENTS.values()}):
            text = "\n".join(line for line in said if MEASUREMENTS[line.split(",")[0]].policy == policy)
            answer = http.request("POST", f"{server.url}/write?db=femtoward&rp={policy}", body=text.encode())
            assert answer.status == 204, answer.data
        http.clear()
        means = ", ".join(
            f'mean("{name}") AS "{name}", min("{name}") AS "{name}_min", max("{name}") AS "{name}_max"'
            for name in TIERED
        )
        for into, every in (('"minute"."vitals_1m"', "1m"), ('"hour"."vitals_1h"', "1h")):
            server.query(
                f'SELECT {means} INTO {into} FROM "second"."vitals" WHERE time >= {min(seconds)}s AND '  # noqa: S608
                f"time <= {max(seconds)}s GROUP BY time({every}), *"
            )
        yield Ward(server, min(seconds) // 3600 * 3600, max(seconds) + 1)


def _of_processes(first_s: int, last_s: int) -> list[str]:
    """What the processes of a ward say of themselves."""
    fields = ",".join(f"{name}=1" for name in PROCESS if name not in {"messages", "rows"})
    return [
        f"process,instance=main,part={part} {fields},messages={second},rows={second} {second * SECOND_NS}"
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
