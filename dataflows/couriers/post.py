"""One POST to one receiver, over a connection of its own, and over by a deadline whatever the receiver does."""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from functools import cache
from queue import Empty, Queue
from typing import NamedTuple
from urllib.parse import urlsplit

from dataflows.couriers.delivery import DeliveryFailed

# Family, kind, protocol, canonical name, address.
_Address = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


class Answered(NamedTuple):
    """What a receiver said; the body of its answer is never read."""

    status: int
    retry_after: str | None


class Poster:
    """Posts to one address.

    Parameters
    ----------
    owner
        Who it is for, in messages.
    url
        Where to.
    timeout_s
        For the whole of a delivery, from the name server to the answer's headers.
    allow_local
        Whether the address may be this machine's or on its link.

    Raises
    ------
    ValueError
        It is, and may not.
    """

    def __init__(self, owner: str, url: str, timeout_s: float, *, allow_local: bool) -> None:
        self._owner, self._timeout_s, self._allow_local = owner, timeout_s, allow_local
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self._host, self._port = self.host, parts.port or (443 if parts.scheme == "https" else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = _trusting() if parts.scheme == "https" else None
        if not allow_local and (self._host == "localhost" or _is_local(self._host)):
            raise ValueError(self._local())

    def post(self, body: bytes, headers: dict[str, str]) -> Answered:
        """Post, and wait for the answer's status; redirects are not followed.

        Raises
        ------
        DeliveryFailed
            There was no answer in time.
        """
        try:
            return self._exchange(body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryFailed(f"{self._host} cannot be reached: {str(error) or type(error).__name__}") from error

    def _exchange(self, body: bytes, headers: dict[str, str]) -> Answered:
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, context=self._tls)
        timeout_s = self._timeout_s
        late = f"{self._host} has not answered within {timeout_s:g} s"
        until_s = time.monotonic() + timeout_s
        bare = _connected(self._host, self._port, until_s)
        connection.sock = bare
        overdue = threading.Event()
        # A socket's own timeout starts anew with every byte: who drips must not hold the courier either.
        timer = threading.Timer(until_s - time.monotonic(), _hang_up, (connection, overdue))
        timer.daemon = True
        timer.start()
        try:
            # The address that was reached counts, not what a name server said a moment ago.
            if not self._allow_local and _is_local(bare.getpeername()[0]):
                raise DeliveryFailed(self._local())
            if self._tls is not None:
                secured = self._tls.wrap_socket(bare, server_hostname=self._host, do_handshake_on_connect=False)
                connection.sock = secured
                secured.do_handshake()
            connection.request("POST", self._target, body, headers)
            with connection.getresponse() as response:
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (OSError, http.client.HTTPException) as error:
            if overdue.is_set() or isinstance(error, TimeoutError):
                raise DeliveryFailed(late) from error
            raise
        finally:
            timer.cancel()
            connection.close()
        if overdue.is_set():  # what was read ended where we hung up: half a line may look like a status
            raise DeliveryFailed(late)
        return Answered(status, retry_after)

    def _local(self) -> str:
        return (
            f"{self._owner}: {self._host} is this machine or on its link only: set allow_local = true if that is meant"
        )


@cache
def _trusting() -> ssl.SSLContext:
    """The system's authorities, read once."""
    return ssl.create_default_context()


def _is_local(host: str) -> bool:
    """Whether an address is loopback, link-local or unspecified; a name is not known to be."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _connected(host: str, port: int, until_s: float) -> socket.socket:
    """Connect to the first address of a host that answers; each has its share of the time that is left."""
    addresses = _addresses(host, port, until_s)
    failure = OSError("the name leads nowhere")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        left_s = until_s - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError("timed out")
        one = socket.socket(family, kind, protocol)
        try:
            one.settimeout(left_s / (len(addresses) - tried))
            one.connect(address)
            one.settimeout(max(until_s - time.monotonic(), 0.001))
        except OSError as error:
            one.close()
            failure = error
        else:
            return one
    raise failure


def _addresses(host: str, port: int, until_s: float) -> Sequence[_Address]:
    """Ask for the addresses of a host: in a thread, for the system's own resolver has no deadline of ours."""
    found: Queue[Sequence[_Address] | OSError] = Queue(1)

    def ask() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:  # a label of more than 63 letters is the latter
            found.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=ask, name="name server", daemon=True).start()
    try:
        said = found.get(timeout=max(until_s - time.monotonic(), 0.0))
    except Empty as error:
        raise TimeoutError("no name server answers in time") from error
    if isinstance(said, OSError):
        raise said
    return said


def _hang_up(connection: http.client.HTTPConnection, overdue: threading.Event) -> None:
    overdue.set()
    with contextlib.suppress(OSError):  # it may be closed by now
        # Not SSLSocket's own shutdown: that takes the TLS layer away under a thread that reads.
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
