"""The lanes of what surrounds the heart's signal: how the wearer moves, how warm the skin is."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from anomaly import apnoea, motion, thermal
from anomaly.repair import Repair, RepairState
from anomaly.slow import SlowRing, SlowState
from dataflows import breathing, estimates, tree
from dataflows.cardiac_second import AS_OF_LAG_NS
from dataflows.estimates import BoolArray, FloatArray, IntArray
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns

THERMAL_HOLD_NS = 3 * SECOND_NS  # a temperature is taken once a second: the newest holds a little longer


class MotionState(NamedTuple):
    """Kernels and the newest block's movement; one row per device."""

    repair: RepairState
    motion: motion.MotionState
    slow: SlowState
    seen: IntArray  # samples
    end_ns: IntArray
    still: BoolArray
    moving: BoolArray


@dataclass(frozen=True)
class Motion:
    """Lane of an accelerometer in m/s2."""

    rate_hz: float
    block_len: int
    parts: tuple[Part, ...]

    kind = "motion"

    @cached_property
    def repair(self) -> Repair:
        """Stands first: one NaN would stay in a filter for good."""
        return Repair()

    @cached_property
    def motion(self) -> motion.Motion:
        """Measures the movement."""
        return motion.Motion(self.rate_hz)

    @cached_property
    def slow(self) -> SlowRing:
        """Keeps how breath tilts the chest."""
        return SlowRing(self.rate_hz)

    def init(self, first: FloatArray, t0_ns: IntArray) -> MotionState:
        """Nothing seen yet."""
        repair = self.repair.init(first)
        _, whole = self.repair.step(repair, first)
        no, zero = np.zeros(len(first), np.bool_), np.zeros(len(first), np.int64)
        return MotionState(repair, self.motion.init(whole.block), self.slow.init(whole.block), zero, t0_ns, no, no)

    def step(self, state: MotionState, block: FloatArray, t0_ns: IntArray, flags: IntArray) -> MotionState:  # noqa: ARG002 - a lane's signature
        """Take a block of shape (n, n_axes, block_len)."""
        repair, whole = self.repair.step(state.repair, block)
        inner, out = self.motion.step(state.motion, whole.block)
        slow, _ = self.slow.step(state.slow, whole.block)
        seen = state.seen + self.block_len
        return MotionState(repair, inner, slow, seen, t0_ns + block_ns(self), out.still, out.moving)

    def estimate(self, state: MotionState, end_ns: IntArray) -> estimates.Motion:
        """Tell how the newest block moved."""
        present = state.end_ns > end_ns - SECOND_NS
        as_of = np.minimum(end_ns, state.end_ns) - AS_OF_LAG_NS
        own_bpm = (0.0,) * sum(part.n_channels for part in self.parts)
        said, n_series = breathing.heard(partial(self._series, state, as_of), own_bpm, present, end_ns)
        end = state.seen - (state.end_ns - as_of) * (self.rate_hz / SECOND_NS)
        swing = apnoea.swing(self.slow.window(state.slow, end, apnoea.SWING_S))
        return estimates.Motion(
            present=present,
            still=state.still & present,
            moving=state.moving & present,
            swing=np.where(present, swing, np.nan),
            breath=said,
            breath_series=n_series,
        )

    def _series(self, state: MotionState, as_of_ns: IntArray, rows: IntArray) -> FloatArray:
        """What breath may move in some rows: each axis."""
        part = tree.take(state, rows)
        end = part.seen - (part.end_ns - as_of_ns[rows]) * (self.rate_hz / SECOND_NS)
        return self.slow.window(part.slow, end)


class ThermalState(NamedTuple):
    """The kernel and its newest reading; one row per device."""

    thermal: thermal.ThermalState
    end_ns: IntArray
    value: FloatArray
    u: FloatArray
    fall: FloatArray
    raw: FloatArray


@dataclass(frozen=True)
class Thermal:
    """Lane of a skin thermometer in Cel."""

    rate_hz: float
    block_len: int
    parts: tuple[Part, ...]

    kind = "thermal"

    @cached_property
    def thermal(self) -> thermal.Thermal:
        """Takes the median."""
        return thermal.Thermal(self.rate_hz)

    def init(self, first: FloatArray, t0_ns: IntArray) -> ThermalState:
        """Nothing read yet."""
        unknown = np.full(len(first), np.nan)
        return ThermalState(self.thermal.init(first), t0_ns, unknown, unknown, unknown, unknown)

    def step(self, state: ThermalState, block: FloatArray, t0_ns: IntArray, flags: IntArray) -> ThermalState:  # noqa: ARG002 - a lane's signature
        """Take a block of shape (n, 1, block_len)."""
        inner, out = self.thermal.step(state.thermal, block)
        return ThermalState(inner, t0_ns + block_ns(self), out.value, out.u, out.fall, out.raw)

    def estimate(self, state: ThermalState, end_ns: IntArray) -> estimates.Thermal:
        """Tell the newest reading while it is young."""
        here = state.end_ns > end_ns - THERMAL_HOLD_NS

        def young(value: FloatArray) -> FloatArray:
            return np.where(here, value, np.nan)

        return estimates.Thermal(here, young(state.value), young(state.u), young(state.raw), young(state.fall))
