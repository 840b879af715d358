"""What the siege holds against each other: it must see every kind of loss, and no loss where there is none."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from outgoing import SECOND, alarm, device, ledger, one_of_each, vitals
from servers import eventually

from dataflows.couriers.webhook import message, message_id
from dataflows.events import AlarmEvent, Bad, Ledger, Row
from dataflows.store import Store
from deploy.siege.attacks import Kill
from deploy.siege.checks import restarts_s
from deploy.siege.chronicle import Chronicle
from deploy.siege.hooks import check_hooks
from deploy.siege.inventory import check_ledger, lost_of, take_inventory
from deploy.siege.racing import Nurse
from deploy.siege.receiver import Receipt
from deploy.siege.rows import check_left, compare, entries
from deploy.siege.rubbish import plain_birth, plain_packet
from deploy.siege.witness import Witness
from ingest.codec import decode_command, encode_birth, encode_bundle, encode_packet
from ingest.command import Acknowledge
from ingest.journal import Journal, JournalReader, RecordKind
from ingest.topics import bundle_topic, topic_of

SITE, DEVICE = "siege", "w1"


# Rows


def chronicle_of(path: Path, *puts: list[Row]) -> Chronicle:
    """Chronicle of a store that had these rows."""
    with Store(path) as store:
        chronicle = Chronicle(path)
        chronicle.start()
        for rows in puts:
            store.put(rows)
            eventually(lambda store=store: chronicle.last_id == store.last_id(), what="the chronicle")  # type: ignore[misc]  # mypy cannot infer the lambda
    chronicle.close()
    return chronicle


def replayed(path: Path, rows: list[Row]) -> Store:
    with Store(path) as store:
        store.put(rows)
    return Store(path, readonly=True)


def test_equal_stores_do_not_differ_whatever_the_order(tmp_path: Path) -> None:
    rows = one_of_each()
    live = chronicle_of(tmp_path / "live", rows[:3], rows[3:], rows[:5])
    with replayed(tmp_path / "again", rows[::-1]) as store:
        differences = compare(live, entries(store))
    assert not any(differences)
    assert check_left(live, live.rows) == (0, [])


def test_rows_missing_extra_and_different_are_told_apart_and_alarms_from_rows(tmp_path: Path) -> None:
    live = chronicle_of(tmp_path / "live", [vitals(), vitals(second=SECOND + 1), alarm(step=0), device(1)])
    late = msgspec.structs.replace(vitals(second=SECOND + 1), late=True)
    with replayed(
        tmp_path / "again", [vitals(second=SECOND + 2), late, alarm(step=0), alarm(step=1), device(2)]
    ) as store:
        rows, alarms = compare(live, entries(store))
    assert [place.key for place in rows.missing] == [f"p1/{SECOND + 2}"]
    assert [place.key for place in rows.extra] == [f"p1/{SECOND}"]
    assert [place.key for place in rows.different] == ["north/w1", f"p1/{SECOND + 1}"]
    assert ([len(places) for places in alarms], bool(alarms)) == ([1, 0, 0], True)
    assert any(f"p1/{SECOND + 2}" in said for said in rows.words("rows"))


def test_of_a_row_that_was_revised_the_newest_counts(tmp_path: Path) -> None:
    live = chronicle_of(tmp_path / "live", [device(1)], [device(2, "offline")], [device(3)])
    with replayed(tmp_path / "again", [device(3)]) as store:
        assert not any(compare(live, entries(store)))


def test_rows_that_the_store_gave_up_are_no_fault_if_that_was_told(tmp_path: Path) -> None:
    rows = one_of_each()
    told = chronicle_of(tmp_path / "told", rows)
    left = {place: entry for place, entry in told.rows.items() if place.kind not in {"vitals", "wave"}}
    assert check_left(told, left) == (2, [])
    silent = chronicle_of(tmp_path / "silent", [row for row in rows if row.kind != "removal"])
    left = {place: entry for place, entry in silent.rows.items() if place.kind != "vitals"}
    assert "no removal was told" in check_left(silent, left)[1][0]


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", segment_bytes=20_000, prunes=False) as one:
        yield one


def packet(seq: int, boot: str = "b") -> bytes:
    return encode_packet(plain_packet(DEVICE, boot, seq, SECOND * 10**9))


def messages(journal: Journal, *payloads: bytes) -> None:
    topic = topic_of(SITE, DEVICE, "data")
    journal.append([(RecordKind.MESSAGE, topic, payload) for payload in payloads])


def born(journal: Journal) -> None:
    birth = encode_birth(plain_birth(DEVICE, "p1"))
    journal.append([(RecordKind.MESSAGE, topic_of(SITE, DEVICE, "birth"), birth)])


def test_an_inventory_counts_each_packet_once_and_what_cannot_be_read(journal: Journal) -> None:
    messages(journal, b"before its birth it is no device")
    born(journal)
    messages(journal, packet(0), packet(1), packet(1), b"rubbish", packet(2)[:-5], packet(0, "later"))
    bundle = encode_bundle("g1", [plain_packet(DEVICE, "b", 1, 1), plain_packet(DEVICE, "b", 3, 1)])
    journal.append(
        [
            (RecordKind.MESSAGE, bundle_topic(SITE, "g1"), bundle),
            (RecordKind.MESSAGE, topic_of(SITE, "another", "data"), packet(9)),
            (RecordKind.OVERSIZE, topic_of(SITE, DEVICE, "data"), b'{"size":3,"head":""}'),
        ]
    )
    inventory = take_inventory(journal.path, SITE, {DEVICE})
    assert set(inventory.packets[DEVICE]) == {("b", 0), ("b", 1), ("b", 3), ("later", 0)}
    assert (inventory.distinct, inventory.repeated, inventory.unreadable[DEVICE]) == (4, 2, 3)


def test_a_packet_that_was_acknowledged_and_is_not_there_is_named(journal: Journal, tmp_path: Path) -> None:
    born(journal)
    messages(journal, packet(0), packet(1))
    acked = tmp_path / "acked.jsonl"
    acked.write_text("".join(json.dumps([DEVICE, "b", seq]) + "\n" for seq in (0, 1, 2)))
    inventory = take_inventory(journal.path, SITE, {DEVICE})
    assert lost_of(acked, inventory) == (3, ["w1 boot b packet 2"])


@pytest.mark.parametrize(
    ("hours", "wrong"),
    [
        ([ledger(stored=1), ledger(hour=SECOND // 3600 + 1, stored=0)], ""),
        ([ledger(stored=2)], ""),
        ([ledger(stored=3)], "the journal holds 2 different"),
        ([msgspec.structs.replace(ledger(stored=2), published=9)], "does not balance"),
        ([], "0 packets stored or quarantined"),
    ],
)
def test_the_ledger_must_balance_and_say_what_the_journal_holds(
    hours: list[Ledger], wrong: str, journal: Journal, tmp_path: Path
) -> None:
    born(journal)
    messages(journal, packet(0), packet(1), b"rubbish")
    rows: list[Row] = [msgspec.structs.replace(hour, site=SITE) for hour in hours]
    with replayed(tmp_path / "store", rows) as store:
        found = check_ledger(store, SITE, take_inventory(journal.path, SITE, {DEVICE}))
    assert wrong in "".join(found.wrong)
    assert bool(found.wrong) is bool(wrong)


def test_the_witness_gives_back_what_retention_removed(journal: Journal, tmp_path: Path) -> None:
    witness = Witness(journal.path, tmp_path / "witness")
    for seq in range(400):
        messages(journal, packet(seq))
        witness.look()
    journal.limits = type(journal.limits)(1, 1, 0)
    journal.prune()
    with JournalReader(journal.path) as reader:
        assert reader.first_offset > 0
    journal.close()
    whole, removed = witness.whole(tmp_path / "whole")
    assert removed > 0
    with JournalReader(whole) as reader:
        assert len(reader.read(0, 1000)) == 400


# Restarts


def test_a_restart_is_measured_where_data_came_and_went_on_coming() -> None:
    vitals_s = [float(second) for second in range(100) if not 10 < second <= 13 and not 50 < second <= 80]
    flow = [Kill("flow", at_s) for at_s in (10.5, 20.5, 52.0, 60.0, 90.2)]
    # Of the two kills in the long gap the first was followed by another, and before the second no data came.
    assert restarts_s(flow, [], vitals_s) == [3.5, 0.5, pytest.approx(0.8)]
    assert restarts_s(flow, [9.0, 19.9, 21.5], vitals_s) == [pytest.approx(0.8)]
    assert restarts_s([Kill("ingest", 10.5)], [], vitals_s) == []


# Webhooks and commands


def receipts(events: list[AlarmEvent]) -> tuple[list[Receipt], dict[str, bytes]]:
    bodies = {message_id(event): msgspec.json.encode(message(event)) for event in events}
    return [Receipt(id_, 0, body, verified=True, taken=True) for id_, body in bodies.items()], bodies


def test_every_event_must_reach_the_webhook_in_order_and_say_the_same() -> None:
    events = [alarm(step=0), alarm(step=1, state="ended"), alarm("b2", step=0)]
    came, bodies = receipts(events)
    assert check_hooks(came, bodies, events).wrong == []
    assert check_hooks(came[:-1], bodies, events).missing == [message_id(events[-1])]
    assert "out of order" in check_hooks(came[::-1], bodies, events).wrong[0]
    assert "another thing" in check_hooks(came, {**bodies, came[0].id: b"{}"}, events).wrong[0]
    assert "does not have" in check_hooks(came, bodies, events[:-1]).wrong[0]
    assert "signature" in check_hooks([came[0]._replace(verified=False), *came[1:]], bodies, events).wrong[0]


def test_a_nurse_acknowledges_alarms_also_those_of_the_whole_ward(tmp_path: Path) -> None:
    said: list[tuple[str, bytes]] = []
    nurse = Nurse(lambda topic, payload: said.append((topic, payload)), tmp_path / "door", seed=1)
    nurse.start()
    for number in range(40):
        nurse.hear(msgspec.structs.replace(alarm(f"a{number}", state="ended"), site="*" if number % 2 else "north"))
    nurse.hear(Bad("north", 7, 0, 1, "t", "undecodable", "", 12))
    eventually(lambda: nurse.said > 5 and said, what="acknowledgements")
    nurse.close()
    assert all(isinstance(decode_command(payload), Acknowledge) for _, payload in said)
    assert {topic.split("/")[2] for topic, _ in said} <= {"north", SITE}
