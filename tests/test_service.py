"""Ingest as a whole, against a real mosquitto: whatever dies, nothing that was acknowledged is lost."""

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from servers import Broker, eventually, start_mosquitto

from ingest.door import Door, send
from ingest.inbox import Inbox
from ingest.journal import Journal, JournalBusyError, JournalReader, Record, RecordKind
from ingest.mqtt import HEAD_BYTES, IngestOptions, Link
from ingest.notices import Blind, LinkNotice, Oversize, Report
from ingest.options import broker_address
from ingest.profile import MAX_PAYLOAD_BYTES
from ingest.service import Ingest, run_ingest
from ingest.topics import command_topic, topic_of

ROOT = Path(__file__).parents[1]
DATA = topic_of("east", "d1", "data")
pytestmark = pytest.mark.servers


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with start_mosquitto(tmp_path / "broker", persistent=True) as broker:
        yield broker


class Publisher:
    """A device that knows what the broker has acknowledged, and sends again what it has not."""

    def __init__(self, url: str) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device", clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.client.max_inflight_messages_set(200)
        self._sent: dict[int, paho.MQTTMessageInfo] = {}
        self.client.connect(broker_address(url).host, broker_address(url).port)
        self.client.loop_start()

    @property
    def acknowledged(self) -> set[int]:
        return {number for number, sent in self._sent.items() if _is_published(sent)}

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            self._sent[number] = self.client.publish(DATA, b"%d" % number, qos=1)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def _is_published(sent: paho.MQTTMessageInfo) -> bool:
    try:
        return sent.is_published()
    except RuntimeError:  # it was queued while the broker was away: kept, and not acknowledged yet
        return False


@pytest.fixture
def publisher(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(broker.url)
    yield publisher
    publisher.close()


class Watch:
    """Everything that is in a journal so far."""

    def __init__(self, folder: Path) -> None:
        self.reader = JournalReader(folder / "journal")
        self.records: list[Record] = []

    def look(self) -> list[Record]:
        while records := self.reader.read(len(self.records), 1000):
            self.records += records
        return self.records

    def of(self, kind: RecordKind) -> list[Record]:
        return [record for record in self.look() if record.kind == kind]

    def numbers(self) -> Counter[int]:
        return Counter(int(record.payload) for record in self.of(RecordKind.MESSAGE))

    def holds(self, count: int) -> bool:
        return len(self.numbers()) >= count

    def ups_reach(self, count: int) -> bool:
        links = [msgspec.json.decode(record.payload, type=LinkNotice) for record in self.of(RecordKind.LINK)]
        return sum(link.up for link in links) >= count


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path / "main")
    yield watch
    watch.reader.close()


def options_for(folder: Path, broker: Broker) -> IngestOptions:
    return IngestOptions(folder=str(folder), broker=broker.url, reconnect_s=(0.02, 0.2), segment_bytes=100_000)


@contextmanager
def running(options: IngestOptions) -> Iterator[threading.Event]:
    """Ingest in a thread; drained at the end of the block."""
    stopping = threading.Event()
    thread = threading.Thread(target=run_ingest, args=(options, stopping))
    thread.start()
    try:
        yield stopping
    finally:
        stopping.set()
        thread.join(30.0)
        assert not thread.is_alive()


PROCESS = """
import sys, threading, msgspec
from ingest.service import run_ingest
from ingest.mqtt import IngestOptions
run_ingest(msgspec.json.decode(sys.argv[1], type=IngestOptions), threading.Event())
"""


def start_process(options: IngestOptions) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROCESS, msgspec.json.encode(options).decode()], cwd=ROOT)


def test_ingest_killed_again_and_again_under_load_loses_nothing_acknowledged(
    tmp_path: Path, broker: Broker, publisher: Publisher, watch: Watch
) -> None:
    options = options_for(tmp_path / "main", broker)
    total, kills = 6000, 4
    process = start_process(options)
    eventually((tmp_path / "main" / "subscriptions.json").exists, what="the subscription")
    for kill in range(kills + 1):
        publisher.publish(*range(kill * total // (kills + 1), (kill + 1) * total // (kills + 1)))
        if kill < kills:
            eventually(partial(watch.holds, (2 * kill + 1) * total // (2 * (kills + 1))))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start_process(options)
    eventually(lambda: len(publisher.acknowledged) == total, what="all to be acknowledged to the device")
    eventually(lambda: len(watch.numbers()) == total, what="all to be in the journal")
    process.kill()
    process.wait()
    assert set(watch.numbers()) >= publisher.acknowledged
    assert [record.offset for record in watch.records] == list(range(len(watch.records)))
    blind = [msgspec.json.decode(t.payload, type=Blind).blind_ns for t in watch.of(RecordKind.TICK) if t.payload]
    assert len(blind) >= kills
    assert all(blind)


def test_ingest_goes_on_after_a_restart_of_the_broker(
    tmp_path: Path, broker: Broker, publisher: Publisher, watch: Watch
) -> None:
    with running(options_for(tmp_path / "main", broker)):
        eventually((tmp_path / "main" / "subscriptions.json").exists)
        for cut in range(3):
            eventually(partial(watch.ups_reach, cut + 1))
            publisher.publish(*range(cut * 500, cut * 500 + 500))
            broker.restart()
        eventually(lambda: len(watch.numbers()) == 1500)
    assert publisher.acknowledged <= set(watch.numbers())


def test_a_session_lost_while_ingest_was_away_stands_in_the_journal_and_one_kept_over_a_restart_does_not(
    tmp_path: Path, broker: Broker, watch: Watch
) -> None:
    options = options_for(tmp_path / "main", broker)
    with running(options):
        eventually((tmp_path / "main" / "session.json").exists)
        broker.restart()
        eventually(partial(watch.ups_reach, 2))
    broker.restart()
    with running(options):
        eventually(partial(watch.ups_reach, 3))
    assert watch.of(RecordKind.REPORT) == []
    rival = paho.Client(CallbackAPIVersion.VERSION2, client_id=options.client_id, clean_session=True)
    rival.connect("127.0.0.1", broker.port)
    rival.loop_start()
    eventually(rival.is_connected)
    rival.disconnect()
    rival.loop_stop()
    with running(options):
        eventually(lambda: watch.of(RecordKind.REPORT))
    (record,) = watch.of(RecordKind.REPORT)
    report = msgspec.json.decode(record.payload, type=Report)
    assert (report.reporter, report.ok) == ("mqtt", False)
    assert f"the broker no longer knows our session {options.client_id}: messages may be lost" in report.detail


def test_ticks_go_on_while_the_broker_is_away(tmp_path: Path, watch: Watch) -> None:
    options = IngestOptions(folder=str(tmp_path / "main"), broker="mqtt://127.0.0.1:1", tick_ms=20)
    with running(options):
        eventually(lambda: len(watch.of(RecordKind.TICK)) > 5)
    ups = [msgspec.json.decode(record.payload, type=LinkNotice).up for record in watch.of(RecordKind.LINK)]
    assert not any(ups)
    assert len(ups) >= 2


def test_stopping_commits_and_acknowledges_what_came_and_the_next_run_goes_on(
    tmp_path: Path, broker: Broker, publisher: Publisher, watch: Watch
) -> None:
    options = options_for(tmp_path / "main", broker)
    with running(options):
        eventually((tmp_path / "main" / "subscriptions.json").exists)
        publisher.publish(*range(1000))
        eventually(lambda: len(watch.numbers()) > 100)
    came = len(watch.numbers())
    assert set(watch.numbers().values()) == {1}
    with running(options):
        eventually(lambda: len(watch.numbers()) == 1000)
    # What was in the journal at the first stop was acknowledged: it did not come again.
    assert {number for number, times in watch.numbers().items() if times > 1} == set()
    assert came <= 1000
    assert msgspec.json.decode(watch.of(RecordKind.LINK)[-1].payload, type=LinkNotice).reason == "ingest stops"


def test_a_message_of_ten_megabytes_leaves_only_its_head(tmp_path: Path, broker: Broker, watch: Watch) -> None:
    with running(options_for(tmp_path / "main", broker)):
        eventually((tmp_path / "main" / "subscriptions.json").exists)
        device = Publisher(broker.url)
        device.client.publish(DATA, b"x" * 10_000_000, qos=1)
        device.client.publish(DATA, b"1" * MAX_PAYLOAD_BYTES, qos=1)
        eventually(lambda: watch.of(RecordKind.MESSAGE))
        device.close()
    (record,) = watch.of(RecordKind.OVERSIZE)
    assert record.topic == DATA
    assert msgspec.json.decode(record.payload, type=Oversize) == Oversize(10_000_000, b"x" * HEAD_BYTES)
    assert len(watch.of(RecordKind.MESSAGE)[0].payload) == MAX_PAYLOAD_BYTES


def test_commands_left_while_ingest_was_down_come_first_when_it_is_back(tmp_path: Path, watch: Watch) -> None:
    topic = command_topic("east", "nurse")
    door = tmp_path / "main" / "door"
    for number in range(3):
        send(door, topic, b"%d" % number)
    with running(IngestOptions(folder=str(tmp_path / "main"), broker="mqtt://127.0.0.1:1")):
        eventually(lambda: len(watch.of(RecordKind.COMMAND)) == 3)
        assert [(record.topic, record.payload) for record in watch.of(RecordKind.COMMAND)] == [
            (topic, b"0"),
            (topic, b"1"),
            (topic, b"2"),
        ]
        eventually(lambda: not list(door.iterdir()), what="the letters to be removed")


def test_a_full_disk_stops_acknowledgements_and_nothing_else(
    tmp_path: Path, broker: Broker, publisher: Publisher, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    options = options_for(tmp_path / "main", broker)
    stopping = threading.Event()
    with Journal(tmp_path / "main" / "journal") as journal:
        journal._connection.execute("PRAGMA max_page_count=12")
        inbox = Inbox(2000, 1 << 20, 100, 0.01)
        link = Link(options, inbox, random.Random(1))  # noqa: S311 - keeps no secret
        ingest = Ingest(options, journal, inbox, link, Door(tmp_path / "main" / "door"))
        thread = threading.Thread(target=ingest.run, args=(stopping,))
        thread.start()
        eventually((tmp_path / "main" / "subscriptions.json").exists)
        publisher.publish(*range(3000))
        eventually(lambda: len(publisher.acknowledged) == 3000)
        eventually(lambda: "cannot be written" in caplog.text, what="the disk to be full")
        assert len(watch.numbers()) < 2000
        journal._connection.execute("PRAGMA max_page_count=1000000")
        eventually(lambda: len(watch.numbers()) == 3000)
        stopping.set()
        thread.join(30.0)
    assert set(watch.numbers().values()) == {1}
    said = [msgspec.json.decode(record.payload, type=Report) for record in watch.of(RecordKind.REPORT)]
    assert [(report.reporter, report.ok) for report in said] == [("journal", False), ("journal", True)]
    assert "cannot be written (database or disk is full)" in said[0].detail


def test_stopping_with_a_full_disk_does_not_hang(tmp_path: Path, broker: Broker, publisher: Publisher) -> None:
    options = options_for(tmp_path / "main", broker)
    with Journal(tmp_path / "main" / "journal") as journal:
        inbox = Inbox(50, 1 << 20, 10, 0.01)
        link = Link(options, inbox, random.Random(1))  # noqa: S311 - keeps no secret
        stopping = threading.Event()
        ingest = Ingest(options, journal, inbox, link, Door(tmp_path / "main" / "door"))
        thread = threading.Thread(target=ingest.run, args=(stopping,))
        thread.start()
        eventually((tmp_path / "main" / "subscriptions.json").exists)
        journal._connection.execute("PRAGMA max_page_count=1")
        publisher.publish(*range(1000))
        eventually(lambda: len(inbox) >= 50)
        stopping.set()
        thread.join(30.0)
        assert not thread.is_alive()


def test_two_ingests_on_one_folder_are_one_too_many(tmp_path: Path) -> None:
    options = IngestOptions(folder=str(tmp_path / "main"), broker="mqtt://127.0.0.1:1")
    with Journal(tmp_path / "main" / "journal"), pytest.raises(JournalBusyError, match="one writer only"):
        run_ingest(options, threading.Event())
