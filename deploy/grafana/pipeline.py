"""Pipeline: does what a patient's heart did a moment ago reach a nurse: latency, lag, backlog, refusals, room."""

from collections.abc import Sequence

from deploy.grafana.board import Choice, dashboard
from deploy.grafana.columns import hidden, on
from deploy.grafana.influxql import Query, chosen, fields, select, stepped
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Dashboard, Mapped, Override, Panel
from deploy.grafana.panels import TEXT, table, timeline, trend
from deploy.grafana.words import DONE, FAILING, GOOD, HIGH, MEDIUM, READY, steps, values

PROCESSES: tuple[Choice, ...] = ("part",)
EACH = "$tag_part $tag_instance"
SITES: tuple[Choice, ...] = ("site",)
HERE = f"({chosen(*SITES)[0]} OR \"site\" = '-')"  # what is of the whole host is of every site
NO_PROCESS = (
    "No process of femtoward said anything in the time shown: the couriers ask the health ports ([health]) and write "
    "this, so they are down, or InfluxDB cannot be reached"
)


def pipeline() -> Dashboard:
    """Build the dashboard."""
    return dashboard(
        "femtoward-pipeline",
        "For administrators: does data flow, how fast, and how long will there be room.",
        [
            Shelf(7, (_ready(), _delivers())),
            Shelf(9, (_latency(), _behind())),
            Shelf(9, (_backlog(), _throughput())),
            Shelf(9, (_restarts(), _bad())),
            Shelf(9, (_room(), _journal())),
            Shelf(10, (_refused(),)),
            Shelf(9, (_answers(), _removals())),
        ],
        choices=(*SITES, *PROCESSES),
        shows="1h",
        refresh="10s",
        marks=False,
    )


def _said(columns: dict[str, str], by: Sequence[str] = ("part", "instance")) -> Query:
    """What processes said of themselves, step by step."""
    return stepped("process", columns, where=chosen(*PROCESSES), by=by)


def _lasting(title: str, description: str, columns: dict[str, str], mappings: tuple[Mapped, ...]) -> Panel:
    """What each process was, as long as it said so."""
    return timeline(
        title,
        description,
        _said(columns),
        alias=EACH,
        mappings=mappings,
        empty=NO_PROCESS,
        hole_s=60,
        interval="10s",
    )


def _ready() -> Panel:
    return _lasting(
        "Data flows",
        "Whether data flows through each process, as it says itself. A hole: it said nothing.",
        {"ready": 'min("ready")'},
        values(READY),
    )


def _delivers() -> Panel:
    return _lasting(
        "Couriers",
        "Whether the couriers deliver. One that fails keeps everything and tries again; nobody else waits for it.",
        {"failing": 'max("courier_failing")'},
        FAILING,
    )


def _latency() -> Panel:
    return trend(
        "Latency of vitals",
        "From the newest sample in a row of vitals to its commit: half of the rows are faster than p50, all but one "
        "in a hundred faster than p99. Aim: p99 below 500 ms.",
        _said({"p50": 'mean("latency_ms_p50")', "p99": 'max("latency_ms_p99")'}, by=["instance"]),
        alias="$col $tag_instance",
        unit=unit("process", "latency_ms_p50"),
        bounds=(0.0, None),
        thresholds=steps(GOOD, (500.0, MEDIUM), (2000.0, HIGH)),
        empty="No row of vitals was made in the time shown, or: " + NO_PROCESS,
        interval="10s",
    )


def _behind() -> Panel:
    return _processes(
        "Lag",
        "Age of what the flow works on: seconds that it is behind the arrival of data.",
        "behind_s",
        "max",
        thresholds=True,
    )


def _backlog() -> Panel:
    return _processes("Backlog of the couriers", "Rows that are yet to be delivered.", "backlog_rows", "max")


def _restarts() -> Panel:
    return _processes(
        "Restarts",
        "Times that a part was started again after it had died, since the ward was started.",
        "restarts",
        "max",
    )


def _room() -> Panel:
    return _processes("Room on the disk", "Room left for the data folder.", "room_bytes", "min")


def _journal() -> Panel:
    return _processes("Journal", "What the journal takes on the disk.", "journal_bytes", "max")


def _processes(title: str, description: str, field: str, function: str, *, thresholds: bool = False) -> Panel:
    return trend(
        title,
        description,
        _said({field: f'{function}("{field}")'}),
        alias=EACH,
        unit=unit("process", field),
        bounds=(0.0, None),
        thresholds=steps(GOOD, (5.0, MEDIUM), (30.0, HIGH)) if thresholds else None,
        empty=NO_PROCESS,
        interval="10s",
    )


def _throughput() -> Panel:
    return trend(
        "Messages and rows",
        "Messages that came in and rows that were written, a second.",
        {"A": _rate("messages"), "B": _rate("rows")},
        alias=f"$col {EACH}",
        unit="suffix:/s",
        bounds=(0.0, None),
        empty=NO_PROCESS,
        interval="10s",
    )


def _rate(field: str) -> Query:
    return _said({field: f'non_negative_derivative(max("{field}"), 1s)'})


def _bad() -> Panel:
    return trend(
        "Messages refused",
        "By reason. Each is kept with what was wrong with it; the table below shows the newest.",
        stepped("pipeline", {"refused": 'sum("count")'}, where=_of_kind("bad"), by=["condition"]),
        alias="$tag_condition",
        unit="short",
        empty="No message was refused in the time shown",
        style="bars",
        stack=True,
        interval="10s",
    )


def _of_kind(kind: str) -> list[str]:
    return [f"\"kind\" = '{kind}'", *chosen(*SITES)]


def _refused() -> Panel:
    return _newest(
        "Newest messages refused",
        "What came, what was expected, what to do. One row may stand for others that were refused likewise.",
        ("pipeline", {"reason": '"condition"', **fields("topic", "detail", "count", "size", "offset", "site")}),
        where=_of_kind("bad"),
        empty="No message was refused in the time shown",
        overrides=[
            on("reason", width=160),
            on("size", unit=unit("pipeline", "size"), width=90),
            on("count", "offset", width=90),
            hidden("site"),
        ],
    )


def _answers() -> Panel:
    return _newest(
        "Commands",
        "Who told the ward to do what, and what became of it.",
        ("pipeline", fields("done", "actor", "detail", "command", "site")),
        where=_of_kind("answer"),
        empty="No command was given in the time shown",
        overrides=[
            on("done", width=110, mappings=values(DONE), custom__cellOptions=TEXT),
            hidden("site", "command"),
        ],
    )


def _removals() -> Panel:
    return _newest(
        "Removed for want of room",
        "What was given up when the disk ran short: a loss that is known.",
        ("removal", {"what": '"kind"', **fields("why", "size", "first", "end")}),
        where=[HERE],
        empty="Nothing was removed in the time shown: there was room",
        overrides=[on("size", unit=unit("removal", "size"), width=110)],
    )


def _newest(
    title: str,
    description: str,
    asked: tuple[str, dict[str, str]],
    *,
    where: Sequence[str],
    empty: str,
    overrides: Sequence[Override],
) -> Panel:
    """Return a table of the newest points of a measurement, with what is shown of each."""
    measurement, columns = asked
    return table(
        title,
        description,
        select(measurement, columns, where=where, tail="ORDER BY time DESC LIMIT 200"),
        empty=empty,
        overrides=[on("Time", width=190), *overrides],
        height="sm",
    )
