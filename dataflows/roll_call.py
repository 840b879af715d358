"""The roll call of a shard that began anew: what does not stand with it any more ends in the store.

The store may know alarms as standing of which the shard knows nothing: its snapshot was of another version and could
not be read, or the flow had raised them after it, and they need not come again from banks that begin anew. Some time
after the start, when all of that has had its chance, the shard says what stands, and the store ends the rest.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from dataflows.events import NAN, SECOND_NS, AlarmEvent
from dataflows.items import shard_of

ROLL_CALL_NS = 60 * SECOND_NS  # after the start: a snapshot is not older than that
REASON = "its record could not be taken up after a restart: what still holds was raised anew"


class RollCall(NamedTuple):
    """All alarms that stand with a shard."""

    standing: frozenset[str]  # ids
    arrival_ns: int  # of the tick at which they do
    shard: int = 0
    n_shards: int = 1


def absent(roll: RollCall, standing: Iterable[AlarmEvent]) -> list[AlarmEvent]:
    """End what stands in the store with patients of a shard, and did not answer.

    Parameters
    ----------
    roll
        Who is there.
    standing
        Newest event of each alarm that stands, as the store has it.
    """
    return [
        replace(
            event,
            step=event.step + 1,
            state="ended",
            event_ns=roll.arrival_ns,
            arrival_ns=roll.arrival_ns,
            reason=REASON,
            actor="",
            note="",
            strip=b"",
            strip_scale=NAN,
        )
        for event in standing
        if event.id not in roll.standing
        and event.arrival_ns <= roll.arrival_ns  # or it was raised since
        and shard_of(f"{event.site}/{event.patient}", roll.n_shards) == roll.shard
    ]
