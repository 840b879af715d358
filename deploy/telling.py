"""Sections of the settings that say who is told of alarms, and how people answer."""

from typing import Annotated, get_args

from msgspec import Meta

from dataflows.couriers.bodies import Detail, Template
from dataflows.couriers.duty import DAYS, Day, span_of, zone_of
from dataflows.events import Priority
from deploy.sections import Name, Seconds, Section, check_url

Patience = Annotated[float, Meta(ge=0.0, le=3600.0)]  # s


class Webhook(Section, frozen=True):
    """A receiver of alarm events, signed by Standard Webhooks."""

    name: Name
    url: str
    secret_env: str = ""  # variable that holds the signing secret, whsec_<base64>
    secret_file: str = ""  # or the file that does
    priorities: Annotated[tuple[Priority, ...], Meta(min_length=1)] = get_args(Priority)
    template: Template = "json"  # json, fhir (R4), text (for a chat)
    detail: Detail = "minimal"  # full: bed, ward, what people wrote and the strip, too
    rung: Annotated[int, Meta(ge=0, le=3)] = 0  # of the escalation ladder, from which on it is told
    team: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = (
        ""  # is told in the shifts of its team; empty: always
    )
    quiet: str = ""  # HH:MM-HH:MM: low and medium wait for its end
    allow_local: bool = False  # deliver to this machine or its link, too
    timeout_s: Seconds = 5.0

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to."""
        check_url(self.url, ("http", "https"), "http://HOST/PATH or https://HOST/PATH")
        if self.quiet:
            span_of(self.quiet)


class Shift(Section, frozen=True):
    """When a team is on duty."""

    team: Name
    hours: str  # HH:MM-HH:MM
    days: Annotated[tuple[Day, ...], Meta(min_length=1)] = DAYS

    def __post_init__(self) -> None:
        """Refuse what is no span of the day."""
        span_of(self.hours, self.days)


class People(Section, frozen=True):
    """Who is on duty when: whoever takes over is told of what stands."""

    zone: str = "UTC"  # of shifts and quiet hours, such as Europe/Vienna
    undelivered_s: Patience = 15.0  # delivered to nobody of its rung for so long: an alarm climbs; 0: by its time only
    unseen_s: Patience = 0.0  # nor opened by its link; 0: it need not be
    shift: tuple[Shift, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a zone that is not known."""
        zone_of(self.zone)


class Links(Section, frozen=True):
    """Signed links in what receivers are told, by which an alarm can be looked at and answered."""

    url: str  # of the HTTP API, as whoever gets a message reaches it
    secret_env: str = ""  # variable that holds the signing secret, whsec_<base64>
    secret_file: str = ""  # or the file that does
    hours: Annotated[float, Meta(gt=0.0, le=720.0)] = 24.0  # for which a link holds

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to."""
        check_url(self.url, ("http", "https"), "http://HOST/ or https://HOST/")
