"""A simulated scenario run through the whole flow without servers: fleet, fold, shard, and what came of it."""

from collections.abc import Iterator
from typing import NamedTuple

from dataflows.events import SECOND_NS, AlarmEvent, Vitals
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
    options = FleetOptions(patients=patients, scenario=scenario, seed=seed, seconds=seconds)
    fleet = Fleet(options, t_start_ns=T0_NS)
    lines: list[TruthLine] = []
    shard = Shard()
    items = [content for where, content in Fold(1).feed(_records(fleet, seconds, lines)) if where is not None]
    rows = list(shard.feed(items))  # type: ignore[arg-type]  # what has a shard is an item
    return Played(
        gather(lines),
        lines,
        [row for row in rows if isinstance(row, AlarmEvent)],
        [row for row in rows if isinstance(row, Vitals)],
        T0_NS + round(seconds * SECOND_NS),
    )


def _records(fleet: Fleet, seconds: float, lines: list[TruthLine]) -> Iterator[Record]:
    """A journal of the fleet, with ticks in between."""
    messages = [(0, topic_of("demo", birth.device, "birth"), encode_birth(birth)) for birth in fleet.births]
    for step in range(round(seconds * 4)):
        leaving = fleet.step()
        for index, payload in fleet.rebirths():
            at_ns = fleet.phase_ns[index] + step * TICK_NS + TRANSIT_NS + 1
            messages.append((at_ns, topic_of("demo", fleet.births[index].device, "birth"), payload))
        for index, payload in leaving:
            at_ns = fleet.phase_ns[index] + (step + 1) * TICK_NS + TRANSIT_NS
            messages.append((at_ns, topic_of("demo", fleet.births[index].device, "data"), payload))
        lines += fleet.truth_lines()
    lines += fleet.closing_lines()
    arrivals = [(at_ns, RecordKind.MESSAGE, topic, payload) for at_ns, topic, payload in messages]
    arrivals += [(tick * TICK_NS, RecordKind.TICK, "", b"") for tick in range(round(seconds * 4) + 8)]
    for offset, (at_ns, kind, topic, payload) in enumerate(sorted(arrivals, key=lambda arrival: arrival[0])):
        yield Record(offset, T0_NS + at_ns, kind, topic, payload)
