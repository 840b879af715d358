"""Panels into the grid of a dashboard: shelves from top to bottom, 24 columns wide."""

from typing import NamedTuple

from msgspec.structs import replace

from deploy.grafana.model import GridPos, Panel, Row

COLUMNS = 24


class Shelf(NamedTuple):
    """Panels side by side, of equal width; with a title, below a heading."""

    height: int
    panels: tuple[Panel, ...]
    title: str = ""
    collapsed: bool = False  # closed at first; its queries are asked once it is opened


def stacked(shelves: list[Shelf]) -> tuple[Panel | Row, ...]:
    """Number and place the panels of all shelves.

    Raises
    ------
    ValueError
        The panels of a shelf cannot be equally wide.
    """
    placed: list[Panel | Row] = []
    y, number = 0, 0
    for shelf in shelves:
        if shelf.title:
            number, heading_y, y = number + 1, y, y + 1
            heading = number
        inner, number = _placed(shelf, y, number)
        if not shelf.title:
            placed += inner
        else:
            row = Row(
                id=heading,
                title=shelf.title,
                collapsed=shelf.collapsed,
                grid_pos=GridPos(h=1, w=COLUMNS, x=0, y=heading_y),
                panels=tuple(inner) if shelf.collapsed else (),
            )
            placed += [row] if shelf.collapsed else [row, *inner]
        y += 0 if shelf.collapsed else max((p.grid_pos.y + p.grid_pos.h - y for p in inner if p.grid_pos), default=0)
    return tuple(placed)


def _placed(shelf: Shelf, y: int, number: int) -> tuple[list[Panel], int]:
    width, rest = divmod(COLUMNS, len(shelf.panels))
    if rest:
        raise ValueError(f"{len(shelf.panels)} panels on a shelf of {COLUMNS} columns: need a number that divides it")
    panels = []
    for index, panel in enumerate(shelf.panels):
        number += 1
        panels.append(replace(panel, id=number, grid_pos=GridPos(h=shelf.height, w=width, x=index * width, y=y)))
    return panels, number
