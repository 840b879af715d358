"""What the flow's detectors have found in the signals of many records when their alarms come."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from anomaly import intervals
from anomaly.beats import BeatDetector
from anomaly.intervals import BeatRing
from anomaly.kernel import Array, IntArray
from anomaly.pulse import PulseDetector
from anomaly.repair import Repair
from anomaly.witness import Heard, Witness
from deploy.evaluate.bedside import Bedside
from deploy.evaluate.records import EvaluateError

PACKET_S = 0.25
KEPT = 128  # beats
# A pulse sensor counts photons: a wave is told to it as the counts that such an absorbance lets through.
COUNTS = 1e7  # at a wave of 0: shot noise of 0.03 %
DEPTH: Final = {"PLETH": 0.05, "ABP": 0.003}  # absorbance per unit of the wave (without unit; mmHg)
LARGEST = 3.0  # absorbance: what is beyond it is no pulse


class Rings(NamedTuple):
    """Beats of each record at its alarm, one row per record."""

    heart: BeatRing  # by all leads together
    light: BeatRing  # marked with the height of each pulse; empty where there is no sensor, as is the next
    pressure: BeatRing
    as_of_ns: IntArray  # (n_records,) time of the alarm


def listen(bedsides: Sequence[Bedside]) -> Rings:
    """Stream records through the flow's detectors, in packets of about 250 ms, and keep their beats as the flow does.

    Records of the same rate and shape are rows of one bank. What is decided only after the alarm is not known at the
    alarm.
    """
    n = len(bedsides)
    heart, light, pressure = intervals.empty(n, KEPT), intervals.empty(n, KEPT, 1), intervals.empty(n, KEPT, 1)
    for rows, rate_hz, bank in _banks([bedside.leads for bedside in bedsides], [b.rate_hz for b in bedsides]):
        _put(heart, rows, _beats(bank, rate_hz))
    for kind, ring in (("PLETH", light), ("ABP", pressure)):
        have = [k for k, bedside in enumerate(bedsides) if kind in bedside.pulses]
        waves = [bedsides[k].pulses[kind][None] for k in have]
        for rows, rate_hz, bank in _banks(waves, [bedsides[k].rate_hz for k in have]):
            _put(ring, np.array(have)[rows], _pulses(bank, rate_hz, DEPTH[kind]))
    as_of = [round(bedside.leads.shape[1] / bedside.rate_hz * 1e9) for bedside in bedsides]
    return Rings(heart, light, pressure, np.array(as_of, np.int64))


def heard(rings: Rings, witness: Witness) -> tuple[Heard, Heard, Heard]:
    """What heart, light and pressure say at each alarm."""
    heart, light, pressure = (witness.hear(ring, rings.as_of_ns) for ring in rings[:3])
    return heart, light, pressure


def _beats(bank: Array, rate_hz: float) -> BeatRing:
    """The newest beats that are decided at the end of a bank of leads."""
    try:
        kernel = BeatDetector(rate_hz)
    except ValueError as error:
        raise EvaluateError(f"the records are sampled at {rate_hz:g} Hz: {error}") from error
    ring, state = intervals.empty(len(bank), KEPT), None
    for block in _packets(bank, rate_hz):
        state, out = kernel.step(kernel.init(block) if state is None else state, block)
        ring = intervals.push(ring, _times_ns(out.at, rate_hz), np.nan_to_num(out.quality))
    return ring


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
