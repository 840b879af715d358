"""An alarm's event as a FHIR DetectedIssue with the Observations that it was found by: its value and its strip."""

import math
import struct
from collections.abc import Iterator
from typing import Final, Literal

from dataflows.events import WARD, AlarmEvent
from dataflows.fhir.bundles import address, collection, put
from dataflows.fhir.codes import condition
from dataflows.fhir.names import (
    at_ns,
    concept,
    extension_url,
    local,
    number,
    quantity,
    resource_id,
    software,
    subject,
    system_of,
    words,
)
from dataflows.fhir.resources import (
    Bundle,
    CodeableConcept,
    DetectedIssue,
    Evidence,
    Extension,
    Identifier,
    Mitigation,
    Observation,
    Period,
    Quantity,
    Reference,
    Resource,
    SampledData,
)

STRIP_HZ: Final = 125
STEP_NS: Final = 1_000_000_000 // STRIP_HZ
_SEVERITY: Final[dict[str, Literal["high", "moderate", "low"]]] = {"high": "high", "medium": "moderate", "low": "low"}
_OVER: Final = frozenset({"ended", "retracted"})


def alarm_bundle(
    event: AlarmEvent,
    *,
    raised: AlarmEvent | None = None,
    kind: Literal["collection", "transaction"] = "collection",
) -> Bundle:
    """Everything that goes out of an alarm's event, in one bundle.

    The patient is a pseudonym; what people wrote stays in the house.

    Parameters
    ----------
    event
        One transition of one alarm.
    raised
        The transition that holds the alarm's strip, where the event has none and it is at hand.
    kind
        A collection to be read, such as in a webhook's body; or a transaction for a FHIR server.

    Raises
    ------
    UnmappedError
        The condition has no code.
    """
    resources = tuple(alarm_resources(event, raised))
    return collection(resources) if kind == "collection" else put(resources, kind)


def alarm_resources(event: AlarmEvent, raised: AlarmEvent | None = None) -> Iterator[Resource]:
    """What the alarm was found by first, then the alarm itself, which refers to it."""
    evidence: list[Observation] = [_value(event)]
    evidence += [_strip(one) for one in (event, raised) if one is not None and len(one.strip) >= 2][:1]
    yield from evidence
    yield _issue(event, evidence)


def _issue(event: AlarmEvent, evidence: list[Observation]) -> DetectedIssue:
    coded = condition(event.condition)
    over = event.state in _OVER
    return DetectedIssue(
        id=resource_id("alarm", event.site, event.id),
        extension=tuple(_extensions(event)),
        identifier=(Identifier(system=system_of("alarm", event.site), value=event.id),),
        status=_status(event),
        code=concept(event.condition, coded),
        severity=_SEVERITY[event.priority],
        patient=subject(event.site, event.patient) if event.patient != WARD else None,
        identified_period=Period(
            start=at_ns(event.onset_ns), end=at_ns(max(event.event_ns, event.onset_ns)) if over else ""
        ),
        author=software(),
        evidence=(Evidence(detail=tuple(map(_reference, evidence))),),
        detail=words(event.reason),
        mitigation=_mitigation(event),
    )


def _reference(one: Observation) -> Reference:
    return Reference(reference=address(one), type="Observation")


def _status(event: AlarmEvent) -> Literal["final", "amended", "entered-in-error"]:
    if event.state == "retracted":  # withdrawn, never deleted
        return "entered-in-error"
    return "amended" if event.step else "final"


def _value(event: AlarmEvent) -> Observation:
    """What was measured and the limit that it is held against; where nothing was, that the condition was seen."""
    measured = math.isfinite(event.value)
    absent = local("no-value", "the condition has no value")
    return Observation(
        id=resource_id("alarm-value", event.site, event.id, event.step),
        extension=(
            *_limit(event),
            *_decimal("quality", event.quality),
            *_decimal("confidence", event.confidence),
        ),
        status=_status(event),
        code=concept(event.condition, condition(event.condition)),
        subject=subject(event.site, event.patient),
        effective_date_time=at_ns(event.event_ns),
        issued=at_ns(event.arrival_ns),
        value_quantity=quantity(event.value, event.unit, event.u) if measured else None,
        data_absent_reason=None if measured else absent,
        method=_method(event),
        device=software(),
    )


def _strip(event: AlarmEvent) -> Observation:
    """The 10 s of one lead before the event."""
    counts = struct.unpack(f"<{len(event.strip) // 2}h", event.strip[: len(event.strip) // 2 * 2])
    return Observation(
        id=resource_id("alarm-strip", event.site, event.id, event.step),
        status=_status(event),
        code=local("strip", "Cardiac lead before an alarm"),
        subject=subject(event.site, event.patient),
        effective_period=Period(start=at_ns(event.event_ns - len(counts) * STEP_NS), end=at_ns(event.event_ns)),
        value_sampled_data=SampledData(
            origin=Quantity(value=0.0),  # the unit is the stream's, which the event does not know
            period=1000 / STRIP_HZ,
            factor=number(event.strip_scale) if math.isfinite(event.strip_scale) and event.strip_scale > 0.0 else None,
            dimensions=1,
            data=" ".join(map(str, counts)),
        ),
        device=software(),
    )


def _extensions(event: AlarmEvent) -> Iterator[Extension]:
    yield Extension(url=extension_url("alarm-state"), value_code=event.state)
    yield Extension(url=extension_url("alarm-kind"), value_code=event.category)
    yield Extension(url=extension_url("alarm-step"), value_integer=event.step)
    yield Extension(url=extension_url("algorithm"), value_string=words(f"{event.algorithm} {event.version}") or "-")
    yield from _decimal("quality", event.quality)
    yield from _decimal("confidence", event.confidence)
    yield from _decimal("condition-delay-ms", event.condition_delay_ms)
    yield from _decimal("signal-delay-ms", event.signal_delay_ms)
    if bed := words(event.bed):
        yield Extension(url=extension_url("bed"), value_string=bed)


def _decimal(name: str, value: float) -> tuple[Extension, ...]:
    return (Extension(url=extension_url(name), value_decimal=number(value)),) if math.isfinite(value) else ()


def _limit(event: AlarmEvent) -> tuple[Extension, ...]:
    return _decimal("limit", event.limit)


def _method(event: AlarmEvent) -> CodeableConcept | None:
    said = words(f"{event.algorithm} {event.version}")
    return CodeableConcept(text=said) if said else None


def _mitigation(event: AlarmEvent) -> tuple[Mitigation, ...]:
    """That somebody saw it, and, by the event that says so, when and who."""
    is_told = event.change == "acknowledged"  # also of one that had latched, whose state then is that it ended
    if event.state != "acknowledged" and not is_told:
        return ()
    actor = words(event.actor) if is_told else ""
    who = Identifier(system=system_of("actor", event.site), value=actor) if actor else None
    return (
        Mitigation(
            action=local("acknowledged", "Alarm acknowledged"),
            date=at_ns(event.arrival_ns) if is_told else "",
            author=Reference(type="Practitioner", identifier=who) if who else None,
        ),
    )
