"""The state of the cardiac lane."""

from typing import NamedTuple

from anomaly.averaged import AveragedState
from anomaly.beat_context import ContextState
from anomaly.beats import BeatState
from anomaly.intervals import BeatRing
from anomaly.lead import LeadState
from anomaly.quality import SignalState
from anomaly.reference import ReferenceState
from anomaly.repair import RepairState
from anomaly.sensor_faults import SensorFaultState
from anomaly.slow import SlowState
from anomaly.sos import SosState
from anomaly.strip import StripState
from anomaly.ventricular import VentricularState
from anomaly.ventricular_watch import WatchState
from dataflows.estimates import BoolArray, FloatArray, IntArray


class CardiacState(NamedTuple):
    """Kernels, the ring of beats, and what the newest block said of itself; one row per device."""

    repair: RepairState
    signal: SignalState
    notch: SosState
    reference: ReferenceState
    beats: BeatState
    classes: ContextState
    strip: StripState
    lead: LeadState
    steep: StripState  # of that lead
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
