"""Alarms: what stands now, who has acknowledged it, and how heavy the burden is."""

from deploy.grafana.beds import beds, heard, needs
from deploy.grafana.board import Choice, dashboard, to_patient
from deploy.grafana.burden import deeds, delays, outcomes, shares
from deploy.grafana.columns import having, hidden, on, organized, series, sorted_by
from deploy.grafana.events import CONDITION, UNTIL, alarm_log, event_overrides, standing
from deploy.grafana.influxql import chosen, chosen_or_whole, select, stepped
from deploy.grafana.layout import Shelf
from deploy.grafana.model import Dashboard, Panel
from deploy.grafana.panels import BACKGROUND, TEXT, bars, stat, table, trend
from deploy.grafana.targets import influx, math, summed
from deploy.grafana.words import HIGH, LOW, MEDIUM, NEED_NOW, NEVER, PRIORITY, RAISED, WORDS, values

CHOICES: tuple[Choice, ...] = ("site", "ward", "patient")
HERE = chosen_or_whole(*CHOICES)
NONE_RAISED = "No alarm was raised in the time shown"
DAY_MIN = 1440
COLOURS = [
    series("/high/", color={"mode": "fixed", "fixedColor": HIGH}),
    series("/medium/", color={"mode": "fixed", "fixedColor": MEDIUM}),
    series("/low/", color={"mode": "fixed", "fixedColor": LOW}),
]


def alarms() -> Dashboard:
    """Build the dashboard."""
    return dashboard(
        "femtoward-alarms",
        "For whoever answers alarms, and for whoever must make them fewer.",
        [
            Shelf(9, (_in_need(),)),
            Shelf(9, (_standing(),)),
            Shelf(12, (alarm_log(CHOICES),)),
            Shelf(9, (deeds(),)),
            Shelf(8, (_told(),), "Who was told", collapsed=True),
            Shelf(9, (_burden(), _rate(), _waited(), _often()), "How heavy the burden is", collapsed=True, across=2),
            Shelf(9, (outcomes(), shares(), delays()), "What became of them, and how soon", collapsed=True, across=1),
        ],
        choices=CHOICES,
        shows="24h",
        refresh="10s",
        marks=False,
    )


def _in_need() -> Panel:
    here = chosen(*CHOICES)
    return table(
        "Patients with alarms now",
        "By need: high before medium before low, those that nobody has acknowledged first. Unknown: no vitals came for "
        "30 s, and it is what was told last.",
        {"A": beds(here, '"standing" > 0'), "B": heard(here)},
        empty="No alarm is told of anybody (whether anybody is heard, Ward shows)",
        overrides=[
            on("need", width=180, mappings=values(NEED_NOW), custom__cellOptions=BACKGROUND),
            on("patient", "bed", width=130, links=[to_patient()]),
            on("words", mappings=WORDS, custom__cellOptions=TEXT, displayName="worst alarm"),
            on("since", unit="dateTimeFromNow", width=150),
            on("site", width=90),
            hidden("told", "heard"),
        ],
        transformations=[
            *needs(),
            having("told"),
            organized(order=["need", "bed", "patient", "words", "since", "standing", "acknowledged", "site"]),
            sorted_by("since"),
            sorted_by("need", falling=True),
        ],
        height="lg",
    )


def _standing() -> Panel:
    return table(
        "Alarms now, and who acknowledged them",
        "The last word on each alarm of the last 30 days, of those that are not over; those of the whole ward (patient "
        "`ward`), too.",
        standing(HERE, "quality", "note", "occurrences", "level", "mark", UNTIL),
        empty="No alarm stands, or none that was raised within 30 days",
        overrides=[
            *event_overrides("now"),
            on("since", unit="dateTimeFromNow", width=130),
            on("until", unit="dateTimeAsLocal", displayName="shelved until", width=170, mappings=values(NEVER)),
            on("occurrences", displayName="times", unit="short", decimals=0, width=70),
            on("level", displayName="step of the ladder", unit="short", decimals=0, width=90),
            on("mark", displayName="marked", width=80),
        ],
        transformations=[
            organized(
                drop=["Time"],
                order=[
                    *("priority", "now", "until", "condition", "patient", "since", "reason", "quality", "actor"),
                    *("note", "mark", "occurrences", "level", "site"),
                ],
            ),
            sorted_by("since", falling=True),
        ],
    )


def _told() -> Panel:
    return table(
        "What became of what receivers were told",
        "Events of alarms at each receiver: delivered, seen (its link was opened), accepted (it has answered); how "
        "many, and how long after they were queued for it. `femtoward alarms receipts` shows each.",
        select(
            "receipt",
            {"events": 'count("step")', "half": 'percentile("after_ms", 50)', "slowest": 'percentile("after_ms", 99)'},
            where=chosen("site"),
            by=["receiver", "what", "site"],
        ),
        empty="No receiver was told of anything in the time shown",
        overrides=[
            on("half", "slowest", unit="ms", decimals=0, width=120),
            on("half", displayName="half within"),
            on("slowest", displayName="99 of 100 within"),
            on("site", width=90),
        ],
        transformations=[
            organized(drop=["Time"], order=["receiver", "what", "events", "half", "slowest", "site"]),
            sorted_by("receiver"),
        ],
        height="sm",
    )


def _burden() -> Panel:
    raised = select("alarm", {"raised": 'count("step")'}, where=[RAISED, *HERE], by=["condition", "priority"])
    lived = select("vitals_1m", {"minutes": 'count("coverage")'}, where=chosen(*CHOICES))
    return bars(
        "Alarms per patient and day",
        "Alarms raised in the time shown, over the days that patients were monitored in it; by condition and priority.",
        [
            influx("A", raised, "time_series", "$tag_priority $tag_condition", hide=True),
            influx("B", lived, "time_series", "$col", hide=True),
            summed("C", "A"),
            summed("D", "B"),
            math("E", f"$C * {DAY_MIN} / $D"),
        ],
        empty=NONE_RAISED,
        unit="suffix:/d",
        name="${__field.labels.priority} ${__field.labels.condition}",
        overrides=COLOURS,
    )


def _rate() -> Panel:
    return trend(
        "Alarms raised",
        "How many were raised in each step drawn, by priority.",
        stepped(
            "alarm",
            {"raised": 'count("step")'},
            where=[RAISED, *HERE],
            by=["priority"],
        ),
        alias="$tag_priority",
        unit="short",
        empty=NONE_RAISED,
        style="bars",
        stack=True,
        interval="1m",
        overrides=COLOURS,
    )


def _waited() -> Panel:
    each = select(
        "alarm",
        {"waited": '("arrival_ns" - "onset_ns") / 1000000000'},
        where=["\"change\" = 'acknowledged'", *HERE],
    )
    return stat(
        "Time until acknowledged",
        "Mean from the onset of an alarm to its acknowledgement, of those acknowledged in the time shown.",
        select(each, {"waited": 'mean("waited")'}, span=""),
        empty="Nobody acknowledged an alarm in the time shown",
        unit="s",
        decimals=0,
    )


def _often() -> Panel:
    return table(
        "Most frequent",
        "How often each condition was alarmed, by patient. One sensor that is ill fitted fills a ward with alarms.",
        select(
            "alarm",
            {"raised": 'count("step")'},
            where=[RAISED, *HERE],
            by=[*CONDITION, "priority"],
        ),
        empty=NONE_RAISED,
        overrides=[
            on("priority", width=120, mappings=values(PRIORITY), custom__cellOptions=BACKGROUND),
            on("patient", links=[to_patient()]),
            on("site", width=90),
        ],
        transformations=[
            organized(drop=["Time"], order=["raised", "priority", "condition", "patient", "site"]),
            sorted_by("raised", falling=True),
        ],
        height="sm",
    )
