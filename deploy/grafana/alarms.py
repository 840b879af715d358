"""Alarms: what stands now, who has acknowledged it, and how heavy the burden is."""

from deploy.grafana.beds import TOLD, WHO
from deploy.grafana.board import Choice, dashboard, to_patient
from deploy.grafana.columns import hidden, on, organized, series, sorted_by
from deploy.grafana.events import alarm_log, event_overrides
from deploy.grafana.influxql import INTERVAL, chosen, fields, select
from deploy.grafana.layout import Shelf
from deploy.grafana.model import Dashboard, Panel
from deploy.grafana.panels import BACKGROUND, TEXT, bars, stat, table, trend
from deploy.grafana.targets import influx, math, summed
from deploy.grafana.words import HIGH, LOW, MEDIUM, NEED, PRIORITY, WORDS, values

CHOICES: tuple[Choice, ...] = ("site", "ward", "patient")
RAISED = "\"state\" = 'active'"
NONE_RAISED = "No alarm was raised in the time shown"
DAY_S = 86_400
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
            Shelf(10, (_burden(), _rate())),
            Shelf(8, (_waited(), _often())),
            Shelf(12, (alarm_log(CHOICES),)),
        ],
        choices=CHOICES,
        shows="24h",
        refresh="5s",
        marks=False,
    )


def _in_need() -> Panel:
    newest = select(
        "bed",
        {"need": 'last("need")', **fields("bed", "words", "since_ns", "standing", "acknowledged")},
        where=chosen(*CHOICES),
        by=WHO,
        span=TOLD,
    )
    query = select(
        newest,
        {**fields("need", "bed", "words"), "since": '"since_ns" / 1000000', **fields("standing", "acknowledged")},
        where=['"standing" > 0'],
        by=WHO,
        span="",
    )
    return table(
        "Patients with alarms now",
        "By need: high before medium before low, those that nobody has acknowledged first.",
        query,
        empty="No alarm stands: nobody here is in need (that femtoward runs, Pipeline shows)",
        overrides=[
            on("need", width=180, mappings=values(NEED), custom__cellOptions=BACKGROUND),
            on("patient", "bed", width=130, links=[to_patient()]),
            on("words", mappings=WORDS, custom__cellOptions=TEXT, displayName="worst alarm"),
            on("since", unit="dateTimeFromNow", width=150),
            hidden("site"),
        ],
        transformations=[
            organized(
                drop=["Time"], order=["need", "bed", "patient", "words", "since", "standing", "acknowledged", "site"]
            ),
            sorted_by("since"),
            sorted_by("need", falling=True),
        ],
        height="lg",
    )


def _standing() -> Panel:
    newest = select(
        "alarm",
        {
            "step": 'last("step")',
            "now": '"state"',
            **fields("priority", "reason", "quality", "actor", "note", "onset_ns"),
        },
        where=chosen(*CHOICES),
        by=("site", "patient", "condition"),
        span="time > now() - 30d",
    )
    query = select(
        newest,
        {**fields("priority", "now", "reason", "quality"), "since": '"onset_ns" / 1000000', **fields("actor", "note")},
        where=["(\"now\" = 'active' OR \"now\" = 'acknowledged')"],
        by=("site", "patient", "condition"),
        span="",
    )
    return table(
        "Alarms now, and who acknowledged them",
        "The last word on each alarm of the last 30 days, of those that are not over. Where this and the table above "
        "differ for a moment, the table above is right: an acknowledgement has the time of the ward's clock, an end "
        "that of the evidence.",
        query,
        empty="No alarm stands, or none that was raised within 30 days",
        overrides=[*event_overrides("now"), on("since", unit="dateTimeFromNow", width=130)],
        transformations=[
            organized(
                drop=["Time"],
                order=[
                    "priority",
                    "now",
                    "condition",
                    "patient",
                    "since",
                    "reason",
                    "quality",
                    "actor",
                    "note",
                    "site",
                ],
            ),
            sorted_by("since", falling=True),
        ],
    )


def _burden() -> Panel:
    raised = select(
        "alarm", {"raised": 'count("step")'}, where=[RAISED, *chosen(*CHOICES)], by=["condition", "priority"]
    )
    lived = select("vitals", {"seconds": 'count("coverage")'}, where=chosen(*CHOICES))
    return bars(
        "Alarms per patient and day",
        "Alarms raised in the time shown, over the days that patients were monitored in it; by condition and priority.",
        [
            influx("A", raised, "time_series", "$tag_priority $tag_condition", hide=True),
            influx("B", lived, "time_series", "$col", hide=True),
            summed("C", "A"),
            summed("D", "B"),
            math("E", f"$C * {DAY_S} / $D"),
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
        select(
            "alarm",
            {"raised": 'count("step")'},
            where=[RAISED, *chosen(*CHOICES)],
            by=["priority"],
            every=INTERVAL,
            fill="none",
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
        where=["\"state\" = 'acknowledged'", *chosen(*CHOICES)],
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
            where=[RAISED, *chosen(*CHOICES)],
            by=["site", "patient", "condition", "priority"],
        ),
        empty=NONE_RAISED,
        overrides=[
            on("priority", width=120, mappings=values(PRIORITY), custom__cellOptions=BACKGROUND),
            on("patient", links=[to_patient()]),
            hidden("site"),
        ],
        transformations=[
            organized(drop=["Time"], order=["raised", "priority", "condition", "patient", "site"]),
            sorted_by("raised", falling=True),
        ],
        height="sm",
    )
