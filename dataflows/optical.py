"""The optical lane: pulses out of photon counts."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from anomaly import intervals
from anomaly.breath import HEARTS_OWN_BPM
from anomaly.intervals import BeatRing
from anomaly.modulation import beat_series
from anomaly.oximetry import WAVELENGTHS_NM, Oximeter, OximeterOut, OximeterState
from anomaly.pulse import PulseDetector, PulseState, absorbance
from anomaly.repair import Repair, RepairState
from anomaly.slow import SlowRing, SlowState
from anomaly.witness import Witness
from dataflows import breathing, estimates, tree
from dataflows.cardiac_second import AS_OF_LAG_NS
from dataflows.cardiac_slow import BEATS_AT, due, newest
from dataflows.estimates import N_BEATS, FloatArray, IntArray
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns, times_of

KEPT_PULSES = 96  # a window of breath at up to 170 /min
BREATH_OWN_BPM = (0.0, HEARTS_OWN_BPM, 0.0)  # of light, interval, height
TIMING_U_MS = 10.0  # of a pulse: one sample at 100 Hz
LAG = 1.0  # of an interval, at the most: a pulse is seen half a second after its beat
YOUNG_NS = 3 * SECOND_NS  # light counts as a patient's light while a pulse in it is so young
FOLLOW = 0.05  # share by which the remembered light follows, per block
WITNESS = Witness(pause_span_s=6.0)  # a pause farther back says nothing of one that goes on now


class OpticalState(NamedTuple):
    """Kernels, the ring of pulses, and the light; one row per device."""

    repair: RepairState
    pulse: PulseState
    ring: BeatRing  # its mark is how long before its time the foot of a pulse was, s
    heights: BeatRing  # the same pulses with their height in the place of the quality
    slow: SlowState
    start_ns: IntArray
    end_ns: IntArray
    seen: IntArray
    oxygen: OximeterState
    spo2: FloatArray  # as of the newest block, %; NaN: not measured
    spo2_u: FloatArray
    spo2_quality: FloatArray
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
    colours : tuple of int
        Its channels at the wavelengths of `anomaly.oximetry`, in that order; empty: its birth does not say which.
    """

    rate_hz: float
    block_len: int
    parts: tuple[Part, ...]
    colours: tuple[int, ...] = ()

    kind = "optical"

    @cached_property
    def repair(self) -> Repair:
        """Stands first: one NaN would stay in a filter for good."""
        return Repair()

    @cached_property
    def pulse(self) -> PulseDetector:
        """Finds the pulses."""
        return PulseDetector(self.rate_hz)

    @cached_property
    def oximeter(self) -> Oximeter:
        """Measures saturation."""
        return Oximeter(self.rate_hz)

    @cached_property
    def slow(self) -> SlowRing:
        """Keeps what breath does to the light."""
        return SlowRing(self.rate_hz)

    def init(self, first: FloatArray, t0_ns: IntArray) -> OpticalState:
        """Nothing seen yet."""
        n = len(first)
        repair = self.repair.init(first)
        _, whole = self.repair.step(repair, first)
        return OpticalState(
            repair=repair,
            pulse=self.pulse.init(whole.block),
            ring=intervals.empty(n, KEPT_PULSES, 1),
            heights=intervals.empty(n, KEPT_PULSES),
            slow=self.slow.init(absorbance(whole.block)[:, None]),
            oxygen=self.oximeter.init(self._coloured(whole.block)),
            spo2=np.full(n, np.nan),
            spo2_u=np.full(n, np.nan),
            spo2_quality=np.zeros(n),
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
        lead_s = (np.nan_to_num(found.lead) / self.rate_hz)[..., None].astype(np.float16)
        ring = intervals.push(state.ring, at_ns, np.nan_to_num(found.quality), lead_s)
        heights = intervals.push(state.heights, at_ns, np.nan_to_num(found.amplitude))
        slow, _ = self.slow.step(state.slow, absorbance(whole.block)[:, None])
        oxygen, seen = state.oxygen, OximeterOut(state.spo2, state.spo2_u, state.spo2_quality, state.spo2)
        if self.colours:
            oxygen, seen = self.oximeter.step(oxygen, self._coloured(whole.block))
        end_ns = t0_ns + block_ns(self)
        light = found.dc.sum(axis=-1)
        beating = (end_ns - ring.times_ns[:, -1] <= YOUNG_NS) & (ring.quality[:, -1] >= 0.5)
        followed = np.where(np.isnan(state.lit), light, state.lit + FOLLOW * (light - state.lit))
        return OpticalState(
            repair=repair,
            pulse=pulse,
            ring=ring,
            heights=heights,
            slow=slow,
            oxygen=oxygen,
            spo2=seen.spo2,
            spo2_u=seen.u,
            spo2_quality=seen.quality,
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
        rate = intervals.summary(state.ring, as_of, TIMING_U_MS, state.start_ns, lag=LAG)
        said, n_series = breathing.heard(partial(self._series, state, as_of), BREATH_OWN_BPM, here, end_ns)
        marked = state.ring._replace(marks=state.heights.quality[..., None].astype(np.float16))
        heard = WITNESS.hear(marked, as_of)
        feet_ns = np.zeros((len(here), N_BEATS), np.int64)
        rows = np.flatnonzero(here & due(end_ns, BEATS_AT))
        if len(rows):
            feet_ns[rows] = _feet(tree.take(state.ring, rows), as_of[rows])
        return estimates.Optical(
            present=here,
            pulse=np.where(here, rate.hr_bpm, np.nan),
            pulse_u=rate.hr_u,
            quality=np.where(np.isnan(rate.hr_bpm), 0.0, rate.quality),
            last_pulse_ns=rate.last_beat_ns,
            light_share=state.light / np.where(state.lit > 0.0, state.lit, np.nan),
            spo2=np.where(here, state.spo2, np.nan),
            spo2_u=state.spo2_u,
            spo2_quality=np.where(here, state.spo2_quality, 0.0),
            spo2_why=np.where(here, np.where(np.isfinite(state.spo2), 1, 3 if self.colours else 2), 0),
            breath=said,
            breath_series=n_series,
            trust=np.where(here, heard.trust, np.nan),
            pause_s=np.where(here, heard.pause_s, np.nan),
            slowest_bpm=np.where(here, heard.slowest_bpm, np.nan),
            fastest_bpm=np.where(here, heard.fastest_bpm, np.nan),
            unsteady=np.where(here, heard.unsteady, np.nan),
            feet_ns=feet_ns,
        )

    def _coloured(self, block: FloatArray) -> FloatArray:
        """The channels that saturation is measured from; darkness where they are not known."""
        if not self.colours:
            return np.zeros((len(block), len(WAVELENGTHS_NM), block.shape[-1]))
        return np.ascontiguousarray(block[:, list(self.colours)])

    def _series(self, state: OpticalState, as_of_ns: IntArray, rows: IntArray) -> FloatArray:
        """What breath may move in some rows: the light, the interval and the height of the pulses."""
        part, as_of_ns = tree.take(state, rows), as_of_ns[rows]
        end = part.seen - (part.end_ns - as_of_ns) * (self.rate_hz / SECOND_NS)
        beats = beat_series(part.heights, as_of_ns, part.start_ns)
        return np.concatenate([self.slow.window(part.slow, end), beats], axis=1)


def _feet(ring: BeatRing, as_of_ns: IntArray) -> IntArray:
    """Times of the feet of the newest pulses; 0: none."""
    times_ns = newest(ring.times_ns, as_of_ns)
    lead_ns = np.rint(ring.marks[:, -N_BEATS:, 0].astype(np.float64) * SECOND_NS).astype(np.int64)
    return np.where(times_ns > 0, times_ns - lead_ns, 0)
