"""MQTT in, against a real mosquitto: sessions, acknowledgements, rivals, refusals; and the options that lead there."""

import logging
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from servers import Broker, eventually, free_port, start_mosquitto

from ingest import mqtt
from ingest.inbox import Arrival, Inbox
from ingest.mqtt import IngestOptions, Link
from ingest.notices import LinkNotice, Report
from ingest.options import broker_address, subscriptions
from ingest.segments import RecordKind
from ingest.topics import SUBSCRIPTIONS, topic_of

DATA = topic_of("east", "d1", "data")
SWIFT = (0.02, 0.2)
LOST = (
    "the broker no longer knows our session femtoward-ingest-main: messages may be lost; "
    "was it restarted without persistence, or does another client use our id?"
)
pytestmark = pytest.mark.servers


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with start_mosquitto(tmp_path / "broker", persistent=True) as broker:
        yield broker


class Listening:
    """A link and all that came out of its inbox, nothing being acknowledged unless asked for."""

    def __init__(self, folder: Path, url: str, **changes: Any) -> None:  # noqa: ANN401 - any of the options
        folder.mkdir(parents=True, exist_ok=True)
        options = IngestOptions(folder=str(folder), broker=url, reconnect_s=SWIFT, **changes)
        self.inbox = Inbox(1000, 1 << 30, 100, 0.0)
        self.link = Link(options, self.inbox, random.Random(1))  # noqa: S311 - keeps no secret
        self.came: list[Arrival] = []
        self.link.start()

    def __enter__(self) -> Self:
        """Return it, listening."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the link, in time."""
        self.inbox.close()
        assert self.link.stop(10.0)

    def look(self) -> list[Arrival]:
        self.came += self.inbox.take(0.0)
        return self.came

    def messages(self) -> list[Arrival]:
        return [arrival for arrival in self.look() if arrival.kind is RecordKind.MESSAGE]

    def links(self, *, up: bool) -> list[str]:
        notices = [msgspec.json.decode(a.payload, type=LinkNotice) for a in self.look() if a.kind is RecordKind.LINK]
        return [notice.reason for notice in notices if notice.up is up]

    def reports(self, *, ok: bool) -> list[str]:
        said = [msgspec.json.decode(a.payload, type=Report) for a in self.look() if a.kind is RecordKind.REPORT]
        return [report.detail for report in said if report.ok is ok]

    def subscribed(self) -> bool:
        return not self.link._fresh


def publish(url: str, *messages: tuple[str, bytes], qos: int = 1, retain: bool = False) -> None:
    """Publish and wait until the broker has acknowledged."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker_address(url).host, broker_address(url).port)
    client.loop_start()
    sent = [client.publish(topic, payload, qos, retain) for topic, payload in messages]
    for one in sent:
        one.wait_for_publish(30.0)
        assert one.is_published()
    client.disconnect()
    client.loop_stop()


def rival(broker: Broker, protocol: MQTTProtocolVersion) -> paho.Client:
    """Another client under the same id that comes back at once whenever it is thrown out."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="femtoward-ingest-main", protocol=protocol)
    client.reconnect_delay_set(0, 0)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    return client


def come_and_go(url: str, client_id: str = "femtoward-ingest-main") -> None:
    """Connect once under a client id, with a clean session, and go: what a mistaken command line does."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
    client.connect(broker_address(url).host, broker_address(url).port)
    while not client.is_connected():
        assert client.loop(1.0) is MQTTErrorCode.MQTT_ERR_SUCCESS
    client.disconnect()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_not_acknowledged_comes_again_and_what_is_does_not(
    tmp_path: Path, broker: Broker, protocol: Literal["5", "3.1.1"]
) -> None:
    def first_connection() -> list[Arrival]:
        with Listening(tmp_path / "main", broker.url, protocol=protocol) as listening:
            eventually(listening.subscribed)
            publish(broker.url, (DATA, b"one"), (DATA, b"two"), (DATA, b"three"))
            eventually(lambda: len(listening.messages()) == 3)
            listening.link.acknowledge(listening.came[:-1])
            return listening.messages()

    before = first_connection()
    assert [arrival.payload for arrival in before] == [b"one", b"two", b"three"]
    with Listening(tmp_path / "main", broker.url, protocol=protocol) as listening:
        eventually(listening.messages)
        publish(broker.url, (DATA, b"four"))
        eventually(lambda: len(listening.messages()) >= 2)
        assert [arrival.payload for arrival in listening.messages()] == [b"three", b"four"]
        assert any("session resumed" in reason for reason in listening.links(up=True))


def test_an_acknowledgement_of_an_earlier_connection_is_dropped(tmp_path: Path, broker: Broker) -> None:
    with Listening(tmp_path / "main", broker.url) as listening:
        eventually(listening.subscribed)
        publish(broker.url, (DATA, b"one"))
        eventually(lambda: len(listening.messages()) == 1)
        broker.restart()
        eventually(lambda: len(listening.messages()) == 2)
        old, new = listening.messages()
        assert old.payload == new.payload
        assert old.connection < new.connection
        listening.link.acknowledge([old])
        broker.restart()
        eventually(lambda: len(listening.messages()) == 3)
        listening.link.acknowledge(listening.messages())
        publish(broker.url, (DATA, b"two"))  # behind the acknowledgement: once it is here, so is that
        eventually(lambda: len(listening.messages()) == 4)
        broker.restart()
        eventually(lambda: len(listening.messages()) == 5)
        assert [arrival.payload for arrival in listening.messages()] == [b"one", b"one", b"one", b"two", b"two"]


def test_topics_that_are_no_longer_wanted_are_left(tmp_path: Path, broker: Broker) -> None:
    with Listening(tmp_path / "main", broker.url, sites=("east", "west")) as listening:
        eventually(listening.subscribed)
    with Listening(tmp_path / "main", broker.url, sites=("west",)) as listening:
        eventually(listening.subscribed)
        publish(broker.url, (DATA, b"east"), (topic_of("west", "d1", "data"), b"west"))
        eventually(lambda: len(listening.messages()) == 1)
        assert [arrival.payload for arrival in listening.messages()] == [b"west"]
    kept = msgspec.json.decode((tmp_path / "main" / "subscriptions.json").read_bytes(), type=list[str])
    assert kept == sorted(subscriptions(("west",)))


def test_births_are_asked_for_again_by_a_new_process_but_not_after_a_broken_line(
    tmp_path: Path, broker: Broker
) -> None:
    publish(broker.url, (topic_of("east", "d1", "birth"), b"{}"), retain=True)
    for count in (1, 2):
        with Listening(tmp_path / "main", broker.url) as listening:
            eventually(lambda: len(listening.messages()) == 1)
            listening.link.acknowledge(listening.messages())
            eventually(listening.subscribed)
            if count == 2:
                broker.restart()
                eventually(lambda: len(listening.links(up=True)) == 2)
                publish(broker.url, (DATA, b"later"))
                eventually(lambda: any(arrival.payload == b"later" for arrival in listening.messages()))
                assert [arrival.payload for arrival in listening.messages()] == [b"{}", b"later"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_rival_under_our_client_id_is_reported_and_not_fought(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch, protocol: Literal["5", "3.1.1"]
) -> None:
    with Listening(tmp_path / "main", broker.url, protocol=protocol, taken_over_s=0.2) as listening:
        eventually(listening.subscribed)
        client = rival(broker, MQTTProtocolVersion.MQTTv5 if protocol == "5" else MQTTProtocolVersion.MQTTv311)
        eventually(lambda: any("another client connects" in detail for detail in listening.reports(ok=False)))
        detail = next(detail for detail in listening.reports(ok=False) if "another client connects" in detail)
        eventually(lambda: listening.link._shorts >= mqtt.DISPUTES)
        assert "'femtoward-ingest-main'" in detail
        assert "give each ingest a client_id of its own" in detail
        assert not listening.reports(ok=True)
        client.disconnect()
        client.loop_stop()
        monkeypatch.setattr(mqtt, "STEADY_S", 0.3)
        eventually(lambda: listening.reports(ok=True), what="the dispute to be over")


def test_a_second_short_connection_in_a_row_is_suspicious_and_a_refused_one_between_is_not(tmp_path: Path) -> None:
    inbox = Inbox(1000, 1 << 30, 100, 0.0)
    link = Link(IngestOptions(folder=str(tmp_path)), inbox, random.Random(1))  # noqa: S311 - keeps no secret

    def cut(*, was_up: bool) -> int:
        link._up_since = time.monotonic() if was_up else None
        link._ended()
        return sum(arrival.kind is RecordKind.REPORT for arrival in inbox.take(0.0))

    assert [cut(was_up=up) for up in (True, False, True, False, True, True, True)] == [0, 0, 0, 0, 0, 1, 0]
    assert not link._taken_over
    cut(was_up=True)
    cut(was_up=True)
    assert link._taken_over


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_one_short_visit_under_our_client_id_is_reported_as_a_lost_session(
    tmp_path: Path,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    protocol: Literal["5", "3.1.1"],
) -> None:
    with Listening(tmp_path / "main", broker.url, protocol=protocol, taken_over_s=0.0) as listening:
        eventually(listening.subscribed)
        assert listening.reports(ok=False) == []
        come_and_go(broker.url)
        eventually(lambda: listening.reports(ok=False))
        assert listening.reports(ok=False) == [LOST]
        assert listening.reports(ok=True) == []
        assert [r.levelno for r in caplog.records if r.getMessage() == LOST] == [logging.WARNING]
        monkeypatch.setattr(mqtt, "STEADY_S", 0.1)
        eventually(lambda: listening.reports(ok=True))
        publish(broker.url, (DATA, b"one"))
        eventually(listening.messages)
        assert len(listening.reports(ok=True)) == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_session_that_an_earlier_run_had_is_missed_by_the_next(
    tmp_path: Path, broker: Broker, protocol: Literal["5", "3.1.1"]
) -> None:
    for changes, said in ({}, []), ({}, [LOST]), ({"client_id": "other"}, []):
        with Listening(tmp_path / "main", broker.url, protocol=protocol, **changes) as listening:
            eventually(listening.subscribed)
            assert listening.reports(ok=False) == said
        come_and_go(broker.url)


def test_a_session_that_the_broker_was_not_to_keep_is_not_missed(tmp_path: Path, broker: Broker) -> None:
    for _ in range(2):
        with Listening(tmp_path / "main", broker.url, session_expiry_s=0) as listening:
            eventually(listening.subscribed)
            assert "session new" in listening.links(up=True)[0]
            assert listening.reports(ok=False) == []


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_restarted_with_persistence_is_no_reason_for_a_report_and_without_it_is(
    tmp_path: Path, broker: Broker, protocol: Literal["5", "3.1.1"]
) -> None:
    with Listening(tmp_path / "main", broker.url, protocol=protocol) as listening:
        eventually(listening.subscribed)
        broker.restart()
        eventually(lambda: len(listening.links(up=True)) == 2)
        publish(broker.url, (DATA, b"one"))
        eventually(listening.messages)
        listening.link.acknowledge(listening.messages())
        assert listening.reports(ok=False) == []
    broker.restart()
    with Listening(tmp_path / "main", broker.url, protocol=protocol) as listening:
        eventually(listening.subscribed)
        assert listening.reports(ok=False) == []
        broker.stop()
        (broker.folder / "mosquitto.db").unlink()
        broker.start()
        eventually(lambda: listening.reports(ok=False))
        assert listening.reports(ok=False) == [LOST]


def test_subscriptions_refused_stay_reported_however_steady_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "STEADY_S", -1.0)
    inbox = Inbox(1000, 1 << 30, 100, 0.0)
    link = Link(IngestOptions(folder=str(tmp_path), taken_over_s=0.0), inbox, random.Random(1))  # noqa: S311 - as above
    link._up_since = time.monotonic() - 1.0

    def answered(code: str) -> list[bool]:
        codes = [ReasonCode(PacketTypes.SUBACK, code)] * len(SUBSCRIPTIONS)
        link._on_subscribe(link._client, None, 1, codes, None)
        link._settle()
        return [msgspec.json.decode(arrival.payload, type=Report).ok for arrival in inbox.take(0.0)]

    assert answered("Not authorized") == [False]
    assert answered("Granted QoS 1") == [True]
    assert answered("Granted QoS 1") == []


def test_a_broker_that_is_not_there_is_said_once_and_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with Listening(tmp_path / "main", f"mqtt://127.0.0.1:{port}") as listening:
        eventually(lambda: listening.link._serial > 3)
        assert listening.links(up=False) == ["ingest starts", f"no connection to 127.0.0.1:{port}: Connection refused"]
        with start_mosquitto(tmp_path / "broker", port):
            eventually(lambda: listening.links(up=True))
        eventually(lambda: len(listening.links(up=False)) >= 3)


def test_a_broker_that_hangs_up_without_an_answer_may_be_an_old_one(tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server, Listening(tmp_path / "main", f"mqtt://127.0.0.1:{server.getsockname()[1]}") as listening:
        for _ in range(2):
            connection, _where = server.accept()
            connection.recv(1000)
            connection.close()
        eventually(lambda: len(listening.links(up=False)) == 2)
        assert "set protocol to '3.1.1'" in listening.links(up=False)[1]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_refuses_us_is_named_and_asked_again(tmp_path: Path, protocol: Literal["5", "3.1.1"]) -> None:
    with start_mosquitto(tmp_path / "broker", anonymous=False) as broker:
        url = broker.url.replace("//", "//ward:secret@")
        with Listening(tmp_path / "main", url, protocol=protocol) as listening:
            eventually(lambda: listening.link._serial > 2)
            assert not listening.links(up=True)
            assert any("refuses us: Not authorized; check user" in reason for reason in listening.links(up=False))
            assert not any("secret" in reason for reason in listening.links(up=False))


def test_a_full_inbox_makes_the_link_stop_reading(tmp_path: Path, broker: Broker) -> None:
    with Listening(tmp_path / "main", broker.url) as listening:
        eventually(listening.subscribed)
        listening.look()
        publish(broker.url, *((DATA, b"%d" % number) for number in range(1500)), qos=0)
        eventually(lambda: len(listening.inbox) == 1000)
        eventually(lambda: len(listening.messages()) == 1500)
        assert [int(arrival.payload) for arrival in listening.messages()] == list(range(1500))


def test_closing_the_inbox_lets_go_of_who_waits_for_room() -> None:
    inbox = Inbox(1, 100, 10, 0.0)
    assert inbox.put(Arrival(RecordKind.MESSAGE, "t", b""))
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(inbox.put(Arrival(RecordKind.MESSAGE, "t", b""))))
    waiting.start()
    inbox.close()
    waiting.join(30.0)
    assert answers == [False]
    assert len(inbox.take(0.0)) == 1


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://localhost", ("localhost", 1883, None, None, False)),
        ("mqtts://ward:p%40ss@broker.example:9999", ("broker.example", 9999, "ward", "p@ss", True)),
        ("mqtt://[::1]:1884/", ("::1", 1884, None, None, False)),
    ],
)
def test_a_brokers_url_is_taken_apart(url: str, address: tuple[object, ...]) -> None:
    assert broker_address(url) == address


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"broker": "http://x"}, "begins with 'http': needed mqtt://"),
        ({"broker": "mqtt://:secret@:1"}, "no host"),
        ({"broker": "mqtt://x:99999"}, "cannot be read .*needed mqtt://"),
        ({"broker": "mqtt://x/topic"}, "something after the port"),
        ({"client_id": ""}, "client_id=''"),
        ({"sites": ()}, "must name sites"),
        ({"sites": ("a/b",)}, "sites=.*a/b"),
        ({"sites": ("+", "east")}, r"'\+' means all sites"),
        ({"tick_ms": 0}, "tick_ms=0 is outside 10 .. 1000"),
        ({"commit_ms": 51}, "commit_ms=51 is outside"),
        ({"inflight": 70_000}, "inflight=70000"),
        ({"cert_file": "x"}, "go together"),
        ({"reconnect_s": (2.0, 1.0)}, "first wait <= longest wait"),
        ({"folder": ""}, "folder is empty"),
        ({"protocol": "4"}, "Invalid enum value '4'"),
        ({"brokr": "x"}, "unknown field `brokr`"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words) as refusal:
        msgspec.convert({"folder": "f", **change}, IngestOptions, strict=False)
    assert "secret" not in str(refusal.value)


def test_a_partition_may_be_limited_to_its_sites() -> None:
    assert subscriptions(("+",)) == SUBSCRIPTIONS
    assert subscriptions(("east", "west"))[::5] == ("femtoward/v1/east/+/birth", "femtoward/v1/west/+/birth")
