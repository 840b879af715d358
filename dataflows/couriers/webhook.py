"""Carries alarm events to webhook receivers, signed as Standard Webhooks (https://www.standardwebhooks.com) has it."""

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import get_args
from urllib.parse import urlsplit

import msgspec

from dataflows.couriers.carrier import DeliveryFailed, ReceiverGone
from dataflows.couriers.cursors import Refused
from dataflows.couriers.retry_after import retry_after_s
from dataflows.couriers.signing import read_keys, sign
from dataflows.events import AlarmEvent, Priority
from dataflows.store import Stored

DAY_S = 86_400.0


class WebhookOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One receiver of alarm events."""

    name: str  # names the cursor: must not change between starts
    url: str
    secret_env: str = ""  # variable that holds one or more whsec_<base64>, parted by spaces; the newest first
    secret_file: str = ""  # or the file that does
    priorities: tuple[Priority, ...] = get_args(Priority)
    allow_local: bool = False  # deliver to this machine or its link, too
    timeout_s: float = 5.0  # for the whole of a delivery
    give_up_s: float = DAY_S  # of failing; a high priority is not given up before a day, whatever stands here

    def __post_init__(self) -> None:
        """Check once."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise ValueError(f"webhook: name is {self.name!r}, need 1 to 64 of A-Z a-z 0-9 _ -")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise ValueError(
                f"webhook {self.name}: url must be https://host/path (or http://), without user or password"
            )
        if not self.priorities or self.timeout_s <= 0 or self.give_up_s < 0:
            raise ValueError(f"webhook {self.name}: need a priority, timeout_s > 0 and give_up_s >= 0")


class Alarm(msgspec.Struct, frozen=True):
    """What a receiver learns of an alarm event: the patient is a pseudonym; notes and strips stay in the house."""

    site: str
    id: str
    step: int
    patient: str
    condition: str
    kind: str
    priority: str
    state: str
    onset: str
    event: str
    arrival: str
    value: float  # null in JSON where it is NaN
    limit: float
    quality: float
    confidence: float
    algorithm: str
    version: str
    reason: str
    actor: str


class Message(msgspec.Struct, frozen=True):
    """The body of a webhook."""

    type: str  # alarm.active, alarm.acknowledged, alarm.ended, alarm.missed
    timestamp: str  # of the event, which may be long before the delivery
    data: Alarm


class WebhookCourier:
    """A courier (see `carrier.Courier`) for one receiver: one event at a time, in order for each alarm.

    Parameters
    ----------
    options
        The receiver.
    now_s
        Wall clock for the signed time of each attempt.

    Raises
    ------
    ValueError
        No secret, or a malformed one; or the receiver is on this machine and that is not allowed.
    """

    kinds = (AlarmEvent.kind,)
    revised = ()
    batch = 1
    linger_s = hold_s = 0.0

    def __init__(self, options: WebhookOptions, now_s: Callable[[], float] = time.time) -> None:
        self.name = f"webhook-{options.name}"
        self._options = options
        self._now_s = now_s
        self._keys = read_keys(f"webhook {options.name}", options.secret_env, options.secret_file)
        parts = urlsplit(options.url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        if not options.allow_local and (self._host == "localhost" or _is_local(self._host)):
            raise ValueError(self._local())

    def lane(self, row: Stored) -> str:
        """An alarm's events stay in order."""
        return f"{row.row.site}/{row.row.id}" if isinstance(row.row, AlarmEvent) else ""

    def give_up_s(self, row: Stored) -> float:
        """What the options say, but never less than a day for a high priority."""
        is_high = isinstance(row.row, AlarmEvent) and row.row.priority == "high"
        return max(self._options.give_up_s, DAY_S) if is_high else self._options.give_up_s

    def deliver(self, rows: Sequence[Stored]) -> list[Refused]:
        """Post each event and wait for 2xx."""
        for stored in rows:
            event = stored.row
            if isinstance(event, AlarmEvent) and event.priority in self._options.priorities:
                self._post(message_id(event), msgspec.json.encode(message(event)))
        return []

    def close(self) -> None:
        """Nothing is kept open between events."""

    def _post(self, id_: str, body: bytes) -> None:
        now_s = int(self._now_s())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "femtoward",
            "Connection": "close",
            "webhook-id": id_,
            "webhook-timestamp": str(now_s),
            "webhook-signature": " ".join(sign(key, id_, now_s, body) for key in self._keys),
        }
        try:
            status, retry_after = self._exchange(body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryFailed(f"{self._host} cannot be reached: {str(error) or type(error).__name__}") from error
        if status == 410:
            raise ReceiverGone(f"{self._host} answers 410 Gone: it wants no more events; remove it, if that stays so")
        if not 200 <= status < 300:
            hint = " (redirects are not followed: correct the url)" if 300 <= status < 400 else ""
            raise DeliveryFailed(f"{self._host} answers {status}{hint}", retry_after_s(retry_after))

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None]:
        """Status and Retry-After; redirects are not followed, and the answer's body is never read."""
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, context=self._tls)
        timeout_s = self._options.timeout_s
        late = f"{self._host} has not answered within {timeout_s:g} s"
        bare = socket.create_connection((self._host, self._port), timeout=timeout_s)
        connection.sock = bare
        overdue = threading.Event()
        # A socket's own timeout starts anew with every byte: who drips must not hold the courier either.
        timer = threading.Timer(timeout_s, _hang_up, (connection, overdue))
        timer.daemon = True
        timer.start()
        try:
            # The address that was reached counts, not what a name server said a moment ago.
            if not self._options.allow_local and _is_local(bare.getpeername()[0]):
                raise DeliveryFailed(self._local())
            if self._tls is not None:
                secured = self._tls.wrap_socket(bare, server_hostname=self._host, do_handshake_on_connect=False)
                connection.sock = secured
                secured.do_handshake()
            connection.request("POST", self._target, body, headers)
            with connection.getresponse() as response:
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (OSError, http.client.HTTPException) as error:
            if overdue.is_set():
                raise DeliveryFailed(late) from error
            raise
        finally:
            timer.cancel()
            connection.close()
        if overdue.is_set():  # what was read ended where we hung up: half a line may look like a status
            raise DeliveryFailed(late)
        return status, retry_after

    def _local(self) -> str:
        return (
            f"webhook {self._options.name}: {self._host} is this machine or on its link only:"
            " set allow_local = true if that is meant"
        )


def message_id(event: AlarmEvent) -> str:
    """Same event: same id, however often it is sent; without the full stop that parts what is signed."""
    return f"{event.site}_{event.id}_{event.step}"


def message(event: AlarmEvent) -> Message:
    """What a receiver learns of an alarm event."""
    return Message(
        f"alarm.{event.state}",
        _rfc3339(event.event_ns),
        Alarm(
            site=event.site,
            id=event.id,
            step=event.step,
            patient=event.patient,
            condition=event.condition,
            kind=event.category,
            priority=event.priority,
            state=event.state,
            onset=_rfc3339(event.onset_ns),
            event=_rfc3339(event.event_ns),
            arrival=_rfc3339(event.arrival_ns),
            value=event.value,
            limit=event.limit,
            quality=event.quality,
            confidence=event.confidence,
            algorithm=event.algorithm,
            version=event.version,
            reason=event.reason,
            actor=event.actor,
        ),
    )


def _is_local(host: str) -> bool:
    """Whether an address is loopback, link-local or unspecified; a name is not known to be."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _hang_up(connection: http.client.HTTPConnection, overdue: threading.Event) -> None:
    overdue.set()
    with contextlib.suppress(OSError):  # it may be closed by now
        # Not SSLSocket's own shutdown: that takes the TLS layer away under a thread that reads.
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def _rfc3339(time_ns: int) -> str:
    seconds, ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"
