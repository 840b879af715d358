"""Ward: who needs me, why, since when, and can I trust it; one row a bed, those in need first."""

from deploy.grafana.beds import FRESH, WHO, WHY_EMPTY, bed_table, beds
from deploy.grafana.board import Choice, dashboard
from deploy.grafana.influxql import INTERVAL, chosen, fields, select
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Dashboard, Panel
from deploy.grafana.panels import stat, timeline, trend
from deploy.grafana.words import GOOD, HIGH, NEED, QUALITY_STEPS, steps, values

CHOICES: tuple[Choice, ...] = ("site", "ward")


def ward() -> Dashboard:
    """Build the dashboard."""
    return dashboard(
        "femtoward-ward",
        "For nurses and doctors: every bed at a glance.",
        [
            Shelf(4, (_worst(), _open(), _occupied(), _poorest())),
            Shelf(16, (_beds(),)),
            Shelf(10, (_need(),)),
            Shelf(10, (_heart_rates(), _qualities())),
        ],
        choices=CHOICES,
        shows="1h",
        refresh="5s",
    )


def _worst() -> Panel:
    return stat(
        "Greatest need now",
        "Of all beds shown: by the worst alarm that nobody has acknowledged; after these, by those acknowledged.",
        select(beds(*CHOICES), {"need": 'max("need")'}, span=""),
        empty="No bed is known: see the table below",
        unit="short",
        mappings=values(NEED),
    )


def _open() -> Panel:
    return stat(
        "Alarms not acknowledged",
        "Alarms that stand in the beds shown and that nobody has acknowledged.",
        select(beds(*CHOICES), {"open": 'sum("standing") - sum("acknowledged")'}, span=""),
        empty="No bed is known: see the table below",
        unit="short",
        decimals=0,
        thresholds=steps(GOOD, (1.0, HIGH)),
    )


def _occupied() -> Panel:
    return stat(
        "Beds taken",
        "Patients who are admitted at the site and ward chosen.",
        select(beds(*CHOICES), {"beds": 'count("need")'}, span=""),
        empty="No bed is known: see the table below",
        unit="short",
        decimals=0,
    )


def _poorest() -> Panel:
    newest = select("vitals", {"newest": 'last("quality")'}, where=chosen(*CHOICES), by=WHO, span=FRESH)
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
        "lead. A dash: not measurable now; `because` says why. Click on patient or bed for the trends.",
        CHOICES,
    )


def _need() -> Panel:
    return timeline(
        "Need by patient",
        "How much each patient was in need. A state is drawn from its first change within the time shown, or from "
        "the next full hour: what began earlier is seen with a longer time.",
        select("bed", fields("need"), where=chosen(*CHOICES), by=["patient"]),
        alias="$tag_patient",
        mappings=values(NEED),
        empty=WHY_EMPTY,
    )


def _heart_rates() -> Panel:
    return trend(
        "Heart rates",
        "Means over the steps drawn, one line a patient; their uncertainties are on the Patient dashboard, their "
        "qualities beside this.",
        select("vitals", {"hr": 'mean("hr")'}, where=chosen(*CHOICES), by=["patient"], every=INTERVAL, fill="null"),
        alias="$tag_patient",
        unit=unit("vitals", "hr"),
        empty="No heart rate was measured in the time shown: no sensor on a patient, or signals too poor",
        interval="1s",
    )


def _qualities() -> Panel:
    return trend(
        "Signal qualities",
        "Means over the steps drawn, one line a patient. From 80 % good, from 50 % fair, from 20 % poor.",
        select(
            "vitals",
            {"quality": 'mean("quality")'},
            where=chosen(*CHOICES),
            by=["patient"],
            every=INTERVAL,
            fill="null",
        ),
        alias="$tag_patient",
        unit=unit("vitals", "quality"),
        bounds=(0.0, 1.0),
        thresholds=QUALITY_STEPS,
        empty="No vitals came in the time shown: see Devices, then Pipeline",
        interval="1s",
    )
