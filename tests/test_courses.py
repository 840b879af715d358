"""Courses of patients in the flow: seconds become minutes, minutes a baseline, and what stands outlives a restart."""

import numpy as np
from numpy.typing import NDArray

from anomaly.deterioration import QUIET
from dataflows.courses import Course, Courses

Array = NDArray[np.float64]
USUAL = np.array([72.0, 16.0, 97.0, 35.0])
BEGIN_S = 1_800_000_000 // 60 * 60


def lived(courses: Courses, seconds: range, seen: Array, patients: tuple[str, ...] = ("s/p1",)) -> Course:
    """Seconds in which each patient has the same vitals."""
    for second in seconds:
        at = np.full(len(patients), BEGIN_S + second, np.int64)
        known = courses.step(patients, at, np.tile(seen, (len(patients), 1)))
    return known


def test_a_minute_is_judged_when_it_is_over_and_only_if_enough_of_it_was_measured() -> None:
    courses = Courses()
    assert np.isnan(lived(courses, range(60), USUAL).deviation[0])
    known = lived(courses, range(60, 61), USUAL)
    assert np.isfinite(known.deviation[0])
    assert (known.news2_min[0], known.news2_max[0]) == (0.0, 11.0)
    lived(courses, range(61, 70), USUAL)  # 10 s of the second minute ...
    lived(courses, range(70, 120), np.full(4, np.nan))
    known = lived(courses, range(120, 121), USUAL)  # ... are not enough
    assert np.isnan(known.deviation[0])
    assert np.isnan(known.news2_min[0])


def test_who_gets_worse_is_found_after_the_time_that_it_takes_to_know_him() -> None:
    courses = Courses()
    ill = USUAL * np.array([1.5, 1.6, 0.95, 1.03])
    assert lived(courses, range(29 * 60), ill).pattern[0] == QUIET  # nobody knows what is usual for him
    courses = Courses()
    assert lived(courses, range(60 * 60), USUAL).pattern[0] == QUIET
    known = lived(courses, range(60 * 60, 90 * 60), ill)
    assert known.pattern[0] != QUIET
    assert 60 * 60 < known.since_ns[0] / 1e9 - BEGIN_S < 75 * 60
    assert known.urgent[0]
    assert known.urgent_ns[0] >= known.since_ns[0]


def test_a_patient_who_was_put_away_or_kept_in_a_snapshot_goes_on_as_if_nothing_had_been() -> None:
    steady, moved = Courses(), Courses()
    for courses in (steady, moved):
        lived(courses, range(50 * 60), USUAL, ("s/p1", "s/p2"))
    moved.wake("s/p1", moved.park("s/p1"))
    again = Courses()
    assert again.restore(moved.image()) == []
    for courses in (steady, again):
        known = lived(courses, range(50 * 60, 55 * 60), USUAL + np.array([9.0, 3.0, -1.0, 0.2]), ("s/p1", "s/p2"))
        assert known.deviation[0] == known.deviation[1]
    assert np.array_equal(
        lived(steady, range(3300, 3301), USUAL).deviation, lived(again, range(3300, 3301), USUAL).deviation
    )


def test_what_another_version_left_is_not_guessed_at() -> None:
    courses = Courses()
    lived(courses, range(5 * 60), USUAL)
    image = courses.image()
    broken = type(image)(image.keys, b"\x90")
    said = Courses().restore(broken)
    assert len(said) == 1
    assert "learned anew" in said[0]
    fresh = Courses()
    fresh.wake("s/p1", b"\x90")
    assert np.isnan(lived(fresh, range(300, 301), USUAL).deviation[0])
    assert Courses().restore(type(image)((), b"")) == []  # of a snapshot from before there were courses


def test_a_hole_foretells_nothing() -> None:
    courses = Courses()
    lived(courses, range(40 * 60), USUAL)
    known = lived(courses, range(70 * 60, 72 * 60), USUAL)
    assert np.isfinite(known.deviation[0])
    assert known.pattern[0] == QUIET
