"""Refused messages, bounded: a flood of rubbish is counted whole and kept in samples."""

import msgspec

from dataflows.events import SECOND_NS, Bad

MINUTE_NS = 60 * SECOND_NS
SHOWN = 5  # of one topic, reason and minute are rows of their own; the others are one row together, with their count
MAX_KINDS = 1000  # topics and reasons told apart within a minute; beyond, all topics are one
MANY = "(many topics)"
NOWHERE = "-"  # site of what names none


class Kind(msgspec.Struct, array_like=True):
    """What was refused on one topic for one reason in this minute."""

    shown: int = 0
    withheld: int = 0
    newest: Bad | None = None  # of those withheld


class RefusalsImage(msgspec.Struct, frozen=True, array_like=True):
    """The refusals of a minute, as they go into a snapshot."""

    minute: int
    kinds: list[tuple[str, str, Kind]]


class Refusals:
    """Decides which refused messages become rows; every one is counted in some row."""

    def __init__(self) -> None:
        self._minute = 0
        self._kinds: dict[tuple[str, str], Kind] = {}

    def take(self, bad: Bad) -> Bad | None:
        """Return the row of a refused message, or None if it is counted in a later one."""
        key = (bad.topic, bad.reason)
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            key = (MANY, bad.reason)
            bad = msgspec.structs.replace(bad, topic=MANY, site=NOWHERE)
        kind = self._kinds.setdefault(key, Kind())
        if kind.shown < SHOWN:
            kind.shown += 1
            return bad
        kind.withheld, kind.newest = kind.withheld + 1, bad
        return None

    def tick(self, arrival_ns: int) -> list[Bad]:
        """At the first tick of a minute: the rows of what was withheld in the minute before."""
        minute = arrival_ns // MINUTE_NS
        if minute == self._minute:
            return []
        rows = [
            msgspec.structs.replace(kind.newest, count=kind.withheld) for kind in self._kinds.values() if kind.newest
        ]
        self._minute, self._kinds = minute, {}
        return rows

    def image(self) -> RefusalsImage:
        """Copy everything for a snapshot."""
        return RefusalsImage(self._minute, [(*key, kind) for key, kind in self._kinds.items()])

    def restore(self, image: RefusalsImage) -> None:
        """Take up a snapshot."""
        self._minute = image.minute
        self._kinds = {(topic, reason): kind for topic, reason, kind in image.kinds}
