"""Signed links to one event of one alarm, made for one receiver: who holds one may see that alarm and answer it.

A link does each thing once: the command that comes of it has an id made from the link and from what is done, and a
command that comes twice under one id is done once; `receipts` keeps that it was. Robots fetch what stands in a message,
so a GET must change nothing: what a link does, it does by POST.
"""

import base64
import hashlib
import hmac
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

import msgspec

from dataflows.couriers.signing import read_keys
from dataflows.events import SECOND_NS, AlarmEvent

Doing = Literal["seen", "acknowledge", "shelve", "unshelve", "comment", "mark-true", "mark-false"]
DOINGS: Final = get_args(Doing)
PATH: Final = "/link/"  # after the address that people reach us by, before the token
MAX_TOKEN: Final = 1024  # characters
_MAC_BYTES: Final = 16
_PURPOSE: Final = b"femtoward link 1\n"  # so that no signature of anything else is one of a link


class LinkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How links are made, and where they lead."""

    url: str  # of the HTTP API, as whoever gets a message reaches it
    secret_env: str = ""  # variable that holds one or more whsec_<base64>, parted by spaces; the newest first
    secret_file: str = ""  # or the file that does
    hours: float = 24.0  # for which a link holds, from the event's arrival

    def __post_init__(self) -> None:
        """Check once."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"links: url is {self.url!r}, need https://HOST/ (or http://), without ? and #")
        if self.hours <= 0:
            raise ValueError(f"links: hours = {self.hours:g}, need more than 0")


class Link(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a token says."""

    receiver: str  # whom it was made for: who acts, when it is used
    site: str
    patient: str
    alarm: str
    step: int  # the event that brought it
    condition: str
    expires_s: int  # unix time


class Refusal(NamedTuple):
    """Why a token is not taken."""

    why: Literal["malformed", "forged", "expired"]
    said: str  # in words, for whoever holds it


class Links:
    """Makes links and tells whether one is ours.

    Parameters
    ----------
    options
        Of both sides, which share the secret.

    Raises
    ------
    ValueError
        The secret is missing or malformed.

    Examples
    --------
    >>> import os
    >>> os.environ["LINK_SECRET"] = "whsec_" + base64.b64encode(bytes(32)).decode()
    >>> links = Links(LinkOptions(url="https://ward.example/", secret_env="LINK_SECRET"))
    >>> token = links.token(Link("pager", "north", "p1", "a1", 0, "asystole", expires_s=1_700_000_000))
    >>> links.verify(token, now_s=1_699_999_999.0).alarm
    'a1'
    >>> links.verify(token, now_s=1_700_000_000.0).why, links.verify(token[:-1] + "!", now_s=0.0).why
    ('expired', 'malformed')
    """

    def __init__(self, options: LinkOptions) -> None:
        self._base = options.url.rstrip("/") + PATH
        self._keys = read_keys("links", options.secret_env, options.secret_file)
        self._lasts_ns = round(options.hours * 3600 * SECOND_NS)
        self._decode = msgspec.msgpack.Decoder(Link).decode

    def url(self, receiver: str, event: AlarmEvent) -> str:
        """Link to an event: the same each time that the event is sent."""
        expires_s = (event.arrival_ns + self._lasts_ns) // SECOND_NS
        link = Link(receiver, event.site, event.patient, event.id, event.step, event.condition, expires_s)
        return self._base + self.token(link)

    def token(self, link: Link) -> str:
        """Sign a link with the newest secret."""
        said = msgspec.msgpack.encode(link)
        return base64.urlsafe_b64encode(_mac(self._keys[0], said) + said).rstrip(b"=").decode()

    def verify(self, token: str, now_s: float) -> Link | Refusal:
        """Read a token that one of our secrets signed, and that has not expired."""
        if len(token) > MAX_TOKEN:
            return Refusal("malformed", "this is no link of ours: it is too long")
        try:
            signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return Refusal("malformed", "this is no link of ours: copy the whole of it")
        mac, said = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, said)) for key in self._keys):
            return Refusal("forged", "this link was not made here, or the secret has changed since")
        try:
            link = self._decode(said)
        except msgspec.MsgspecError:
            return Refusal("malformed", "this link was made by another version")
        if now_s >= link.expires_s:
            return Refusal("expired", "this link is too old: look at the ward page, or use `femtoward alarms`")
        return link


def command_id(link: Link, doing: Doing, refused: int = 0) -> str:
    """Id of the command by which a link does something: the same however often it is followed, until it is refused."""
    # Not of the token: base64 has more than one spelling of the same bytes.
    said = msgspec.msgpack.encode((link, doing, refused) if refused else (link, doing))
    return f"link-{hashlib.sha256(said).hexdigest()[:32]}"


def _mac(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + said, hashlib.sha256)[:_MAC_BYTES]
