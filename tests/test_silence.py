"""A ward that falls silent is one alarm: the single ones are recorded, page nobody, and come out when it is over."""

from collections.abc import Iterable

import pytest
from shards import canonical, items_of, of
from wire import SECOND_NS, T0_NS, Tape, birth_of

from dataflows.events import AlarmEvent, Answer
from dataflows.fold import Fold
from dataflows.hush import LEAST, OVER_NS, Hush, Told
from dataflows.items import Hushed, Park, Where
from dataflows.priorities import LADDER_S
from dataflows.roster import LOST_NS
from dataflows.shard import Row, Shard
from dataflows.waking import Now
from ingest.command import Acknowledge, Admit, Shelve
from ingest.packet import Block, Packet
from ingest.profile import StreamProfile

SKIN = StreamProfile(
    name="skin", kind="temperature", sensor="nv-thermometer", rate_hz=1.0, n_channels=1, unit="Cel", dtype="i2",
    block_len=1, scale=0.01,
)  # fmt: skip
ICU, ER = range(150), range(150, 200)


class Ward:
    """A tape of 200 patients in two wards who wear a thermometer each."""

    def __init__(self, *beds: int) -> None:
        self.tape = Tape()
        self.second = 0
        for n in beds or (*ICU, *ER):
            self.tape.birth(birth_of(f"w{n}", f"p{n}", streams=(SKIN,)))
            self.tape.command(Admit(id=f"c{n}", patient=f"p{n}", device=f"w{n}", ward="icu" if n in ICU else "er"))

    def go_on(self, seconds: int, *speaking: Iterable[int]) -> None:
        """Let some speak for a while, the others be silent."""
        devices = [n for some in speaking for n in some]
        for _ in range(seconds):
            self.tape.now_ns = max(self.tape.now_ns, T0_NS + self.second * SECOND_NS)
            for n in devices:
                block = Block(0, self.second, 1, 0.0, (3400).to_bytes(2, "little"))
                at_ns = T0_NS + self.second * SECOND_NS
                self.tape.packet(Packet(1, f"w{n}", "b", 0, self.second, at_ns, 2, (block,)))
            self.tape.ticks(1.0)
            self.second += 1


@pytest.fixture(scope="module")
def ward() -> Ward:
    """The intensive care unit's gateway is down for 12 s, and three of its devices do not come back."""
    made = Ward()
    made.go_on(2, ICU, ER)
    made.go_on(12, ER)
    made.go_on(13, ER, ICU[3:])
    return made


@pytest.fixture(scope="module")
def rows(ward: Ward) -> list[Row]:
    """What four shards say, in order of arrival."""
    said = [row for items in items_of(ward.tape, 4).values() for row in Shard().feed(items)]
    return sorted(said, key=lambda row: getattr(row, "arrival_ns", 0))


def test_a_gateway_that_is_down_pages_once_and_not_for_each_device(rows: list[Row]) -> None:
    events = of(AlarmEvent, rows)
    loud = [event for event in events if not event.within]
    whole, *rest = loud
    assert (whole.site, whole.patient, whole.ward, whole.condition) == ("*", "ward", "icu", "ward-silent")
    assert (whole.state, whole.priority, whole.value, whole.unit) == ("active", "high", 150.0, "{devices}")
    assert whole.reason.startswith("150 of 150 devices of icu fell silent at once")
    single = [event for event in events if event.condition == "lost-contact" and event.within]
    assert {event.within for event in single} == {whole.id}
    assert {event.patient for event in single if event.state == "active"} == {f"p{n}" for n in ICU}
    assert whole.arrival_ns <= min(event.arrival_ns for event in single), "it comes before those that it is about"
    assert {(event.patient, event.condition, event.state) for event in rest} == {
        ("ward", "ward-silent", "ended"),
        *((f"p{n}", "lost-contact", state) for n in ICU[:3] for state in ("ended", "active")),
    }


def test_who_stays_silent_when_the_wards_alarm_is_over_is_told_alone(rows: list[Row]) -> None:
    events = of(AlarmEvent, rows)
    over = next(event for event in events if (event.condition, event.state) == ("ward-silent", "ended"))
    alone = [event for event in events if event.state == "active" and event.patient in {"p0", "p1", "p2"}][-3:]
    assert {event.arrival_ns for event in alone} == {over.arrival_ns}
    assert not any(event.within for event in alone)


def test_a_stop_and_resume_changes_nothing_of_it(ward: Ward) -> None:
    items = items_of(ward.tape)[0]
    whole = Shard().feed(items)
    cut = next(i for i, item in enumerate(items) if isinstance(item, Hushed)) + 2
    first, second = Shard(), Shard()
    before = first.feed(items[:cut])
    assert second.restore(Shard.VERSION, first.image()) == []
    assert canonical([*before, *second.feed(items[cut:])]) == canonical(whole)
    fold, again = Fold(1), Fold(1)
    records = ward.tape.records
    at = next(i for i, record in enumerate(records) if record.arrival_ns > T0_NS + 13 * SECOND_NS)
    fold.feed(records[:at])
    again.restore(Fold.VERSION, fold.image())
    (hushed,) = [content for _, content in again.feed(records[at : at + 1]) if isinstance(content, Hushed)]
    assert (hushed.silent, hushed.of, hushed.where) == (150, 150, Where("s", "icu"))


def test_the_alarm_of_a_ward_can_be_acknowledged_by_the_one_name_of_all_wards(ward: Ward) -> None:
    cut = next(i for i, record in enumerate(ward.tape.records) if record.arrival_ns > T0_NS + 13 * SECOND_NS)
    tape = Tape()
    tape.records, tape.now_ns = ward.tape.records[:cut], ward.tape.records[cut - 1].arrival_ns
    events = of(AlarmEvent, Shard().feed(items_of(tape)[0]))
    whole = next(event for event in events if event.condition == "ward-silent")
    tape.command(Acknowledge(id="a1", patient="ward", alarm=whole.id))
    seen = of(AlarmEvent, Shard().feed(items_of(tape)[0]))[-1]
    assert (seen.id, seen.patient, seen.ward, seen.state) == (whole.id, "ward", "icu", "acknowledged")
    tape.command(Shelve(id="a2", patient="ward", condition="ward-silent", seconds=60))
    shelved = of(AlarmEvent, Shard().feed(items_of(tape)[0]))[-1]
    assert (shelved.id, shelved.ward, shelved.state) == (whole.id, "icu", "shelved")


def test_no_ward_is_shelved_where_none_is_silent() -> None:
    tape = Tape()
    tape.ticks(1.0)
    tape.command(Shelve(id="a1", patient="ward", condition="ward-silent", seconds=60))
    rows = Shard().feed(items_of(tape)[0])
    assert of(AlarmEvent, rows) == []
    (answer,) = of(Answer, rows)
    assert (answer.done, answer.detail) == (False, "ward-silent is shelved for the one ward that is silent; none is")


def test_the_alarm_of_a_ward_stands_while_it_is_silent_though_it_spoke_for_a_moment_and_was_parked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dataflows.census.WARM_MOST", 2)  # so that all others are parked after 30 s
    here = range(24)
    ward = Ward(*here)
    ward.go_on(2, here)
    ward.go_on(16, here[20:])
    ward.go_on(2, here)
    ward.go_on(round(LADDER_S["medium"][0]) + 20)
    items = items_of(ward.tape)[0]
    assert sum(isinstance(item, Park) for item in items) >= 22
    events = of(AlarmEvent, Shard().feed(items))
    loud = [(event.condition, event.state) for event in events if not event.within and event.change != "escalated"]
    assert loud == [("ward-silent", "active")]
    assert {event.patient for event in events if event.within} == {f"p{n}" for n in here}
    climbed = {event.condition for event in events if event.change == "escalated"}
    assert climbed == {"ward-silent"}  # for all that are told within it


def test_who_is_lost_long_after_the_others_of_a_silent_ward_is_told_alone() -> None:
    here = range(12)
    ward = Ward(*here)
    ward.go_on(2, here)
    ward.go_on(12, here[8:])
    ward.go_on(30, here[9:])
    ward.go_on(20, here[10:])
    events = [event for event in of(AlarmEvent, Shard().feed(items_of(ward.tape)[0])) if event.change == "raised"]
    assert [(event.condition, event.patient) for event in events if not event.within] == [
        ("ward-silent", "ward"),
        ("lost-contact", "p9"),
    ]
    assert {event.patient for event in events if event.within} == {f"p{n}" for n in here[:9]}


def silent(n: int, of_: int, first_s: float = 10.0, later_s: float = 0.0) -> list[Told]:
    """What is told when the first of `n` devices has been silent for 10 s, and the others began `later_s` after it."""
    now_ns = T0_NS + 60 * SECOND_NS
    since = [first_s, *[first_s - later_s] * (n - 1)] if n else []
    heard = [(f"d{i}", now_ns - round(s * SECOND_NS)) for i, s in enumerate(since)]
    heard += [(f"d{i}", now_ns) for i in range(n, of_)]
    return Hush().step(Now(now_ns, now_ns, ()), heard, lambda _: None, lambda _: Where("s", "icu"))


@pytest.mark.parametrize(
    ("n", "of_", "later_s", "told"),
    [
        (LEAST, LEAST, 0.0, True),
        (LEAST - 1, LEAST - 1, 0.0, False),  # a room, not a ward
        (LEAST, 2 * LEAST, 0.0, True),
        (LEAST, 2 * LEAST + 1, 0.0, False),  # fewer than half
        (20, 24, 4.9, True),
        (20, 24, 5.1, False),  # not at once
    ],
)
def test_many_devices_at_once_are_a_silent_ward(n: int, of_: int, later_s: float, *, told: bool) -> None:
    assert bool(silent(n, of_, later_s=later_s)) == told


def test_it_is_over_when_few_have_been_silent_for_a_while() -> None:
    hush, start = Hush(), T0_NS
    heard = {f"d{i}": start for i in range(10)}

    def at(seconds: float) -> list[Told]:
        now_ns = start + round(seconds * SECOND_NS)
        ordered = sorted(heard.items(), key=lambda item: item[1])
        return hush.step(Now(now_ns, now_ns, ()), ordered, heard.get, lambda _: Where("s", "icu"))

    assert at(9.9) == []
    (begun,) = at(LOST_NS / SECOND_NS)
    assert (begun.silent, begun.of) == (10, 10)
    for i in range(8):
        heard[f"d{i}"] = start + 12 * SECOND_NS
    assert at(12.0) == []
    later_s = 12.0 + OVER_NS / SECOND_NS
    for i in range(8):
        heard[f"d{i}"] = start + 20 * SECOND_NS
    assert at(later_s - 0.25) == []
    (over,) = at(later_s + 1.0)
    assert (over.silent, over.where, over.begun_ns) == (0, Where("s", "icu"), begun.begun_ns)
    assert hush.bursts == {}
