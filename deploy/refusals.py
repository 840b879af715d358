"""Messages that were refused, summed up by the device whose topic they came on."""

import time
from typing import NamedTuple

from dataflows.events import Bad
from dataflows.store import Store
from ingest.packet import BadPacket
from ingest.topics import parse_topic

READ_AT_ONCE = 10_000
NO_DEVICE = "(no device)"
_OF_DEVICES = ("birth", "status", "data")


class Refusals(NamedTuple):
    """Messages refused for one device, or for no device: unknown topics, bundles, commands."""

    site: str
    device: str
    counts: dict[str, int]  # by reason
    newest: dict[str, Bad]  # by reason

    @property
    def total(self) -> int:
        """Messages of every reason."""
        return sum(self.counts.values())


def refusals(store: Store) -> dict[tuple[str, str], Refusals]:
    """Everything that was refused, by (site, device); what names no device stands under ("", NO_DEVICE)."""
    found: dict[tuple[str, str], Refusals] = {}
    whose: dict[str, tuple[str, str]] = {}
    after = 0
    while stored := store.read(after, READ_AT_ONCE, kinds=(Bad.kind,)):
        after = stored[-1].id
        for _, row in stored:
            if isinstance(row, Bad):
                place = whose.get(row.topic) or whose.setdefault(row.topic, _place(row.topic))
                of = found.get(place) or found.setdefault(place, Refusals(*place, {}, {}))
                of.counts[row.reason] = of.counts.get(row.reason, 0) + 1
                of.newest[row.reason] = row
    return found


def nothing(site: str, device: str) -> Refusals:
    """Refusals of a device that had none."""
    return Refusals(site, device, {}, {})


def as_json(of: Refusals) -> dict[str, object]:
    """Counts, with the newest of each reason."""
    reasons = [
        {"reason": reason, "messages": of.counts[reason], "newest_ns": bad.arrival_ns, "newest_detail": bad.detail}
        for reason, bad in of.newest.items()
    ]
    return {"messages": of.total, "reasons": reasons}


def in_short(of: Refusals) -> str:
    """Counts by reason, most frequent first."""
    return ", ".join(f"{of.counts[reason]} {reason}" for reason in _most_first(of))


def lines(of: Refusals) -> list[str]:
    """A line for each reason, most frequent first, with the newest detail and its time."""
    said = []
    for reason in _most_first(of):
        bad = of.newest[reason]
        at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(bad.arrival_ns // 10**9))
        said.append(f"  {of.counts[reason]:>7} {reason}, the newest at {at}: {bad.detail}")
    return said


def _most_first(of: Refusals) -> list[str]:
    return sorted(of.counts, key=lambda reason: (-of.counts[reason], reason))


def _place(topic: str) -> tuple[str, str]:
    place = parse_topic(topic)
    if isinstance(place, BadPacket) or place.leaf not in _OF_DEVICES:
        return "", NO_DEVICE
    return place.site, place.name
