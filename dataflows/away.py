"""Patients who are put away, of whom nothing is heard; the clock may still have something to do with their alarms."""

from collections.abc import Iterator

import msgspec

from dataflows.alarm_images import filled
from dataflows.alarms import NEVER_NS, due_ns
from dataflows.shard_image import Parked, ParkedAlarms, decode_parked, parked_alarms
from dataflows.shelf import Shelf


class Away:
    """Records by patient, and when the clock may next change an alarm of theirs."""

    def __init__(self) -> None:
        self._shelf = Shelf()
        self._due_ns: dict[str, int] = {}
        self._next_ns = NEVER_NS  # none is due before

    def __contains__(self, key: str) -> bool:
        """Tell whether a patient is put away."""
        return key in self._shelf

    def put(self, key: str, record: Parked) -> None:
        """Put a patient away."""
        self._shelf.put(key, msgspec.msgpack.encode(record))
        self._note(key, record)

    def take(self, key: str) -> Parked:
        """Take a patient up again."""
        self._due_ns.pop(key, None)
        return decode_parked(self._shelf.take(key))

    def due(self, arrival_ns: int) -> list[str]:
        """Patients of whom the clock may change an alarm."""
        if arrival_ns < self._next_ns:
            return []
        found = [key for key, at_ns in self._due_ns.items() if at_ns <= arrival_ns]
        self._next_ns = min((at_ns for at_ns in self._due_ns.values() if at_ns > arrival_ns), default=NEVER_NS)
        return found

    def alarms(self) -> Iterator[tuple[str, ParkedAlarms]]:
        """Yield the alarms of every patient, of whatever version."""
        return parked_alarms(self._shelf)

    def image(self) -> bytes:
        """Everything, for a snapshot."""
        return self._shelf.image()

    def restore(self, image: bytes) -> None:
        """Take up a snapshot."""
        self._shelf.restore(image)
        self._due_ns, self._next_ns = {}, NEVER_NS
        for key, record in self.alarms():
            self._note(key, record)

    def _note(self, key: str, record: ParkedAlarms) -> None:
        at_ns = due_ns(filled(record.alarms))
        if at_ns < NEVER_NS:
            self._due_ns[key] = at_ns
            self._next_ns = min(self._next_ns, at_ns)
