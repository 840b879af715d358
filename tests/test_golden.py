"""The demo's ward as a golden recording: a change of what it finds shows as a diff that one can read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dataflows.events import SECOND_NS, AlarmEvent, BedState, Vitals
from dataflows.fold import Fold
from dataflows.shard import Shard
from device_sim.fleet import Fleet, FleetOptions
from ingest.codec import encode_birth
from ingest.journal import Record, RecordKind
from ingest.topics import topic_of

GOLDEN = Path(__file__).parent / "golden" / "ward.jsonl"
T0_NS = 1_700_000_000 * SECOND_NS
SECONDS = 60
TICK_NS = SECOND_NS // 4


def records(fleet: Fleet) -> Iterator[Record]:
    """A journal of the fleet: every packet arrives 20 ms after its last sample, in between come ticks."""
    messages = [(0, topic_of("demo", birth.device, "birth"), encode_birth(birth)) for birth in fleet.births]
    names = [birth.device for birth in fleet.births]
    for step in range(SECONDS * 4):
        for index, payload in fleet.step():
            at_ns = int(fleet.phase_ns[index]) + (step + 1) * TICK_NS + 20_000_000
            messages.append((at_ns, topic_of("demo", names[index], "data"), payload))
    arrivals = [(at_ns, RecordKind.MESSAGE, topic, payload) for at_ns, topic, payload in messages]
    arrivals += [(tick * TICK_NS, RecordKind.TICK, "", b"") for tick in range(SECONDS * 4)]
    for offset, (at_ns, kind, topic, payload) in enumerate(sorted(arrivals, key=lambda arrival: arrival[0])):
        yield Record(offset, T0_NS + at_ns, kind, topic, payload)


def found() -> list[dict[str, Any]]:
    """What a reader wants to know of a run, in its order."""
    fleet = Fleet(FleetOptions(patients=12, scenario="ward", seed=1), t_start_ns=T0_NS)
    shard, lines = Shard(), list[dict[str, Any]]()
    items = [content for where, content in Fold(1).feed(records(fleet)) if where is not None]
    for row in shard.feed(items):  # type: ignore[arg-type]  # what has a shard is an item
        if isinstance(row, AlarmEvent):
            onset, event = ((at - T0_NS) / SECOND_NS for at in (row.onset_ns, row.event_ns))
            at = {"event_s": round(event, 1), "onset_s": round(onset, 1)}
            lines.append({**at, "patient": row.patient, "alarm": row.condition, "state": row.state, "why": row.reason})
        elif isinstance(row, BedState):
            at = {"event_s": round((row.at_ns - T0_NS) / SECOND_NS, 1)}
            lines.append({**at, "patient": row.patient, "bed": row.words, "need": row.need, "alarms": row.standing})
        elif isinstance(row, Vitals) and (row.second - T0_NS // SECOND_NS) % 10 == 9:
            at = {"event_s": float(row.second + 1 - T0_NS // SECOND_NS)}
            hr = None if row.hr.quality == 0.0 else round(row.hr.value)
            lines.append({**at, "patient": row.patient, "hr": hr, "from": row.source, "reason": row.reason})
    return sorted(lines, key=lambda line: (line["event_s"], line["patient"], "alarm" in line, str(line)))


def test_the_demos_ward_is_found_as_it_was(request: pytest.FixtureRequest) -> None:
    text = "".join(f"{msgspec.json.encode(line).decode()}\n" for line in found())
    if request.config.getoption("--write-golden"):
        GOLDEN.write_text(text)
    assert text.splitlines() == GOLDEN.read_text().splitlines(), (
        "the ward is found otherwise: if that is meant, run this test with --write-golden and explain the difference"
    )
