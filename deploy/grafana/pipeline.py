"""Pipeline: does what a patient's heart did a moment ago reach a nurse: latency, lag, backlog, refusals, room."""

from deploy.grafana.board import Choice, dashboard
from deploy.grafana.columns import hidden, on
from deploy.grafana.influxql import INTERVAL, Query, chosen, fields, select
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Dashboard, Panel
from deploy.grafana.panels import TEXT, table, timeline, trend
from deploy.grafana.words import DONE, FAILING, GOOD, HIGH, MEDIUM, READY, steps, values

PROCESSES: tuple[Choice, ...] = ("part",)
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


def _ready() -> Panel:
    return timeline(
        "Data flows",
        "Whether data flows through each process, as it says itself. A hole: it said nothing.",
        select(
            "process",
            {"ready": 'min("ready")'},
            where=chosen(*PROCESSES),
            by=["part", "instance"],
            every=INTERVAL,
            fill="none",
        ),
        alias="$tag_part $tag_instance",
        mappings=values(READY),
        empty=NO_PROCESS,
        hole_s=60,
        interval="10s",
    )


def _delivers() -> Panel:
    return timeline(
        "Couriers",
        "Whether the couriers deliver. One that fails keeps everything and tries again; nobody else waits for it.",
        select(
            "process",
            {"failing": 'max("courier_failing")'},
            where=chosen(*PROCESSES),
            by=["part", "instance"],
            every=INTERVAL,
            fill="none",
        ),
        alias="$tag_part $tag_instance",
        mappings=FAILING,
        empty=NO_PROCESS,
        hole_s=60,
        interval="10s",
    )


def _latency() -> Panel:
    return trend(
        "Latency of vitals",
        "From the newest sample in a row of vitals to its commit: half of the rows are faster than p50, all but one "
        "in a hundred faster than p99. Aim: p99 below 500 ms.",
        select(
            "process",
            {"p50": 'mean("latency_ms_p50")', "p99": 'max("latency_ms_p99")'},
            where=chosen(*PROCESSES),
            by=["instance"],
            every=INTERVAL,
            fill="none",
        ),
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
        select(
            "process",
            {field: f'{function}("{field}")'},
            where=chosen(*PROCESSES),
            by=["part", "instance"],
            every=INTERVAL,
            fill="none",
        ),
        alias="$tag_part $tag_instance",
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
        alias="$col $tag_part $tag_instance",
        unit="suffix:/s",
        bounds=(0.0, None),
        empty=NO_PROCESS,
        interval="10s",
    )


def _rate(field: str) -> Query:
    return select(
        "process",
        {field: f'non_negative_derivative(max("{field}"), 1s)'},
        where=chosen(*PROCESSES),
        by=["part", "instance"],
        every=INTERVAL,
        fill="none",
    )


def _bad() -> Panel:
    return trend(
        "Messages refused",
        "By reason. Each is kept with what was wrong with it; the table below shows the newest.",
        select(
            "pipeline",
            {"refused": 'sum("count")'},
            where=["\"kind\" = 'bad'", *chosen(*SITES)],
            by=["condition"],
            every=INTERVAL,
            fill="none",
        ),
        alias="$tag_condition",
        unit="short",
        empty="No message was refused in the time shown",
        style="bars",
        stack=True,
        interval="10s",
    )


def _refused() -> Panel:
    return table(
        "Newest messages refused",
        "What came, what was expected, what to do. One row may stand for others that were refused likewise.",
        select(
            "pipeline",
            {"reason": '"condition"', **fields("topic", "detail", "count", "size", "offset", "site")},
            where=["\"kind\" = 'bad'", *chosen(*SITES)],
            tail="ORDER BY time DESC LIMIT 200",
        ),
        empty="No message was refused in the time shown",
        overrides=[
            on("Time", width=190),
            on("reason", width=160),
            on("size", unit=unit("pipeline", "size"), width=90),
            on("count", "offset", width=90),
            hidden("site"),
        ],
        height="sm",
    )


def _answers() -> Panel:
    return table(
        "Commands",
        "Who told the ward to do what, and what became of it.",
        select(
            "pipeline",
            fields("done", "actor", "detail", "command", "site"),
            where=["\"kind\" = 'answer'", *chosen(*SITES)],
            tail="ORDER BY time DESC LIMIT 200",
        ),
        empty="No command was given in the time shown",
        overrides=[
            on("Time", width=190),
            on("done", width=110, mappings=values(DONE), custom__cellOptions=TEXT),
            hidden("site", "command"),
        ],
        height="sm",
    )


def _removals() -> Panel:
    return table(
        "Removed for want of room",
        "What was given up when the disk ran short: a loss that is known.",
        select(
            "removal",
            {"what": '"kind"', **fields("why", "size", "first", "end")},
            where=[HERE],
            tail="ORDER BY time DESC LIMIT 200",
        ),
        empty="Nothing was removed in the time shown: there was room",
        overrides=[on("Time", width=190), on("size", unit=unit("removal", "size"), width=110)],
        height="sm",
    )
