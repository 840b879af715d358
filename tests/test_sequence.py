"""Sequence numbers: drops, repeats, late ones and reboots are told apart, and the ledger always balances."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from strategies import packet_of, wearable

from ingest.sequence import (
    MAX_TRAILS,
    WINDOW,
    SequenceState,
    StreamCursor,
    Tally,
    Verdict,
    backwards,
    count,
    count_unreadable,
    follow,
    observe,
    unreadable,
)


def run(*numbers: int, state: SequenceState | None = None, boot: str = "b1") -> tuple[SequenceState, list[Verdict]]:
    """Verdicts on numbers of one boot."""
    state, verdicts = state or SequenceState(), []
    for seq in numbers:
        state, verdict = observe(state, boot, seq)
        verdicts.append(verdict)
    return state, verdicts


def test_numbers_in_order_are_fresh_and_none_is_missing() -> None:
    _, verdicts = run(0, 1, 2, 3)
    assert verdicts == [Verdict("fresh", 0, new_boot=True), *[Verdict("fresh", 0)] * 3]


def test_a_number_left_out_is_missing_until_it_comes_late_and_then_a_repeat() -> None:
    _, verdicts = run(0, 1, 3, 2, 2, 3)
    assert [(verdict.kind, verdict.missing) for verdict in verdicts] == [
        ("fresh", 0),
        ("fresh", 0),
        ("fresh", 1),
        ("late", -1),
        ("repeat", 0),
        ("repeat", 0),
    ]


def test_what_was_published_before_we_listened_is_not_missing_and_may_still_come() -> None:
    _, verdicts = run(5000, 4999, 4999, 5001)
    assert [(verdict.kind, verdict.missing) for verdict in verdicts] == [
        ("fresh", 0),
        ("late", 0),
        ("repeat", 0),
        ("fresh", 0),
    ]


def test_a_new_boot_is_missed_from_its_number_0_on() -> None:
    state, _ = run(0, 1, 2)
    assert observe(state, "b2", 3)[1] == Verdict("fresh", 3, new_boot=True)


def test_a_straggler_of_the_boot_before_is_late_and_begins_no_boot() -> None:
    state, _ = run(0, 1, 3)
    state, _ = observe(state, "b2", 0)
    state, filled = observe(state, "b1", 2)
    state, beyond = observe(state, "b1", 6)
    assert (filled, beyond) == (Verdict("late", -1), Verdict("late", 2))
    assert observe(state, "b2", 1)[1] == Verdict("fresh", 0)


def test_a_number_far_behind_is_a_repeat_and_one_far_ahead_forgets_the_window() -> None:
    state, _ = run(0, 10**9)
    state, verdict = observe(state, "b1", 5)
    assert verdict == Verdict("repeat", 0)
    assert observe(state, "b1", 10**9 - WINDOW + 1)[1] == Verdict("late", -1)
    assert observe(state, "b1", 10**9 - WINDOW)[1] == Verdict("repeat", 0)


def test_a_number_missed_beside_an_unreadable_message_is_taken_to_be_that_one() -> None:
    state, _ = run(0, 1)
    state, verdict = observe(unreadable(state), "b1", 4)
    assert verdict.missing == 1
    assert observe(state, "b1", 6)[1].missing == 1


def test_the_state_survives_encoding_and_stays_small_over_many_boots() -> None:
    state = SequenceState()
    for boot in range(50):
        for seq in range(0, 3000, 7):
            state, _ = observe(state, f"boot-{boot}", seq)
    assert len(state.trails) == MAX_TRAILS
    data = msgspec.msgpack.encode(state)
    assert len(data) < 800
    assert msgspec.msgpack.decode(data, type=SequenceState) == state


events = st.lists(
    st.tuples(
        st.sampled_from(["next", "skip", "back", "boot", "old boot", "unreadable", "refused"]), st.integers(0, 2000)
    ),
    max_size=120,
)


@given(events)
def test_the_ledger_balances_whatever_comes(happenings: list[tuple[str, int]]) -> None:
    state, tally, boot, seq = SequenceState(), Tally(), 0, 0
    for kind, number in happenings:
        if kind == "unreadable":
            state, tally = unreadable(state), count_unreadable(tally)
        else:
            boot += kind == "boot"
            at_boot = max(boot - number % 6, 0) if kind == "old boot" else boot
            seq = {"skip": seq + number, "back": max(seq - number, 0), "boot": number % 9}.get(kind, seq + 1)
            state, verdict = observe(state, f"b{at_boot}", seq)
            tally = count(tally, verdict, refused=kind == "refused")
        assert tally.published == tally.stored + tally.quarantined + tally.lost
        assert min(msgspec.structs.astuple(tally)) >= 0
    assert tally.published + tally.repeated >= len(happenings)
    assert tally.stored + tally.quarantined + tally.repeated == len(happenings)


@given(st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=60), min_size=1, max_size=MAX_TRAILS))
def test_every_number_is_counted_as_a_list_of_all_that_came_would_count_it(boots: list[list[int]]) -> None:
    """Within the window the bitmap knows as much as a set of every number."""
    state, tally = SequenceState(), Tally()
    came: set[tuple[int, int]] = set()
    first = boots[0][0]
    repeated = 0
    for boot, numbers in enumerate(boots):
        for seq in numbers:
            repeated += (boot, seq) in came
            came.add((boot, seq))
            state, verdict = observe(state, f"b{boot}", seq)
            tally = count(tally, verdict)
    below = sum(1 for boot, seq in came if boot == 0 and seq < first)
    published = sum(max(numbers) + 1 for numbers in boots) - first + below
    assert tally.published == published
    assert (tally.stored, tally.repeated, tally.lost) == (len(came), repeated, published - len(came))


def test_blocks_that_follow_are_contiguous_and_the_first_one_seats() -> None:
    cursor, begins = follow(StreamCursor(), 500, 125, 500.0)
    cursor, goes_on = follow(cursor, 625, 125, 500.0)
    assert (begins.kind, goes_on.kind, cursor.next_sample) == ("reseat", "contiguous", 750)


def test_whole_blocks_missing_under_200_ms_are_bridged() -> None:
    _, continuity = follow(StreamCursor(100), 175, 25, 500.0)
    assert continuity == ("bridged", 75, 3)


def test_a_gap_of_200_ms_or_not_of_whole_blocks_seats_anew() -> None:
    assert follow(StreamCursor(100), 200, 25, 500.0)[1] == ("reseat", 100, 0)
    assert follow(StreamCursor(100), 110, 25, 500.0)[1] == ("reseat", 10, 0)
    assert follow(StreamCursor(100), 225, 125, 500.0)[1] == ("reseat", 125, 0)


def test_sample_numbers_that_go_backwards_are_refused_and_the_cursor_stays() -> None:
    cursor, continuity = follow(StreamCursor(1000), 990, 125, 500.0)
    assert (continuity.kind, continuity.samples, cursor) == ("backwards", 10, StreamCursor(1000))
    packet = packet_of(wearable(), seq=2)
    bad = backwards(packet, packet.blocks[0], "mcg", cursor)
    assert (bad.reason, bad.boot, bad.seq) == ("sample-number-backwards", "b1", 2)
    assert "packet 2 begins at sample 250, 1000 or later was expected" in bad.detail


@given(st.lists(st.integers(-400, 400), max_size=40), st.integers(1, 130), st.floats(0.5, 1000.0))
def test_samples_that_came_and_those_missing_add_up_to_where_the_cursor_is(
    steps: list[int], block_len: int, rate_hz: float
) -> None:
    cursor, _ = follow(StreamCursor(), 0, block_len, rate_hz)
    total = block_len
    for step in steps:
        cursor, continuity = follow(cursor, max(cursor.next_sample + step, 0), block_len, rate_hz)
        if continuity.kind != "backwards":
            total += continuity.samples + block_len
        if continuity.kind == "bridged":
            assert continuity.samples == continuity.blocks * block_len
            assert continuity.samples / rate_hz < 0.2
    assert cursor.next_sample == total
