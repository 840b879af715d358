"""A simulated scenario run through the whole flow without servers: fleet, fold, shard, and what came of it."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Literal, NamedTuple

from dataflows.events import SECOND_NS, AlarmEvent, DeviceStatus, Vitals
from dataflows.fold import Fold
from dataflows.shard import Shard
from deploy.truth import Truth, gather
from device_sim.fleet import Fleet, FleetOptions
from device_sim.truth import TruthLine
from ingest.documents import encode_birth
from ingest.journal import Record, RecordKind
from ingest.topics import topic_of

T0_NS = 1_700_000_000 * SECOND_NS
TICK_NS = SECOND_NS // 4
TRANSIT_NS = 20_000_000  # a packet arrives so long after its last sample
TICKS_AFTER = 8  # the clock goes on for so many when all is over

Arrival = tuple[int, tuple[RecordKind, str, bytes]]  # time since the start, and what came
Row = Vitals | AlarmEvent | DeviceStatus


class Played(NamedTuple):
    """What a run through the flow left, beside what was true."""

    truth: Truth
    lines: list[TruthLine]
    alarms: list[AlarmEvent]
    vitals: list[Vitals]
    end_ns: int


def played(scenario: str, patients: int, seconds: float, seed: int = 1) -> Played:
    """Run a scenario through a fold and one shard, as fast as it goes.

    Parameters
    ----------
    scenario, patients, seconds, seed
        As in `FleetOptions`.
    """
    lines: list[TruthLine] = []
    options = FleetOptions(patients=patients, scenario=scenario, seed=seed, seconds=seconds)
    rows = [row for _, row in rows_of(options, lines)]
    return Played(
        gather(lines),
        lines,
        [row for row in rows if isinstance(row, AlarmEvent)],
        [row for row in rows if isinstance(row, Vitals)],
        T0_NS + round(seconds * SECOND_NS),
    )


def rows_of(options: FleetOptions, lines: list[TruthLine], shard: Shard | None = None) -> Iterator[tuple[int, Row]]:
    """Vitals, alarms and states of devices as they leave the flow, each with the arrival of what it was made by then.

    They come step by step, and the truth is added to `lines` likewise. A shard of the caller's own may be listened to.
    """
    fold, shard = Fold(1), shard or Shard()
    for records in records_of(options, lines):
        folded = fold.feed(records)
        at_ns = records[-1].arrival_ns if records else T0_NS
        yield from ((at_ns, row) for where, row in folded if where is None and isinstance(row, DeviceStatus))
        items = [content for where, content in folded if where is not None]
        found = shard.feed(items)  # type: ignore[arg-type]  # what has a shard is an item
        yield from ((at_ns, row) for row in found if isinstance(row, Vitals | AlarmEvent))


def records_of(options: FleetOptions, lines: list[TruthLine]) -> Iterator[list[Record]]:
    """Return the journal that a fleet would leave, some records at a time; the truth is added to `lines` likewise."""
    fleet, offset = Fleet(options, t_start_ns=T0_NS), 0
    for arrivals in _steps(fleet, round(options.seconds * 4), lines):
        yield [Record(offset + k, T0_NS + at_ns, *what) for k, (at_ns, what) in enumerate(arrivals)]
        offset += len(arrivals)


def _steps(fleet: Fleet, n_steps: int, lines: list[TruthLine]) -> Iterator[list[Arrival]]:
    """Records of the fleet's journal in the order of their arrival, with ticks in between, some at a time."""
    site = [who.site for who in fleet.names]

    def message(index: int, leaf: Literal["birth", "status", "data"], at_ns: int, payload: bytes) -> Arrival:
        return at_ns, (RecordKind.MESSAGE, topic_of(site[index], fleet.births[index].device, leaf), payload)

    waiting: list[Arrival] = [message(index, "birth", 0, encode_birth(one)) for index, one in enumerate(fleet.births)]
    ticks: list[Arrival] = [(k * TICK_NS, (RecordKind.TICK, "", b"")) for k in range(n_steps + TICKS_AFTER)]
    for step in range(n_steps):
        leaving = fleet.step()
        now_ns = [phase_ns + step * TICK_NS + TRANSIT_NS for phase_ns in fleet.phase_ns]
        waiting += [message(index, "birth", now_ns[index] + 1, payload) for index, payload in fleet.rebirths()]
        waiting += [message(index, "status", now_ns[index] + TICK_NS, status) for index, status in fleet.statuses()]
        waiting += [message(index, "data", now_ns[index] + TICK_NS, payload) for index, payload in leaving]
        lines += fleet.truth_lines()
        # What leaves later arrives later than this.
        whole_ns = (step + 1) * TICK_NS + TRANSIT_NS
        ripe = [one for one in waiting if one[0] <= whole_ns]
        waiting = [one for one in waiting if one[0] > whole_ns]
        n_ticks = sum(one[0] <= whole_ns for one in ticks[:2])
        yield sorted([*ripe, *ticks[:n_ticks]], key=itemgetter(0))
        ticks = ticks[n_ticks:]
    lines += fleet.closing_lines()
    yield sorted([*waiting, *ticks], key=itemgetter(0))
