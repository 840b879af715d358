"""The kinds of panels that we use, each with what all of its kind have in common."""

from collections.abc import Sequence
from typing import Literal

from deploy.grafana.model import (
    INFLUX,
    DataSource,
    Defaults,
    FieldConfig,
    Link,
    Mapped,
    Override,
    Panel,
    Property,
    Target,
    Thresholds,
    Transformation,
)
from deploy.grafana.targets import Queries, asked
from deploy.grafana.words import NOTHING, QUIET, SEEN, steps

MIXED = DataSource(type="datasource", uid="-- Mixed --")
LEGEND = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
HIDDEN_LEGEND = {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []}
TOOLTIP = {"mode": "multi", "sort": "none"}
BACKGROUND = {"type": "color-background", "mode": "basic"}
TEXT = {"type": "color-text"}
# A panel without any answer says why; where only one value lacks, a dash does.
DASHES = Override(matcher={"id": "byRegexp", "options": "/.*/"}, properties=(Property(id="noValue", value=NOTHING),))


def trend(  # noqa: PLR0913 - each is an option of the panel
    title: str,
    description: str,
    queries: Queries,
    *,
    empty: str,
    unit: str,
    alias: str = "$col",
    bounds: tuple[float | None, float | None] = (None, None),
    overrides: Sequence[Override] = (),
    thresholds: Thresholds | None = None,
    interval: str = "",
    time_from: str = "",
    style: Literal["line", "bars", "points"] = "line",
    stack: bool = False,
) -> Panel:
    """Values over time; a hole in the data is a hole in the line."""
    custom = {
        "drawStyle": style,
        "lineWidth": 1,
        "fillOpacity": 60 if style == "bars" else 0,
        "showPoints": "auto" if style == "line" else "never",
        "pointSize": 4,
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    defaults = Defaults(
        unit=unit,
        no_value=empty,
        min=bounds[0],
        max=bounds[1],
        thresholds=thresholds,
        color={"mode": "palette-classic"},
        custom=custom,
    )
    return Panel(
        type="timeseries",
        title=title,
        description=description,
        datasource=INFLUX,
        targets=asked(queries, "time_series", alias),
        field_config=FieldConfig(defaults=defaults, overrides=(DASHES, *overrides)),
        options={"legend": LEGEND, "tooltip": TOOLTIP},
        interval=interval,
        time_from=time_from,
    )


def table(
    title: str,
    description: str,
    queries: Queries,
    *,
    empty: str,
    overrides: Sequence[Override],
    transformations: Sequence[Transformation] = (),
    height: Literal["sm", "md", "lg"] = "md",
) -> Panel:
    """Rows and columns; a cell without a value shows a dash, a table without rows says why."""
    defaults = Defaults(
        no_value=empty,
        color={"mode": "thresholds"},
        thresholds=steps(QUIET),
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
    )
    return Panel(
        type="table",
        title=title,
        description=description,
        datasource=INFLUX,
        targets=asked(queries, "table", ""),
        field_config=FieldConfig(defaults=defaults, overrides=(DASHES, *overrides)),
        options={"showHeader": True, "cellHeight": height},
        transformations=tuple(transformations),
    )


def stat(  # noqa: PLR0913 - each is an option of the panel
    title: str,
    description: str,
    queries: Queries,
    *,
    empty: str,
    unit: str,
    decimals: int | None = None,
    mappings: tuple[Mapped, ...] = (),
    thresholds: Thresholds | None = None,
    links: tuple[Link, ...] = (),
    transformations: Sequence[Transformation] = (),
    greatest: str = "",
) -> Panel:
    """One figure, large; with transformations the answers come as tables, and it is the `greatest` of a column."""
    defaults = Defaults(
        unit=unit,
        decimals=decimals,
        no_value=empty,
        mappings=mappings,
        thresholds=thresholds,
        color={"mode": "thresholds"},
        links=links,
    )
    return Panel(
        type="stat",
        title=title,
        description=description,
        datasource=INFLUX,
        targets=asked(queries, "table" if transformations else "time_series", "" if transformations else "$col"),
        field_config=FieldConfig(defaults=defaults, overrides=()),
        transformations=tuple(transformations),
        options={
            "reduceOptions": {
                "calcs": ["max" if greatest else "lastNotNull"],
                "fields": f"/^{greatest}$/" if greatest else "",
                "values": False,
            },
            "orientation": "auto",
            "textMode": "value",
            "colorMode": "background" if mappings or thresholds else "none",
            "graphMode": "none",
            "justifyMode": "auto",
        },
    )


def timeline(  # noqa: PLR0913 - each is an option of the panel
    title: str,
    description: str,
    queries: Queries,
    *,
    empty: str,
    mappings: tuple[Mapped, ...],
    alias: str = "",
    transformations: Sequence[Transformation] = (),
    overrides: Sequence[Override] = (),
    name: str = "",
    hole_s: int = 0,
    interval: str = "",
) -> Panel:
    """States over time, each lasting until the next, or (`hole_s`) at most so long.

    With transformations the answers come as tables, and `name` names the series by their labels.
    """
    custom: dict[str, object] = {"fillOpacity": 80, "lineWidth": 0}
    if hole_s:
        custom["insertNulls"] = 1000 * hole_s
    defaults = Defaults(
        no_value=empty,
        mappings=mappings,
        color={"mode": "thresholds"},
        thresholds=steps(QUIET),
        custom=custom,
        unit="string",
        display_name=name,
    )
    return Panel(
        type="state-timeline",
        title=title,
        description=description,
        datasource=INFLUX,
        targets=asked(queries, "table" if transformations else "time_series", alias),
        field_config=FieldConfig(defaults=defaults, overrides=(DASHES, *overrides)),
        options={
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.85,
            "legend": HIDDEN_LEGEND,
            "tooltip": {"mode": "single", "sort": "none"},
        },
        transformations=tuple(transformations),
        interval=interval,
    )


def bars(
    title: str,
    description: str,
    targets: Sequence[Target],
    *,
    empty: str,
    unit: str,
    name: str,
    overrides: Sequence[Override] = (),
) -> Panel:
    """One bar for each series: what expressions came to; `name` names them by their labels."""
    return Panel(
        type="bargauge",
        title=title,
        description=description,
        datasource=MIXED,
        targets=tuple(targets),
        field_config=FieldConfig(
            defaults=Defaults(
                unit=unit,
                decimals=1,
                min=0.0,
                no_value=empty,
                display_name=name,
                color={"mode": "thresholds"},
                thresholds=steps(SEEN),
            ),
            overrides=tuple(overrides),
        ),
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
            "displayMode": "basic",
            "valueMode": "text",
            "namePlacement": "left",
            "showUnfilled": True,
            "sizing": "auto",
            "minVizHeight": 24,
        },
    )
