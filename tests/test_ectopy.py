"""Classes of beats in a ring: each comes to its beat, ventricular ones are counted, ectopic ones are not normal."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from rings import SECOND, as_of, every
from sim_flow import flowed

from anomaly import ectopy, intervals
from anomaly.beat_classes import BeatClass
from anomaly.intervals import BeatRing
from device_sim.truth import BeatLine

N, V = int(BeatClass.NORMAL), int(BeatClass.VENTRICULAR)
LATE_S = (ectopy.LATE_NS + SECOND // 4) / SECOND  # a second's row ends a quarter earlier


def told(times: list[float], kinds: list[int], p: float = 0.9) -> BeatRing:
    """A ring of one row whose beats have classes."""
    at = np.rint(np.array(times) * SECOND).astype(np.int64)[None]
    marks = np.concatenate([np.ones((*at.shape, 2), np.float16), ectopy.unmarked(*at.shape)], axis=-1)
    ring = intervals.push(intervals.empty(1, 128, 2 + ectopy.N_CLASS_MARKS), at, np.ones(at.shape), marks)
    return ectopy.mark(ring, at, np.array(kinds)[None], np.where(np.array(kinds) == V, p, 1.0 - p)[None])


def test_a_class_comes_to_its_own_beat_and_leaves_the_others_and_their_marks_alone() -> None:
    ring = told(every(0.8, 5), [0] * 5)
    at = ring.times_ns[:, [125, 126]] + np.array([[1000, SECOND // 5]])
    marked = ectopy.mark(ring, at, np.array([[V, V]]), np.array([[0.75, 0.75]]))
    assert marked.marks[0, -5:, -2].tolist() == [0, 0, V, 0, 0]
    assert marked.marks[0, 125, -1] == 0.75
    assert np.all(marked.marks[0, -5:, :2] == 1.0)
    assert ectopy.ectopic(marked)[0].sum() == 1
    assert np.all(ring.marks[..., -2] == 0.0)


def test_ventricular_beats_of_a_minute_are_counted_when_the_minute_is_whole() -> None:
    times = every(0.8, 100)
    kinds = [V if k % 5 == 4 else N for k in range(100)]
    ring, now = told(times, kinds), as_of(times[-1] + 0.1)
    found = ectopy.ventricular(ring, now, as_of(100.0))
    end = times[-1] + 0.1 - ectopy.LATE_NS / SECOND
    inside = [kind for time, kind in zip(times, kinds, strict=True) if end - 60.0 < time <= end]
    assert found.per_minute[0] == inside.count(V)
    assert found.u[0] == pytest.approx(np.sqrt(len(inside) * 0.9 * 0.1), rel=0.01)
    assert np.isnan(ectopy.ventricular(ring, now, as_of(end - 59.0)).per_minute[0])
    unknown = told(times, [0 if k % 3 == 0 else N for k in range(100)])
    assert np.isnan(ectopy.ventricular(unknown, now, as_of(100.0)).per_minute[0])


def test_intervals_beside_ectopic_beats_are_not_normal_whatever_their_length() -> None:
    rng = np.random.default_rng(3)
    rr = 0.8 + 0.02 * rng.standard_normal(70)
    kinds = np.full(71, N)
    kinds[10::10] = V
    rr[9::10] -= 0.15  # less of a jump than the rule of length sees
    times = 100.0 + np.cumsum([0.0, *rr])
    ring, now = told(times.tolist(), kinds.tolist()), as_of(times[-1] + 0.1)
    plain = intervals.summary(ring, now, 0.0, as_of(1.0))
    clean = intervals.summary(ring, now, 0.0, as_of(1.0), ectopy.ectopic(ring))
    assert clean.sdnn_ms[0] < 25.0 < plain.sdnn_ms[0]
    assert clean.hr_bpm[0] == plain.hr_bpm[0]


def test_in_bigeminy_the_heart_rate_is_the_hearts_and_not_that_of_its_pulse() -> None:
    found = flowed("bigeminy", 1, 36.0)
    late = [row for row in found.vitals if row.second - found.vitals[0].second >= 24]
    assert late
    assert {row.source for row in late} == {"mcg"}
    assert all(abs(row.hr.value - 72.0) < 4.0 for row in late)


@pytest.mark.long
@pytest.mark.parametrize("name", ["bigeminy", "ectopy", "sinus", "atrial-fibrillation"])
def test_ventricular_beats_of_a_simulated_magnetocardiogram_are_counted(name: str) -> None:
    found = flowed(name, 1, 75.0)
    true = _ventricular_of(found.lines)
    rows = [row for row in found.vitals if np.isfinite(row.pvc.value)]
    assert len(rows) >= 5
    for row in rows:
        end = (row.second + 1 - LATE_S) * 1e9
        assert abs(row.pvc.value - np.count_nonzero((true > end - 60e9) & (true <= end))) <= 2


def _ventricular_of(lines: Sequence[object]) -> NDArray[np.float64]:
    return np.array([line.time_ns for line in lines if isinstance(line, BeatLine) and line.kind == "V"], np.float64)
