"""A shard: vitals by the second, alarms and their reasons, and that grouping, banking and stopping change nothing."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from shards import S0, canonical, items_of, of, one_patient, rows_of, told, ward_tape
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.events import AlarmEvent, Answer, Vitals, Wave
from dataflows.fold import Fold
from dataflows.roll_call import RollCall
from dataflows.shard import Shard
from dataflows.shard_image import ShardImage
from ingest.command import Acknowledge, Admit, Discharge
from ingest.journal import RecordKind
from ingest.packet import Block, Packet
from ingest.profile import StreamProfile


def test_each_second_has_one_row_and_the_rate_is_the_hearts() -> None:
    rows = of(Vitals, rows_of(one_patient(beating(30.0, 72.0))))
    assert [row.second - S0 for row in rows] == list(range(30))
    settled = rows[10:]
    assert all(abs(row.hr.value - 72.0) < 0.2 for row in settled)
    assert all(row.hr.u < 1.0 and row.hr.quality > 0.9 and row.coverage == 1.0 for row in settled)
    assert {row.source for row in settled} == {"mcg"}


def test_each_second_has_its_waveform() -> None:
    waves = of(Wave, rows_of(one_patient(beating(12.0, 60.0))))
    assert len(waves) == 12
    samples = np.frombuffer(waves[8].samples, "<i2") * waves[8].scale
    assert len(samples) == 125
    assert 25.0 < np.ptp(samples) < 70.0


def test_a_pause_of_four_seconds_is_an_asystole_that_ends_with_the_next_beats() -> None:
    events = of(AlarmEvent, rows_of(one_patient(beating(40.0, 70.0, [(15.0, 25.0)]))))
    assert [(e.condition, e.state) for e in events] == [("asystole", "active"), ("asystole", "latched")]
    raised = events[0]
    assert 4.0 <= (raised.event_ns - T0_NS) / 1e9 - 14.9 <= 6.0
    assert raised.priority == "high"
    assert "no heartbeat" in raised.reason
    assert len(raised.strip) == 2 * 1250
    assert raised.id == events[1].id
    assert [e.step for e in events] == [0, 1]


def test_slow_and_fast_hearts_page() -> None:
    slow = told(rows_of(one_patient(beating(40.0, 30.0))))
    fast = told(rows_of(one_patient(beating(30.0, 170.0))))
    assert slow == [("extreme-bradycardia", "active")]
    assert fast == [("extreme-tachycardia", "active")]


def test_a_flat_line_pages_as_asystole_though_the_signal_is_poor() -> None:
    signal = np.concatenate([beating(15.0, 70.0), np.zeros(500 * 15)])
    events = of(AlarmEvent, rows_of(one_patient(signal)))
    assert ("asystole", "active") in [(e.condition, e.state) for e in events]
    asystole = next(e for e in events if e.condition == "asystole")
    assert "asystole or sensor off" in asystole.reason


@pytest.mark.parametrize(("flags", "reason"), [(1 | 4, "range"), (0, "lock"), (1 | 2, "zeroing")])
def test_a_saturated_or_unlocked_sensor_is_a_technical_alarm_and_no_asystole(flags: int, reason: str) -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    good = packets("w1", beating(30.0, 70.0, [(15.0, 30.0)]))
    bad = packets("w1", beating(30.0, 70.0, [(15.0, 30.0)]), flags=flags)
    played(tape, [[*good[:60], *bad[60:]]])
    events = of(AlarmEvent, rows_of(tape))
    assert ("saturated", "active") in [(e.condition, e.state) for e in events]
    assert reason in next(e.reason for e in events if e.condition == "saturated")
    assert "asystole" not in [e.condition for e in events]


def test_a_queue_after_an_outage_is_late_and_what_was_over_by_then_is_missed_and_does_not_page() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(90.0, 70.0, [(30.0, 36.0)]))
    played(tape, [sent[:80]])
    tape.now_ns = T0_NS + 85 * SECOND_NS
    for packet in sent[80:340]:
        tape.packet(packet)
    played(tape, [sent[340:]])
    tape.ticks(10.0)  # what one device sends at once goes on little by little
    rows = rows_of(tape)
    vitals = of(Vitals, rows)
    assert [row.second - S0 for row in vitals] == list(range(90))
    assert {row.second - S0 for row in vitals if row.late} == set(range(20, 55))
    assert told(rows, "asystole") == [("asystole", "missed")]


def test_data_that_steadily_come_late_are_said_though_they_cannot_page() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    tape.now_ns = T0_NS + 60 * SECOND_NS
    for packet in packets("w1", beating(40.0, 70.0)):
        tape.now_ns += SECOND_NS // 4
        tape.tick()
        tape.packet(packet)
    later = packets("w1", beating(80.0, 70.0))[160:]
    for packet in later:  # the queue drains
        tape.packet(packet)
    tape.ticks(6.0)
    events = [event for event in of(AlarmEvent, rows_of(tape)) if event.condition == "late-data"]
    assert [event.state for event in events] == ["active", "ended"]
    assert "60 s late" in events[0].reason


def test_acknowledging_is_an_event_with_its_actor_and_its_answer() -> None:
    quiet = one_patient(beating(40.0, 70.0, [(15.0, 38.0)]))
    alarm = of(AlarmEvent, rows_of(quiet))[0]
    quiet.command(Acknowledge(id="c1", patient="p1", alarm=alarm.id, note="on my way"))
    quiet.command(Acknowledge(id="c2", patient="p1", alarm=alarm.id))
    quiet.command(Acknowledge(id="c3", patient="p1", alarm="unknown"))
    quiet.command(Acknowledge(id="c4", patient="p9", alarm=alarm.id))
    rows = rows_of(quiet)
    last = of(AlarmEvent, rows)[-1]
    assert (last.state, last.actor, last.note, last.id) == ("acknowledged", "nurse", "on my way", alarm.id)
    assert [(a.command, a.done) for a in of(Answer, rows)] == [("c1", True), ("c2", True), ("c3", False), ("c4", False)]
    assert len(told(rows)) == 2


def test_a_rate_after_a_fault_is_right_or_not_given() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    good = packets("w1", beating(60.0, 70.0))
    clipped = np.full(500 * 60, 320.0)
    bad = packets("w1", clipped, flags=1 | 4)
    played(tape, [[*good[:80], *bad[80:120], *good[120:]]])
    rows = of(Vitals, rows_of(tape))[6:]
    assert all(abs(row.hr.value - 70.0) < 3.0 for row in rows if row.hr.quality > 0.0)
    assert sum(row.hr.quality == 0.0 for row in rows) < 18
    assert {row.reason for row in rows[14:22]} == {"saturated"}


def test_a_pulse_ends_an_asystole_that_stands() -> None:
    tape, light = (
        Tape(),
        StreamProfile(
            name="ppg", kind="ppg", sensor="spad", rate_hz=100.0, n_channels=1, unit="{count}", dtype="i4", block_len=25
        ),
    )
    tape.birth(birth_of("w1", "p1"))
    tape.birth(birth_of("o1", "p1", streams=(light,)))
    heart = packets("w1", beating(50.0, 70.0, [(15.0, 50.0)]))
    t = np.arange(100 * 50) / 100.0
    beat = np.where((t < 15.0) | (t > 28.0), np.exp(-0.5 * np.square(((t * 70 / 60) % 1.0 - 0.5) / 0.1)), 0.0)
    counts = np.rint(1e5 * (1.0 - 0.02 * beat) + np.random.default_rng(3).normal(0.0, 20.0, t.size)).astype("<i4")
    optical = [
        Packet(1, "o1", "b", 0, k, T0_NS + k * SECOND_NS // 4, 2, (Block(0, k * 25, 1, 0.0, part.tobytes()),))
        for k, part in enumerate(np.split(counts, 200))
    ]
    played(tape, [heart, optical])
    assert told(rows_of(tape), "asystole") == [("asystole", "active"), ("asystole", "latched")]


def test_each_second_of_a_patient_closes_once_though_devices_change() -> None:
    tape = Tape()
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, None))
    tape.command(Admit(id="c1", patient="p1", device="w1"))
    played(tape, [packets("w1", beating(20.0, 70.0))])
    tape.command(Discharge(id="c2", patient="p1"))
    tape.command(Admit(id="c3", patient="p1", device="w2"))
    tape.now_ns = T0_NS + 31 * SECOND_NS  # w2 had a queue
    for packet in packets("w2", beating(30.0, 70.0)):
        tape.packet(packet)
    tape.ticks(5.0)
    seconds = [row.second - S0 for row in of(Vitals, rows_of(tape))]
    assert seconds == list(range(30))


def test_a_snapshot_of_an_unknown_version_keeps_the_ward_going() -> None:
    tape = one_patient(beating(30.0, 70.0))
    fold, half = Fold(1), len(tape.records) // 2
    fold.feed(tape.records[:half])
    resumed = Fold(1)
    assert resumed.restore(Fold.VERSION, fold.image()) == []
    shard = Shard()  # what a shard starts from when its snapshot cannot be read
    items = [content for where, content in resumed.feed(tape.records[half:]) if where is not None]
    rows = of(Vitals, shard.feed(items))  # type: ignore[arg-type]  # what has a shard is an item
    assert abs(rows[-1].hr.value - 70.0) < 0.5


def test_a_discharge_ends_what_stands_and_frees_the_rows() -> None:
    tape = one_patient(beating(30.0, 70.0, [(15.0, 30.0)]))
    tape.command(Discharge(id="c1", patient="p1"))
    shard = Shard()
    rows = shard.feed(items_of(tape)[0])
    assert told(rows)[-1] == ("asystole", "ended")
    assert not shard.roster.devices
    assert not shard.wearables.images()


def test_neither_grouping_nor_a_stop_and_resume_changes_a_row() -> None:
    items = items_of(ward_tape())[0]
    whole = canonical(Shard().feed(items))

    @settings(max_examples=6)
    @given(st.lists(st.integers(0, len(items)), max_size=60), st.integers(0, len(items)))
    def check(cuts: list[int], halt: int) -> None:
        shard, rows = Shard(), []
        for start, end in pairwise(sorted({0, *cuts, halt, len(items)})):
            if start == halt:
                resumed = Shard()
                assert resumed.restore(Shard.VERSION, shard.image()) == []
                shard = resumed
            rows += shard.feed(items[start:end])
        assert canonical(rows) == whole

    check()


@pytest.mark.parametrize("n_shards", [3, pytest.param(4, marks=pytest.mark.long)])
def test_the_number_of_shards_changes_no_row(n_shards: int) -> None:
    assert canonical(rows_of(ward_tape(), n_shards)) == canonical(rows_of(ward_tape(), 1))


def test_a_patient_alone_has_the_rows_that_the_patient_has_in_a_ward() -> None:
    def of_p2(tape: Tape) -> list[bytes]:
        rows = [row for row in rows_of(tape) if not isinstance(row, Answer | RollCall) and row.patient == "p2"]
        # At the end all fall silent: that is told within the ward's alarm, where there is a ward.
        return canonical([replace(row, within="") if isinstance(row, AlarmEvent) else row for row in rows])

    tape = ward_tape()
    alone = Tape()
    alone.records = [r for r in tape.records if r.kind != RecordKind.MESSAGE or "/w2/" in r.topic]
    assert of_p2(alone) == of_p2(tape)
    assert of_p2(alone)


def test_a_snapshot_that_no_longer_fits_starts_the_rows_anew_and_says_so() -> None:
    tape = one_patient(beating(30.0, 70.0))
    items = items_of(tape)[0]
    shard = Shard()
    shard.feed(items[: len(items) // 2])
    image = msgspec.msgpack.decode(shard.image())
    lanes = ShardImage.__struct_fields__.index("lanes")
    image[lanes][0][1][1] = msgspec.msgpack.encode([])  # a lane's arrays are gone
    resumed = Shard()
    problems = resumed.restore(Shard.VERSION, msgspec.msgpack.encode(image))
    assert "0 arrays came" in problems[0]
    vitals = of(Vitals, resumed.feed(items[len(items) // 2 :]))
    assert vitals[0].settling
    assert abs(vitals[-1].hr.value - 70.0) < 0.5
