"""What ingest has to be told: its broker, its folder, its limits; checked once, when read."""

import re
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from ingest.topics import ROOT, SUBSCRIPTIONS

_SITE = re.compile(r"\+|[A-Za-z0-9_-]{1,64}")


class IngestOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one ingest process: one partition, one broker session."""

    folder: str  # of the partition: journal/, door/, subscriptions.json and session.json lie in it
    broker: str = "mqtt://127.0.0.1:1883"  # mqtt[s]://[user:password@]host[:port]
    client_id: str = "femtoward-ingest-main"  # names the session at the broker: another one per ingest, and for ever
    protocol: Literal["5", "3.1.1"] = "5"
    sites: tuple[str, ...] = ("+",)  # a site belongs to one partition; "+": all there are
    ca_file: str = ""  # authorities to trust with mqtts; "": the system's
    cert_file: str = ""  # our own certificate and key, where the broker asks for them
    key_file: str = ""
    keepalive_s: int = 20
    session_expiry_s: int = 7 * 86_400  # how long the broker keeps what comes while we are away (MQTT 5)
    reconnect_s: tuple[float, float] = (0.25, 15.0)  # first and longest wait before connecting again
    taken_over_s: float = 30.0  # the same after another client took our session
    tick_ms: int = 250
    commit_ms: int = 50  # a message waits this long for company, at most
    commit_messages: int = 512  # or until there are this many
    inflight: int = 1000  # messages that the broker may send ahead of our acknowledgements (MQTT 5)
    queue_messages: int = 4096  # received and not yet committed; beyond, we stop reading
    queue_bytes: int = 64 << 20
    segment_bytes: int = 64 << 20
    retain_bytes: int = 16 << 30
    retain_hours: float = 24.0
    floor_hours: float = 1.0  # records younger than this stay, whatever the other limits say, while there is room
    compress: bool = True  # pack finished segments
    short_bytes: int = 2 << 30  # room runs short below this: see ingest/room.py
    stop_bytes: int = 64 << 20  # below this nothing is taken in
    quota_bytes: int = 0  # of the files under room_folder; 0: the disk alone counts
    room_folder: str = ""  # whose room is watched; "": the partition's folder

    def __post_init__(self) -> None:
        """Refuse what cannot work, by name."""
        broker_address(self.broker)
        if not self.folder:
            raise ValueError("folder is empty: name the folder of the partition")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.client_id):
            raise ValueError(f"client_id={self.client_id!r} is not 1-64 of A-Z a-z 0-9 _ -")
        wrong = [site for site in self.sites if not _SITE.fullmatch(site)]
        if wrong or not self.sites:
            raise ValueError(f"sites={self.sites!r} must name sites (1-64 of A-Z a-z 0-9 _ -), or be '+' for all")
        if "+" in self.sites and len(self.sites) > 1:
            raise ValueError(f"sites={self.sites!r}: '+' means all sites, name no others beside it")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError(
                f"cert_file={self.cert_file!r} and key_file={self.key_file!r} go together: name both or none"
            )
        limits = {
            "keepalive_s": (1, 65_535),
            "session_expiry_s": (0, 0xFFFFFFFE),
            "taken_over_s": (0, 3600),
            "tick_ms": (10, 1000),
            "commit_ms": (0, 50),
            "commit_messages": (1, 100_000),
            "inflight": (1, 65_535),
            "queue_messages": (1, 1_000_000),
            "queue_bytes": (1, 1 << 34),
            "segment_bytes": (1, 1 << 40),
            "retain_bytes": (1, 1 << 50),
            "retain_hours": (1e-9, 1e6),
            "floor_hours": (0, 1e6),
            "short_bytes": (0, 1 << 50),
            "stop_bytes": (0, self.short_bytes),
            "quota_bytes": (0, 1 << 50),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}={getattr(self, name)!r} is outside {low} .. {high}")
        if 0 < self.quota_bytes <= self.short_bytes:
            raise ValueError(f"quota_bytes={self.quota_bytes!r} must be larger than short_bytes={self.short_bytes!r}")
        if not 0 < self.reconnect_s[0] <= self.reconnect_s[1] <= 600:
            raise ValueError(f"reconnect_s={self.reconnect_s!r}: need 0 < first wait <= longest wait <= 600 seconds")


class BrokerAddress(NamedTuple):
    """A broker's URL taken apart."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool

    def __str__(self) -> str:
        """Return where it is, without the password."""
        return f"{self.host}:{self.port}"


def broker_address(url: str) -> BrokerAddress:
    """Take a broker's URL apart.

    Examples
    --------
    >>> str(broker_address("mqtts://ward:secret@broker.example"))
    'broker.example:8883'
    """
    form = "needed mqtt://[user:password@]host[:port] or mqtts://..."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"the broker's URL cannot be read ({error}): {form}") from None
    if parts.scheme not in {"mqtt", "mqtts"}:
        raise ValueError(f"the broker's URL begins with {parts.scheme!r}: {form}")
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment or port == 0:
        raise ValueError(f"the broker's URL has no host, port 0, or something after the port: {form}")
    tls = parts.scheme == "mqtts"
    user, password = (unquote(text) if text is not None else None for text in (parts.username, parts.password))
    return BrokerAddress(parts.hostname, port or (8883 if tls else 1883), user, password, tls)


def subscriptions(sites: tuple[str, ...]) -> tuple[str, ...]:
    """Topic filters for some sites.

    Examples
    --------
    >>> subscriptions(("east",))[0]
    'femtoward/v1/east/+/birth'
    """
    return tuple(topic.replace(f"{ROOT}/+", f"{ROOT}/{site}", 1) for site in sites for topic in SUBSCRIPTIONS)
