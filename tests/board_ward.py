"""Rows of a simulated ward for the dashboards: alarms that stand or are over, a refusal, a transfer, a lost device."""

import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from dataflows.events import SECOND_NS, AlarmEvent, DeviceStatus, Ledger, Reading, Row, Vitals, Wave
from dataflows.fold import Fold
from dataflows.shard import Shard
from device_sim.fleet import Fleet, FleetOptions, who
from ingest.codec import encode_birth, encode_command
from ingest.command import Acknowledge, Admit, Command, Comment, Mark, Shelve, Transfer
from ingest.journal import Record, RecordKind
from ingest.notices import Removed, Report
from ingest.topics import command_topic, topic_of

SITE, WARD = "demo", "ward-1"
EAST = "east"  # another house, where patients and devices have the same names
SECONDS = 80
TICK_NS = SECOND_NS // 4
AHEAD_S = 600  # of the clock: what is to be new must still be so when the last query is asked
PATIENT = who(2, SITE).patient  # the one with the tachycardia that stands at the end
# What takes minutes to measure, or a cap.
SLOW = {
    "pnn50": Reading(12.0, 1.9, 0.97),
    "lf": Reading(640.0, 160.0, 0.97),
    "hf": Reading(410.0, 90.0, 0.97),
    "alpha": Reading(0.4, 0.03, 0.95),
    "beta": Reading(0.2, 0.02, 0.95),
    "seizure": Reading(1.0, 1.0, 0.95),
    "news2_trend": Reading(0.1, 0.2, 1.0),
}
SCENARIO = """
about = "What the dashboards show."
[[patients]]
rate_bpm = 72.0
[[patients]]
rate_bpm = 68.0
rhythms = [{ rhythm = "asystole", from_s = 20.0, for_s = 12.0 }]
[[patients]]
rate_bpm = 88.0
rhythms = [{ rhythm = "tachycardia", from_s = 40.0, for_s = 60.0, rate_bpm = 170.0, ramp_s = 5.0 }]
[[patients]]
rate_bpm = 79.0
faults = [{ fault = "saturation", from_s = 50.0, for_s = 60.0 }]
[[patients]]
rate_bpm = 66.0
faults = [{ fault = "silence", from_s = 45.0, for_s = 60.0 }]
[[patients]]
rate_bpm = 58.0
faults = [{ fault = "noise", from_s = 20.0, for_s = 60.0 }]
"""


def ward_rows(folder: Path) -> list[Row]:
    """Rows of the ward; its last second lies some time ahead of now."""
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO)
    t0_ns = (time.time_ns() // SECOND_NS + AHEAD_S - SECONDS) * SECOND_NS
    fleet = Fleet(FleetOptions(patients=6, scenario=str(scenario), seed=1, site=SITE), t_start_ns=t0_ns)
    fold, shard = Fold(1), Shard()
    rows: list[Row] = []
    answered: set[str] = set()
    for batch in _batches(fleet, t0_ns):
        rows += _fed(fold, shard, batch)
        for event in [row for row in rows if isinstance(row, AlarmEvent) and row.id not in answered]:
            answered.add(event.id)
            given = [_command(batch[-1].arrival_ns + n, one) for n, one in enumerate(_answers(event), start=1)]
            rows += _fed(fold, shard, given)
    return [replace(row, **SLOW) if isinstance(row, Vitals) else row for row in rows]


def _answers(event: AlarmEvent) -> Iterator[Command]:
    """What people do with an alarm: once in the whole ward, each."""
    of = {"patient": event.patient, "alarm": event.id}
    match event.condition:
        case "extreme-tachycardia":
            yield Acknowledge(id="ack-1", note="is being looked at", **of)
            yield Mark(id="mark-1", was="true", **of)
            yield Comment(id="say-1", note="the physician knows", **of)
        case "saturated":
            yield Mark(id="mark-2", was="false", note="the sensor was moved", **of)
        case "lost-contact":
            yield Shelve(id="shelve-1", patient=event.patient, condition=event.condition, seconds=3600)
        case _:
            pass


def elsewhere(rows: Sequence[Row]) -> list[Row]:
    """The same patients and devices at another site, where everything that is measured is otherwise."""
    return [_otherwise(replace(row, site=EAST)) for row in rows if row.site == SITE]


def _otherwise(row: Row) -> Row:
    match row:
        case Vitals():
            shifted = {
                name: Reading(reading.value + 100.0, 2.0 * reading.u, 0.5 * reading.quality)
                for name in ("hr", "rr_interval", "rmssd", "sdnn", "pulse", "temp", "resp")
                for reading in [getattr(row, name)]
            }
            offset_ms = row.clock_offset_ms + 1000.0
            return replace(
                row, **shifted, coverage=0.5 * row.coverage, quality=0.5 * row.quality, clock_offset_ms=offset_ms
            )
        case DeviceStatus():
            return replace(row, noise_floor=9.0 * row.noise_floor, clock_offset_ms=2.0 * row.clock_offset_ms + 1000.0)
        case Wave():
            return replace(row, scale=3.0 * row.scale)
        case AlarmEvent():
            return replace(row, strip_scale=3.0 * row.strip_scale, value=3.0 * row.value)
        case Ledger():
            return replace(row, published=row.published + 7, lost=row.lost + 7)
        case _:
            return row


def _fed(fold: Fold, shard: Shard, records: Sequence[Record]) -> list[Row]:
    folded = fold.feed(records)
    rows = [content for where, content in folded if where is None]
    items = [content for where, content in folded if where is not None]
    return [*rows, *shard.feed(items)]  # type: ignore[list-item, arg-type]  # what has a shard is an item, the rest rows


def _batches(fleet: Fleet, t0_ns: int) -> Iterator[list[Record]]:
    """A journal of the ward in batches of a second."""
    names = [birth.device for birth in fleet.births]
    first = [
        (t0_ns, RecordKind.MESSAGE, topic_of(SITE, birth.device, "birth"), encode_birth(birth))
        for birth in fleet.births
    ]
    for index in range(len(names)):
        one = who(index, SITE)
        first.append(
            _arrival(t0_ns, Admit(id=f"admit-{index}", patient=one.patient, device=one.device, bed=one.bed, ward=WARD))
        )
    first.append((t0_ns, RecordKind.MESSAGE, topic_of(SITE, names[0], "data"), b"no packet"))
    removed = Removed("wave", t0_ns // SECOND_NS - 9, t0_ns // SECOND_NS, 9_000, "room ran short")
    report = Report("disk", ok=False, detail="1.2 GB are left: make room", removed=removed)
    first.append((t0_ns, RecordKind.REPORT, "", msgspec.json.encode(report)))
    moved = Transfer(id="move-1", patient=who(0, SITE).patient, bed="bed-0009")
    offset = 0
    for second in range(SECONDS):
        arrivals = list(first if second == 0 else [])
        arrivals += [_arrival(t0_ns + 30 * SECOND_NS, moved)] if second == 30 else []
        for step in range(4 * second, 4 * second + 4):
            arrivals.append((t0_ns + step * TICK_NS, RecordKind.TICK, "", b""))
            for index, payload in fleet.step():
                at_ns = t0_ns + int(fleet.phase_ns[index]) + (step + 1) * TICK_NS + 20_000_000
                arrivals.append((at_ns, RecordKind.MESSAGE, topic_of(SITE, names[index], "data"), payload))
        batch = [Record(offset + n, *arrival) for n, arrival in enumerate(sorted(arrivals, key=lambda one: one[0]))]
        offset += len(batch)
        yield batch


def _arrival(at_ns: int, command: Command) -> tuple[int, RecordKind, str, bytes]:
    return at_ns, RecordKind.COMMAND, command_topic(SITE, "nurse-7"), encode_command(command)


def _command(at_ns: int, command: Command) -> Record:
    return Record(1_000_000 + zlib.crc32(command.id.encode()), *_arrival(at_ns, command))
