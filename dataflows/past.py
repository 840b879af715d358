"""Alarms that are over, whose place another has taken or whose patient has left: they can still be spoken of."""

from typing import Final

import msgspec
import numpy as np

from dataflows.alarm_bank import AlarmBank, alarm_id
from dataflows.alarm_images import Cells, Lore, cells_of
from dataflows.rules import RULES
from dataflows.shelf import Shelf

KEPT: Final = 512  # of a shard


class Gone(msgspec.Struct, frozen=True, array_like=True):
    """An alarm that is over, as a row of the bank that has nothing else."""

    patient: str  # site/patient
    cells: Cells
    lore: dict[str, Lore]


_gone = msgspec.msgpack.Decoder(Gone)


class Past:
    """The last alarms that are over, by id; the oldest are forgotten."""

    def __init__(self) -> None:
        self._shelf = Shelf()

    def keep(self, patient: str, bank: AlarmBank, row: int, column: int, lore: dict[str, Lore]) -> None:
        """Keep what a cell of the bank knows of an alarm that is over, if there was one."""
        closed = int(bank.closed[row, column])
        if not bank.first_ns[row, column] or not closed:
            return
        condition = RULES[column].condition
        one = AlarmBank(*(np.where(np.arange(field.shape[1]) == column, field[row], 0)[None] for field in bank))
        one.phase[0, column] = closed
        known: dict[str, Lore] = {condition: lore[condition]} if condition in lore else {}
        self.put(alarm_id(patient, condition, int(bank.first_ns[row, column])), Gone(patient, cells_of(one), known))

    def put(self, alarm: str, gone: Gone) -> None:
        """Keep an alarm as the newest."""
        self._shelf.put(alarm, msgspec.msgpack.encode(gone))
        oldest = self._shelf.oldest
        if len(self._shelf) > KEPT and oldest is not None:
            self._shelf.take(oldest)

    def find(self, patient: str, alarm: str) -> Gone | None:
        """What is known of a patient's alarm."""
        if alarm not in self._shelf:
            return None
        gone = _gone.decode(self._shelf.look(alarm))
        return gone if gone.patient == patient else None

    def image(self) -> bytes:
        """Everything, for a snapshot."""
        return self._shelf.image()

    def restore(self, image: bytes) -> None:
        """Take up a snapshot; one of before has none."""
        if image:
            self._shelf.restore(image)
