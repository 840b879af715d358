"""Slow vitals of patients: looked at in turn, held for a while, with a reason where they are not; kept in snapshots."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sim_flow import flowed

from anomaly.deterioration import QUIET
from anomaly.reference import ReferenceCanceller
from dataflows.courses import Course
from dataflows.estimates import N_BEATS, QT_METER, Second, nothing_measured
from dataflows.slow_vitals import HRV_REASONS, QT_REASONS, TRANSIT_REASONS, VITALS, Slow, SlowVitals
from device_sim.truth import VitalLine

Array = NDArray[np.float64]
NS = 1_000_000_000
T0 = 1_700_000_100  # a whole five minutes
COLUMN = {name: k for k, name in enumerate(VITALS)}


def course(middle: float = 5.0) -> Course:
    zero, one = np.zeros(1, np.int64), np.ones(1)
    return Course(zero + QUIET, zero, np.zeros(1, np.bool_), zero, one, one * (middle - 4.0), one * (middle + 4.0))


def beaten(second: int, *, present: bool = True, fibrillates: bool = False, light: bool = True) -> Second:
    """A heart at 75 /min whose intervals swing with breath, and its pulse 210 ms later."""
    known = nothing_measured(1)
    t = np.arange(T0 - 60, T0 + second + 1, 0.8)[-N_BEATS:]
    t = t + 0.03 * np.sin(2.0 * np.pi * 0.25 * t)
    beats = np.rint(t * 1e9).astype(np.int64)[None]
    heart = known.cardiac._replace(
        present=np.array([present]),
        hr=np.array([75.0]),
        quality=np.ones(1),
        fibrillation=np.array([int(fibrillates)]),
        beats_ns=beats,
        sinus=np.ones((1, N_BEATS), np.bool_),
        jitter_ms=np.ones(1),
    )
    optical = known.optical._replace(present=np.array([light]), feet_ns=beats + 210_000_000, quality=np.ones(1))
    return known._replace(cardiac=heart, optical=optical)


def lived(vitals: SlowVitals, seconds: range, middle: float = 5.0, **how: bool) -> Slow:
    for second in seconds:
        slow = vitals.step(["s/p"], beaten(second, **how), course(middle), np.array([(T0 + second + 1) * NS]))
    return slow


def of(slow: Slow, name: str) -> tuple[float, float]:
    return float(slow.value[0, COLUMN[name]]), float(slow.u[0, COLUMN[name]])


def test_transit_comes_soon_and_variability_after_five_minutes() -> None:
    vitals = SlowVitals()
    slow = lived(vitals, range(30))
    assert of(slow, "transit")[0] == pytest.approx(210.0, abs=0.1)
    assert HRV_REASONS[slow.why[0, 0]] == "settling"
    slow = lived(vitals, range(30, 330))
    assert HRV_REASONS[slow.why[0, 0]] == ""
    hf, u = of(slow, "hf")
    swing = 30.0 * 2.0 * np.sin(np.pi * 0.25 * 0.8)
    assert hf == pytest.approx(0.5 * swing**2, rel=0.1)
    assert u > 0.0
    assert of(slow, "lf")[0] < 0.05 * hf
    assert of(slow, "pnn50")[0] < 60.0


def test_what_cannot_be_measured_has_a_reason_and_is_not_held_for_long() -> None:
    vitals = SlowVitals()
    lived(vitals, range(330))
    slow = lived(vitals, range(330, 365), fibrillates=True)
    assert HRV_REASONS[slow.why[0, 0]] == "fibrillation"
    assert QT_REASONS[slow.why[0, 1]] == "fibrillation"
    assert np.isnan(of(slow, "lf")[0])
    slow = lived(vitals, range(365, 372), light=False)
    assert TRANSIT_REASONS[slow.why[0, 2]] == "no-light"
    slow = lived(vitals, range(372, 379), present=False)
    assert [QT_REASONS[slow.why[0, 1]], TRANSIT_REASONS[slow.why[0, 2]]] == ["no-signal", "no-signal"]
    slow = vitals.step(["s/p"], beaten(900), course(), np.array([(T0 + 903) * NS]))  # a quarter of an hour later
    assert np.isnan(slow.value[0, :6]).all()


def test_a_trend_is_told_after_an_hour_and_is_that_of_the_scores() -> None:
    vitals = SlowVitals()
    for minute in range(100):
        slow = lived(vitals, range(60 * minute, 60 * minute + 2), 4.0 + minute / 60.0)
        assert np.isfinite(slow.value[0, COLUMN["news2_trend"]]) == (minute >= 60)
    value, u = of(slow, "news2_trend")
    assert value == pytest.approx(1.0, abs=0.05)
    assert 0.0 < u < 0.5


def test_a_snapshot_goes_on_as_if_nothing_had_been_and_a_patient_alone_is_as_in_a_bank() -> None:
    vitals = SlowVitals()
    lived(vitals, range(100))
    again = SlowVitals()
    assert again.restore(vitals.image()) == []
    a, b = lived(vitals, range(100, 340)), lived(again, range(100, 340))
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)
    again.forget("s/p")
    assert HRV_REASONS[lived(again, range(340, 371)).why[0, 0]] == "settling"


def test_qt_and_transit_of_a_simulated_heart_are_those_of_its_truth() -> None:
    found = flowed("sinus", 2, 36.0)
    true = {(line.patient, line.second): line.qt_ms for line in found.lines if isinstance(line, VitalLine)}
    late = [row for row in found.vitals if row.second - found.vitals[0].second >= 30]
    assert late
    for row in late:
        assert row.qt_reason == row.transit_reason == ""
        qt_ms = true[row.patient, row.second]
        assert qt_ms is not None
        assert abs(row.qt.value - qt_ms) < 12.0
        assert row.qtc.value == pytest.approx(row.qt.value * np.cbrt(row.hr.value / 60.0), rel=0.02)
        # 200 ms to the foot, and 24 to where the tangent to the upstroke begins, at a rate of 60.
        assert abs(row.transit.value - 200.0 - 24.0 * np.sqrt(60.0 / row.hr.value)) < 6.0
        assert row.hrv_reason == "settling"


def test_the_bend_that_qt_takes_back_is_that_of_the_lane() -> None:
    assert ReferenceCanceller(1, 0, 250.0).high_hz == QT_METER.high_hz
