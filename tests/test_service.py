"""Ingest as a whole, against a real mosquitto: whatever dies, nothing that was acknowledged is lost."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from ingests import DATA, Publisher, Watch
from journals import small_disk
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import REGISTRY
from servers import Broker, eventually, start_mosquitto

from ingest import upkeep
from ingest.beacon import Beacon
from ingest.door import Door, send
from ingest.inbox import Inbox
from ingest.journal import Journal, JournalBusyError, RecordKind, boottime_ns
from ingest.mqtt import HEAD_BYTES, IngestOptions, Link
from ingest.notices import Blind, LinkNotice, Oversize
from ingest.profile import MAX_PAYLOAD_BYTES
from ingest.room import Room
from ingest.service import Ingest, run_ingest
from ingest.topics import command_topic
from ingest.upkeep import Upkeep

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.servers


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with start_mosquitto(tmp_path / "broker", persistent=True) as broker:
        yield broker


@pytest.fixture
def publisher(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(broker.url)
    yield publisher
    publisher.close()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path / "main")
    yield watch
    watch.reader.close()


def options_for(folder: Path, broker: Broker) -> IngestOptions:
    return IngestOptions(folder=str(folder), broker=broker.url, reconnect_s=(0.02, 0.2), segment_bytes=100_000)


@contextmanager
def running(options: IngestOptions, beacon: Beacon | None = None) -> Iterator[threading.Event]:
    """Ingest in a thread; drained at the end of the block."""
    stopping = threading.Event()
    thread = threading.Thread(target=run_ingest, args=(options, stopping), kwargs={"beacon": beacon})
    thread.start()
    try:
        yield stopping
    finally:
        stopping.set()
        thread.join(30.0)
        assert not thread.is_alive()


def ingest_of(options: IngestOptions, journal: Journal, inbox: Inbox, link: Link) -> Ingest:
    folder = Path(options.folder)
    room = Room(folder, short_bytes=options.short_bytes, stop_bytes=options.stop_bytes)
    return Ingest(options, journal, inbox, link, Door(folder / "door"), Upkeep(journal, room, inbox), Beacon())


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
    assert watch.reports("mqtt") == []
    rival = paho.Client(CallbackAPIVersion.VERSION2, client_id=options.client_id, clean_session=True)
    rival.connect("127.0.0.1", broker.port)
    rival.loop_start()
    eventually(rival.is_connected)
    rival.disconnect()
    rival.loop_stop()
    with running(options):
        eventually(lambda: watch.reports("mqtt"))
    (report,) = watch.reports("mqtt")
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
        journal._connection.execute("PRAGMA max_page_count=6")
        inbox = Inbox(2000, 1 << 20, 100, 0.01)
        link = Link(options, inbox, random.Random(1))  # noqa: S311 - keeps no secret
        ingest = ingest_of(options, journal, inbox, link)
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
    said = watch.reports("journal")
    assert [(report.reporter, report.ok) for report in said] == [("journal", False), ("journal", True)]
    assert "cannot be written (database or disk is full)" in said[0].detail


def test_stopping_with_a_full_disk_does_not_hang(tmp_path: Path, broker: Broker, publisher: Publisher) -> None:
    options = options_for(tmp_path / "main", broker)
    with Journal(tmp_path / "main" / "journal") as journal:
        inbox = Inbox(50, 1 << 20, 10, 0.01)
        link = Link(options, inbox, random.Random(1))  # noqa: S311 - keeps no secret
        stopping = threading.Event()
        ingest = ingest_of(options, journal, inbox, link)
        thread = threading.Thread(target=ingest.run, args=(stopping,))
        thread.start()
        eventually((tmp_path / "main" / "subscriptions.json").exists)
        journal._connection.execute("PRAGMA max_page_count=1")
        publisher.publish(*range(1000))
        eventually(lambda: len(inbox) >= 50)
        stopping.set()
        thread.join(30.0)
        assert not thread.is_alive()


def test_a_quota_that_is_used_up_stops_intake_and_leaves_ticks_letters_and_words(
    tmp_path: Path, broker: Broker, publisher: Publisher, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_S", 0.02)
    options = msgspec.structs.replace(
        options_for(tmp_path / "main", broker), quota_bytes=60 << 20, short_bytes=10 << 20, stop_bytes=5 << 20
    )
    ballast, door = tmp_path / "main" / "ballast", tmp_path / "main" / "door"
    beacon = Beacon()
    with running(options, beacon):
        eventually((tmp_path / "main" / "subscriptions.json").exists)
        publisher.publish(*range(100))
        eventually(lambda: len(watch.numbers()) == 100)
        eventually(lambda: beacon.state().ready)
        ballast.write_bytes(bytes(59 << 20))
        eventually(lambda: "no room on the disk" in watch.links()[-1].reason)
        publisher.publish(*range(100, 400))
        eventually(lambda: len(publisher.acknowledged) == 400)
        ticks = len(watch.of(RecordKind.TICK))
        send(door, command_topic("east", "nurse"), b"still heard")
        eventually(lambda: watch.of(RecordKind.COMMAND))
        eventually(lambda: len(watch.of(RecordKind.TICK)) > ticks + 2)
        assert "no room on the disk" in beacon.state().detail
        broker.restart()
        eventually(lambda: "no room" not in watch.links()[-1].reason, what="the cut to be said too")
        assert not watch.links()[-1].up
        publisher.publish(*range(400, 500))
        # The link is up again, and that is kept back: no device is silent because we do not listen.
        eventually(lambda: REGISTRY.get_sample_value("femtoward_ingest_link_up") == 1)
        ticks = len(watch.of(RecordKind.TICK))
        eventually(lambda: len(watch.of(RecordKind.TICK)) > ticks + 1)
        assert not watch.links()[-1].up
        assert len(watch.numbers()) == 100
        ballast.unlink()
        eventually(lambda: len(watch.numbers()) == 500)
        assert watch.links()[-1].up
        eventually(lambda: beacon.state().ready)
    said = [(report.ok, report.detail.split(":")[0]) for report in watch.reports("disk") if not report.removed]
    assert [said[0], said[-1]] == [(True, "there is room")] * 2
    assert said.count((False, "no room on the disk")) == 1


def test_a_disk_that_is_really_full_loses_nothing_and_is_gone_on_with(
    tmp_path: Path, broker: Broker, publisher: Publisher
) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        # Without a reserve nothing stops intake before the disk itself does.
        options = msgspec.structs.replace(options_for(disk / "main", broker), short_bytes=0, stop_bytes=0)
        ballast = disk / "ballast"
        with running(options):
            eventually((disk / "main" / "subscriptions.json").exists)
            watch = Watch(disk / "main")
            publisher.publish(*range(200))
            eventually(lambda: len(watch.numbers()) == 200)
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            publisher.publish(*range(200, 4000))
            eventually(lambda: len(publisher.acknowledged) == 4000)
            ballast.unlink()
            eventually(lambda: len(watch.numbers()) == 4000)
            eventually(lambda: watch.reports("journal"))
        assert set(watch.numbers().values()) == {1}
        assert [report.ok for report in watch.reports("journal")][:2] == [False, True]
        assert [record.offset for record in watch.records] == list(range(len(watch.records)))
        watch.reader.close()


def test_a_hosts_clock_that_is_set_stands_in_the_journal(tmp_path: Path, watch: Watch) -> None:
    options = IngestOptions(folder=str(tmp_path / "main"), broker="mqtt://127.0.0.1:1", tick_ms=20)
    by_ns = 0
    stopping = threading.Event()
    with Journal(
        tmp_path / "main" / "journal",
        now_ns=lambda: time.time_ns() + by_ns,
        monotonic_ns=boottime_ns,
    ) as journal:
        inbox = Inbox(50, 1 << 20, 10, 0.01)
        link = Link(options, inbox, random.Random(1))  # noqa: S311 - keeps no secret
        thread = threading.Thread(target=ingest_of(options, journal, inbox, link).run, args=(stopping,))
        thread.start()
        eventually(lambda: len(watch.reports("clock")) == 1)
        for by_ns in (86_400 * 10**9, 0, -86_400 * 10**9, 0):  # noqa: B007 - read by the clock above
            count = len(watch.reports("clock"))
            eventually(partial(lambda count: len(watch.reports("clock")) > count, count))
        stopping.set()
        thread.join(30.0)
    said = watch.reports("clock")
    assert [report.ok for report in said] == [True, False, True, False, True]
    assert "set ahead by 86400" in said[1].detail
    assert "which cannot go back" in said[3].detail


def test_a_broker_that_takes_the_connection_and_then_hangs_does_not_hold_up_the_drain(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = IngestOptions(folder=str(tmp_path / "main"), broker=f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        beacon = Beacon()
        with running(options, beacon):
            connection, _ = server.accept()
            eventually(lambda: "no messages come from the broker" in beacon.state().detail)
        connection.close()
    assert beacon.state().detail == "ingest stops"


def test_two_ingests_on_one_folder_are_one_too_many(tmp_path: Path) -> None:
    options = IngestOptions(folder=str(tmp_path / "main"), broker="mqtt://127.0.0.1:1")
    with Journal(tmp_path / "main" / "journal"), pytest.raises(JournalBusyError, match="one writer only"):
        run_ingest(options, threading.Event())
