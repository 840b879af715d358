"""A flood is throttled and said, a queue never is, and neither keeps another patient waiting."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shards import S0, canonical, of, told
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.events import AlarmEvent, Bad, DeviceStatus, Ledger, Row, Vitals
from dataflows.fold import Fold
from dataflows.items import Bind, BlockData, Data, Flooded, Item, Unbind
from dataflows.pacing import AT_ONCE, CREDIT_NS, Credit, Pacing, refilled, spent
from dataflows.shard import Shard
from ingest.command import Admit, Discharge
from ingest.journal import Record, RecordKind
from ingest.packet import Block, Packet

MS = SECOND_NS // 1000


def data(number: int, device: str = "s/w1", size: int = 10) -> Data:
    block = BlockData(0, fresh=False, bridged=0, flags=1, noise_floor=0.0, samples=bytes(size))
    return Data(device, number, number, number, 0, (block,))


def numbers(items: list[tuple[int, object]]) -> list[int]:
    return [item.t0_ns for _, item in items if isinstance(item, Data)]


def eight(_: str) -> int:
    return AT_ONCE


def test_credit_grows_with_time_to_its_limit_and_not_below_nothing() -> None:
    credit = refilled(Credit(), 5 * SECOND_NS, CREDIT_NS)
    assert credit.left_ns == CREDIT_NS
    empty = spent(credit, 2 * CREDIT_NS)
    assert empty.left_ns == 0
    assert refilled(empty, 7 * SECOND_NS, CREDIT_NS).left_ns == 3 * SECOND_NS
    assert refilled(empty, 2 * CREDIT_NS, CREDIT_NS).left_ns == CREDIT_NS


def test_what_one_device_sends_at_once_goes_on_in_order_a_little_at_every_tick() -> None:
    pacing, now = Pacing(), list[int]()
    for number in range(20):
        now += numbers(list(pacing.take("s/w1", 0, data(number), AT_ONCE)))
    assert now == list(range(8))
    assert numbers(list(pacing.release(99, eight))) == list(range(8, 16))
    assert numbers(list(pacing.take("s/w1", 0, data(20), AT_ONCE))) == []
    assert numbers(list(pacing.release(99, eight))) == list(range(16, 21))
    assert not pacing.waits("s/w1")
    assert numbers(list(pacing.take("s/w1", 0, data(21), AT_ONCE))) == []  # of this tick's eight five are gone
    assert numbers(list(pacing.take("s/w2", 0, data(0, "s/w2"), AT_ONCE))) == [0]


def test_a_device_whose_packets_wait_is_not_silent_until_the_last_one_has_gone() -> None:
    pacing = Pacing()
    for number in range(20):
        list(pacing.take("s/w1", 0, data(number), AT_ONCE))
    list(pacing.release(1000, eight))
    last = [item.awake_ns for _, item in pacing.release(2000, eight) if isinstance(item, Data)]
    assert last == [2000, 2000, 2000, 19]


def test_who_wears_a_device_changes_behind_what_it_has_waiting() -> None:
    pacing = Pacing()
    for number in range(10):
        list(pacing.take("s/w1", 0, data(number), AT_ONCE))
    assert list(pacing.take("s/w1", 0, Unbind("s/w1", "s/p1", 5, ""), AT_ONCE)) == []
    assert list(pacing.take("s/w1", 3, Bind("s/w1", "s/p2", birth_of("w1", "p2"), 5, 5), AT_ONCE)) == []
    released = list(pacing.release(99, eight))
    assert [type(item) for _, item in released] == [Data, Data, Unbind, Bind]
    assert [shard for shard, _ in released] == [0, 0, 0, 3]


def test_what_waits_is_bounded_and_beyond_that_the_oldest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.pacing.HELD_BYTES", 5000)
    pacing, now = Pacing(), list[int]()
    for number in range(100):
        now += numbers(list(pacing.take("s/w1", 0, data(number, size=1000), AT_ONCE)))
    assert now == list(range(97))
    monkeypatch.setattr("dataflows.pacing.ALL_HELD_BYTES", 0)
    assert numbers(list(pacing.take("s/w1", 0, data(100), AT_ONCE))) == [97, 98, 99, 100]
    assert not pacing.waits("s/w1")


@given(st.lists(st.tuples(st.sampled_from(["s/w1", "s/w2", "tick"]), st.integers(0, 30)), max_size=30))
def test_every_packet_goes_on_once_and_in_order_also_across_a_snapshot(script: list[tuple[str, int]]) -> None:
    pacing, came, sent = Pacing(), list[tuple[int, object]](), {"s/w1": 0, "s/w2": 0}
    for who, count in script:
        if who == "tick":
            came += list(pacing.release(7, eight))
            resumed = Pacing()
            image = msgspec.msgpack.encode(pacing.image())
            resumed.restore(msgspec.msgpack.decode(image, type=type(pacing.image())))
            pacing = resumed
            continue
        for _ in range(count):
            came += list(pacing.take(who, 0, data(sent[who], who), AT_ONCE))
            sent[who] += 1
    while any(pacing.waits(who) for who in sent):
        came += list(pacing.release(7, eight))
    for who, count in sent.items():
        assert [item.t0_ns for _, item in came if isinstance(item, Data) and item.device == who] == list(range(count))


# Floods


def flood_packets(device: str, seconds: float, times: int) -> list[list[Packet]]:
    """Packets by tick of 250 ms, `times` as many as there should be."""
    samples = packets(device, beating(10.0))[4].blocks[0].samples
    return [
        [
            Packet(1, device, "b1", 0, n, T0_NS + n * 250 * MS, 0, (Block(0, n * 125, 1, 0.0, samples),))
            for n in range(tick * times, (tick + 1) * times)
        ]
        for tick in range(round(seconds * 4))
    ]


def flooded_ward(seconds: float, *, flood: bool, over_after: float = 1e9) -> Tape:
    """Three patients with good devices; two more whose devices flood, if at all."""
    tape = Tape()
    for device in ("w1", "w2", "w3", *(("f1", "f2") if flood else ())):
        tape.birth(birth_of(device, device.replace("w", "p").replace("f", "q")))
    good = [packets(device, beating(seconds, 70.0)) for device in ("w1", "w2", "w3")]
    floods = [flood_packets(device, min(seconds, over_after), 50) for device in ("f1", "f2")] if flood else []
    for tick in range(round(seconds * 4)):
        tape.now_ns = T0_NS + (tick + 1) * 250 * MS + 20 * MS
        tape.tick()
        for flow in floods:
            for packet in flow[tick] if tick < len(flow) else ():
                tape.packet(packet)
        for stream in good:
            tape.packet(stream[tick])
    return tape


def by_record(tape: Tape, n_shards: int = 2) -> list[tuple[int, Row]]:
    """Rows with the number of the record after which they came out."""
    fold, shards, rows = Fold(n_shards), [Shard() for _ in range(n_shards)], list[tuple[int, Row]]()
    for record in tape.records:
        for where, content in fold.feed([record]):
            came = [content] if where is None else shards[where].feed([content])  # type: ignore[list-item]
            rows += [(record.offset, row) for row in came]  # type: ignore[misc]
    return rows


def test_floods_delay_no_other_patients_rows_are_throttled_and_said_until_they_are_over() -> None:
    tape = flooded_ward(15.0, flood=True, over_after=4.0)
    rows = by_record(tape)
    with_floods = [row for _, row in rows if isinstance(row, Vitals) and row.patient.startswith("p")]
    alone = [row for _, row in by_record(flooded_ward(15.0, flood=False)) if isinstance(row, Vitals)]
    assert canonical(with_floods) == canonical(alone)
    arrival = {record.offset: record.arrival_ns for record in tape.records}
    delays = [arrival[at] - (row.second + 1) * SECOND_NS for at, row in rows if row in with_floods]
    assert max(delays) <= 270 * MS
    events = [(e.patient, e.state) for _, e in rows if isinstance(e, AlarmEvent) and e.condition == "flooding"]
    assert sorted(events) == [("q1", "active"), ("q1", "ended"), ("q2", "active"), ("q2", "ended")]
    said = next(e for _, e in rows if isinstance(e, AlarmEvent) and e.condition == "flooding")
    assert "f1 sends more than it can measure, and is throttled" in said.reason
    assert any("it floods" in row.reason for _, row in rows if isinstance(row, DeviceStatus))


def test_the_shards_get_few_packets_of_a_flood_between_two_ticks() -> None:
    tape = flooded_ward(16.0, flood=True)
    fold, most, last = Fold(1), 0, 0
    for record in tape.records:
        items = [content for _, content in fold.feed([record]) if isinstance(content, Data)]
        floods = sum(item.device == "s/f1" for item in items)
        most, last = (max(most, last), floods) if record.kind == RecordKind.TICK else (most, last + floods)
    assert most <= AT_ONCE


def test_the_ledger_balances_in_a_flood_and_its_rows_are_few() -> None:
    tape = flooded_ward(16.0, flood=True)
    tape.ticks(61.0)
    folded = Fold(1).feed(tape.records)
    bad = [row for _, row in folded if isinstance(row, Bad)]
    assert {row.reason for row in bad} == {"flooding"}
    assert len(bad) <= 2 * 2 * 6
    ledger = [row for _, row in folded if isinstance(row, Ledger) and row.device == "f1"][-1]
    assert ledger.published == ledger.stored + ledger.quarantined == 64 * 50
    assert sum(row.count for row in bad if "/f1/" in row.topic) == ledger.quarantined > 500


def test_a_flood_of_rubbish_or_repeats_is_said_too_and_the_good_packets_among_it_pass() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    for packet in packets("w1", beating(20.0, 70.0)):
        tape.now_ns = packet.t0_ns + 270 * MS
        tape.tick()
        for _ in range(50):
            tape.packet(packet)
    tape.ticks(15.0)
    rows = [row for _, row in by_record(tape)]
    assert told(rows, "flooding") == [("flooding", "active"), ("flooding", "ended")]  # type: ignore[arg-type]
    assert len(of(Vitals, rows)) == 20  # type: ignore[arg-type]
    assert of(Ledger, rows)[-1].stored == 80  # type: ignore[arg-type]


@pytest.mark.parametrize("away_s", [120.0, 3600.0])
def test_a_queue_after_a_dead_spot_is_no_flood_however_long(away_s: float) -> None:
    """Also where the device got a packet through now and then."""
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    n = round(away_s * 4)
    samples = packets("w1", beating(1.0))[0].blocks[0].samples
    sent = [
        Packet(1, "w1", "b1", 0, k, T0_NS + k * 250 * MS, 2, (Block(0, k * 125, 1, 0.0, samples),)) for k in range(n)
    ]
    for k in range(n // 5):  # a fifth gets through while it lasts
        tape.now_ns = sent[5 * k].t0_ns + 270 * MS
        tape.packet(sent[k])
    for packet in sent[n // 5 :]:
        tape.packet(packet)
    tape.ticks(n / 32 + 2)
    folded = Fold(1).feed(tape.records)
    assert [row for _, row in folded if isinstance(row, Bad)] == []
    assert sum(isinstance(item, Data) for _, item in folded) == n
    assert [row.lost for _, row in folded if isinstance(row, Ledger)][-1] == 0


def test_a_flood_of_samples_that_claim_to_be_old_is_paced_as_long_as_it_lasts_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held_bytes = 2 << 20
    monkeypatch.setattr("dataflows.pacing.HELD_BYTES", held_bytes)
    tape = Tape()
    for device in ("w1", "f1"):
        tape.birth(birth_of(device, device))
    good, samples = packets("w1", beating(40.0, 70.0)), packets("f1", beating(1.0))[3].blocks[0].samples
    for tick in range(160):
        tape.now_ns = T0_NS + (tick + 1) * 250 * MS + 20 * MS
        tape.tick()
        for n in range(tick * 50, (tick + 1) * 50):  # measured in the last hour and a half, it says
            t0_ns = T0_NS + n * 250 * MS - 5400 * SECOND_NS
            tape.packet(Packet(1, "f1", "b1", 0, n, t0_ns, 2, (Block(0, n * 125, 1, 0.0, samples),)))
        tape.packet(good[tick])
    fold, between, most = Fold(1), 0, 0
    out = list[object]()
    for record in tape.records:
        came = [content for _, content in fold.feed([record])]
        out += came
        passed = sum(isinstance(item, Data) and item.device == "s/f1" for item in came)
        between = passed if record.kind == RecordKind.TICK else between + passed
        most = max(most, between)
    assert most <= AT_ONCE
    assert {row.reason for row in out if isinstance(row, Bad)} == {"flooding"}
    assert "more than 600 s longer than the device was silent" in next(
        row.detail for row in out if isinstance(row, Bad)
    )
    assert sum(isinstance(item, Flooded) and item.packets > 0 for item in out) == 1
    taken = fold._here.census.look("s/f1").hours[-1].tally.stored
    assert 600 * 4 < taken < 680 * 4


def busy_tape() -> Tape:
    """A queue comes, and while it waits its device goes to another patient, and on to nobody."""
    tape = Tape()
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, device.replace("w", "p")))
    played(tape, [packets("w1", beating(3.0)), packets("w2", beating(3.0))])
    tape.link(up=False)
    tape.now_ns += 20 * SECOND_NS
    tape.link(up=True)
    sent = packets("w1", beating(16.0))
    for packet in sent[12:52]:
        tape.packet(packet)
    tape.ticks(0.5)
    tape.command(Admit(id="c1", patient="p3", device="w1"))
    for packet in sent[52:]:
        tape.packet(packet)
    tape.command(Discharge(id="c2", patient="p3"))
    tape.ticks(4.0)
    return tape


@pytest.mark.parametrize("lasts", [True, False])
def test_a_flood_that_begins_while_a_rebinding_waits_is_said_once_the_device_is_bound(*, lasts: bool) -> None:
    """Also if it is over by then."""
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(200.0))
    played(tape, [sent[:12]])
    tape.now_ns = T0_NS + 120 * SECOND_NS
    for packet in sent[12:480]:  # a queue
        tape.packet(packet)
    tape.command(Admit(id="c1", patient="p3", device="w1"))
    for packet in sent[480:]:  # and on, ahead of time
        tape.packet(packet)
    tape.ticks(1.0)
    assert told(rows_of(Fold(1), [Shard()], tape.records), "flooding") == []  # type: ignore[arg-type]
    for number in range(30 if lasts else 2):
        tape.packet(sent[-1])
        tape.packet(msgspec.structs.replace(sent[-1], seq=5000 + number, t0_ns=sent[-1].t0_ns + number))
        tape.ticks(1.0)
    tape.ticks(12.0 if lasts else 40.0)
    fold, shards, rows = Fold(1), [Shard()], list[Row]()
    for record in tape.records:
        rows += rows_of(fold, shards, [record])
        if record.kind == RecordKind.COMMAND:
            image, shards = shards[0].image(), [Shard()]
            assert shards[0].restore(Shard.VERSION, image) == []
    events = [event for event in of(AlarmEvent, rows) if event.condition == "flooding"]  # type: ignore[arg-type]
    assert [(event.patient, event.state) for event in events] == [("p3", "active"), ("p3", "ended")]
    assert events[0].reason.startswith("w1 sends more than it can measure")


def rows_of(fold: Fold, shards: list[Shard], records: list[Record]) -> list[Row]:
    rows, items = list[Row](), list[list[Item]]([[] for _ in shards])
    for where, content in fold.feed(records):
        if where is None:
            rows.append(content)  # type: ignore[arg-type]  # what has no shard is a row
        else:
            items[where].append(content)  # type: ignore[arg-type]  # and what has one is an item
    return rows + [row for shard, part in zip(shards, items, strict=True) for row in shard.feed(part)]  # type: ignore[misc]


@pytest.mark.parametrize(("batch", "halt"), [(1, 30), (7, 45), (500, 75), (3, 80), (11, 95)])
def test_what_waits_survives_a_restart_and_grouping_changes_nothing(batch: int, halt: int) -> None:
    records = busy_tape().records
    whole = rows_of(Fold(2), [Shard(), Shard()], records)
    fold, shards, out = Fold(2), [Shard(), Shard()], list[Row]()
    for start, end in pairwise(sorted({*range(0, len(records), batch), halt, len(records)})):
        if start == halt:
            image, images = fold.image(), [shard.image() for shard in shards]
            fold, shards = Fold(2), [Shard(), Shard()]
            assert fold.restore(Fold.VERSION, image) == []
            assert all(shard.restore(Shard.VERSION, kept) == [] for shard, kept in zip(shards, images, strict=True))
        out += rows_of(fold, shards, records[start:end])
    assert canonical(out) == canonical(whole)  # type: ignore[arg-type]  # any rows will do


@pytest.mark.parametrize("halt", range(5))
def test_a_restart_while_packets_wait_leaves_the_device_as_silent_as_it_is(halt: int) -> None:
    """A siege found it: told again behind what waited, the last packet woke its device when it was let on."""
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(40.0))
    played(tape, [sent[:8]])
    first = len(tape.records)
    tape.now_ns = T0_NS + 30 * SECOND_NS
    for packet in sent[8:48]:  # a queue, and then silence
        tape.packet(packet)
    tape.ticks(15.0)
    whole = rows_of(Fold(1), [Shard()], tape.records)
    assert [event.state for event in of(AlarmEvent, whole) if event.condition == "lost-contact"] != []  # type: ignore[arg-type]
    cut = first + 40 + halt  # behind the packets, between the ticks that let them on
    fold, shards = Fold(1), [Shard()]
    out = rows_of(fold, shards, tape.records[:cut])
    image, images = fold.image(), shards[0].image()
    fold, shards = Fold(1), [Shard()]
    assert fold.restore(Fold.VERSION, image) == []
    assert shards[0].restore(Shard.VERSION, images) == []
    assert canonical(out + rows_of(fold, shards, tape.records[cut:])) == canonical(whole)  # type: ignore[arg-type]


def test_what_waits_goes_to_the_patient_who_wore_the_device_when_it_came() -> None:
    rows = rows_of(Fold(2), [Shard(), Shard()], busy_tape().records)
    seconds = [(row.patient, row.second - S0) for row in rows if isinstance(row, Vitals)]
    assert [second for patient, second in seconds if patient == "p1"] == list(range(13))
    assert [second for patient, second in seconds if patient == "p3"] == [13, 14, 15]
