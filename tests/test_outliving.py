"""What stands outlives the code that raised it, and no alarm stands in the store for ever."""

from pathlib import Path

import msgspec
import pytest
from shards import of, told
from test_census import Ward, minutes
from wire import SECOND_NS, Tape, beating, birth_of, packets, played

from dataflows.events import STANDING, AlarmEvent, AlarmState, BedState, Row
from dataflows.fold import Fold
from dataflows.items import shard_of
from dataflows.roll_call import REASON, RollCall
from dataflows.shard import Shard
from dataflows.shard_image import Lasting
from dataflows.sink import StorePartition
from dataflows.store import Store
from ingest.command import Acknowledge

LASTING = len(Lasting.__struct_fields__)
UNKNOWN = 99
ACTIVE: tuple[AlarmState, ...] = ("active", "latched")


def later(shard: Shard) -> bytes:
    """A snapshot as another version may write it: what lasts, and something else."""
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(shard.image())[:LASTING], "something", "else"])


def upgraded(ward: Ward, image: bytes | None = None) -> Ward:
    """The ward after a restart with shards of another version."""
    again = Ward(1)
    assert again.fold.restore(Fold.VERSION, ward.fold.image()) == []
    again.shards[0].restore(UNKNOWN, later(ward.shards[0]) if image is None else image)
    return again


def events(rows: list[Row]) -> list[AlarmEvent]:
    return of(AlarmEvent, rows)  # type: ignore[arg-type]


def asystole() -> tuple[Tape, Ward, list[Row]]:
    """A patient whose heart stands still, for 18 s so far."""
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(60.0, 70.0, [(15.0, 33.0)]))[:132]])
    return tape, ward, ward.play(tape)


def go_on(tape: Tape) -> Tape:
    return played(tape, [packets("w1", beating(60.0, 70.0, [(15.0, 33.0)]))[132:]])


def test_an_alarm_that_stands_goes_on_and_ends_under_its_id_in_another_version() -> None:
    tape, ward, rows = asystole()
    (raised,) = events(rows)
    ward = upgraded(ward)
    tape.command(Acknowledge(id="c1", patient="p1", alarm=raised.id))
    rows = ward.play(go_on(tape))
    assert [(event.state, event.id, event.step) for event in events(rows)] == [
        ("acknowledged", raised.id, 1),
        ("ended", raised.id, 2),
    ]


def test_what_stands_is_found_by_the_names_of_conditions_wherever_their_columns_were() -> None:
    _, ward, _ = asystole()
    image = msgspec.msgpack.decode(ward.shards[0].image())
    _, conditions, *_ = image[1]
    frozen, still = conditions.index("frozen"), conditions.index("asystole")
    for names, stands in ((("asystole", "frozen"), ["frozen"]), (("asystole", "hiccups"), [])):
        conditions[frozen], conditions[still] = names
        shard = upgraded(ward, msgspec.msgpack.encode(image)).shards[0]
        assert [name for name in ("asystole", "frozen") if shard.ward.stands("s/p1", name)] == stands


def test_a_bed_is_told_again_when_an_older_version_had_said_something_newer() -> None:
    """Killed after its snapshot, it had raised what its successor, which settles, never sees."""
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(100.0, 70.0, [(15.0, 20.0)]))
    rows = ward.play(played(tape, [sent[:60]]))
    again = upgraded(ward)
    records = played(tape, [sent[60:80]]).records
    rows += ward.play(tape)
    assert max(of(BedState, rows), key=lambda row: row.at_ns).need == 6  # type: ignore[arg-type]
    rows += again.feed(records)
    rows += again.play(played(tape, [sent[80:]]))
    assert max(of(BedState, rows), key=lambda row: row.at_ns).need == 0  # type: ignore[arg-type]


def test_contact_that_was_lost_before_is_found_again_after() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(60.0, 70.0))
    played(tape, [sent[:40]])
    tape.ticks(20.0)
    (raised,) = events(ward.play(tape))
    ward = upgraded(ward)
    tape.ticks(15.0)
    assert events(ward.play(tape)) == []
    played(tape, [sent[200:]])
    (ended,) = events(ward.play(tape))
    assert (ended.condition, ended.state, ended.id) == ("lost-contact", "ended", raised.id)


def test_a_patient_who_was_put_away_keeps_the_alarm_too() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(5.0))])
    minutes(tape, 12.0)
    raised, climbed = events(ward.play(tape))
    assert (climbed.change, climbed.id, climbed.level) == ("escalated", raised.id, 1)
    ward = upgraded(ward)
    minutes(tape, 3.0)
    rows = ward.play(tape)
    assert events(rows) == []
    assert [roll.standing for roll in of(RollCall, rows)] == [{raised.id}]  # type: ignore[arg-type]
    tape.command(Acknowledge(id="c1", patient="p1", alarm=raised.id))
    assert [event.step for event in events(ward.play(tape))] == [2]


@pytest.mark.parametrize(
    "image",
    [
        b"rubbish",
        pytest.param(b"\x92\x01\x02", marks=pytest.mark.long),
        pytest.param(msgspec.msgpack.encode([7, [[], [], [[], b""]], b""]), marks=pytest.mark.long),
    ],
)
def test_what_stood_ends_in_the_store_when_nothing_of_a_snapshot_can_be_read(tmp_path: Path, image: bytes) -> None:
    store = Store(tmp_path / "store.sqlite")
    sink = StorePartition(store)

    def stored(rows: list[Row]) -> list[AlarmEvent]:
        sink.write_batch(rows)
        return store.alarms(STANDING)

    tape, ward = Tape(), Ward(1)
    for number in (1, 2, 3):
        tape.birth(birth_of(f"w{number}", f"p{number}"))
    still = [packets("w1", beating(120.0, 70.0, [(15.0, 27.5)])), packets("w2", beating(120.0, 70.0, [(15.0, 120.0)]))]
    played(tape, [*(one[:100] for one in still), packets("w3", beating(5.0, 70.0))])
    before = stored(ward.play(tape))
    assert sorted(event.condition for event in before) == ["asystole", "asystole", "lost-contact"]
    tape.command(Acknowledge(id="c1", patient="p2", alarm=next(e.id for e in before if e.patient == "p2")))
    before = stored(ward.play(tape))
    kept = ward.fold.image()
    records = played(tape, [one[100:] for one in still]).records
    for _ in range(2):  # killed after it, it does all of that once more, and nothing changes
        ward = Ward(1)
        ward.fold.restore(Fold.VERSION, kept)
        ward.shards[0].restore(UNKNOWN, image)
        after = stored(ward.feed(records))
        assert {event.id for event in before}.isdisjoint(event.id for event in after)
        assert [(event.patient, event.condition) for event in after] == [("p2", "asystole"), ("p3", "lost-contact")]
        history = store.history(before[0].id)
        assert (history[-1].state, history[-1].reason) == ("ended", REASON)
        assert store.conflict_count() == 0


def test_a_roll_call_ends_nothing_of_another_shard_and_nothing_that_was_raised_since(tmp_path: Path) -> None:
    _, _, rows = asystole()
    with Store(tmp_path / "store.sqlite") as store:
        store.put(rows)
        (raised,) = store.alarms(ACTIVE)
        sink = StorePartition(store)
        nobody = frozenset[str]()
        sink.write_batch([RollCall(nobody, raised.arrival_ns - 1)])
        assert store.alarms(ACTIVE) == [raised]
        wrong = next(n for n in range(2) if n != shard_of("s/p1", 2))
        sink.write_batch([RollCall(nobody, raised.arrival_ns, wrong, 2), RollCall(frozenset({raised.id}), 1 << 62)])
        assert store.alarms(ACTIVE) == [raised]
        sink.write_batch([RollCall(nobody, raised.arrival_ns, shard_of("s/p1", 2), 2)])
        assert store.alarms(ACTIVE) == []


def test_a_flood_that_a_fold_of_another_version_knows_nothing_of_is_over() -> None:
    tape, ward = Tape(), Ward(1)
    tape.birth(birth_of("w1", "p1"))
    for packet in packets("w1", beating(20.0, 70.0)):
        tape.now_ns = packet.t0_ns + SECOND_NS // 4
        tape.tick()
        for _ in range(50):
            tape.packet(packet)
    assert told(ward.play(tape)) == [("flooding", "active")]  # type: ignore[arg-type]
    image = msgspec.msgpack.decode(ward.fold.image())
    ward.fold = Fold(1)
    ward.fold.restore(UNKNOWN, msgspec.msgpack.encode([*image[:2], "something", "else"]))
    tape.tick()
    assert told(ward.play(tape)) == [("flooding", "ended")]  # type: ignore[arg-type]
