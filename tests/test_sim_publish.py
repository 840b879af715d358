"""A simulated ward on a real broker: everything arrives, acknowledged, in order, and the last word is offline."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from servers import Broker, eventually, free_port, start_mosquitto

from device_sim.address import parse_broker
from device_sim.publish import MAX_PENDING, LinkPlan, Message, Publisher
from device_sim.simulate import Progress, SimOptions, run_simulation
from device_sim.truth import BeatLine, PatientLine, WitnessLine, read_truth
from device_sim.wearable import DAY_NS
from device_sim.witness import differences, options_of, witnessed
from ingest.codec import decode_birth, decode_bundle, decode_packet, decode_status, device_of
from ingest.packet import Packet
from ingest.profile import Birth, Status
from ingest.topics import ROOT, Topic, parse_topic

pytestmark = pytest.mark.servers


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with start_mosquitto(tmp_path / "broker") as one:
        yield one


class Listener:
    """Subscribes to everything and keeps it in order of arrival."""

    def __init__(self, broker: Broker) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(30.0)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def of(self, leaf: str) -> list[tuple[str, bytes]]:
        """Payloads of a leaf of the topic tree with the name in their topic."""
        topics = [(parse_topic(topic), payload) for topic, payload in list(self.messages)]
        return [(topic.name, payload) for topic, payload in topics if isinstance(topic, Topic) and topic.leaf == leaf]

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, _reason: ReasonCode, _more: Properties | None
    ) -> None:
        client.subscribe(f"{ROOT}/#", qos=1)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload)))


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    one = Listener(broker)
    yield one
    one.close()


def checked(listener: Listener, packets: list[tuple[str, bytes]]) -> dict[str, list[Packet]]:
    """Packets by device, each decoded against the birth that was published."""
    births = {name: decode_birth(payload, name) for name, payload in listener.of("birth")}
    found: dict[str, list[Packet]] = {}
    for device, payload in packets:
        birth = births[device]
        assert isinstance(birth, Birth)
        packet = decode_packet(payload, device, birth)
        assert isinstance(packet, Packet), packet
        found.setdefault(device, []).append(packet)
    return found


def states(listener: Listener, device: str) -> list[str]:
    """States that a device told, in order."""
    found = [decode_status(payload) for name, payload in listener.of("status") if name == device]
    return [status.state for status in found if isinstance(status, Status)]


def turned(publisher: Publisher) -> Publisher:
    """Publisher after it has served its clients once."""
    publisher.turn(time.monotonic())
    return publisher


def test_a_ward_arrives_whole_in_order_and_says_goodbye(broker: Broker, listener: Listener, tmp_path: Path) -> None:
    heard: list[Progress] = []
    options = SimOptions(
        broker=broker.url, patients=5, seconds=3.0, speed=4.0, scenario="quiet", truth=str(tmp_path / "truth.jsonl")
    )
    report = run_simulation(options, threading.Event(), heard.append)
    assert (report.patients, report.packets_published, report.packets_acknowledged) == (5, 60, 60)
    assert report.seconds == 3.0
    assert heard[-1].connected == 5
    eventually(lambda: len(listener.of("data")) == 60 and len(listener.of("status")) == 10, what="the ward")
    packets = checked(listener, listener.of("data"))
    assert len(packets) == 5
    for device, ones in packets.items():
        assert [packet.seq for packet in ones] == list(range(12))
        assert ones[0].t0_ns >= report.t_start_ns
        assert states(listener, device) == ["online", "offline"]
    lines = list(read_truth(tmp_path / "truth.jsonl"))
    assert {line.device for line in lines if isinstance(line, PatientLine)} == set(packets)
    assert any(isinstance(line, BeatLine) for line in lines)
    said = lines[-1]
    assert isinstance(said, WitnessLine)
    assert (said.scenario, said.seed, said.patients, said.seconds, said.whole) == ("quiet", 1, 5, 3.0, True)
    assert differences(said, witnessed(options_of(said), said.from_ns)) == [], "it can be run again to the byte"
    assert listener.of("truth")


def test_a_device_that_has_calibrated_itself_is_born_again_between_the_packets_that_it_concerns(
    broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    path = tmp_path / "calibrates.toml"
    path.write_text(
        'about = "x"\n[[patients]]\nfaults = [{ fault = "calibrating", from_s = 1.0, for_s = 1.0 }]\n[[patients]]\n'
    )
    options = SimOptions(broker=broker.url, patients=2, seconds=4.0, speed=4.0, scenario=str(path))
    run_simulation(options, threading.Event())
    eventually(lambda: len(listener.of("data")) == 32 and len(listener.of("birth")) == 3, what="both devices")
    told = [(topic, payload) for topic, payload in listener.messages if "wearable-0001" in topic]
    born: Birth | None = None
    accepted, births = 0, 0
    for topic, payload in told:
        if topic.endswith("/birth"):
            said = decode_birth(payload, "wearable-0001")
            assert isinstance(said, Birth)
            born, births = said, births + 1
        elif topic.endswith("/data"):
            assert isinstance(decode_packet(payload, "wearable-0001", born), Packet), "its birth came before it"
            accepted += 1
    assert (accepted, births) == (16, 2)
    assert states(listener, "wearable-0001") == ["online", "calibrating", "online", "offline"]


def test_a_run_that_begins_at_midnight_says_who_the_devices_are_of_the_new_day(
    broker: Broker, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = (time.time_ns() // DAY_NS + 1) * DAY_NS
    clock = iter((midnight - 1_000_000_000, midnight + 1_000_000_000, midnight + 1_000_000_000))
    monkeypatch.setattr("device_sim.simulate.wall_ns", lambda: next(clock))
    truth = tmp_path / "truth.jsonl"
    options = SimOptions(
        broker=broker.url, patients=2, seconds=1.0, speed=4.0, scenario="quiet", truth=str(truth), truth_topic=False
    )
    run_simulation(options, threading.Event())
    eventually(lambda: len(listener.of("data")) == 8 and len(listener.of("birth")) == 4, what="the ward")
    births = [decode_birth(payload, name) for name, payload in listener.of("birth")]
    numbers = [birth.birth for birth in births if isinstance(birth, Birth)]
    assert numbers == [midnight // DAY_NS - 1] * 2 + [midnight // DAY_NS] * 2
    assert len(checked(listener, listener.of("data"))) == 2
    (said,) = [line for line in read_truth(truth) if isinstance(line, WitnessLine)]
    assert differences(said, witnessed(options_of(said), said.from_ns)) == []


def test_a_run_that_was_stopped_says_so(broker: Broker, tmp_path: Path) -> None:
    truth, stopping = tmp_path / "truth.jsonl", threading.Event()
    options = SimOptions(broker=broker.url, patients=1, seconds=600.0, scenario="quiet", truth=str(truth))
    run_simulation(options, stopping, lambda _: stopping.set())
    (said,) = [line for line in read_truth(truth) if isinstance(line, WitnessLine)]
    assert not said.whole
    with pytest.raises(ValueError, match="only a whole run can be run again"):
        options_of(said)


def test_a_device_says_of_itself_that_it_lost_its_lock_and_found_it_again(
    broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    path = tmp_path / "lost.toml"
    path.write_text(
        'about = "A lock is lost."\n[[patients]]\nfaults = [{ fault = "lost-lock", from_s = 1.0, for_s = 4.0 }]\n'
    )
    run_simulation(
        SimOptions(broker=broker.url, patients=1, seconds=7.0, speed=4.0, scenario=str(path)), threading.Event()
    )
    eventually(lambda: len(listener.of("status")) == 5, what="the device's words")
    assert states(listener, "wearable-0001") == ["online", "online", "zeroing", "online", "offline"]
    reasons = [json.loads(payload)["reason"] for _, payload in listener.of("status")]
    assert reasons[1].startswith("lock lost, cells at 150 Cel, coils up to ")
    assert reasons[3].startswith("locked, cells at 150 Cel, coils up to ")


def test_a_gateway_puts_many_devices_into_one_message(broker: Broker, listener: Listener) -> None:
    options = SimOptions(broker=broker.url, patients=20, seconds=2.0, speed=4.0, scenario="quiet", bundles=True)
    report = run_simulation(options, threading.Event())
    assert report.packets_acknowledged == report.packets_published == 160
    eventually(lambda: len(listener.of("status")) == 40, what="all farewells")
    bundles = [decode_bundle(payload) for _, payload in listener.of("bundle")]
    payloads = [payload for bundle in bundles if isinstance(bundle, list) for payload in bundle]
    assert len(bundles) < len(payloads) == 160
    packets = checked(listener, [(str(device_of(payload)), payload) for payload in payloads])
    assert {device: [packet.seq for packet in ones] for device, ones in packets.items()} == {
        device: list(range(8)) for device in packets
    }
    assert len(packets) == 20


def test_stopping_ends_an_endless_ward_with_everything_acknowledged(broker: Broker, listener: Listener) -> None:
    stopping = threading.Event()

    def stop_after_2_s(progress: Progress) -> None:
        if progress.seconds >= 2.0:
            stopping.set()

    options = SimOptions(broker=broker.url, patients=2, speed=5.0, scenario="quiet")
    report = run_simulation(options, stopping, stop_after_2_s)
    assert report.packets_published == report.packets_acknowledged > 0
    eventually(lambda: states(listener, "wearable-0002") == ["online", "offline"], what="the farewell")


def test_what_could_not_be_sent_is_sent_late_and_in_order(broker: Broker) -> None:
    listener = Listener(broker)
    listener.close()
    cut = threading.Event()

    def restart_the_broker(progress: Progress) -> None:
        if progress.seconds >= 2.0 and not cut.is_set():
            cut.set()
            threading.Thread(target=broker.restart).start()

    options = SimOptions(broker=broker.url, patients=3, seconds=6.0, speed=2.0, scenario="quiet")
    report = run_simulation(options, threading.Event(), restart_the_broker)
    assert cut.is_set()
    assert report.reconnects >= 3
    assert report.packets_acknowledged == report.packets_published == 72


def test_what_a_dying_broker_had_acknowledged_is_said_again_first_and_in_order(broker: Broker, tmp_path: Path) -> None:
    topic = f"{ROOT}/demo/wearable-0001/data"
    with (tmp_path / "acked").open("wb") as acked:
        publisher = Publisher(parse_broker(broker.url), [LinkPlan("one", (), (), None)], acked=acked)
        publisher.connect(30.0)
        for number in range(10):
            publisher.publish(0, Message(topic, str(number).encode()), note=b"%d\n" % number)
        eventually(lambda: turned(publisher).acknowledged == 10, what="10 acknowledgements")
        broker.kill()  # whoever was to have them has them not
        broker.start()
        listener = Listener(broker)
        for number in range(10, 50):
            publisher.publish(0, Message(topic, str(number).encode()), note=b"%d\n" % number)
        publisher.close(30.0)
    eventually(lambda: len(listener.of("data")) == 50, what="50 messages")
    assert [int(payload) for _, payload in listener.of("data")] == list(range(50))
    listener.close()
    assert (publisher.published, publisher.acknowledged, publisher.resent, publisher.reconnects) == (50, 50, 10, 1)
    assert (tmp_path / "acked").read_text().split() == [str(number) for number in range(50)]


def test_only_what_was_acknowledged_a_short_time_ago_is_said_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_sim.publish.MAX_RESEND", 3)
    publisher = Publisher(parse_broker(broker.url), [LinkPlan("one", (), (), None)])
    publisher.connect(30.0)
    for number in range(10):
        publisher.publish(0, Message(f"{ROOT}/demo/wearable-0001/data", str(number).encode()))
    eventually(lambda: turned(publisher).acknowledged == 10, what="10 acknowledgements")
    broker.restart()
    eventually(lambda: turned(publisher).reconnects == 1, what="the connection")
    publisher.close(30.0)
    assert publisher.resent == 3


def test_the_acknowledged_packets_are_written_down(broker: Broker, tmp_path: Path) -> None:
    options = SimOptions(broker=broker.url, patients=3, seconds=1.0, speed=4.0, acked=str(tmp_path / "acked.jsonl"))
    for bundles in (False, True):
        report = run_simulation(msgspec.structs.replace(options, bundles=bundles), threading.Event())
        lines = [json.loads(line) for line in (tmp_path / "acked.jsonl").read_text().splitlines()]
        assert len(lines) == report.packets_acknowledged == 12
        assert {(device, seq) for device, _, seq in lines} == {
            (f"wearable-{number:04d}", seq) for number in (1, 2, 3) for seq in range(4)
        }


def test_the_last_will_says_that_a_device_was_cut_off(broker: Broker, listener: Listener) -> None:
    status = f"{ROOT}/demo/wearable-0001/status"
    plan = LinkPlan("one", (Message(status, b'{"state":"online"}'),), (), Message(status, b'{"state":"offline"}'))
    first = Publisher(parse_broker(broker.url), [plan])
    first.connect(30.0)
    eventually(lambda: states(listener, "wearable-0001") == ["online"], what="online")
    second = Publisher(parse_broker(broker.url), [plan._replace(greeting=(), will=None)])
    second.connect(30.0)  # the same client id: the broker cuts the first one off
    eventually(lambda: states(listener, "wearable-0001") == ["online", "offline"], what="the will")
    second.close(1.0)
    first.close(0.0)


def test_messages_keep_their_order_over_the_window_of_what_is_in_flight(broker: Broker, listener: Listener) -> None:
    publisher = Publisher(parse_broker(broker.url), [LinkPlan("one", (), (), None)])
    publisher.connect(30.0)
    for number in range(300):
        publisher.publish(0, Message(f"{ROOT}/demo/wearable-0001/data", str(number).encode()))
    assert publisher.waiting > 200
    publisher.close(30.0)
    assert publisher.acknowledged == publisher.published == 300
    eventually(lambda: len(listener.of("data")) == 300, what="300 messages")
    assert [int(payload) for _, payload in listener.of("data")] == list(range(300))


def test_no_broker_is_said_with_its_address() -> None:
    port = free_port()
    publisher = Publisher(parse_broker(f"mqtt://127.0.0.1:{port}"), [LinkPlan("one", (), (), None)])
    with pytest.raises(ConnectionError, match=rf"0 of 1 clients connected .* 127\.0\.0\.1:{port} .*refused"):
        publisher.connect(0.2)
    publisher.close(0.0)


def test_a_broker_that_lets_nobody_in_is_said_without_the_password(tmp_path: Path) -> None:
    with start_mosquitto(tmp_path / "closed", anonymous=False) as broker:
        publisher = Publisher(
            parse_broker(f"mqtt://nurse:secret@127.0.0.1:{broker.port}"), [LinkPlan("one", (), (), None)]
        )
        with pytest.raises(ConnectionError, match="refused the connection") as refusal:
            publisher.connect(1.0)
        publisher.close(0.0)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"broker": "http://u:secret@host"}, "broker 'host': need mqtt://"),
        ({"broker": "mqtt://"}, "need mqtt://"),
        ({"speed": 0.0}, "speed=0.0"),
        ({"site": "ward 7"}, "site='ward 7'"),
        ({"patients": 0}, "patients=0"),
        ({"scenario": "wrad"}, "scenario 'wrad' is unknown"),
        ({"wfdb": ("no/such",)}, r"no file no/such\.hea"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_starts(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SimOptions(**wrong)  # type: ignore[arg-type]  # one dict holds values for several fields


def test_a_device_that_is_cut_off_for_long_forgets_the_oldest_and_counts_it() -> None:
    publisher = Publisher(parse_broker(f"mqtt://127.0.0.1:{free_port()}"), [LinkPlan("one", (), (), None)])
    for _ in range(MAX_PENDING + 7):
        publisher.publish(0, Message(f"{ROOT}/demo/wearable-0001/data", b""))
    assert (publisher.dropped, publisher.waiting) == (7, MAX_PENDING)
    publisher.close(0.0)


def test_stopping_does_not_wait_for_a_broker_that_is_not_there() -> None:
    stopping = threading.Event()
    stopping.set()
    report = run_simulation(SimOptions(broker=f"mqtt://127.0.0.1:{free_port()}", patients=1), stopping)
    assert report.packets_published == 0
