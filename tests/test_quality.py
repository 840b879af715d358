"""Clipping, frozen and dead channels and noise are seen, and the quality says why it is low."""

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from oracle_vitals import trailing_run

from anomaly.quality import REASONS, CardiacEvidence, Reason, SignalQuality, beat_quality, cardiac_quality

Array = NDArray[np.float64]
RATE_HZ, BLOCK, RANGE_PT = 500.0, 125, 5000.0
SIGNAL = SignalQuality(RATE_HZ, RANGE_PT)


def noise(density: float, n: int = 3, n_blocks: int = 40) -> Array:
    white: Array = density * np.sqrt(RATE_HZ / 2.0) * np.random.default_rng(0).standard_normal((n, 4, n_blocks * BLOCK))
    return white


def blocks_of(x: Array) -> list[Array]:
    return laws.cut(x, range(BLOCK, x.shape[-1], BLOCK))


def evidence(**other: object) -> CardiacEvidence:
    """One row with nothing wrong, but for what is named."""
    no, zero = np.zeros(1, np.bool_), np.zeros(1)
    good = CardiacEvidence(zero, zero, no, zero, zero, no, no, no, np.full(1, 20.0))
    return good._replace(**{name: np.array([value]) for name, value in other.items()})


def test_it_keeps_the_laws() -> None:
    x = noise(0.015, 5, 5)
    x[1] = 3.0
    x[2, 1] = 0.0
    x[3, :, 200:] = 6000.0
    blocks = blocks_of(x)
    laws.a_row_alone_equals_the_row_in_a_bank(SIGNAL, blocks)
    laws.gathering_rows_between_steps_changes_nothing(SIGNAL, blocks)
    laws.a_step_writes_to_no_argument(SIGNAL, blocks)
    laws.state_survives_pickling(SIGNAL, blocks)


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=2, max_size=40),
    st.lists(st.integers(1, 39), max_size=4, unique=True),
)
def test_runs_of_one_value_are_counted_across_any_cut(values: list[float], edges: list[int]) -> None:
    x = np.array([values, values[::-1]])[None]
    state, _ = laws.run(SIGNAL, laws.cut(x, [e for e in sorted(edges) if e < x.shape[-1]]))
    assert_array_equal(state.run[0], [trailing_run(values), trailing_run(values[::-1])])


def test_frozen_needs_every_channel_and_flat_only_one() -> None:
    x = noise(0.015, 3, 8)
    x[0, :, 250:] = 1.25
    x[1, 2, 250:] = 0.0
    _, outs = laws.run(SIGNAL, blocks_of(x))
    assert_allclose(outs[-1].frozen_s, [1.5, 1 / RATE_HZ, 1 / RATE_HZ])
    assert_array_equal(outs[-1].flat, [[True] * 4, [False, False, True, False], [False] * 4])
    assert_array_equal(outs[4].flat[0], [False] * 4)  # not yet a second


def test_samples_at_the_end_of_the_range_are_counted_and_no_range_clips_nothing() -> None:
    x = noise(0.015, 1, 1)
    x[0, 1, :25] = -4950.0
    x[0, 2, :] = 4899.0
    _, out = SIGNAL.step(SIGNAL.init(x), x)
    assert_allclose(out.clipped[0], [0.0, 0.2, 0.0, 0.0])
    unstated = SignalQuality(RATE_HZ)
    assert not unstated.step(unstated.init(x), x)[1].clipped.any()


@pytest.mark.parametrize("density", [0.015, 0.3, 9.0])
def test_the_noise_density_is_found_under_a_heart_the_mains_and_an_offset(density: float) -> None:
    x = noise(density)
    t = np.arange(x.shape[-1]) / RATE_HZ
    x += 50.0 * np.exp(-0.5 * ((t % 0.8 - 0.4) / 0.012) ** 2) + 1000.0
    for k in range(1, 5):
        x += 100.0 / k * np.sin(2.0 * np.pi * 50.0 * k * t + k)
    _, outs = laws.run(SIGNAL, blocks_of(x))
    assert_allclose(outs[-1].noise, density, rtol=0.35)


def test_a_block_too_short_for_a_spectrum_has_unknown_noise() -> None:
    x = noise(1.0, 1, 1)[..., :4]
    assert np.isnan(SIGNAL.step(SIGNAL.init(x), x)[1].noise).all()


def test_a_good_signal_has_full_quality_and_nothing_to_say() -> None:
    quality, reason = cardiac_quality(evidence())
    assert quality[0] == pytest.approx(1.0, abs=1e-9)
    assert REASONS[reason[0]] == ""


@pytest.mark.parametrize(
    ("named", "word"),
    [
        ({"missing": 0.2}, "gap"),
        ({"not_finite": 0.2}, "not-finite"),
        ({"unlocked": True}, "unlocked"),
        ({"clipped": 0.05}, "saturated"),
        ({"frozen_s": 1.5}, "frozen"),
        ({"off_body": True}, "off-body"),
        ({"dead": True}, "no-signal"),
        ({"snr": 3.0}, "noisy"),
    ],
)
def test_each_cause_takes_the_quality_down_and_is_named(named: dict[str, object], word: str) -> None:
    quality, reason = cardiac_quality(evidence(**named))
    assert quality[0] < 0.3
    assert REASONS[reason[0]] == word


def test_settling_halves_the_quality_and_is_named() -> None:
    quality, reason = cardiac_quality(evidence(settling=True))
    assert quality[0] == pytest.approx(0.5)
    assert reason[0] == Reason.SETTLING


def test_of_several_causes_the_weightiest_is_named() -> None:
    _, reason = cardiac_quality(evidence(snr=1.0, settling=True, clipped=1.0, unlocked=True))
    assert reason[0] == Reason.UNLOCKED


def test_a_heart_that_stands_still_is_seen_well() -> None:
    quality, reason = cardiac_quality(evidence(snr=np.nan))
    assert (quality[0], reason[0]) == (1.0, Reason.GOOD)


def test_every_reason_has_its_word() -> None:
    assert len(REASONS) == len(Reason)
    assert [REASONS[r] for r in Reason][1:] == [r.name.lower().replace("_", "-") for r in Reason][1:]


def test_quality_grows_with_the_height_of_a_beat_over_the_noise() -> None:
    q = beat_quality(np.array([-1.0, 0.0, 3.0, 4.0, 5.0, 6.0, 8.0, 100.0]))
    assert np.all(np.diff(q) >= 0.0)
    assert_allclose(q[2:], [0.23, 0.62, 0.88, 0.97, 0.999, 1.0], atol=0.01)
    assert q[1] < 1e-6


def test_quality_is_the_chance_that_a_beat_stands_out_of_real_noise() -> None:
    rng = np.random.default_rng(3)
    snr = 5.0
    beat = snr + rng.standard_normal(20_000)
    others = rng.standard_normal((20_000, 20)).max(axis=-1)
    told = np.mean((beat > snr / 2.0) & (others < snr / 2.0))
    assert beat_quality(np.array([snr]))[0] == pytest.approx(told, abs=0.01)


@pytest.mark.parametrize("wrong", [{"rate_hz": 0.0}, {"range_": -1.0}, {"noise_low_hz": 240.0}, {"memory_s": 0.0}])
def test_parameters_that_measure_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SignalQuality(**({"rate_hz": RATE_HZ} | wrong))
