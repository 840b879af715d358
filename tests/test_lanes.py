"""Lanes keep the laws of kernels as wholes: from the bytes of a packet to the estimate of a second."""

from typing import Any, NamedTuple

import laws
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray
from wire import ECG, T0_NS, beating, birth_of

from dataflows import tree
from dataflows.cardiac import Cardiac
from dataflows.lane import Group, Lane, Part, Spoke, block_ns
from dataflows.lanes import lanes_of
from dataflows.neural import Neural
from dataflows.optical import Optical
from dataflows.surface import Motion, Thermal
from ingest.profile import StreamProfile

Array = NDArray[np.float64]

CARDIAC = Cardiac(500.0, 125, Part("i4", 4), Part("i4", 3), range_=5000.0)
LANES: dict[str, Lane] = {
    "cardiac": CARDIAC,
    "cardiac-alone": Cardiac(250.0, 62, Part("i2", 1), Part("i2", 0)),
    "optical": Optical(100.0, 25, (Part("i4", 3),)),
    "motion": Motion(52.0, 13, (Part("i2", 3),)),
    "thermal": Thermal(1.0, 1, (Part("f4", 1),)),
    "neural": Neural(300.0, 75, Part("i3", 3), Part("i3", 2)),
}


class Clocked(NamedTuple):
    lane: Any
    t0_ns: NDArray[np.int64]


class AsKernel:
    """A lane as a kernel: time goes on from block to block, the output is the estimate."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane

    def init(self, first: Array) -> Clocked:
        t0_ns = np.full(len(first), T0_NS)
        return Clocked(self.lane.init(first, t0_ns), t0_ns)

    def step(self, state: Clocked, block: Array) -> tuple[Clocked, Any]:
        flags = np.ones(len(block), np.int64)
        lane = self.lane.step(state.lane, block, state.t0_ns, flags)
        t0_ns = state.t0_ns + block_ns(self.lane)
        return Clocked(lane, t0_ns), self.lane.estimate(lane, t0_ns)


def blocks_of(name: str, n_rows: int = 5, n_blocks: int = 32) -> list[Array]:
    """Something like what the lane is made for, another one in each row, with a hole of NaN in one."""
    lane, rng = LANES[name], np.random.default_rng(7)
    n_channels = sum(part.n_channels for part in lane.parts)
    n = n_blocks * lane.block_len
    x = rng.normal(0.0, 0.3, (n_rows, n_channels, n))
    for row in range(n_rows):
        heart = beating(n_blocks * block_ns(lane) / 1e9 + 1.0, 60.0 + 17 * row, seed=row)
        rate_hz = lane.block_len / (block_ns(lane) / 1e9)
        heart = np.interp(np.arange(n) / rate_hz, np.arange(len(heart)) / 500.0, heart)
        match name:
            case "cardiac" | "cardiac-alone":
                n_heart = lane.parts[0].n_channels
                x[row, :n_heart] += np.linspace(1.0, 0.3, n_heart)[:, None] * heart
                x[row, n_heart:] *= 10.0  # references hear the surroundings, not the heart
            case "optical":
                x[row] = np.rint(1e5 * np.exp(-0.0004 * heart) + 100.0 * x[row])
            case "motion":
                x[row] += np.array([0.0, 0.0, 9.81])[:, None]
            case "thermal":
                x[row] = 34.0 + 0.1 * x[row]
    x[1, 0, n // 2 : n // 2 + 2] = np.nan
    return [np.ascontiguousarray(block) for block in np.split(x, n_blocks, axis=-1)]


@pytest.mark.parametrize("name", LANES)
def test_a_row_alone_equals_the_row_in_a_bank(name: str) -> None:
    laws.a_row_alone_equals_the_row_in_a_bank(AsKernel(LANES[name]), blocks_of(name))


@pytest.mark.parametrize("name", LANES)
def test_gathering_rows_between_steps_changes_nothing(name: str) -> None:
    laws.gathering_rows_between_steps_changes_nothing(AsKernel(LANES[name]), blocks_of(name))


@pytest.mark.parametrize("name", LANES)
def test_a_step_writes_to_no_argument(name: str) -> None:
    laws.a_step_writes_to_no_argument(AsKernel(LANES[name]), blocks_of(name))


@pytest.mark.parametrize("name", LANES)
def test_state_survives_a_snapshot(name: str) -> None:
    kernel, blocks = AsKernel(LANES[name]), blocks_of(name)
    state, _ = laws.run(kernel, blocks[:10])
    restored = tree.decode(kernel.init(blocks[0]), tree.encode(state))
    assert not isinstance(restored, tree.Mismatch)
    for block in blocks[10:]:
        state, out = kernel.step(state, block)
        restored, again = kernel.step(restored, block)
        laws.same(again, out)


@pytest.mark.parametrize("n_joined", [2, 4])
def test_beats_do_not_depend_on_the_length_of_packets(n_joined: int) -> None:
    whole = np.array([0, 2, 3, 4])  # how much a block with a hole is trusted does depend on its length
    blocks = [block[whole] for block in blocks_of("cardiac")]
    longer = Cardiac(500.0, 125 * n_joined, Part("i4", 4), Part("i4", 3), range_=5000.0)
    joined = [np.concatenate(blocks[i : i + n_joined], axis=-1) for i in range(0, len(blocks), n_joined)]
    short, _ = laws.run(AsKernel(CARDIAC), blocks)
    long, _ = laws.run(AsKernel(longer), joined)
    assert np.count_nonzero(short.lane.ring.times_ns) > 20
    laws.same(long.lane.ring.times_ns, short.lane.ring.times_ns)
    laws.same(long.lane.strip, short.lane.strip)


def test_a_group_takes_bytes_bridges_what_is_missing_and_keeps_silent_rows() -> None:
    lane = Cardiac(250.0, 10, Part("i2", 1), Part("i2", 0))
    group = Group(lane)
    samples = (np.arange(10, dtype="<i2").tobytes(),)

    def spoke(key: str, t0_ns: int, *, bridged: int = 0) -> Spoke:
        return Spoke(key, samples, (0.5,), t0_ns, flags=1, fresh=False, bridged=bridged)

    group.step([spoke("a", 0), spoke("b", 0)])
    before = group.bank.take(["b"])
    group.step([spoke("a", 3 * block_ns(lane), bridged=2)])
    laws.same(group.bank.take(["b"]), before)
    state = group.bank.take(["a"])
    assert state.end_ns.tolist() == [4 * block_ns(lane)]
    assert state.seen.tolist() == [4 * 10]


def test_a_device_has_the_lanes_of_its_streams_and_no_others() -> None:
    slow = StreamProfile(
        name="slow", kind="mcg", sensor="opm-serf", rate_hz=10.0, n_channels=1, unit="pT", dtype="i2", block_len=5
    )
    meg = StreamProfile(
        name="meg", kind="meg", sensor="opm-serf", rate_hz=1000.0, n_channels=1, unit="pT", dtype="i2", block_len=5
    )
    light = replace(slow, name="light", kind="ppg")
    assert [lane.kind for lane, _ in lanes_of(birth_of("w", None, streams=(ECG, meg)))] == ["cardiac", "neural"]
    assert lanes_of(birth_of("w", None, streams=(slow, light))) == []
