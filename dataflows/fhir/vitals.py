"""A second of a patient's vitals as FHIR Observations, by HL7's vital-signs profiles where there is one.

What FHIR offers for how sure a value is: the standard uncertainty stands on the quantity as HL7's own extension
iso21090-uncertainty, a standard deviation; the quality (0 to 1) and that the evidence came late are extensions of our
own, since FHIR has no field for them. A value that could not be measured is an Observation with dataAbsentReason.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from dataflows.events import DeviceStatus, Reading, Vitals
from dataflows.fhir.codes import VITALS, Coded, vital
from dataflows.fhir.names import (
    SIMULATED,
    at_second,
    concept,
    device_reference,
    extension_url,
    number,
    quantity,
    resource_id,
    software,
    subject,
    words,
)
from dataflows.fhir.resources import CodeableConcept, Coding, Extension, Meta, Observation, Range, Reference

QUALITY: Final = extension_url("quality")
LATE: Final = extension_url("late")
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
VITAL_SIGNS: Final = CodeableConcept(coding=(Coding(system=_CATEGORY, code="vital-signs", display="Vital Signs"),))
SKIN: Final = CodeableConcept(
    coding=(Coding(system="http://snomed.info/sct", code="39937001", display="Skin structure"),), text="skin"
)
_HL7: Final = "http://hl7.org/fhir/StructureDefinition"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_NEWS2: Final = "news2_max"  # stands for both ends of the range
_EXPLAINED_BY: Final = {  # whose reason has another name
    **dict.fromkeys(("pnn50", "lf", "hf"), "hrv"),
    **dict.fromkeys(("alpha", "beta"), "brain"),
    "qtc": "qt",
}
_NO_HEART: Final = frozenset({"resp", "spo2", "temp", "seizure", "news2_trend"})  # whose absence is not the heart's


def observations(row: Vitals, worn: Sequence[DeviceStatus] = ()) -> tuple[Observation, ...]:
    """Every vital of one second.

    Parameters
    ----------
    row
        The second.
    worn
        Devices that the patient wears, as far as it is known: one alone is what measured; of several, femtoward made
        the values.
    """
    return tuple(_observations(row, worn))


def _observations(row: Vitals, worn: Sequence[DeviceStatus]) -> Iterator[Observation]:
    for field, coded in VITALS.items():
        if not isinstance(coded, Coded) or field == "news2_min":
            continue
        if field == _NEWS2:
            yield _news2(row, worn)
            continue
        value = getattr(row, field)
        yield _observation(row, field, value if isinstance(value, Reading) else Reading(value, quality=math.nan), worn)


def _observation(row: Vitals, field: str, reading: Reading, worn: Sequence[DeviceStatus]) -> Observation:
    coded = vital(field)
    measured = math.isfinite(reading.value)
    return Observation(
        id=resource_id(field, row.site, row.patient, row.second),
        meta=_meta(coded, worn),
        extension=_extensions(row, reading.quality),
        status="final",
        category=(VITAL_SIGNS,),
        code=concept(field, coded),
        subject=subject(row.site, row.patient),
        effective_date_time=at_second(row.second),
        value_quantity=quantity(reading.value, coded.unit, reading.u) if measured else None,
        data_absent_reason=None if measured else _absent(row, field),
        body_site=SKIN if field == "temp" else None,
        method=_method(row, field),
        device=measured_by(row.site, worn),
    )


def _news2(row: Vitals, worn: Sequence[DeviceStatus]) -> Observation:
    coded = vital(_NEWS2)
    measured = math.isfinite(row.news2_min) and math.isfinite(row.news2_max)
    low, high = sorted((row.news2_min, row.news2_max))
    return Observation(
        id=resource_id("news2", row.site, row.patient, row.second),
        meta=_meta(coded, worn),
        extension=_extensions(row, math.nan),
        status="final",
        category=(VITAL_SIGNS,),
        code=concept("news2", coded),
        subject=subject(row.site, row.patient),
        effective_date_time=at_second(row.second),
        value_range=Range(low=quantity(low, coded.unit), high=quantity(high, coded.unit)) if measured else None,
        data_absent_reason=None if measured else _absent(row, _NEWS2),
        device=measured_by(row.site, worn),
    )


def measured_by(site: str, worn: Sequence[DeviceStatus]) -> Reference:
    """What made a value: the one device that is worn, or femtoward out of what several show."""
    return device_reference(site, worn[0].device) if len(worn) == 1 else software()


def _meta(coded: Coded, worn: Sequence[DeviceStatus]) -> Meta | None:
    profile = (f"{_HL7}/vitalsigns", f"{_HL7}/{coded.profile}") if coded.profile else ()
    security = (SIMULATED,) if any(device.simulated for device in worn) else ()
    return Meta(profile=profile, security=security) if profile or security else None


def _extensions(row: Vitals, quality: float) -> tuple[Extension, ...]:
    known = (Extension(url=QUALITY, value_decimal=number(quality)),) if math.isfinite(quality) else ()
    return (*known, Extension(url=LATE, value_boolean=True)) if row.late else known


def _absent(row: Vitals, field: str) -> CodeableConcept:
    named = f"{_EXPLAINED_BY.get(field, field)}_reason"
    why = getattr(row, named, "" if field in _NO_HEART else row.reason)
    settling = row.settling and not why
    code, display = ("temp-unknown", "Temporarily Unknown") if settling else ("unknown", "Unknown")
    coding = Coding(system=_ABSENT, code=code, display=display)
    return CodeableConcept(coding=(coding,), text="the filters settle" if settling else words(why))


def _method(row: Vitals, field: str) -> CodeableConcept | None:
    made_from = words({"hr": row.source, "resp": row.resp_source}.get(field, ""))
    return CodeableConcept(text=f"from {made_from}") if made_from and made_from != "none" else None
