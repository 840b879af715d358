"""A client of ill will: hears every packet, says some of them again, too late and out of order, and rubbish between."""

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.siege.rubbish import BLOCK, DEVICE, PATIENT, RATE_HZ, Message, Rubbish, plain_birth, plain_packet
from ingest.codec import encode_birth, encode_packet
from ingest.profile import Birth
from ingest.topics import ROOT, topic_of

REMEMBERED: Final = 3000  # packets, some ten MB
PIECES_PER_S: Final = 25.0
PACKET_S: Final = BLOCK / RATE_HZ
# What a device's clock may do, in s: a day's leap, an hour back, some seconds, half a second, and drift between them.
STEPS_S: Final = (86_400.0, -3600.0, 12.0, -12.0, 0.5, -0.5, 0.0)
STEP_EVERY_S: Final = 4.0


class Mischief:
    """The client; each of its attacks runs in a thread of its own until told to stop.

    Parameters
    ----------
    port
        The broker's own: what shuts devices out does not shut this one out.
    site, devices
        Who is besieged.
    seed
        Of everything that it does, as far as the network lets it.
    """

    def __init__(self, port: int, site: str, devices: list[str], seed: int) -> None:
        self._site, self._seed = site, seed
        self._devices = devices
        self._heard: deque[Message] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="siege-mischief")
        self._client.reconnect_delay_set(1, 1)
        self._client.max_queued_messages_set(1000)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port, 10)
        self._births = [plain_birth(DEVICE, PATIENT)]

    def start(self) -> None:
        """Connect, and again whenever the broker is back."""
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1; a broker that is dead gets it later, or never."""
        with contextlib.suppress(ValueError):  # a topic that not even a client may send
            self._client.publish(topic, payload, qos=1, retain=retain)

    def packets(self, stopping: threading.Event) -> None:
        """Say heard packets again, some at once, some late, in any order; and rubbish."""
        rng = self._rng()
        rubbish = Rubbish(rng, self._site, self._devices)
        while not stopping.wait(rng.expovariate(PIECES_PER_S)):
            heard = self._heard[rng.randrange(len(self._heard))] if self._heard else None
            if heard is not None and rng.random() < 0.4:
                self.say(*heard)
            else:
                self.say(*rubbish.one(heard.payload if heard else b"", time.time_ns()))

    def clocks(self, stopping: threading.Event) -> None:
        """Two devices whose clocks step; one of them also sends its packets out of order, and loses some."""
        rng = self._rng()
        devices = [f"stepper-{self._count:04d}", f"shuffler-{self._count:04d}"]
        for device in devices:
            birth = plain_birth(device, f"{device.partition('-')[0]}-{self._count:04d}")
            self._births.append(birth)
            self._announce(birth)
        boot = f"boot-{time.time_ns()}"
        offset_s, due_s, seq = 0.0, time.monotonic() + STEP_EVERY_S, 0
        late: list[bytes] = []
        while not stopping.wait(PACKET_S):
            if time.monotonic() > due_s:
                offset_s, due_s = rng.choice(STEPS_S), due_s + STEP_EVERY_S
            t0_ns = time.time_ns() + round((offset_s - PACKET_S) * 1e9)
            stepper, shuffler = (plain_packet(device, boot, seq, t0_ns, 180) for device in devices)
            self.say(topic_of(self._site, devices[0], "data"), encode_packet(stepper))
            late.append(encode_packet(shuffler))
            rng.shuffle(late)
            while len(late) > 3:
                payload = late.pop()
                if rng.random() < 0.9:
                    self.say(topic_of(self._site, devices[1], "data"), payload)
            seq += 1
        for device in devices:
            self.say(topic_of(self._site, device, "status"), b'{"state":"offline","reason":"siege"}')

    def run(self, attack: Callable[[threading.Event], None]) -> Callable[[], None]:
        """Run an attack of this client in a thread; return what ends it."""
        self._count += 1
        stopping = threading.Event()
        thread = threading.Thread(target=attack, args=(stopping,), name="mischief", daemon=True)
        thread.start()

        def end() -> None:
            stopping.set()
            thread.join(5.0)

        return end

    def _rng(self) -> random.Random:
        return random.Random(f"{self._seed}/{self._count}")  # noqa: S311 - a script, no secret

    def _announce(self, birth: Birth) -> None:
        self.say(topic_of(self._site, birth.device, "birth"), encode_birth(birth), retain=True)

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        if reason.is_failure:
            return
        client.subscribe(f"{ROOT}/{self._site}/+/data", qos=0)
        for birth in list(self._births):
            self._announce(birth)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with contextlib.suppress(UnicodeDecodeError):
            if "/wearable-" in message.topic:
                self._heard.append(Message(message.topic, bytes(message.payload)))
