"""Who is known: devices are parked, leave and are forgotten; a hundred thousand of them leave nothing behind."""

import gc
import os

import msgspec
import numpy as np
import pytest
from shards import of, told
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.events import AlarmEvent, Answer, Bad, DeviceStatus, Ledger, PatientInfo, Removal, Row, Vitals
from dataflows.fold import Fold, Lasting
from dataflows.items import Item, Park, Unbind
from dataflows.shard import Shard
from ingest.command import Acknowledge, Admit
from ingest.journal import Record, RecordKind
from ingest.notices import Removed, Report
from ingest.topics import topic_of

MINUTE_NS = 60 * SECOND_NS
IDS = int(os.environ.get("FEMTOWARD_SOAK", "1600"))  # the promise is made for 100,000


class Ward:
    """A fold and its shards, fed record by record or many at once."""

    def __init__(self, n_shards: int = 2) -> None:
        self.fold, self.shards = Fold(n_shards), [Shard() for _ in range(n_shards)]
        self.items: list[Item] = []

    def feed(self, records: list[Record]) -> list[Row]:
        rows, parts = list[Row](), list[list[Item]]([[] for _ in self.shards])
        for where, content in self.fold.feed(records):
            if where is None:
                rows.append(content)  # type: ignore[arg-type]  # what has no shard is a row
            else:
                parts[where].append(content)  # type: ignore[arg-type]  # and what has one is an item
                self.items.append(content)  # type: ignore[arg-type]
        return rows + [row for shard, part in zip(self.shards, parts, strict=True) for row in shard.feed(part)]  # type: ignore[misc]

    def play(self, tape: Tape) -> list[Row]:
        records, tape.records = tape.records, []
        tape.first_offset += len(records)
        return self.feed(records)

    def restarted(self) -> "Ward":
        again = Ward(len(self.shards))
        assert again.fold.restore(Fold.VERSION, self.fold.image()) == []
        for old, new in zip(self.shards, again.shards, strict=True):
            assert new.restore(Shard.VERSION, old.image()) == []
        return again

    def snapshot_bytes(self) -> int:
        return len(self.fold.image()) + sum(len(shard.image()) for shard in self.shards)

    def rows_seated(self) -> int:
        capacity = sum(shard.ward.bank.capacity for shard in self.shards)
        return capacity + sum(
            group.bank.capacity for shard in self.shards for group in shard.wearables._groups.values()
        )


def leaving(tape: Tape, device: str) -> None:
    tape.add(RecordKind.MESSAGE, topic_of("s", device, "birth"), b"")


def minutes(tape: Tape, count: float) -> None:
    """Let minutes pass; a tick a second is enough for those who wait."""
    for _ in range(round(count * 60)):
        tape.now_ns += SECOND_NS
        tape.tick()


def test_a_device_silent_for_ten_minutes_is_parked_with_its_alarm_and_comes_back_where_it_was() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(20.0, 70.0))])
    minutes(tape, 9.5)
    rows = ward.play(tape)
    assert told(rows) == [("lost-contact", "active")] * 2  # type: ignore[arg-type]  # nobody answers: it climbs
    assert "s/w1" in ward.shards[0].roster.devices
    minutes(tape, 1.0)
    assert ward.play(tape) == []
    assert [item.device for item in ward.items if isinstance(item, Park)] == ["s/w1"]
    assert not ward.shards[0].roster.devices
    assert not ward.shards[0].roster.patients
    assert ward.rows_seated() <= 4  # the ward's own
    ward = ward.restarted()
    alarm = of(AlarmEvent, rows)[0]  # type: ignore[arg-type]
    tape.command(Acknowledge(id="c1", patient="p1", alarm=alarm.id))
    assert [event.state for event in of(AlarmEvent, ward.play(tape))] == ["acknowledged"]  # type: ignore[arg-type]
    played(tape, [packets("w1", beating(20.0, 70.0), boot="b2", t0_ns=tape.now_ns)])
    tape.ticks(1.0)
    rows = ward.play(tape)
    assert told(rows)[:1] == [("lost-contact", "ended")]  # type: ignore[arg-type]
    vitals = of(Vitals, rows)  # type: ignore[arg-type]
    assert len(vitals) >= 19
    assert abs(vitals[-1].hr.value - 70.0) < 1.0


def test_of_many_that_fall_silent_only_so_many_are_kept_warm_those_that_spoke_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dataflows.census.WARM_MOST", 2)
    tape, ward = Tape(), Ward(1)
    for number in range(5):
        tape.birth(birth_of(f"w{number}", f"p{number}"))
    played(tape, [packets(f"w{number}", beating(3.0 + number)) for number in range(5)])
    tape.ticks(25.0)
    ward.play(tape)
    assert len(ward.shards[0].roster.devices) == 5  # it is not a crowd yet
    minutes(tape, 0.5)
    rows = ward.play(tape)
    assert list(ward.shards[0].roster.devices) == ["s/w3", "s/w4"]
    assert len(told(rows)) == 0  # type: ignore[arg-type]  # contact was lost before
    minutes(tape, 9.0)
    ward.play(tape)
    assert list(ward.shards[0].roster.devices) == ["s/w3", "s/w4"]
    minutes(tape, 1.0)
    ward.play(tape)
    assert not ward.shards[0].roster.devices


def test_a_queue_of_two_minutes_goes_on_without_a_seam() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(150.0, 70.0))
    played(tape, [sent[:120]])
    tape.ticks(120.0)
    for packet in sent[120:]:
        tape.packet(packet)
    tape.ticks(25.0)
    vitals = of(Vitals, ward.play(tape))  # type: ignore[arg-type]
    assert [row.second for row in vitals] == list(range(vitals[0].second, vitals[0].second + 150))
    assert {row.late for row in vitals[31:90]} == {True}
    assert not any(row.settling for row in vitals[10:])
    assert all(abs(row.hr.value - 70.0) < 1.0 for row in vitals[20:])


def test_time_without_a_broker_parks_nobody() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(5.0))])
    tape.link(up=False)
    minutes(tape, 30.0)
    tape.link(up=True)
    ward.play(tape)
    assert "s/w1" in ward.shards[0].roster.devices


def test_of_two_devices_one_may_be_parked_and_its_patient_goes_on() -> None:
    tape, ward = Tape(), Ward(1)
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, "p1"))
    played(tape, [packets("w2", beating(5.0, 70.0))])
    long = packets("w1", beating(100.0, 70.0))
    for part in range(8):  # with holes of more than nine seconds, so that it is quick
        shift = part * 100 * SECOND_NS
        for packet in long[:4]:
            tape.now_ns = packet.t0_ns + shift + 270_000_000
            tape.packet(msgspec.structs.replace(packet, boot=f"b{part}", t0_ns=packet.t0_ns + shift))
        minutes(tape, 100 / 60)
    ward.play(tape)
    patient = ward.shards[0].roster.patients["s/p1"]
    assert (patient.devices, list(patient.parked)) == (["s/w1"], ["s/w2"])
    tape.command(Admit(id="c1", patient="p2", device="w2"))
    ward.play(tape)
    assert not patient.parked
    assert list(ward.shards[0].roster.patients) == ["s/p1", "s/p2"]


def test_a_shard_that_lost_its_snapshot_hears_of_parked_devices_again() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(5.0))])
    minutes(tape, 12.0)
    ward.play(tape)
    ward = ward.restarted()
    ward.shards = [Shard()]
    assert "a shard of version 1 came" in ward.shards[0].restore(1, b"rubbish")[0]
    tape.tick()
    assert told(ward.play(tape)) == [("lost-contact", "active")]  # type: ignore[arg-type]


def test_an_empty_retained_birth_says_that_the_device_leaves() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(30.0, 70.0, [(15.0, 30.0)]))])
    assert ("asystole", "active") in told(ward.play(tape))  # type: ignore[arg-type]
    leaving(tape, "w1")
    rows = ward.play(tape)
    assert [item.reason for item in ward.items if isinstance(item, Unbind)] == ["w1 left: its birth was cleared"]
    ended = of(AlarmEvent, rows)[0]  # type: ignore[arg-type]
    assert (ended.condition, ended.state, ended.reason) == ("asystole", "ended", "w1 left: its birth was cleared")
    assert [(row.state, row.reason) for row in of(DeviceStatus, rows)] == [("gone", "its birth was cleared")]  # type: ignore[arg-type]
    assert [row.admitted for row in of(PatientInfo, rows)] == [False]  # type: ignore[arg-type]
    tape.packet(packets("w1", beating(1.0))[0])
    assert [row.reason for row in of(Bad, ward.play(tape))] == ["no-birth"]  # type: ignore[arg-type]
    leaving(tape, "never-seen")
    assert ward.play(tape) == []


def test_a_device_that_left_and_comes_back_in_the_same_hour_finds_its_ledger() -> None:
    tape, ward, rows = Tape(), Ward(1), list[Row]()
    for boot in ("b1", "b2"):
        tape.birth(birth_of("w1", "p1"))
        played(tape, [packets("w1", beating(2.0), boot=boot, t0_ns=tape.now_ns)])
        leaving(tape, "w1")
        rows += ward.play(tape)
    ledgers = of(Ledger, rows)  # type: ignore[arg-type]
    assert ledgers[-1].stored == 16
    assert [row.revision for row in ledgers] == sorted({row.revision for row in ledgers})
    statuses = of(DeviceStatus, rows)  # type: ignore[arg-type]
    assert [row.revision for row in statuses] == sorted({row.revision for row in statuses})


def test_a_device_silent_for_a_day_is_forgotten_unless_a_command_bound_it() -> None:
    tape, ward = Tape(), Ward(1)
    for device, patient in (("w1", "p1"), ("w2", "p2")):
        tape.birth(birth_of(device, patient))
    tape.command(Admit(id="c1", patient="p2", device="w2"))
    minutes(tape, 2.0)
    ward.play(tape)
    for _ in range(26):
        tape.now_ns += 3600 * SECOND_NS
        tape.ticks(2.0)
    rows = ward.play(tape)
    assert [(row.device, row.reason) for row in of(DeviceStatus, rows)] == [("w1", "it was silent for a day")]  # type: ignore[arg-type]
    assert told(rows) == [*[("lost-contact", "active")] * 6, ("lost-contact", "ended")]  # type: ignore[arg-type]


def test_when_too_many_devices_are_known_the_longest_silent_makes_room_else_the_newcomer_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dataflows.presence.MAX_DEVICES", 3)
    tape, ward = Tape(), Ward(1)
    for device in ("w1", "w2", "w3", "w4"):
        tape.birth(birth_of(device, None))
    bad = of(Bad, ward.play(tape))  # type: ignore[arg-type]
    assert [row.reason for row in bad] == ["too-many-devices"]
    assert "clear the retained births" in bad[0].detail
    tape.command(Admit(id="c1", patient="p1", device="w1"))
    minutes(tape, 0.5)
    tape.birth(birth_of("w4", "p4"))
    tape.add(RecordKind.MESSAGE, topic_of("s", "w5", "status"), b'{"state":"online"}')
    rows = ward.play(tape)
    gone = [row.device for row in of(DeviceStatus, rows) if row.state == "gone"]  # type: ignore[arg-type]
    assert gone == ["w2", "w3"]
    tape.command(Admit(id="c2", patient="p1", device="w6"))
    tape.command(Admit(id="c3", patient="p1", device="w4"))
    answers = of(Answer, ward.play(tape))  # type: ignore[arg-type]
    assert [answer.done for answer in answers] == [False, True]


def test_a_fold_of_another_version_keeps_who_is_who_and_starts_the_logs_anew() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(8.0, 70.0))
    played(tape, [sent[:16]])
    tape.link(up=False)
    tape.now_ns += MINUTE_NS
    tape.link(up=True)
    ward.play(tape)
    image = msgspec.msgpack.decode(ward.fold.image())
    later = msgspec.msgpack.encode([*image[:2], "something", "else"])
    ward.fold = Fold(1)
    assert "a fold of version 99 came, this is version" in ward.fold.restore(99, later)[0]
    played(tape, [packets("w1", beating(8.0, 70.0), t0_ns=T0_NS + MINUTE_NS)[16:]])
    rows = ward.play(tape)
    assert len(of(Vitals, rows)) >= 3  # type: ignore[arg-type]
    assert told(rows) == []  # type: ignore[arg-type]


def of_another_version(ward: Ward) -> bytes:
    """A snapshot of the fold as another version may write it: what lasts, and something else."""
    return msgspec.msgpack.encode(
        [*msgspec.msgpack.decode(ward.fold.image())[: len(Lasting.__struct_fields__)], "something", "else"]
    )


@pytest.mark.parametrize("how", ["speaks", "is parked", "has left"])
def test_the_ledger_of_the_hour_goes_on_in_a_fold_of_another_version(how: str) -> None:
    tape, ward = Tape(), Ward(1)
    tape.now_ns = T0_NS - T0_NS % (60 * MINUTE_NS)
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(20.0, 70.0), t0_ns=tape.now_ns)
    played(tape, [sent[:38]])
    minutes(tape, 12.0 if how == "is parked" else 0.0)
    if how == "has left":
        leaving(tape, "w1")
    ward.play(tape)
    image = of_another_version(ward)
    for _ in range(2):  # and once more
        ward.fold = Fold(1)
        ward.fold.restore(99, image)
        tape.birth(birth_of("w1", "p1"))
        image = of_another_version(ward)
    for packet in sent[38:78]:
        tape.packet(packet)
    tape.link(up=False)
    ledgers = of(Ledger, ward.play(tape))  # type: ignore[arg-type]
    assert [(row.published, row.stored, row.lost) for row in ledgers] == [(78, 78, 0)]


def test_a_removal_is_told_once_whatever_version_hears_of_it_again() -> None:
    tape, ward = Tape(), Ward(1)
    removed = Removed("wave", 1, 2, 3, "the disk runs short", "id-1")
    said = msgspec.json.encode(Report("flow", ok=True, detail="d", removed=removed))
    tape.add(RecordKind.REPORT, "", said)
    assert len(of(Removal, ward.play(tape))) == 1  # type: ignore[arg-type]
    image = of_another_version(ward)
    ward.fold = Fold(1)
    ward.fold.restore(99, image)
    tape.add(RecordKind.REPORT, "", said)
    assert of(Removal, ward.play(tape)) == []  # type: ignore[arg-type]


def test_a_long_queue_is_taken_by_a_fold_of_another_version_which_does_not_know_since_when_it_waits() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", np.zeros(500 * 1500))
    for packet in sent[:4]:
        tape.packet(packet)
    ward.play(tape)
    image = msgspec.msgpack.decode(ward.fold.image())
    ward.fold = Fold(1)
    ward.fold.restore(99, msgspec.msgpack.encode([*image[:2], "something", "else"]))
    tape.now_ns = sent[-1].t0_ns + SECOND_NS
    tape.tick()
    for packet in sent[4:]:
        tape.now_ns += SECOND_NS // 200
        tape.packet(packet)
    tape.link(up=False)
    rows = [content for _, content in ward.fold.feed(tape.records)]
    assert [row for row in rows if isinstance(row, Bad)] == []
    assert [row.stored for row in rows if isinstance(row, Ledger)] == [len(sent) - 4]


def test_a_fold_whose_registry_cannot_be_read_says_what_to_do() -> None:
    ward = Ward()
    image = msgspec.msgpack.decode(ward.fold.image())
    foreign = msgspec.msgpack.encode([msgspec.msgpack.encode([1, {}]), *image[1:]])
    for bytes_ in (foreign, b"rubbish", msgspec.msgpack.encode([b"", {}])):
        with pytest.raises(
            ValueError, match="start with the version that wrote it, or remove the partition's recovery"
        ):
            Fold(2).restore(2, bytes_)


def wave(tape: Tape, first: int, count: int, samples: bytes) -> None:
    """Devices come, say something, and half of them say that they leave; the others fall silent."""
    for number in range(first, first + count):
        birth = birth_of(f"w{number}", f"p{number}")
        tape.birth(birth)
        tape.add(RecordKind.MESSAGE, topic_of("s", birth.device, "status"), b'{"state":"online"}')
        packet = packets(birth.device, beating(0.25), t0_ns=tape.now_ns)[0]
        tape.packet(packet)
        tape.add(RecordKind.MESSAGE, topic_of(f"site{number}", "x", "data"), samples)
    for number in range(first, first + count, 2):
        leaving(tape, f"w{number}")
    minutes(tape, 11.0)
    for _ in range(8):
        tape.now_ns += 3 * 3600 * SECOND_NS + MINUTE_NS
        tape.ticks(2.0)
    minutes(tape, 4.0)


def test_many_different_devices_coming_and_going_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("roster", "beds"):
        monkeypatch.setattr(f"dataflows.{where}.LEFT_KEPT", 50)  # so that few devices fill it
    monkeypatch.setattr("dataflows.past.KEPT", 20)
    tape, ward, per_wave = Tape(), Ward(), IDS // 8
    sizes, objects = [], []
    for number in range(8):
        wave(tape, number * per_wave, per_wave, b"rubbish")
        rows = ward.play(tape)
        ward.items.clear()
        assert sum(isinstance(row, DeviceStatus) and row.state == "gone" for row in rows) == per_wave
        assert ward.rows_seated() < 8 * len(ward.shards)  # the ward's own
        del rows
        gc.collect()
        sizes.append(ward.snapshot_bytes())
        objects.append(len(gc.get_objects()))
    assert max(sizes[4:]) - sizes[3] < 2_000
    assert max(objects[4:]) - objects[3] < 500


def test_ten_thousand_silent_devices_cost_next_to_nothing() -> None:
    """Not in time, which depends on the machine, but in what must be done: nobody is looped over or written again."""
    tape, ward, n = Tape(), Ward(), max(IDS // 4, 300)
    for number in range(n):
        tape.birth(birth_of(f"w{number}", f"p{number}"))
    minutes(tape, 2.0)
    ward.play(tape)
    assert all(not shard.roster.devices and not shard.roster.patients for shard in ward.shards)
    assert ward.snapshot_bytes() < 100 * n
    ward.items.clear()
    tape.ticks(10.0)
    assert (ward.play(tape), len(ward.items)) == ([], 40 * len(ward.shards))
