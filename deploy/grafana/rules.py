"""Alert rules on the pipeline itself: what an administrator is to be told by Grafana, and by which contact point.

Patients' alarms do not go this way: femtoward pages by itself, and does not wait for a database. The queries name their
time themselves and the texts use no variables, so that a provisioning file, in which ``$`` is special, can hold both.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from deploy.grafana.board import FOLDER_UID
from deploy.grafana.influxql import Query, select
from deploy.grafana.model import EXPRESSION, INFLUX

GROUP = "femtoward pipeline"
EVERY = "1m"
CONTACT = "femtoward"
CONTACT_UID = "femtoward-contact"
LOOKS_BACK_S = 600
Severity = Literal["high", "medium", "low"]


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One step from a query to a verdict."""

    ref_id: str
    query_type: str
    relative_time_range: Mapping[str, int]
    datasource_uid: str
    model: Mapping[str, object]


class Rule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a provisioning file says of a rule; the HTTP API takes the same and where it belongs."""

    uid: str
    title: str
    condition: str
    data: tuple[AlertQuery, ...]
    no_data_state: Literal["OK", "NoData", "Alerting"]
    exec_err_state: Literal["OK", "Error", "Alerting"]
    for_: str = msgspec.field(name="for")
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    is_paused: bool


class _Limit(NamedTuple):
    """What is asked, and from what value on for how long it is an alert."""

    uid: str
    title: str
    query: Query
    beyond: Literal["gt", "lt"]
    value: float
    lasts: str
    severity: Severity
    summary: str
    todo: str
    silence: Literal["OK", "Alerting"] = "OK"


_PROCESS = ("part", "instance")


def rules() -> tuple[Rule, ...]:
    """Return every rule."""
    return tuple(_rule(limit) for limit in _limits())


def queries() -> dict[str, Query]:
    """Query of each rule, by its title."""
    return {limit.title: limit.query for limit in _limits()}


def _limits() -> list[_Limit]:
    return [
        _Limit(
            "femtoward-not-ready",
            "Data does not flow",
            _last("ready", "2m"),
            "lt",
            1.0,
            "1m",
            "high",
            "No data flows through {{ .Labels.part }} ({{ .Labels.instance }}), or nothing was heard of any process",
            "Run `femtoward doctor`; look into the log of the part. No word of any process: the couriers are down, or "
            "InfluxDB cannot be reached.",
            silence="Alerting",
        ),
        _Limit(
            "femtoward-lag",
            "The flow lags",
            _last("behind_s", "2m"),
            "gt",
            10.0,
            "2m",
            "high",
            "The flow ({{ .Labels.instance }}) works on data that came more than 10 s ago",
            "Alarms come late. After a restart it catches up by itself; if it does not, give it more cores or spread "
            "the sites over partitions.",
        ),
        _Limit(
            "femtoward-latency",
            "Vitals come late",
            _last("latency_ms_p99", "2m"),
            "gt",
            2000.0,
            "5m",
            "medium",
            "One row of vitals in a hundred takes more than 2 s ({{ .Labels.instance }})",
            "Look at Pipeline: lag and disk; at Devices: clocks.",
        ),
        _Limit(
            "femtoward-ledger",
            "The ledger is out of balance",
            select(
                "ledger",
                {"open": 'sum("published") - sum("stored") - sum("quarantined") - sum("lost")'},
                by=["site", "device"],
                span="time > now() - 1d",
            ),
            "gt",
            0.0,
            "10m",
            "medium",
            "Packets of {{ .Labels.device }} ({{ .Labels.site }}) are neither stored nor quarantined nor known as lost",
            "This must never be: keep journal and store, and report it.",
        ),
        _Limit(
            "femtoward-courier-failing",
            "A courier cannot deliver",
            _last("courier_failing", "2m"),
            "gt",
            0.0,
            "5m",
            "medium",
            "A courier ({{ .Labels.instance }}) has not been able to deliver for 5 minutes",
            "Run `femtoward doctor`: is the receiver up, is its secret right? Nothing is lost meanwhile.",
        ),
        _Limit(
            "femtoward-courier-behind",
            "A courier is behind",
            _last("backlog_rows", "2m"),
            "gt",
            20_000.0,
            "10m",
            "low",
            "More than 20,000 rows wait for the couriers ({{ .Labels.instance }})",
            "What is shown here is old. Is InfluxDB slow, or has it been away? It drains by itself.",
        ),
        _Limit(
            "femtoward-restarts",
            "A part dies again and again",
            select(
                "process", {"restarts": 'max("restarts") - min("restarts")'}, by=_PROCESS, span="time > now() - 15m"
            ),
            "gt",
            3.0,
            "0s",
            "medium",
            "{{ .Labels.part }} ({{ .Labels.instance }}) was started again more than 3 times in 15 minutes",
            "Look into its log for why it ends.",
        ),
        _Limit(
            "femtoward-room",
            "Room runs short",
            _last("room_bytes", "5m"),
            "lt",
            2e9,
            "5m",
            "medium",
            "Less than 2 GB are left for the data folder ({{ .Labels.instance }})",
            "Old journal goes first, then waveforms and vitals; with 64 MB left nothing is taken in. Make room.",
        ),
    ]


def _last(field: str, back: str) -> Query:
    return select("process", {field: f'last("{field}")'}, by=_PROCESS, span=f"time > now() - {back}")


def _rule(limit: _Limit) -> Rule:
    """Query A, its last value B, and whether that is beyond the limit, C; out of balance counts both ways."""
    either = limit.uid == "femtoward-ledger"
    return Rule(
        uid=limit.uid,
        title=limit.title,
        condition="C",
        data=(
            _step(
                "A",
                INFLUX.uid,
                {
                    "query": limit.query.text,
                    "rawQuery": True,
                    "resultFormat": "time_series",
                    "intervalMs": 1000,
                    "maxDataPoints": 43_200,
                },
            ),
            _step("B", EXPRESSION.uid, {"type": "reduce", "expression": "A", "reducer": "last"}),
            _step(
                "C",
                EXPRESSION.uid,
                {
                    "type": "threshold",
                    "expression": "B",
                    "conditions": [
                        {
                            "evaluator": {
                                "type": "outside_range" if either else limit.beyond,
                                "params": [0.0, 0.0] if either else [limit.value],
                            }
                        }
                    ],
                },
            ),
        ),
        no_data_state=limit.silence,
        exec_err_state="Error",
        for_=limit.lasts,
        annotations={"summary": limit.summary, "description": limit.todo},
        labels={"service": "femtoward", "severity": limit.severity},
        is_paused=False,
    )


def _step(letter: str, to: str, model: Mapping[str, object]) -> AlertQuery:
    return AlertQuery(
        ref_id=letter,
        query_type="",
        relative_time_range={"from": LOOKS_BACK_S, "to": 0},
        datasource_uid=to,
        model={"refId": letter, **model},
    )


def place() -> dict[str, object]:
    """Where the HTTP API is told that a rule belongs."""
    return {"orgID": 1, "folderUID": FOLDER_UID, "ruleGroup": GROUP}
