"""The fold: bindings, sequences, the waking clock, answers, ledgers, and that grouping changes nothing."""

from collections import Counter
from itertools import pairwise
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.events import Answer, Bad, DeviceStatus, Ledger, PatientInfo
from dataflows.fold import Fold, Folded
from dataflows.items import Bind, Commanded, Data, Placed, Tick, Unbind
from ingest.codec import encode_packet
from ingest.command import Acknowledge, Admit, Discharge, Shelve
from ingest.journal import RecordKind
from ingest.packet import Block
from ingest.topics import bundle_topic, topic_of

T = TypeVar("T")


def of(kind: type[T], folded: list[Folded]) -> list[T]:
    return [content for _, content in folded if isinstance(content, kind)]


def fold(tape: Tape, n_shards: int = 4) -> list[Folded]:
    return Fold(n_shards).feed(tape.records)


def busy_tape() -> Tape:
    tape = Tape()
    for device, patient in (("w1", "p1"), ("w2", "p2"), ("w3", None)):
        tape.birth(birth_of(device, patient))
    played(tape, [packets(device, beating(3.0)) for device in ("w1", "w2", "w3")])
    tape.command(Admit(id="c1", patient="p3", device="w3", bed="b7"))
    tape.command(Acknowledge(id="c2", patient="p1", alarm="0123"))
    tape.link(up=False)
    tape.ticks(2.0)
    tape.link(up=True)
    tape.add(RecordKind.MESSAGE, "femtoward/v1/s/w1/data", b"rubbish")
    tape.add(RecordKind.REPORT, "", msgspec.json.encode({"reporter": "influx", "ok": False, "detail": "down"}))
    tape.ticks(11.0)
    tape.command(Discharge(id="c3", patient="p1"))
    return tape


def test_a_hint_binds_a_device_and_its_packets_go_to_its_patients_shard() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(1.0))])
    folded = fold(tape)
    bound = of(Bind, folded)
    assert [(bind.device, bind.patient) for bind in bound] == [("s/w1", "s/p1")]
    data = [(shard, item.t0_ns) for shard, item in folded if isinstance(item, Data)]
    assert {shard for shard, _ in data} == {shard for shard, item in folded if isinstance(item, Bind)}
    assert [t0_ns - T0_NS for _, t0_ns in data] == [0, 250_000_000, 500_000_000, 750_000_000]
    assert of(PatientInfo, folded)[0].devices == ("w1",)


def test_an_unassigned_device_is_kept_in_the_ledger_and_reaches_no_shard() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", None))
    played(tape, [packets("w1", beating(1.0))])
    tape.link(up=False)
    folded = fold(tape)
    assert of(Data, folded) == []
    assert of(Ledger, folded)[-1].stored == 4
    assert of(DeviceStatus, folded)[-1].patient == ""


def test_a_rebound_device_is_unbound_from_the_patient_before() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    tape.command(Admit(id="c1", patient="p2", device="w1"))
    folded = fold(tape)
    assert [(item.device, item.patient) for item in of(Unbind, folded)] == [("s/w1", "s/p1")]
    assert [item.patient for item in of(Bind, folded)] == ["s/p1", "s/p2"]
    assert of(Answer, folded)[0].done


def test_a_new_profile_binds_anew_and_starts_the_streams_anew() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(1.0))])
    tape.birth(birth_of("w1", "p1", number=1))
    played(tape, [packets("w1", beating(1.0), birth=1, boot="b2", t0_ns=T0_NS + SECOND_NS)])
    folded = fold(tape)
    assert len(of(Bind, folded)) == 2
    assert [data.blocks[0].fresh for data in of(Data, folded)] == [True, False, False, False] * 2


def test_a_packet_before_its_birth_is_refused_with_words() -> None:
    tape = Tape()
    tape.packet(packets("w1", beating(0.25))[0])
    bad = of(Bad, fold(tape))
    assert bad[0].reason == "no-birth"


def test_repeats_and_late_packets_are_counted_and_go_nowhere() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(2.0))
    for packet in (sent[0], sent[1], sent[1], sent[3], sent[2], sent[5]):
        tape.packet(packet)
    tape.link(up=False)
    folded = fold(tape)
    assert [data.blocks[0].fresh for data in of(Data, folded)] == [True, False, True, True]
    ledger = of(Ledger, folded)[-1]
    assert (ledger.published, ledger.stored, ledger.lost, ledger.repeated, ledger.late) == (6, 5, 1, 1, 1)


def test_the_ledger_balances_when_packets_are_refused() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(3.0))
    short = msgspec.structs.replace(sent[2], blocks=(Block(0, 250, 1, 0.0, b"too short"),))
    for packet in (sent[0], short, sent[4]):
        tape.packet(packet)
    tape.add(RecordKind.MESSAGE, topic_of("s", "w1", "data"), b"\x93")
    tape.link(up=False)
    folded = fold(tape)
    ledger = of(Ledger, folded)[-1]
    assert ledger.published == ledger.stored + ledger.quarantined + ledger.lost
    assert (ledger.stored, ledger.quarantined, ledger.lost) == (2, 2, 2)
    assert [bad.reason for bad in of(Bad, folded)] == ["wrong-length", "undecodable"]


def test_the_last_word_of_the_ledger_holds_all_though_the_device_said_goodbye_before() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(1.0))])
    tape.add(RecordKind.MESSAGE, topic_of("s", "w1", "status"), b'{"state":"offline"}')
    tape.link(up=False)
    assert of(Ledger, fold(tape))[-1].stored == 4


def test_the_hour_turns_and_the_finished_ledger_is_told() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(1.0))
    tape.packet(sent[0])
    tape.now_ns += 3600 * SECOND_NS
    tape.packet(sent[1])
    tape.link(up=False)
    ledgers = of(Ledger, fold(tape))
    assert [ledger.stored for ledger in ledgers] == [1, 1]
    assert ledgers[1].hour == ledgers[0].hour + 1


def test_a_bundle_is_its_packets_and_a_bad_one_hurts_no_other() -> None:
    tape = Tape()
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, device.replace("w", "p")))
    first, second = (packets(device, beating(0.25))[0] for device in ("w1", "w2"))
    items = [encode_packet(first), msgspec.msgpack.encode([1, "w9"]), encode_packet(second)]
    bundle = msgspec.msgpack.encode([1, "g", [msgspec.Raw(item) for item in items]])
    tape.add(RecordKind.MESSAGE, bundle_topic("s", "g"), bundle)
    folded = fold(tape)
    assert [data.device for data in of(Data, folded)] == ["s/w1", "s/w2"]
    assert [(bad.reason, bad.item) for bad in of(Bad, folded)] == [("undecodable", 1)]


def test_time_asleep_is_no_devices_silence() -> None:
    tape = Tape()
    tape.tick()
    tape.now_ns += 60 * SECOND_NS
    tape.tick(blind_ns=60 * SECOND_NS)
    tape.link(up=False)
    tape.ticks(30.0)
    tape.link(up=True)
    tape.ticks(0.25)
    ticks = of(Tick, fold(tape, 1))
    awake = [tick.awake_ns - ticks[0].awake_ns for tick in ticks]
    assert awake[1] < SECOND_NS
    assert awake[-1] < SECOND_NS
    assert all(b >= a for a, b in pairwise(awake))
    assert ticks[10].link_down_ns > 0
    assert ticks[-1].link_down_ns == 0


def test_every_shard_hears_every_tick_and_one_looks_after_the_ward() -> None:
    tape = Tape()
    tape.tick()
    folded = fold(tape, 5)
    assert sorted(shard for shard, _ in folded if shard is not None) == [0, 1, 2, 3, 4]
    assert sum(tick.ward for tick in of(Tick, folded)) == 1


def test_commands_are_answered_once() -> None:
    tape = Tape()
    tape.command(Discharge(id="c1", patient="p9"))
    tape.command(Discharge(id="c1", patient="p9"))
    tape.command(Shelve(id="c2", patient="p9", condition="asystole", seconds=60))
    tape.command(Acknowledge(id="c3", patient="p9", alarm="abc", note="seen"))
    folded = fold(tape)
    assert [(answer.command, answer.done) for answer in of(Answer, folded)] == [("c1", False)]
    assert [(order.command.id, order.command.note) for order in of(Commanded, folded)] == [("c2", ""), ("c3", "seen")]


@given(cuts=st.lists(st.integers(0, 120), max_size=12), halt=st.integers(0, 120))
def test_neither_grouping_nor_a_stop_and_resume_changes_anything(cuts: list[int], halt: int) -> None:
    records = busy_tape().records
    whole = Fold(4).feed(records)
    state, out = Fold(4), []
    edges = sorted({0, *cuts, halt, len(records)} & set(range(len(records) + 1)))
    for start, end in pairwise(edges):
        if start == halt:
            resumed = Fold(4)
            assert resumed.restore(Fold.VERSION, state.image()) == []
            state = resumed
        out += state.feed(records[start:end])
    # After a restart the shards are told their beds and devices again; that must not change anything there.
    again = (Bind, Placed)
    assert [line for line in out if not isinstance(line.content, again)] == [
        line for line in whole if not isinstance(line.content, again)
    ]


@pytest.mark.parametrize("n_shards", [1, 3, 4])
def test_the_number_of_shards_changes_no_row(n_shards: int) -> None:
    rows = Counter(str(content) for shard, content in Fold(n_shards).feed(busy_tape().records) if shard is None)
    assert rows == Counter(str(content) for shard, content in Fold(2).feed(busy_tape().records) if shard is None)
