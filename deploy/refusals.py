"""Messages that were refused, summed up by the device whose topic they came on."""

import time
from typing import NamedTuple

from dataflows.events import Bad
from dataflows.store import Store


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
    for one in store.refusals():
        place = (one.site, one.device)
        of = found.setdefault(place, Refusals(*place, {}, {}))
        of.counts[one.reason], of.newest[one.reason] = one.messages, one.newest
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
