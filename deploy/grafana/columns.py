"""Exceptions for columns and series, and what is done to the answers before they are shown."""

from collections.abc import Mapping, Sequence

from deploy.grafana.model import Options, Override, Property, Transformation


def on(*names: str, unit: str = "", decimals: int | None = None, width: int | None = None, **more: object) -> Override:
    """Override for columns or series by their names; `more` names what else it changes, ``__`` standing for a dot."""
    properties = [Property(id=name.replace("__", "."), value=value) for name, value in more.items()]
    if unit:
        properties.append(Property(id="unit", value=unit))
    if decimals is not None:
        properties.append(Property(id="decimals", value=decimals))
    if width is not None:
        properties.append(Property(id="custom.width", value=width))
    matcher = {"id": "byName", "options": names[0]} if len(names) == 1 else {"id": "byNames", "options": _listed(names)}
    return Override(matcher=matcher, properties=tuple(properties))


def series(pattern: str, **more: object) -> Override:
    """Override for the series or columns whose names match."""
    properties = tuple(Property(id=name.replace("__", "."), value=value) for name, value in more.items())
    return Override(matcher={"id": "byRegexp", "options": pattern}, properties=properties)


def hidden(*names: str) -> Override:
    """Columns that links need and eyes do not."""
    return on(*names, custom__hidden=True)


def organized(
    *, of: str = "", drop: Sequence[str] = (), rename: Mapping[str, str] | None = None, order: Sequence[str] = ()
) -> Transformation:
    """Drop, rename or order columns, of one query or of what there is by then."""
    return Transformation(
        id="organize",
        options={
            "excludeByName": dict.fromkeys(drop, True),
            "indexByName": {name: index for index, name in enumerate(order)},
            "renameByName": dict(rename or {}),
        },
        filter={"id": "byRefId", "options": of} if of else None,
    )


def merged() -> Transformation:
    """One row for each site and patient (whatever the queries have in common) out of several queries."""
    return Transformation(id="merge", options={})


def added(name: str, of: Sequence[str]) -> Transformation:
    """One column more: the sum of others, of which a row may lack some."""
    return Transformation(
        id="calculateField",
        options={
            "mode": "reduceRow",
            "reduce": {"reducer": "sum", "include": list(of), "nullValueMode": "null-ignore"},
            "alias": name,
        },
    )


def having(name: str) -> Transformation:
    """Rows that have a value in a column."""
    kept = {"fieldName": name, "config": {"id": "isNotNull", "options": {}}}
    return Transformation(id="filterByValue", options={"filters": [kept], "match": "all", "type": "include"})


def sorted_by(name: str, *, falling: bool = False) -> Transformation:
    """Rows in order; of rows that are equal the order stays."""
    return Transformation(id="sortBy", options={"fields": {}, "sort": [{"field": name, "desc": falling}]})


def parted_by(*names: str) -> Transformation:
    """One series for each value of some columns, which become labels."""
    return Transformation(
        id="partitionByValues", options={"fields": list(names), "keepFields": False, "naming": {"asLabels": True}}
    )


def _listed(names: Sequence[str]) -> Options:
    return {"mode": "include", "names": list(names), "prefix": "All except:", "readOnly": True}
