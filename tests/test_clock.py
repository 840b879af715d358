"""Corrected time goes on evenly through drift, steps, years off, queues and reboots."""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clock import MS, SLEW_MAX_NS, ClockFlag, ClockState, S, correct, time_of_sample

PACKET = 250 * MS
NOW = 1_700_000_000 * S
YEAR = 365 * 86_400 * S


class Sent(NamedTuple):
    """A packet as it is in truth."""

    true_ns: int  # when it began
    t0_ns: int
    arrival_ns: int
    sample_ns: int
    quality: int = 0
    boot: str = "b1"


class Placed(NamedTuple):
    """A packet where the model puts it."""

    sent: Sent
    corrected_ns: int
    flags: ClockFlag

    @property
    def error_ns(self) -> int:
        """Corrected minus true time."""
        return self.corrected_ns - self.sent.true_ns


def device(
    packets: int,
    *,
    ppm: float = 0.0,
    offset: Callable[[int], int] = lambda _: 0,
    delay: Callable[[int], int] = lambda _: 20 * MS,
    quality: int = 0,
    start_ns: int = NOW,
    boot: str = "b1",
    pause: Callable[[int], int] = lambda _: 0,
) -> Iterator[Sent]:
    """A device whose oscillator is off by `ppm`, its clock by `offset`, and whose packets take `delay`.

    `offset` and `delay` are asked with the true time since boot in ns; `pause` is true time that the sample counter
    missed.
    """
    for number in range(packets):
        sample_ns = number * PACKET
        elapsed = round(sample_ns * (1.0 - ppm * 1e-6)) + pause(sample_ns)
        true_ns = start_ns + elapsed
        ticked = start_ns + sample_ns + pause(sample_ns)  # by the device's own oscillator
        ends = true_ns + round(PACKET * (1.0 - ppm * 1e-6))
        yield Sent(true_ns, ticked + offset(elapsed), ends + delay(elapsed), sample_ns, quality, boot)


def place(sent: Iterable[Sent], state: ClockState | None = None) -> list[Placed]:
    """Run the model, arrivals never going back as in the journal, and check what holds always."""
    state, arrival = state or ClockState(), 0
    placed: list[Placed] = []
    for packet in sent:
        arrival = max(arrival + 1, packet.arrival_ns)
        state, corrected, flags = correct(
            state, packet.t0_ns, PACKET, arrival, packet.sample_ns, packet.quality, packet.boot
        )
        assert isinstance(corrected, int)
        placed.append(Placed(packet._replace(arrival_ns=arrival), corrected, flags))
    return placed


def goes_on(placed: list[Placed]) -> None:
    """Packets that follow each other do so within 1 ms, and time never goes back."""
    for before, after in pairwise(placed):
        if after.sent.boot != before.sent.boot:
            assert after.corrected_ns >= before.corrected_ns + PACKET - SLEW_MAX_NS
            continue
        missed = after.sent.sample_ns - before.sent.sample_ns - PACKET
        seam = after.corrected_ns - before.corrected_ns - PACKET - missed
        if after.flags & ClockFlag.JUMPED:
            assert seam > 0
        else:
            assert abs(seam) <= SLEW_MAX_NS, (before, after)


def worst(placed: list[Placed]) -> int:
    """Largest error, ns."""
    return max(abs(packet.error_ns) for packet in placed)


def jitter(seed: int, scale_ms: float = 15.0) -> Callable[[int], int]:
    """Network delay: 5 ms and an exponential part, the same for the same seed."""
    generator = random.Random(seed)  # noqa: S311 - a simulation
    return lambda _: 5 * MS + round(generator.expovariate(1.0 / scale_ms) * MS)


def outage(from_s: float, to_s: float, usual: Callable[[int], int]) -> Callable[[int], int]:
    """Packets of the outage wait in a queue that is sent off at its end."""
    return lambda at: max(round(to_s * S) - at, 0) + usual(at) if from_s * S <= at < to_s * S else usual(at)


def test_a_sample_counter_gives_exact_time() -> None:
    assert time_of_sample(13, 52.0) == PACKET
    assert time_of_sample(10**15, 500.0) == 2 * 10**21
    assert time_of_sample(3, 0.1) == 29_999_999_999  # 0.1 is a little more than a tenth


@pytest.mark.parametrize("quality", [0, 1])
def test_a_free_clock_is_placed_by_its_arrival(quality: int) -> None:
    placed = place(device(40, offset=lambda _: -3 * YEAR, quality=quality))
    assert placed[0].flags == ClockFlag.FROM_ARRIVAL
    assert {packet.error_ns for packet in placed} == {20 * MS}
    assert not any(packet.flags for packet in placed[1:])


def test_a_disciplined_clock_is_trusted() -> None:
    placed = place(device(400, quality=2, delay=jitter(1)))
    assert worst(placed) == 0
    assert not any(packet.flags for packet in placed)


def test_a_disciplined_clock_is_trusted_when_its_packets_come_an_hour_late() -> None:
    placed = place(device(400, quality=2, delay=lambda _: 3600 * S))
    assert worst(placed) == 0


@pytest.mark.parametrize("off", [-YEAR, 3 * S, YEAR])
def test_a_disciplined_clock_whose_time_is_impossible_is_not_believed(off: int) -> None:
    placed = place(device(400, quality=2, offset=lambda _: off))
    assert placed[0].flags == ClockFlag.FROM_ARRIVAL | ClockFlag.DISBELIEVED
    assert all(packet.flags & ClockFlag.DISBELIEVED for packet in placed)
    assert worst(placed) == 20 * MS


@pytest.mark.parametrize("ppm", [-100.0, -20.0, 20.0, 100.0])
def test_an_hour_of_drift_is_followed(ppm: float) -> None:
    placed = place(device(14_400, ppm=ppm, delay=jitter(2), offset=lambda _: 5 * YEAR))
    goes_on(placed)
    assert worst(placed) < 120 * MS  # where the first packet was a late one
    assert worst(placed[1200:]) < 20 * MS


@pytest.mark.parametrize("step", [-10 * S, -200 * MS, 200 * MS, 10 * S])
@pytest.mark.parametrize("quality", [0, 1, 2])
def test_a_step_of_the_device_clock_is_absorbed_at_once(step: int, quality: int) -> None:
    placed = place(device(1200, offset=lambda at: step if at >= 60 * S else 0, quality=quality))
    goes_on(placed)
    stepped = [number for number, packet in enumerate(placed) if packet.flags & ClockFlag.STEPPED]
    assert stepped == [240]
    assert not any(packet.flags & ClockFlag.JUMPED for packet in placed)
    allowed = 20 * MS if quality < 2 or abs(step) > S else abs(step)  # a disciplined clock is followed, slowly
    assert worst(placed) <= allowed


def test_a_clock_that_becomes_disciplined_is_neared_without_a_seam() -> None:
    off = 53 * YEAR
    free = device(120, offset=lambda _: -off)
    disciplined = list(device(2400, quality=2))[120:]
    placed = place([*free, *disciplined])
    goes_on(placed)
    assert placed[0].error_ns == 20 * MS
    assert placed[-1].error_ns == 0


@pytest.mark.parametrize("quality", [0, 2])
@pytest.mark.parametrize("length_s", [5, 60, 1800])
def test_a_burst_of_late_packets_does_not_move_the_offset(length_s: int, quality: int) -> None:
    late = outage(100.0, 100.0 + length_s, jitter(3))
    placed = place(device(4 * (length_s + 300), delay=late, quality=quality))
    goes_on(placed)
    before, after = placed[390], placed[-1]
    assert abs(after.error_ns - before.error_ns) < 10 * MS
    assert not any(packet.flags & (ClockFlag.JUMPED | ClockFlag.STEPPED) for packet in placed)


def test_a_queue_that_drains_for_minutes_does_not_move_the_offset() -> None:
    def delay(at: int) -> int:
        waiting = at - 100 * S
        return max(600 * S - waiting // 5, 0) + 20 * MS if waiting >= 0 else 20 * MS

    placed = place(device(4 * 3500, delay=delay))
    goes_on(placed)
    assert worst(placed) < 30 * MS


@pytest.mark.parametrize("length_s", [0.3, 3, 30])
def test_sampling_that_pauses_without_counting_is_found_within_ten_seconds(length_s: float) -> None:
    length = round(length_s * S)
    placed = place(device(1200, pause=lambda at: length if at >= 60 * S else 0))
    goes_on(placed)
    assert worst(placed[:240]) == 20 * MS
    jumps = [number for number, packet in enumerate(placed) if packet.flags & ClockFlag.JUMPED]
    assert jumps == [280]
    assert worst(placed[280:]) == 20 * MS


@pytest.mark.parametrize("step", [-10 * S, 10 * S])
def test_a_step_of_the_host_clock_breaks_no_time_and_no_order(step: int) -> None:
    placed = place(device(2000, delay=lambda at: 20 * MS + (step if at >= 60 * S else 0)))
    goes_on(placed)
    jumps = [number for number, packet in enumerate(placed) if packet.flags & ClockFlag.JUMPED]
    if step < 0:
        assert jumps == []
    else:  # five minutes and more of packets that were all equally late: no queue does that
        assert len(jumps) == 1
        assert jumps[0] > 240 + 4 * 280
        assert abs(placed[-1].error_ns - step - 20 * MS) <= MS


def test_a_disciplined_device_does_not_care_for_the_host_clock() -> None:
    placed = place(device(2000, quality=2, delay=lambda at: 20 * MS + (10 * S if at >= 60 * S else 0)))
    assert worst(placed) == 0


@pytest.mark.parametrize("quality", [0, 2])
@pytest.mark.parametrize("away_s", [0, 20, 70, 3605, 5000, 86_400])
def test_lateness_that_a_leap_while_nobody_listened_explains_is_believed_within_half_a_minute(
    away_s: int, quality: int
) -> None:
    sent = list(device(1500, quality=quality, delay=lambda at: 20 * MS + (3600 * S if at >= 60 * S else 0)))
    state, jumps = ClockState(), list[int]()
    for number, p in enumerate(sent):
        away = ((p.arrival_ns - 9 * S, p.arrival_ns - 8 * S), (1, 1 + away_s * S))
        state, _, flags = correct(state, p.t0_ns, PACKET, p.arrival_ns, p.sample_ns, quality, p.boot, away=away)
        jumps += [number - 240] if flags & ClockFlag.JUMPED else []
    (jump,) = jumps
    assert 80 <= jump <= 120 if 3600 <= away_s <= 7200 else jump >= 4 * 280
    assert abs(sent[-1].arrival_ns - state.end_ns) <= 20 * MS


@pytest.mark.parametrize("pace", [1.05, 1.5, 30.0])
def test_a_queue_is_none_of_that_however_slowly_it_drains(pace: float) -> None:
    state = ClockState()
    for p in device(4 * 900, quality=2):
        waited = max(3600 * S - round((pace - 1.0) * p.sample_ns), 0)
        arrival_ns = p.arrival_ns + waited
        away = ((NOW, NOW + 3605 * S),)
        state, corrected, _ = correct(state, p.t0_ns, PACKET, arrival_ns, p.sample_ns, 2, p.boot, away=away)
        assert corrected == p.true_ns


def test_a_first_packet_that_was_late_is_made_good_at_500_ppm() -> None:
    placed = place(device(4000, delay=lambda at: 300 * MS if at == 0 else 20 * MS))
    goes_on(placed)
    assert placed[0].error_ns == 300 * MS
    assert placed[-1].error_ns == 20 * MS
    assert min(after.corrected_ns - before.corrected_ns for before, after in pairwise(placed)) == PACKET - 125_000


def test_a_new_boot_begins_after_the_end_of_the_boot_before() -> None:
    first = list(device(40))
    again = list(device(40, start_ns=NOW + 9 * S, boot="b2", quality=2))  # by its clock it overlaps the boot before
    placed = place([*first, *again])
    goes_on(placed)
    ends = placed[39].corrected_ns + PACKET
    assert placed[40].corrected_ns == ends


def test_stragglers_are_placed_where_they_belong_and_teach_nothing() -> None:
    sent = list(device(20))
    state = ClockState()
    for packet in sent[:10] + sent[12:]:
        state, _, _ = correct(state, packet.t0_ns, PACKET, packet.arrival_ns, packet.sample_ns, 0, "b1")
    late = sent[11]
    after, corrected, flags = correct(state, late.t0_ns, PACKET, late.arrival_ns + 9 * S, late.sample_ns, 0, "b1")
    assert (after, corrected, flags) == (state, late.true_ns + 20 * MS, ClockFlag.PAST)
    newer = correct(state, NOW, PACKET, NOW + 60 * S, 0, 0, "b2")[0]
    after, corrected, flags = correct(newer, late.t0_ns, PACKET, NOW + 61 * S, late.sample_ns, 0, "b1")
    assert (after, corrected, flags) == (newer, late.true_ns + 20 * MS, ClockFlag.PAST)


@pytest.mark.parametrize("leap", [-5 * S, 5 * S, YEAR])
@pytest.mark.parametrize("quality", [0, 2])
def test_a_sample_counter_that_leaps_does_not_carry_time_away(leap: int, quality: int) -> None:
    sent = [
        packet._replace(sample_ns=packet.sample_ns + (leap if number >= 20 else 0))
        for number, packet in enumerate(device(60, quality=quality, offset=lambda _: 0 if quality == 2 else YEAR))
    ]
    placed = place(sent)
    assert placed[20].flags == ClockFlag.STEPPED
    assert worst(placed) == (0 if quality == 2 else 20 * MS)


def test_streams_that_come_in_packets_of_their_own_share_one_time() -> None:
    both = [packet for packet in device(60) for _ in ("mcg", "ppg")]
    placed = place(both)
    assert worst(placed) <= 20 * MS


def test_the_state_survives_encoding() -> None:
    state = ClockState()
    for packet in device(5000, delay=jitter(5)):
        state, _, _ = correct(state, packet.t0_ns, PACKET, packet.arrival_ns, packet.sample_ns, 0, "b1")
    data = msgspec.msgpack.encode(state)
    assert len(data) < 400
    assert msgspec.msgpack.decode(data, type=ClockState) == state


class Trouble(NamedTuple):
    """Everything that goes wrong with one device."""

    ppm: float
    off_ns: int
    step_ns: int
    step_at_s: int
    gap: int  # packets lost in the middle
    late_s: float  # how long packets queue
    quality: int


troubles = st.builds(
    Trouble,
    ppm=st.floats(-100.0, 100.0),
    off_ns=st.integers(-50 * YEAR, 50 * YEAR),
    step_ns=st.integers(-20 * S, 20 * S),
    step_at_s=st.integers(0, 200),
    gap=st.integers(0, 40),
    late_s=st.floats(0.0, 60.0),
    quality=st.integers(0, 2),
)


@given(troubles, st.integers(0, 100))
def test_whatever_the_clock_does_time_goes_on_near_the_truth(trouble: Trouble, seed: int) -> None:
    """All at once: drift, a wrong date, a step, lost packets, a late queue."""

    def offset(at: int) -> int:
        step = trouble.step_ns if at >= trouble.step_at_s * S else 0
        return step if trouble.quality == 2 else step + trouble.off_ns

    delay = outage(30.0, 30.0 + trouble.late_s, jitter(seed, 5.0))
    sent = list(device(600, ppm=trouble.ppm, offset=offset, delay=delay, quality=trouble.quality))
    placed = place(sent[:300] + sent[300 + trouble.gap :])
    goes_on(placed)
    if trouble.quality < 2:
        assert worst(placed) < 150 * MS


stamps = st.tuples(
    st.integers(0, 2**62 - 1) | st.integers(NOW - 100 * S, NOW + 100 * S),
    st.integers(1, 70_000_000 * S) | st.just(PACKET),
    st.integers(0, 20 * S),
    st.integers(0, 2**62 - 1) | st.integers(0, 100 * S),
    st.integers(0, 2),
    st.sampled_from(["b1", "b2", "b3"]),
)


@given(st.lists(stamps, max_size=30))
def test_any_stamps_at_all_keep_time_going_forward_and_the_state_storable(
    happenings: list[tuple[int, int, int, int, int, str]],
) -> None:
    state, arrival, end = ClockState(), NOW, 0
    for t0, duration, later, sample, quality, boot in happenings:
        arrival += later
        known, corrected, flags = correct(state, t0, duration, arrival, sample, quality, boot)
        if flags & ClockFlag.PAST:
            assert known == state
        else:
            assert corrected >= end
            end = known.end_ns
            assert abs(end - corrected - duration) <= SLEW_MAX_NS
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=ClockState)
        assert state == known
        assert abs(corrected) < 2**63
