"""Trends of one patient's vitals in bands: of their uncertainty by the second, of their bounds by minute and hour."""

from deploy.grafana.beds import WHO
from deploy.grafana.board import Choice
from deploy.grafana.columns import on
from deploy.grafana.influxql import chosen, stepped
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Override, Panel
from deploy.grafana.panels import trend

PLACE: tuple[Choice, ...] = ("site", "ward", "patient")
NO_VITALS = (
    "Nothing was measured in the time shown: nobody of this name, no sensor on the body, or a signal that is too poor "
    "(see quality, and the alarms)"
)
NO_TIER = "There is nothing yet: this is made of finished minutes and hours; see `femtoward provision` for how"
THINNED = {
    "hr": "Heart rate",
    "pulse": "Pulse rate",
    "resp": "Breath rate",
    "temp": "Skin temperature",
    "quality": "Quality",
}


def band(title: str, name: str) -> Panel:
    """One vital by the second, in a band of its uncertainty."""
    return trend(
        title,
        "Mean over the steps drawn, in a band of one standard uncertainty (the mean of those of each second: they are "
        "taken as if they all erred alike). On the right, dotted: its quality. A hole: not measurable.",
        stepped(
            "vitals",
            {
                name: f'mean("{name}")',
                "low": f'mean("{name}") - mean("{name}_u")',
                "high": f'mean("{name}") + mean("{name}_u")',
                "quality": f'mean("{name}_quality")',
            },
            where=chosen(*PLACE),
            by=WHO,
            fill="null",
        ),
        unit=unit("vitals", name),
        empty=NO_VITALS,
        overrides=[*_edges("low", "high"), _quality_axis()],
        interval="1s",
    )


def tier(measurement: str, title: str, at_first: str) -> Shelf:
    """Vitals by the minute or by the hour, below a heading that is closed at first."""
    panels = tuple(_ranged(measurement, name, of, at_first) for name, of in THINNED.items())
    return Shelf(9, panels, title, collapsed=True, across=2)


def _ranged(measurement: str, name: str, title: str, at_first: str) -> Panel:
    quality = {} if name == "quality" else {"quality": 'mean("quality")'}
    return trend(
        title,
        "Mean, in a band from the lowest to the highest. On the right, dotted: the quality of the signal.",
        stepped(
            measurement,
            {name: f'mean("{name}")', "low": f'min("{name}_min")', "high": f'max("{name}_max")', **quality},
            where=chosen(*PLACE),
            by=WHO,
            fill="null",
        ),
        unit=unit(measurement, name),
        empty=NO_TIER,
        overrides=[*_edges("low", "high"), *([_quality_axis()] if quality else [])],
        interval="1m" if measurement == "vitals_1m" else "1h",
        time_from=at_first,
    )


def _edges(low: str, high: str) -> list[Override]:
    """Fill between two series, which are lines of no width."""
    quiet = {"legend": True, "tooltip": False, "viz": False}
    return [
        on(low, custom__lineWidth=0, custom__showPoints="never", custom__hideFrom=quiet),
        on(
            high,
            custom__lineWidth=0,
            custom__showPoints="never",
            custom__fillBelowTo=low,
            custom__fillOpacity=20,
            custom__hideFrom=quiet,
        ),
    ]


def _quality_axis() -> Override:
    return on(
        "quality",
        unit="percentunit",
        min=0,
        max=1,
        custom__axisPlacement="right",
        custom__lineStyle={"fill": "dot", "dash": [1, 4]},
        custom__showPoints="never",
    )
