"""Pauses and bigeminy: told when the beats prove them, once, and not of anything else."""

import itertools

import laws
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rings import SECOND, as_of, every, ring_of

from anomaly import intervals
from anomaly.averaged import N_MARKS
from anomaly.intervals import BeatRing
from anomaly.patterns import BIGEMINY_PAIRS, bigeminy, pause, run

Array = NDArray[np.float64]


def marked(times: Array, odd: NDArray[np.bool_]) -> BeatRing:
    """A ring of beats of which some are of another kind."""
    marks = np.zeros((1, len(times), N_MARKS), np.float16)
    marks[..., 0] = ~odd
    at = np.rint(times * SECOND).astype(np.int64)[None]
    return intervals.push(intervals.empty(1, 128, N_MARKS), at, np.ones(at.shape), marks)


def in_pairs(n_pairs: int, *, early_s: float = 0.5, late_s: float = 1.1) -> tuple[Array, NDArray[np.bool_]]:
    """Ten ordinary beats, then pairs of an ordinary and an odd one."""
    rr = [0.8] * 9 + [late_s if k % 2 == 0 else early_s for k in range(2 * n_pairs)]
    times = 100.0 + np.cumsum([0.0, *rr])
    odd = np.zeros(len(times), np.bool_)
    odd[11::2] = True
    return times, odd


@pytest.mark.parametrize(("rest_s", "told"), [(2.9, False), (3.1, True), (3.9, True), (4.1, False)])
def test_a_pause_is_three_seconds_that_a_beat_ends_and_four_are_an_asystole(rest_s: float, told: bool) -> None:  # noqa: FBT001 - a parameter of the table
    times = every(0.8, 10)
    ring = ring_of([*times, times[-1] + rest_s])
    found = pause(ring, as_of(times[-1] + rest_s + 0.1), as_of(1.0))
    assert found.known[0]
    assert found.true[0] == told
    if told:
        assert found.value[0] == pytest.approx(rest_s)
        assert found.onset_ns[0] == as_of(times[-1] + 3.0)[0]
    before = pause(ring, as_of(times[-1] + rest_s - 0.1), as_of(1.0))
    assert not before.true[0]


def test_a_pause_is_told_for_ten_seconds_and_keeps_its_onset_when_another_follows() -> None:
    times = every(1.0, 6)
    times += [times[-1] + 3.3, times[-1] + 4.3, times[-1] + 7.8]
    times += [times[-1] + k for k in range(1, 14)]
    ring, second = ring_of(times), times[8]
    found = pause(ring, as_of(second + 0.1), as_of(1.0))
    assert found.onset_ns[0] == as_of(times[5] + 3.0)[0]
    assert found.value[0] == pytest.approx(3.5)
    assert pause(ring, as_of(second + 9.9), as_of(1.0)).true[0]
    assert not pause(ring, as_of(second + 10.1), as_of(1.0)).true[0]


def test_a_gap_in_the_evidence_is_no_pause() -> None:
    times = [*every(0.8, 10), *every(0.8, 5, start_s=110.5)]
    assert not pause(ring_of(times), as_of(112.0), as_of(110.0)).true[0]


@pytest.mark.parametrize("more", [0.1, 0.9])  # after the odd beat, and after the ordinary one that follows it
def test_five_pairs_are_bigeminy_and_four_are_not(more: float) -> None:
    for n_pairs in (BIGEMINY_PAIRS - 1, BIGEMINY_PAIRS, BIGEMINY_PAIRS + 3):
        times, odd = in_pairs(n_pairs)
        if more > 0.5:
            times, odd = np.append(times, times[-1] + 1.1), np.append(odd, False)
        found = bigeminy(marked(times, odd), as_of(times[-1] + 0.1), as_of(1.0))
        assert found.known[0]
        assert found.true[0] == (n_pairs >= BIGEMINY_PAIRS)
        assert found.value[0] == n_pairs
        if found.true[0]:
            assert found.onset_ns[0] == as_of(times[10])[0]


def test_every_third_beat_is_no_bigeminy_nor_are_late_ones() -> None:
    odd = np.arange(40) % 3 == 2
    rr = np.where(odd[1:], 0.5, np.where(odd[:-1], 1.1, 0.8))
    times = 100.0 + np.cumsum([0.0, *rr])
    assert not bigeminy(marked(times, odd), as_of(times[-1] + 0.1), as_of(1.0)).true[0]
    times, odd = in_pairs(10, early_s=0.9, late_s=0.9)
    assert not bigeminy(marked(times, odd), as_of(times[-1] + 0.1), as_of(1.0)).true[0]


def test_one_missing_pair_ends_bigeminy() -> None:
    times, odd = in_pairs(8)
    times = np.append(times, times[-1] + 1.1 + 0.8 * np.arange(2))
    assert not bigeminy(marked(times, np.append(odd, [False, False])), as_of(times[-1] + 0.1), as_of(1.0)).true[0]


def naive_pause(times: list[float], now: float) -> bool:
    beats = [t for t in times if t <= now]
    known = len(beats) > 1 and now - beats[-1] <= 4.0
    return known and any(3.0 <= b - a < 4.0 and b > now - 10.0 for a, b in itertools.pairwise(beats))


@given(st.lists(st.floats(0.3, 4.5), min_size=1, max_size=30), st.floats(0.0, 6.0))
def test_pauses_are_what_a_walk_over_the_beats_finds(rr_s: list[float], more_s: float) -> None:
    times = (np.rint((100.0 + np.cumsum([0.0, *rr_s])) * 1e3) / 1e3).tolist()
    now = round(times[-1] + more_s, 3) + 5e-4
    assert pause(ring_of(times), as_of(now), as_of(1.0)).true[0] == naive_pause(times, now)


def beats_of(kinds: str, rr_s: float = 0.4) -> tuple[BeatRing, NDArray[np.bool_], float]:
    """A ring of beats by their kinds, V the ventricular ones, which of its places are, and the time of the last."""
    gaps = [rr_s if a == b == "V" else 0.9 for a, b in itertools.pairwise(kinds)]
    times = 100.0 + np.cumsum([0.0, *gaps])
    ring = ring_of(times.tolist(), n_kept=64)
    ventricular = np.zeros((1, 64), np.bool_)
    ventricular[0, 64 - len(kinds) :] = [kind == "V" for kind in kinds]
    return ring, ventricular, float(times[-1])


@pytest.mark.parametrize(
    ("kinds", "rr_s", "longest"),
    [
        ("NNNVVNN", 0.4, 0),
        ("NNNVVVNN", 0.4, 3),
        ("NNNVVVNN", 0.65, 0),
        ("NVVVVVN", 0.4, 5),
        ("NVVVNVVVV", 0.4, 4),
        ("NVNVNVNV", 0.4, 0),
        ("VVV", 0.59, 3),
    ],
)
def test_three_fast_ventricular_beats_in_a_row_are_a_run(kinds: str, rr_s: float, longest: int) -> None:
    ring, ventricular, last = beats_of(kinds, rr_s)
    found = run(ring, ventricular, as_of(last + 0.1), as_of(1.0))
    assert found.known[0]
    assert found.true[0] == (longest > 0)
    if longest:
        assert found.value[0] == longest
        assert found.onset_ns[0] == ring.times_ns[0, 64 - len(kinds) + kinds.index("VVV")]


def test_a_run_is_told_for_ten_seconds_and_none_across_a_gap() -> None:
    ring, ventricular, last = beats_of("NNVVV" + 15 * "N")
    ended = last - 15 * 0.9
    assert run(ring, ventricular, as_of(ended + 9.9), as_of(1.0)).true[0]
    assert not run(ring, ventricular, as_of(ended + 10.1), as_of(1.0)).true[0]
    assert not run(ring, ventricular, as_of(ended + 1.0), as_of(ended - 0.1)).true[0]


def test_a_row_alone_equals_the_row_in_a_bank() -> None:
    rng = np.random.default_rng(0)
    n = 17
    at = np.rint(np.cumsum(rng.choice([0.5, 1.1, 3.4], (n, 128)), axis=-1) * SECOND).astype(np.int64)
    marks = np.zeros((n, 128, N_MARKS), np.float16)
    marks[..., 0] = rng.random((n, 128)) < 0.5
    marks[:5, :, 0] = np.arange(128) % 2
    ring = BeatRing(at, np.ones((n, 128), np.float32), marks)
    now, since = at[:, 120] + 1, np.full(n, SECOND)
    for judge in (pause, bigeminy):
        whole = judge(ring, now, since)
        for row in range(n):
            part = slice(row, row + 1)
            laws.same(judge(laws.rows(ring, part), now[part], since[part]), laws.rows(whole, part))
    ventricular = rng.random((n, 128)) < 0.6
    whole = run(ring, ventricular, now, since)
    for row in range(n):
        part = slice(row, row + 1)
        laws.same(run(laws.rows(ring, part), ventricular[part], now[part], since[part]), laws.rows(whole, part))
