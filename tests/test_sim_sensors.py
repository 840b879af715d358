"""Each magnetometer measures as it declares: noise, bandwidth, delay, gain, range, and what it cannot do."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from device_sim.devices import DEVICES, Kernel
from device_sim.electronics import SignalPath
from device_sim.gradiometer import ScalarGradiometer
from device_sim.helium import Helium
from device_sim.noise import noise_init, noise_step
from device_sim.nv import AXES, HZ_PER_PT, MAGNET, Nv
from device_sim.opm import Opm
from device_sim.readout import read, start, whites_of
from device_sim.testbench import EARTH_PT, around, field_of, noise_of, off_db, path_of, readings, response

Array = NDArray[np.float64]
KERNELS: dict[str, Kernel] = {
    "serf": Opm(),
    "serf-closed": Opm(rate_hz=1000.0, bandwidth_hz=300.0, range_pt=15_000.0, loop_gain=100.0, cross_gain=100.0),
    "helium": Helium(),
    "gradiometer": ScalarGradiometer(),
    "nv": Nv(),
}
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


@every_kernel
def test_noise_density_is_within_1_db_of_what_is_declared(kernel: Kernel) -> None:
    # In 200 s so many sensors that the lowest bands scatter by 0.25 dB.
    noise = noise_of(kernel, 24, 240)[:, round(40 * kernel.rate_hz) :]
    assert np.abs(off_db(noise, kernel, 0.2, 0.4 * kernel.rate_hz)[1]).max() < 1.0


@pytest.mark.parametrize("knee_hz", [1.0, 5.0])
def test_the_knee_is_where_it_is_declared(knee_hz: float) -> None:
    opm = Opm(knee_hz=knee_hz)
    assert np.abs(off_db(noise_of(opm, 8, 240)[:, 20_000:], opm, 0.2, 200.0)[1]).max() < 1.0


@pytest.mark.parametrize(
    ("knee_hz", "rate_hz"), [(0.02, 1.0), (2.0, 500.0), (3.0, 1000.0), (5.0, 500.0), (10.0, 500.0)]
)
def test_the_filter_of_the_knee_is_right_over_the_whole_band(knee_hz: float, rate_hz: float) -> None:
    n_samples = round(2000.0 * rate_hz / knee_hz)
    impulse = np.zeros((1, n_samples))
    impulse[0, 0] = 1.0
    _, answer = noise_step(noise_init((1,), knee_hz, rate_hz), impulse, knee_hz, rate_hz)
    f = np.fft.rfftfreq(n_samples, 1.0 / rate_hz)
    density = np.abs(np.fft.rfft(answer[0])) / np.sqrt(rate_hz / 2.0)
    band = (f > 0.01 * knee_hz) & (f < 0.4 * rate_hz)
    off_by_db = 20.0 * np.log10(density[band] / np.sqrt(1.0 + knee_hz / f[band]))
    assert np.abs(off_by_db).max() < 0.06


@every_kernel
def test_bandwidth_is_first_order_and_as_declared(kernel: Kernel) -> None:
    assert abs(response(kernel, 1.0)) == pytest.approx(1.0, rel=1e-3)
    assert abs(response(kernel, kernel.bandwidth_hz)) == pytest.approx(math.sqrt(0.5), rel=2e-3)


@every_kernel
def test_delay_at_low_frequency_is_as_declared(kernel: Kernel) -> None:
    measured = -np.angle(response(kernel, 5.0)) / (2.0 * np.pi * 5.0)
    assert measured == pytest.approx(path_of(kernel).total_delay_s(0), abs=2e-5)


def test_each_channel_has_its_own_skew_and_no_other_size() -> None:
    path = SignalPath(rate_hz=500.0, bandwidth_hz=135.0, delay_s=0.004, skew_s=(-8e-4, 0.0, 5e-4))
    t = np.arange(5000) / 500.0
    for frequency_hz in (10.0, 100.0):
        tone = np.tile(np.sin(2.0 * np.pi * frequency_hz * t), (1, 3, 1))
        _, out = path.step(path.init(np.zeros((1, 3))), tone)
        spectrum = out[0, :, 2500:] @ np.exp(-2j * np.pi * frequency_hz * t[2500:])
        np.testing.assert_allclose(np.abs(spectrum), np.abs(spectrum[1]), rtol=1e-3)
        late_s = -np.angle(spectrum / spectrum[1]) / (2.0 * np.pi * frequency_hz)
        np.testing.assert_allclose(late_s, path.skew_s, atol=2e-4)


@every_kernel
def test_a_signal_may_be_cut_anywhere(kernel: Kernel) -> None:
    rng = np.random.default_rng(5)
    n_samples = round(kernel.rate_hz)
    field = field_of(kernel, 100.0 * rng.standard_normal((2, 3, n_samples)))
    white = rng.standard_normal((2, 3 * whites_of(kernel), n_samples))
    beside = around(2, 3, n_samples)
    state = start(kernel, field[..., 0], beside)
    _, whole = read(kernel, state, field, white, beside)
    parts = []
    for cut in (slice(0, 123), slice(123, None)):
        here = beside._replace(warmth_k=beside.warmth_k[:, cut])
        state, part = read(kernel, state, field[..., cut], white[..., cut], here)
        parts.append(part.field_pt)
    np.testing.assert_array_equal(whole.field_pt, np.concatenate(parts, axis=-1))


@every_kernel
def test_a_row_does_not_depend_on_the_others(kernel: Kernel) -> None:
    rng = np.random.default_rng(6)
    field = field_of(kernel, 100.0 * rng.standard_normal((5, 2, 250)))
    white = rng.standard_normal((5, 2 * whites_of(kernel), 250))
    every = readings(kernel, field, white)
    alone = readings(kernel, field[3:4].copy(), white[3:4].copy())
    np.testing.assert_array_equal(every.field_pt[3], alone.field_pt[0])


@every_kernel
def test_gain_and_cross_talk_are_those_of_the_unit(kernel: Kernel) -> None:
    mixing = np.array([[1.02, 0.01], [0.03, 0.97]])
    field = field_of(kernel, np.tile(np.array([10.0, 0.0])[None, :, None], (1, 1, 500)))
    beside = around(1, 2, 500)._replace(mixing=mixing[None])
    np.testing.assert_allclose(readings(kernel, field, beside=beside).field_pt[0, :, -1], [10.2, 0.3], rtol=1e-4)


def test_a_serf_sensor_clips_at_its_range_says_so_and_keeps_its_lock() -> None:
    field = field_of(Opm(), np.tile(np.array([100.0, 9000.0, -9000.0])[:, None, None], (1, 1, 500)))
    reading = readings(Opm(), field)
    assert reading.saturated[:, 0, 20:].all(axis=-1).tolist() == [False, True, True]
    assert reading.field_pt[1:, 0, -1].tolist() == [5000.0, -5000.0]
    assert reading.locked.all()


def test_the_open_loop_is_dispersive_and_the_closed_one_a_hundred_times_less() -> None:
    for gain, left in ((0.0, 1.0 / (1.0 + (4.0 / 25.0) ** 2)), (100.0, 101.0 / (101.0 + (4.0 / 25.0 / 101.0) ** 2))):
        opm = Opm(loop_gain=gain)
        got = readings(opm, field_of(opm, np.full((1, 1, 500), 4000.0))).field_pt[0, 0, -1]
        assert got == pytest.approx(4000.0 * left, rel=1e-9)


def test_a_field_across_tilts_the_sensitive_axis_by_its_share_of_the_linewidth() -> None:
    field = np.zeros((1, 1, 3, 500))
    field[0, 0, 1], field[0, 0, 2] = 1000.0, 10.0
    got = readings(Opm(), field).field_pt[0, 0, -1]
    assert got == pytest.approx(10.0 * 1000.0 / 25_000.0, rel=0.01)
    # A closed loop along the axis alone does not help against what lies across it.
    alone, three = (readings(Opm(loop_gain=100.0, cross_gain=g), field).field_pt[0, 0, -1] for g in (0.0, 100.0))
    assert alone == pytest.approx(got, rel=0.01)
    assert abs(three) < 1e-3 * got


def test_a_serf_sensor_in_the_earths_field_saturates_and_never_locks() -> None:
    opm = Opm(noise_pt=0.0)
    field = np.zeros((2, 4, 3, 5000))
    field[0, :, 1], field[1, :, 1] = 48e6, 1500.0
    beside = around(2, 4, 5000)
    white = np.random.default_rng(1).standard_normal((2, 4, 5000))
    _, reading = read(opm, start(opm, field[..., 0], beside), field, white, beside)
    assert not reading.locked[0].any()
    assert reading.saturated[0].any(axis=0).all()
    assert reading.locked[1].all()
    assert reading.field_pt[0].std() == pytest.approx(2.0 * math.sqrt(250.0), rel=0.05)


def test_a_field_that_comes_within_reach_of_the_coils_is_nulled_after_a_gap() -> None:
    opm = Opm(noise_pt=0.0)
    field = np.zeros((1, 1, 3, 5000))
    field[0, 0, 0, 1000:] = 40_000.0
    reading = readings(opm, field)
    unlocked = np.flatnonzero(~reading.locked[0])
    assert (unlocked[0], unlocked[-1]) == (1000, 1000 + 1500 - 1)
    assert reading.zeroing[0, unlocked].all()
    # A tenth of it is left, on the dispersive curve.
    assert reading.field_pt[0, 0, -1] == pytest.approx(4000.0 / (1.0 + 0.16**2), rel=1e-6)


def test_a_loss_of_lock_may_be_cut_anywhere_too() -> None:
    opm = Opm()
    field = np.zeros((2, 2, 3, 4000))
    field[0, 1, 2, 1000:], field[1, :, 0] = 40_000.0, 20.0
    white = np.random.default_rng(3).standard_normal((2, 2, 4000))
    whole = readings(opm, field, white)
    beside = around(2, 2, 4000)
    state = start(opm, 0.0 * field[..., 0], beside)
    parts = []
    for cut in (slice(0, 700), slice(700, 1600), slice(1600, 2510), slice(2510, None)):
        state, part = read(opm, state, field[..., cut], white[..., cut], beside)
        parts.append(part)
    for name in ("field_pt", "saturated", "locked", "zeroing"):
        joined = np.concatenate([getattr(part, name) for part in parts], axis=-1)
        np.testing.assert_array_equal(getattr(whole, name), joined, err_msg=name)
    assert not whole.locked[0].all()
    assert whole.locked[1].all()


def test_heliums_third_axis_is_the_noisy_one_and_its_range_that_of_200_nt() -> None:
    helium = Helium()
    white = np.random.default_rng(2).standard_normal((1, 3, 20_000))
    spread = readings(helium, np.zeros((1, 3, 3, 20_000)), white).field_pt[0].std(axis=-1)
    assert spread[2] / spread[0] == pytest.approx(4.0, rel=0.1)
    reading = readings(helium, field_of(helium, np.full((1, 3, 1000), 190_000.0)))
    assert not reading.saturated[..., 50:].any()
    assert helium.non_linearity < 0.001


def test_a_gradiometer_keeps_a_near_source_and_little_of_what_is_everywhere() -> None:
    sensor = ScalarGradiometer()
    t = np.arange(1000) / 500.0
    field = field_of(sensor, np.zeros((1, 1, 1000)))
    field[:, :, 2] += 1000.0 * np.sin(2.0 * np.pi * 5.0 * t)
    field[:, :, 5] += 1000.0 * np.sin(2.0 * np.pi * 5.0 * t)
    beside = around(1, 1, 1000)._replace(mismatch=np.full((1, 1), 1.0 / 35.0))
    _, reading = read(sensor, start(sensor, field[..., 0], beside), field, np.zeros((1, 1, 1000)), beside)
    assert np.ptp(reading.field_pt[0, 0, 500:]) / 2.0 == pytest.approx(1000.0 / 35.0, rel=0.01)


def test_a_scalar_cell_cares_how_it_is_turned_by_its_heading_error_only_and_needs_the_earths_field() -> None:
    sensor = ScalarGradiometer(heading_pt=200.0)
    turn = np.linspace(0.0, 0.5, 1000)
    field = field_of(sensor, np.zeros((2, 1, 1000)))
    for first in (0, 3):
        field[0, :, first], field[0, :, first + 2] = EARTH_PT * np.sin(turn), EARTH_PT * np.cos(turn)
    field[1, :, [2, 5]] = 1000.0
    reading = readings(sensor, field)
    assert reading.field_pt[0, 0, -1] == pytest.approx(200.0 * np.sin(0.5), rel=0.01)
    assert np.abs(readings(ScalarGradiometer(heading_pt=0.0), field).field_pt[0]).max() < 1e-3
    assert reading.locked[0].all()
    assert not reading.locked[1].any()


def silence(n_samples: int) -> tuple[Array, Array]:
    """No field and no noise for one sensor."""
    return np.zeros((1, 1, 3, n_samples)), np.zeros((1, 8, n_samples))


def test_noise_of_the_resonances_counts_more_where_the_strain_bends_their_difference() -> None:
    white = np.random.default_rng(24).standard_normal((1, 4, 20_000))
    spreads, declared = [], []
    for nv in (Nv(strain_hz=0.0), Nv(strain_hz=11e6)):
        spreads.append(readings(nv, field_of(nv, np.zeros((1, 1, 20_000))), white).field_pt[0, 0, 1000:].std())
        declared.append(nv.noise_pt)
    assert declared[1] > 1.2 * declared[0]
    assert spreads[1] / spreads[0] == pytest.approx(declared[1] / declared[0], rel=0.05)


def test_eight_resonances_are_apart_and_their_axes_make_a_tetrahedron() -> None:
    nv = Nv()
    np.testing.assert_allclose(AXES @ AXES.T, np.where(np.eye(4) > 0.0, 1.0, -1.0 / 3.0), atol=1e-12)
    offsets = np.sqrt((HZ_PER_PT * nv.bias_pt * AXES @ MAGNET) ** 2 + nv.strain_hz**2)
    assert np.diff(np.sort(np.concatenate([offsets, -offsets]))).min() > 3.0 * nv.linewidth_hz


def test_the_four_axes_make_the_component_along_the_sensitive_axis_whatever_lies_across() -> None:
    nv = Nv()
    np.testing.assert_allclose(nv.weights @ AXES, [1.0, 0.0, 0.0], atol=1e-12)
    field, white = silence(1000)
    field[0, 0, :, 500:] = np.array([[1e6], [-3e6], [2e6]])
    seen = nv.read(nv.init(field[..., 0], np.zeros(1)), field, white[:, :4], np.eye(1)[None], np.zeros((1, 1000)))[1]
    assert seen.field_pt[0, 0, -1] == pytest.approx(1e6, rel=1e-6)
    # No other weights that give the component have less noise: of equal ones, those of the pseudo-inverse.
    plain = np.linalg.pinv(AXES)[0]
    assert nv.noise_pt < np.sqrt(np.sum((plain * nv.axis_noise_pt) ** 2))


def test_light_and_microwaves_drive_the_axes_and_the_two_sides_unlike() -> None:
    nv = Nv()
    upper, lower = nv.shot_noise_hz.T
    np.testing.assert_allclose(lower / upper, (1.0 + nv.asymmetry) / (1.0 - nv.asymmetry))
    np.testing.assert_allclose(upper * np.array(nv.axis_contrast), upper[0])


def test_noise_of_two_resonances_is_that_of_their_sum_and_difference() -> None:
    nv = Nv(knee_hz=1e-3)
    rng, n_samples = np.random.default_rng(25), 100_000
    field, _ = silence(n_samples)
    white = rng.standard_normal((1, 8, n_samples))
    around_k, start_state = np.zeros((1, n_samples)), nv.init(field[..., 0], np.zeros(1), thermometry=True)
    _, out = nv.step(start_state, field, white, np.eye(1)[None], around_k)
    upper_hz = HZ_PER_PT * out.single_pt[0, 0]
    assert upper_hz.std() == pytest.approx(nv.shot_noise_hz[0, 0] * np.sqrt(nv.rate_hz / 2.0), rel=0.02)
    # Who wants the field alone needs only the first half of the random numbers.
    alone = nv.read(nv.init(field[..., 0], np.zeros(1)), field, white[:, :4], np.eye(1)[None], around_k)[1]
    np.testing.assert_allclose(alone.field_pt, out.reading.field_pt, rtol=1e-12)
    few = nv.init(field[..., 0], np.zeros(1))
    with pytest.raises(ValueError, match="need 8 per channel"):
        nv.step(few, field, white[:, :4], np.eye(1)[None], around_k)


def test_the_mean_of_eight_resonances_is_the_temperature_in_any_field() -> None:
    nv = Nv(bias_per_k=0.0)
    field, white = silence(2000)
    field[0, 0, 1, 1000:] = 5e6
    warmth = np.concatenate([np.zeros(500), np.full(1500, 0.25)])[None]
    _, out = nv.step(nv.init(field[..., 0], np.zeros(1), thermometry=True), field, white, np.eye(1)[None], warmth)
    read = out.temperature_k[0, 0] - out.temperature_k[0, 0, 0]
    np.testing.assert_allclose(read[[499, 999, -1]], [0.0, 0.25, 0.25], atol=1e-5)


def test_a_millikelvin_moves_one_resonance_by_2_65_nt_and_the_two_by_the_magnets_drift_only() -> None:
    nv = Nv(bias_per_k=0.0)
    beside = around(1, 1, 2000)
    beside.warmth_k[:, 1000:] = 1e-3
    field, white = silence(2000)
    state = nv.init(field[..., 0], np.zeros(1), thermometry=True)
    _, out = nv.step(state, field, white, beside.mixing, beside.warmth_k)
    step = out.single_pt[0, 0, -1] - out.single_pt[0, 0, 0]
    assert abs(step) == pytest.approx(2650.0, rel=0.002)
    assert abs(out.reading.field_pt[0, 0, -1]) < 0.01 * abs(step)
    assert out.temperature_k[0, 0, -1] - out.temperature_k[0, 0, 0] == pytest.approx(1e-3, rel=1e-6)


def test_the_bias_magnet_drifts_by_a_nanotesla_per_millikelvin() -> None:
    nv = Nv(magnet_s=0.5)
    beside = around(1, 1, 5000)
    beside.warmth_k[:] = 1e-3
    field, white = silence(5000)
    _, out = nv.step(
        nv.init(field[..., 0], np.zeros(1), thermometry=True), field, white, beside.mixing, beside.warmth_k
    )
    assert out.reading.field_pt[0, 0, -1] == pytest.approx(-1000.0 * MAGNET[0], rel=0.01)


def test_a_cold_nv_sensor_warms_by_its_own_microwaves_and_its_magnet_behind_it() -> None:
    nv = Nv(warming_s=1.0, magnet_s=0.5)
    field, white = silence(5000)
    beside = around(1, 1, 5000)
    state = nv.init(field[..., 0], np.zeros(1), cold=1.0, thermometry=True)
    _, out = nv.step(state, field, white, beside.mixing, beside.warmth_k)
    warmed = out.temperature_k[0, 0, -1] - out.temperature_k[0, 0, 0]
    assert warmed == pytest.approx(nv.heating_k, rel=0.01)
    assert out.reading.field_pt[0, 0, -1] == pytest.approx(nv.magnet_heating_k * nv.drift_pt_k, rel=0.01)


@pytest.mark.parametrize(
    ("kernel", "settings", "named"),
    [
        (Opm, {"bandwidth_hz": 300.0}, "bandwidth_hz"),
        (Opm, {"linewidth_pt": 6000.0}, "linewidth_pt"),
        (Opm, {"delay_s": 0.0}, "delay_s"),
        (Opm, {"skew_s": (0.01,)}, "skew_s"),
        (Opm, {"null_share": 2.0}, "null_share"),
        (Opm, {"knee_hz": 0.0}, "knee_hz"),
        (Helium, {"axes": (3,)}, "axes"),
        (Helium, {"third_axis": 0.5}, "third_axis"),
        (ScalarGradiometer, {"baseline_m": 0.0}, "baseline_m"),
        (ScalarGradiometer, {"earth_pt": (5.0, 1.0)}, "earth_pt"),
        (Nv, {"contrast": 1.0}, "contrast"),
        (Nv, {"range_pt": 2e9}, "range_pt"),
        (Nv, {"axis_contrast": (1.0, 0.0, 1.0, 1.0)}, "axis_contrast"),
    ],
)
def test_an_impossible_sensor_is_refused_by_name(kernel: type[Kernel], settings: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        kernel(**settings)  # type: ignore[arg-type]  # one dict holds values of several types


def test_the_two_nv_presets_have_the_noise_that_was_published() -> None:
    sizes = {name: DEVICES[name].head.kernel.noise_pt for name in ("nv-open-ward", "nv-best-light-shield")}
    assert sizes["nv-open-ward"] == pytest.approx(9.0, rel=0.02)
    assert sizes["nv-best-light-shield"] == pytest.approx(0.46, rel=0.02)
