"""The journal's clock: what arrival time a moment gets, whatever the host's clock does; pure.

Arrival times order everything, and everything that is driven by time (silence, timeouts, how young evidence is) is
driven by them. So they never go back, never stand still, and go at the pace of real time. Between two readings the
journal's clock goes on by what the monotonic clock says, drawn to the host's by at most 500 ppm, which is what the
clock model of a device follows without a seam (``ingest/clock.py``). A host's clock that is set stands apart from that:

- Set ahead by more than 2 s, it is not followed until it has stood so for 5 minutes: a slip of the hand or of the time
  service is put right before, and nobody's data is stamped with it. Then the journal's clock is set too. Nothing was
  seen to be silent in the time left out: whoever reads the journal is told that it was blind.
- Set back, it cannot be followed. The journal's clock goes 500 ppm slower until they agree. Going at half speed
  would agree sooner, and until then double each timeout and have packets refused as running ahead of all clocks.

A process that starts takes the host's clock as it is, unless the journal is already further.
"""

from enum import IntEnum
from typing import Final, NamedTuple

S: Final = 10**9

SET_NS: Final = 2 * S  # host's and journal's clock that part by more: one was set
HOLD_NS: Final = 300 * S  # a clock set ahead is followed once it has stood so long
SLEW: Final = 2000  # one part in so many: 500 ppm


class Standing(IntEnum):
    """How the host's clock stands to the journal's."""

    EVEN = 0
    AHEAD = 1  # it was set ahead, and is not followed yet
    BEHIND = 2  # it was set back, and cannot be followed


class ArrivalState(NamedTuple):
    """The journal's clock at its last reading."""

    arrival_ns: int = 0  # 0: no record yet
    monotonic_ns: int = -1  # -1: not read yet by this process
    parted_ns: int = 0  # how far the host's clock was ahead when it came to be AHEAD ...
    parted_at_ns: int = -1  # ... and when, by the monotonic clock; -1: it is not


class Reading(NamedTuple):
    """What the journal's clock shows."""

    arrival_ns: int
    apart_ns: int  # how far the host's clock is ahead of it; below 0: behind
    standing: Standing
    set_ns: int  # by how much the journal's clock was set ahead at this reading; no such time went by


def read_clock(state: ArrivalState, wall_ns: int, monotonic_ns: int) -> tuple[ArrivalState, Reading]:
    """Read the journal's clock.

    Parameters
    ----------
    state
        ``ArrivalState(arrival_ns)`` of the newest record at the start of a process, then what the last call gave.
    wall_ns, monotonic_ns
        The host's clock (unix time), and one that nobody sets and that counts sleep too.

    Examples
    --------
    >>> state, _ = read_clock(ArrivalState(), wall_ns=1000 * S, monotonic_ns=0)
    >>> state, reading = read_clock(state, wall_ns=900 * S, monotonic_ns=1 * S)
    >>> reading.arrival_ns, reading.standing.name
    (1000999500000, 'BEHIND')
    """
    if state.monotonic_ns < 0:
        start_ns = max(state.arrival_ns + 1, wall_ns)
        standing = Standing.BEHIND if start_ns - wall_ns > SET_NS else Standing.EVEN
        return ArrivalState(start_ns, monotonic_ns), Reading(start_ns, wall_ns - start_ns, standing, 0)
    elapsed_ns = max(monotonic_ns - state.monotonic_ns, 0)
    apart_ns = wall_ns - state.arrival_ns - elapsed_ns
    parted_ns, parted_at_ns, set_ns = state.parted_ns, state.parted_at_ns, 0
    if apart_ns <= SET_NS:
        parted_at_ns = -1
    elif parted_at_ns < 0 or abs(apart_ns - parted_ns) > SET_NS:  # set now, or set again
        parted_ns, parted_at_ns = apart_ns, monotonic_ns
    elif monotonic_ns - parted_at_ns >= HOLD_NS:
        parted_at_ns, set_ns = -1, apart_ns
    slew_ns = max(-(elapsed_ns // SLEW), min(apart_ns, elapsed_ns // SLEW))
    arrival_ns = max(state.arrival_ns + 1, state.arrival_ns + elapsed_ns + (set_ns or slew_ns))
    standing = Standing.BEHIND if apart_ns < -SET_NS else Standing.AHEAD if parted_at_ns >= 0 else Standing.EVEN
    after = ArrivalState(arrival_ns, monotonic_ns, parted_ns, parted_at_ns)
    return after, Reading(arrival_ns, wall_ns - arrival_ns, standing, set_ns)
