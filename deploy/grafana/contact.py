"""The contact point: whom Grafana tells of the pipeline's alerts."""

import msgspec

from deploy.grafana.rules import CONTACT, CONTACT_UID

PLACEHOLDER = "femtoward@example.org"


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Where to: one of the two."""

    addresses: str = ""
    url: str = ""


class ContactPoint(msgspec.Struct, frozen=True, rename="camel"):
    """A contact point as the HTTP API has it."""

    uid: str
    name: str
    type: str
    settings: Settings
    disable_resolve_message: bool


def contact_point(to: str) -> ContactPoint:
    """Contact point for an address: of mail, or of a webhook where it begins with http.

    Examples
    --------
    >>> contact_point("ops@clinic.example").type, contact_point("https://clinic.example/hook").type
    ('email', 'webhook')
    """
    web = to.startswith(("http://", "https://"))
    return ContactPoint(
        uid=CONTACT_UID,
        name=CONTACT,
        type="webhook" if web else "email",
        settings=Settings(url=to) if web else Settings(addresses=to),
        disable_resolve_message=False,
    )
