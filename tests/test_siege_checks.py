"""What the siege holds against each other: it must see every kind of loss, and no loss where there is none."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from outgoing import SECOND, alarm, device, one_of_each, vitals
from servers import eventually

from dataflows.couriers.bodies import message, message_id
from dataflows.couriers.line_protocol import points
from dataflows.events import AlarmEvent, Answer, Bad, Ledger, Removal, Row
from dataflows.store import Store
from deploy.siege.attacks import Crowd, Kill
from deploy.siege.checks import restarts_s
from deploy.siege.chronicle import Chronicle
from deploy.siege.command import by_attack, died_with_a_peer
from deploy.siege.floors import Figures, Played, floors
from deploy.siege.hooks import check_hooks
from deploy.siege.inventory import check_ledger, lost_of, take_inventory
from deploy.siege.points import Influx, Point, Value, check_points
from deploy.siege.racing import Nurse
from deploy.siege.receiver import Receipt
from deploy.siege.rows import check_left, compare, entries
from deploy.siege.rubbish import plain_birth, plain_packet
from deploy.siege.script import Attack
from deploy.siege.scripted import never_active
from deploy.siege.witness import Witness
from device_sim.truth import AlarmLine
from ingest.codec import decode_command, encode_birth, encode_bundle, encode_packet
from ingest.command import AlarmCommand
from ingest.journal import Journal, JournalReader, RecordKind
from ingest.notices import LinkNotice
from ingest.removal import carried_out
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
    removals = [
        Removal("-", 9 + n, SECOND * 10**9, what, SECOND, SECOND + 1, 9, "the disk runs short")
        for n, what in enumerate(("vitals", "wave", "bad", "alarm"))
    ]
    told = chronicle_of(tmp_path / "told", [*one_of_each()[:-1], *removals])
    left = {place: entry for place, entry in told.rows.items() if place.kind not in {"vitals", "wave", "bad", "alarm"}}
    assert check_left(told, left) == (4, [])
    assert "1 rows are gone" in check_left(told, {place: left[place] for place in left if place.kind != "ledger"})[1][0]


@pytest.mark.parametrize(("what", "first", "end"), [("wave", 0, 5), ("vitals", 0, 4), ("vitals", 5, 9)])
def test_a_removal_of_another_kind_or_time_excuses_nothing(what: str, first: int, end: int, tmp_path: Path) -> None:
    removal = Removal("-", 9, SECOND * 10**9, what, SECOND + first, SECOND + end, 9, "the disk runs short")
    live = chronicle_of(tmp_path / "live", [vitals(second=SECOND + 4), removal])
    left = {place: entry for place, entry in live.rows.items() if place.kind == "removal"}
    assert "of their kind and time" in check_left(live, left)[1][0]


def test_a_row_that_is_left_must_be_as_it_was_seen(tmp_path: Path) -> None:
    live = chronicle_of(tmp_path / "live", [vitals(), alarm()])
    with replayed(tmp_path / "left", [vitals(hr=70.0), alarm(), device()]) as store:
        said = check_left(live, entries(store))[1]
    assert ["2 rows of the store (" in line for line in said] == [True]


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


def hour_of(stored: int, lost: int, hour: int = SECOND // 3600) -> Ledger:
    quarantined = int(hour == SECOND // 3600)
    return Ledger(SITE, DEVICE, hour, stored + quarantined + lost, stored, quarantined, lost, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("hours", "wrong"),
    [
        ([hour_of(1, 2), hour_of(1, 0, hour=SECOND // 3600 + 1)], ""),
        ([hour_of(2, 2)], ""),
        ([hour_of(2, 1)], ""),  # the message that cannot be read may be one of the missing
        ([hour_of(3, 2)], "the journal holds 2 different"),
        ([hour_of(2, 3)], "3 packets lost, the journal lacks 2"),
        ([hour_of(2, 0)], "0 packets lost, the journal lacks 2"),
        ([msgspec.structs.replace(hour_of(2, 2), published=9)], "does not balance"),
        ([], "0 packets stored or quarantined"),
    ],
)
def test_the_ledger_must_balance_and_say_what_the_journal_holds(
    hours: list[Ledger], wrong: str, journal: Journal, tmp_path: Path
) -> None:
    born(journal)
    messages(journal, packet(4), packet(7), b"rubbish")
    rows: list[Row] = list(hours)
    with replayed(tmp_path / "store", rows) as store:
        found = check_ledger(store, SITE, take_inventory(journal.path, SITE, {DEVICE}))
    assert wrong in "".join(found.wrong)
    assert bool(found.wrong) is bool(wrong)


def test_holes_count_from_the_first_that_came_and_in_later_boots_from_nought(journal: Journal) -> None:
    born(journal)
    messages(journal, packet(5), packet(3), packet(9), packet(8), packet(2, "later"))
    notice = msgspec.json.encode(LinkNotice(up=False, reason="no room on the disk: 0 MB left"))
    away = msgspec.json.encode(LinkNotice(up=False, reason="the broker is gone"))
    journal.append([(RecordKind.LINK, "", notice), (RecordKind.LINK, "", away)])
    inventory = take_inventory(journal.path, SITE, {DEVICE})
    assert (inventory.holes(DEVICE), inventory.full) == (4, 1)  # 6, 7; later 0, 1


@pytest.mark.parametrize("for_want_of_room", [False, True])
def test_the_witness_gives_back_what_retention_removed(
    journal: Journal, tmp_path: Path, *, for_want_of_room: bool
) -> None:
    witness = Witness(journal.path, tmp_path / "witness")
    for seq in range(400):
        messages(journal, packet(seq))
        witness.look()
    journal.limits = type(journal.limits)(1, 1, 0)
    journal.prune(marking=for_want_of_room)
    assert bool(carried_out(journal.path)) == for_want_of_room
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


def test_a_death_that_no_attack_explains_is_a_crash() -> None:
    kills = [Kill("flow", 1.0), Kill("ingest", 2.0), Kill("flow", 3.0)]
    assert by_attack("flow", 2, kills)
    assert not by_attack("flow", 3, kills)
    assert not by_attack("couriers", 1, kills)


def test_a_process_of_a_cluster_that_ends_with_its_peer_is_no_crash() -> None:
    bound, kills = ("flow-0", "flow-1"), [Kill("flow-0", 10.0), Kill("ingest", 50.0)]
    assert died_with_a_peer("flow-1", bound, kills, 12.0)
    assert not died_with_a_peer("flow-1", bound, kills, 51.0)
    assert not died_with_a_peer("ingest", bound, kills, 12.0)
    assert not died_with_a_peer("flow", (), [Kill("flow", 10.0)], 12.0)


# Floors and scripted events


FILLED, CROWDED = Attack(1.0, "disk-full", for_s=5.0), Attack(2.0, "crowd", for_s=2.0)
PLAYED = Played(
    [FILLED, CROWDED], [FILLED, CROWDED], 1, [Kill("flow", 50.0)], [Crowd(20.0, 25.0, 1000)], [49.0, 50.1, 53.0]
)
FIGURES = Figures(300.0, 9, 9, 4, 1)


def test_a_siege_in_which_all_happened_passes_the_floors() -> None:
    assert floors(PLAYED, FIGURES) == []
    fallen = PLAYED._replace(asked=2, kills=[*PLAYED.kills, Kill("broker", 22.0)], crowds=[Crowd(20.0, 25.0, 7)])
    assert floors(fallen, FIGURES._replace(seconds=90.0)) == []
    assert floors(PLAYED._replace(script=[], done=[]), FIGURES._replace(full=0)) == []


@pytest.mark.parametrize(
    ("played", "figures", "said"),
    [
        (PLAYED._replace(done=[FILLED]), FIGURES, "only 1 of 2 attacks"),
        (PLAYED._replace(asked=2), FIGURES, "only 1 of 2 kills"),
        (PLAYED, FIGURES._replace(full=0), "the disk was filled"),
        (PLAYED._replace(crowds=[]), FIGURES, "only 0 of 1 crowds"),
        (PLAYED._replace(crowds=[Crowd(20.0, 25.0, 999)]), FIGURES, "let in 999"),
        (PLAYED._replace(vitals_s=[49.0, 50.1]), FIGURES, "no vitals row"),
        (PLAYED, FIGURES._replace(acknowledged=8), "acknowledged 8 of 9"),
        (PLAYED, FIGURES._replace(acknowledged=0, published=0), "acknowledged 0 of 0"),
        (PLAYED, FIGURES._replace(events_expected=0), "no scripted event"),
    ],
)
def test_a_siege_that_did_too_little_shows_nothing(played: Played, figures: Figures, said: str) -> None:
    (line,) = floors(played, figures)
    assert said in line


def test_an_event_that_was_only_told_when_it_was_over_needs_a_cut_to_explain_it() -> None:
    ns = 10**9
    onset = SECOND * ns
    line = AlarmLine(patient="p1", condition="asystole", from_ns=onset - ns, to_ns=onset + ns)
    missed = [alarm(state="missed")]
    assert never_active([line], missed, []) == [line]
    assert never_active([line], missed, [(onset - 90 * ns, onset - 60 * ns), (onset + 50 * ns, onset + 50 * ns)]) == [
        line
    ]
    assert never_active([line], missed, [(onset + 40 * ns, onset + 60 * ns)]) == []
    assert never_active([line], missed, [(onset - 30 * ns, onset - 6 * ns)]) == []
    assert never_active([line], [alarm(), alarm(step=1, state="ended")], []) == []
    assert never_active([line], [], []) == []  # not found at all: told elsewhere


# InfluxDB


class Fake(Influx):
    """Holds the points of some rows."""

    def __init__(self, *rows: Row) -> None:
        super().__init__(1, "none")
        self.held = {Point((one.measurement, one.tags), one.time_ns): one.fields for row in rows for one in points(row)}

    def points(self, measurement: str, tag: str, value: str) -> Iterator[tuple[Point, dict[str, Value]]]:
        """Points of a measurement that have a tag."""
        return (
            item for item in self.held.items() if item[0].series[0] == measurement and (tag, value) in item[0].series[1]
        )

    def values(self, measurement: str, tag: str) -> set[str]:
        """Every value of a tag."""
        return {value for at in self.held if at.series[0] == measurement for name, value in at.series[1] if name == tag}


def test_influxdb_must_hold_the_points_of_all_rows_and_no_other() -> None:
    rows = one_of_each()
    assert check_points(Fake(*rows), rows).wrong == []
    assert "lacks" in check_points(Fake(*rows[1:], vitals(second=SECOND + 1)), rows).wrong[0]
    assert "which no row makes" in check_points(Fake(*rows, vitals(second=SECOND + 1)), rows).wrong[0]
    assert "the row says" in check_points(Fake(vitals(hr=70.0), *rows[1:]), rows).wrong[0]
    assert "of whom no row speaks" in check_points(Fake(*rows, vitals("p2")), rows).wrong[0]


def test_only_earlier_revisions_of_a_device_may_stay_beside_the_newest() -> None:
    assert check_points(Fake(device(1), device(3)), [device(3)]).wrong == []
    assert check_points(Fake(device(3), device(4)), [device(3)]).extra == 1


def test_two_rows_that_make_one_point_differently_are_a_fault() -> None:
    answer = Answer("north", "c1", "nurse-7", True, "acknowledged", SECOND * 10**9)
    other = msgspec.structs.replace(answer, command="c2")
    assert "two rows" in check_points(Fake(answer, other), [answer, other]).wrong[0]


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


def test_a_nurse_answers_alarms_in_every_way_also_those_of_the_whole_ward(tmp_path: Path) -> None:
    said: list[tuple[str, bytes]] = []
    nurse = Nurse(lambda topic, payload: said.append((topic, payload)), tmp_path / "door", seed=1)
    nurse.start()
    for number in range(40):
        nurse.hear(msgspec.structs.replace(alarm(f"a{number}", state="ended"), site="*" if number % 2 else "north"))
    nurse.hear(Bad("north", 7, 0, 1, "t", "undecodable", "", 12))
    eventually(lambda: nurse.said > 5 and said, what="answers")
    nurse.close()
    assert all(isinstance(decode_command(payload), AlarmCommand) for _, payload in said)
    assert {topic.split("/")[2] for topic, _ in said} <= {"north", SITE}
