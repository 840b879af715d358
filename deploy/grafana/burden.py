"""Panels about how heavy alarms are on those who answer them: how soon they come, and how often in vain."""

from typing import Final

from deploy.grafana.board import Choice, to_patient
from deploy.grafana.columns import merged, on, organized, sorted_by
from deploy.grafana.influxql import Query, chosen_or_whole, fields, select
from deploy.grafana.model import Override, Panel, Property
from deploy.grafana.panels import bars, table
from deploy.grafana.targets import influx, math, summed
from deploy.grafana.words import NEVER, RAISED, STATE, values

CHOICES: Final[tuple[Choice, ...]] = ("site", "ward", "patient")
HERE: Final = chosen_or_whole(*CHOICES)
BY_CONDITION: Final = ("site", "condition")
NONE_RAISED: Final = "No alarm was raised in the time shown"
_PEOPLE: Final = ("acknowledged", "shelved", "unshelved", "commented", "marked")
_COUNTS: Final = {
    "raised": RAISED,
    "acknowledged": "\"change\" = 'acknowledged'",
    "shelved": "\"change\" = 'shelved'",
    "marked_true": "\"change\" = 'marked' AND \"mark\" = 'true'",
    "marked_false": "\"change\" = 'marked' AND \"mark\" = 'false'",
}


def outcomes() -> Panel:
    """What became of alarms, by condition."""
    counts = {chr(ord("A") + n): _count(name, BY_CONDITION) for n, name in enumerate(_COUNTS)}
    return table(
        "What became of alarms",
        "How often each condition was raised in the time shown, and how often people acknowledged it, shelved it, or "
        "marked it as true or as false. What is often false, or often shelved, wants another limit.",
        counts,
        empty=NONE_RAISED,
        overrides=[
            on("marked_true", displayName="marked true"),
            on("marked_false", displayName="marked false"),
            on(*_COUNTS, unit="short", decimals=0, width=130),
            on("site", width=90),
        ],
        transformations=[
            merged(),
            organized(drop=["Time"], order=["condition", *_COUNTS, "site"]),
            sorted_by("raised", falling=True),
        ],
        height="sm",
    )


def shares() -> Panel:
    """How many were acknowledged, and how many of those marked were false."""
    letters = {"raised": "A", "acknowledged": "B", "marked_true": "C", "marked_false": "D"}
    return bars(
        "Shares",
        "Alarms acknowledged, of those raised in the time shown; and marked as false, of those that people marked.",
        [
            *(influx(letter, _count(name, ()), "time_series", "$col", hide=True) for name, letter in letters.items()),
            *(summed(chr(ord(letter) + 4), letter) for letter in letters.values()),
            math("I", "$F / $E"),
            math("J", "$H / ($G + $H)"),
        ],
        empty=NONE_RAISED,
        unit="percentunit",
        name="",
        overrides=[_named("I", "acknowledged"), _named("J", "marked false")],
    )


def delays() -> Panel:
    """How long alarms took, by condition."""
    raised = select(
        "alarm",
        {
            "condition_p50": 'percentile("condition_delay_ms", 50)',
            "condition_max": 'max("condition_delay_ms")',
            "signal_p50": 'percentile("signal_delay_ms", 50)',
            "signal_p99": 'percentile("signal_delay_ms", 99)',
            "signal_max": 'max("signal_delay_ms")',
        },
        where=[RAISED, *HERE],
        by=BY_CONDITION,
    )
    names = {
        "condition_p50": "condition delay, half",
        "condition_max": "condition delay, longest",
        "signal_p50": "signal delay, half",
        "signal_p99": "signal delay, 99 %",
        "signal_max": "signal delay, longest",
    }
    return table(
        "How long alarms take",
        "Condition delay: from the onset, by the condition's own definition, until it was found. Signal delay: from "
        "the arrival of what made it true to the alarm. Of alarms raised in the time shown.",
        raised,
        empty=NONE_RAISED,
        overrides=[
            *(on(name, unit="ms", displayName=said) for name, said in names.items()),
            on("site", width=90),
        ],
        transformations=[
            organized(drop=["Time"], order=["condition", *names, "site"]),
            sorted_by("signal_max", falling=True),
        ],
        height="sm",
    )


def deeds() -> Panel:
    """What people did, newest first."""
    done = " OR ".join(f"\"change\" = '{change}'" for change in _PEOPLE)
    query = select(
        "alarm",
        {
            **fields("change", "condition", "patient", "actor", "note", "mark", "state"),
            "until": '"until_ns" / 1000000',
            **fields("occurrences", "level", "id", "site"),
        },
        where=[f"({done})", *HERE],
        tail="ORDER BY time DESC LIMIT 200",
    )
    return table(
        "What people did and said",
        "Acknowledged, shelved, unshelved, commented, marked: by whom, when and why; the newest 200 in the time shown.",
        query,
        empty="Nobody did anything with an alarm in the time shown",
        overrides=[
            on("change", displayName="what", width=130),
            on("patient", width=110, links=[to_patient()]),
            on("actor", displayName="by whom", width=140),
            on("note", custom__minWidth=200),
            on("state", displayName="since then", width=160, mappings=values(STATE)),
            on("until", unit="dateTimeAsLocal", displayName="shelved until", mappings=values(NEVER)),
            on("occurrences", displayName="times", unit="short", decimals=0, width=80),
            on("level", displayName="step of the ladder", unit="short", decimals=0, width=110),
            on("Time", width=190),
            on("site", width=90),
        ],
        height="sm",
    )


def _count(name: str, by: tuple[str, ...]) -> Query:
    return select("alarm", {name: 'count("step")'}, where=[_COUNTS[name], *HERE], by=by)


def _named(letter: str, text: str) -> Override:
    """Name of what an expression came to."""
    named = Property(id="displayName", value=text)
    return Override(matcher={"id": "byFrameRefID", "options": letter}, properties=(named,))
