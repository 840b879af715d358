"""The parts of FHIR R4 that femtoward writes, as structs: https://hl7.org/fhir/R4.

Fields are named as in FHIR but for the case; what is not given is left out. Numbers must be finite.
"""

from typing import Literal

import msgspec


class Element(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What is left out where it has its default."""


class Coding(Element, frozen=True, kw_only=True):
    """A code of a system."""

    system: str
    code: str
    display: str = ""


class CodeableConcept(Element, frozen=True, kw_only=True):
    """A thing by its codes, or in words."""

    coding: tuple[Coding, ...] = ()
    text: str = ""


class Identifier(Element, frozen=True, kw_only=True):
    """A name within a system of names."""

    system: str
    value: str


class Reference(Element, frozen=True, kw_only=True):
    """Another thing: by its address, or by an identifier alone."""

    reference: str = ""
    type: str = ""
    identifier: Identifier | None = None
    display: str = ""


class Period(Element, frozen=True, kw_only=True):
    """A span of time."""

    start: str = ""
    end: str = ""


class Extension(Element, frozen=True, kw_only=True):
    """What FHIR has no field for."""

    url: str
    value_boolean: bool | None = None
    value_code: str | None = None
    value_date_time: str | None = None
    value_decimal: float | None = None
    value_integer: int | None = None
    value_string: str | None = None
    value_reference: Reference | None = None


class Quantity(Element, frozen=True, kw_only=True):
    """A number with its unit (UCUM)."""

    extension: tuple[Extension, ...] = ()
    value: float | None = None  # 0 must be written: None is left out
    unit: str = ""
    system: str = ""
    code: str = ""


class Range(Element, frozen=True, kw_only=True):
    """From a number to another."""

    low: Quantity | None = None
    high: Quantity | None = None


class SampledData(Element, frozen=True, kw_only=True):
    """Samples at even steps: ``origin + factor * data``."""

    origin: Quantity
    period: float  # ms from one sample to the next
    factor: float | None = None
    dimensions: int
    data: str


class Meta(Element, frozen=True, kw_only=True):
    """About the resource itself."""

    profile: tuple[str, ...] = ()
    security: tuple[Coding, ...] = ()


class Annotation(Element, frozen=True, kw_only=True):
    """Words."""

    text: str


class Observation(Element, frozen=True, kw_only=True, tag_field="resourceType", tag="Observation"):
    """What was measured, or that it could not be."""

    id: str
    meta: Meta | None = None
    extension: tuple[Extension, ...] = ()
    identifier: tuple[Identifier, ...] = ()
    status: Literal["final", "amended", "entered-in-error"]
    category: tuple[CodeableConcept, ...] = ()
    code: CodeableConcept
    subject: Reference
    effective_date_time: str | None = None
    effective_period: Period | None = None
    issued: str | None = None
    value_quantity: Quantity | None = None
    value_range: Range | None = None
    value_sampled_data: SampledData | None = None
    data_absent_reason: CodeableConcept | None = None
    body_site: CodeableConcept | None = None
    method: CodeableConcept | None = None
    device: Reference | None = None


class Evidence(Element, frozen=True, kw_only=True):
    """What an issue was found by."""

    detail: tuple[Reference, ...]


class Mitigation(Element, frozen=True, kw_only=True):
    """What was done about an issue."""

    action: CodeableConcept
    date: str = ""
    author: Reference | None = None


class DetectedIssue(Element, frozen=True, kw_only=True, tag_field="resourceType", tag="DetectedIssue"):
    """An alarm."""

    id: str
    meta: Meta | None = None
    extension: tuple[Extension, ...] = ()
    identifier: tuple[Identifier, ...] = ()
    status: Literal["final", "amended", "entered-in-error"]
    code: CodeableConcept
    severity: Literal["high", "moderate", "low"]
    patient: Reference | None = None
    identified_period: Period | None = None
    author: Reference | None = None
    evidence: tuple[Evidence, ...] = ()
    detail: str = ""
    mitigation: tuple[Mitigation, ...] = ()


class DeviceName(Element, frozen=True, kw_only=True):
    """One of a device's names."""

    name: str
    type: Literal["user-friendly-name", "model-name"]


class DeviceProperty(Element, frozen=True, kw_only=True):
    """A property of a device."""

    type: CodeableConcept
    value_quantity: tuple[Quantity, ...] = ()
    value_code: tuple[CodeableConcept, ...] = ()


class Device(Element, frozen=True, kw_only=True, tag_field="resourceType", tag="Device"):
    """A wearable."""

    id: str
    meta: Meta | None = None
    extension: tuple[Extension, ...] = ()
    identifier: tuple[Identifier, ...] = ()
    status: Literal["active", "inactive", "unknown"]
    status_reason: tuple[CodeableConcept, ...] = ()
    device_name: tuple[DeviceName, ...] = ()
    model_number: str = ""
    type: CodeableConcept | None = None
    property: tuple[DeviceProperty, ...] = ()
    patient: Reference | None = None
    note: tuple[Annotation, ...] = ()


class MetricCalibration(Element, frozen=True, kw_only=True):
    """How a metric is calibrated."""

    extension: tuple[Extension, ...] = ()
    type: Literal["unspecified", "gain"]
    state: Literal["not-calibrated", "calibration-required", "calibrated", "unspecified"]
    time: str | None = None


class DeviceMetric(Element, frozen=True, kw_only=True, tag_field="resourceType", tag="DeviceMetric"):
    """What a device measures with one stream."""

    id: str
    extension: tuple[Extension, ...] = ()
    identifier: tuple[Identifier, ...] = ()
    type: CodeableConcept
    unit: CodeableConcept | None = None
    source: Reference
    operational_status: Literal["on", "off", "standby"] | None = None
    category: Literal["measurement"]
    calibration: tuple[MetricCalibration, ...] = ()


Resource = Observation | DetectedIssue | Device | DeviceMetric


class Request(Element, frozen=True, kw_only=True):
    """What a server is to do with an entry."""

    method: Literal["PUT"]
    url: str


class Entry(Element, frozen=True, kw_only=True):
    """One resource of a bundle."""

    full_url: str
    resource: Resource
    request: Request | None = None


class Bundle(Element, frozen=True, kw_only=True, tag_field="resourceType", tag="Bundle"):
    """Resources together."""

    id: str = ""
    type: Literal["collection", "batch", "transaction"]
    timestamp: str | None = None
    entry: tuple[Entry, ...] = ()
