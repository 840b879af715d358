"""What the doctor finds out about the broker as a client of it: that messages come back, and that it forgets none."""

import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from deploy.grounds import Finding
from deploy.problem import UserError
from deploy.settings import Broker, Settings
from deploy.wiring import broker_url
from ingest.options import BrokerAddress, broker_address
from ingest.topics import topic_of

WAIT_S: Final = 5.0
DROPPED: Final = "$SYS/broker/publish/messages/dropped"  # mosquitto counts there what it has forgotten since its start
LAST: Final = b"last"
QUEUED: Final = 1100  # messages for a session that is away: mosquitto forgets those beyond 1000 unless told otherwise


def broker(settings: Settings) -> Iterator[Finding]:
    """Look at the broker: who answers, whether a message comes back, whether it keeps what waits."""
    try:
        address = broker_address(broker_url(settings))
    except (UserError, ValueError) as error:
        yield Finding("broker", "problem", str(error))
        return
    try:
        with socket.create_connection((address.host, address.port), timeout=WAIT_S):
            pass
    except OSError as error:
        yield Finding(
            "broker",
            "problem",
            f"{address} cannot be reached ({error}): start a broker there, or correct broker.url "
            "(the demo brings its own and needs none)",
        )
        return
    visit = _Visit(address, settings.broker)
    trouble = visit.round_trip()
    if trouble:
        yield Finding("broker", "problem", f"{address}: {trouble}")
        return
    yield Finding("broker", "ok", f"{address}: a message went there and back")
    yield _queue(visit)


def _queue(visit: "_Visit") -> Finding:
    try:
        came = visit.away()
    except OSError as error:
        return Finding("broker queue", "problem", f"the broker went away meanwhile ({error}): look into its log")
    more = "" if not visit.dropped else f"; it has forgotten {visit.dropped} messages since its start"
    if came < QUEUED:
        return Finding(
            "broker queue",
            "problem",
            f"of {QUEUED} messages for a session that was away, {came} came: it forgets what it has acknowledged while "
            f"ingest is away; for mosquitto, set max_queued_messages 0{more}",
        )
    if more:
        return Finding(
            "broker queue",
            "warning",
            f"it keeps what waits for a session that is away{more}: raise its limits, or see which client is too slow",
        )
    return Finding("broker queue", "ok", f"it keeps {QUEUED} messages for a session that is away")


class _Visit:
    """Clients of one broker that come, send themselves something on a topic that no flow reads, and go."""

    def __init__(self, address: BrokerAddress, options: Broker) -> None:
        self._address, self._options = address, options
        name = uuid.uuid4().hex
        self._client_id, self._topic = f"femtoward-doctor-{name[:8]}", topic_of("doctor", name, "truth")
        self.dropped = 0

    def round_trip(self) -> str:
        """Publish to ourselves with QoS 1; return what went wrong, or nothing."""
        client = self._client()
        arrived, said = threading.Event(), ["no answer to the greeting"]

        def on_connect(client: paho.Client, _data: object, _flags: object, reason: object, _properties: object) -> None:
            if getattr(reason, "is_failure", False):
                said[0] = f"it refuses us ({reason}): correct broker.user and its secret"
            else:
                said[0] = "it did not take our subscription: its access list must let us read femtoward/v1/#"
                # What it counts is retained, and so it comes before what we say to ourselves.
                client.subscribe([(DROPPED, 0), (self._topic, 1)])

        def on_subscribe(client: paho.Client, *_: object) -> None:
            said[0] = (
                "our message did not come back: its access list must let us read femtoward/v1/#, and write "
                "femtoward/v1/doctor/+/truth"
            )
            client.publish(self._topic, b"{}", qos=1)

        def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
            if message.topic == self._topic:
                arrived.set()
            elif message.payload.isdigit():
                self.dropped = int(message.payload)

        client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
        try:
            self._connect(client)
        except (OSError, ValueError) as error:
            return f"connecting fails ({error}): check broker.url and the certificate files"
        client.loop_start()
        try:
            return "" if arrived.wait(WAIT_S) else said[0]
        finally:
            _leave(client)

    def away(self) -> int:
        """Publish to a session of ours that is away, come back for it, and return how many messages came."""
        subscribed, all_sent, all_came, gone = (threading.Event() for _ in range(4))
        came, left = 0, QUEUED

        def subscribe(client: paho.Client, *_: object) -> None:
            client.subscribe(self._topic, qos=1)

        def send(client: paho.Client, *_: object) -> None:
            for _each in range(QUEUED):
                client.publish(self._topic, b"{}", qos=1)

        def on_publish(*_args: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                all_sent.set()

        def send_last(client: paho.Client, *_: object) -> None:
            client.publish(self._topic, LAST, qos=1)  # behind all that has waited

        def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
            nonlocal came
            came += message.payload != LAST
            if message.payload == LAST:
                all_came.set()

        session, sender, back, forgotten = (
            self._client(suffix, clean=clean)
            for suffix, clean in (("-away", False), ("", True), ("-away", False), ("-away", True))
        )
        session.on_connect, session.on_subscribe = subscribe, lambda *_: subscribed.set()
        sender.on_connect, sender.on_publish = send, on_publish
        back.on_connect, back.on_message = send_last, on_message
        forgotten.on_connect = lambda *_: gone.set()
        self._stay(session, subscribed)
        self._stay(sender, all_sent)
        self._stay(back, all_came)
        self._stay(forgotten, gone)  # else the session would be kept for nobody
        return came

    def _stay(self, client: paho.Client, until: threading.Event) -> None:
        """Be connected until something has happened, or for long enough."""
        self._connect(client)
        client.loop_start()
        until.wait(WAIT_S)
        _leave(client)

    def _client(self, suffix: str = "", *, clean: bool = True) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self._client_id + suffix, clean_session=clean)
        client.max_inflight_messages_set(0)
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if self._address.tls:
            options = self._options
            client.tls_set(options.ca_file or None, options.cert_file or None, options.key_file or None)
        return client

    def _connect(self, client: paho.Client) -> None:
        if (code := client.connect(self._address.host, self._address.port, keepalive=10)) is not (
            MQTTErrorCode.MQTT_ERR_SUCCESS
        ):
            raise OSError(paho.error_string(code))


def _leave(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()
