"""Panels into the grid of a dashboard: shelves from top to bottom, 24 columns wide."""

from typing import NamedTuple

from msgspec.structs import replace

from deploy.grafana.model import GridPos, Panel, Row

COLUMNS = 24


class Shelf(NamedTuple):
    """Panels side by side, of equal width, in as many lines as it takes; with a title, below a heading."""

    height: int
    panels: tuple[Panel, ...]
    title: str = ""
    collapsed: bool = False  # closed at first; its queries are asked once it is opened
    across: int = 0  # so many side by side; 0: all


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
    across = shelf.across or len(shelf.panels)
    width, rest = divmod(COLUMNS, across)
    if rest:
        raise ValueError(f"{across} panels side by side in {COLUMNS} columns: need a number that divides it")
    panels = []
    for index, panel in enumerate(shelf.panels):
        number += 1
        line, column = divmod(index, across)
        place = GridPos(h=shelf.height, w=width, x=column * width, y=y + line * shelf.height)
        panels.append(replace(panel, id=number, grid_pos=place))
    return panels, number
