"""Couriers as a whole, with real receivers: outages, hangs, kills, the local door, and a real InfluxDB."""

import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from carrying import Place, Reports, running_until_then
from influx_server import InfluxServer
from misbehaving import WAYS, Misbehaving
from outgoing import SECOND, alarm, ledger, vitals
from receiver import SECRET, WAIT_S, Behaviour, Delivery, Receiver
from servers import eventually

from dataflows.couriers.carrier import Carrier, Health
from dataflows.couriers.courier import STUCK_S, CourierOptions, _report_at, _tell, run_couriers
from dataflows.couriers.cursors import seen
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.schema import qualified
from dataflows.couriers.webhook import WebhookOptions
from dataflows.events import Row
from deploy.bench.ward_rows import ward_rows
from deploy.siege.gate import OPEN, Gate, Order, http_answer
from deploy.siege.points import Influx, check_points
from ingest.beacon import Beacon
from ingest.door import Door
from ingest.segments import RecordKind

VARIABLE = "WARD_SECRET"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def webhook(receiver: Receiver, name: str = "pager", timeout_s: float = 5.0) -> WebhookOptions:
    return WebhookOptions(name=name, url=receiver.url, secret_env=VARIABLE, allow_local=True, timeout_s=timeout_s)


@contextmanager
def running(place: Place, report: Reports | None = None, **options: object) -> Iterator[None]:
    pace = {"poll_s": 0.005, "first_retry_s": 0.005, "longest_retry_s": 0.05, "report_after_s": 0.05}
    every = CourierOptions(store=place.store, cursors=place.cursors, **{**pace, **options})  # type: ignore[arg-type]
    with running_until_then(lambda stopping: run_couriers(every, stopping, report)):
        yield


def test_two_hundred_receivers_that_fail_in_every_way_delay_no_other(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # every failure is told
    came_s: dict[str, float] = {}

    def behave(delivery: Delivery) -> Behaviour:
        came_s[delivery.data["id"]] = time.monotonic()
        return 204

    reports = Reports()
    with Misbehaving(tmp_path) as bad, Receiver(behave) as good:
        ways = [WAYS[n % len(WAYS)] for n in range(200)]
        hooks = [
            WebhookOptions(name=f"{way}{n}", url=bad.url(way), secret_env=VARIABLE, allow_local=True, timeout_s=1.0)
            for n, way in enumerate(ways)
        ]
        place.put(alarm("first"))
        with running(place, reports, webhooks=(*hooks, webhook(good)), drain_s=0.2, longest_retry_s=5.0):
            good.wait_for_ids(1)
            took_s = []
            for n in range(20):
                put_s = time.monotonic()
                place.put(alarm(f"a{n}"))
                good.wait_for_ids(n + 2)
                took_s.append(came_s[f"a{n}"] - put_s)
            every = {f"webhook-{way}{n}" for n, way in enumerate(ways)}
            eventually(lambda: {courier for courier, ok, _ in list(reports.said) if not ok} == every)
            eventually(lambda: place.settled("webhook-pager") == 21)
    assert [place.settled(f"webhook-{hook.name}") for hook in hooks] == [0] * 200
    assert set(bad.came) == set(WAYS) - {"refuse", "certificate"}  # of which no request comes
    assert statistics.median(took_s) < 0.25  # 16 ms where there is nothing else to do


def test_an_outage_of_the_receiver_delays_every_event_and_loses_none(place: Place) -> None:
    down = threading.Event()
    down.set()
    events = [alarm(f"a{n}", step) for step in range(3) for n in range(10)]
    with (
        Receiver(lambda _: 503 if down.is_set() else 204) as receiver,
        running(place, webhooks=(webhook(receiver),)),
    ):
        place.put(*events)
        receiver.wait_for(lambda came: len(came) >= 25)
        down.clear()
        receiver.wait_for_ids(30)
        taken = receiver.wait_for(
            lambda came: (
                {(one.data["id"], one.data["step"]) for one in came} >= {(event.id, event.step) for event in events}
            )
        )
    for n in range(10):
        steps = [one.data["step"] for one in taken if one.data["id"] == f"a{n}"]
        assert steps == sorted(steps)


_COURIERS = """
import threading
from dataflows.couriers.courier import CourierOptions, _report_at, run_couriers
from dataflows.couriers.webhook import WebhookOptions
webhook = WebhookOptions(name="pager", url={url!r}, secret_env={variable!r}, allow_local=True)
options = CourierOptions(
    store={store!r}, cursors={cursors!r}, webhooks=(webhook,), poll_s=0.005, first_retry_s=0.005, longest_retry_s=0.05)
run_couriers(options, threading.Event())
"""


def test_couriers_killed_between_sending_and_noting_lose_nothing_and_repeat_under_the_same_id(place: Place) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    killed: list[str] = []
    settled: list[int] = []
    again = threading.Event()

    def behave(delivery: Delivery) -> Behaviour:
        number = int(delivery.data["id"][1:])
        if number in {5, 12, 13} and delivery.id not in killed:
            killed.append(delivery.id)
            os.kill(processes[-1].pid, signal.SIGKILL)  # the event is taken, and the courier never learns of it
            processes[-1].wait()
            settled.append(place.settled("webhook-pager"))
            again.set()
        return 204

    place.put(*[alarm(f"a{n}") for n in range(20)])
    with Receiver(behave) as receiver:
        script = _COURIERS.format(url=receiver.url, variable=VARIABLE, store=place.store, cursors=place.cursors)
        for _ in range(3):
            processes.append(subprocess.Popen([sys.executable, "-c", script]))
            assert again.wait(WAIT_S)
            again.clear()
        processes.append(subprocess.Popen([sys.executable, "-c", script]))
        ids = receiver.wait_for_ids(20)
        processes[-1].kill()
        processes[-1].wait()
        deliveries = list(receiver.deliveries)
    assert ids == [f"north_a{n}_0" for n in range(20)]  # each once to a receiver that keeps ids, and in order
    assert len(killed) == 3
    assert settled == [5, 12, 13]  # never ahead of what the receiver has said it took
    assert len(deliveries) == 23
    bodies: dict[str, set[bytes]] = {}
    for one in deliveries:
        bodies.setdefault(one.id, set()).add(one.body)
    assert all(len(same) == 1 for same in bodies.values())


def test_reports_are_left_at_the_local_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = _report_at(str(tmp_path / "door"))
    report("influx", False, "nobody answers")
    [letter] = Door(tmp_path / "door").take(9)
    assert letter.kind is RecordKind.REPORT
    assert json.loads(letter.payload) == {"reporter": "influx", "ok": False, "detail": "nobody answers"}
    monkeypatch.setattr("ingest.door.MAX_LETTERS", 1)
    with pytest.raises(OSError, match="start ingest"):
        report("influx", True, "delivers again")


def test_names_must_differ_and_nothing_is_started_with_a_wrong_option(place: Place) -> None:
    with Receiver() as receiver:
        two = (webhook(receiver), webhook(receiver))
        options = CourierOptions(store=place.store, cursors=place.cursors, webhooks=two)
        with pytest.raises(ValueError, match="two couriers are called webhook-pager"):
            run_couriers(options, threading.Event())
    assert not Path(place.cursors).exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_ends_the_process_so_that_it_is_started_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.couriers.courier.LOOK_AFTER_S", 0.01)
    monkeypatch.setattr(Carrier, "run", lambda *_: 1 / 0)
    with Receiver() as receiver:
        options = CourierOptions(store=place.store, cursors=place.cursors, webhooks=(webhook(receiver),))
        with pytest.raises(RuntimeError, match="courier webhook-pager has died"):
            run_couriers(options, threading.Event())


def test_without_a_configured_receiver_the_couriers_just_wait(place: Place) -> None:
    with running(place):
        place.put(alarm())


def test_the_couriers_say_that_they_go_round_and_which_of_them_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.couriers.courier.LOOK_AFTER_S", 0.01)
    down = threading.Event()
    down.set()
    beacon = Beacon()
    stopping = threading.Event()
    with Receiver(lambda _: 503 if down.is_set() else 204) as bad, Receiver() as good:
        options = CourierOptions(
            store=place.store,
            cursors=place.cursors,
            webhooks=(webhook(bad, "bad"), webhook(good)),
            poll_s=0.005,
            first_retry_s=0.005,
            longest_retry_s=0.05,
        )
        thread = threading.Thread(target=run_couriers, args=(options, stopping, Reports(), beacon))
        thread.start()
        eventually(lambda: beacon.state().ready)  # nothing to do yet
        place.put(alarm())
        eventually(lambda: beacon.state().detail == "webhook-bad: 127.0.0.1 answers 503")
        assert beacon.state().alive
        down.clear()
        eventually(lambda: beacon.state().ready)
        stopping.set()
        thread.join(WAIT_S)


def test_a_courier_that_hangs_stops_the_beat() -> None:
    beacon = Beacon(now_s=lambda: 1000.0)
    beats: list[float] = []
    beacon.beat = lambda: beats.append(1.0)  # type: ignore[method-assign]
    _tell(beacon, [Health(1000.0, ""), Health(1000.0 - STUCK_S, "")], 1000.0)
    assert beats == []
    _tell(beacon, [Health(1000.0, ""), Health(999.0, "pager: 503")], 1000.0)
    assert beats == [1.0]
    assert beacon.state().detail == "pager: 503"


def test_a_courier_of_the_settings_holds_its_rows_from_the_start(place: Place) -> None:
    with Receiver() as receiver, running(place, webhooks=(webhook(receiver), webhook(receiver, "other"))):
        place.put(alarm())
        receiver.wait_for(lambda came: len(came) >= 2)
    assert {one.courier: one.kinds for one in seen(Path(place.cursors))} == {
        "webhook-pager": ("alarm",),
        "webhook-other": ("alarm",),
    }


@pytest.mark.servers
def test_an_outage_of_influxdb_loses_nothing_and_is_reported(place: Place, tmp_path: Path) -> None:
    reports = Reports()
    folder = tmp_path / "influx"
    folder.mkdir()
    with InfluxServer(folder) as server, Receiver() as receiver:
        options = InfluxOptions(url=server.url, api="v1", tiers="none", batch=50)
        with running(place, reports, influx=options, webhooks=(webhook(receiver),)):
            place.put(*[vitals(f"p{n}", SECOND) for n in range(100)])
            place.put(alarm("a0"))
            receiver.wait_for_ids(1)
            server.stop()
            place.put(*[vitals(f"p{n}", SECOND + 1) for n in range(100)])
            place.put(alarm("a1"))
            receiver.wait_for_ids(2)  # alarms do not wait for InfluxDB
            assert reports.wait_for(1)[0][:2] == ("influx", False)
            server.start()
            assert reports.wait_for(2)[1][:2] == ("influx", True)
        assert server.count('"vitals"', "hr") == 200
        assert server.count("alarm", "step") == 2
    assert place.settled("influx") == 202


@pytest.mark.servers
def test_a_backlog_of_every_kind_of_outage_drains_without_loss(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "influx"
    folder.mkdir()
    seconds = iter(list(ward_rows(8, int(time.time()) - 60, 50)))
    rows: list[Row] = []

    def a_while() -> None:
        for _ in range(10):
            rows.extend(some := next(seconds))
            place.put(*some)

    with InfluxServer(folder) as server:
        gate = Gate(int(server.url.rpartition(":")[2]))
        gate.start()
        options = InfluxOptions(url=f"http://127.0.0.1:{gate.port}", api="v1", batch=40, timeout_s=0.3)
        with running(place, influx=options):
            a_while()
            eventually(lambda: place.settled("influx") > 0)
            for order in (Order("shut"), Order("hang"), http_answer(429, retry_after_s=0), Order("deaf")):
                gate.obey(order)
                behind = place.settled("influx")
                a_while()
                assert place.settled("influx") < behind + 50  # it takes nothing more
            gate.obey(OPEN)
            eventually(lambda: place.settled("influx") == len(rows))
        gate.close()
        check = check_points(Influx(int(server.url.rpartition(":")[2]), "femtoward"), rows)
    assert not check.wrong
    assert check.points > 10_000


@pytest.mark.servers
def test_couriers_thin_vitals_out_where_they_are_told_to(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "influx"
    folder.mkdir()
    begin_s = int(time.time()) // 3600 * 3600 - 3600
    rows = [row for rows in ward_rows(2, begin_s, 90) for row in rows]
    place.put(*rows)  # without times of commit, as of old: everything is ripe
    with InfluxServer(folder) as server:
        with running(place, influx=InfluxOptions(url=server.url, api="v1", tiers="courier")):
            pass  # draining delivers what is there
        kept = {"vitals": 2 * 90, "vitals_1m": 2 * 2, "vitals_1h": 2}
        for measurement, n_points in kept.items():
            [series] = server.query(f"SELECT count(hr) FROM {qualified(measurement)}")  # noqa: S608
            assert series["values"][0][1] == n_points
    last = max(id_ for id_, row in enumerate(rows, start=1) if row.kind == "vitals")
    assert [place.settled(name) for name in ("influx", "influx-minute", "influx-hour")] == [len(rows), last, last]


@pytest.mark.servers
def test_a_revised_row_overwrites_its_own_point(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "influx"
    folder.mkdir()
    with InfluxServer(folder) as server:
        for revision in (1, 2, 3):
            place.put(ledger(revision, stored=revision * 10))
            with running(place, influx=InfluxOptions(url=server.url, api="v1", tiers="none")):
                pass  # draining delivers what is there
        [series] = server.query("SELECT stored FROM ledger")
        assert [row[1] for row in series["values"]] == [30]
