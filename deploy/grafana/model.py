"""Grafana's dashboard JSON, as far as ours go: the types that the dashboards are built of.

Types of our own rather than grafana-foundation-sdk: its Python package carries no type information, knows no query of
InfluxDB, and has the releases for all versions of Grafana in one line of numbers, the newest being one for 10.1. The
tests hold what is built here against its types all the same: nothing of ours may be lost or changed on the way through
them.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

PanelType = Literal["bargauge", "stat", "state-timeline", "table", "timeseries"]
Options = Mapping[str, object]  # of a plugin: its own affair
SCHEMA_VERSION = 39  # Grafana 11


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Part of a dashboard; what is left at its default is left out."""


class DataSource(Part, frozen=True, kw_only=True):
    """Whom a query goes to."""

    type: str
    uid: str


INFLUX = DataSource(type="influxdb", uid="femtoward-influx")
EXPRESSION = DataSource(type="__expr__", uid="__expr__")  # Grafana's own arithmetic


class Influx(Part, frozen=True, kw_only=True):
    """One InfluxQL query."""

    ref_id: str
    query: str
    result_format: Literal["table", "time_series"]
    alias: str = ""
    hide: bool = False  # asked for an expression only
    raw_query: bool = msgspec.field(name="rawQuery")
    datasource: DataSource


class Expression(Part, frozen=True, kw_only=True):
    """Arithmetic on the answers of other queries."""

    ref_id: str
    type: Literal["math", "reduce"]
    expression: str
    reducer: str = ""
    hide: bool = False
    datasource: DataSource


Target = Influx | Expression


class Shown(Part, frozen=True, kw_only=True):
    """How a value is shown: the words in its place, or (without words) its colour."""

    text: str | None = None
    color: str | None = None
    index: int = -1


class Mapped(Part, frozen=True, kw_only=True):
    """Words for values: for each value, for a range, for what matches, or for none."""

    type: Literal["value", "range", "regex", "special"]
    options: Options | Mapping[str, Shown]


class Step(Part, frozen=True, kw_only=True):
    """A colour from a value on; None: from the beginning."""

    value: float | None = msgspec.field()
    color: str = msgspec.field()


class Thresholds(Part, frozen=True, kw_only=True):
    """Colours by value."""

    steps: tuple[Step, ...]
    mode: str = msgspec.field(default="")


class Link(Part, frozen=True, kw_only=True):
    """A link from a value, or from a dashboard."""

    title: str
    url: str
    target_blank: bool = False


class Defaults(Part, frozen=True, kw_only=True):
    """How the values of a panel are shown."""

    unit: str = ""
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    no_value: str = ""
    display_name: str = ""  # out of labels, where those of the data source will not do
    mappings: tuple[Mapped, ...] = ()
    thresholds: Thresholds | None = None
    color: Options | None = None
    custom: Options | None = None
    links: tuple[Link, ...] = ()


class Property(Part, frozen=True, kw_only=True):
    """One thing that an override changes."""

    id: str
    value: object


class Override(Part, frozen=True, kw_only=True):
    """Changes for some of the values."""

    matcher: Options
    properties: tuple[Property, ...]


class FieldConfig(Part, frozen=True, kw_only=True):
    """How values are shown, and the exceptions."""

    defaults: Defaults
    overrides: tuple[Override, ...]


class Transformation(Part, frozen=True, kw_only=True):
    """What is done to the answers before they are shown."""

    id: str
    options: Options
    filter: Options | None = None


class GridPos(Part, frozen=True, kw_only=True):
    """Place in a grid of 24 columns."""

    h: int
    w: int
    x: int
    y: int


class Panel(Part, frozen=True, kw_only=True):
    """One panel; `layout` gives it its number and its place."""

    type: PanelType
    title: str
    description: str
    targets: tuple[Target, ...]
    field_config: FieldConfig
    options: Options
    datasource: DataSource
    transformations: tuple[Transformation, ...] = ()
    interval: str = ""  # no shorter step than this
    time_from: str = ""  # while the dashboard follows the clock, this much of it
    id: int = 0
    grid_pos: GridPos | None = None


class Row(Part, frozen=True, kw_only=True, tag_field="type", tag="row"):
    """A heading; collapsed, it holds its panels, which then cost no query."""

    id: int
    title: str
    collapsed: bool = msgspec.field()
    grid_pos: GridPos
    panels: tuple[Panel, ...] = msgspec.field()


class Variable(Part, frozen=True, kw_only=True):
    """A choice at the top of a dashboard."""

    name: str
    label: str
    type: Literal["query"]
    query: str
    datasource: DataSource
    refresh: int = msgspec.field()  # 2: whenever the time range changes
    sort: int = msgspec.field()
    include_all: bool = msgspec.field()
    multi: bool = msgspec.field()
    all_value: str = ""
    current: Options | None = None
    description: str = ""


class Templating(Part, frozen=True, kw_only=True):
    """The choices."""

    list: tuple[Variable, ...]


class Marks(Part, frozen=True, kw_only=True):
    """Query for marks, and which of its columns say what; `from_annotations` tells the plugin to read it so."""

    ref_id: str
    query: str
    text_column: str
    tags_column: str
    raw_query: bool = msgspec.field()
    from_annotations: bool = msgspec.field()


class Annotation(Part, frozen=True, kw_only=True):
    """Marks in the graphs."""

    name: str
    enable: bool = msgspec.field()
    icon_color: str
    datasource: DataSource
    target: Marks


class Annotations(Part, frozen=True, kw_only=True):
    """The marks."""

    list: tuple[Annotation, ...]


class DashboardLink(Part, frozen=True, kw_only=True):
    """A link beside the choices; it takes them along."""

    title: str
    url: str
    type: Literal["link"]
    icon: str
    tooltip: str
    tags: tuple[str, ...] = msgspec.field()
    as_dropdown: bool = msgspec.field()
    include_vars: bool = msgspec.field()
    keep_time: bool = msgspec.field()
    target_blank: bool = msgspec.field()


class TimeRange(Part, frozen=True, kw_only=True):
    """What is shown at first."""

    from_: str = msgspec.field(name="from")
    to: str


class Dashboard(Part, frozen=True, kw_only=True):
    """One dashboard."""

    uid: str
    title: str
    description: str
    tags: tuple[str, ...]
    timezone: str
    editable: bool = msgspec.field()
    graph_tooltip: int
    time: TimeRange
    refresh: str
    schema_version: int
    templating: Templating
    annotations: Annotations
    links: tuple[DashboardLink, ...]
    panels: tuple[Panel | Row, ...]
