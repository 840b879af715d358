"""When a patient's second is complete, and when it is not."""

from dataflows.events import SECOND_NS
from dataflows.items import Bind, BlockData, Data
from dataflows.roster import Roster
from ingest.profile import Birth, StreamProfile

MS = SECOND_NS // 1000
STREAM = StreamProfile(
    name="mcg", kind="mcg", sensor="opm-serf", rate_hz=500.0, n_channels=1, unit="pT", dtype="i2", block_len=125
)
BLOCK = BlockData(0, fresh=False, bridged=0, flags=1, noise_floor=0.0, samples=b"")


def ward(*devices: str) -> Roster:
    roster = Roster()
    for device in devices:
        birth = Birth(version=1, device=device, birth=0, streams=(STREAM,))
        roster.bind(Bind(f"s/{device}", "s/p", birth, 0, 0))
    return roster


def speak(roster: Roster, device: str, t0_ms: int, *, awake_ms: int | None = None) -> list[int]:
    """One packet of 250 ms; return the seconds that it closed."""
    awake_ns = (t0_ms + 260 if awake_ms is None else awake_ms) * MS
    data = Data(f"s/{device}", awake_ns, awake_ns, t0_ms * MS, 0, (BLOCK,))
    roster.devices[f"s/{device}"].spoke(data, (t0_ms + 250) * MS)
    return closed(roster, awake_ns)


def closed(roster: Roster, awake_ns: int, *, tick: bool = False) -> list[int]:
    seconds = []
    while (second := roster.complete(roster.patients["s/p"], awake_ns, tick=tick)) is not None:
        seconds.append(second)
    return seconds


def test_the_first_second_is_the_first_whole_one() -> None:
    roster = ward("a")
    seconds = [second for t0 in range(10_400, 13_400, 250) for second in speak(roster, "a", t0)]
    assert seconds == [11, 12]


def test_a_second_closes_once_all_live_devices_have_passed_it() -> None:
    roster = ward("a", "b")
    speak(roster, "b", 10_000)
    for t0 in range(10_000, 11_000, 250):
        assert speak(roster, "a", t0) == []
    for t0 in range(10_250, 10_750, 250):
        assert speak(roster, "b", t0) == []
    assert speak(roster, "b", 10_750) == [10]


def test_a_tick_half_a_second_later_closes_without_the_slow_device() -> None:
    roster = ward("a", "b")
    speak(roster, "b", 10_000)
    for t0 in range(10_000, 11_000, 250):
        speak(roster, "a", t0)
    assert closed(roster, 11_400 * MS, tick=True) == []
    assert closed(roster, 11_510 * MS, tick=True) == [10]


def test_a_device_that_is_lost_is_not_waited_for() -> None:
    roster = ward("a", "b")
    speak(roster, "b", 10_000)
    seconds = [second for t0 in range(10_000, 25_000, 250) for second in speak(roster, "a", t0)]
    assert seconds[-1] == 24
    assert seconds == sorted(set(seconds))


def test_a_second_of_which_no_device_has_data_does_not_close() -> None:
    roster = ward("a")
    seconds = [second for t0 in range(10_000, 12_000, 250) for second in speak(roster, "a", t0)]
    seconds += [second for t0 in range(3_600_500, 3_603_000, 250) for second in speak(roster, "a", t0)]
    assert seconds == [10, 11, 3600, 3601, 3602]


def test_a_queue_after_an_outage_is_worked_through_in_order() -> None:
    roster = ward("a")
    for t0 in range(10_000, 12_000, 250):
        speak(roster, "a", t0)
    seconds = [second for t0 in range(12_000, 60_000, 250) for second in speak(roster, "a", t0, awake_ms=60_000)]
    assert seconds == list(range(12, 60))


def test_a_device_that_runs_far_ahead_does_not_wait_for_ticks() -> None:
    roster = ward("a", "b")
    speak(roster, "b", 10_000, awake_ms=59_900)
    seconds = [second for t0 in range(10_000, 40_000, 250) for second in speak(roster, "a", t0, awake_ms=60_000)]
    assert seconds == list(range(10, 31))


def test_coverage_counts_what_lies_on_both_sides_of_a_hole() -> None:
    roster = ward("a")
    speak(roster, "a", 10_000)
    speak(roster, "a", 10_600)
    assert roster.devices["s/a"].covered_ns(10) == 500 * MS
