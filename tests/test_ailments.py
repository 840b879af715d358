"""What is wrong with a device or its way to us is named by its packets alone, soon, and forgotten some time after."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from wire import ECG, SECOND_NS, T0_NS, Tape, beating, birth_of, packets

from dataflows.ailments import HOLD_NS, SKEW, skew
from dataflows.events import AlarmEvent, DeviceStatus
from dataflows.fold import Fold
from dataflows.shard import Shard
from ingest.command import Admit
from ingest.documents import encode_status
from ingest.journal import RecordKind
from ingest.packet import Packet
from ingest.profile import Calibration, Status
from ingest.topics import topic_of

SLOT_NS = SECOND_NS // 4
SENT = packets("w1", beating(60.0))
AT = 80  # packet at which something happens: 20 s after the beginning
AT_S = 20.0
Sent = Sequence[tuple[float, Packet]]


def on_time(sent: Sequence[Packet] = SENT) -> list[tuple[float, Packet]]:
    """Packets with the time at which they arrive, in seconds."""
    return [(0.25 * (k + 1) + 0.02, packet) for k, packet in enumerate(sent)]


def tape_of(sent: Sent, until_s: float = 61.0) -> Tape:
    """Write packets down in the order in which they come, with ticks between."""
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    arrivals = sorted([*((at, packet) for at, packet in sent), *((0.25 * k, None) for k in range(round(until_s * 4)))],
                      key=lambda one: one[0])  # fmt: skip
    for at_s, packet in arrivals:
        tape.now_ns = max(tape.now_ns, T0_NS + round(at_s * SECOND_NS))
        if packet is None:
            tape.tick()
        else:
            tape.packet(packet)
    return tape


def told(tape: Tape, fold: Fold | None = None, last: str = "") -> list[tuple[float, str]]:
    """When what was wrong with the device changed, in seconds since the start, and to what."""
    fold, found = fold or Fold(1), [(0.0, last)]
    for record in tape.records:
        for _, row in fold.feed([record]):
            if isinstance(row, DeviceStatus) and row.faults != found[-1][1]:
                found.append(((record.arrival_ns - T0_NS) / SECOND_NS, row.faults))
    return found[1:]


def lost() -> Sent:
    return [one for k, one in enumerate(on_time()) if k not in (AT, AT + 3, AT + 4)]


def doubled() -> Sent:
    return sorted([*on_time(), (AT_S + 0.3, SENT[AT])], key=lambda one: one[0])


def swapped() -> Sent:
    sent = on_time()
    sent[AT], sent[AT + 1] = (sent[AT][0] + 0.26, SENT[AT]), sent[AT + 1]
    return sorted(sent, key=lambda one: one[0])


def held_back() -> Sent:
    return [(max(at, AT_S + 6.0) if AT <= k < AT + 24 else at, packet) for k, (at, packet) in enumerate(on_time())]


def restarted() -> Sent:
    again = packets("w1", beating(34.0), boot="b2", t0_ns=T0_NS + 26 * SECOND_NS)
    return [*on_time(SENT[:AT]), *((at + 26.0, packet) for at, packet in on_time(again))]


def dated(ahead_ns: Sequence[int]) -> Sent:
    """The same with a clock that is ahead from a packet on."""
    sent = [replace(packet, t0_ns=packet.t0_ns + ns) for packet, ns in zip(SENT, ahead_ns, strict=True)]
    return on_time(sent)


def stepped() -> Sent:
    return dated([2_500_000_000 * (k >= AT) for k in range(len(SENT))])


def skewed() -> Sent:
    return dated([75_000 * max(k - AT, 0) for k in range(len(SENT))])


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (lost(), "packets-lost"),
        (doubled(), "packets-doubled"),
        (swapped(), "packets-swapped"),
        (stepped(), "clock-step"),
        (skewed(), "clock-skew"),
    ],
)
def test_it_is_named_within_five_seconds_alone(sent: Sent, name: str) -> None:
    first = told(tape_of(sent))[0]
    assert first[1] == name
    assert 0.0 < first[0] - AT_S < 5.0


def test_what_happened_once_is_told_for_half_a_minute() -> None:
    (_, name), (over_s, after) = told(tape_of(doubled()))
    assert (name, after) == ("packets-doubled", "")
    assert AT_S + HOLD_NS / SECOND_NS < over_s < AT_S + HOLD_NS / SECOND_NS + 4.0


def test_silence_is_told_while_it_lasts_and_afterwards_what_it_was() -> None:
    silence, burst = told(tape_of(held_back(), 40.0))
    assert silence[1] == "silent"
    assert silence[0] - AT_S < 5.0
    assert burst[1] == "late-burst"
    assert 0.0 < burst[0] - AT_S - 6.0 < 0.3
    silence, again = told(tape_of(restarted(), 45.0))
    assert silence[1] == "silent"
    assert again[1] == "rebooted"
    assert 0.0 < again[0] - 26.0 < 0.5


def test_what_ingest_missed_itself_is_no_fault_of_a_device() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    for k, (at_s, packet) in enumerate(on_time()):
        if k == AT:
            tape.now_ns = T0_NS + round((AT_S + 10.0) * SECOND_NS)
            tape.tick(blind_ns=10 * SECOND_NS)
        tape.now_ns = max(tape.now_ns, T0_NS + round(at_s * SECOND_NS))
        if not AT + 5 <= k < AT + 10:  # nor what the broker could not keep meanwhile
            tape.packet(packet)
        if k % 4 == 0:
            tape.tick()
    assert told(tape) == []


def test_a_device_says_by_code_what_it_knows_and_time_tells_that_its_calibration_has_run_out() -> None:
    stream = replace(ECG, calibration=Calibration(id="c", time_ns=1, expiry_ns=T0_NS + 8 * SECOND_NS, gain_error=0.01))
    tape = Tape()
    tape.birth(birth_of("w1", "p1", streams=[stream]))
    for k, packet in enumerate(SENT[:60]):
        tape.now_ns += SLOT_NS
        tape.packet(packet)
        tape.tick()
        if k == 8:
            said = Status(state="online", reason="battery at 8 %", faults=("battery-low", "fan-stuck"))
            tape.add(RecordKind.MESSAGE, topic_of("s", "w1", "status"), encode_status(said))
    assert [name for _, name in told(tape)] == ["battery-low fan-stuck", "battery-low calibration-expired fan-stuck"]


def test_a_snapshot_in_the_middle_changes_nothing() -> None:
    tape = tape_of(lost())
    whole = told(tape)
    first, rest, fold = Tape(), Tape(), Fold(1)
    at = len(tape.records) // 2
    first.records, rest.records = tape.records[:at], tape.records[at:]
    before = told(first, fold)
    again = Fold(1)
    assert again.restore(Fold.VERSION, fold.image()) == []
    assert before + told(rest, again, before[-1][1]) == whole


@given(st.integers(0, 2**32), st.sampled_from([1_000_000, 10_000_000]))
def test_time_stamps_in_whole_milliseconds_are_no_skew(seed: int, grain_ns: int) -> None:
    rng = np.random.default_rng(seed)
    at_ns = SLOT_NS * np.arange(16) + int(rng.integers(SECOND_NS))
    ahead = (at_ns + rng.integers(0, grain_ns, 16)) // grain_ns * grain_ns - at_ns
    assert abs(skew(list(zip(at_ns.tolist(), ahead.tolist(), strict=True)))) < SKEW


@given(st.floats(-1e-3, 1e-3), st.integers(0, 2**32))
def test_a_skew_is_found_as_it_is(rate: float, seed: int) -> None:
    at_ns = SLOT_NS * np.arange(16)
    ahead = np.rint(at_ns * rate + np.random.default_rng(seed).normal(0.0, 1000.0, 16)).astype(np.int64)
    assert abs(skew(list(zip(at_ns.tolist(), ahead.tolist(), strict=True))) - rate) < 1e-5


def test_a_nurse_is_told_of_what_a_device_says_until_it_is_over_or_worn_by_another() -> None:
    low = encode_status(Status(state="online", faults=("battery-low",)))
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    said = {8: low, 28: encode_status(Status(state="online")), 48: low}
    for k, packet in enumerate(SENT[:100]):
        tape.now_ns += SLOT_NS
        tape.packet(packet)
        tape.tick()
        if k in said:
            tape.add(RecordKind.MESSAGE, topic_of("s", "w1", "status"), said[k])
        if k == 70:
            tape.command(Admit(id="c1", patient="p2", device="w1"))
    fold, shard = Fold(1), Shard()
    items = [item for shard_, item in fold.feed(tape.records) if shard_ is not None]
    events = [row for row in shard.feed(items) if isinstance(row, AlarmEvent)]  # type: ignore[arg-type]
    assert {event.category for event in events} == {"technical"}
    assert [(e.patient, e.state, e.reason) for e in events if e.condition == "device-fault"][:3] == [
        ("p1", "active", "w1: its battery is low"),
        ("p1", "ended", "over"),
        ("p1", "active", "w1: its battery is low"),
    ]
    assert [(e.patient, e.state) for e in events if e.condition == "device-fault"][3:] == [
        ("p1", "ended"),
        ("p2", "active"),
    ]
