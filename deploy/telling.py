"""Sections of the settings that say who is told of alarms, and how people answer."""

from typing import Annotated, get_args

from msgspec import Meta

from dataflows.events import Priority
from deploy.sections import Name, Seconds, Section, check_url


class Webhook(Section, frozen=True):
    """A receiver of alarm events, signed by Standard Webhooks."""

    name: Name
    url: str
    secret_env: str = ""  # variable that holds the signing secret, whsec_<base64>
    secret_file: str = ""  # or the file that does
    priorities: Annotated[tuple[Priority, ...], Meta(min_length=1)] = get_args(Priority)
    allow_local: bool = False  # deliver to this machine or its link, too
    timeout_s: Seconds = 5.0

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to."""
        check_url(self.url, ("http", "https"), "http://HOST/PATH or https://HOST/PATH")


class Links(Section, frozen=True):
    """Signed links in what receivers are told, by which an alarm can be looked at and answered."""

    url: str  # of the HTTP API, as whoever gets a message reaches it
    secret_env: str = ""  # variable that holds the signing secret, whsec_<base64>
    secret_file: str = ""  # or the file that does
    hours: Annotated[float, Meta(gt=0.0, le=720.0)] = 24.0  # for which a link holds

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to."""
        check_url(self.url, ("http", "https"), "http://HOST/ or https://HOST/")
