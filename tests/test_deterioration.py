"""Change of a patient: CUSUM and its threshold, personal baseline, patterns, and the task that judges them."""

import pickle
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from anomaly.baseline import DAY_S, HR, VITALS, Baseline
from anomaly.cusum import Cusum, CusumState, threshold
from anomaly.deterioration import PATTERNS, QUIET, Deterioration, DeteriorationOut
from deploy.evaluate import deterioration
from deploy.evaluate.records import EvaluateError
from deploy.evaluate.request import Request
from deploy.evaluate.ward_days import CRITICAL_CARE, WARD, alarms_of, ward_days

Array = NDArray[np.float64]
KERNEL = Deterioration()


def vitals(n: int, n_times: int, seed: int = 0) -> Array:
    """Patients at rest by the minute, as their priors have them; some values missing."""
    rng = np.random.default_rng(seed)
    columns = Baseline().columns
    repeats = np.exp(-60.0 / columns.memory_s)
    z = rng.standard_normal((n, 4))
    own = columns.mean + columns.differs * rng.standard_normal((n, 4))
    seen = np.empty((n, n_times, 4))
    for k in range(n_times):
        z = repeats * z + np.sqrt(1.0 - repeats**2) * rng.standard_normal((n, 4))
        value = own + columns.spread * z
        seen[:, k] = np.where(columns.is_ratio, np.exp(np.where(columns.is_ratio, value, 0.0)), value)
    seen[rng.random(seen.shape) < 0.05] = np.nan
    return seen


def follow(seen: Array, kernel: Deterioration = KERNEL) -> list[DeteriorationOut]:
    """Every minute of some patients, from midnight on."""
    state, outs = kernel.init(len(seen)), []
    for k in range(seen.shape[1]):
        state, out = kernel.step(state, seen[:, k], np.full(len(seen), 60.0 * k % DAY_S))
        outs.append(out)
    return outs


def test_thresholds_bring_the_false_alarms_that_are_asked_for() -> None:
    rng, kernel = np.random.default_rng(1), Cusum(2)
    shift = np.tile([1.0, 2.0], (4000, 1))
    limit = threshold(shift, 300.0)
    state, count = kernel.init(4000), np.zeros(2)
    for _ in range(1500):
        state, (_, passed) = kernel.step(state, rng.standard_normal((4000, 2)), shift, limit)
        count += passed.sum(axis=0)
    np.testing.assert_allclose(4000 * 1500 / count, 300.0, rtol=0.06)


def test_a_sum_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(400) + 0.3
    x[rng.random(400) < 0.1] = np.nan
    kernel, state, slow = Cusum(), CusumState(np.zeros((1, 1))), 0.0
    for value in x:
        state, (total, passed) = kernel.step(state, np.array([[value]]), np.ones((1, 1)), np.full((1, 1), 5.0))
        slow = max(slow + (0.0 if np.isnan(value) else value - 0.5), 0.0)
        assert total[0, 0] == pytest.approx(slow)
        assert passed[0, 0] == (slow > 5.0)
        slow = 0.0 if slow > 5.0 else slow


def test_a_baseline_learns_who_the_patient_is_and_how_the_day_goes() -> None:
    rng, kernel = np.random.default_rng(6), Baseline()
    own = np.array([55.0, 95.0])
    state = kernel.init(2)
    for k in range(4 * 1440):
        day_s = 60.0 * k % DAY_S
        slow = 1.0 - 0.08 * np.cos(2.0 * np.pi * (day_s - 4 * 3600.0) / DAY_S)
        hr = own * slow * np.exp(0.03 * rng.standard_normal(2))
        seen = np.stack([hr, [16.0, 14.0], [97.0, 95.0], [35.0, 34.0]], axis=-1)
        state, out = kernel.step(state, seen, np.full(2, day_s), np.ones(2, np.bool_))
        if k == 0:
            assert out.usual[:, 0] == pytest.approx(np.exp(HR.mean))
            assert abs(out.z[:, 0]).max() < 2.5  # nobody is unusual before anything is known of him
    assert out.usual[:, 0] == pytest.approx(own * slow, rel=0.03)
    assert np.all((out.low[:, 0] < own * slow) & (own * slow < out.high[:, 0]))


def test_a_frozen_baseline_stays_and_an_artefact_moves_it_little() -> None:
    kernel = Baseline()
    seen, day_s, yes = np.array([[72.0, 16.0, 97.0, 35.0]]), np.zeros(1), np.ones(1, np.bool_)
    state = kernel.init(1)
    for _ in range(600):
        state, out = kernel.step(state, seen, day_s, yes)
    far = seen + np.array([[60.0, 20.0, -20.0, 2.0]])
    frozen = state
    for _ in range(600):
        frozen, _ = kernel.step(frozen, far, day_s, ~yes)
    assert np.array_equal(frozen.course, state.course)
    once, _ = kernel.step(state, far, day_s, yes)
    _, after = kernel.step(once, seen, day_s, yes)
    assert abs(after.usual - out.usual).max() < 0.05


def test_all_vitals_together_are_a_normal_deviate_whatever_is_missing() -> None:
    seen = vitals(60, 2 * 1440)
    state, kernel, joint = Baseline().init(60), Baseline(), []
    for k in range(seen.shape[1]):
        state, out = kernel.step(state, seen[:, k], np.full(60, 60.0 * k % DAY_S), np.ones(60, np.bool_))
        joint.append(out.joint)
    settled = np.array(joint[1440:])
    assert abs(np.nanmean(settled)) < 0.15
    assert 0.85 < np.nanstd(settled) < 1.15
    nothing = kernel.step(state, np.full((60, 4), np.nan), np.zeros(60), np.ones(60, np.bool_))[1]
    assert np.isnan(nothing.joint).all()


def test_a_patient_alone_is_judged_as_in_a_bank_to_the_bit() -> None:
    seen = vitals(17, 300)
    seen[5:, 200:, 0] *= 1.6
    together = follow(seen)
    for row in (0, 7, 16):
        alone = follow(seen[row : row + 1])
        for one, all_ in zip(alone, together, strict=True):
            assert np.array_equal(one.score[0], all_.score[row])
            assert np.array_equal(one.baseline.joint[:1], all_.baseline.joint[row : row + 1], equal_nan=True)
            assert one.pattern[0] == all_.pattern[row]


def test_a_step_writes_to_no_argument_and_its_state_pickles() -> None:
    seen, state = vitals(5, 40), KERNEL.init(5)
    for k in range(40):
        before = pickle.dumps((state, seen))
        new, _ = KERNEL.step(state, seen[:, k], np.zeros(5))
        assert pickle.dumps((state, seen)) == before
        state = pickle.loads(pickle.dumps(new))  # noqa: S301 - our own


@pytest.mark.parametrize(("name", "direction"), PATTERNS)
def test_each_pattern_is_found_and_stands_until_it_is_over(name: str, direction: tuple[float, ...]) -> None:
    seen = vitals(20, 900, seed=8)
    columns = Baseline().columns
    ill = slice(500, 700)
    for vital, sign in enumerate(direction):
        size = 5.0 * sign * columns.spread[vital]
        seen[:, ill, vital] = (
            seen[:, ill, vital] * np.exp(size) if columns.is_ratio[vital] else seen[:, ill, vital] + size
        )
    outs = follow(seen)
    pattern = np.stack([out.pattern for out in outs], axis=-1)
    assert (pattern[:, :500] == QUIET).mean() > 0.97
    assert (pattern[:, 540:700] != QUIET).all(axis=-1).mean() > 0.9  # within 40 minutes
    found = [PATTERNS[row][0] for row in pattern[:, 600] if row != QUIET]
    assert found.count(name) >= 0.5 * len(found)  # patterns overlap: which one is first is partly chance
    assert (pattern[:, -1] == QUIET).mean() > 0.85
    assert not any(out.urgent.any() for out in outs[:500])


def test_what_is_measured_and_urgent_by_itself_makes_a_standing_pattern_urgent_until_it_ends() -> None:
    seen = np.tile(np.array([72.0, 16.0, 97.0, 35.0]), (1, 400, 1))
    seen[:, 200:260] = [125.0, 29.0, 90.0, 36.5]
    outs = follow(seen)
    urgent = np.array([out.urgent[0] for out in outs])
    stands = np.array([out.pattern[0] != QUIET for out in outs])
    assert not urgent[:204].any()
    assert urgent[205:260].all()
    assert np.array_equal(urgent[205:], stands[205:])


def test_the_simulated_ward_has_the_artefacts_that_were_counted() -> None:
    healthy = ward_days(0, 40, 2.0, 0.0)
    assert 80.0 < len(alarms_of(CRITICAL_CARE, healthy)[0]) / 80.0 < 125.0  # 101 a day on wards
    assert 1.0 < len(alarms_of(WARD, healthy)[0]) / 80.0 < 4.5  # 2.3


def test_deterioration_is_found_in_a_simulated_ward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deterioration, "PATIENTS", 16)
    monkeypatch.setattr(deterioration, "DAYS", 3.0)
    monkeypatch.setattr(deterioration, "oracle_ratio", lambda: 1.0)
    report = deterioration.evaluate(Request(Path(), ("1",)), lambda _: None)
    assert report.gross.found == report.gross.courses > 0
    assert report.gross.alarms_a_day <= 1.0
    assert report.gross.urgent_false == 0
    assert report.gross.found_by_median < 0.5
    assert msgspec.json.decode(msgspec.json.encode(report))["task"] == "deterioration"
    assert "patient-days" in deterioration.as_text(report)
    with pytest.raises(EvaluateError, match="need seeds"):
        deterioration.evaluate(Request(Path(), ("mitdb",)), lambda _: None)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Baseline, {"every_s": 0.0}),
        (Baseline, {"priors": ()}),
        (Deterioration, {"shift": 0.0}),
        (Deterioration, {"baseline": Baseline(priors=VITALS[:2])}),
    ],
)
def test_parameters_that_cannot_work_are_refused(kind: type, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="need "):
        kind(**wrong)
