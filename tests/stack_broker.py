"""The broker of the stack for tests: the real configuration, with paths and ports of a test, and clients of it."""

import os
import signal
import ssl
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from servers import Broker, eventually, free_port

DEPLOY = Path(__file__).parents[1] / "deploy"
INGEST = "femtoward-ingest"


def make_secrets(secrets: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the script that makes secrets, or logins for these names."""
    return subprocess.run(
        ["sh", str(DEPLOY / "make-secrets.sh"), *names],
        env={**os.environ, "FEMTOWARD_SECRETS": str(secrets)},
        capture_output=True,
        text=True,
        check=False,
    )


class StackBroker(Broker):
    """A mosquitto on the configuration that ships.

    Parameters
    ----------
    folder
        Everything of it.
    devices
        Which listener devices have: the name of a file in deploy/mosquitto.
    changes
        Text of the configuration or the access list, and what stands in its place.
    """

    def __init__(self, folder: Path, devices: str = "devices.conf", changes: dict[str, str] | None = None) -> None:
        self.secrets, self.inner, self.outer = folder / "secrets", free_port(), free_port()
        (folder / "conf.d").mkdir(parents=True)
        done = make_secrets(self.secrets)
        assert done.returncode == 0, done.stderr
        (folder / "data").mkdir()
        change = {
            "/run/secrets/": f"{self.secrets}/",
            "/mosquitto/data/": f"{folder}/data/",
            "/mosquitto/config/": f"{folder}/",
            "listener 1884\n": f"listener {self.inner} 127.0.0.1\n",
            "listener 1883\n": f"listener {self.outer} 127.0.0.1\n",
            "listener 8883\n": f"listener {self.outer} 127.0.0.1\n",
            **(changes or {}),
        }
        if os.geteuid() == 0:  # else it gives up root, and with it the folder
            change["log_dest stderr\n"] = "log_dest stderr\nuser root\n"
        for name, target in (("mosquitto.conf", "mosquitto.conf"), (devices, "conf.d/devices.conf"), ("acl", "acl")):
            text = (DEPLOY / "mosquitto" / name).read_text()
            for old, new in change.items():
                text = text.replace(old, new)
            (folder / target).write_text(text)
        super().__init__(folder, self.inner, folder / "mosquitto.conf")

    def password(self, name: str) -> str:
        """What a secret's file holds."""
        return (self.secrets / name).read_text()

    def add(self, *names: str) -> dict[str, str]:
        """Give logins to these names; return their passwords, which the broker knows once it has reloaded."""
        done = make_secrets(self.secrets, *names)
        assert done.returncode == 0, done.stderr
        return dict(line.split() for line in done.stdout.splitlines())

    def reload(self) -> None:
        """Have it read passwords and access list again, as `docker compose kill --signal HUP` does."""
        before = self._reloads()
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self._reloads() > before, what="the reload")

    def _reloads(self) -> int:
        return (self.folder / "mosquitto.log").read_text().count("Loading config file")

    def ingest(self, **options: Any) -> "Client":  # noqa: ANN401 - options of a client
        """A client with ingest's login on femtoward's own listener."""
        return Client(self.inner, INGEST, self.password("ingest_password"), **options)


class Client:
    """A client of a broker on the loopback, and all that it was told; a context manager that disconnects it."""

    def __init__(
        self,
        port: int,
        login: str | None,
        password: str = "",
        *,
        client_id: str = "",
        five: bool = True,
        lasting: bool = False,
        authority: Path | None = None,
    ) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.answered: dict[int, list[ReasonCode]] = {}  # by message id
        self.greeted: ReasonCode | None = None
        self.gone: ReasonCode | None = None
        self._here = threading.Event()
        protocol = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=protocol,
            clean_session=None if five else not lasting,
            reconnect_on_failure=False,
        )
        if login is not None:
            self.paho.username_pw_set(login, password)
        if authority is not None:
            self.paho.tls_set(str(authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.paho.max_inflight_messages_set(0)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, bytes(message.payload))
        )
        self.paho.on_publish = lambda _c, _d, mid, code, _p: self.answered.setdefault(mid, []).append(code)
        self.paho.on_subscribe = lambda _c, _d, mid, codes, _p: self.answered.setdefault(mid, []).extend(codes)
        self.paho.on_unsubscribe = lambda _c, _d, mid, codes, _p: self.answered.setdefault(mid, []).extend(codes)
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's type is missing here
        if five:
            session.SessionExpiryInterval = 3600 if lasting else 0
        self.paho.connect(
            "127.0.0.1" if authority is None else "localhost",
            port,
            clean_start=not lasting if five else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=session if five else None,
        )
        self.paho.loop_start()
        eventually(lambda: self.greeted is not None or self.gone is not None, what="an answer to the greeting")

    def publish(self, topic: str, payload: bytes = b"{}", *, qos: int = 1, retain: bool = False) -> str:
        """Publish and wait for the answer; return it, or why we were cut off."""
        info = self.paho.publish(topic, payload, qos=qos, retain=retain)
        eventually(lambda: info.mid in self.answered or self.gone is not None, what=f"the answer to {topic}")
        return str(self.answered[info.mid][0] if info.mid in self.answered else self.gone)

    def subscribe(self, topic: str, qos: int = 1) -> str:
        """Subscribe and wait for the answer; return it."""
        code, mid = self.paho.subscribe(topic, qos=qos)
        assert code is MQTTErrorCode.MQTT_ERR_SUCCESS
        return self._answer(mid)

    def caught_up(self) -> None:
        """Return once the broker has sent all that it has for us: it answers in order."""
        code, mid = self.paho.unsubscribe("nowhere")
        assert code is MQTTErrorCode.MQTT_ERR_SUCCESS
        self._answer(mid)

    def close(self) -> None:
        """Disconnect, in good order."""
        self.paho.disconnect()
        self.paho.loop_stop()

    def _answer(self, mid: int | None) -> str:
        eventually(lambda: mid in self.answered, what="the answer to a request")
        assert mid is not None
        return str(self.answered[mid][0])

    def _on_connect(self, _c: object, _d: object, _f: object, code: ReasonCode, _p: object) -> None:
        self.greeted = code

    def _on_disconnect(self, _c: object, _d: object, _f: object, code: ReasonCode, _p: object) -> None:
        self.gone = code

    def __enter__(self) -> Self:
        """Return it, connected."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Disconnect."""
        self.close()
