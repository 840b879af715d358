"""Which row is the newest of each patient, bed and alarm, so that nobody has to look for it among all."""

from collections.abc import Iterable
from typing import Final

from dataflows.events import AlarmEvent, BedState, Row, Vitals

KEEP_NEWEST: Final = """
INSERT INTO newest (kind, subject, site, rank, state, id) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, subject, site) DO UPDATE SET rank = excluded.rank, state = excluded.state, id = excluded.id
WHERE excluded.rank > rank
"""


def newest_of_each(rows: Iterable[tuple[int, Row, bytes]]) -> list[tuple[str, str, str, int, str, int]]:
    """One entry for each patient, bed and alarm among new rows; the database keeps that of the highest rank."""
    newest: dict[tuple[str, str, str], tuple[int, str, int]] = {}
    for id_, row, _ in rows:
        if isinstance(row, Vitals):
            entry, subject = (row.second, "", id_), row.patient
        elif isinstance(row, AlarmEvent):
            entry, subject = (row.step, row.state, id_), row.id
        elif isinstance(row, BedState):
            entry, subject = (row.at_ns, "", id_), row.patient
        else:
            continue
        place = (row.kind, subject, row.site)
        if place not in newest or entry[0] > newest[place][0]:
            newest[place] = entry
    return [(*place, *entry) for place, entry in newest.items()]
