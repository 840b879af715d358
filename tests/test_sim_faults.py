"""Every fault does to the samples and packets what its name says, from its onset to its end, and is in the truth."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal
from sim_flow import Found, flowed
from sim_signals import START_NS, Run

from deploy.score import score_alarms
from device_sim.faults import CLOCK_SKEW, FAULTS, HEATER_HZ, WRONG_GAINS, Fault, warm_up_s
from device_sim.scenario import load_scenario
from device_sim.truth import FaultLine
from device_sim.wearable import MCG, PACKET_NS, REFERENCE
from ingest.packet import StateFlag

Array = NDArray[np.float64]
FROM_S, TO_S, SECONDS = 12.0, 24.0, 40.0
BEFORE, DURING, AFTER = slice(5 * 500, 11 * 500), slice(13 * 500, 23 * 500), slice(30 * 500, 39 * 500)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One patient per fault."""
    path = tmp_path_factory.mktemp("faults") / "faults.toml"
    span = f"from_s = {FROM_S}, for_s = {TO_S - FROM_S}"
    tables = [f'[[patients]]\nfaults = [{{ fault = "{name}", {span} }}]\n' for name in FAULTS]
    path.write_text('about = "One patient per fault."\n' + "".join(tables))
    return Run(str(path), patients=len(FAULTS), seconds=SECONDS)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same patients without faults."""
    path = tmp_path_factory.mktemp("calm") / "calm.toml"
    path.write_text('about = "calm"\n' + "[[patients]]\n" * len(FAULTS))
    return Run(str(path), patients=len(FAULTS), seconds=SECONDS)


def device_of(name: str) -> int:
    return FAULTS.index(name)


def field(run: Run, name: str, stream: int = MCG) -> Array:
    return run.signal(device_of(name), stream)


def density(values: Array) -> tuple[Array, Array]:
    f, power = signal.welch(signal.detrend(values), fs=500.0, nperseg=1000)
    return f, np.sqrt(power.mean(axis=0))


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_in_the_truth_with_onset_and_end(run: Run, name: str) -> None:
    (line,) = [line for line in run.truth if isinstance(line, FaultLine) and line.fault == name]
    assert (line.from_ns - START_NS, line.to_ns - START_NS) == (FROM_S * 1e9, TO_S * 1e9)
    assert line.device == run.fleet.births[device_of(name)].device


# The birth of a device whose calibration has expired is another one from the start, and every packet names it.
@pytest.mark.parametrize("name", [name for name in FAULTS if name != "expired-calibration"])
def test_nothing_differs_before_it_begins(run: Run, calm: Run, name: str) -> None:
    device = device_of(name)
    assert run.raw[device][: int(4 * FROM_S) - 5] == calm.raw[device][: int(4 * FROM_S) - 5]


def test_a_laser_that_hops_shifts_all_channels_at_once(run: Run, calm: Run) -> None:
    shift = field(run, "laser-step") - field(calm, "laser-step")
    assert np.all(shift[:, DURING].mean(axis=1) > 600.0)
    assert np.abs(shift[:, AFTER]).max() < 0.02


def test_a_cold_cell_hears_less_and_less_and_says_that_it_has_no_lock(run: Run, calm: Run) -> None:
    name = "cell-cooling"
    weak, strong = (np.ptp(signal.detrend(field(one, name)[:, 22 * 500 : 23 * 500]), axis=1) for one in (run, calm))
    assert np.all(weak < 0.4 * strong)
    flags = run.flags(device_of(name), MCG)
    assert not flags[4 * 23] & StateFlag.LOCKED
    assert flags[4 * 39] & StateFlag.LOCKED


def test_a_heaters_current_is_a_line(run: Run) -> None:
    values = field(run, "heater-line")
    f, during = density(values[:, DURING])
    _, before = density(values[:, BEFORE])
    line = np.argmin(np.abs(f - HEATER_HZ))
    assert during[line] > 10.0 * before[line]
    assert during[line] > 10.0 * during[line + 6]


def test_growing_one_over_f_noise_is_strongest_at_low_frequency(run: Run, calm: Run) -> None:
    f, extra = density((field(run, "flicker") - field(calm, "flicker"))[:, DURING])
    assert extra[np.argmin(np.abs(f - 1.0))] > 3.0 * extra[np.argmin(np.abs(f - 100.0))]
    floors = np.array([packet.blocks[MCG].noise_floor for packet in run.packets(device_of("flicker"))])
    assert floors[4 * 22] > 30.0 * floors[4 * 5]
    assert np.all(np.diff(floors[4 * 13 : 4 * 23]) > 0.0), "it grows, and does not step"
    early, late = (field(run, "flicker")[:, at * 500 : (at + 3) * 500] for at in (12, 20))
    base = field(calm, "flicker")
    assert (late - base[:, 20 * 500 : 23 * 500]).std() > 2.0 * (early - base[:, 12 * 500 : 15 * 500]).std()


def test_a_dead_channel_is_one_channel(run: Run, calm: Run) -> None:
    changed = np.abs(field(run, "dead-channel") - field(calm, "dead-channel"))[:, DURING].max(axis=1) > 1.0
    assert changed.tolist() == [False, True, False, False]
    assert field(run, "dead-channel")[1, DURING].std() < 0.1


def test_a_gain_step_makes_all_smaller_and_a_wrong_calibration_each_channel_differently(run: Run, calm: Run) -> None:
    for name, gains in (("gain-step", np.full(4, 0.7)), ("wrong-calibration", np.array(WRONG_GAINS))):
        ratio = field(run, name)[:, DURING].std(axis=1) / field(calm, name)[:, DURING].std(axis=1)
        np.testing.assert_allclose(ratio, gains, rtol=0.01)
        np.testing.assert_array_equal(field(run, name, REFERENCE), field(calm, name, REFERENCE))


def test_a_device_that_restarts_begins_a_new_boot_and_zeroes_itself(run: Run) -> None:
    packets = run.packets(device_of("reboot"))
    boots = [packet.boot for packet in packets]
    assert len(set(boots)) == 2
    first = boots.index(boots[-1])
    again = packets[first]
    assert (again.seq, again.blocks[MCG].first_sample) == (0, 0)
    assert TO_S - 0.5 <= (again.t0_ns - START_NS) / 1e9 <= TO_S + 0.5
    assert again.blocks[MCG].flags & StateFlag.ZEROING
    assert packets[-1].blocks[MCG].flags == StateFlag.LOCKED
    # Twelve seconds without power cost the cells 18 K: it has to warm up first, and says so.
    waking = sum(bool(packet.blocks[MCG].flags & StateFlag.ZEROING) for packet in packets[first:]) / 4.0
    assert waking == pytest.approx(warm_up_s(Fault("reboot", FROM_S, TO_S)) + 3.0, abs=0.5)
    floors = [packet.blocks[MCG].noise_floor for packet in packets[first:]]
    assert floors[0] > 1.5 * floors[-1] > 1.5 * 0.015
    reasons = [json.loads(status)["reason"] for status in run.statuses[device_of("reboot")]]
    assert any("instead of 150" in reason for reason in reasons)


def test_a_skewed_clock_runs_away_and_a_set_one_jumps(run: Run) -> None:
    for name, last_s in (("clock-skew", CLOCK_SKEW * (TO_S - FROM_S)), ("clock-step", 2.5)):
        device = device_of(name)
        packets = run.packets(device)
        off_s = np.array([packet.t0_ns for packet in packets]) - START_NS - run.fleet.phase_ns[device]
        off_s = (off_s - PACKET_NS * np.arange(len(packets))) / 1e9
        assert off_s[int(4 * TO_S) - 2] == pytest.approx(last_s, rel=0.05)
        assert off_s[0] == off_s[-1] == 0.0
        assert {packet.clock for packet in packets} == {2, 0 if name == "clock-skew" else 1}


def test_packets_are_lost_doubled_and_reordered(run: Run) -> None:
    seqs = {name: [packet.seq for packet in run.packets(device_of(name))] for name in FAULTS}
    n = int(4 * SECONDS)
    lost = set(range(n)) - set(seqs["packet-loss"])
    assert 5 <= len(lost) <= 25
    assert min(lost) >= 4 * FROM_S - 2
    assert max(lost) <= 4 * TO_S + 1
    doubled = seqs["duplication"]
    assert sorted(set(doubled)) == list(range(n))
    assert 5 <= len(doubled) - n <= 25
    swapped = seqs["reordering"]
    assert sorted(swapped) == list(range(n))
    assert 3 <= int(np.sum(np.diff(swapped) < 0)) <= 25


def test_an_expired_calibration_changes_no_sample(run: Run, calm: Run) -> None:
    np.testing.assert_array_equal(field(run, "expired-calibration"), field(calm, "expired-calibration"))


def test_a_low_battery_changes_no_sample(run: Run, calm: Run) -> None:
    assert run.raw[device_of("battery-low")] == calm.raw[device_of("battery-low")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cell-cooling", "instead of 150"),
        ("laser-step", "laser in another mode"),
        ("battery-low", "battery at 8 %"),
        ("reboot", "restarting"),
        ("saturation", "at the end of its range"),
        ("lost-lock", "lock lost"),
        ("calibrating", "listens to its own coils"),
        ("expired-calibration", "calibration expired"),
    ],
)
def test_a_device_says_what_it_knows_of_itself_and_that_it_is_over(run: Run, name: str, said: str) -> None:
    reasons = [json.loads(status)["reason"] for status in run.statuses[device_of(name)]]
    assert any(said in reason for reason in reasons)
    assert reasons[-1].startswith("locked, cells at 1")
    # Cells are warm again three quarters of a minute later.
    assert (said in reasons[-1]) == (name == "cell-cooling")


@pytest.mark.parametrize("name", ["stuck", "gain-step", "wrong-calibration", "clock-skew", "packet-loss"])
def test_a_device_says_nothing_of_what_it_cannot_know(run: Run, name: str) -> None:
    assert not run.statuses[device_of(name)]


@pytest.fixture(scope="module")
def found() -> Found:
    """The library's faults, through the whole flow."""
    return flowed("faults", len(load_scenario("faults").patients), 50.0)


def test_every_fault_runs_through_the_flow_and_is_noticed_as_the_truth_says(found: Found) -> None:
    score = score_alarms(found.truth, found.alarms, found.end_ns)
    assert (score.missed, score.false) == ([], [])
    assert score.expected == 6


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Devices of other kinds, a magnet beside each, and later each that has a heater without it."""
    path = tmp_path_factory.mktemp("others") / "others.toml"
    magnet, cold = (
        f"{{ fault = '{fault}', from_s = {from_s}, for_s = {for_s} }}"
        for fault, from_s, for_s in (("saturation", 3.0, 4.0), ("cell-cooling", 9.0, 9.0))
    )
    tables = [
        f"[[patients]]\ndevice = '{name}'\nfaults = [{magnet}{f', {cold}' if name in HEATED else ''}]\n"
        for name in OTHERS
    ]
    path.write_text("about = 'Other devices.'\n" + "".join(tables))
    return Run(str(path), patients=len(OTHERS), seconds=18.0)


HEATED = ("serf-room", "scalar-gradiometer-open-ward", "meg-cap")
OTHERS = ("serf-room", "he4-room", "scalar-gradiometer-open-ward", "nv-light-shield", "meg-cap")


@pytest.mark.parametrize("name", OTHERS)
def test_a_larger_range_takes_a_larger_field_to_saturate(others: Run, name: str) -> None:
    flags = others.flags(OTHERS.index(name), 0)
    assert flags[4 * 5] & StateFlag.SATURATED
    assert not flags[4] & StateFlag.SATURATED
    assert not flags[-1] & StateFlag.SATURATED


@pytest.mark.parametrize("name", HEATED)
def test_a_loop_holds_its_gain_when_its_signal_fades_and_the_noise_grows(others: Run, name: str) -> None:
    device = OTHERS.index(name)
    floors = [packet.blocks[0].noise_floor for packet in others.packets(device)]
    assert floors[-1] / floors[0] > 2.0
    rate = round(others.fleet.births[device].streams[0].rate_hz)
    fast = signal.butter(4, 150.0, "highpass", fs=rate, output="sos")
    noise = signal.sosfilt(fast, others.signal(device, 0))
    # Not every channel: mains and its harmonics drown some in an open ward.
    assert np.max(noise[:, -rate:].std(axis=1) / noise[:, rate : 2 * rate].std(axis=1)) > 1.8
