"""The cardiac lane: mains and surroundings out, beats found, rates and conditions as of a time."""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from anomaly import ectopy, intervals
from anomaly.averaged import N_MARKS, AveragedBeat
from anomaly.beat_classes import BeatClassifier
from anomaly.beats import BeatDetector
from anomaly.breath import HEARTS_OWN_BPM
from anomaly.lead import SteepLead
from anomaly.mains import mains_notch
from anomaly.modulation import beat_heights, beat_series
from anomaly.quality import (
    FROZEN_S,
    SATURATED_SHARE,
    CardiacEvidence,
    Reason,
    SignalQuality,
    cardiac_quality,
)
from anomaly.reference import ReferenceCanceller
from anomaly.repair import Repair
from anomaly.sensor_faults import SensorFaultWatch
from anomaly.slow import SlowRing
from anomaly.sos import SosFilter
from anomaly.strip import StripRing
from anomaly.ventricular import VentricularDetector
from anomaly.ventricular_watch import nothing_told, watched
from dataflows import breathing, estimates, tree
from dataflows.cardiac_second import RATE_LIMITS_BPM, SETTLE_NS, second_of
from dataflows.cardiac_state import CardiacState
from dataflows.device import HOLE_NS
from dataflows.estimates import BoolArray, FloatArray, IntArray
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns, times_of
from ingest.packet import StateFlag

FADE_IN_S = (0.4, 0.8)  # nothing before, all after: four time constants of the notch at 50 Hz
VOID_SHARE = 0.5  # of a block's samples without numbers, from which on it holds nothing
KEPT_BEATS = 128  # a ring for the last minute at up to 128 /min, and for the rate at any
FLOOR_SIGMA = 3.0  # the detector's floor over the rms of the noise that it is made from: its peaks stay below it
STRIP_HZ = 125.0
LOOK_S = 7.0  # between looks for QT, and the width of a beat
WATCH_BEATS, WATCH_NS = 3, 2 * SECOND_NS  # a ventricular rhythm is held against so many beats, the newest not older
BREATH_OWN_BPM = (0.0, HEARTS_OWN_BPM, 0.0)  # of the lead, interval, height


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
    def lead(self) -> SteepLead:
        """Adds the channels up so that the heart's waves are large."""
        return SteepLead(self.rate_hz)

    @cached_property
    def steep_ring(self) -> StripRing:
        """Keeps that lead for as long as a look for QT needs."""
        return StripRing(self.rate_hz, STRIP_HZ, LOOK_S, half=True)

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
        return SensorFaultWatch(self.rate_hz, self.block_len, self.mains_hz)

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
            lead=self.lead.init(np.zeros((n, c, self.block_len))),
            steep=self.steep_ring.init(np.zeros((n, 1, self.block_len))),
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
        lead, wave = self.lead.step(state.lead, x)
        steep, _ = self.steep_ring.step(state.steep, wave)
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
            lead=lead,
            steep=steep,
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

    def estimate(
        self, state: CardiacState, end_ns: IntArray, rate_limits: FloatArray | None = None
    ) -> estimates.Cardiac:
        """Tell what was known `AS_OF_LAG_NS` before the end of a second.

        Parameters
        ----------
        state
            Of ``n`` rows.
        end_ns : shape (n,)
            End of the second.
        rate_limits : shape (n, 2)
            Below the one a heart is too slow, above the other too fast, 1/min; None: the usual ones.
        """
        rates = np.broadcast_to(RATE_LIMITS_BPM, (len(end_ns), 2)) if rate_limits is None else rate_limits

        def heard(as_of_ns: IntArray, here: BoolArray) -> tuple[FloatArray, IntArray]:
            return breathing.heard(partial(self._series, state, as_of_ns), BREATH_OWN_BPM, here, end_ns)

        return second_of(state, end_ns, heard, rates, self.steep_ring)

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
