"""The mains goes, the beat stays."""

import laws
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from scipy import signal

from anomaly.mains import mains_notch

Array = NDArray[np.float64]
RATE_HZ = 500.0


def beats(n_s: float = 10.0, rate_hz: float = RATE_HZ) -> Array:
    """Beats of 50 pT every 0.8 s with a QRS of 80 ms and a T wave."""
    t = np.arange(0.0, n_s, 1.0 / rate_hz)
    since = (t + 0.4) % 0.8 - 0.4
    qrs = 50.0 * np.exp(-0.5 * (since / 0.012) ** 2) - 8.0 * np.exp(-0.5 * ((np.abs(since) - 0.03) / 0.01) ** 2)
    beat: Array = qrs + 12.0 * np.exp(-0.5 * ((since - 0.25) / 0.04) ** 2)
    return beat


def filtered(x: Array, mains_hz: float = 50.0) -> Array:
    notch = mains_notch(RATE_HZ, mains_hz)
    _, y = notch.step(notch.init(x[None, None]), x[None, None])
    row: Array = y[0, 0]
    return row


def test_it_keeps_the_laws() -> None:
    notch = mains_notch(RATE_HZ)
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal((5, 4, 125)) for _ in range(4)]
    laws.a_row_alone_equals_the_row_in_a_bank(notch, blocks)
    laws.gathering_rows_between_steps_changes_nothing(notch, blocks)
    laws.a_step_writes_to_no_argument(notch, blocks)
    laws.state_survives_pickling(notch, blocks)


@given(st.lists(st.integers(1, 399), max_size=5, unique=True))
def test_any_cut_changes_nothing(edges: list[int]) -> None:
    x = np.random.default_rng(3).standard_normal((2, 2, 400))
    notch = mains_notch(RATE_HZ)
    _, parts = laws.run(notch, laws.cut(x, sorted(edges)))
    assert_array_equal(np.concatenate(parts, axis=-1), laws.run(notch, [x])[1][0])


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_the_mains_and_every_harmonic_are_lowered_by_60_db_and_0_hz_by_nothing(mains_hz: float) -> None:
    sos = mains_notch(RATE_HZ, mains_hz).sos
    harmonics = mains_hz * np.arange(1, int(0.45 * RATE_HZ / mains_hz) + 1)
    assert len(harmonics) == len(sos) == (4 if mains_hz == 50.0 else 3)
    _, gain = signal.sosfreqz(sos, np.concatenate([harmonics, [1e-9]]), fs=RATE_HZ)
    assert np.all(np.abs(gain[:-1]) < 1e-3)
    assert np.abs(gain[-1]) == pytest.approx(1.0)


def test_a_mains_that_wanders_by_a_tenth_of_a_hertz_is_still_lowered_by_18_db() -> None:
    t = np.arange(0.0, 20.0, 1.0 / RATE_HZ)
    left = filtered(np.sin(2.0 * np.pi * 50.1 * t))[2500:]
    assert 20.0 * np.log10(np.abs(left).max()) < -18.0


def test_a_beat_keeps_its_shape_its_height_and_its_time() -> None:
    x = beats()
    error = np.abs(filtered(x) - x)[1000:]
    since = (np.arange(len(x))[1000:] / RATE_HZ + 0.4) % 0.8 - 0.4
    assert error.max() < 0.02 * 50.0
    assert error[np.abs(since) < 1e-3].max() < 0.002 * 50.0  # at the peak
    assert error[since > 0.08].max() < 0.003 * 50.0  # it does not ring on
    assert np.argmax(filtered(x)[1800:2200]) == np.argmax(x[1800:2200])


def test_a_rate_too_low_for_any_harmonic_gets_a_filter_that_changes_nothing() -> None:
    notch = mains_notch(100.0)
    x = np.random.default_rng(1).standard_normal((2, 1, 50))
    assert_array_equal(notch.step(notch.init(x), x)[1], x)


@pytest.mark.parametrize(
    "wrong", [{"rate_hz": 0.0}, {"rate_hz": 500.0, "mains_hz": -50.0}, {"rate_hz": 500.0, "q": 0.0}]
)
def test_numbers_that_are_not_positive_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="need positive numbers"):
        mains_notch(**wrong)  # type: ignore[arg-type]  # floats only
