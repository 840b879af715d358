"""MQTT in: a persistent session whose messages are acknowledged only once they are in the journal.

When the broker dies, or the way to it, the link says so in the journal and connects again for ever, with jitter; the
broker, or the device, keeps what was not acknowledged. When ingest dies the broker keeps the session and sends again
what was not acknowledged. Acknowledgements of an earlier connection are dropped: message ids are used again, and would
acknowledge another message.

Two things lose messages behind our back, and both are reported: a broker that no longer knows our session, and another
client under our client id. Such a report is taken back once a connection has stood for a minute. A session found again
would be no sign: the one just made is found again at the next cut. As a report may be left standing by a run that
died, each run says once that all is well.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.durable import replace_file
from ingest.inbox import Arrival, Inbox
from ingest.metrics import LINK_UP
from ingest.notices import LinkNotice, Oversize, Report
from ingest.options import IngestOptions, broker_address, subscriptions
from ingest.profile import MAX_PAYLOAD_BYTES
from ingest.segments import RecordKind
from ingest.topics import ROOT

__all__ = ["HEAD_BYTES", "IngestOptions", "Link"]

T = TypeVar("T")

log = logging.getLogger(__name__)

HEAD_BYTES: Final = 1024  # kept of a message that is too large to be kept
TAKEN_OVER: Final = 142  # MQTT 5 reason code: another client connected under our id
UNSPECIFIED: Final = 128  # what paho says of a socket that was closed without a word
SHORT_S: Final = 5.0  # a connection that did not last this long was no good
# Many brokers cut without a word whom another client has thrown out, so a rival shows only as connections that do not
# last. A broker that restarts cuts one, and seldom a short one: two in a row, nobody refusing us between them, are
# reported. They may still be a bad line, so the long wait, which would leave us blind, comes later.
SUSPICIOUS: Final = 2
DISPUTES: Final = 5
MAX_FILTERS: Final = 1000  # remembered of earlier configurations that no broker has taken leave of
STEADY_S: Final = 60.0  # a connection that has stood so long takes back what was reported


class Link(threading.Thread):
    """The connection to the broker: one thread that connects, reads into the inbox, and connects again.

    Parameters
    ----------
    options
        Broker, session and limits.
    inbox
        Where arrivals go; when it is full the link stops reading.
    jitter
        Source of the random part of waits, so that clients thrown off together do not come back together.
    """

    def __init__(self, options: IngestOptions, inbox: Inbox, jitter: random.Random) -> None:
        super().__init__(name="mqtt", daemon=True)
        self._options, self._inbox, self._jitter = options, inbox, jitter
        self._address = broker_address(options.broker)
        self._wanted = subscriptions(options.sites)
        self._memory = Path(options.folder) / "subscriptions.json"
        self._identity = Path(options.folder) / "session.json"
        self._lasting = options.protocol != "5" or options.session_expiry_s > 0  # the broker is to keep the session
        # A session with our subscriptions was made under this client id, by this run or an earlier one.
        self._held = self._recall(self._identity, str) == options.client_id
        self._stopping = threading.Event()
        self._answered = threading.Event()
        self._acks = threading.Lock()
        self._serial = 0  # connections so far
        self._live = 0  # number of the connection that may be acknowledged on; 0: none
        self._up_since: float | None = None
        self._said: tuple[bool, str] | None = None
        self._reason = ""  # why the connection ended, or did not come about
        self._taken_over = False
        self._shorts = 0  # connections one after another that did not last
        self._dispute = ""  # the rival that was reported and has not been gone for long
        self._refused = False  # our subscriptions, on the connection that stands
        self._subscribed = False  # on the connection that stands
        self._unsettled = True  # all is not known to be well; an earlier run may have left a report standing
        self._fresh = True  # no connection of this process yet: ask for retained births again
        self._leaving: list[str] = []  # topic filters of the last configuration
        self._client = self._make_client()

    @property
    def up(self) -> bool:
        """Whether the broker has accepted us and has not gone since."""
        return self._up_since is not None

    @property
    def serving(self) -> bool:
        """Whether messages can come: the broker is there and took our subscriptions."""
        return self.up and self._subscribed

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Acknowledge what is committed, so far as it came by the connection that stands."""
        with self._acks:
            for arrival in arrivals:
                if arrival.mid and arrival.connection == self._live:
                    self._client.ack(arrival.mid, 1)

    def run(self) -> None:
        """Connect and read until stopped."""
        self._say(up=False, reason="ingest starts")
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            self._one_connection()
            if self._stopping.is_set():
                break
            short = time.monotonic() - began < SHORT_S
            failures = failures + 1 if short else 1
            first, longest = self._options.reconnect_s
            wait_s = min(longest, first * 2.0 ** min(failures - 1, 30))
            if self._taken_over:
                wait_s = self._options.taken_over_s
            self._stopping.wait(wait_s * self._jitter.uniform(0.5, 1.0))
        self._say(up=False, reason="ingest stops")

    def stop(self, timeout_s: float) -> bool:
        """Disconnect once the broker has seen all acknowledgements given; False when it took over `timeout_s`.

        The inbox must be closed: what the broker still sends is read, and left to it.
        """
        deadline = time.monotonic() + timeout_s
        if self.up:
            # Closing a socket with unread messages resets it, and the broker may then lose acknowledgements on their
            # way. It answers in order: with the answer to this request, which changes nothing, it has them.
            self._answered.clear()
            self._client.unsubscribe(f"{ROOT}/ward/farewell")
            self._answered.wait(timeout_s)
        self._stopping.set()
        self._client.disconnect()
        self.join(max(deadline - time.monotonic(), 0.1))
        return not self.is_alive()

    def _make_client(self) -> paho.Client:
        five = self._options.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._options.client_id,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if self._address.tls:
            options = self._options
            client.tls_set(options.ca_file or None, options.cert_file or None, options.key_file or None)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = lambda *_: self._answered.set()
        # With this set, paho leaves writing to the thread that calls loop(), also when another one acknowledges.
        client.on_socket_register_write = lambda *_: None
        return client

    def _one_connection(self) -> None:
        self._reason, self._taken_over = "", False
        with self._acks:
            self._serial += 1
            self._live = self._serial
        try:
            if self._options.protocol == "5":
                session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's type is missing here
                session.SessionExpiryInterval = self._options.session_expiry_s
                session.ReceiveMaximum = self._options.inflight
                self._client.connect(
                    self._address.host,
                    self._address.port,
                    self._options.keepalive_s,
                    clean_start=False,
                    properties=session,
                )
            else:
                self._client.connect(self._address.host, self._address.port, self._options.keepalive_s)
            while (code := self._client.loop(1.0)) is MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._settle()
                if self._stopping.is_set():  # stop() came before there was a connection to end
                    self._client.disconnect()
            self._reason = self._reason or paho.error_string(code)
        except OSError as error:
            self._reason = f"no connection to {self._address}: {error.strerror or error}"
        self._ended()

    def _ended(self) -> None:
        with self._acks:
            self._live = 0
        self._subscribed = False
        LINK_UP.set(0)
        if self._stopping.is_set():
            self._up_since = None
            return
        short = self._up_since is not None and time.monotonic() - self._up_since < SHORT_S
        self._up_since = None
        self._shorts = self._shorts + 1 if short else 0
        told = self._taken_over
        self._taken_over = told or self._shorts >= DISPUTES
        self._say(up=False, reason=self._reason)
        if not self._dispute and (told or self._shorts >= SUSPICIOUS):
            seen = "" if told else f"connections end within {SHORT_S:g} s of their beginning: probably "
            self._dispute = (
                f"{seen}another client connects to {self._address} under our client id {self._options.client_id!r} "
                "and takes the session with its messages: stop it, or give each ingest a client_id of its own; "
                f"as long as this goes on we try again more seldom, at last every {self._options.taken_over_s:g} s"
            )
            self._report(ok=False, detail=self._dispute)

    def _settle(self) -> None:
        """Take back what was reported, once a connection has stood for long."""
        if not self._unsettled or self._refused or self._up_since is None:
            return
        steady_s = max(STEADY_S, self._options.taken_over_s)  # a rival may be as patient as we are
        if time.monotonic() - self._up_since > steady_s:
            self._unsettled, self._dispute = False, ""
            client_id = self._options.client_id
            self._report(ok=True, detail=f"session {client_id!r} at {self._address} has been ours for {steady_s:g} s")

    def _on_connect(
        self,
        _client: paho.Client,
        _userdata: object,
        flags: paho.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._reason = f"broker {self._address} refuses us: {code}; check user, password and client_id"
            return
        self._up_since = time.monotonic()
        known = "resumed" if flags.session_present else "new"
        self._say(up=True, reason=f"connected to {self._address}, session {known}")
        if self._held and self._lasting and not flags.session_present:
            lost = (
                f"the broker no longer knows our session {self._options.client_id}: messages may be lost; "
                "was it restarted without persistence, or does another client use our id?"
            )
            # The newest report is the one that is shown: let it not hide a rival already found.
            self._report(ok=False, detail="; ".join(filter(None, [lost, self._dispute])), level=logging.WARNING)
        self._subscribe(resumed=flags.session_present)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._acks:
            self._live = 0
        self._answered.set()  # there will be no answer any more
        self._taken_over = flags.is_disconnect_packet_from_server and code.value == TAKEN_OVER
        why = "closed by the broker or cut" if code.value == UNSPECIFIED else str(code)
        if not self.up and self._options.protocol == "5":
            why += " before it answered; if this broker speaks MQTT 3.1.1 only, set protocol to '3.1.1'"
        self._reason = self._reason or f"connection to {self._address} lost: {why}"

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            topic = error.object.decode(errors="backslashreplace")
        kind, payload = RecordKind.MESSAGE, bytes(message.payload)
        if len(payload) > MAX_PAYLOAD_BYTES:
            kind, payload = RecordKind.OVERSIZE, msgspec.json.encode(Oversize(len(payload), payload[:HEAD_BYTES]))
        self._inbox.put(Arrival(kind, topic, payload, self._live, message.mid if message.qos else 0))

    def _subscribe(self, *, resumed: bool) -> None:
        """Ask for what is wanted now, and no longer for what only an earlier configuration wanted."""
        before = self._recall(self._memory, list[str]) or []
        left = sorted(set(before) - set(self._wanted))
        if left:
            self._remember(self._memory, sorted({*before[:MAX_FILTERS], *self._wanted}))
            log.warning("topics left", extra={"event": "mqtt-unsubscribe", "topics": left})
            self._client.unsubscribe(left)
        if self._options.protocol == "5":
            # Births are retained: have them again when this process or the session is new, not after each broken line.
            again = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
            known = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            wanted = SubscribeOptions(qos=1, retainHandling=known if resumed and not self._fresh else again)
            self._client.subscribe([(topic, wanted) for topic in self._wanted])
        else:
            self._client.subscribe([(topic, 1) for topic in self._wanted])

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [topic for topic, code in zip(self._wanted, codes, strict=True) if code.is_failure]
        self._refused, self._subscribed = bool(refused), not refused
        LINK_UP.set(int(self._subscribed))
        if refused:
            self._report(
                ok=False,
                detail=f"broker {self._address} refuses the subscription to {', '.join(refused)}: "
                f"give user {self._address.user!r} the right to read there",
            )
            return
        self._fresh = False
        self._remember(self._memory, sorted(self._wanted))
        if not self._held:
            self._held = True
            self._remember(self._identity, self._options.client_id)

    @staticmethod
    def _recall(path: Path, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (FileNotFoundError, msgspec.DecodeError, UnicodeError):
            return None

    @staticmethod
    def _remember(path: Path, what: object) -> None:
        try:
            replace_file(path, msgspec.json.encode(what))
        except OSError as error:
            # Forgetting costs that topics no longer wanted stay subscribed after the next change, and that the next run
            # does not miss a session the broker has lost meanwhile.
            log.warning("%s not kept", path.name, extra={"event": "mqtt-memory", "reason": str(error)})

    def _say(self, *, up: bool, reason: str) -> None:
        if (up, reason) == self._said:
            return
        self._said = (up, reason)
        level, word = (logging.INFO, "up") if up else (logging.WARNING, "down")
        log.log(level, "link %s: %s", word, reason, extra={"event": "link", "up": up, "reason": reason})
        self._inbox.tell(Arrival(RecordKind.LINK, "", msgspec.json.encode(LinkNotice(up, reason))))

    def _report(self, *, ok: bool, detail: str, level: int = logging.ERROR) -> None:
        self._unsettled = self._unsettled or not ok
        log.log(logging.INFO if ok else level, detail, extra={"event": "mqtt-report", "ok": ok})
        self._inbox.tell(Arrival(RecordKind.REPORT, "", msgspec.json.encode(Report("mqtt", ok, detail))))
