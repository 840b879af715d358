"""Alarm events as rows, for Patient and Alarms."""

from collections.abc import Sequence

from deploy.grafana.board import to_moment, to_patient
from deploy.grafana.columns import hidden, on
from deploy.grafana.influxql import chosen, fields, select
from deploy.grafana.model import Override, Panel
from deploy.grafana.panels import BACKGROUND, TEXT, table
from deploy.grafana.words import PRIORITY, STATE, values


def alarm_log(choices: Sequence[str]) -> Panel:
    """Every transition of every alarm in the time shown, newest first."""
    query = select(
        "alarm",
        {
            **fields("priority", "condition", "state", "patient", "bed", "reason", "value", "limit"),
            **fields("quality", "confidence", "actor", "note", "algorithm", "version", "site"),
        },
        where=chosen(*choices),
        tail="ORDER BY time DESC LIMIT 500",
    )
    return table(
        "Alarm log",
        "Every alarm raised, acknowledged, over or missed in the time shown, newest first; 500 at most. Which "
        "algorithm said so, and in which version, stands beside it. Click on a time to see strip and waveform.",
        query,
        empty="No alarm was raised, acknowledged or over in the time shown",
        overrides=[
            *event_overrides(),
            on("confidence", unit="percentunit", decimals=0, width=100),
            on("value", "limit", decimals=1, width=80),
            on("Time", width=190, links=[to_moment()]),
        ],
        height="sm",
    )


def event_overrides(state: str = "state") -> list[Override]:
    """How the columns of alarm events are shown; `state` is what that of the state is called."""
    return [
        on("priority", width=120, mappings=values(PRIORITY), custom__cellOptions=BACKGROUND),
        on("condition", width=180),
        on(state, width=180, mappings=values(STATE), custom__cellOptions=TEXT),
        on("patient", width=110, links=[to_patient()]),
        on("quality", unit="percentunit", decimals=0, width=90),
        on("actor", displayName="by whom", width=120),
        on("reason", custom__minWidth=220),
        hidden("site"),
    ]
