"""How many messages were refused, by site, device and reason: counted for good, whatever becomes of the rows."""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from dataflows.body import decode, encode
from dataflows.events import Bad
from dataflows.keep import TOTALS_MOST
from ingest.packet import BadPacket
from ingest.topics import parse_topic

NO_DEVICE: Final = "(no device)"  # unknown topics, bundles, commands
OTHERS: Final = "(others)"  # of devices beyond the number that is counted apart
_OF_DEVICES = ("birth", "status", "data")

TOTALS_SCHEMA: Final = """
CREATE TABLE refusal (
    site TEXT NOT NULL, device TEXT NOT NULL, reason TEXT NOT NULL, messages INTEGER NOT NULL, at INTEGER NOT NULL,
    newest BLOB NOT NULL, PRIMARY KEY (site, device, reason)) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO refusal (site, device, reason, messages, at, newest) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (site, device, reason) DO UPDATE SET
    messages = messages + excluded.messages,
    newest = CASE WHEN excluded.at >= at THEN excluded.newest ELSE newest END, at = max(at, excluded.at)
"""


class Refusal(NamedTuple):
    """Messages refused for one device and reason."""

    site: str  # empty, with NO_DEVICE
    device: str
    reason: str
    messages: int
    newest: Bad


class Totals:
    """The table of refusals of a store; written within the transaction that writes the rows."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._entries: int | None = None  # counted when it is first needed

    def add(self, rows: Iterable[Bad]) -> None:
        """Count rows that are new."""
        sums: dict[tuple[str, str, str], tuple[int, Bad]] = {}
        for row in rows:
            place = (*_place(row.topic), row.reason)
            messages, newest = sums.get(place, (0, row))
            sums[place] = (messages + row.count, row if row.offset >= newest.offset else newest)
        for place, (messages, newest) in sums.items():
            self._db.execute(_ADD, (*self._apart(place), messages, newest.offset, encode(newest)))

    def read(self) -> list[Refusal]:
        """Every total, in the order of (site, device, reason)."""
        found = self._db.execute(
            "SELECT site, device, reason, messages, newest FROM refusal ORDER BY site, device, reason"
        )
        return [
            Refusal(site, device, reason, messages, decode(Bad, newest))
            for site, device, reason, messages, newest in found
        ]

    def _apart(self, place: tuple[str, str, str]) -> tuple[str, str, str]:
        """Return the place itself, or that of the others once there are too many."""
        if self._entries is None:
            self._entries = int(self._db.execute("SELECT count(*) FROM refusal").fetchone()[0])
        if self._db.execute("SELECT 1 FROM refusal WHERE site = ? AND device = ? AND reason = ?", place).fetchone():
            return place
        if self._entries >= TOTALS_MOST:
            return "", OTHERS, place[2]
        self._entries += 1  # too many after a transaction that failed, which does no harm
        return place


def _place(topic: str) -> tuple[str, str]:
    parsed = parse_topic(topic)
    if isinstance(parsed, BadPacket) or parsed.leaf not in _OF_DEVICES:
        return "", NO_DEVICE
    return parsed.site, parsed.name
