"""Beds of a shard: who lies where, and how each bed stands; told when that changes, and once an hour."""

import zlib
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from dataflows.device import HOUR_NS
from dataflows.events import AlarmEvent, BedState
from dataflows.items import Placed, name_of, site_of
from dataflows.standing import CALM, Standing

LEFT_KEPT: Final = (
    1024  # patients who left of whom the last row is remembered: what is held back of them may still come
)
LEVEL: Final = 1  # rows are much alike: the quickest setting finds that

_content = msgspec.msgpack.Decoder(tuple[BedState, ...])


class Beds:
    """Newest row of every patient that is here, or that left not long ago.

    A patient's rows follow each other in time, each after the one before it, though a record is worked through late: so
    they have different keys, and the newest point in InfluxDB is the newest row.
    """

    def __init__(self) -> None:
        self._here: dict[str, BedState] = {}  # by site/patient
        self._left: dict[str, BedState] = {}  # oldest first
        self._hour = 0  # of the newest tick; 0: none came
        self._image: bytes | None = None  # until something changes

    def place(self, patient: str) -> tuple[str, str]:
        """Ward and bed of a patient; of one who left, the last ones; empty: not known."""
        row = self._here.get(patient) or self._left.get(patient)
        return ("", "") if row is None else (row.ward, row.bed)

    def knows(self, placed: Placed) -> bool:
        """Whether nothing is new."""
        row = self._here.get(placed.patient)
        if row is None:
            return not placed.admitted
        return placed.admitted and (row.ward, row.bed) == (placed.ward, placed.bed)

    def move(self, placed: Placed, standing: Standing) -> list[BedState]:
        """Take up where a patient lies; return what there is to tell: the ward that a patient leaves is told, too."""
        key, before = placed.patient, self._here.get(placed.patient)
        rows = []
        if before is not None and (not placed.admitted or before.ward != placed.ward):
            rows.append(self._leave(before, placed.arrival_ns))
        if placed.admitted:
            at_ns = self._after(key, placed.arrival_ns)
            self._here[key] = _state(key, at_ns, (placed.ward, placed.bed), _since(standing, at_ns, before))
            self._left.pop(key, None)
            rows.append(self._here[key])
        self._image = None
        return rows

    def after(self, rows: Iterable[object], standing: Callable[[list[str]], list[Standing]]) -> list[BedState]:
        """Tell the beds that stand otherwise after some alarm events; other rows change nothing."""
        at_ns = {f"{row.site}/{row.patient}": row.arrival_ns for row in rows if isinstance(row, AlarmEvent)}
        here = [patient for patient in at_ns if patient in self._here]
        stands = zip(here, standing(here), strict=True) if here else ()
        return [row for patient, how in stands for row in self._tell(patient, at_ns[patient], how)]

    def tick(self, arrival_ns: int) -> list[BedState]:
        """Tell every bed again in the first tick of an hour."""
        hour, before = arrival_ns // HOUR_NS, self._hour
        if hour == before:
            return []
        self._hour = hour
        return self.again(arrival_ns) if before else []

    def again(self, arrival_ns: int) -> list[BedState]:
        """Tell every bed again, so that it is the newest row of its patient."""
        self._here = {key: replace(row, at_ns=max(arrival_ns, row.at_ns + 1)) for key, row in self._here.items()}
        self._image = None
        return list(self._here.values())

    def image(self) -> tuple[int, bytes]:
        """Everything, for a snapshot."""
        if self._image is None:
            rows = (*self._left.values(), *self._here.values())
            self._image = zlib.compress(msgspec.msgpack.encode(rows), LEVEL)
        return self._hour, self._image

    def restore(self, image: tuple[int, bytes]) -> None:
        """Take up a snapshot."""
        self._hour, self._image = image
        rows = {f"{row.site}/{row.patient}": row for row in _content.decode(zlib.decompress(self._image))}
        self._here = {key: row for key, row in rows.items() if row.admitted}
        self._left = {key: row for key, row in rows.items() if not row.admitted}

    def _tell(self, patient: str, arrival_ns: int, standing: Standing) -> list[BedState]:
        before = self._here[patient]
        at_ns = self._after(patient, arrival_ns)
        row = _state(patient, at_ns, (before.ward, before.bed), _since(standing, at_ns, before))
        if replace(row, at_ns=before.at_ns) == before:
            return []
        self._here[patient], self._image = row, None
        return [row]

    def _leave(self, row: BedState, arrival_ns: int) -> BedState:
        key = f"{row.site}/{row.patient}"
        at_ns = self._after(key, arrival_ns)
        gone = replace(_state(key, at_ns, (row.ward, row.bed), CALM._replace(since_ns=at_ns)), admitted=False)
        del self._here[key]
        self._left[key] = gone
        if len(self._left) > LEFT_KEPT:
            del self._left[next(iter(self._left))]
        return gone

    def _after(self, key: str, arrival_ns: int) -> int:
        """Time of a new row of a patient."""
        before = self._here.get(key) or self._left.get(key)
        return arrival_ns if before is None else max(arrival_ns, before.at_ns + 1)


def _state(key: str, at_ns: int, place: tuple[str, str], how: Standing) -> BedState:
    return BedState(
        site=site_of(key),
        patient=name_of(key),
        at_ns=at_ns,
        ward=place[0],
        bed=place[1],
        admitted=True,
        need=how.need,
        priority=how.priority,
        condition=how.condition,
        words=how.words,
        since_ns=how.since_ns,
        standing=how.standing,
        acknowledged=how.acknowledged,
    )


def _since(standing: Standing, at_ns: int, before: BedState | None) -> Standing:
    """Say of a bed at which nothing stands since when that is so."""
    if standing.standing:
        return standing
    calm = before is not None and not before.standing
    return standing._replace(since_ns=before.since_ns if before is not None and calm else at_ns)
