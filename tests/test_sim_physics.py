"""The sensors do what their declarations say, in closed form or by measurement."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from device_sim.bodies import body_lead, chances_of, random_body
from device_sim.devices import DEVICES
from device_sim.faults import Fault
from device_sim.field import half_space_lead, normal_lead, sphere_lead
from device_sim.flutter import atrial_fibrillation
from device_sim.heartvector import R_DIRECTION, heart_vectors
from device_sim.imu import Imu, ImuUnit
from device_sim.movement import field_of_movement, turned_gradient
from device_sim.physiology import Beat
from device_sim.scenario import load_scenario, script_of
from device_sim.spad import PULSE, TRANSIT_S, Spad, pulse_waves
from device_sim.thermometer import ROOM_CEL, Thermometer, off_body
from device_sim.tones import Tones, stack, upsample
from device_sim.unit import gradient_lead, random_unit
from device_sim.wearable import N_FIELD, N_MCG

Array = NDArray[np.float64]
HEART_M = np.array([0.01, -0.005, -0.08])
Q = np.array([1.0, 0.5, 0.3]) * 1e-6


def half_space_field(at: Array) -> Array:
    return np.stack([half_space_lead(HEART_M, at, np.tile(e, (len(at), 1))) @ Q for e in np.eye(3)], axis=-1)


@pytest.mark.parametrize(("moment_uam", "distance_m", "field_pt"), [(1.0, 0.08, 15.6), (2.0, 0.10, 20.0)])
def test_a_dipole_at_right_angles_gives_the_textbook_field(
    moment_uam: float, distance_m: float, field_pt: float
) -> None:
    lead = normal_lead(np.zeros(3), np.array([[distance_m, 0.0, 0.0]]))
    assert abs(lead[0] @ [0.0, moment_uam * 1e-6, 0.0]) == pytest.approx(field_pt, rel=0.005)


def test_a_dipole_that_points_at_the_surface_gives_no_field() -> None:
    sensors = np.random.default_rng(1).uniform(-0.05, 0.05, (5, 3))
    axes = np.tile([0.3, 0.4, 0.866], (5, 1))
    np.testing.assert_allclose(half_space_lead(HEART_M, sensors, axes)[:, 2], 0.0, atol=1e-6)


def test_the_half_space_field_agrees_with_biot_savart_along_the_normal() -> None:
    sensors = np.random.default_rng(2).uniform(-0.05, 0.05, (5, 3))
    np.testing.assert_allclose(half_space_field(sensors)[:, 2], normal_lead(HEART_M, sensors) @ Q, rtol=1e-12)


def test_the_half_space_field_has_neither_divergence_nor_curl() -> None:
    sensors = np.random.default_rng(3).uniform(-0.05, 0.05, (4, 3))
    h = 1e-5
    slopes = [(half_space_field(sensors + h * e) - half_space_field(sensors - h * e)) / (2 * h) for e in np.eye(3)]
    gradient = np.stack(slopes, axis=1)
    size = np.abs(gradient).max()
    np.testing.assert_allclose(np.trace(gradient, axis1=1, axis2=2) / size, 0.0, atol=1e-5)
    np.testing.assert_allclose((gradient - gradient.transpose(0, 2, 1)) / size, 0.0, atol=1e-5)


def sphere_field(source_m: Array, at: Array, moment: Array) -> Array:
    return np.stack([sphere_lead(source_m, at, np.tile(e, (len(at), 1))) @ moment for e in np.eye(3)], axis=-1)


SCALP_M = 0.105 * np.array([[0.0, -1.0, 0.0], [0.6, -0.64, 0.48], [-0.48, -0.6, 0.64]])
CORTEX_M = np.array([0.01, -0.06, 0.03])


def test_a_radial_dipole_in_a_sphere_gives_no_field_in_any_direction() -> None:
    np.testing.assert_allclose(sphere_field(CORTEX_M, SCALP_M, 1e-7 * CORTEX_M), 0.0, atol=1e-9)


def test_the_spheres_field_agrees_with_biot_savart_along_the_radius() -> None:
    away = SCALP_M - CORTEX_M
    free = 1e-7 * 1e12 * np.cross(Q, away) / np.sum(away**2, axis=-1, keepdims=True) ** 1.5
    radial = SCALP_M / np.sqrt(np.sum(SCALP_M**2, axis=-1, keepdims=True))
    np.testing.assert_allclose(
        np.sum(sphere_field(CORTEX_M, SCALP_M, Q) * radial, axis=-1), np.sum(free * radial, axis=-1), rtol=1e-10
    )


def test_the_spheres_field_has_neither_divergence_nor_curl() -> None:
    h = 1e-5
    slopes = [
        (sphere_field(CORTEX_M, SCALP_M + h * e, Q) - sphere_field(CORTEX_M, SCALP_M - h * e, Q)) / (2 * h)
        for e in np.eye(3)
    ]
    gradient = np.stack(slopes, axis=1)
    size = np.abs(gradient).max()
    np.testing.assert_allclose(np.trace(gradient, axis1=1, axis2=2) / size, 0.0, atol=1e-5)
    np.testing.assert_allclose((gradient - gradient.transpose(0, 2, 1)) / size, 0.0, atol=1e-5)


def test_a_sphere_as_large_as_the_earth_is_a_half_space() -> None:
    centre = np.array([0.0, 0.0, -6.4e6])
    sensors = np.random.default_rng(8).uniform(-0.05, 0.05, (5, 3))
    axes = np.tile([0.6, 0.0, 0.8], (5, 1))
    flat = half_space_lead(HEART_M, sensors, axes)
    # A small dipole far from the centre: figures of 10^6 m and of 10^-2 m meet, so not to the last digit.
    np.testing.assert_allclose(
        sphere_lead(HEART_M - centre, sensors - centre, axes), flat, atol=1e-3 * np.abs(flat).max()
    )


def test_a_source_in_the_middle_of_the_sphere_is_silent() -> None:
    np.testing.assert_allclose(sphere_field(np.zeros(3), SCALP_M, Q), 0.0, atol=1e-12)


def test_the_best_channel_sees_the_r_peak_that_was_asked_for_and_the_reference_little() -> None:
    script = script_of(load_scenario("quiet"), 0)
    for index in range(5):
        head, chances = DEVICES["reference"].head, chances_of(3, index)
        lead = body_lead(head, random_unit(chances.unit, head), random_body(chances.body, script, 50.0))
        peaks = np.abs(lead[:, :3].reshape(N_FIELD, 3, 3)[:, 0] @ R_DIRECTION)
        assert peaks[:N_MCG].max() == pytest.approx(50.0, rel=0.08)
        assert peaks[N_MCG:].max() < 0.25 * 50.0


@pytest.mark.parametrize(("rate_cps", "dead_time_s"), [(2e3, 1e-9), (5e7, 1e-9), (5e7, 28.5e-9)])
def test_photon_counts_have_mean_and_variance_of_a_counter_with_dead_time(rate_cps: float, dead_time_s: float) -> None:
    spad = Spad(dead_time_s=dead_time_s, dark_cps=0.0, afterpulse=0.0)
    counts = spad.count(np.full((1, 1, 40_000), rate_cps), [np.random.default_rng(6)])
    busy = 1.0 + rate_cps * dead_time_s
    assert counts.mean() == pytest.approx(rate_cps * 0.01 / busy, rel=0.002)
    assert counts.var() / counts.mean() == pytest.approx(busy**-2, rel=0.03)


def test_photon_counts_are_those_of_a_counter_simulated_event_by_event() -> None:
    rng = np.random.default_rng(9)
    rate_cps, dead_s, bin_s, p, n_bins = 2e7, 20e-9, 20e-6, 0.05, 20_000
    # From one registered photon to the next: the dead time, then an exponential wait.
    times = np.cumsum(dead_s + rng.exponential(1.0 / rate_cps, int(1.02 * n_bins * bin_s * rate_cps)))
    true = np.bincount((times / bin_s).astype(np.int64))[: n_bins - 1].astype(np.float64)
    true += rng.binomial(true.astype(np.int64), p)
    spad = Spad(bin_s=bin_s, dead_time_s=dead_s, dark_cps=0.0, afterpulse=p)
    drawn = spad.count(np.full((1, 1, n_bins), rate_cps), [rng])[0, 0]
    for counts in (true, drawn):
        assert counts.mean() == pytest.approx(spad.mean_cps(rate_cps) * bin_s, rel=0.002)
        assert counts.var() / counts.mean() == pytest.approx(spad.fano(rate_cps), rel=0.04)


def test_one_wavelength_leaks_a_little_into_its_neighbour() -> None:
    rates = np.array([1e8, 0.0, 0.0])[None, :, None].repeat(200, axis=2)
    counts = Spad(dark_cps=0.0, dead_time_s=0.0, leak=0.01).count(rates, [np.random.default_rng(10)]).mean(axis=-1)[0]
    assert counts[1] / counts[0] == pytest.approx(0.01 / 0.99, rel=0.01)
    assert counts[2] == 0.0


def test_an_accelerometer_has_its_bandwidth_delay_noise_range_and_misalignment() -> None:
    imu = Imu(noise_ms2=0.0)
    unit = ImuUnit(np.array([[[1.01, 0.0, 0.0], [0.02, 1.0, 0.0], [0.0, 0.0, 1.0]]]), np.array([[0.0, 0.0, 0.3]]))
    t = np.arange(5200) / 52.0
    for frequency_hz, gain in ((0.5, 1.0), (13.0, np.sqrt(0.5))):
        true = np.zeros((1, 3, 5200))
        true[0, 0] = np.sin(2.0 * np.pi * frequency_hz * t)
        _, seen = imu.step(imu.init(true[..., 0], unit), true, np.zeros_like(true), unit)
        spectrum = seen[0, :, 2600:] @ np.exp(-2j * np.pi * frequency_hz * t[2600:]) / 1300.0
        np.testing.assert_allclose(np.abs(spectrum[:2]), np.array([1.01, 0.02]) * gain, rtol=0.003)
        if frequency_hz < 1.0:
            late_s = -(np.angle(spectrum[0]) + np.pi / 2.0) / (2.0 * np.pi * frequency_hz)
            assert late_s == pytest.approx(imu.path.total_delay_s(0), abs=1e-4)
    assert seen[0, 2].mean() == pytest.approx(0.3)
    true[:] = 100.0
    _, seen = imu.step(imu.init(true[..., 0], unit), true, np.zeros_like(true), unit)
    assert seen.max() == imu.range_ms2


def test_a_thermometer_follows_with_the_time_constant_of_its_contact_and_its_error_stays() -> None:
    thermometer = Thermometer(noise_cel=0.0, contact_s=5.0)
    skin = np.concatenate([np.full(10, 30.0), np.full(200, 31.0)])[None]
    _, seen = thermometer.step(thermometer.init(skin[:, 0]), skin, np.zeros_like(skin), np.array([0.2]))
    assert seen[0, 9] == pytest.approx(30.2)
    assert seen[0, 10 + 4] == pytest.approx(31.2 - np.exp(-1.0), abs=1e-6)
    assert seen[0, -1] == pytest.approx(31.2)


def test_a_turn_in_a_remnant_field_and_a_shift_in_its_gradient_are_artefacts() -> None:
    turn, shift = np.zeros((1, 3, 1)), np.zeros((1, 3, 1))
    turn[0, 1], shift[0, 2] = np.radians(10.0), 0.01
    still = np.zeros((1, 3, 1))
    field = np.array([[0.0, 0.0, 2000.0]])
    gradient = 1000.0 * np.diag([-0.5, -0.5, 1.0])[None]
    assert abs(field_of_movement(field, gradient, turn, still)[0, 0, 0]) == pytest.approx(347.3, rel=0.001)
    assert field_of_movement(field, gradient, still, shift)[0, 2, 0] == pytest.approx(10.0)
    moved = field[..., None] + field_of_movement(field, 0.0 * gradient, turn, still)
    assert np.sqrt(np.sum(moved**2)) == pytest.approx(2000.0)


def test_a_gradient_is_turned_as_its_field_is() -> None:
    rng = np.random.default_rng(13)
    raw = rng.standard_normal((2, 3, 3))
    gradient, turn, place = raw + raw.transpose(0, 2, 1), rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 3, 1))
    seen = np.einsum("nijt,njt->nit", turned_gradient(gradient[..., None], turn), place + 0.0 * turn)
    # The same by hand: the place as the world has it, the field there, and that field as the device has it.
    still = np.zeros((2, 3, 3))
    for t in range(5):
        now = turn[..., t : t + 1]
        there = place + field_of_movement(place[..., 0], still, -now, 0.0 * now)
        field = np.matmul(gradient, there)
        by_hand = field + field_of_movement(field[..., 0], still, now, 0.0 * now)
        np.testing.assert_allclose(seen[..., t : t + 1], by_hand, atol=1e-12)


def test_the_two_cells_of_a_gradiometer_see_what_the_gradient_makes_along_its_baseline() -> None:
    for name, per_channel in (("scalar-gradiometer-open-ward", 6), ("reference", 3)):
        head = DEVICES[name].head
        lead = gradient_lead(head, random_unit(np.random.default_rng(14), replace(head, tilt_rad=0.0)))
        if per_channel == 3:
            assert lead.shape[1] == 0
            continue
        gradient = 1000.0 * np.diag([-0.5, -0.5, 1.0])
        cells = (lead @ gradient.ravel()).reshape(head.n_all, per_channel)
        np.testing.assert_allclose(cells[:, 3] - cells[:, 0], 30.0)


def test_a_pulse_rises_one_transit_time_after_the_r_peak() -> None:
    wave = pulse_waves([(0, Beat(0.1, "N", 1.0, atrial=True), 1.0)], np.zeros(1), 100, 100.0)[0]
    assert np.argmax(wave) / 100.0 == pytest.approx(0.1 + TRANSIT_S + PULSE[0][0], abs=0.011)
    assert wave[: int(100 * (0.1 + TRANSIT_S))].max() < 0.06


def test_waves_do_not_depend_on_where_a_chunk_is_cut() -> None:
    beats = [(0, Beat(t, kind, 0.8, atrial=True)) for t, kind in ((0.3, "N"), (1.05, "V"), (1.9, "N"))]  # type: ignore[arg-type]  # the literals widen to str
    whole = heart_vectors(beats, np.zeros((1, 3)), np.zeros(1), 1000, 500.0)
    halves = [heart_vectors(beats, np.zeros((1, 3)), np.array([start]), 500, 500.0) for start in (0.0, 1.0)]
    np.testing.assert_allclose(whole, np.concatenate(halves, axis=-1), atol=1e-9)


def test_the_r_peak_of_a_beat_lies_where_the_truth_says() -> None:
    vector = heart_vectors([(0, Beat(0.5, "N", 0.9, atrial=True))], np.zeros((1, 3)), np.zeros(1), 500, 500.0)[0]
    along = R_DIRECTION @ vector[:3]
    assert abs(int(np.argmax(along)) - 250) <= 1


def test_the_vectors_of_a_beat_point_where_franks_leads_have_them() -> None:
    vector = heart_vectors([(0, Beat(0.5, "N", 0.9, atrial=True))], np.zeros((1, 3)), np.zeros(1), 600, 500.0)[0, :3]
    to_the_left, up, to_the_front = vector
    septum, main, end, t_wave = 235, 250, 265, 387
    assert to_the_left[septum] < 0.0 < to_the_front[septum]
    assert to_the_left[main] > 0.0 > up[main]
    assert to_the_front[main] < 0.0, "the main vector of QRS points to the back"
    assert to_the_left[end] < 0.0 < up[end]
    assert to_the_front[end] < 0.0
    assert to_the_left[t_wave] > 0.0 > up[t_wave]
    assert to_the_front[t_wave] > 0.0


def test_f_waves_lie_between_4_and_9_hz() -> None:
    t = np.arange(30_000) / 500.0
    f, power = signal.welch(atrial_fibrillation(t, 6.0, 0.0)[0], fs=500.0, nperseg=5000)
    assert power[(f >= 4.0) & (f <= 9.0)].sum() > 0.75 * power.sum()


def test_knots_are_joined_by_straight_lines() -> None:
    np.testing.assert_allclose(upsample(np.array([[0.0, 1.0, 3.0]]), 2), [[0.0, 0.5, 1.0, 2.0]])


def test_a_device_taken_off_cools_towards_the_room_and_warms_again() -> None:
    t = np.array([0.0, 10.0, 500.0, 2000.0])
    readings = off_body(np.full(4, 35.0), t, Fault("off-body", 5.0, 600.0))
    assert readings[0] == 35.0
    assert readings[1] < 35.0
    assert readings[2] == pytest.approx(ROOM_CEL, abs=0.2)
    assert readings[3] == pytest.approx(35.0, abs=0.01)


def test_tones_are_rows_of_equal_size() -> None:
    row = Tones(np.ones(3), np.ones(3), np.zeros(3))
    assert stack([row, row]).frequency_hz.shape == (2, 3)


def test_p_waves_come_from_the_atria_and_all_else_from_the_ventricles() -> None:
    beat = [(0, Beat(0.5, "N", 0.9, atrial=True))]
    ventricles, atria = np.split(heart_vectors(beat, np.zeros((1, 3)), np.zeros(1), 500, 500.0)[0], 2)
    assert np.argmax(np.abs(atria).max(axis=0)) / 500.0 == pytest.approx(0.5 - 0.160 * 0.9**0.5, abs=0.004)
    assert np.abs(atria[:, 240:]).max() < 1e-3
    assert np.abs(ventricles[:, 150:200]).max() < 1e-6
    head, chances = DEVICES["reference"].head, chances_of(3, 0)
    body = random_body(chances.body, script_of(load_scenario("quiet"), 0), 50.0)
    lead = body_lead(head, random_unit(chances.unit, head), body)
    assert lead.shape[1] == 6
    # The atria lie elsewhere: no channel sees them as it sees the ventricles.
    assert np.abs(lead[:, 3:] - lead[:, :3]).max() > 0.1 * np.abs(lead).max()
