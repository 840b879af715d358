"""What each lane of a device knows of one second; absent is a value too."""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from anomaly.breath import N_RATES
from anomaly.qt import QtMeter

QT_METER = QtMeter()
N_SHAPE = QT_METER.n_samples
N_BEATS = 64  # newest beats and pulses that slow vitals are made from: half a minute at up to 128 /min

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
E = TypeVar("E", bound=NamedTuple)
BoolArray = NDArray[np.bool_]


class Cardiac(NamedTuple):
    """Magnetocardiogram or ECG, shape (n,) each."""

    present: BoolArray  # the lane has data of this second
    hr: FloatArray  # 1/min
    hr_u: FloatArray
    hr_scatter_u: FloatArray  # with the scatter of the intervals in it
    rr_ms: FloatArray
    rr_u: FloatArray
    rmssd_ms: FloatArray
    rmssd_u: FloatArray
    sdnn_ms: FloatArray
    sdnn_u: FloatArray
    quality: FloatArray  # 0..1
    reason: IntArray  # anomaly.quality.Reason
    settling: BoolArray
    saturated: BoolArray
    unlocked: BoolArray
    zeroing: BoolArray
    fault_ns: IntArray  # since when saturated, unlocked or zeroing; 0: it is not
    frozen_ns: IntArray  # since when one value is repeated; 0: it is not
    sensor_fault: IntArray  # anomaly.sensor_faults.SensorFault; -1: not known
    sensor_fault_ns: IntArray  # since when; 0: none
    asystole: IntArray  # 1 true, 0 false, -1 not known
    asystole_ns: IntArray  # onset
    asystole_s: FloatArray  # time without a beat
    bradycardia: IntArray
    bradycardia_ns: IntArray
    bradycardia_rate: FloatArray
    tachycardia: IntArray
    tachycardia_ns: IntArray
    tachycardia_rate: FloatArray
    fibrillation: IntArray  # atrial; 1 true, 0 false, -1 not known
    fibrillation_ns: IntArray
    fibrillation_p: FloatArray  # its probability
    grouped: BoolArray  # intervals come in groups: no fibrillation to be alarmed
    vf: IntArray  # ventricular fibrillation or flutter
    vf_ns: IntArray
    vf_p: FloatArray  # its probability
    vt: IntArray  # ventricular tachycardia, by the shape of seconds
    vt_ns: IntArray
    vt_p: FloatArray
    ventricular_rate: FloatArray  # of the wave, 1/min
    breath: FloatArray  # (n, n_rates) anomaly.breath.evidence of all its series together
    breath_series: IntArray  # that said anything
    pause: IntArray
    pause_ns: IntArray
    pause_s: FloatArray  # the longest of late
    bigeminy: IntArray
    bigeminy_ns: IntArray
    bigeminy_pairs: FloatArray  # in a row
    run: IntArray  # of ventricular beats
    run_ns: IntArray
    run_beats: FloatArray
    pvc: FloatArray  # ventricular beats in a minute
    pvc_u: FloatArray
    ectopic: FloatArray  # share of the beats of the last 10 s that are known to be ectopic
    beats_ns: IntArray  # (n, N_BEATS) times of the newest beats where slow vitals are due; 0: none
    sinus: BoolArray  # (n, N_BEATS) the interval that ends with it lies between two beats not known to be ectopic
    jitter_ms: FloatArray  # standard uncertainty of the time of a beat
    shape: FloatArray  # (n, N_SHAPE) average of the newest beats where it is due; 0: none
    shape_beats: IntArray  # in it


class Optical(NamedTuple):
    """Photoplethysmogram, shape (n,) each."""

    present: BoolArray
    pulse: FloatArray  # 1/min
    pulse_u: FloatArray
    quality: FloatArray
    last_pulse_ns: IntArray
    light_share: FloatArray  # counts now over those when there was a pulse
    spo2: FloatArray  # %
    spo2_u: FloatArray
    spo2_quality: FloatArray
    spo2_why: IntArray  # index into SPO2_REASONS
    breath: FloatArray  # (n, n_rates) as in `Cardiac`
    breath_series: IntArray
    trust: FloatArray  # of the last seconds, as in anomaly.witness.Heard; and what follows
    pause_s: FloatArray
    slowest_bpm: FloatArray
    fastest_bpm: FloatArray
    unsteady: FloatArray
    feet_ns: IntArray  # (n, N_BEATS) times of the feet of the newest pulses where slow vitals are due; 0: none


class Motion(NamedTuple):
    """Acceleration, shape (n,) each."""

    present: BoolArray
    still: BoolArray  # as still as a table
    moving: BoolArray
    swing: FloatArray  # of the chest in the last 5 s, m/s2
    breath: FloatArray  # (n, n_rates) as in `Cardiac`
    breath_series: IntArray


class Thermal(NamedTuple):
    """Skin temperature, shape (n,) each."""

    present: BoolArray
    temp: FloatArray  # Cel
    temp_u: FloatArray
    raw: FloatArray  # newest reading, plausible or not, Cel
    fall: FloatArray  # under the warmest level of late, Cel


class Neural(NamedTuple):
    """Magnetoencephalogram, shape (n,) each."""

    present: BoolArray
    alpha: FloatArray  # share of the power between 4 and 40 Hz
    alpha_u: FloatArray
    beta: FloatArray
    beta_u: FloatArray
    quality: FloatArray  # of these
    why: IntArray  # index into BRAIN_REASONS
    seizure: FloatArray  # index: sharp transients in a minute
    seizure_u: FloatArray


SPO2_REASONS = ("no-sensor", "", "no-wavelengths", "weak-pulse")

BRAIN_REASONS = ("no-sensor", "", "settling", "muscle", "blink", "fault")
Estimate = Cardiac | Optical | Motion | Thermal | Neural


class Sensors(NamedTuple):
    """What is wrong with the sensors of the heart of all that a patient wears, shape (n,) each."""

    present: BoolArray  # any of them has data of this second
    fault: BoolArray  # saturated, unlocked or zeroing
    fault_why: IntArray  # 0, 1, 2 of these
    fault_ns: IntArray  # since when
    frozen_ns: IntArray  # since when one value is repeated; 0: it is not
    named: IntArray  # anomaly.sensor_faults.SensorFault; -1: not known
    named_ns: IntArray  # since when; 0: none
    judged: BoolArray  # any of them has a quality that says something
    poor: BoolArray  # a signal is poor, and nothing else explains it
    quality: FloatArray  # of the worst signal
    void: BoolArray  # it holds samples that are no numbers


class Second(NamedTuple):
    """All that is known of one second of n patients."""

    cardiac: Cardiac
    optical: Optical
    motion: Motion
    thermal: Thermal
    worn: BoolArray  # the patient wears something that a heart rate could come from
    sensors: Sensors
    neural: Neural


_JUDGED = frozenset(
    {
        "asystole",
        "bradycardia",
        "tachycardia",
        "fibrillation",
        "pause",
        "bigeminy",
        "run",
        "vf",
        "vt",
        "sensor_fault",
        "named",
    }
)
_WIDE = {"breath": N_RATES, "beats_ns": N_BEATS, "sinus": N_BEATS, "feet_ns": N_BEATS, "shape": N_SHAPE}
LANE_KINDS = ("cardiac", "optical", "motion", "thermal", "neural")


def _absent(kind: type[E], n: int) -> E:
    """Return estimates of nothing; columns are made from the annotations."""
    hints = kind.__annotations__
    nothing: dict[object, object] = {FloatArray: np.nan, IntArray: 0, BoolArray: False}
    types: dict[object, type] = {FloatArray: np.float64, IntArray: np.int64, BoolArray: np.bool_}
    columns: list[NDArray[np.generic]] = []
    for name in kind._fields:
        value = 0.0 if name in ("quality", "spo2_quality") else nothing[hints[name]]
        value = -1 if name in _JUDGED else value
        shape = (n, _WIDE[name]) if name in _WIDE else (n,)
        columns.append(np.full(shape, 0.0 if name == "breath" else value, types[hints[name]]))
    return kind._make(columns)


def nothing_measured(n: int) -> Second:
    """Return the estimates of patients who wear nothing, to be filled in lane by lane."""
    return Second(
        _absent(Cardiac, n),
        _absent(Optical, n),
        _absent(Motion, n),
        _absent(Thermal, n),
        np.zeros(n, np.bool_),
        _absent(Sensors, n),
        _absent(Neural, n),
    )
