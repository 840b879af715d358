"""Alarm events as rows, for Patient and Alarms."""

from collections.abc import Sequence

from dataflows.events import STANDING
from deploy.grafana.board import to_moment, to_patient
from deploy.grafana.columns import on
from deploy.grafana.influxql import Query, chosen_or_whole, fields, select
from deploy.grafana.model import Override, Panel
from deploy.grafana.panels import BACKGROUND, TEXT, table
from deploy.grafana.words import PRIORITY, STATE, values

# Between two records an end's evidence may step back, by hours where a device was away: by a millionth of them here.
# Counted from a year not long ago, so that a float tells what is left of a tick apart.
STANDS = [f"\"now\" = '{state}'" for state in STANDING]
ORDER = '"arrival_ns" - 1700000000000000000 + "event_ns" / 1000000'
UNTIL = "until_ns"
CONDITION = ("site", "patient", "condition")
_SAID = ("priority", "reason", "actor", "onset_ns")


def standing(where: Sequence[str], *more: str) -> Query:
    """Newest word on each alarm of the last 30 days, of those that are not over; `more` names what else it says.

    What came last is newest, and of what came at once, what has the newest evidence: an alarm stands at the time of its
    evidence, its end at that of arrival. Of each state the newest is found by time, which costs a point a series.
    """
    words = select(
        "alarm",
        {"step": 'last("step")', **fields(*_SAID, *more, "arrival_ns", "event_ns")},
        where=where,
        by=(*CONDITION, "state"),
        span="time > now() - 30d",
    )
    ordered = select(
        words,
        {"order": ORDER, "now": '"state"', **fields(*_SAID, *more)},
        by=CONDITION,
        span="",
    )
    newest = select(ordered, {"order": 'max("order")', **fields("now", *_SAID, *more)}, by=CONDITION, span="")
    return select(
        newest,
        {
            **fields("priority", "now", "reason"),
            "since": '"onset_ns" / 1000000',
            **fields("actor", *(name for name in more if name != UNTIL)),
            **({"until": f'"{UNTIL}" / 1000000'} if UNTIL in more else {}),
        },
        where=[f"({' OR '.join(STANDS)})"],
        by=CONDITION,
        span="",
    )


def alarm_log(choices: Sequence[str]) -> Panel:
    """Every transition of every alarm in the time shown, newest first."""
    query = select(
        "alarm",
        {
            **fields(
                "priority", "condition", "state", "change", "patient", "bed", "reason", "value", "u", "unit", "limit"
            ),
            **fields("quality", "confidence", "actor", "note", "mark", "occurrences", "level"),
            **fields("condition_delay_ms", "signal_delay_ms", "algorithm", "version", "episode", "id", "site"),
        },
        where=chosen_or_whole(*choices),
        tail="ORDER BY time DESC LIMIT 500",
    )
    return table(
        "Alarm log",
        "All that happened to alarms in the time shown, and what was said of them, newest first; 500 at most. Which "
        "algorithm said so, and in which version, stands beside it. Click on a time to see strip and waveform.",
        query,
        empty="No alarm was raised, acknowledged or over in the time shown",
        overrides=[
            *event_overrides(),
            on("confidence", unit="percentunit", decimals=0, width=100),
            on("value", "limit", "u", decimals=1, width=80),
            on("unit", "mark", width=70),
            on("change", displayName="what", width=120),
            on("occurrences", displayName="times", unit="short", decimals=0, width=70),
            on("level", displayName="step of the ladder", unit="short", decimals=0, width=90),
            on("condition_delay_ms", displayName="condition delay", unit="ms", decimals=0, width=110),
            on("signal_delay_ms", displayName="signal delay", unit="ms", decimals=0, width=110),
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
        on("site", width=90),
    ]
