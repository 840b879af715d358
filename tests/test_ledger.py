"""The ledger: whatever is lost, repeated, late or refused, every hour balances, and the total is the truth."""

from collections import defaultdict

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from wire import ECG, SECOND_NS, T0_NS, Tape, beating, birth_of, packets

from dataflows.events import DeviceStatus, Ledger
from dataflows.fold import Fold
from ingest.journal import RecordKind
from ingest.packet import Block, Packet
from ingest.profile import Calibration

HOUR_NS = 3600 * SECOND_NS
SENT = packets("w1", beating(100.0))


def numbered(boot: int, seq: int) -> Packet:
    """Packet `seq` of a boot, as long as SENT is long."""
    return msgspec.structs.replace(SENT[seq], boot=f"b{boot}", t0_ns=SENT[seq].t0_ns + boot * 200 * SECOND_NS)


def rows_of(tape: Tape, *, batch: int = 10**9) -> list[Ledger]:
    fold, records = Fold(2), tape.records
    folded = [f for at in range(0, len(records), batch) for f in fold.feed(records[at : at + batch])]
    return [content for _, content in folded if isinstance(content, Ledger)]


def newest(rows: list[Ledger]) -> list[Ledger]:
    """What the store holds in the end: of each hour the highest revision."""
    kept: dict[int, Ledger] = {}
    for row in rows:
        assert row.hour not in kept or kept[row.hour].revision < row.revision
        kept[row.hour] = row
    return [kept[hour] for hour in sorted(kept)]


def balances(row: Ledger) -> bool:
    counts = (row.published, row.stored, row.quarantined, row.lost, row.repeated, row.late, row.away)
    whole = row.published == row.stored + row.quarantined + row.lost
    return whole and min(counts) >= 0 and row.away <= row.lost and row.late <= row.stored


def told(tape: Tape) -> list[Ledger]:
    tape.link(up=False)
    tape.link(up=True)
    return newest(rows_of(tape))


def tape_with(*numbers: int) -> Tape:
    tape = Tape()
    tape.now_ns = T0_NS - T0_NS % HOUR_NS + HOUR_NS // 2
    tape.birth(birth_of("w1", "p1"))
    for seq in numbers:
        tape.packet(numbered(0, seq))
    return tape


def test_a_packet_that_comes_after_the_hour_has_turned_fills_the_hour_that_missed_it() -> None:
    tape = tape_with(0, 1, 4)
    tape.now_ns += HOUR_NS
    for seq in (2, 5, 3):
        tape.packet(numbered(0, seq))
    before, after = told(tape)
    assert (before.published, before.stored, before.lost, before.late) == (5, 5, 0, 2)
    assert (after.published, after.stored, after.lost) == (1, 1, 0)


def test_what_came_too_late_for_every_hour_remembered_stays_lost() -> None:
    tape = tape_with(0, 2)
    for seq in (3, 4):
        tape.now_ns += HOUR_NS
        tape.packet(numbered(0, seq))
    tape.packet(numbered(0, 1))
    assert [(row.published, row.stored, row.lost, row.repeated) for row in told(tape)] == [
        (3, 2, 1, 0),
        (1, 1, 0, 0),
        (1, 1, 0, 1),
    ]


def test_what_fills_an_hour_just_before_it_is_forgotten_is_told() -> None:
    tape = tape_with(0, 2)
    tape.ticks(2.0)
    tape.now_ns = T0_NS - T0_NS % HOUR_NS + 2 * HOUR_NS - SECOND_NS // 2
    tape.packet(numbered(0, 1))
    tape.now_ns += SECOND_NS
    tape.packet(numbered(0, 3))
    assert [(row.published, row.stored, row.lost) for row in told(tape)] == [(3, 3, 0), (0, 0, 0), (1, 1, 0)]


def test_what_was_missed_while_the_broker_was_away_is_told_from_what_never_came() -> None:
    tape = tape_with(0, 1, 3)
    tape.link(up=False)
    tape.now_ns += 10 * SECOND_NS
    tape.link(up=True)
    for seq in (10, 12, 11):
        tape.packet(numbered(0, seq))
    row = told(tape)[-1]
    assert (row.lost, row.away) == (7, 6)
    tape.packet(numbered(0, 5))
    tape.packet(numbered(0, 2))
    row = told(tape)[-1]
    assert (row.lost, row.away) == (5, 5)


def test_what_was_missed_while_ingest_was_blind_is_its_doing() -> None:
    tape = tape_with(0, 1)
    tape.now_ns += 3 * SECOND_NS
    tape.tick(blind_ns=3 * SECOND_NS)
    tape.packet(numbered(0, 9))
    assert [(row.lost, row.away) for row in told(tape)] == [(7, 7)]


def test_a_queue_that_lost_its_middle_while_the_broker_was_away_lost_it_to_that() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    for seq in range(4):
        tape.now_ns = SENT[seq].t0_ns + 300_000_000
        tape.packet(numbered(0, seq))
    tape.link(up=False)
    tape.now_ns += 20 * SECOND_NS
    tape.link(up=True)
    for seq in (*range(4, 30), *range(50, 80)):  # all at once; 30 to 49 were too many for the device's memory
        tape.packet(numbered(0, seq))
    assert sum(row.away for row in told(tape)) == 20


def test_two_devices_that_share_a_name_are_named() -> None:
    tape = tape_with()
    for seq in range(30):
        tape.now_ns += SECOND_NS // 4
        tape.packet(numbered(0, seq))
        tape.packet(numbered(1, seq))
    tape.link(up=False)
    last = [row for _, row in Fold(2).feed(tape.records) if isinstance(row, DeviceStatus)][-1]
    assert "two devices use this name (boots b0 and b1 take turns): give each its own" in last.reason
    tape.link(up=True)
    tape.now_ns += 120 * SECOND_NS
    for seq in range(31, 35):
        tape.packet(numbered(1, seq))
    tape.link(up=False)
    last = [row for _, row in Fold(2).feed(tape.records) if isinstance(row, DeviceStatus)][-1]
    assert "two devices" not in last.reason


def test_a_device_says_how_its_sensors_are_and_what_its_birth_declares() -> None:
    calibrated = [Calibration(id="c", time_ns=1, expiry_ns=expiry_ns) for expiry_ns in (0, 900, 700)]
    streams = [
        replace(ECG, name=f"s{n}", noise_floor=0.015, calibration=calibration)
        for n, calibration in enumerate([None, *calibrated])
    ]
    tape = Tape()
    tape.birth(birth_of("w1", "p1", streams=streams))
    for seq, flags in enumerate(((1, 1, 1, 1), (1, 1 | 4, 2, 1 | 16))):
        blocks = [Block(n, 125 * seq, flag, 0.02 + n, bytes(250)) for n, flag in enumerate(flags)]
        tape.packet(Packet(1, "w1", "b", 0, seq, T0_NS + seq * SECOND_NS // 4, 2, tuple(reversed(blocks))))
        tape.link(up=False)
    first, second = [row for _, row in Fold(1).feed(tape.records) if isinstance(row, DeviceStatus)][-2:]
    assert (first.locked, first.flags) == (True, "")
    assert (second.locked, second.flags) == (False, "zeroing saturated off-body")
    assert (second.noise_floor, second.declared_noise_floor, second.noise_unit) == (0.02, 0.015, "pT/sqrt(Hz)")
    assert second.calibration_expiry_ns == 700


def test_what_a_birth_does_not_declare_is_not_made_up() -> None:
    tape = tape_with(0)
    tape.link(up=False)
    last = [row for _, row in Fold(1).feed(tape.records) if isinstance(row, DeviceStatus)][-1]
    assert np.isnan(last.declared_noise_floor)
    assert (last.calibration_expiry_ns, last.locked, last.flags) == (0, True, "")


def test_a_reboot_with_stragglers_is_one_device() -> None:
    tape = tape_with(*range(10), 12)
    for seq in range(6):
        tape.packet(numbered(1, seq))
        tape.packet(numbered(0, 13 + seq))
    tape.link(up=False)
    last = [row for _, row in Fold(2).feed(tape.records) if isinstance(row, DeviceStatus)][-1]
    assert "two devices" not in last.reason


happenings = st.lists(
    st.tuples(
        st.sampled_from(
            ["next", "next", "next", "lose", "back", "boot", "old boot", "hour", "away", "short", "rubbish"]
        ),
        st.integers(0, 30),
    ),
    max_size=80,
)


class Story:
    """What a device published, and what became of it on the way."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.tape.birth(birth_of("w1", "p1"))
        self.boot = 0
        self.newest: dict[int, int] = defaultdict(lambda: -1)  # by boot
        self.unread = 0
        self.publish(0, 0)

    def publish(self, boot: int, seq: int, *, short: bool = False) -> None:
        seq = min(max(seq, 0), len(SENT) - 1)
        packet = numbered(boot, seq)
        if short:
            packet = msgspec.structs.replace(packet, blocks=(Block(0, 0, 1, 0.0, b"no"),))
        self.newest[boot] = max(self.newest[boot], seq)
        self.tape.packet(packet)

    def goes_on(self, kind: str, number: int) -> None:
        self.tape.now_ns += SECOND_NS // 4
        self.tape.tick()
        tape, next_ = self.tape, self.newest[self.boot] + 1
        if kind == "boot" and self.boot < 3:
            self.boot += 1
            self.publish(self.boot, number)
        elif kind == "old boot":
            boot = number % (self.boot + 1)
            self.publish(boot, self.newest[boot] + number % 5 - 2)
        elif kind == "hour":
            tape.now_ns += HOUR_NS
        elif kind == "away":
            tape.link(up=False)
            tape.now_ns += number * SECOND_NS
            tape.link(up=True)
        elif kind == "rubbish":
            self.unread += 1
            tape.add(RecordKind.MESSAGE, "femtoward/v1/s/w1/data", b"\x93")
        else:
            self.publish(
                self.boot, {"lose": next_ + number, "back": next_ - number}.get(kind, next_), short=kind == "short"
            )


@given(happenings, st.integers(1, 40))
def test_every_hour_balances_and_the_total_is_the_truth(script: list[tuple[str, int]], batch: int) -> None:
    story = Story()
    for kind, number in script:
        story.goes_on(kind, number)
    story.tape.link(up=False)
    rows = rows_of(story.tape, batch=batch)
    assert all(balances(row) for row in rows)
    hours = newest(rows)
    came = sum(row.stored + row.quarantined + row.repeated for row in hours)
    assert came == sum(record.topic.endswith("data") for record in story.tape.records)
    if not story.unread:
        assert sum(row.published for row in hours) == sum(number + 1 for number in story.newest.values())
