"""The queries of the dashboards with their variables filled, as Grafana would send them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from deploy.grafana import files

ALL = ".*"  # what Grafana puts in for All, where a variable says so


class Asked(NamedTuple):
    """One query of one panel, or of a variable or annotation."""

    dashboard: str
    panel: str
    letter: str
    query: str
    interval: str  # shortest step, or nothing

    @property
    def name(self) -> str:
        return f"{self.dashboard} / {self.panel} / {self.letter}"


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Panels of a dashboard, those in collapsed rows, too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def boards() -> list[dict[str, Any]]:
    return [json.loads(text) for text in files.dashboards().values()]


def panel_queries() -> list[Asked]:
    return [
        Asked(board["uid"], panel["title"], target["refId"], target["query"], panel.get("interval", ""))
        for board in boards()
        for panel in panels(board)
        for target in panel["targets"]
        if target["datasource"]["type"] == "influxdb"
    ]


def other_queries() -> list[Asked]:
    """Those of variables and annotations."""
    return [
        Asked(board["uid"], one["name"], kind, one["query"] if kind == "variable" else one["target"]["query"], "")
        for board in boards()
        for kind, part in (("variable", "templating"), ("annotation", "annotations"))
        for one in board[part]["list"]
    ]


def filled(asked: Asked, chosen: Mapping[str, str], from_s: int, to_s: int) -> str:
    """The query as it is sent; a variable that is not chosen is All."""
    text = asked.query.replace("$timeFilter", f"time >= {from_s * 1000}ms AND time <= {to_s * 1000}ms")
    text = text.replace("$__interval", asked.interval or "1s")
    for name in ("site", "ward", "patient", "device", "part"):
        text = text.replace(f"${name}", chosen.get(name, ALL))
    assert "$" not in text.replace("$/", ""), f"{asked.name}: not all variables are filled: {text}"
    return text
