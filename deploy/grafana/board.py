"""What all of our dashboards share: folder, uids, choices, marks of alarms, links between them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from deploy.grafana.influxql import chosen, chosen_or_whole, fields, select, tag_values
from deploy.grafana.layout import Shelf, stacked
from deploy.grafana.model import (
    INFLUX,
    SCHEMA_VERSION,
    Annotation,
    Annotations,
    Dashboard,
    DashboardLink,
    Link,
    Marks,
    Templating,
    TimeRange,
    Variable,
)
from deploy.grafana.words import HIGH, LOW, MEDIUM, RAISED

FOLDER_UID = "femtoward"
FOLDER = "femtoward"
NOT_MEDICAL = "Simulated sensors; not a medical device."
SHARED_CROSSHAIR = 1
WHEN_TIME_CHANGES = 2
ALPHABETIC = 1
PAGES = {
    "femtoward-ward": "Ward",
    "femtoward-patient": "Patient",
    "femtoward-alarms": "Alarms",
    "femtoward-devices": "Devices",
    "femtoward-pipeline": "Pipeline",
}
LATELY = "time > now() - 7d"  # as far back as choices go; an older name can be typed
Choice = Literal["site", "ward", "patient", "device", "part"]


class _Choice(NamedTuple):
    """Where the values of a choice come from, and which choices before it narrow it down."""

    measurement: str
    field: str  # of every point of it
    after: tuple[Choice, ...]
    says: str


_CHOICES: dict[Choice, _Choice] = {
    "site": _Choice("device", "revision", (), "Hospital or house that devices publish under."),
    "ward": _Choice("vitals", "coverage", ("site",), "All takes in patients whose ward is not known."),
    "patient": _Choice("vitals", "coverage", ("site", "ward"), "Pseudonym; every patient of the last 7 days."),
    "device": _Choice("device", "revision", ("site",), "Wearable; every one of the last 7 days."),
    "part": _Choice("process", "alive", (), "Process of femtoward: ingest, flow, couriers, page."),
}


def dashboard(  # noqa: PLR0913 - each is an option of the dashboard
    uid: str,
    description: str,
    shelves: list[Shelf],
    *,
    choices: Sequence[Choice],
    one: Sequence[Choice] = (),
    first: Sequence[Choice] = (),
    shows: str,
    refresh: str,
    marks: bool = True,
) -> Dashboard:
    """Put a dashboard together.

    Parameters
    ----------
    uid
        One of `PAGES`.
    description
        For whom it is, and what it answers.
    shelves
        Panels from top to bottom.
    choices
        Variables at its top, in an order in which each may narrow down the next.
    one
        Those of which exactly one value is chosen; of the others any number, or all.
    first
        Those that begin with their first value, and of which any number can be chosen, but not All: too much.
    shows
        How much time it shows at first.
    refresh
        How often it asks again.
    marks
        Whether alarms are marked in its graphs.
    """
    return Dashboard(
        uid=uid,
        title=f"femtoward {PAGES[uid]}",
        description=f"{description} {NOT_MEDICAL}",
        tags=("femtoward",),
        timezone="utc",
        editable=False,
        graph_tooltip=SHARED_CROSSHAIR,
        time=TimeRange(from_=f"now-{shows}", to="now"),
        refresh=refresh,
        schema_version=SCHEMA_VERSION,
        templating=Templating(
            list=tuple(_variable(name, choices, single=name in one, first=name in (*one, *first)) for name in choices)
        ),
        annotations=Annotations(list=_marks(choices) if marks else ()),
        links=tuple(_page_link(page) for page in PAGES if page != uid),
        panels=stacked(shelves),
    )


def to_patient(title: str = "Patient: trends, alarms, waveform") -> Link:
    """From a row or a value with columns `site` and `patient` to that patient's dashboard."""
    return Link(
        title=title,
        url="/d/femtoward-patient?var-site=${__data.fields.site}&var-ward=$__all&var-patient=${__data.fields.patient}",
    )


def to_device(title: str = "Device: noise, clock, ledger") -> Link:
    """From a row with columns `site` and `device` to that device."""
    return Link(
        title=title,
        url="/d/femtoward-devices?var-site=${__data.fields.site}&var-device=${__data.fields.device}",
    )


def to_devices_of_patient(title: str = "Devices of this patient") -> Link:
    """From a row with columns `site` and `patient` to what the patient wears."""
    return Link(
        title=title, url="/d/femtoward-devices?var-site=${__data.fields.site}&var-patient=${__data.fields.patient}"
    )


def to_moment(title: str = "Look at this alarm: strip and waveform") -> Link:
    """From a row with columns `site`, `patient` and a time to half a minute around it."""
    return Link(
        title=title,
        url=(
            "/d/femtoward-patient?var-site=${__data.fields.site}&var-ward=$__all"
            "&var-patient=${__data.fields.patient}&time=${__value.time}&time.window=30000"
        ),
    )


def _variable(name: Choice, offered: Sequence[Choice], *, single: bool, first: bool) -> Variable:
    choice = _CHOICES[name]
    where = chosen(*(other for other in choice.after if other in offered))
    query = tag_values(name, choice.measurement, choice.field, where=where, span=LATELY).text
    return Variable(
        name=name,
        label=name.capitalize(),
        description=choice.says,
        type="query",
        query=query,
        datasource=INFLUX,
        refresh=WHEN_TIME_CHANGES,
        sort=ALPHABETIC,
        include_all=not first,
        multi=not single,
        all_value="" if first else ".*",
        current=None if first else {"text": ["All"], "value": ["$__all"]},
    )


def _marks(choices: Sequence[Choice]) -> tuple[Annotation, ...]:
    """Alarms as they are raised, whole ward included: high and medium are shown, low ones can be turned on."""
    held = chosen_or_whole(*(name for name in choices if name in {"site", "ward", "patient"}))
    return tuple(
        Annotation(
            name=f"{priority} alarms",
            enable=priority != "low",
            icon_color=color,
            datasource=INFLUX,
            target=Marks(
                ref_id="Anno",
                query=query.text,
                text_column="reason",
                tags_column="condition",
                raw_query=True,
                from_annotations=True,
            ),
        )
        for priority, color in (("high", HIGH), ("medium", MEDIUM), ("low", LOW))
        for query in [
            select(
                "alarm",
                fields("reason", "condition"),
                where=[f"\"priority\" = '{priority}'", RAISED, *held],
            )
        ]
    )


def _page_link(uid: str) -> DashboardLink:
    return DashboardLink(
        title=PAGES[uid],
        url=f"/d/{uid}",
        type="link",
        icon="dashboard",
        tooltip=f"femtoward {PAGES[uid]}",
        tags=(),
        as_dropdown=False,
        include_vars=True,
        keep_time=False,
        target_blank=False,
    )
