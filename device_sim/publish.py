"""MQTT out: many clients in one selector loop and one thread, QoS 1, in order, nothing forgotten while cut off.

A good device remembers more than what was not acknowledged. A broker that dies loses what it had acknowledged and not
yet saved (mosquitto saves once a second at best). So a client keeps what was acknowledged in the last `RESEND_S`, and
says it again, before all else and in order, after a connection that broke; not after one that it ended itself. What
comes twice so is known by its sequence number at the other end.
"""

import math
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from numpy.random import SeedSequence, default_rng
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_sim.address import Address

IN_FLIGHT = 20  # messages of one client that wait for their PUBACK; the others wait in order
MAX_PENDING = 2400  # ten minutes of a device's packets, 8 MB
RESEND_S = 5.0  # what was acknowledged so short a time before the last acknowledgement is said again after a cut
MAX_RESEND = 512  # messages of one client, at most
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 3.0
CONNECTS_PER_S = 200.0  # a ward that comes back at once must not be a storm
BACKOFF_S = (0.5, 10.0)
_MISC_EVERY_S = 1.0
_LONGEST_WAIT_S = 0.05


class Message(NamedTuple):
    """A topic and what goes there."""

    topic: str
    payload: bytes


class LinkPlan(NamedTuple):
    """What one client says when it comes and goes; all of it is retained."""

    client_id: str
    greeting: tuple[Message, ...]  # at every connect
    farewell: tuple[Message, ...]  # before it leaves
    will: Message | None  # what the broker says if it is cut off

    def renamed(self, message: Message) -> "LinkPlan":
        """The same plan with a message in the greeting in the place of the one that went to its topic."""
        said = tuple(message if one.topic == message.topic else one for one in self.greeting)
        return self._replace(greeting=said)


class _Parcel(NamedTuple):
    """A message on its way."""

    message: Message
    packets: int  # that are in it; those that were acknowledged once count no more
    note: bytes  # for the file of acknowledged packets
    retained: bool = False  # and from now on part of the client's greeting


@dataclass
class _Link:
    """One client and what it still has to say."""

    plan: LinkPlan
    client: Client
    pending: deque[_Parcel] = field(default_factory=deque)
    unacknowledged: dict[int, _Parcel | None] = field(default_factory=dict)  # by message id; None: said at each connect
    recent: deque[tuple[float, _Parcel]] = field(default_factory=deque)  # acknowledged, and when
    connected: bool = False
    worn: bool = False  # its client has had a connection, and remembers it
    closing: bool = False
    waits_to_write: bool = False  # the selector watches for it
    retry_at: float = math.inf
    backoff_s: float = BACKOFF_S[0]


class Publisher:
    """Clients that publish; nothing here waits for one client longer than a connect takes.

    Parameters
    ----------
    address
        The broker.
    plans
        One per client.
    seed
        For the jitter of reconnects.
    acked
        Takes the note of each message as soon as the broker has acknowledged it; flushed after each turn.

    Attributes
    ----------
    published, acknowledged
        Packets handed over by `publish`, and of those how many the broker has acknowledged.
    dropped
        Packets that were given up because a device remembers no more than `MAX_PENDING` messages.
    reconnects
        Connections after the first.
    resent
        Messages that were said again although the broker had acknowledged them.
    """

    def __init__(self, address: Address, plans: list[LinkPlan], seed: int = 0, acked: BinaryIO | None = None) -> None:
        self.published = 0
        self.acknowledged = 0
        self.dropped = 0
        self.reconnects = 0
        self.resent = 0
        self._acked = acked
        self._address = address
        self._rng = default_rng(SeedSequence(seed, spawn_key=(2,)))
        self._selector = selectors.DefaultSelector()
        self._links = [_Link(plan, self._client(plan)) for plan in plans]
        for link in self._links:
            link.client.user_data_set(link)
        self._next_misc = 0.0
        self._next_retry = math.inf
        self._trouble = ""
        self._ever_connected: set[str] = set()

    @property
    def connected(self) -> int:
        """Clients that are connected now."""
        return sum(link.connected for link in self._links)

    @property
    def waiting(self) -> int:
        """Messages that are not yet acknowledged."""
        return sum(len(link.pending) + len(link.unacknowledged) for link in self._links)

    def connect(self, timeout_s: float, stopping: threading.Event | None = None) -> None:
        """Connect all clients, spread out; return early once `stopping` is set.

        Raises
        ------
        ConnectionError
            If not all are connected in time; the message says why.
        """
        begin = time.monotonic()
        for index, link in enumerate(self._links):
            link.retry_at = begin + index / CONNECTS_PER_S
        self._next_retry = begin
        deadline = begin + timeout_s + len(self._links) / CONNECTS_PER_S
        while self.connected < len(self._links) and not (stopping and stopping.is_set()):
            if time.monotonic() > deadline:
                raise ConnectionError(
                    f"{self.connected} of {len(self._links)} clients connected to the MQTT broker at "
                    f"{self._address.host}:{self._address.port} within {timeout_s:g} s: "
                    f"{self._trouble or 'no answer'}; start a broker there or name another"
                )
            self.turn(time.monotonic() + _LONGEST_WAIT_S)

    def greet_anew(self, plans: list[LinkPlan]) -> None:
        """Let the clients, in their order, greet otherwise from now on, and at once."""
        for link, plan in zip(self._links, plans, strict=True):
            link.plan = plan
            if link.connected:
                self._say(link, plan.greeting)
                self._write(link)

    def publish(self, link: int, message: Message, packets: int = 1, note: bytes = b"") -> None:
        """Send a message that holds so many packets with QoS 1, now or as soon as that can be, in order."""
        self.published += packets
        one = self._links[link]
        one.pending.append(_Parcel(message, packets, note))
        while len(one.pending) > MAX_PENDING:
            self.dropped += one.pending.popleft().packets
        self._pump(one)

    def rename(self, link: int, message: Message) -> None:
        """Send a retained message in order with the client's packets, and greet with it from then on."""
        one = self._links[link]
        one.pending.append(_Parcel(message, 0, b"", retained=True))
        self._pump(one)

    def tell(self, link: int, message: Message) -> None:
        """Send a retained message with QoS 1 if the client is connected: what holds from now on."""
        one = self._links[link]
        if one.connected:
            self._say(one, (message,))
            self._write(one)

    def note(self, link: int, message: Message) -> None:
        """Send a message with QoS 0 if the client is connected."""
        one = self._links[link]
        if one.connected:
            one.client.publish(message.topic, message.payload, qos=0)
            self._write(one)

    def turn(self, until: float) -> None:
        """Serve all clients until ``time.monotonic()`` reaches `until`, at least once."""
        while True:
            now = time.monotonic()
            if now >= self._next_misc:
                self._next_misc = now + _MISC_EVERY_S
                for link in self._links:
                    link.client.loop_misc()
            if now >= self._next_retry:
                self._retry(now)
            wait = min(until, self._next_misc, self._next_retry) - now
            # epoll counts whole milliseconds and rounds up; the last one is not worth waiting for.
            for key, events in self._selector.select(max(0.0, wait)):
                self._serve(key.data, events)
            if time.monotonic() >= until:
                if self._acked is not None:
                    self._acked.flush()
                return

    def close(self, timeout_s: float) -> None:
        """Wait for all acknowledgements, say farewell, disconnect; give up after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        self._settle(deadline)
        for link in self._links:
            if link.connected:
                self._say(link, link.plan.farewell)
                self._write(link)
        self._settle(max(deadline, time.monotonic() + 1.0), connected_only=True)
        for link in self._links:
            link.closing = True
            link.retry_at = math.inf
            link.client.disconnect()
            self._write(link)
        self._next_retry = math.inf
        self.turn(time.monotonic())
        self._selector.close()

    def _settle(self, deadline: float, *, connected_only: bool = False) -> None:
        """Serve until nothing waits for an acknowledgement."""

        def left() -> bool:
            links = [link for link in self._links if link.connected or not connected_only]
            return any(link.pending or link.unacknowledged for link in links)

        while left() and (now := time.monotonic()) < deadline:
            self.turn(min(deadline, now + _LONGEST_WAIT_S))

    def _client(self, plan: LinkPlan) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=plan.client_id, protocol=MQTTv311)
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if plan.will is not None:
            client.will_set(plan.will.topic, plan.will.payload, qos=1, retain=True)
        client.connect_timeout = CONNECT_TIMEOUT_S
        # We bound what is in flight ourselves: paho would send new messages before those that wait for a reconnect.
        client.max_inflight_messages_set(0)
        client.max_queued_messages_set(0)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        # With this set paho leaves the writing to us; we write at once and ask the selector only where that blocks.
        client.on_socket_register_write = _leave_it
        client.connect_async(self._address.host, self._address.port, KEEPALIVE_S)
        return client

    def _serve(self, link: _Link, events: int) -> None:
        if events & selectors.EVENT_READ:
            link.client.loop_read()
        self._pump(link)
        self._write(link)

    def _pump(self, link: _Link) -> None:
        """Send what waits, as far as the window allows."""
        while link.connected and link.pending and len(link.unacknowledged) < IN_FLIGHT:
            parcel = link.pending.popleft()
            if parcel.retained:
                link.plan = link.plan.renamed(parcel.message)
            info = link.client.publish(parcel.message.topic, parcel.message.payload, qos=1, retain=parcel.retained)
            link.unacknowledged[info.mid] = parcel
            self._write(link)

    def _say(self, link: _Link, messages: tuple[Message, ...]) -> None:
        for message in messages:
            info = link.client.publish(message.topic, message.payload, qos=1, retain=True)
            link.unacknowledged[info.mid] = None

    def _write(self, link: _Link) -> None:
        """Write at once: a socket is nearly always ready, and asking the selector first costs as much as writing."""
        if link.client.want_write():
            link.client.loop_write()
        blocked = link.client.want_write()
        if blocked != link.waits_to_write and (sock := link.client.socket()) is not None:
            link.waits_to_write = blocked
            self._selector.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if blocked else 0), link)

    def _retry(self, now: float) -> None:
        """Connect the clients whose time has come."""
        for link in self._links:
            if link.retry_at > now:
                continue
            link.retry_at = math.inf
            if link.worn:
                # What the old one would send again by itself would come after newer messages.
                link.client, link.worn = self._client(link.plan), False
                link.client.user_data_set(link)
            try:
                link.client.reconnect()
                self._write(link)
            except OSError as error:
                self._trouble = str(error)
                self._postpone(link)
        self._next_retry = min(link.retry_at for link in self._links)

    def _postpone(self, link: _Link) -> None:
        """Try again later, each client at another time."""
        if link.closing:
            return
        link.retry_at = time.monotonic() + link.backoff_s * float(self._rng.uniform(0.5, 1.5))
        link.backoff_s = min(2.0 * link.backoff_s, BACKOFF_S[1])
        self._next_retry = min(self._next_retry, link.retry_at)

    def _on_connect(
        self, _client: Client, link: _Link, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._trouble = f"the broker refused the connection: {reason}"
            return
        link.connected = True
        link.backoff_s = BACKOFF_S[0]
        if link.plan.client_id in self._ever_connected:
            self.reconnects += 1
        self._ever_connected.add(link.plan.client_id)
        # Before what was not acknowledged: the flow must know a device before it sees its packets.
        self._say(link, link.plan.greeting)

    def _on_disconnect(
        self, _client: Client, link: _Link, _flags: DisconnectFlags, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        link.connected, link.worn = False, True
        if not link.closing:
            self._recall(link)
        self._postpone(link)

    def _recall(self, link: _Link) -> None:
        """Put back what the broker may not have, or may have lost, before what still waits."""
        self.resent += len(link.recent)
        again = [parcel for _, parcel in link.recent]
        again += [parcel for parcel in link.unacknowledged.values() if parcel is not None]
        link.pending.extendleft(reversed(again))
        link.recent.clear()
        link.unacknowledged.clear()

    def _on_publish(
        self, _client: Client, link: _Link, mid: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        parcel = link.unacknowledged.pop(mid, None)
        if parcel is None:
            return
        self.acknowledged += parcel.packets
        if self._acked is not None and parcel.note:
            self._acked.write(parcel.note)
        # Counted from the newest acknowledgement: a broker that has gone since had no more time to save.
        now = time.monotonic()
        link.recent.append((now, parcel._replace(packets=0, note=b"")))
        while link.recent[0][0] < now - RESEND_S or len(link.recent) > MAX_RESEND:
            link.recent.popleft()

    def _on_socket_open(self, _client: Client, link: _Link, sock: Any) -> None:  # noqa: ANN401  # paho's own alias is wider than any socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.waits_to_write = False
        self._selector.register(sock, selectors.EVENT_READ, link)

    def _on_socket_close(self, _client: Client, _link: _Link, sock: Any) -> None:  # noqa: ANN401  # as above
        self._selector.unregister(sock)


def _leave_it(_client: Client, _link: object, _sock: object) -> None:
    """Do nothing: `Publisher` writes after every call that may have something to write."""
