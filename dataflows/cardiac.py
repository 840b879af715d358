"""The cardiac lane: mains and surroundings out, beats found, rates and conditions as of a time."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly import conditions, ectopy, intervals, patterns
from anomaly.averaged import N_MARKS, AveragedBeat, AveragedState
from anomaly.beat_classes import BeatClassifier
from anomaly.beat_context import ContextState
from anomaly.beats import BeatDetector, BeatState
from anomaly.breath import HEARTS_OWN_BPM
from anomaly.fibrillation import fibrillation
from anomaly.intervals import BeatRing
from anomaly.mains import mains_notch
from anomaly.modulation import beat_heights, beat_series
from anomaly.quality import (
    FROZEN_S,
    SATURATED_SHARE,
    CardiacEvidence,
    Reason,
    SignalQuality,
    SignalState,
    cardiac_quality,
)
from anomaly.reference import ReferenceCanceller, ReferenceState
from anomaly.repair import Repair, RepairState
from anomaly.sensor_faults import SensorFaultState, SensorFaultWatch
from anomaly.slow import SlowRing, SlowState
from anomaly.sos import SosFilter, SosState
from anomaly.strip import StripRing, StripState
from anomaly.ventricular import VentricularDetector, VentricularState
from anomaly.ventricular_watch import FIBRILLATION, TACHYCARDIA, WatchState, nothing_told, watched
from dataflows import breathing, estimates, tree
from dataflows.device import HOLE_NS
from dataflows.estimates import BoolArray, FloatArray, IntArray
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns, times_of
from ingest.packet import StateFlag

AS_OF_LAG_NS = SECOND_NS // 4  # a beat is decided at most so long after its peak: a second's row ends so much earlier
SETTLE_NS = 3 * SECOND_NS  # the detector learns and the filters settle
FADE_IN_S = (0.4, 0.8)  # nothing before, all after: four time constants of the notch at 50 Hz
VOID_SHARE = 0.5  # of a block's samples without numbers, from which on it holds nothing
KEPT_BEATS = 128  # a ring for the last minute at up to 128 /min, and for the rate at any
CENTRE_HZ = 12.0  # of a QRS's band: the slope that a beat is timed by
FLOOR_SIGMA = 3.0  # the detector's floor over the rms of the noise that it is made from: its peaks stay below it
TIMING_FLOOR_MS = 0.03  # of a beat, when there is no noise: sampling and interpolation
# Its peak is sharper than its band, and several channels see it: of what noise does to a peak of the band, this much is
# seen (0.16 to 0.32 with simulated sensors: `femtoward evaluate rates`).
TIMING_SHARE = 0.3
STRIP_HZ = 125.0
WATCH_BEATS, WATCH_NS = 3, 2 * SECOND_NS  # a ventricular rhythm is held against so many beats, the newest not older
BREATH_OWN_BPM = (0.0, HEARTS_OWN_BPM, 0.0)  # of the lead, interval, height


class CardiacState(NamedTuple):
    """Kernels, the ring of beats, and what the newest block said of itself; one row per device."""

    repair: RepairState
    signal: SignalState
    notch: SosState
    reference: ReferenceState
    beats: BeatState
    classes: ContextState
    strip: StripState
    averaged: AveragedState
    ventricular: VentricularState
    watch: WatchState
    ring: BeatRing
    heights: BeatRing  # the same beats with their height in the strip in the place of the quality
    slow: SlowState  # of the first lead
    start_ns: IntArray  # of the samples without a hole, corrected time
    end_ns: IntArray
    seen: IntArray  # samples since then
    snr: FloatArray
    quality: FloatArray  # (n, blocks in a second), newest last
    reason: IntArray  # the same
    saturated: BoolArray
    unlocked: BoolArray
    zeroing: BoolArray
    fault_ns: IntArray  # since when one of these three holds; 0: none does
    void_ns: IntArray  # how long there have been no numbers in the newest samples
    blind: BoolArray  # nothing of the heart can be in the newest block
    frozen_ns: IntArray  # since when one value is repeated; 0: it is not
    sensors: SensorFaultState
    named: IntArray  # anomaly.sensor_faults.SensorFault of the newest block
    named_ns: IntArray  # since when; 0: none


@dataclass(frozen=True)
class Cardiac:
    """Lane of a magnetocardiogram with or without reference sensors.

    Parameters
    ----------
    rate_hz, block_len
        Of the stream; the references have the same.
    heart, references : Part
        The streams; ``references.n_channels`` is 0 where there are none.
    range_
        The sensor clips at +-range, in the stream's unit; 0: not stated.
    mains_hz
        50 or 60.
    """

    rate_hz: float
    block_len: int
    heart: Part
    references: Part
    range_: float = 0.0
    mains_hz: float = 50.0

    kind = "cardiac"

    @property
    def parts(self) -> tuple[Part, ...]:
        """Streams that make up a block."""
        return (self.heart, self.references) if self.references.n_channels else (self.heart,)

    @property
    def n_recent(self) -> int:
        """Blocks that make up a second."""
        return max(1, round(SECOND_NS / block_ns(self)))

    @cached_property
    def repair(self) -> Repair:
        """Stands first: one NaN would stay in a filter for good."""
        return Repair()

    @cached_property
    def signal(self) -> SignalQuality:
        """Looks at the samples as they came."""
        return SignalQuality(self.rate_hz, self.range_, mains_hz=self.mains_hz)

    @cached_property
    def notch(self) -> SosFilter:
        """Takes the mains out."""
        return mains_notch(self.rate_hz, self.mains_hz)

    @cached_property
    def reference(self) -> ReferenceCanceller:
        """Takes the surroundings out."""
        return ReferenceCanceller(self.heart.n_channels, self.references.n_channels, self.rate_hz)

    @cached_property
    def beats(self) -> BeatDetector:
        """Finds the beats."""
        return BeatDetector(self.rate_hz)

    @cached_property
    def classes(self) -> BeatClassifier:
        """Tells what kind of beats they are."""
        return BeatClassifier(self.rate_hz)

    @cached_property
    def strip_ring(self) -> StripRing:
        """Keeps the last seconds for the eye."""
        return StripRing(self.rate_hz, STRIP_HZ)

    @cached_property
    def averaged(self) -> AveragedBeat:
        """Marks beats by what is usual."""
        return AveragedBeat(self.strip_ring)

    @cached_property
    def slow(self) -> SlowRing:
        """Keeps what breath does to the lead."""
        return SlowRing(self.rate_hz)

    @cached_property
    def ventricular(self) -> VentricularDetector:
        """Tells waves without pauses."""
        return VentricularDetector(self.rate_hz)

    @cached_property
    def sensors(self) -> SensorFaultWatch:
        """Names faults of the sensors."""
        return SensorFaultWatch(self.rate_hz, self.block_len)

    def init(self, first: FloatArray, t0_ns: IntArray) -> CardiacState:
        """Nothing seen yet."""
        n, c = len(first), self.heart.n_channels
        repair = self.repair.init(first)
        _, whole = self.repair.step(repair, first)
        no, zero = np.zeros(n, np.bool_), np.zeros(n, np.int64)
        return CardiacState(
            repair=repair,
            signal=self.signal.init(whole.block[:, :c]),
            notch=self.notch.init(whole.block),
            reference=self.reference.init(whole.block),
            beats=self.beats.init(np.zeros((n, c, self.block_len))),
            classes=self.classes.init(np.zeros((n, c, self.block_len))),
            strip=self.strip_ring.init(np.zeros((n, c, self.block_len))),
            averaged=self.averaged.init(n),
            ventricular=self.ventricular.init(np.zeros((n, c, self.block_len))),
            watch=nothing_told(n),
            ring=intervals.empty(n, KEPT_BEATS, N_MARKS + ectopy.N_CLASS_MARKS),
            heights=intervals.empty(n, KEPT_BEATS),
            slow=self.slow.init(np.zeros((n, 1, self.block_len))),
            start_ns=t0_ns,
            end_ns=t0_ns,
            seen=zero,
            snr=np.full(n, np.nan),
            quality=np.zeros((n, self.n_recent)),
            reason=np.full((n, self.n_recent), int(Reason.SETTLING)),
            saturated=no,
            unlocked=no,
            zeroing=no,
            fault_ns=zero,
            frozen_ns=zero,
            sensors=self.sensors.init(n, self.heart.n_channels),
            named=np.zeros(n, np.int64),
            named_ns=np.zeros(n, np.int64),
            void_ns=zero,
            blind=no,
        )

    def step(self, state: CardiacState, block: FloatArray, t0_ns: IntArray, flags: IntArray) -> CardiacState:
        """Take a block in the stream's unit, heart first, then references.

        A row that was blind (at the end of its range, unlocked, frozen, without numbers) and sees again starts anew:
        no filter rings, no interval reaches across it.
        """
        seen = self._step(state, block, t0_ns, flags)
        again = np.flatnonzero(state.blind & ~seen.blind)
        if len(again):
            anew = self.init(block[again], t0_ns[again])._replace(sensors=tree.take(state.sensors, again))
            tree.put(seen, again, self._step(anew, block[again], t0_ns[again], flags[again]))
        return seen

    def _step(self, state: CardiacState, block: FloatArray, t0_ns: IntArray, flags: IntArray) -> CardiacState:
        n, c = len(block), self.heart.n_channels
        repair, whole = self.repair.step(state.repair, block)
        heart = np.ascontiguousarray(whole.block[:, :c])
        signal, raw = self.signal.step(state.signal, heart)
        notch, x = self.notch.step(state.notch, whole.block)

        zeroing = (flags & (StateFlag.ZEROING | StateFlag.CALIBRATING)) != 0
        unlocked = ((flags & StateFlag.LOCKED) == 0) & ~zeroing
        flagged = (flags & StateFlag.SATURATED) != 0
        saturated = flagged | (raw.clipped.min(axis=-1) > SATURATED_SHARE)
        fault = saturated | unlocked | zeroing
        bad = ~np.isfinite(block[:, :c]) if whole.n_bad.any() else np.zeros((n, 1, 1), np.bool_)
        not_finite = np.count_nonzero(bad, axis=(1, 2)) / (c * self.block_len)
        trust = (~fault & (raw.clipped.max(axis=-1) <= 0.0) & (whole.n_bad == 0)).astype(np.float64)

        reference, x = self.reference.step_trusted(state.reference, x, trust)
        x = self._faded_in(x, state.seen)
        beats, found = self.beats.step(state.beats, x)
        strip, _ = self.strip_ring.step(state.strip, x)
        at_ns = times_of(self, found.at, state.seen, t0_ns)
        averaged, marks = self.averaged.step(state.averaged, strip, found.at, found.decided)
        marks = np.concatenate([marks, ectopy.unmarked(*at_ns.shape)], axis=-1)
        ring = intervals.push(state.ring, at_ns, np.nan_to_num(found.quality), marks)
        classes, told = self.classes.step(state.classes, x, found.at, found.decided)
        ring = ectopy.mark(ring, times_of(self, told.at, state.seen, t0_ns), told.kind, told.ventricular)
        heights = intervals.push(state.heights, at_ns, beat_heights(self.strip_ring, strip, found.at))
        slow, _ = self.slow.step(state.slow, x[:, :1])
        ventricular, waves = self.ventricular.step(state.ventricular, x)
        told_ns = times_of(self, waves.at, state.seen, t0_ns)
        beat_bpm = intervals.young_rate(ring, t0_ns + block_ns(self), WATCH_BEATS, WATCH_NS)
        watch = watched(state.watch, told_ns, waves, beat_bpm)
        levels = beats.levels
        heard = ~levels.learning & (levels.floor > 0.0)
        snr = np.where(heard, FLOOR_SIGMA * levels.signal / np.where(heard, levels.floor, 1.0), np.nan)

        end_ns = t0_ns + block_ns(self)
        void_ns = np.where(not_finite > VOID_SHARE, state.void_ns + block_ns(self), 0)
        frozen = (raw.frozen_s >= FROZEN_S) & (void_ns == 0)
        quality, reason = cardiac_quality(
            CardiacEvidence(
                missing=np.zeros(n),
                not_finite=not_finite,
                unlocked=unlocked | zeroing,
                clipped=np.where(flagged, 1.0, raw.clipped.mean(axis=-1)),
                frozen_s=raw.frozen_s,
                off_body=(flags & StateFlag.OFF_BODY) != 0,
                dead=np.all(raw.flat, axis=-1),
                settling=end_ns - state.start_ns < SETTLE_NS,
                snr=snr,
            )
        )
        sensors, named = self.sensors.step(state.sensors, heart, ~fault & (not_finite == 0.0))
        return CardiacState(
            repair=repair,
            signal=signal,
            notch=notch,
            reference=reference,
            beats=beats,
            classes=classes,
            strip=strip,
            averaged=averaged,
            ventricular=ventricular,
            watch=watch,
            ring=ring,
            heights=heights,
            slow=slow,
            start_ns=state.start_ns,
            end_ns=end_ns,
            seen=state.seen + self.block_len,
            snr=snr,
            quality=np.concatenate([state.quality[:, 1:], quality[:, None]], axis=-1),
            reason=np.concatenate([state.reason[:, 1:], reason[:, None]], axis=-1),
            saturated=saturated,
            unlocked=unlocked,
            zeroing=zeroing,
            fault_ns=np.where(fault, np.where(state.fault_ns > 0, state.fault_ns, t0_ns), 0),
            frozen_ns=np.where(frozen, end_ns - np.rint(raw.frozen_s * SECOND_NS).astype(np.int64), 0),
            void_ns=void_ns,
            blind=fault | frozen | (void_ns >= HOLE_NS),
            sensors=sensors,
            named=named,
            named_ns=np.where(named > 0, np.where(state.named == named, state.named_ns, end_ns), 0),
        )

    def _faded_in(self, x: FloatArray, seen: IntArray) -> FloatArray:
        """Keep the ringing of filters that have just begun from the detector, which would learn it as beats."""
        quiet, whole = (round(at_s * self.rate_hz) for at_s in FADE_IN_S)
        if seen.min() >= whole:
            return x
        share = np.clip((seen[:, None] + np.arange(x.shape[-1]) - quiet) / (whole - quiet), 0.0, 1.0)
        return x * share[:, None, :]

    def estimate(self, state: CardiacState, end_ns: IntArray) -> estimates.Cardiac:
        """Tell what was known `AS_OF_LAG_NS` before the end of a second."""
        here = state.end_ns > end_ns - SECOND_NS
        as_of, since = np.minimum(end_ns, state.end_ns) - AS_OF_LAG_NS, state.start_ns + SETTLE_NS
        # A peak of a band around CENTRE_HZ is timed to 1 / (2 pi f SNR): the noise over the slope beside it.
        blur_ms = 1e3 / (2.0 * np.pi * CENTRE_HZ * np.maximum(np.nan_to_num(state.snr, nan=1.0), 1.0))
        rate = intervals.summary(
            state.ring, as_of, np.hypot(TIMING_FLOOR_MS, TIMING_SHARE * blur_ms), since, ectopy.ectopic(state.ring)
        )
        still = conditions.asystole(state.ring, as_of, since)
        slow = conditions.extreme_bradycardia(state.ring, as_of, since)
        fast = conditions.extreme_tachycardia(state.ring, as_of, since)
        atrial = fibrillation(state.ring, as_of, since)
        rest = patterns.pause(state.ring, as_of, since)
        pairs = patterns.bigeminy(state.ring, as_of, since)
        runs = patterns.run(state.ring, ectopy.are_ventricular(state.ring), as_of, since)
        early = ectopy.ventricular(state.ring, as_of, since)
        worst = np.argmin(state.quality, axis=-1)[:, None]
        said, n_series = breathing.heard(partial(self._series, state, as_of), BREATH_OWN_BPM, here, end_ns)
        return estimates.Cardiac(
            present=here,
            hr=np.where(here, rate.hr_bpm, np.nan),
            hr_u=rate.hr_u,
            hr_scatter_u=rate.hr_scatter_u,
            rr_ms=rate.rr_ms,
            rr_u=rate.rr_u,
            rmssd_ms=rate.rmssd_ms,
            rmssd_u=rate.rmssd_u,
            sdnn_ms=rate.sdnn_ms,
            sdnn_u=rate.sdnn_u,
            quality=state.quality.mean(axis=-1),
            reason=np.take_along_axis(state.reason, worst, axis=-1)[:, 0],
            settling=end_ns - state.start_ns < SETTLE_NS,
            saturated=state.saturated & here,
            unlocked=state.unlocked & here,
            zeroing=state.zeroing & here,
            fault_ns=state.fault_ns,
            frozen_ns=np.where(here, state.frozen_ns, 0),
            sensor_fault=np.where(here, state.named, -1),
            sensor_fault_ns=state.named_ns,
            # Absence of beats is no evidence where there is no signal that could hold them.
            asystole=_truth(still, here & (state.void_ns < HOLE_NS)),
            asystole_ns=still.onset_ns,
            asystole_s=still.value,
            bradycardia=_truth(slow, here),
            bradycardia_ns=slow.onset_ns,
            bradycardia_rate=slow.value,
            tachycardia=_truth(fast, here),
            tachycardia_ns=fast.onset_ns,
            tachycardia_rate=fast.value,
            fibrillation=np.where(atrial.known & here, atrial.true.astype(np.int64), -1),
            fibrillation_ns=atrial.onset_ns,
            fibrillation_p=np.where(here, atrial.probability, np.nan),
            grouped=atrial.grouped & here,
            vf=_stands(state.watch, FIBRILLATION, here),
            vf_ns=state.watch.onset_ns[:, FIBRILLATION],
            vf_p=np.where(here, state.watch.ventricular * state.watch.disorder, np.nan),
            vt=_stands(state.watch, TACHYCARDIA, here),
            vt_ns=state.watch.onset_ns[:, TACHYCARDIA],
            vt_p=np.where(here, state.watch.ventricular * (1.0 - state.watch.disorder), np.nan),
            ventricular_rate=state.watch.rate_bpm,
            breath=said,
            breath_series=n_series,
            pause=_truth(rest, here),
            pause_ns=rest.onset_ns,
            pause_s=rest.value,
            bigeminy=_truth(pairs, here),
            bigeminy_ns=pairs.onset_ns,
            bigeminy_pairs=pairs.value,
            run=_truth(runs, here),
            run_ns=runs.onset_ns,
            run_beats=runs.value,
            pvc=np.where(here, early.per_minute, np.nan),
            pvc_u=early.u,
            ectopic=np.where(here, ectopy.shares_in(state.ring, as_of, intervals.RATE_SPAN_NS), 0.0),
        )

    def _series(self, state: CardiacState, as_of_ns: IntArray, rows: IntArray) -> FloatArray:
        """What breath may move in some rows: the lead's baseline, the interval and the height of the beats."""
        part, as_of_ns = tree.take(state, rows), as_of_ns[rows]
        end = part.seen - (part.end_ns - as_of_ns) * (self.rate_hz / SECOND_NS)
        since_ns = part.start_ns + SETTLE_NS
        beats = beat_series(part.heights, as_of_ns, since_ns)
        return np.concatenate([self.slow.window(part.slow, end), beats], axis=1)

    def strips(self, state: CardiacState, end_ns: IntArray, seconds: float) -> NDArray[np.float32]:
        """Return the cleaned first lead of each row up to a time, at `STRIP_HZ`; NaN where there is none."""
        position = state.seen - (state.end_ns - end_ns) * (self.rate_hz / SECOND_NS)
        strips: NDArray[np.float32] = self.strip_ring.take_seconds(state.strip, position, seconds)
        return strips


def _truth(evidence: conditions.Evidence, here: BoolArray) -> IntArray:
    return np.where(evidence.known & here, evidence.true.astype(np.int64), -1)


def _stands(watch: WatchState, which: int, here: BoolArray) -> IntArray:
    return np.where(watch.known & here, (watch.onset_ns[:, which] > 0).astype(np.int64), -1)
