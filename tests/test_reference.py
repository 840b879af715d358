"""The surroundings go, the heart stays, whatever the references are like."""

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from oracle_vitals import cancelled
from scipy import signal

from anomaly.reference import ReferenceCanceller

Array = NDArray[np.float64]
RATE_HZ, BLOCK, SECONDS = 500.0, 125, 40
N = int(RATE_HZ * SECONDS)
CANCELLER = ReferenceCanceller(4, 3, RATE_HZ)
SEES = np.array([1.0, 0.8, -0.6, 0.3])  # of the heart, by channel
LEAKS = np.array([0.6, 0.3, 0.8])  # of the heart, by reference
NOISE_PT = 0.015 * np.sqrt(RATE_HZ / 2.0)
DIRECTIONS = np.array([[0.9, 0.3, -0.3], [0.1, -0.8, 0.6], [0.5, 0.5, 0.7], [-0.2, 0.1, 0.97]])


def heart() -> Array:
    since = np.arange(N) / RATE_HZ % 0.8 - 0.4
    beat: Array = 50.0 * np.exp(-0.5 * (since / 0.012) ** 2) + 12.0 * np.exp(-0.5 * ((since - 0.25) / 0.04) ** 2)
    return beat


def field(kind: str, rms_pt: float) -> Array:
    """Three components of a homogeneous field."""
    rng, t = np.random.default_rng(5), np.arange(N) / RATE_HZ
    if kind == "mains":
        x = np.stack([np.sin(2.0 * np.pi * 50.03 * t + i) * (1.0 + 0.1 * np.sin(t)) for i in range(3)])
    elif kind == "drift":
        x = np.cumsum(rng.standard_normal((3, N)), axis=-1)
    else:
        x = signal.sosfilt(
            signal.butter(1, (1.0, 40.0), "bandpass", fs=RATE_HZ, output="sos"), rng.standard_normal((3, N))
        )
    scaled: Array = x * (rms_pt / x.std(axis=-1, keepdims=True))
    return scaled


def sensors(outside: Array, leak: float, noise_pt: float = NOISE_PT) -> Array:
    noise = noise_pt * np.random.default_rng(6).standard_normal((7, N))
    primary = SEES[:, None] * heart() + np.stack([(d[:, None] * outside).sum(axis=0) for d in DIRECTIONS])
    seen: Array = np.concatenate([primary, outside + leak * LEAKS[:, None] * heart()]) + noise
    return seen


def clean(x: Array, canceller: ReferenceCanceller = CANCELLER) -> Array:
    _, out = laws.run(canceller, laws.cut(x[None], range(BLOCK, x.shape[-1], BLOCK)))
    cleaned: Array = np.concatenate(out, axis=-1)[0]
    return cleaned


def high_passed(x: Array) -> Array:
    row: Array = CANCELLER.high.step(CANCELLER.high.init(x[None]), x[None])[1][0]
    return row


def rms(x: Array) -> Array:
    late: Array = np.sqrt(np.mean(x[:, N // 2 :] ** 2, axis=-1))
    return late


def blocks_of_a_bank(n: int = 5) -> list[Array]:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((n, 7, 6 * BLOCK)) + 300.0 * rng.standard_normal((n, 7, 1))
    x[1] = 0.0
    x[2, 4:] = 7.0
    x[3, :4] += 1e4 * x[3, 4:5]
    return laws.cut(x, range(BLOCK, x.shape[-1], BLOCK))


def test_it_keeps_the_laws() -> None:
    blocks = blocks_of_a_bank()
    laws.a_row_alone_equals_the_row_in_a_bank(CANCELLER, blocks)
    laws.gathering_rows_between_steps_changes_nothing(CANCELLER, blocks)
    laws.a_step_writes_to_no_argument(CANCELLER, blocks)
    laws.state_survives_pickling(CANCELLER, blocks)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 5), max_size=4, unique=True))
def test_any_cut_at_packet_edges_changes_nothing(packets: list[int]) -> None:
    x = np.concatenate(blocks_of_a_bank(), axis=-1)
    _, parts = laws.run(CANCELLER, laws.cut(x, sorted(BLOCK * p for p in packets)))
    _, whole = laws.run(CANCELLER, [x])
    assert_array_equal(np.concatenate(parts, axis=-1), whole[0])


def test_it_does_what_a_loop_with_plain_solves_does() -> None:
    x = sensors(field("broad", 30.0), leak=0.03)[:, : 20 * BLOCK]
    expected = cancelled(high_passed(x), 4, BLOCK, float(np.exp(-0.25 / 20.0)), 0.3)
    assert_allclose(clean(x), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", ["mains", "drift", "broad"])
@pytest.mark.parametrize("rms_pt", [500.0, 5000.0])
def test_a_homogeneous_field_of_ten_to_a_hundred_hearts_is_lowered_by_40_db(kind: str, rms_pt: float) -> None:
    outside = field(kind, rms_pt)
    left = clean(sensors(outside, leak=0.03)) - clean(sensors(np.zeros((3, N)), leak=0.0))
    came = high_passed(sensors(outside, leak=0.0, noise_pt=0.0)) - high_passed(
        sensors(0.0 * outside, leak=0.0, noise_pt=0.0)
    )
    assert np.all(20.0 * np.log10(rms(came[:4]) / rms(left)) >= 40.0)


@pytest.mark.parametrize("rms_pt", [3.0, 30.0, 300.0, 3000.0])
def test_what_is_left_never_exceeds_a_sixth_of_the_heart(rms_pt: float) -> None:
    left = clean(sensors(field("broad", rms_pt), leak=0.03)) - clean(sensors(np.zeros((3, N)), leak=0.0))
    assert np.all(rms(left) < rms(heart()[None]) / 6.0)


def test_a_heart_that_leaks_into_quiet_references_is_not_cancelled() -> None:
    out = clean(sensors(np.zeros((3, N)), leak=0.03))
    target = high_passed(sensors(np.zeros((3, N)), leak=0.0, noise_pt=0.0))[:4]
    gain = (out * target)[:, N // 2 :].sum(axis=-1) / (target * target)[:, N // 2 :].sum(axis=-1)
    assert np.all((gain > 0.97) & (gain < 1.01))


def test_interference_is_cancelled_in_the_block_in_which_it_begins() -> None:
    outside = field("mains", 1000.0)
    for start in (0, N // 2):
        switched = np.where(np.arange(N) >= start, outside, 0.0)
        left = clean(sensors(switched, leak=0.0)) - clean(sensors(np.zeros((3, N)), leak=0.0))
        assert np.abs(left[:, start : start + BLOCK]).max() < 0.2 * 50.0


@pytest.mark.parametrize("value", [0.0, 1234.5])
def test_dead_references_do_nothing(value: float) -> None:
    x = sensors(field("broad", 10.0), leak=0.0)[:, : 8 * BLOCK]
    x[4:] = value
    assert_allclose(clean(x), high_passed(x)[:4], rtol=0.0, atol=1e-9)


def test_one_dead_reference_leaves_the_others_their_work() -> None:
    outside = field("broad", 500.0)
    outside[1] = 0.0
    x = sensors(outside, leak=0.0)
    x[5] = 0.0
    left = clean(x) - clean(sensors(np.zeros((3, N)), leak=0.0))
    assert np.all(rms(left) < 0.1 * rms(heart()[None]))


def test_without_references_it_is_a_high_pass() -> None:
    x = sensors(np.zeros((3, N)), leak=0.0)[:4, : 4 * BLOCK]
    assert_array_equal(clean(x, ReferenceCanceller(4, 0, RATE_HZ)), high_passed(x))


def test_all_zeros_stay_zeros() -> None:
    assert_array_equal(clean(np.zeros((7, 4 * BLOCK))), np.zeros((4, 4 * BLOCK)))


def test_a_block_that_is_not_trusted_teaches_nothing() -> None:
    blocks = laws.cut(sensors(field("broad", 200.0), leak=0.0)[None], range(BLOCK, N, BLOCK))[:20]
    state, _ = laws.run(CANCELLER, blocks)
    clipped = np.clip(100.0 * blocks[-1], -500.0, 500.0)
    after, _ = CANCELLER.step_trusted(state, clipped, np.zeros(1))
    for name in ("rr", "pr", "pp", "mass", "coefficients"):
        assert_array_equal(getattr(after, name), getattr(state, name))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"n_channels": 0}, "n_channels"),
        ({"n_references": -1}, "n_references"),
        ({"memory_s": 0.1}, "memory_s"),
        ({"high_hz": 300.0}, "high_hz"),
        ({"blind": 0.0}, "blind"),
    ],
)
def test_parameters_that_make_no_canceller_are_refused(wrong: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        ReferenceCanceller(**({"n_channels": 4, "n_references": 3, "rate_hz": RATE_HZ} | wrong))  # type: ignore[arg-type]
