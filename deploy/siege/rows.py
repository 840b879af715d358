"""The rows that were, the rows that are left, and the rows of an uninterrupted replay: three that must agree."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from dataflows.events import Removal, Row
from dataflows.store import Store
from deploy.siege.chronicle import Chronicle, Entry, Place, entry_of

AT_ONCE: Final = 2000


class Difference(NamedTuple):
    """Rows in which the live store and a replay differ."""

    missing: list[Place]  # the replay has it
    extra: list[Place]  # the replay has it not
    different: list[Place]  # both have it, and it says another thing

    def __bool__(self) -> bool:
        """There is a difference."""
        return bool(self.missing or self.extra or self.different)

    def words(self, what: str) -> list[str]:
        """A line for each kind of difference, with the first row of each."""
        named = (("missing", self.missing), ("extra", self.extra), ("different", self.different))
        return [
            f"{len(places)} {what} {how} against the replay ({_by_kind(places)}); the first: "
            f"{places[0].kind} {places[0].site} {places[0].key}"
            for how, places in named
            if places
        ]


def every(store: Store) -> Iterator[Row]:
    """All rows of a store, oldest first."""
    after = 0
    while found := store.read(after, AT_ONCE):
        yield from (stored.row for stored in found)
        after = found[-1].id


def entries(store: Store) -> dict[Place, Entry]:
    """Place and digest of every row of a store."""
    return dict(map(entry_of, every(store)))


def compare(live: Chronicle, replayed: dict[Place, Entry]) -> tuple[Difference, Difference]:
    """Rows that differ, and alarm events that differ."""
    found = live.rows
    missing = sorted(place for place in replayed if place not in found)
    extra = sorted(place for place in found if place not in replayed)
    both = (place for place in replayed if place in found and replayed[place] != found[place])
    different = sorted({*both, *live.changed})
    differences = Difference(missing, extra, different)
    alarms = Difference(*([place for place in places if place.kind == "alarm"] for places in differences))
    rows = Difference(*([place for place in places if place.kind != "alarm"] for places in differences))
    return rows, alarms


def check_left(live: Chronicle, left: dict[Place, Entry]) -> tuple[int, list[str]]:
    """How many rows the store has removed, and, in words, what is gone untold, and what is not as it was seen."""
    gone = [place for place in live.rows if place not in left]
    untold = [place for place in gone if not _told(live.removals, place, live.rows[place])]
    changed = [place for place in left if left[place] != live.rows.get(place)]
    wrong = []
    if untold:
        wrong.append(
            f"{len(untold)} rows are gone from the store ({_by_kind(untold)}), and no removal of their kind and time "
            f"was told; the first: {untold[0].kind} {untold[0].site} {untold[0].key}"
        )
    if changed:
        wrong.append(
            f"{len(changed)} rows of the store ({_by_kind(changed)}) are not as they were seen live; the first: "
            f"{changed[0].kind} {changed[0].site} {changed[0].key}"
        )
    return len(gone), wrong


def _told(removals: list[Removal], place: Place, entry: Entry) -> bool:
    return any(one.what == place.kind and one.first <= entry.second < one.end for one in removals)


def _by_kind(places: list[Place]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(place.kind for place in places).most_common())
