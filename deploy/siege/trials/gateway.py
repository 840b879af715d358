"""One quick MQTT client that speaks for any number of devices."""

import threading
from types import TracebackType
from typing import Final, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.broker import HOST
from deploy.problem import UserError

WINDOW: Final = 500  # messages that wait for their acknowledgement
WITHIN_S: Final = 60.0


class Gateway:
    """Publishes with QoS 1 and waits where the broker lags behind.

    Parameters
    ----------
    port
        The broker's, on the loopback.
    client_id
        Whose session it is.

    Attributes
    ----------
    acknowledged
        Messages that the broker has taken.
    """

    def __init__(self, port: int, client_id: str) -> None:
        self.acknowledged = 0
        self._published = 0
        self._changed = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv311)
        self._client.max_inflight_messages_set(WINDOW)
        self._client.on_publish = self._on_publish
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._port = port
        self._up = False

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish, as soon as the window has room."""
        self._wait(WINDOW - 1)
        self._published += 1
        self._client.publish(topic, payload, qos=1, retain=retain)

    def settle(self) -> None:
        """Wait until the broker has acknowledged everything."""
        self._wait(0)

    def __enter__(self) -> Self:
        """Connect."""
        self._client.connect(HOST, self._port)
        self._client.loop_start()
        with self._changed:
            if not self._changed.wait_for(lambda: self._up, WITHIN_S):
                raise UserError(f"the broker on port {self._port} did not answer within {WITHIN_S:g} s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _wait(self, most: int) -> None:
        """Wait until so many messages at most are not acknowledged."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._published - self.acknowledged <= most, WITHIN_S):
                raise UserError(f"the broker has taken no message for {WITHIN_S:g} s: its log says why")

    def _on_publish(
        self, _client: Client, _data: object, _mid: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._changed:
            self.acknowledged += 1
            self._changed.notify_all()

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        with self._changed:
            self._up = not reason.is_failure
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, _reason: ReasonCode, _more: Properties | None
    ) -> None:
        self._up = False
