"""Beds and who lies in them, as Ward, Patient and Alarms show them: out of the newest row of each patient."""

from collections.abc import Sequence

from deploy.grafana.board import to_devices_of_patient, to_patient
from deploy.grafana.columns import added, hidden, merged, on, organized, sorted_by
from deploy.grafana.influxql import Query, fields, select
from deploy.grafana.measurements import unit
from deploy.grafana.model import Override, Panel, Transformation
from deploy.grafana.panels import BACKGROUND, TEXT, table
from deploy.grafana.words import NEED_NOW, QUALITY, QUALITY_STEPS, TOLD, UNHEARD, WORDS, values

LATELY = "time > now() - 2h"  # beds are told at every change, and once an hour
FRESH = "time > now() - 30s"  # an older value is no value of now
SEEN = "time > now() - 1d"
WHO = ("site", "patient")
# What tells who is in need, of what, and whether to believe it, fits the width of a tablet; the rest is to its right.
ORDER = (
    *("need", "bed", "words", "since", "HR", "± HR", "trust", "pulse", "± pulse", "temp", "± temp", "breath", "SpO2"),
    *("± breath", "NEWS2", "to", "unusual", "Time", "patient"),
    *(
        "signal",
        "because",
        "from",
        "HR quality",
        "quality",
        "standing",
        "acknowledged",
        "site",
        "coverage",
        "told",
        "heard",
    ),
)
WHY_EMPTY = (
    "No bed is known here: nobody is admitted at this site and ward, or nothing has reached InfluxDB for two hours "
    "(see Pipeline)."
)


def beds(where: Sequence[str], *more: str) -> Query:
    """Newest state of every bed that is taken, as it was told; `more` must hold of it, too."""
    newest = select(
        "bed",
        {
            "need": 'last("need")',
            **fields("bed", "admitted", "words", "since_ns", "standing", "acknowledged"),
        },
        where=where,
        by=WHO,
        span=LATELY,
    )
    return select(
        newest,
        {
            "told": f'"need" + {TOLD + UNHEARD:g}',
            **fields("need", "bed", "words"),
            "since": '"since_ns" / 1000000',
            **fields("standing", "acknowledged"),
        },
        where=['"admitted" = true', *more],
        by=WHO,
        span="",
    )


def heard(where: Sequence[str]) -> Query:
    """Patients whose vitals come now, each with what takes the doubt from the need that was told."""
    newest = select("vitals", {"any": 'last("coverage")'}, where=where, by=WHO, span=FRESH)
    return select(newest, {"heard": f'"any" * 0 - {UNHEARD:g}'}, by=WHO, span="")


def needs(first: str = "A", second: str = "B") -> list[Transformation]:
    """A column `need` of now, out of the answers of `beds` and `heard`."""
    return [
        organized(of=first, drop=["Time", "need"]),
        organized(of=second, drop=["Time"]),
        merged(),
        added("need", ("told", "heard")),
    ]


def bed_table(title: str, description: str, where: Sequence[str], *, to: str = "patient") -> Panel:
    """Every bed in one row: who, how much in need and why, what is measured now and how far it can be trusted."""
    measured = select(
        "vitals",
        {
            "coverage": 'last("coverage")',  # of every row: what stands beside it is of that same second
            "HR": '"hr"',
            "± HR": '"hr_u"',
            "trust": '"hr_quality"',
            "HR quality": '"hr_quality"',
            "from": '"source"',
            "pulse": '"pulse"',
            "± pulse": '"pulse_u"',
            "temp": '"temp"',
            "± temp": '"temp_u"',
            "breath": '"resp"',
            "± breath": '"resp_u"',
            "SpO2": '"spo2"',
            "NEWS2": '"news2_min"',
            "to": '"news2_max"',
            "unusual": '"deviation"',
            "quality": '"quality"',
            "signal": '"quality"',
            "because": '"reason"',
        },
        where=where,
        by=WHO,
        span=FRESH,
    )
    seen = select("vitals", {"coverage": 'last("coverage")'}, where=where, by=WHO, span=SEEN)
    return table(
        title,
        description,
        {"A": beds(where), "B": measured, "C": seen, "D": heard(where)},
        empty=WHY_EMPTY,
        height="lg",
        overrides=_overrides(to),
        transformations=_one_row_each(),
    )


def _one_row_each() -> list[Transformation]:
    return [
        organized(of="B", drop=["Time"]),
        organized(of="C", drop=["coverage"]),
        *needs("A", "D"),
        sorted_by("bed"),
        sorted_by("need", falling=True),
        organized(order=ORDER, rename={"Time": "last seen"}),
    ]


def _overrides(to: str) -> list[Override]:
    links = [to_patient(), to_devices_of_patient()] if to == "patient" else [to_devices_of_patient()]
    return [
        on("need", width=165, mappings=values(NEED_NOW), custom__cellOptions=BACKGROUND),
        on("patient", "bed", width=110, links=links),
        on("words", width=230, mappings=WORDS, custom__cellOptions=TEXT, displayName="worst alarm"),
        on("since", unit="dateTimeFromNow", width=120),
        on("HR", unit=unit("vitals", "hr"), decimals=0, width=80),
        on("± HR", decimals=1, width=65),
        on("trust", "signal", width=85, mappings=QUALITY, custom__cellOptions=TEXT),
        on("pulse", unit=unit("vitals", "pulse"), decimals=0, width=80),
        on("± pulse", decimals=1, width=75),
        on("temp", unit=unit("vitals", "temp"), decimals=1, width=85),
        on("± temp", decimals=2, width=75),
        on("SpO2", unit=unit("vitals", "spo2"), decimals=0, width=75),
        on("breath", unit=unit("vitals", "resp"), decimals=0, width=85),
        on("± breath", decimals=1, width=85),
        on("NEWS2", decimals=0, width=75),
        on("to", decimals=0, width=55),
        on("unusual", decimals=1, width=85),
        on("last seen", unit="dateTimeFromNow", width=150),
        on("HR quality", "quality", unit="percentunit", decimals=0, width=90, thresholds=QUALITY_STEPS),
        on("site", width=90),
        hidden("coverage", "told", "heard"),
    ]
