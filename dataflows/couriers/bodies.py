"""What a receiver is told of an alarm's event: as JSON, as FHIR R4, or as a line of text for a chat.

By default it is the least that is needed to act: a pseudonym, and neither bed nor ward, nor what people wrote, nor the
strip. The same event is the same JSON each time that it is sent.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from dataflows.events import AlarmEvent
from dataflows.fhir import bundles as fhir
from dataflows.fhir.alarms import alarm_bundle
from dataflows.fhir.bundles import MEDIA_TYPE

Template = Literal["json", "fhir", "text"]
Detail = Literal["minimal", "full"]
STRIP_HZ: Final = 125
OVER: Final = frozenset({"ended", "retracted", "missed"})


class Body(NamedTuple):
    """The body of a webhook."""

    content_type: str
    content: bytes


class Strip(msgspec.Struct, frozen=True):
    """The 10 s before the event, one lead."""

    rate_hz: int
    scale: float  # of a count, in the lead's unit
    samples: str  # base64 of little-endian int16


class LinksOf(msgspec.Struct, frozen=True):
    """Where the alarm can be looked at and answered."""

    alarm: str


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver learns of an alarm event."""

    site: str
    id: str
    step: int
    patient: str  # a pseudonym
    condition: str
    kind: str
    priority: str
    state: str
    change: str  # what made this event
    level: int  # rung of the escalation ladder
    onset: str
    event: str
    arrival: str
    value: float  # null in JSON where it is NaN
    u: float  # standard uncertainty of the value
    unit: str  # UCUM
    limit: float
    quality: float
    confidence: float
    condition_delay_ms: float  # from the onset by its definition to the condition found
    signal_delay_ms: float  # from there to this event
    algorithm: str
    version: str
    reason: str
    episode: str  # id of its episode's first alarm
    occurrences: int
    shelved_until: str | None
    mark: str
    actor: str
    ward: str | UnsetType = UNSET
    bed: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    strip: Strip | UnsetType = UNSET
    links: LinksOf | UnsetType = UNSET


class Message(msgspec.Struct, frozen=True):
    """The body of a webhook as JSON."""

    type: str  # "alarm." and the state
    timestamp: str  # of the event, which may be long before the delivery
    data: Alarm


class Passed(msgspec.Struct, frozen=True):
    """What of one condition came and went while a receiver was not to be disturbed."""

    condition: str
    priority: str
    alarms: int


class Summary(msgspec.Struct, frozen=True):
    """What came and went while a receiver was not to be disturbed."""

    type: str
    timestamp: str  # of the newest event
    data: tuple[Passed, ...]


class _Text(msgspec.Struct, frozen=True):
    """What Slack, Mattermost and Teams take."""

    text: str


def message_id(event: AlarmEvent) -> str:
    """Same event: same id, however often it is sent; without the full stop that parts what is signed."""
    return f"{event.site}_{event.id}_{event.step}"


def body_of(event: AlarmEvent, template: Template, detail: Detail, link: str = "", since: str = "") -> Body:
    """Body of a webhook.

    Parameters
    ----------
    event
        What happened.
    template, detail
        As the receiver's options have them.
    link
        Where the alarm can be answered; empty: nowhere.
    since
        Of an event that goes out late: what became of its alarm since, in a word; for people, who keep no ids.

    Raises
    ------
    LookupError
        FHIR has no code for it.
    """
    if template == "text":
        return Body("application/json", msgspec.json.encode(_Text(text(event, detail, link, since))))
    if template == "fhir":
        return Body(MEDIA_TYPE, fhir.encode(alarm_bundle(event if detail == "full" else _least(event))))
    return Body("application/json", msgspec.json.encode(message(event, detail, link)))


def message(event: AlarmEvent, detail: Detail = "minimal", link: str = "") -> Message:
    """What a receiver learns of an alarm event as JSON."""
    full = detail == "full"
    return Message(
        f"alarm.{event.state}",
        rfc3339(event.event_ns),
        Alarm(
            site=event.site,
            id=event.id,
            step=event.step,
            patient=event.patient,
            condition=event.condition,
            kind=event.category,
            priority=event.priority,
            state=event.state,
            change=event.change,
            level=event.level,
            onset=rfc3339(event.onset_ns),
            event=rfc3339(event.event_ns),
            arrival=rfc3339(event.arrival_ns),
            value=event.value,
            u=event.u,
            unit=event.unit,
            limit=event.limit,
            quality=event.quality,
            confidence=event.confidence,
            condition_delay_ms=event.condition_delay_ms,
            signal_delay_ms=event.signal_delay_ms,
            algorithm=event.algorithm,
            version=event.version,
            reason=event.reason,
            episode=event.episode or event.id,
            occurrences=event.occurrences,
            shelved_until=rfc3339(event.until_ns) if event.until_ns else None,
            mark=event.mark,
            actor=event.actor,
            ward=event.ward if full else UNSET,
            bed=event.bed if full else UNSET,
            note=event.note if full else UNSET,
            strip=_strip(event) if full and event.strip else UNSET,
            links=LinksOf(link) if link else UNSET,
        ),
    )


def text(event: AlarmEvent, detail: Detail = "minimal", link: str = "", since: str = "") -> str:
    """Return one line for people, readable without colour.

    Examples
    --------
    >>> nan = float("nan")
    >>> event = AlarmEvent("north", "a1", 0, "p1", "asystole", "physiological", "high", "active", 0, 0, 0, 4.2, nan,
    ...     1.0, 1.0, "beats", "1", "no heartbeat for 4 s", bed="3", note="<b>")
    >>> text(event)
    'HIGH: asystole at p1, active since 00:00:00 UTC: no heartbeat for 4 s'
    >>> text(event, "full", since="ended")
    'HIGH (late, ended since): asystole at bed 3 (p1), active since 00:00:00 UTC: no heartbeat for 4 s (&lt;b&gt;)'
    """
    full = detail == "full"
    where = f"bed {event.bed} ({event.patient})" if full and event.bed else event.patient
    began = datetime.fromtimestamp(event.onset_ns / 1e9, UTC).strftime("%H:%M:%S UTC")
    late = f" (late, {since} since)" if since else ""
    rung = f", escalated to rung {event.level}" if event.change == "escalated" else ""
    by = f" by {event.actor}" if event.actor else ""
    note = f" ({event.note})" if full and event.note else ""
    said = f"{event.condition} at {where}, {event.state}{by} since {began}{rung}: {event.reason}{note}"
    return _plain(f"{event.priority.upper()}{late}: {said}") + (f" {link}" if link else "")


def summary(events: Sequence[AlarmEvent], template: Template) -> Body:
    """Sum up alarms that came and went while the receiver was not to be disturbed."""
    counts: dict[tuple[str, str], set[str]] = {}
    for event in events:
        counts.setdefault((event.condition, event.priority), set()).add(event.id)
    passed = tuple(Passed(*which, len(ids)) for which, ids in sorted(counts.items()))
    if template == "text":
        what = ", ".join(f"{one.alarms} {one.condition} ({one.priority})" for one in passed)
        return Body("application/json", msgspec.json.encode(_Text(f"Came and went meanwhile: {what}")))
    newest = max(event.event_ns for event in events)
    return Body("application/json", msgspec.json.encode(Summary("alarms.passed", rfc3339(newest), passed)))


def rfc3339(time_ns: int) -> str:
    """A time to the nanosecond."""
    seconds, ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def _least(event: AlarmEvent) -> AlarmEvent:
    """The event without bed and ward, without who did it, and without what people wrote and the strip."""
    reason = event.reason.removesuffix(f" by {event.actor}") if event.actor else event.reason
    return replace(event, ward="", bed="", actor="", note="", strip=b"", reason=reason)


def _strip(event: AlarmEvent) -> Strip:
    return Strip(STRIP_HZ, event.strip_scale, base64.b64encode(event.strip).decode())


def _plain(said: str) -> str:
    """Text that a chat shows as it is: what people wrote makes no link, and rings nobody."""
    escaped = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("@", "@\u200b").replace("\n", " ")
