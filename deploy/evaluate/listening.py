"""What the flow's detectors have found in the signals of many records when their alarms come."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from anomaly import intervals
from anomaly.beat_classes import BeatClassifier
from anomaly.beats import BeatDetector
from anomaly.intervals import BeatRing
from anomaly.judgement import Ventricles
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.pulse import PulseDetector
from anomaly.repair import Repair
from anomaly.ventricular import VentricularDetector
from anomaly.ventricular_model import FIBRILLATION, VENTRICULAR
from anomaly.ventricular_run import least_odds, likeliest_run
from anomaly.witness import Heard, Witness
from deploy.evaluate.bedside import Bedside
from deploy.evaluate.records import EvaluateError

PACKET_S = 0.25
KEPT = 128  # beats
LATE_S = 10.0  # a shape is of the alarm if its window ends so shortly before it
# A pulse sensor counts photons: a wave is told to it as the counts that such an absorbance lets through.
COUNTS = 1e7  # at a wave of 0: shot noise of 0.03 %
DEPTH: Final = {"PLETH": 0.05, "ABP": 0.003}  # absorbance per unit of the wave (without unit; mmHg)
LARGEST = 3.0  # absorbance: what is beyond it is no pulse


class Rings(NamedTuple):
    """Beats of each record at its alarm, one row per record."""

    heart: BeatRing  # by all leads together
    light: BeatRing  # marked with the height of each pulse; empty where there is no sensor, as is the next
    pressure: BeatRing
    ventricles: Ventricles
    as_of_ns: IntArray  # (n_records,) time of the alarm


def listen(bedsides: Sequence[Bedside], shapes: BoolArray) -> Rings:
    """Stream records through the flow's detectors, in packets of about 250 ms, and keep their beats as the flow does.

    Records of the same rate and shape are rows of one bank. What is decided only after the alarm is not known at the
    alarm.

    Parameters
    ----------
    bedsides
        Records up to their alarms.
    shapes : ndarray of bool, shape (n_records,)
        Of which the shapes of beats and waves are wanted: those of ventricular alarms.
    """
    n = len(bedsides)
    as_of = np.array([round(bedside.leads.shape[1] / bedside.rate_hz * 1e9) for bedside in bedsides], np.int64)
    heart, classed = intervals.empty(n, KEPT), intervals.empty(n, KEPT)
    wave, fibrillation = np.full(n, np.nan), np.full(n, np.nan)
    for asked in (False, True):
        have = np.flatnonzero(shapes == asked)
        those = [bedsides[k] for k in have.tolist()]
        for rows, rate_hz, bank in _banks([b.leads for b in those], [b.rate_hz for b in those]):
            here, found = have[rows], _heart(bank, rate_hz, shapes=asked)
            _put(heart, here, found.beats)
            _put(classed, here, found.classed)
            wave[here], fibrillation[here] = found.wave, found.fibrillation
    light, pressure = intervals.empty(n, KEPT, 1), intervals.empty(n, KEPT, 1)
    for kind, ring in (("PLETH", light), ("ABP", pressure)):
        have = np.array([k for k, bedside in enumerate(bedsides) if kind in bedside.pulses], np.int64)
        those = [bedsides[k] for k in have.tolist()]
        for rows, rate_hz, bank in _banks([b.pulses[kind][None] for b in those], [b.rate_hz for b in those]):
            _put(ring, have[rows], _pulses(bank, rate_hz, DEPTH[kind]))
    ventricles = Ventricles(likeliest_run(heart, classed, as_of), wave, fibrillation)
    return Rings(heart, light, pressure, ventricles, as_of)


def heard(rings: Rings, witness: Witness) -> tuple[Heard, Heard, Heard]:
    """What heart, light and pressure say at each alarm."""
    heart, light, pressure = (witness.hear(ring, rings.as_of_ns) for ring in rings[:3])
    return heart, light, pressure


class Hearts(NamedTuple):
    """What is known of hearts at the end of a bank of leads."""

    beats: BeatRing
    classed: BeatRing  # beats whose class is known, with the probability of being ventricular for their quality
    wave: Array  # (n,) as in Ventricles
    fibrillation: Array  # (n,)


def _heart(bank: Array, rate_hz: float, *, shapes: bool) -> Hearts:
    """Find beats; where shapes are wanted, their classes and the shape of the wave too."""
    try:
        detector, classifier, shape = BeatDetector(rate_hz), BeatClassifier(rate_hz), VentricularDetector(rate_hz)
    except ValueError as error:
        raise EvaluateError(f"the records are sampled at {rate_hz:g} Hz: {error}") from error
    first = next(_packets(bank, rate_hz))
    of_beats, of_classes, of_shape = detector.init(first), classifier.init(first), shape.init(first)
    beats, classed = intervals.empty(len(bank), KEPT), intervals.empty(len(bank), KEPT)
    wave, fibrillation = np.full(len(bank), -np.inf), np.full(len(bank), -np.inf)
    for block in _packets(bank, rate_hz):
        of_beats, out = detector.step(of_beats, block)
        beats = intervals.push(beats, _times_ns(out.at, rate_hz), np.nan_to_num(out.quality))
        if not shapes:
            continue
        of_classes, kinds = classifier.step(of_classes, block, out.at, out.decided)
        of_shape, seen = shape.step(of_shape, block)
        classed = intervals.push(classed, _times_ns(kinds.at, rate_hz), np.nan_to_num(kinds.ventricular))
        late = seen.at >= bank.shape[-1] - LATE_S * rate_hz
        wave = np.maximum(wave, least_odds(VENTRICULAR, seen.leads, late))
        fibrillation = np.maximum(fibrillation, least_odds(FIBRILLATION, seen.leads, late))
    return Hearts(
        beats,
        classed,
        np.where(np.isfinite(wave), wave, np.nan),
        np.where(np.isfinite(fibrillation), fibrillation, np.nan),
    )


def _pulses(bank: Array, rate_hz: float, depth: float) -> BeatRing:
    """The newest pulses that are decided at the end of a bank of waves."""
    kernel = PulseDetector(rate_hz)
    ring, state = intervals.empty(len(bank), KEPT, 1), None
    for block in _packets(bank, rate_hz):
        counts = COUNTS * np.exp(-np.minimum(np.maximum(depth * block, -LARGEST), LARGEST))
        state, out = kernel.step(kernel.init(counts) if state is None else state, counts)
        height = np.nan_to_num(out.amplitude)[..., None].astype(np.float16)
        ring = intervals.push(ring, _times_ns(out.at, rate_hz), np.nan_to_num(out.quality), height)
    return ring


def _put(rings: BeatRing, rows: IntArray, found: BeatRing) -> None:
    rings.times_ns[rows], rings.quality[rows], rings.marks[rows] = found


def _banks(signals: Sequence[Array], rates_hz: Sequence[float]) -> Iterator[tuple[IntArray, float, Array]]:
    """Signals of the same rate and shape together: their places, the rate, the bank."""
    shapes = [(rate_hz, *x.shape) for rate_hz, x in zip(rates_hz, signals, strict=True)]
    for shape in sorted(set(shapes)):
        rows = [k for k, other in enumerate(shapes) if other == shape]
        yield np.array(rows, np.int64), shape[0], np.stack([signals[k] for k in rows])


def _packets(bank: Array, rate_hz: float) -> Iterator[Array]:
    """Blocks of about 250 ms, repaired."""
    packet = max(1, round(PACKET_S * rate_hz))
    repair = Repair()
    state = repair.init(bank[..., :packet])
    for start in range(0, bank.shape[-1], packet):
        state, whole = repair.step(state, bank[..., start : start + packet])
        yield np.ascontiguousarray(whole.block)


def _times_ns(at: Array, rate_hz: float) -> IntArray:
    return np.rint(np.nan_to_num(at) * (1e9 / rate_hz)).astype(np.int64)
