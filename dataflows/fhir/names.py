"""Names of resources, patients and devices, times and numbers, as every builder writes them.

A resource's id is made from what names the row, so that the same row has the same id wherever and whenever it is built.
A patient is a pseudonym: an identifier alone, never a Patient resource.
"""

import math
import uuid
from datetime import UTC, datetime
from typing import Final

from dataflows.events import SECOND_NS, WARD
from dataflows.fhir.codes import LOCAL, UCUM, Coded
from dataflows.fhir.resources import CodeableConcept, Coding, Extension, Identifier, Quantity, Reference

BASE: Final = "https://femtoward.invalid/fhir"  # of full urls and of the systems of our own: resolves nowhere
UNCERTAINTY: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-uncertainty"  # standard deviation, of a Quantity
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, BASE)
SIMULATED: Final = Coding(
    system="http://terminology.hl7.org/CodeSystem/v3-ActReason", code="HTEST", display="test health data"
)


def resource_id(*parts: str | int) -> str:
    """Id of a resource: a UUID made from what names it.

    Examples
    --------
    >>> resource_id("hr", "north", "p1", 1_700_000_000) == resource_id("hr", "north", "p1", 1_700_000_000)
    True
    """
    return str(uuid.uuid5(_NAMESPACE, "|".join(map(str, parts))))


def extension_url(name: str) -> str:
    """Url of an extension of our own."""
    return f"{BASE}/StructureDefinition/{name}"


def system_of(kind: str, site: str) -> str:
    """System of the names that a site gives to its patients, devices, people or alarms."""
    return f"{BASE}/{kind}/{site}"


def subject(site: str, patient: str) -> Reference:
    """A patient, by the pseudonym alone; or the ward, of what concerns no single patient."""
    if patient == WARD:
        return Reference(type="Location", identifier=Identifier(system=f"{BASE}/ward", value=WARD))
    return Reference(type="Patient", identifier=Identifier(system=system_of("patient", site), value=patient))


def device_id(site: str, device: str) -> str:
    """Id of the resource of a device."""
    return resource_id("device", site, device)


def device_reference(site: str, device: str) -> Reference:
    """A device."""
    name = Identifier(system=system_of("device", site), value=device)
    return Reference(reference=f"Device/{device_id(site, device)}", type="Device", identifier=name)


def software() -> Reference:
    """Femtoward itself, which computed what several devices show."""
    name = Identifier(system=f"{BASE}/software", value="femtoward")
    return Reference(type="Device", identifier=name, display="femtoward")


def concept(name: str, coded: Coded, text: str = "") -> CodeableConcept:
    """A vital or a condition by all of its codes, the one of our own last."""
    standard = tuple(Coding(system=one.system, code=one.code, display=one.display) for one in coded.codes)
    return CodeableConcept(
        coding=(*standard, Coding(system=LOCAL, code=name, display=coded.display)), text=text or coded.display
    )


def local(code: str, display: str) -> CodeableConcept:
    """A thing that only we name."""
    return CodeableConcept(coding=(Coding(system=LOCAL, code=code, display=display),), text=display)


def quantity(value: float, unit: str, u: float = math.nan) -> Quantity:
    """A finite number with its unit and, where it is known, its standard uncertainty; no unit where none is known."""
    extra = (Extension(url=UNCERTAINTY, value_decimal=number(u)),) if math.isfinite(u) and u >= 0.0 else ()
    if not unit:
        return Quantity(extension=extra, value=number(value))
    return Quantity(extension=extra, value=number(value), unit=unit, system=UCUM, code=unit)


def words(text: str) -> str:
    """A text as FHIR takes it: no control characters, nothing but white space is nothing."""
    return "".join(one if one.isprintable() else " " for one in text).strip()


def number(value: float) -> float:
    """Six significant digits: more than any of our values has."""
    return float(f"{value:.6g}")


def at_second(second: int) -> str:
    """Time of a whole second."""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def at_ns(time_ns: int) -> str:
    """Time to the millisecond.

    Examples
    --------
    >>> at_ns(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123Z'
    """
    seconds, ns = divmod(time_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000:03d}Z"
