"""Rows of vitals and waveforms out of the estimates of one closed second."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.quality import REASONS, Reason
from dataflows import breathing
from dataflows.alarms import STALE_NS
from dataflows.breathing import Breath
from dataflows.courses import Course
from dataflows.estimates import BRAIN_REASONS, SPO2_REASONS, Second
from dataflows.events import NAN, SECOND_NS, Reading, Vitals, Wave
from dataflows.fusion import POOR_QUALITY, SOURCES, Fused
from dataflows.items import name_of, site_of
from dataflows.roster import Device, Patient
from dataflows.slow_vitals import HRV_REASONS, QT_REASONS, TRANSIT_REASONS, Slow
from ingest.profile import StreamProfile

STRIP_COUNTS = 30_000  # a strip's largest sample as int16


class Closing(NamedTuple):
    """A patient's second that is complete."""

    patient: Patient
    second: int
    arrival_ns: int  # of the journal record that closed it


class Made(NamedTuple):
    """What was made of a second out of all lanes of each patient."""

    heart: Fused
    breath: Breath
    course: Course
    slow: Slow


class Received(NamedTuple):
    """What came of one second, whatever it says."""

    coverage: float  # share of the expected samples, 0..1
    offset_ms: float  # corrected minus raw time of the device whose samples came first; NaN: none came


def received(closings: Sequence[Closing], worn: Sequence[Sequence[Device]]) -> list[Received]:
    """Look at the devices that each patient wears."""
    came = [
        [(device, ns) for device in devices if (ns := device.covered_ns(closing.second))]
        for closing, devices in zip(closings, worn, strict=True)
    ]
    return [
        Received(max(ns for _, ns in some) / SECOND_NS, some[0][0].offset_ns / 1e6) if some else Received(0.0, NAN)
        for some in came
    ]


def vitals_rows(
    closings: Sequence[Closing], known: Second, made: Made, came: Sequence[Received], wards: Sequence[str]
) -> Iterator[Vitals]:
    """Make one row per closed second; Python at the rate of rows, columns made at once."""
    heart, light, skin = known.cardiac, known.optical, known.thermal
    fused, breath, course, slow = made
    q, zero = heart.quality.tolist(), np.zeros(len(closings))
    hr = _readings(fused.hr, fused.hr_u, fused.hr_quality)
    rr = _readings(heart.rr_ms, heart.rr_u, heart.quality)
    rmssd = _readings(heart.rmssd_ms, heart.rmssd_u, heart.quality)
    sdnn = _readings(heart.sdnn_ms, heart.sdnn_u, heart.quality)
    pulse = _readings(light.pulse, light.pulse_u, light.quality)
    temp = _readings(skin.temp, skin.temp_u, zero + 1.0)
    resp = _readings(breath.rate, breath.u, breath.quality)
    spo2 = _readings(light.spo2, light.spo2_u, light.spo2_quality)
    spo2_why = light.spo2_why.tolist()
    resp_why, resp_lanes = breath.why.tolist(), breath.lanes.tolist()
    reason = np.where(heart.present, heart.reason, Reason.NO_SIGNAL).tolist()
    deviation, low, high = course.deviation.tolist(), course.news2_min.tolist(), course.news2_max.tolist()
    fair = heart.quality >= POOR_QUALITY
    pvc = _readings(np.where(fair, heart.pvc, np.nan), heart.pvc_u, heart.quality)
    af = np.where(heart.quality >= POOR_QUALITY, heart.fibrillation_p, np.nan).tolist()
    vf, vt = heart.vf_p.tolist(), heart.vt_p.tolist()
    pnn50, lf, hf, qt, qtc, transit, trend = (
        _readings(*columns) for columns in zip(slow.value.T, slow.u.T, slow.quality.T, strict=True)
    )
    brain = known.neural
    alpha = _readings(brain.alpha, brain.alpha_u, brain.quality)
    beta = _readings(brain.beta, brain.beta_u, brain.quality)
    seizure = _readings(brain.seizure, brain.seizure_u, zero + 1.0)
    brain_why = brain.why.tolist()
    hrv_why, qt_why, transit_why = slow.why.T.tolist()
    settling, source = heart.settling.tolist(), fused.source.tolist()
    for i, (patient, second, arrival_ns) in enumerate(closings):
        yield Vitals(
            site=site_of(patient.key),
            patient=name_of(patient.key),
            second=second,
            hr=hr[i],
            rr_interval=rr[i],
            rmssd=rmssd[i],
            sdnn=sdnn[i],
            pulse=pulse[i],
            temp=temp[i],
            coverage=came[i].coverage,
            quality=q[i],
            reason=REASONS[reason[i]],
            source=SOURCES[source[i]],
            settling=settling[i],
            late=arrival_ns - (second + 1) * SECOND_NS > STALE_NS,
            clock_offset_ms=came[i].offset_ms,
            ward=wards[i],
            deviation=deviation[i],
            news2_min=low[i],
            news2_max=high[i],
            resp=resp[i],
            resp_reason=breathing.REASONS[resp_why[i]],
            resp_source=_sources(resp_lanes[i]),
            spo2=spo2[i],
            spo2_reason=SPO2_REASONS[spo2_why[i]],
            af=af[i],
            vf=vf[i],
            vt=vt[i],
            pvc=pvc[i],
            pnn50=pnn50[i],
            lf=lf[i],
            hf=hf[i],
            hrv_reason=HRV_REASONS[hrv_why[i]],
            qt=qt[i],
            qtc=qtc[i],
            qt_reason=QT_REASONS[qt_why[i]],
            transit=transit[i],
            transit_reason=TRANSIT_REASONS[transit_why[i]],
            alpha=alpha[i],
            beta=beta[i],
            brain_reason=BRAIN_REASONS[brain_why[i]],
            seizure=seizure[i],
            news2_trend=trend[i],
        )


def wave_row(closing: Closing, stream: StreamProfile, samples: NDArray[np.float32]) -> Wave:
    """Make the waveform of a closed second."""
    octets, scale = as_counts(samples)
    return Wave(
        site=site_of(closing.patient.key),
        patient=name_of(closing.patient.key),
        second=closing.second,
        stream=stream.name,
        scale=scale,
        unit=stream.unit,
        samples=octets,
    )


def as_counts(samples: NDArray[np.float32]) -> tuple[bytes, float]:
    """Turn a strip into int16 bytes and their scale; what is missing is 0."""
    whole = np.nan_to_num(samples.astype(np.float64))
    peak = float(np.max(np.abs(whole), initial=0.0))
    scale = peak / STRIP_COUNTS if peak > 0.0 else 1.0
    return np.rint(whole / scale).astype("<i2").tobytes(), scale


def _sources(lanes: int) -> str:
    return "+".join(name for bit, name in enumerate(breathing.LANES) if lanes >> bit & 1) or "none"


def _readings(value: NDArray[np.float64], u: NDArray[np.float64], quality: NDArray[np.float64]) -> list[Reading]:
    measured = np.isfinite(value)
    columns = (value, np.where(measured, u, np.nan), np.where(measured, quality, 0.0))
    return [Reading(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
