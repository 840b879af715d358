"""Rows of the store as the HTTP API shows them."""

import base64
import math

from dataflows.couriers import receipts
from dataflows.couriers.bodies import STRIP_HZ, rfc3339
from dataflows.events import SECOND_NS, AlarmEvent, BedState, DeviceStatus, Ledger, PatientInfo, Reading, Vitals
from deploy.api.documents import Alarm, Device, Hour, Patient, Receipt, Second, Strip, Value


def number(value: float) -> float | None:
    """JSON has neither NaN nor infinities."""
    return value if math.isfinite(value) else None


def alarm(event: AlarmEvent, *, strip: bool = False) -> Alarm:
    """Event of an alarm, with its strip or without."""
    shown = Strip(STRIP_HZ, event.strip_scale, base64.b64encode(event.strip).decode())
    return Alarm(
        site=event.site,
        id=event.id,
        step=event.step,
        patient=event.patient,
        ward=event.ward,
        bed=event.bed,
        condition=event.condition,
        kind=event.category,
        priority=event.priority,
        state=event.state,
        change=event.change,
        onset=rfc3339(event.onset_ns),
        event=rfc3339(event.event_ns),
        arrival=rfc3339(event.arrival_ns),
        value=number(event.value),
        u=number(event.u),
        unit=event.unit,
        limit=number(event.limit),
        quality=number(event.quality),
        confidence=number(event.confidence),
        algorithm=event.algorithm,
        version=event.version,
        reason=event.reason,
        actor=event.actor,
        note=event.note,
        mark=event.mark,
        occurrences=event.occurrences,
        level=event.level,
        episode=event.episode or event.id,
        until=rfc3339(event.until_ns) if event.until_ns else None,
        condition_delay_ms=number(event.condition_delay_ms),
        signal_delay_ms=number(event.signal_delay_ms),
        strip=shown if strip and event.strip and math.isfinite(event.strip_scale) else None,
    )


def receipt(row: receipts.Receipt) -> Receipt:
    """What became of an event at a receiver."""
    return Receipt(row.receiver, row.step, row.what, rfc3339(row.at_ns))


def device(row: DeviceStatus) -> Device:
    """How a device is."""
    return Device(
        site=row.site,
        device=row.device,
        patient=row.patient,
        model=row.model,
        simulated=row.simulated,
        state=row.state,
        reason=row.reason,
        locked=row.locked,
        flags=row.flags,
        last_seen=rfc3339(row.last_seen_ns) if row.last_seen_ns else None,
        clock_offset_ms=number(row.clock_offset_ms),
        noise_floor=number(row.noise_floor),
        declared_noise_floor=number(row.declared_noise_floor),
        noise_unit=row.noise_unit,
        calibration_expiry=rfc3339(row.calibration_expiry_ns) if row.calibration_expiry_ns else None,
    )


def hour(row: Ledger) -> Hour:
    """One hour of a ledger."""
    return Hour(
        rfc3339(row.hour * 3600 * SECOND_NS),
        *(row.published, row.stored, row.quarantined, row.lost, row.away, row.repeated, row.late),
    )


def patient(row: PatientInfo, bed: BedState | None) -> Patient:
    """Where a patient lies, and how much somebody is needed there."""
    return Patient(
        site=row.site,
        patient=row.patient,
        ward=row.ward,
        bed=row.bed,
        admitted=row.admitted,
        devices=list(row.devices),
        need=bed.need if bed else None,
        words=bed.words if bed else "",
    )


def second(row: Vitals) -> Second:
    """One second of a patient."""
    return Second(
        second=row.second,
        hr=_value(row.hr),
        rr_interval=_value(row.rr_interval),
        rmssd=_value(row.rmssd),
        sdnn=_value(row.sdnn),
        pulse=_value(row.pulse),
        temp=_value(row.temp),
        resp=_value(row.resp),
        spo2=_value(row.spo2),
        pvc=_value(row.pvc),
        af=number(row.af),
        vf=number(row.vf),
        vt=number(row.vt),
        news2_min=number(row.news2_min),
        news2_max=number(row.news2_max),
        deviation=number(row.deviation),
        coverage=number(row.coverage),
        quality=number(row.quality),
        reason=row.reason,
        source=row.source,
        settling=row.settling,
        late=row.late,
    )


def _value(reading: Reading) -> Value:
    return Value(number(reading.value), number(reading.u), reading.quality)
