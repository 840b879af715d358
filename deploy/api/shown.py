"""Rows of the store as the HTTP API shows them."""

import base64
import math
from typing import TypeVar

import msgspec

from dataflows.couriers import receipts
from dataflows.couriers.bodies import STRIP_HZ, rfc3339
from dataflows.events import SECOND_NS, AlarmEvent, BedState, DeviceStatus, Ledger, PatientInfo, Reading, Row, Vitals
from deploy.api.documents import Alarm, Device, Hour, Patient, Receipt, Second, Strip, Value

D = TypeVar("D", bound=msgspec.Struct)


def number(value: float) -> float | None:
    """JSON has neither NaN nor infinities."""
    return value if math.isfinite(value) else None


def alarm(event: AlarmEvent, *, strip: bool = False) -> Alarm:
    """Event of an alarm, with its strip or without."""
    shown = Strip(STRIP_HZ, event.strip_scale, base64.b64encode(event.strip).decode())
    return _filled(
        Alarm,
        event,
        kind=event.category,
        onset=rfc3339(event.onset_ns),
        event=rfc3339(event.event_ns),
        arrival=rfc3339(event.arrival_ns),
        episode=event.episode or event.id,
        until=rfc3339(event.until_ns) if event.until_ns else None,
        strip=shown if strip and event.strip and math.isfinite(event.strip_scale) else None,
    )


def receipt(row: receipts.Receipt) -> Receipt:
    """What became of an event at a receiver."""
    return Receipt(row.receiver, row.step, row.what, rfc3339(row.at_ns))


def device(row: DeviceStatus) -> Device:
    """How a device is."""
    return _filled(
        Device,
        row,
        last_seen=rfc3339(row.last_seen_ns) if row.last_seen_ns else None,
        calibration_expiry=rfc3339(row.calibration_expiry_ns) if row.calibration_expiry_ns else None,
    )


def hour(row: Ledger) -> Hour:
    """One hour of a ledger."""
    return _filled(Hour, row, hour=rfc3339(row.hour * 3600 * SECOND_NS))


def patient(row: PatientInfo, bed: BedState | None) -> Patient:
    """Where a patient lies, and how much somebody is needed there."""
    return _filled(Patient, row, need=bed.need if bed else None, words=bed.words if bed else "")


def second(row: Vitals) -> Second:
    """One second of a patient."""
    return _filled(Second, row)


def _filled(document: type[D], row: Row, **given: object) -> D:
    """Fill a document with what a row says under the same names, but for what is given."""
    names = [name for name in document.__struct_fields__ if name not in given]
    return document(**{name: _plain(getattr(row, name)) for name in names}, **given)


def _plain(value: object) -> object:
    """Return a field of a row as JSON has it."""
    match value:
        case Reading():
            return Value(number(value.value), number(value.u), value.quality)
        case float():
            return number(value)
        case tuple():
            return list(value)
        case _:
            return value
