"""Looks into a store by what somebody asks for: alarms by when they changed, one patient's newest second, an answer.

Each question reads what it answers with and no more, however long the store has been kept.
"""

from collections.abc import Collection
from pathlib import Path
from typing import get_args

from dataflows.body import decode
from dataflows.events import AlarmEvent, AlarmState, Answer, Vitals
from dataflows.store import LAST, Store, Stored

_ALARMS = """
SELECT out.id, out.body FROM newest JOIN out USING (id)
WHERE newest.kind = 'alarm' AND newest.id > ? AND newest.id < ? AND instr(?, '|' || newest.state || '|')
ORDER BY newest.id {} LIMIT ?
"""


class Lookup(Store):
    """A store that another process writes, opened for reading.

    Parameters
    ----------
    path
        The SQLite file.

    Raises
    ------
    StoreError
        There is none, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, readonly=True)

    def alarms_between(
        self, after: int, before: int, limit: int, states: Collection[AlarmState] = (), *, newest_first: bool = False
    ) -> list[Stored]:
        """Newest events of alarms whose ids lie in between, in their order.

        Parameters
        ----------
        after, before
            Ids of rows, both exclusive.
        limit
            At most so many.
        states
            In which the alarms are now; nothing: in any.
        newest_first
            Begin with the highest id.
        """
        wanted = "|".join(states or get_args(AlarmState))
        asked = _ALARMS.format("DESC" if newest_first else "ASC")
        found = self._db.execute(asked, (min(after, LAST), min(before, LAST), f"|{wanted}|", limit))
        return [Stored(id_, decode(AlarmEvent, body)) for id_, body in found]

    def alarm(self, alarm_id: str) -> AlarmEvent | None:
        """Newest event of one alarm."""
        found = self._db.execute(
            "SELECT out.body FROM newest JOIN out USING (id) WHERE newest.kind = 'alarm' AND newest.subject = ?",
            (alarm_id,),
        ).fetchone()
        return None if found is None else decode(AlarmEvent, found[0])

    def newest_second(self, site: str, patient: str) -> Vitals | None:
        """Newest vitals of one patient."""
        found = self._db.execute(
            "SELECT out.body FROM newest JOIN out USING (id)"
            " WHERE newest.kind = 'vitals' AND newest.subject = ? AND newest.site = ?",
            (patient, site),
        ).fetchone()
        return None if found is None else decode(Vitals, found[0])

    def answer(self, command: str) -> Answer | None:
        """First answer of the flow to a command."""
        found = self._db.execute(
            "SELECT body FROM out WHERE kind = 'answer' AND key >= ? || '/' AND key < ? || '0' ORDER BY id LIMIT 1",
            (command, command),
        ).fetchone()
        return None if found is None else decode(Answer, found[0])
