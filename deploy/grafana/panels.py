"""The kinds of panels that we use, each with what all of its kind have in common."""

from collections.abc import Mapping, Sequence
from typing import Literal

from deploy.grafana.influxql import Query
from deploy.grafana.model import (
    EXPRESSION,
    INFLUX,
    DataSource,
    Defaults,
    Expression,
    FieldConfig,
    Influx,
    Link,
    Mapped,
    Override,
    Panel,
    Property,
    Target,
    Thresholds,
    Transformation,
)
from deploy.grafana.words import NOTHING

Queries = Query | Mapping[str, Query]  # one, or several by their letters
MIXED = DataSource(type="datasource", uid="-- Mixed --")
LEGEND = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
HIDDEN_LEGEND = {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []}
TOOLTIP = {"mode": "multi", "sort": "none"}
BACKGROUND = {"type": "color-background", "mode": "basic"}
TEXT = {"type": "color-text"}


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
        targets=_targets(queries, "time_series", alias),
        field_config=FieldConfig(defaults=defaults, overrides=tuple(overrides)),
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
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
    )
    dashes = Override(matcher={"id": "byRegexp", "options": ".*"}, properties=(Property(id="noValue", value=NOTHING),))
    return Panel(
        type="table",
        title=title,
        description=description,
        datasource=INFLUX,
        targets=_targets(queries, "table", ""),
        field_config=FieldConfig(defaults=defaults, overrides=(dashes, *overrides)),
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
) -> Panel:
    """One figure, large."""
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
        targets=_targets(queries, "time_series", "$col"),
        field_config=FieldConfig(defaults=defaults, overrides=()),
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
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
    hole_s: int = 0,
    interval: str = "",
) -> Panel:
    """States over time, each lasting until the next, or (`hole_s`) at most so long.

    With transformations the answers come as tables.
    """
    custom: dict[str, object] = {"fillOpacity": 80, "lineWidth": 0}
    if hole_s:
        custom["insertNulls"] = 1000 * hole_s
    defaults = Defaults(
        no_value=empty,
        mappings=mappings,
        color={"mode": "thresholds"},
        custom=custom,
        unit="string",
    )
    return Panel(
        type="state-timeline",
        title=title,
        description=description,
        datasource=INFLUX,
        targets=_targets(queries, "table" if transformations else "time_series", alias),
        field_config=FieldConfig(defaults=defaults, overrides=tuple(overrides)),
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
    overrides: Sequence[Override] = (),
) -> Panel:
    """One bar for each series: what expressions came to."""
    return Panel(
        type="bargauge",
        title=title,
        description=description,
        datasource=MIXED,
        targets=tuple(targets),
        field_config=FieldConfig(
            defaults=Defaults(unit=unit, decimals=1, min=0.0, no_value=empty, color={"mode": "thresholds"}),
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


def influx(
    letter: str, query: Query, form: Literal["table", "time_series"], alias: str = "", *, hide: bool = False
) -> Influx:
    """One query of a panel."""
    return Influx(
        ref_id=letter,
        query=query.text,
        result_format=form,
        alias=alias,
        hide=hide,
        raw_query=True,
        datasource=INFLUX,
    )


def math(letter: str, expression: str, *, hide: bool = False) -> Expression:
    """Arithmetic on other queries, named by ``$A``."""
    return Expression(ref_id=letter, type="math", expression=expression, hide=hide, datasource=EXPRESSION)


def summed(letter: str, of: str) -> Expression:
    """Sum of each series of a query; hidden."""
    return Expression(ref_id=letter, type="reduce", expression=of, reducer="sum", hide=True, datasource=EXPRESSION)


def _targets(queries: Queries, form: Literal["table", "time_series"], alias: str) -> tuple[Influx, ...]:
    named = {"A": queries} if isinstance(queries, Query) else queries
    return tuple(influx(letter, query, form, alias) for letter, query in named.items())
