"""The journal's clock: it never goes back nor stands still, and a host's clock that is set misleads nobody."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.arrival import HOLD_NS, SET_NS, SLEW, ArrivalState, Reading, S, Standing, read_clock

NOON = 1_800_000_000 * S
DAY = 86_400 * S
TICK = S // 4


class Host:
    """A host whose clock can be set, and a journal's clock that reads it."""

    def __init__(self, last_ns: int = 0) -> None:
        self.wall_ns, self.monotonic_ns = NOON, 7 * S
        self.state = ArrivalState(last_ns)
        self.reading = self.read()

    def read(self) -> Reading:
        self.state, self.reading = read_clock(self.state, self.wall_ns, self.monotonic_ns)
        return self.reading

    def goes_on(self, for_ns: int, step_ns: int = TICK) -> list[Reading]:
        readings = []
        for _ in range(for_ns // step_ns):
            self.wall_ns += step_ns
            self.monotonic_ns += step_ns
            readings.append(self.read())
        return readings

    def is_set(self, by_ns: int) -> None:
        self.wall_ns += by_ns


def test_it_shows_the_hosts_time_while_nobody_sets_it() -> None:
    host = Host()
    for reading in host.goes_on(60 * S):
        assert (reading.apart_ns, reading.standing, reading.set_ns) == (0, Standing.EVEN, 0)


def test_time_that_really_went_by_is_shown_at_once() -> None:
    host = Host()
    (reading,) = host.goes_on(DAY, DAY)  # stopped, or asleep
    assert reading.arrival_ns == NOON + DAY
    assert reading.set_ns == 0


@given(
    st.lists(
        st.tuples(st.integers(-2 * DAY, 2 * DAY) | st.just(0), st.integers(0, 400 * S) | st.integers(0, S)),
        max_size=40,
    )
)
def test_it_never_goes_back_and_never_stands_still_however_the_host_is_set(moves: list[tuple[int, int]]) -> None:
    host = Host()
    readings, elapsed = [host.reading], []
    for set_ns, step_ns in moves:
        host.is_set(set_ns)
        readings += host.goes_on(step_ns, step_ns) if step_ns else [host.read()]
        elapsed.append(step_ns)
    for (before, after), step_ns in zip(pairwise(readings), elapsed, strict=True):
        moved_ns = after.arrival_ns - before.arrival_ns
        assert moved_ns >= max(1, step_ns - step_ns // SLEW)
        if not after.set_ns:
            assert moved_ns <= max(1, step_ns + step_ns // SLEW)


def test_a_clock_set_back_is_met_at_500_ppm_and_time_goes_on_meanwhile() -> None:
    host = Host()
    host.is_set(-10 * S)
    readings = host.goes_on(60 * S)
    assert {reading.standing for reading in readings} == {Standing.BEHIND}
    assert readings[-1].arrival_ns == NOON + 60 * S - 60 * S // SLEW
    last = host.goes_on(20_000 * S, 10 * S)[-1]
    assert (last.apart_ns, last.standing) == (0, Standing.EVEN)


def test_a_small_step_is_drawn_in_without_a_word() -> None:
    host = Host()
    for step_ns in (S, -S):
        host.is_set(step_ns)
        readings = host.goes_on(3000 * S, 10 * S)
        assert {reading.standing for reading in readings} == {Standing.EVEN}
        assert readings[0].apart_ns == step_ns - step_ns // abs(step_ns) * 10 * S // SLEW
        assert readings[-1].apart_ns == 0


def test_a_slip_that_is_put_right_within_five_minutes_leaves_no_trace() -> None:
    host = Host()
    host.is_set(DAY)
    ahead = host.goes_on(HOLD_NS - S)
    assert {reading.standing for reading in ahead} == {Standing.AHEAD}
    host.is_set(-DAY)
    after = host.goes_on(60 * S)
    # While ahead the slew draws it on by half a millisecond each second: that is all.
    assert all(abs(reading.apart_ns) <= HOLD_NS // SLEW for reading in after)
    assert {reading.standing for reading in after} == {Standing.EVEN}


def test_a_leap_that_stands_is_followed_and_said_to_be_no_time_gone_by() -> None:
    host = Host()
    host.is_set(DAY)
    readings = host.goes_on(HOLD_NS + S)
    told = [reading for reading in readings if reading.set_ns]
    assert len(told) == 1
    assert told[0].apart_ns == 0
    assert abs(told[0].set_ns - DAY) <= HOLD_NS // SLEW
    assert readings[-1].arrival_ns == host.wall_ns
    assert readings[-1].standing is Standing.EVEN


def test_a_day_ahead_and_back_again_after_it_was_followed_does_not_stop_the_journals_time() -> None:
    host = Host()
    host.is_set(DAY)
    host.goes_on(HOLD_NS + S)
    host.is_set(-DAY)
    before = host.reading.arrival_ns
    readings = host.goes_on(600 * S)
    assert readings[-1].arrival_ns - before == 600 * S - 600 * S // SLEW
    assert {reading.standing for reading in readings} == {Standing.BEHIND}


def test_a_clock_set_again_while_it_is_ahead_is_waited_for_again() -> None:
    host = Host()
    host.is_set(DAY)
    host.goes_on(HOLD_NS - S)
    host.is_set(DAY)
    assert {reading.standing for reading in host.goes_on(HOLD_NS - S)} == {Standing.AHEAD}
    assert any(reading.set_ns for reading in host.goes_on(2 * S))


def test_a_process_that_starts_takes_the_hosts_time_unless_the_journal_is_further() -> None:
    assert Host(last_ns=NOON - DAY).reading == Reading(NOON, 0, Standing.EVEN, 0)
    assert Host(last_ns=NOON + S).reading == Reading(NOON + S + 1, -S - 1, Standing.EVEN, 0)
    behind = Host(last_ns=NOON + DAY)
    assert behind.reading.standing is Standing.BEHIND
    assert behind.goes_on(S)[-1].arrival_ns > NOON + DAY + S - S // 1000


def test_the_bound_between_a_drift_and_a_step_is_two_seconds() -> None:
    host = Host()
    host.is_set(SET_NS)
    assert host.read().standing is Standing.EVEN
    host.is_set(2)
    assert host.read().standing is Standing.AHEAD
