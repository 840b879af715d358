"""Time under abuse: clocks that step, drift and leap, a blind ingest, a broker away: order holds, nobody is stalled."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import everything
from shards import S0, of, rows_of, told
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.events import AlarmEvent, Vitals
from ingest.codec import encode_birth, encode_packet
from ingest.journal import Journal, RecordKind
from ingest.packet import Packet
from ingest.topics import topic_of

DAY_NS = 86_400 * SECOND_NS
HEART = packets("w1", beating(30.0, 70.0))
OTHER = packets("w2", beating(30.0, 70.0))


def sent_at(packet: Packet) -> int:
    """When a packet arrives, whatever its clock says."""
    return T0_NS + packet.blocks[0].first_sample * 2_000_000 + 270_000_000


def live(tape: Tape, *streams: list[Packet]) -> Tape:
    """Send packets at the time at which their samples were taken, with ticks."""
    next_tick = tape.now_ns
    for packet in sorted((packet for stream in streams for packet in stream), key=sent_at):
        while next_tick <= sent_at(packet):
            tape.now_ns = max(tape.now_ns, next_tick)
            tape.tick()
            next_tick += SECOND_NS // 4
        tape.now_ns = max(tape.now_ns, sent_at(packet))
        tape.packet(packet)
    tape.ticks(1.0)
    return tape


def set_back(stream: list[Packet], at: int, by_ns: int, *, clock: int = 2) -> list[Packet]:
    """The device's clock is set at one packet; sampling goes on."""
    return [
        msgspec.structs.replace(packet, t0_ns=max(packet.t0_ns + (by_ns if i >= at else 0), 0), clock=clock)
        for i, packet in enumerate(stream)
    ]


def ward_of_two(mine: list[Packet]) -> list[Vitals]:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    tape.birth(birth_of("w2", "p1"))
    return of(Vitals, rows_of(live(tape, mine, OTHER)))


def in_order(vitals: list[Vitals]) -> int:
    """Count seconds that follow each other without a gap, from the start of the tape."""
    assert vitals[0].second - S0 <= 1
    assert all(after.second == before.second + 1 for before, after in pairwise(vitals))
    return len(vitals)


@pytest.mark.parametrize("clock", [0, 2])
@pytest.mark.parametrize("by_ns", [DAY_NS, -DAY_NS, 3 * SECOND_NS, -(10**19)])
def test_a_device_whose_clock_leaps_neither_leaves_its_seconds_nor_stalls_the_patients_other_device(
    by_ns: int, clock: int
) -> None:
    vitals = ward_of_two(set_back(HEART, 60, by_ns, clock=clock))
    assert in_order(vitals) >= 28
    assert all(abs(row.hr.value - 70.0) < 1.0 for row in vitals[10:])
    assert not any(row.late for row in vitals)


def test_a_device_that_samples_too_fast_does_not_drag_the_patients_other_device_after_it() -> None:
    n = len(HEART)
    fast = [msgspec.structs.replace(packet, t0_ns=T0_NS + i * 125_000_000) for i, packet in enumerate(HEART)]
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    tape.birth(birth_of("w2", "p1"))
    at = {id(packet): T0_NS + (i + 1) * 125_000_000 + 20_000_000 for i, packet in enumerate(fast)}
    both = sorted([*fast, *OTHER[: n // 2]], key=lambda p: at.get(id(p), sent_at(p)))
    for packet in both:
        tape.now_ns = max(tape.now_ns, at.get(id(packet), sent_at(packet)))
        if packet.device == "w2":
            tape.tick()
        tape.packet(packet)
    vitals = of(Vitals, rows_of(tape))
    assert in_order(vitals) == 15
    assert all(abs(row.hr.value - 70.0) < 3.0 for row in vitals[8:])


def test_a_clock_that_drifts_is_followed_and_what_it_said_can_be_read_from_every_row() -> None:
    fast = [msgspec.structs.replace(p, t0_ns=p.t0_ns + 5 * SECOND_NS + i * 50_000) for i, p in enumerate(HEART)]
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    vitals = of(Vitals, rows_of(live(tape, fast)))
    assert in_order(vitals) >= 28
    for row in vitals:
        raw_ns = row.second * SECOND_NS - row.clock_offset_ms * 1e6
        said_ns = T0_NS + (row.second - S0) * SECOND_NS + 5 * SECOND_NS + (row.second - S0) * 200_000
        assert abs(raw_ns - said_ns) < 30_000_000


steps = st.lists(st.tuples(st.integers(0, 47), st.integers(-2 * DAY_NS, 2 * DAY_NS)), max_size=6)


@settings(max_examples=6)
@given(steps, st.sampled_from([0, 1, 2]))
def test_seconds_stay_in_order_whatever_a_device_clock_does(leaps: list[tuple[int, int]], clock: int) -> None:
    stream = packets("w1", beating(12.0, 70.0))
    for at, by_ns in leaps:
        stream = set_back(stream, at % 48, by_ns, clock=clock)
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    seconds = [row.second for row in of(Vitals, rows_of(live(tape, stream)))]
    assert all(after > before for before, after in pairwise(seconds))
    assert len(seconds) >= 6
    assert max(seconds) - S0 <= 14


# Ingest and broker away


def away(tape: Tape, blind_s: float, *, link: bool, steps: int = 1) -> None:
    """Ingest is killed and comes back, perhaps again and again, perhaps with its broker gone."""
    if link:
        tape.link(up=False)
    for _ in range(steps):
        tape.now_ns += round(blind_s * SECOND_NS)
        tape.tick(blind_ns=round(blind_s * SECOND_NS))
    if link:
        tape.link(up=True)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(("blind_s", "steps"), [(60.0, 1), pytest.param(4.0, 15, marks=pytest.mark.long), (9.0, 7)])
def test_however_often_ingest_is_killed_nobody_is_called_silent_for_it(
    blind_s: float, steps: int, *, link: bool
) -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [HEART[:40]])
    away(tape, blind_s, link=link, steps=steps)
    shift_ns = tape.now_ns - HEART[39].t0_ns
    later = [msgspec.structs.replace(p, t0_ns=p.t0_ns + shift_ns) for p in HEART[40:80]]
    tape.ticks(3.0)
    played(tape, [later])
    assert told(rows_of(tape)) == []


@pytest.mark.parametrize("link", [False, True])
def test_a_device_that_died_while_ingest_was_away_is_missed_ten_waking_seconds_later(*, link: bool) -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [HEART[:40]])
    tape.ticks(4.0)
    away(tape, 5.0, link=link, steps=6)
    back_ns = tape.now_ns
    tape.ticks(8.0)
    raised = of(AlarmEvent, rows_of(tape))
    assert [event.condition for event in raised] == ["lost-contact"]
    assert 5.0 < (raised[0].arrival_ns - back_ns) / SECOND_NS <= 6.5


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(["blind", "down", "up", "run"]), st.integers(1, 40)), max_size=12))
def test_a_device_that_is_heard_in_every_waking_second_is_never_lost(script: list[tuple[str, int]]) -> None:
    """And one that is not is lost once it has been silent for ten of them."""
    tape, down, n = Tape(), False, 0
    tape.birth(birth_of("w1", "p1"))
    tape.tick()
    for kind, number in script:
        match kind:
            case "blind":
                tape.now_ns += number * SECOND_NS // 4
                tape.tick(blind_ns=number * SECOND_NS // 4)
            case "run":
                for _ in range(number):
                    tape.now_ns += SECOND_NS // 4
                    tape.tick()
                    if not down:
                        n += 1
                        tape.packet(
                            msgspec.structs.replace(HEART[n % 120], seq=n, boot=f"b{n // 120}", t0_ns=tape.now_ns)
                        )
            case _:
                down = kind == "down"
                tape.link(up=not down)
    assert ("lost-contact", "active") not in told(rows_of(tape))
    if down:
        tape.link(up=True)
    tape.ticks(10.5)
    assert ("lost-contact", "active") in told(rows_of(tape))


@pytest.mark.long
def test_after_two_minutes_without_a_broker_every_second_has_its_row_and_only_what_still_holds_pages() -> None:
    """Four wearables queue meanwhile: one heart stopped and went on, one stopped and stays so, two are well."""
    pauses = {1: [(40.0, 60.0)], 2: [(100.0, 200.0)]}
    seconds = 150.0
    streams = [packets(f"w{i}", beating(seconds, 65.0 + i, pauses.get(i, []), seed=i)) for i in range(4)]
    tape = Tape()
    for i in range(4):
        tape.birth(birth_of(f"w{i}", f"p{i}"))
    played(tape, [stream[:80] for stream in streams])
    tape.link(up=False)
    tape.ticks(110.0)
    tape.link(up=True)
    back = tape.now_ns
    queues = [[packet for packet in stream[80:] if packet.t0_ns + 250_000_000 <= back] for stream in streams]
    for turn in range(max(map(len, queues))):  # the broker hands them over at once
        for queue in queues:
            tape.packet(queue[turn])
    played(tape, [stream[80 + len(queue) :] for stream, queue in zip(streams, queues, strict=True)])
    tape.ticks(1.0)
    rows = rows_of(tape, 3)
    for i in range(4):
        vitals = [row for row in of(Vitals, rows) if row.patient == f"p{i}"]
        assert [row.second - S0 for row in vitals] == list(range(round(seconds)))
        late = {row.second - S0 for row in vitals if row.late}
        assert late >= set(range(21, 98))
        assert max(late) < 102
    alarms = [(e.patient, e.condition, e.state) for e in of(AlarmEvent, rows) if e.condition == "asystole"]
    assert alarms[0] == ("p1", "asystole", "missed")
    assert alarms[-1] == ("p2", "asystole", "active")
    assert set(alarms[1:-1]) <= {("p2", "asystole", "missed")}  # it had begun when its evidence was old
    ward = [(e.condition, e.state) for e in of(AlarmEvent, rows) if e.patient == "ward"]
    assert ward == [("broker-lost", "active"), ("broker-lost", "ended")]
    assert "lost-contact" not in {e.condition for e in of(AlarmEvent, rows)}


@pytest.mark.parametrize(
    ("by_s", "for_s", "clock"),
    [
        (3600, 15, 2),
        pytest.param(3600, 9999, 0, marks=pytest.mark.long),
        pytest.param(3600, 9999, 2, marks=pytest.mark.long),
        (-3600, 9999, 2),
        (-30, 50, 0),
    ],
)
def test_a_hosts_clock_that_is_set_stops_nobodys_vitals_and_loses_nobodys_contact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_s: int, for_s: int, clock: int
) -> None:
    """Set 20 s after the start, and right again some time later or never; devices do not follow it."""
    monkeypatch.setattr("ingest.arrival.HOLD_NS", 40 * SECOND_NS)
    seconds, now_ns = 90, [T0_NS]

    def host_ns() -> int:
        gone_s = (now_ns[0] - T0_NS) // SECOND_NS
        return now_ns[0] + (by_s * SECOND_NS if 20 <= gone_s < 20 + for_s else 0)

    heart = packets("w1", beating(float(seconds), 70.0))
    with Journal(tmp_path, now_ns=host_ns, monotonic_ns=lambda: now_ns[0]) as journal:
        journal.append([(RecordKind.MESSAGE, topic_of("s", "w1", "birth"), encode_birth(birth_of("w1", "p1")))])
        for packet in heart:
            now_ns[0] = sent_at(packet)
            said = encode_packet(msgspec.structs.replace(packet, clock=clock))
            journal.append([(RecordKind.MESSAGE, topic_of("s", "w1", "data"), said), (RecordKind.TICK, "", b"")])
    tape = Tape()
    tape.records = everything(tmp_path)
    assert all(before.arrival_ns < after.arrival_ns for before, after in pairwise(tape.records))
    rows = rows_of(tape)
    vitals = of(Vitals, rows)
    assert all(before.second < after.second for before, after in pairwise(vitals))
    assert seconds - 3 <= len(vitals) <= seconds
    assert told(rows) == []
    assert all(abs(row.hr.value - 70.0) < 1.0 for row in vitals[-12:])


@pytest.mark.parametrize("clock", [pytest.param(0, marks=pytest.mark.long), 2])
@pytest.mark.parametrize("how", ["set", pytest.param("start", marks=pytest.mark.long), "reboot"])
def test_a_heart_that_stops_a_minute_after_the_hosts_clock_leapt_ahead_of_right_ones_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, clock: int
) -> None:
    """Set under a running ingest, which follows 40 s later, or before it starts again; then a device may reboot."""
    monkeypatch.setattr("ingest.arrival.HOLD_NS", 40 * SECOND_NS)
    now_ns, leapt_s = [T0_NS], 20 if how == "set" else 60
    heart = packets("w1", beating(150.0, 70.0, [(120.0, 140.0)]))

    def host_ns() -> int:
        return now_ns[0] + (3600 * SECOND_NS if now_ns[0] - T0_NS >= leapt_s * SECOND_NS else 0)

    def opened() -> Journal:
        return Journal(tmp_path, now_ns=host_ns, monotonic_ns=lambda: now_ns[0])

    journal = opened()
    journal.append([(RecordKind.MESSAGE, topic_of("s", "w1", "birth"), encode_birth(birth_of("w1", "p1")))])
    for at, packet in enumerate(heart):
        now_ns[0] = sent_at(packet)
        if at == 240 and how != "set":
            journal.close()
            journal = opened()
            journal.append([(RecordKind.TICK, "", b"")])
        boot, seq = packet.boot, packet.seq
        if how == "reboot" and at >= 360:
            if at < 420:  # it is off for 15 s
                journal.append([(RecordKind.TICK, "", b"")])
                continue
            boot, seq = "b2", packet.seq - 420
        said = encode_packet(msgspec.structs.replace(packet, clock=clock, boot=boot, seq=seq))
        journal.append([(RecordKind.MESSAGE, topic_of("s", "w1", "data"), said), (RecordKind.TICK, "", b"")])
    journal.close()
    tape = Tape()
    tape.records = everything(tmp_path)
    rows = rows_of(tape)
    asystoles = [event for event in of(AlarmEvent, rows) if event.condition == "asystole"]
    assert [event.state for event in asystoles] == ["active", "latched"]
    assert 3600 <= (asystoles[0].arrival_ns - T0_NS) / SECOND_NS - 120 < 3615
    vitals = of(Vitals, rows)
    assert all(before.second < after.second for before, after in pairwise(vitals))
    assert not any(row.late for row in vitals if row.second - S0 > 3600 + 95)
