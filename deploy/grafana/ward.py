"""Ward: who needs me, why, since when, and can I trust it; one row a bed, those in need first."""

from deploy.grafana.beds import FRESH, WHO, WHY_EMPTY, bed_table, beds, heard, needs
from deploy.grafana.board import Choice, dashboard
from deploy.grafana.columns import on, organized, sorted_by
from deploy.grafana.events import standing
from deploy.grafana.influxql import WHOLE_WARD, chosen, fields, select, stepped
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Dashboard, Panel
from deploy.grafana.panels import BACKGROUND, stat, table, timeline, trend
from deploy.grafana.words import HIGH, NEED_NOW, NEED_TOLD, NEWEST, PRIORITY, QUALITY_STEPS, QUIET, steps, values

CHOICES: tuple[Choice, ...] = ("site", "ward")
# Whoever was admitted without a ward is in every one: nobody may be in none.
HERE = (*chosen("site"), f"({chosen('ward')[0]} OR \"ward\" = '')")


def ward() -> Dashboard:
    """Build the dashboard."""
    return dashboard(
        "femtoward-ward",
        "For nurses and doctors: every bed at a glance.",
        [
            Shelf(4, (_worst(), _newest(), _open(), _poorest())),
            Shelf(5, (_whole_ward(), _occupied())),
            Shelf(16, (_beds(),)),
            Shelf(10, (_need(),)),
            Shelf(10, (_heart_rates(), _qualities())),
        ],
        choices=CHOICES,
        first=["ward"],
        shows="1h",
        refresh="5s",
    )


def _worst() -> Panel:
    return stat(
        "Greatest need now",
        "Of all beds shown: by the worst alarm that nobody has acknowledged; after these, by those acknowledged. "
        "Unknown: of some bed no vitals came for 30 s, so that what it told last says little.",
        {"A": beds(HERE), "B": heard(HERE)},
        empty="? unknown: no bed is known, see the table below",
        unit="short",
        mappings=values(NEED_NOW),
        transformations=needs(),
        greatest="need",
    )


def _newest() -> Panel:
    windows = [
        select("vitals", {"any": 'last("coverage")'}, where=HERE, span=f"time > now() - {window}")
        for window in ("10s", "30s", "5m", "2h")
    ]
    return stat(
        "Newest vitals",
        "How long ago the newest vitals of anybody here were measured. Nobody is watched while none come.",
        select(windows, {"newest": 'count("any")'}, span=""),
        empty="✗ none for 2 h: NOBODY IS WATCHED",
        unit="short",
        mappings=values(NEWEST),
    )


def _whole_ward() -> Panel:
    return table(
        "Whole ward",
        "Alarms that concern no single patient, whatever is chosen above: the broker, the disk or the clock is in "
        "trouble, and patients may not be watched.",
        standing([WHOLE_WARD]),
        empty="No alarm of the whole ward is told (see Newest vitals for whether anything is)",
        overrides=[
            on("priority", width=120, mappings=values(PRIORITY), custom__cellOptions=BACKGROUND),
            on("since", unit="dateTimeFromNow", width=130),
        ],
        transformations=[
            organized(
                drop=["Time", "site", "patient"],
                order=["priority", "condition", "since", "reason", "now", "actor"],
            ),
            sorted_by("since", falling=True),
        ],
        height="sm",
    )


def _open() -> Panel:
    return stat(
        "Alarms not acknowledged",
        "Alarms that stand in the beds shown and that nobody has acknowledged.",
        select(beds(HERE), {"open": 'sum("standing") - sum("acknowledged")'}, span=""),
        empty="No bed is known: see the table below",
        unit="short",
        decimals=0,
        thresholds=steps(QUIET, (1.0, HIGH)),
    )


def _occupied() -> Panel:
    return stat(
        "Beds taken",
        "Patients who are admitted at the site and ward chosen.",
        select(beds(HERE), {"beds": 'count("need")'}, span=""),
        empty="No bed is known: see the table below",
        unit="short",
        decimals=0,
    )


def _poorest() -> Panel:
    newest = select("vitals", {"newest": 'last("quality")'}, where=HERE, by=WHO, span=FRESH)
    return stat(
        "Poorest signal now",
        "Lowest quality of a cardiac signal among the patients of the last 30 s. "
        "From 80 % good, from 50 % fair, from 20 % poor; below, nothing is measured.",
        select(newest, {"poorest": 'min("newest")'}, span=""),
        empty="No vitals for 30 s: see Pipeline",
        unit=unit("vitals", "quality"),
        decimals=0,
        thresholds=QUALITY_STEPS,
    )


def _beds() -> Panel:
    return bed_table(
        "Beds, those in need first",
        "One row a bed. Each value stands beside its standard uncertainty (±) and its quality; a value older than "
        "30 s is not shown. `trust`: how good the heart rate is, of whichever sensor; `signal`: how good the cardiac "
        "lead. `NEWS2` `to`: the least and the most that the early warning score may be, by what is measured. "
        "`unusual`: how far the vitals of the last minute together are from what is usual for this patient, in "
        "standard deviations. A dash: not measurable now; `because` says why. Click on patient or bed for the trends.",
        HERE,
    )


def _need() -> Panel:
    return timeline(
        "Need by patient",
        "How much each patient was in need. A state is drawn from its first change within the time shown, or from "
        "the next full hour: what began earlier is seen with a longer time. Whether anybody was "
        "heard meanwhile, the qualities below say.",
        select("bed", fields("need"), where=HERE, by=WHO),
        alias="$tag_site $tag_patient",
        mappings=values(NEED_TOLD),
        empty=WHY_EMPTY,
    )


def _heart_rates() -> Panel:
    return trend(
        "Heart rates",
        "Means by the minute, one line a patient, the last minute or two still to come; by the second, with their "
        "uncertainties, they are on the Patient dashboard, their qualities beside this.",
        stepped("vitals_1m", {"hr": 'mean("hr")'}, where=HERE, by=WHO, fill="null"),
        alias="$tag_site $tag_patient",
        unit=unit("vitals_1m", "hr"),
        empty="No heart rate was measured in the time shown: no sensor on a patient, or signals too poor",
        interval="1m",
    )


def _qualities() -> Panel:
    return trend(
        "Signal qualities",
        "Means by the minute, one line a patient. From 80 % good, from 50 % fair, from 20 % poor.",
        stepped("vitals_1m", {"quality": 'mean("quality")'}, where=HERE, by=WHO, fill="null"),
        alias="$tag_site $tag_patient",
        unit=unit("vitals_1m", "quality"),
        bounds=(0.0, 1.0),
        thresholds=QUALITY_STEPS,
        empty="No vitals came in the time shown: see Devices, then Pipeline",
        interval="1m",
    )
