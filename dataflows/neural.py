"""The neural lane: rhythms and sharp transients of a brain out of a cap of magnetometers."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.bands import BandReason, BandShares
from anomaly.decimate import Decimator, DecimatorState
from anomaly.reference import ReferenceCanceller, ReferenceState
from anomaly.repair import Repair, RepairState
from anomaly.spikes import SpikeState, SpikeWatch
from dataflows import estimates
from dataflows.estimates import BRAIN_REASONS, FloatArray, IntArray
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns
from ingest.packet import StateFlag

LEAST_HZ: Final = 90.0  # that is left after thinning
MAX_CHANNELS: Final = 32  # their covariance is inverted at every block
KEPT: Final = 64  # sharp transients
SPAN_NS: Final = 60 * SECOND_NS  # in which they are counted
LEAST_NS: Final = 30 * SECOND_NS  # of signal, before anything is said of their rate
SETTLE_NS: Final = 5 * SECOND_NS  # a window, and the high-pass
MOST_HALF: Final = 6e4  # that half precision holds


class NeuralState(NamedTuple):
    """Kernels, the last seconds, and the newest sharp transients; one row per device."""

    repair: RepairState
    reference: ReferenceState
    thin: DecimatorState
    spikes: SpikeState
    ring: NDArray[np.float16]  # (n, n_channels, n_window) newest last; NaN: none yet
    at_ns: IntArray  # (n, KEPT) times of sharp transients, newest last; 0: none
    start_ns: IntArray
    end_ns: IntArray
    bad_ns: IntArray  # end of the newest block that cannot be trusted; 0: none


@dataclass(frozen=True)
class Neural:
    """Lane of a magnetoencephalogram with or without reference sensors.

    Parameters
    ----------
    rate_hz, block_len
        Of the stream; the references have the same.
    brain, references : Part
        The streams; ``references.n_channels`` is 0 where there are none. Of the brain's channels the first 32 are used.
    """

    rate_hz: float
    block_len: int
    brain: Part
    references: Part

    kind = "neural"

    @property
    def parts(self) -> tuple[Part, ...]:
        """Streams that make up a block."""
        return (self.brain, self.references) if self.references.n_channels else (self.brain,)

    @property
    def n_channels(self) -> int:
        """Channels of the brain that are used."""
        return min(self.brain.n_channels, MAX_CHANNELS)

    @cached_property
    def factor(self) -> int:
        """Samples that become one: a whole number of them in a block, so that every row is in one phase."""
        most = max(1, int(self.rate_hz / LEAST_HZ))
        return next(factor for factor in range(most, 0, -1) if self.block_len % factor == 0)

    @cached_property
    def repair(self) -> Repair:
        """Stands first: one NaN would stay in a filter for good."""
        return Repair()

    @cached_property
    def reference(self) -> ReferenceCanceller:
        """Takes the surroundings out."""
        return ReferenceCanceller(self.n_channels, self.references.n_channels, self.rate_hz)

    @cached_property
    def thin(self) -> Decimator:
        """Leaves what rhythms need."""
        return Decimator(self.factor)

    @cached_property
    def bands(self) -> BandShares:
        """Measures the rhythms."""
        return BandShares(self.rate_hz / self.factor, self.factor)

    @cached_property
    def spikes(self) -> SpikeWatch:
        """Tells what is sharp."""
        return SpikeWatch(self.rate_hz / self.factor)

    def init(self, first: FloatArray, t0_ns: IntArray) -> NeuralState:
        """Nothing seen yet."""
        n, c = len(first), self.n_channels
        repair = self.repair.init(first)
        _, whole = self.repair.step(repair, first)
        nothing = np.zeros((n, c, self.block_len))
        return NeuralState(
            repair=repair,
            reference=self.reference.init(self._used(whole.block)),
            thin=self.thin.init(nothing),
            spikes=self.spikes.init(nothing),
            ring=np.full((n, c, self.bands.n_window), np.nan, np.float16),
            at_ns=np.zeros((n, KEPT), np.int64),
            start_ns=t0_ns,
            end_ns=t0_ns,
            bad_ns=np.zeros(n, np.int64),
        )

    def step(self, state: NeuralState, block: FloatArray, t0_ns: IntArray, flags: IntArray) -> NeuralState:
        """Take a block in the stream's unit, brain first, then references."""
        repair, whole = self.repair.step(state.repair, block)
        ready = ((flags & StateFlag.LOCKED) != 0) & (
            (flags & (StateFlag.ZEROING | StateFlag.CALIBRATING | StateFlag.SATURATED)) == 0
        )
        trusted = ready & (whole.n_bad == 0)
        reference, x = self.reference.step_trusted(state.reference, self._used(whole.block), trusted.astype(np.float64))
        thin, y = self.thin.step(state.thin, x)
        spikes, found = self.spikes.step(state.spikes, y)
        end_ns = t0_ns + block_ns(self)
        new = np.clip(y, -MOST_HALF, MOST_HALF).astype(np.float16)
        return NeuralState(
            repair=repair,
            reference=reference,
            thin=thin,
            spikes=spikes,
            ring=np.concatenate([state.ring[..., y.shape[-1] :], new], axis=-1),
            at_ns=self._noted(state.at_ns, found.begins & trusted[:, None], t0_ns),
            start_ns=state.start_ns,
            end_ns=end_ns,
            bad_ns=np.where(trusted, state.bad_ns, end_ns),
        )

    def _noted(self, at_ns: IntArray, begins: NDArray[np.bool_], t0_ns: IntArray) -> IntArray:
        """Times of transients with the new ones behind them."""
        rows, places = np.nonzero(begins)
        if not len(rows):
            return at_ns
        at_ns = at_ns.copy()
        step_ns = self.factor / self.rate_hz * SECOND_NS
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):  # once in seconds
            at_ns[row, :-1] = at_ns[row, 1:]
            at_ns[row, -1] = t0_ns[row] + round((place - self.spikes.delay) * step_ns)
        return at_ns

    def estimate(self, state: NeuralState, end_ns: IntArray) -> estimates.Neural:
        """Tell the rhythms of the last four seconds, and how many sharp transients there were in a minute."""
        here = state.end_ns > end_ns - SECOND_NS
        as_of = np.minimum(end_ns, state.end_ns)
        out = self.bands.measure(state.ring.astype(np.float64))
        since_ns = np.maximum(state.start_ns, state.bad_ns)
        fault = here & (as_of - state.bad_ns < SETTLE_NS)
        settling = here & (as_of - state.start_ns < SETTLE_NS)
        why = np.where(settling, int(BandReason.SETTLING), np.where(fault, BRAIN_REASONS.index("fault"), out.why))
        told = here & (why == BandReason.NONE)
        span_ns = np.minimum(as_of - since_ns, SPAN_NS)
        counted = here & (span_ns >= LEAST_NS)
        n = np.count_nonzero(state.at_ns > (as_of - span_ns)[:, None], axis=-1)
        per_minute = 60.0 * SECOND_NS / np.maximum(span_ns, 1)
        return estimates.Neural(
            present=here,
            alpha=np.where(told, out.alpha, np.nan),
            alpha_u=np.where(told, out.alpha_u, np.nan),
            beta=np.where(told, out.beta, np.nan),
            beta_u=np.where(told, out.beta_u, np.nan),
            quality=np.where(told, out.kept, 0.0),
            why=np.where(here, why, 0),
            seizure=np.where(counted, per_minute * n, np.nan),
            seizure_u=np.where(counted, per_minute * np.sqrt(n + 1.0), np.nan),
        )

    def _used(self, block: FloatArray) -> FloatArray:
        if self.brain.n_channels <= MAX_CHANNELS:
            return block
        return np.concatenate([block[:, :MAX_CHANNELS], block[:, self.brain.n_channels :]], axis=1)
