"""The optical lane: pulses out of photon counts."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anomaly import intervals
from anomaly.intervals import BeatRing
from anomaly.pulse import PulseDetector, PulseState
from anomaly.repair import Repair, RepairState
from dataflows import estimates
from dataflows.cardiac import AS_OF_LAG_NS
from dataflows.estimates import FloatArray, IntArray
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns, times_of

KEPT_PULSES = 32
TIMING_U_MS = 10.0  # of a pulse: one sample at 100 Hz
YOUNG_NS = 3 * SECOND_NS  # light counts as a patient's light while a pulse in it is so young
FOLLOW = 0.05  # share by which the remembered light follows, per block


class OpticalState(NamedTuple):
    """Kernels, the ring of pulses, and the light; one row per device."""

    repair: RepairState
    pulse: PulseState
    ring: BeatRing
    start_ns: IntArray
    end_ns: IntArray
    seen: IntArray
    light: FloatArray  # counts per sample of the newest block, all wavelengths
    lit: FloatArray  # the same while there was a pulse; NaN: there was none yet


@dataclass(frozen=True)
class Optical:
    """Lane of a photoplethysmogram.

    Parameters
    ----------
    rate_hz, block_len
        Of the stream.
    parts : tuple of Part
        The stream.
    """

    rate_hz: float
    block_len: int
    parts: tuple[Part, ...]

    kind = "optical"

    @cached_property
    def repair(self) -> Repair:
        """Stands first: one NaN would stay in a filter for good."""
        return Repair()

    @cached_property
    def pulse(self) -> PulseDetector:
        """Finds the pulses."""
        return PulseDetector(self.rate_hz)

    def init(self, first: FloatArray, t0_ns: IntArray) -> OpticalState:
        """Nothing seen yet."""
        n = len(first)
        repair = self.repair.init(first)
        _, whole = self.repair.step(repair, first)
        return OpticalState(
            repair=repair,
            pulse=self.pulse.init(whole.block),
            ring=intervals.empty(n, KEPT_PULSES),
            start_ns=t0_ns,
            end_ns=t0_ns,
            seen=np.zeros(n, np.int64),
            light=np.zeros(n),
            lit=np.full(n, np.nan),
        )

    def step(self, state: OpticalState, block: FloatArray, t0_ns: IntArray, flags: IntArray) -> OpticalState:  # noqa: ARG002 - a lane's signature
        """Take a block of counts."""
        repair, whole = self.repair.step(state.repair, block)
        pulse, found = self.pulse.step(state.pulse, whole.block)
        at_ns = times_of(self, found.at, state.seen, t0_ns)
        ring = intervals.push(state.ring, at_ns, np.nan_to_num(found.quality))
        end_ns = t0_ns + block_ns(self)
        light = found.dc.sum(axis=-1)
        beating = (end_ns - ring.times_ns[:, -1] <= YOUNG_NS) & (ring.quality[:, -1] >= 0.5)
        followed = np.where(np.isnan(state.lit), light, state.lit + FOLLOW * (light - state.lit))
        return OpticalState(
            repair=repair,
            pulse=pulse,
            ring=ring,
            start_ns=state.start_ns,
            end_ns=end_ns,
            seen=state.seen + self.block_len,
            light=light,
            lit=np.where(beating, followed, state.lit),
        )

    def estimate(self, state: OpticalState, end_ns: IntArray) -> estimates.Optical:
        """Tell what was known `AS_OF_LAG_NS` before the end of a second."""
        here = state.end_ns > end_ns - SECOND_NS
        as_of = np.minimum(end_ns, state.end_ns) - AS_OF_LAG_NS
        rate = intervals.summary(state.ring, as_of, TIMING_U_MS, state.start_ns)
        return estimates.Optical(
            present=here,
            pulse=np.where(here, rate.hr_bpm, np.nan),
            pulse_u=rate.hr_u,
            quality=np.where(np.isnan(rate.hr_bpm), 0.0, rate.quality),
            last_pulse_ns=rate.last_beat_ns,
            light_share=state.light / np.where(state.lit > 0.0, state.lit, np.nan),
        )
