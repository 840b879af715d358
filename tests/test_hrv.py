"""Variability over five minutes: known powers, an oracle's periodogram, ectopic beats, holes and cuts."""

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from anomaly import hrv

Array = NDArray[np.float64]
NS = 1_000_000_000


def beats(seconds: float, slow_ms: float, fast_ms: float, breath_hz: float = 0.25, mean_s: float = 0.85) -> Array:
    """Times of beats whose intervals swing at 0.1 Hz and with breath, amplitudes in ms."""
    times = [100.0]
    while times[-1] < 100.0 + seconds:
        t = times[-1]
        swing = slow_ms * np.sin(2.0 * np.pi * 0.1 * t) + fast_ms * np.sin(2.0 * np.pi * breath_hz * t)
        times.append(t + mean_s + swing / 1e3)
    return np.array(times)


def pushed(times: Array, cut: int = 7, normal: NDArray[np.bool_] | None = None) -> hrv.HrvState:
    """Beats in pieces, as packets bring them."""
    state = hrv.init(1)
    fits = np.ones(len(times), np.bool_) if normal is None else normal
    for k in range(0, len(times), cut):
        part = slice(k, k + cut)
        state = hrv.push(state, np.rint(times[part] * NS).astype(np.int64)[None], fits[part][None])
    return state


@pytest.mark.parametrize(("slow_ms", "fast_ms"), [(30.0, 20.0), (10.0, 40.0), (45.0, 5.0)])
def test_powers_are_those_of_the_swings(slow_ms: float, fast_ms: float) -> None:
    out = hrv.measure(pushed(beats(360.0, slow_ms, fast_ms)))
    assert out.lf_ms2[0] == pytest.approx(slow_ms**2 / 2.0, rel=0.1, abs=5.0)
    assert out.hf_ms2[0] == pytest.approx(fast_ms**2 / 2.0, rel=0.1, abs=5.0)
    assert out.sdnn_ms[0] == pytest.approx(np.sqrt((slow_ms**2 + fast_ms**2) / 2.0), rel=0.05)
    assert out.share[0] > 0.97


def test_the_periodogram_is_that_of_a_library() -> None:
    times = beats(320.0, 25.0, 30.0)
    rr = np.diff(times)
    ended = times[1:]
    keep = ended > ended[-1] - hrv.WINDOW_S
    x = rr[keep] - rr[keep].mean()
    frequency = np.arange(12, 120) * hrv.STEP_HZ
    power = signal.lombscargle(ended[keep], x, 2.0 * np.pi * frequency) * 2.0 / len(x) * 1e6
    out = hrv.measure(pushed(times))
    assert out.lf_ms2[0] == pytest.approx(power[frequency < 0.15].sum(), rel=0.01)
    assert out.hf_ms2[0] == pytest.approx(power[frequency >= 0.15].sum(), rel=0.01)


def test_ectopic_beats_leave_the_powers_as_they_were() -> None:
    times = beats(360.0, 25.0, 30.0)
    normal = np.ones(len(times), np.bool_)
    early = np.arange(20, len(times) - 2, 25)
    ectopic = times.copy()
    ectopic[early] -= 0.3
    normal[early] = False
    clean, with_them = hrv.measure(pushed(times)), hrv.measure(pushed(ectopic, normal=normal))
    assert with_them.lf_ms2[0] == pytest.approx(clean.lf_ms2[0], rel=0.15)
    assert with_them.hf_ms2[0] == pytest.approx(clean.hf_ms2[0], rel=0.15)
    assert with_them.share[0] < clean.share[0]


def test_pnn50_counts_neighbours() -> None:
    rr = np.tile([0.8, 0.8, 0.9, 0.9], 100)
    out = hrv.measure(pushed(100.0 + np.concatenate([[0.0], np.cumsum(rr)])))
    assert out.pnn50[0] == pytest.approx(0.5, abs=0.01)


def test_too_little_is_nothing_and_a_hole_begins_anew() -> None:
    assert np.isnan(hrv.measure(hrv.init(3))[:7]).all()
    times = beats(400.0, 20.0, 20.0)
    assert np.isnan(hrv.measure(pushed(times[:200])).lf_ms2[0])
    torn = np.concatenate([times[:300], times[300:] + 20.0])
    assert np.isnan(hrv.measure(pushed(torn)).lf_ms2[0])
    assert np.isnan(hrv.measure(pushed(torn)).pnn50[0])


def test_any_cut_gives_the_same_and_a_row_alone_is_as_in_the_bank() -> None:
    rows = [beats(340.0, 20.0, 10.0), beats(340.0, 5.0, 40.0, 0.3), beats(340.0, 30.0, 30.0, mean_s=0.7)]
    alone = [pushed(times, cut) for times, cut in zip(rows, (1, 5, 400), strict=True)]
    longest = max(map(len, rows))
    at = np.stack([np.pad(np.rint(times * NS).astype(np.int64), (0, longest - len(times))) for times in rows])
    state = hrv.push(hrv.init(3), at, at > 0)
    together = hrv.measure(state)
    for row, one in enumerate(alone):
        assert np.array_equal(one.rr[0], state.rr[row])
        assert [field[0] for field in hrv.measure(one)] == [field[row] for field in together]


def test_a_push_writes_to_no_argument_and_late_beats_are_left_out() -> None:
    state = pushed(beats(60.0, 20.0, 20.0))
    at, normal = np.array([[state.last_ns[0] + NS, state.last_ns[0] - NS]]), np.ones((1, 2), np.bool_)
    before = pickle.dumps((state, at, normal))
    new = hrv.push(state, at, normal)
    assert pickle.dumps((state, at, normal)) == before
    assert new.last_ns[0] == state.last_ns[0] + NS
    assert np.count_nonzero(new.rr) == np.count_nonzero(state.rr) + 1


def test_what_the_powers_say_of_themselves_holds() -> None:
    rng, n = np.random.default_rng(3), 60
    t = np.arange(0.0, 420.0, 0.8)
    swing = np.zeros((n, len(t)))
    for low, high, power in ((0.04, 0.15, 900.0), (0.15, 0.40, 400.0)):  # of every heart, by many tones each
        hz = rng.uniform(low, high, (n, 60))
        size = np.sqrt(power / 60.0) * rng.standard_normal((2, n, 60))
        turn = 2.0 * np.pi * hz[:, :, None] * t
        swing += (size[0][..., None] * np.cos(turn) + size[1][..., None] * np.sin(turn)).sum(axis=1)
    at = 100.0 + np.cumsum(0.8 + swing / 1e3, axis=-1)
    state = hrv.push(hrv.init(n), np.rint(at * NS).astype(np.int64), np.ones(at.shape, np.bool_))
    out, shaken = hrv.measure(state), hrv.measure(state, 5.0)
    assert np.mean(np.abs(out.lf_ms2 - 900.0) <= 1.96 * out.lf_u) > 0.8
    assert np.mean(np.abs(out.hf_ms2 - 400.0) <= 1.96 * out.hf_u) > 0.8
    assert (out.lf_u < 450.0).all()
    assert (shaken.hf_u > out.hf_u).all()
    assert (shaken.hf_u - out.hf_u > shaken.lf_u - out.lf_u).all()  # jitter is of high pitch
    line_hz, density = signal.welch(5.0 * np.diff(rng.standard_normal(100_000)), 1.0 / 0.8, nperseg=512)
    of_jitter = shaken.hf_u**2 - out.hf_u**2
    band = (line_hz >= 0.15) & (line_hz < 0.40)
    assert np.sqrt(np.median(of_jitter)) == pytest.approx(density[band].sum() * line_hz[1], rel=0.1)
