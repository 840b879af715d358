"""How beds stand: what a row says, when there is one, and that neither grouping nor a restart changes any."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shards import S0, canonical, items_of, of, rows_of
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.beds import Beds
from dataflows.events import SEEN, STANDING, AlarmEvent, BedState, Vitals
from dataflows.fold import Fold
from dataflows.items import Item, Placed
from dataflows.shard import Row, Shard
from dataflows.standing import CALM
from ingest.command import Acknowledge, Admit, Discharge, Transfer
from ingest.journal import RecordKind
from ingest.registry import Registry

HOUR_NS = 3600 * SECOND_NS


def ward_of_one(pauses: tuple[tuple[float, float], ...] = (), seconds: float = 30.0) -> Tape:
    """A patient who is admitted by command and wears one device."""
    tape = Tape()
    tape.birth(birth_of("w1", None))
    tape.command(Admit(id="c1", patient="p1", device="w1", ward="icu", bed="bed-1"))
    return played(tape, [packets("w1", beating(seconds, 70.0, pauses))])


def beds_of(tape: Tape) -> list[BedState]:
    return of(BedState, rows_of(tape))


def test_an_admission_is_told_with_ward_and_bed_and_the_vitals_and_alarms_have_them() -> None:
    rows = rows_of(ward_of_one(((12.0, 22.0),)))
    first = of(BedState, rows)[0]
    assert (first.site, first.patient, first.ward, first.bed, first.admitted) == ("s", "p1", "icu", "bed-1", True)
    assert (first.need, first.words, first.standing) == (0, "", 0)
    assert first.since_ns == first.at_ns > T0_NS
    assert {row.ward for row in of(Vitals, rows)} == {"icu"}
    assert {(row.ward, row.bed) for row in of(AlarmEvent, rows)} == {("icu", "bed-1")}


def test_an_alarm_raises_the_need_its_acknowledgement_lowers_it_and_its_end_takes_it_away() -> None:
    tape = ward_of_one(((12.0, 40.0),), seconds=20.0)
    alarm = of(AlarmEvent, rows_of(tape))[0]
    tape.command(Acknowledge(id="c2", patient="p1", alarm=alarm.id))
    more = packets("w1", beating(40.0, 70.0, [(12.0, 25.0)]))[80:]
    told = beds_of(played(tape, [more]))
    assert [(row.need, row.words, row.standing, row.acknowledged) for row in told] == [
        (0, "", 0, 0),
        (6, "!!! HIGH asystole", 1, 0),
        (3, "!!! HIGH asystole (seen)", 1, 1),
        (0, "", 0, 0),
    ]
    raised = told[1]
    assert (raised.priority, raised.condition, raised.since_ns) == ("high", "asystole", alarm.onset_ns)
    assert raised.at_ns == alarm.arrival_ns
    assert told[-1].since_ns == told[-1].at_ns


def test_the_worst_alarm_speaks_for_the_bed() -> None:
    tape = Tape()
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, "p1"))
    played(tape, [packets("w1", beating(40.0, 70.0, [(20.0, 40.0)])), packets("w2", beating(3.0, 70.0))])
    told = beds_of(tape)
    assert [row.words for row in told] == ["", "!! MEDIUM lost-contact", "!!! HIGH asystole"]
    assert [row.standing for row in told] == [0, 1, 2]


def test_a_transfer_to_another_ward_tells_the_old_ward_that_the_patient_has_left() -> None:
    tape = ward_of_one(((12.0, 30.0),))
    tape.command(Transfer(id="c2", patient="p1", bed="bed-9", ward="step-down"))
    tape.command(Transfer(id="c3", patient="p1", bed="bed-8"))
    told = beds_of(tape)[-3:]
    assert [(row.ward, row.bed, row.admitted, row.need) for row in told] == [
        ("icu", "bed-1", False, 0),
        ("step-down", "bed-9", True, 6),
        ("step-down", "bed-8", True, 6),
    ]
    assert told[0].at_ns < told[1].at_ns < told[2].at_ns


def test_a_discharge_ends_the_bed_in_one_row_and_alarms_that_end_with_it_still_name_it() -> None:
    tape = ward_of_one(((12.0, 30.0),))
    tape.command(Discharge(id="c2", patient="p1"))
    tape.command(Admit(id="c3", patient="p1", device="w1", ward="icu", bed="bed-2"))
    rows = rows_of(tape)
    assert [(row.bed, row.admitted, row.need) for row in of(BedState, rows)[-3:]] == [
        ("bed-1", True, 6),
        ("bed-1", False, 0),
        ("bed-2", True, 0),
    ]
    ended = of(AlarmEvent, rows)[-1]
    assert (ended.state, ended.ward, ended.bed) == ("ended", "icu", "bed-1")


def test_a_patient_whose_device_was_never_heard_of_has_a_bed() -> None:
    tape = Tape()
    tape.command(Admit(id="c1", patient="p1", device="w1", ward="icu", bed="bed-1"))
    [row] = beds_of(tape)
    assert (row.ward, row.bed, row.admitted) == ("icu", "bed-1", True)


def test_one_more_device_and_alarms_of_the_ward_itself_change_no_bed() -> None:
    tape = ward_of_one()
    tape.command(Admit(id="c2", patient="p1", device="w2"))
    tape.add(RecordKind.REPORT, "", msgspec.json.encode({"reporter": "influx", "ok": False, "detail": "down"}))
    assert len(beds_of(tape)) == 1


def test_every_bed_is_told_once_an_hour_also_of_patients_who_are_parked() -> None:
    tape = ward_of_one(((12.0, 30.0),))
    tape.command(Admit(id="c2", patient="p2", device="w2", ward="icu", bed="bed-2"))
    tape.ticks(700.0)  # the device of p1 is silent for so long that it is parked
    told = beds_of(tape)
    standing = {row.patient: row for row in told}
    assert standing["p1"].words.startswith("!!! HIGH asystole")
    tape.now_ns = (tape.now_ns // HOUR_NS + 1) * HOUR_NS
    tape.ticks(3.0)
    again = beds_of(tape)[len(told) :]
    assert sorted(row.patient for row in again) == ["p1", "p2"]
    for row in again:
        before = standing[row.patient]
        assert row == msgspec.structs.replace(before, at_ns=row.at_ns)
        assert row.at_ns // HOUR_NS == before.at_ns // HOUR_NS + 1


def busy_items() -> list[Item]:
    """A ward in which patients come, go, move, have alarms and are acknowledged; one device sends a queue at once."""
    tape = Tape()
    for i in range(4):
        tape.birth(birth_of(f"w{i}", None))
        tape.command(Admit(id=f"a{i}", patient=f"p{i}", device=f"w{i}", ward="icu", bed=f"b{i}"))
    sent = [packets(f"w{i}", beating(30.0, 60.0 + 7 * i, [(10.0, 18.0)] if i < 2 else [])) for i in range(4)]
    queue = sent[3][40:80]
    del sent[3][40:]
    played(tape, [one[:60] for one in sent])
    alarm = next(event.id for event in of(AlarmEvent, rows_of(tape)) if event.patient == "p0")
    tape.command(Acknowledge(id="k1", patient="p0", alarm=alarm))
    tape.command(Transfer(id="t1", patient="p1", bed="b9", ward="step-down"))
    for packet in queue:
        tape.packet(packet)
    tape.command(Discharge(id="d1", patient="p3"))  # while its queue is held back
    tape.command(Admit(id="a9", patient="p9", device="w2", ward="icu", bed="b3"))
    played(tape, [one[60:] for one in sent[:3]])
    tape.now_ns = (tape.now_ns // HOUR_NS + 1) * HOUR_NS
    tape.ticks(12.0)
    return items_of(tape)[0]


def test_neither_grouping_nor_a_stop_and_resume_changes_a_bed() -> None:
    items = busy_items()
    whole = canonical(Shard().feed(items))
    beds = of(BedState, Shard().feed(items))
    assert len({row.key for row in beds}) == len(beds)

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


def test_the_rows_of_a_patient_follow_each_other_in_time() -> None:
    rows = of(BedState, Shard().feed(busy_items()))
    for patient in {row.patient for row in rows}:
        at_ns = [row.at_ns for row in rows if row.patient == patient]
        assert at_ns == sorted(set(at_ns))


def test_vitals_that_were_held_back_keep_the_ward_of_a_patient_who_has_left() -> None:
    late = [row for row in of(Vitals, Shard().feed(busy_items())) if row.patient == "p3"]
    assert late[-1].second - S0 > 12
    assert {row.ward for row in late} == {"icu"}


def test_beds_of_a_snapshot_of_another_version_are_told_again_with_the_alarms_that_stand() -> None:
    tape = ward_of_one(((12.0, 30.0),))
    shard = Shard()
    before = of(BedState, shard.feed(items_of(tape)[0]))[-1]
    resumed = Shard()
    assert "every row starts anew" in resumed.restore(Shard.VERSION + 1, shard.image())[0]
    placed = Placed("s/p1", "icu", "bed-1", admitted=True, arrival_ns=tape.now_ns + 1)
    [row] = resumed.feed([placed])
    assert row == msgspec.structs.replace(before, at_ns=tape.now_ns + 1)
    assert resumed.feed([placed._replace(arrival_ns=tape.now_ns + 2)]) == []


happenings = st.lists(
    st.one_of(
        st.builds(
            lambda p, d, w, b: Admit(id="x", patient=p, device=d, ward=w, bed=b),
            st.sampled_from(["p0", "p1"]),
            st.sampled_from(["w0", "w1"]),
            st.sampled_from([None, "icu", "surgery"]),
            st.sampled_from([None, "b1", "b2"]),
        ),
        st.builds(lambda p: Discharge(id="x", patient=p), st.sampled_from(["p0", "p1"])),
        st.builds(lambda p, w: Transfer(id="x", patient=p, bed="b3", ward=w), st.sampled_from(["p0", "p1"]), st.none()),
        st.sampled_from(["seconds", "saturated", "silence", "acknowledge", "hour", "a queue"]),
    ),
    max_size=14,
)


@given(happenings)
@settings(max_examples=80)
def test_the_newest_row_of_every_bed_is_the_registrys_place_and_the_alarms_that_stand(
    script: list[Admit | Discharge | Transfer | str],
) -> None:
    tape = Tape()
    for device in ("w0", "w1"):
        tape.birth(birth_of(device, None))
    fold, shard = Fold(1), Shard()
    registry, rows, done = Registry(), list[Row](), 0
    for number, happening in enumerate(script):
        if isinstance(happening, str):
            _go_on(tape, happening, f"b{number}", [row for row in rows if isinstance(row, AlarmEvent)])
        else:
            command = msgspec.structs.replace(happening, id=f"c{number}")
            registry.apply_command("s", "nurse", command)
            tape.command(command)
        items = [item for where, item in fold.feed(tape.records[done:]) if where is not None]
        done = len(tape.records)
        rows += shard.feed(items)  # type: ignore[arg-type]  # what has a shard is an item
    beds = {row.patient: row for row in of(BedState, rows)}
    here = {patient: row for patient, row in beds.items() if row.admitted}
    assert {patient: (row.ward, row.bed) for patient, row in here.items()} == {
        wearer.patient: (wearer.ward, wearer.bed) for wearer in registry.patients("s")
    }
    newest = {event.id: event for event in of(AlarmEvent, rows)}
    for patient, row in here.items():
        stands = [e for e in newest.values() if e.patient == patient and e.state in STANDING]
        assert row.standing == len(stands)
        assert row.acknowledged == sum(event.state in SEEN for event in stands)
        assert (row.need == 0) == (not stands)
    assert len({row.key for row in of(BedState, rows)}) == len(of(BedState, rows))
    for patient in beds:
        at_ns = [row.at_ns for row in of(BedState, rows) if row.patient == patient]
        assert at_ns == sorted(at_ns)


def _go_on(tape: Tape, what: str, boot: str, told: list[AlarmEvent]) -> None:
    """Let time pass in some way, with two devices that send."""
    if what == "silence":
        tape.ticks(12.0)
    elif what == "hour":
        tape.now_ns = (tape.now_ns // HOUR_NS + 1) * HOUR_NS
        tape.tick()
    elif what == "acknowledge":
        for event in told[-1:]:
            tape.command(Acknowledge(id=f"k{len(tape.records)}", patient=event.patient, alarm=event.id))
    elif what == "a queue":
        for device in ("w0", "w1"):
            for packet in packets(device, beating(4.0), boot=boot, t0_ns=tape.now_ns - 4 * SECOND_NS):
                tape.packet(packet)
        tape.tick()
    else:
        flags, now_ns = 1 | 4 if what == "saturated" else 1, tape.now_ns
        played(tape, [packets(name, beating(5.0), boot=boot, t0_ns=now_ns, flags=flags) for name in ("w0", "w1")])


def test_patients_who_left_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.beds.LEFT_KEPT", 10)
    beds = Beds()
    for n in range(50):
        placed = Placed(f"s/p{n}", "icu", "b", admitted=True, arrival_ns=2 * n + 1)
        assert len(beds.move(placed, CALM)) == 1
        assert len(beds.move(placed._replace(admitted=False, arrival_ns=2 * n + 2), CALM)) == 1
    assert [beds.place(f"s/p{n}") for n in (39, 40)] == [("", ""), ("icu", "b")]
