"""Faults that the sensors' own noise gives away: each is named, none is seen in hearts and movement."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from anomaly.sensor_faults import SensorFault, SensorFaultState, SensorFaultWatch
from deploy.evaluate.played import played

Array = NDArray[np.float64]
RATE_HZ, BLOCK = 500.0, 125
KERNEL = SensorFaultWatch(RATE_HZ, BLOCK)
CHANNELS = 5


def sensors(n: int, seconds: float, seed: int = 0) -> Array:
    """Fields in pT: a heart, mains and white noise of 15 fT / sqrt(Hz)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    heart = 50.0 * np.exp(-0.5 * ((t % 0.85 - 0.3) / 0.012) ** 2) + 12.0 * np.exp(
        -0.5 * ((t % 0.85 - 0.55) / 0.05) ** 2
    )
    share = np.linspace(1.0, -0.4, CHANNELS)[:, None]
    noise = 0.015 * np.sqrt(RATE_HZ / 2.0) * rng.standard_normal((n, CHANNELS, len(t)))
    fields: Array = share * heart + 5.0 * np.sin(2.0 * np.pi * 50.0 * t) + 300.0 + noise
    return fields


def named(x: Array, fit: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """What is named after each block, shape (n, n_blocks)."""
    state, found = KERNEL.init(len(x), CHANNELS), []
    for k in range(x.shape[-1] // BLOCK):
        ok = np.ones(len(x), np.bool_) if fit is None else fit[:, k]
        state, fault = KERNEL.step(state, np.ascontiguousarray(x[..., k * BLOCK : (k + 1) * BLOCK]), ok)
        found.append(fault)
    return np.stack(found, axis=-1)


def broken(fault: SensorFault, x: Array, rng: np.random.Generator) -> Array:
    """The same with a fault."""
    t = np.arange(x.shape[-1]) / RATE_HZ
    white: Array = rng.standard_normal(x.shape) * np.sqrt(RATE_HZ / 2.0)
    match fault:
        case SensorFault.DEAD_CHANNEL:
            dead = x.copy()
            dead[:, 2] = 0.02 * rng.standard_normal(x[:, 2].shape)
            return dead
        case SensorFault.NOISE:
            noisy: Array = x + 1.5 * white
            return noisy
        case SensorFault.FLICKER:
            spectrum = np.fft.rfft(white, axis=-1)
            hz = np.fft.rfftfreq(x.shape[-1], 1.0 / RATE_HZ)
            slow: Array = x + np.fft.irfft(
                0.3 * spectrum * np.sqrt(1.0 + 40.0 / np.maximum(hz, 0.5)), x.shape[-1], axis=-1
            )
            return slow
        case SensorFault.LINE:
            line: Array = x + 25.0 * np.sin(2.0 * np.pi * 23.0 * t)
            return line
        case SensorFault.CALIBRATION:
            scaled: Array = x * np.array([1.25, 0.8, 1.12, 0.7, 1.25])[:, None]
            return scaled
        case _:
            less: Array = 0.7 * x
            return less


@pytest.mark.parametrize("fault", [fault for fault in SensorFault if fault])
def test_a_fault_is_named_within_five_seconds_and_over_soon_after_its_end(fault: SensorFault) -> None:
    well = sensors(20, 60.0, seed=1)
    begin, end = round(25.0 * RATE_HZ), round(45.0 * RATE_HZ)
    x = well.copy()
    x[..., begin:end] = broken(fault, well[..., begin:end], np.random.default_rng(2))
    found = named(x)
    at = np.arange(found.shape[1]) * BLOCK / RATE_HZ + BLOCK / RATE_HZ
    assert (found[:, at <= 25.0] == 0).all()
    during = found[:, (at > 30.0) & (at <= 45.0)]
    assert (during == fault).mean() > 0.97
    assert (during > 0).all()
    assert (found[:, at > 55.0] == 0).mean() > 0.97


def test_nothing_is_named_of_a_sensor_that_is_well() -> None:
    x = sensors(30, 120.0, seed=3)
    t = np.arange(x.shape[-1]) / RATE_HZ
    x[:10] += 350.0 * np.sin(2.0 * np.pi * 0.3 * t) + 40.0 * np.sin(2.0 * np.pi * 1.8 * t)  # walks in a gradient
    x[10:20] += 30.0 * np.sin(2.0 * np.pi * 5.5 * t + 3.0 * np.sin(2.0 * np.pi * 0.4 * t))  # a fibrillating heart
    x[20:25, :, round(60.0 * RATE_HZ) :] += 800.0  # a step of the field
    assert (named(x) == 0).all()


def test_nothing_is_judged_or_learned_while_a_sensor_does_not_measure() -> None:
    x = sensors(4, 50.0, seed=4)
    fit = np.ones((4, x.shape[-1] // BLOCK), np.bool_)
    begin, end = 100, 120
    fit[:, begin:end] = False
    x[..., begin * BLOCK : end * BLOCK] = 5000.0
    assert (named(x, fit) == 0).all()


def test_of_blocks_too_short_for_a_spectrum_nothing_is_judged() -> None:
    short = SensorFaultWatch(250.0, 10)
    assert not short.able
    state, found = short.step(short.init(2, 1), np.zeros((2, 1, 10)), np.ones(2, np.bool_))
    assert found.tolist() == [0, 0]
    assert isinstance(state, SensorFaultState)


def test_a_row_alone_is_as_in_the_bank_and_nothing_is_written_to() -> None:
    x = sensors(3, 30.0, seed=5)
    x[1, :, 10_000:] *= 0.7
    together = named(x)
    for row in range(3):
        assert np.array_equal(named(x[row : row + 1])[0], together[row])
    state, block, fit = KERNEL.init(3, CHANNELS), x[..., :BLOCK], np.ones(3, np.bool_)
    before = pickle.dumps((state, block, fit))
    new, _ = KERNEL.step(state, block, fit)
    assert pickle.dumps((state, block, fit)) == before
    assert isinstance(pickle.loads(pickle.dumps(new)), SensorFaultState)  # noqa: S301 - our own


def test_the_flow_tells_of_a_fault_in_words_and_of_nothing_physiological(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(
        'about = "two faults"\n'
        + "".join(
            f'[[patients]]\nrate_bpm = 72.0\nfaults = [{{ fault = "{fault}", from_s = 20.0, for_s = 12.0 }}]\n'
            for fault in ("dead-channel", "heater-line")
        )
    )
    found = played(str(scenario), 2, 34.0)
    begin_ns = min(line.from_ns for line in found.truth.patients.values()) + 20 * 10**9
    told = [event for event in found.alarms if event.condition == "sensor-fault" and event.state == "active"]
    assert sorted(event.reason.split(":")[0] for event in told) == [
        "a channel of the sensor is dead",
        "a line that is no mains is in the sensor, such as its heater's current",
    ]
    assert all(0 < event.onset_ns - begin_ns < 6 * 10**9 for event in told)
    assert not [event for event in found.alarms if event.category == "physiological"]
