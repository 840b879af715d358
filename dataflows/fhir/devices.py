"""A device as FHIR Device, and each of its streams as DeviceMetric with the state of its calibration.

The store knows a device by its newest status: one metric, of the stream whose calibration ends first. With its birth
at hand there is a metric for each stream. No device here has a UDI: they are simulated, or say no UDI in their birth.
"""

import math
from typing import Final, Literal

from dataflows.events import DeviceStatus
from dataflows.fhir.names import (
    SIMULATED,
    at_ns,
    device_id,
    device_reference,
    extension_url,
    local,
    number,
    quantity,
    resource_id,
    subject,
    system_of,
    words,
)
from dataflows.fhir.resources import (
    Annotation,
    CodeableConcept,
    Coding,
    Device,
    DeviceMetric,
    DeviceName,
    DeviceProperty,
    Extension,
    Identifier,
    Meta,
    MetricCalibration,
)
from ingest.profile import Birth, Calibration

EXPIRY: Final = extension_url("calibration-expiry")
GAIN_ERROR: Final = extension_url("gain-error")
CALIBRATION: Final = extension_url("calibration-id")
_WHY: Final = "http://terminology.hl7.org/CodeSystem/device-status-reason"
_REASONS: Final = {  # by DeviceStatus.state
    "online": ("online", "Online"),
    "zeroing": ("standby", "Standby"),
    "calibrating": ("standby", "Standby"),
    "offline": ("offline", "Offline"),
    "gone": ("offline", "Offline"),
}
_Operational = Literal["on", "off", "standby"]
_OPERATIONAL: Final[dict[str, _Operational]] = {
    "online": "on",
    "zeroing": "standby",
    "calibrating": "standby",
    "offline": "off",
    "gone": "off",
}


def device(status: DeviceStatus) -> Device:
    """What is known of a device."""
    why, model = _REASONS.get(status.state), words(status.model)
    said = CodeableConcept(
        coding=(Coding(system=_WHY, code=why[0], display=why[1]),) if why else (),
        text=words(f"{status.state}: {status.reason}" if status.reason else status.state),
    )
    return Device(
        id=device_id(status.site, status.device),
        meta=Meta(security=(SIMULATED,)) if status.simulated else None,
        identifier=(Identifier(system=system_of("device", status.site), value=status.device),),
        status="inactive" if status.state == "gone" else "active" if why else "unknown",
        status_reason=(said,) if said.text else (),
        device_name=(DeviceName(name=model, type="model-name"),) if model else (),
        type=local("wearable", "Wearable with quantum sensors"),
        property=_properties(status),
        patient=subject(status.site, status.patient) if status.patient else None,
        note=(Annotation(text="simulated: no real device"),) if status.simulated else (),
    )


def metrics(status: DeviceStatus, birth: Birth | None = None) -> tuple[DeviceMetric, ...]:
    """What a device measures, and whether its calibration holds at the time of its newest packet."""
    if birth is None:
        return (
            _metric(
                status,
                "first",
                "What the device measures, as far as its status says",
                status.noise_unit.partition("/")[0].strip(),
                _calibration(status, None, status.calibration_expiry_ns),
            ),
        )
    return tuple(
        _metric(
            status,
            stream.name,
            f"{stream.kind} by {stream.sensor}",
            stream.unit,
            _calibration(status, stream.calibration, stream.calibration.expiry_ns if stream.calibration else 0),
        )
        for stream in birth.streams
    )


def _metric(status: DeviceStatus, name: str, display: str, unit: str, calibration: MetricCalibration) -> DeviceMetric:
    return DeviceMetric(
        id=resource_id("metric", status.site, status.device, name),
        identifier=(Identifier(system=system_of("metric", status.site), value=f"{status.device}/{name}"),),
        type=local("stream", display),
        unit=CodeableConcept(coding=(Coding(system="http://unitsofmeasure.org", code=unit, display=unit),))
        if unit
        else None,
        source=device_reference(status.site, status.device),
        operational_status=_OPERATIONAL.get(status.state),
        category="measurement",
        calibration=(calibration,),
    )


def _calibration(status: DeviceStatus, calibration: Calibration | None, expiry_ns: int) -> MetricCalibration:
    known: list[Extension] = []
    if calibration is not None:
        known.append(Extension(url=CALIBRATION, value_string=calibration.id))
        known.append(Extension(url=GAIN_ERROR, value_decimal=number(calibration.gain_error)))
    if expiry_ns:
        known.append(Extension(url=EXPIRY, value_date_time=at_ns(expiry_ns)))
    state: Literal["unspecified", "calibrated", "calibration-required"] = "unspecified"
    if expiry_ns:
        state = "calibrated" if status.last_seen_ns < expiry_ns else "calibration-required"
    return MetricCalibration(
        extension=tuple(known),
        type="gain" if calibration is not None else "unspecified",
        state=state,
        time=at_ns(calibration.time_ns) if calibration is not None and calibration.time_ns else None,
    )


def _properties(status: DeviceStatus) -> tuple[DeviceProperty, ...]:
    floors = (
        ("noise-floor", "Noise floor, in the unit named, as measured last", status.noise_floor),
        ("declared-noise-floor", "Noise floor, in the unit named, by its birth", status.declared_noise_floor),
    )
    found = [
        DeviceProperty(
            type=local(code, f"{display} ({status.noise_unit})" if status.noise_unit else display),
            value_quantity=(quantity(value, ""),),  # a root of a hertz is no UCUM unit
        )
        for code, display, value in floors
        if math.isfinite(value)
    ]
    if math.isfinite(status.clock_offset_ms):
        offset = quantity(status.clock_offset_ms, "ms")
        found.append(DeviceProperty(type=local("clock-offset", "Corrected minus raw time"), value_quantity=(offset,)))
    return tuple(found)
