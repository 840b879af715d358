"""The health port: alive and flowing are two things, metrics parse, and nobody who asks can harm the process."""

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from servers import eventually, free_port

import dataflows.metrics
import ingest.metrics
from deploy import health, probe
from deploy.health import AT_ONCE, need_free, serve
from deploy.notify import telling
from deploy.part import _open_health
from deploy.parts import one_of
from deploy.problem import UserError
from deploy.settings import parse_settings
from ingest.beacon import Beacon, State

HOST = "127.0.0.1"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass
class Clock:
    """A clock that is set by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def beacon(clock: Clock) -> Beacon:
    return Beacon(patience_s=10.0, now_s=clock)


@pytest.fixture
def port(beacon: Beacon) -> Iterator[int]:
    with serve("flow", 0, HOST, beacon) as port:
        yield port


def ask(port: int, path: str, accept: str = "", method: str = "GET") -> tuple[int, str, str]:
    """Status, content type and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30.0)
    connection.request(method, path, headers={"Accept": accept} if accept else {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def runs(thread: str) -> bool:
    """Whether a thread of that name runs."""
    return thread in {one.name for one in threading.enumerate()}


def parsed(body: str) -> dict[str, Metric]:
    """Families by name, as a reader of OpenMetrics understands them."""
    families = text_string_to_metric_families(body)  # type: ignore[no-untyped-call]  # the library's parser has no types
    return {family.name: family for family in families}


def test_a_process_that_starts_is_alive_and_not_ready(port: int) -> None:
    status, kind, body = ask(port, "/healthz")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {"part": "flow", "alive": True, "ready": False, "detail": "starting"}
    status, _, body = ask(port, "/readyz")
    assert status == 503
    assert json.loads(body)["detail"] == "starting"


def test_ready_means_that_data_flows_and_not_ready_says_why(port: int, beacon: Beacon) -> None:
    beacon.ready()
    assert ask(port, "/readyz")[0] == 200
    beacon.not_ready("catching up: 40 s behind")
    status, _, body = ask(port, "/readyz")
    assert status == 503
    assert json.loads(body)["detail"] == "catching up: 40 s behind"
    assert ask(port, "/healthz")[0] == 200


def test_a_loop_that_does_not_go_round_is_not_alive_whatever_it_said(port: int, beacon: Beacon, clock: Clock) -> None:
    beacon.beat()
    beacon.ready()
    clock.now_s += 10.5
    for path in ("/healthz", "/readyz"):
        status, _, body = ask(port, path)
        assert status == 503
        assert json.loads(body)["detail"] == "the main loop has not gone round for 10 s"
    beacon.beat()
    assert ask(port, "/healthz")[0] == ask(port, "/readyz")[0] == 200


def test_a_step_that_does_not_end_is_missed_though_other_threads_go_round(beacon: Beacon, clock: Clock) -> None:
    began, goes_on, beaten, leave = (threading.Event() for _ in range(4))

    def hang() -> None:
        with beacon.step():
            began.set()
            goes_on.wait(60.0)
            beacon.beat()
            beaten.set()
            leave.wait(60.0)

    thread = threading.Thread(target=hang)
    thread.start()
    assert began.wait(60.0)
    clock.now_s += 11.0
    beacon.ready()
    with beacon.step():
        assert beacon.state() == State(False, False, "a step of one thread has not ended for 11 s")
    goes_on.set()
    assert beaten.wait(60.0)
    assert beacon.state().alive  # it waits for something, and says so
    clock.now_s += 11.0
    beacon.beat()
    assert not beacon.state().alive
    leave.set()
    thread.join()
    assert beacon.state() == State(True, True, "")


def test_a_process_is_given_time_to_load_before_its_first_round(beacon: Beacon, clock: Clock) -> None:
    clock.now_s += 99.0
    assert beacon.state().alive
    clock.now_s += 2.0
    assert not beacon.state().alive


def test_metrics_are_openmetrics_for_those_who_ask_and_plain_text_for_the_others(port: int, beacon: Beacon) -> None:
    ingest.metrics.MESSAGES.inc(3)
    dataflows.metrics.BAD.labels("undecodable").inc()
    beacon.ready()
    status, kind, body = ask(port, "/metrics", OPENMETRICS)
    assert status == 200
    assert kind.startswith("application/openmetrics-text")
    families = parsed(body)
    assert families["femtoward_ingest_messages"].type == "counter"
    assert families["femtoward_ingest_messages"].samples[0].name.endswith("_total")
    ((ready,), (alive,)) = (families[f"femtoward_{name}"].samples for name in ("ready", "alive"))
    assert (ready.value, alive.value) == (1.0, 1.0)
    assert families["femtoward_build"].samples[0].labels["part"] == "flow"
    assert body.endswith("# EOF\n")
    _, kind, body = ask(port, "/metrics")
    assert kind.startswith("text/plain")
    assert "femtoward_bad_messages_total" in body


def test_every_series_has_the_name_that_is_promised(port: int) -> None:
    _, _, body = ask(port, "/metrics", OPENMETRICS)
    found = set(parsed(body))
    promised = {
        "femtoward_ingest_messages",
        "femtoward_ingest_commits",
        "femtoward_ingest_commit_seconds",
        "femtoward_ingest_bytes",
        "femtoward_ingest_link_up",
        "femtoward_ingest_queued",
        "femtoward_journal_offset",
        "femtoward_journal_bytes",
        "femtoward_room_bytes",
        "femtoward_room_stage",
        "femtoward_journal_refusals",
        "femtoward_flow_records",
        "femtoward_flow_behind_seconds",
        "femtoward_flow_catching_up",
        "femtoward_store_rows",
        "femtoward_store_conflicts",
        "femtoward_bad_messages",
        "femtoward_store_put_seconds",
        "femtoward_vitals_latency_seconds",
        "femtoward_courier_backlog_rows",
        "femtoward_courier_delivered",
        "femtoward_courier_failing",
        "femtoward_courier_dead_letters",
    }
    assert promised <= found


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/metric", 404), ("/readyz?verbose=1", 503)])
def test_other_paths_are_not_found_and_questions_are_ignored(port: int, path: str, status: int) -> None:
    assert ask(port, path)[0] == status


def test_a_head_has_no_body_and_a_post_is_refused(port: int) -> None:
    assert ask(port, "/healthz", method="HEAD") == (200, "application/json", "")
    assert ask(port, "/healthz", method="POST")[0] == 501


def test_a_request_without_end_is_refused(port: int) -> None:
    with socket.create_connection((HOST, port), 30.0) as connection:
        connection.sendall(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n")
        assert b" 414 " in connection.recv(1000)


def test_those_who_ask_and_say_nothing_are_left_and_hold_up_nobody_for_long(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health._Handler, "timeout", 0.2)
    with ExitStack() as mute:
        for _ in range(3 * AT_ONCE):
            mute.enter_context(socket.create_connection((HOST, port), 30.0))

        def answered() -> bool:
            try:
                return ask(port, "/healthz")[0] == 200
            except (http.client.HTTPException, ConnectionError):
                return False  # too many at once: hung up on

        eventually(answered, what="an answer")


def test_a_port_that_is_taken_is_said_with_what_to_do(beacon: Beacon) -> None:
    with socket.create_server((HOST, 0)) as taken:
        number = taken.getsockname()[1]
        said = rf"the health port 127.0.0.1:{number} of flow cannot be opened \(Address already in use\): end what"
        with pytest.raises(UserError, match=said), serve("flow", number, HOST, beacon):
            pass
        with pytest.raises(UserError, match=said):
            need_free("flow", number, HOST)
    need_free("flow", number, HOST)
    need_free("flow", 0, HOST)


def test_a_part_that_is_started_again_runs_without_a_port_that_was_taken_meanwhile(
    beacon: Beacon, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server((HOST, 0)) as taken, ExitStack() as around:
        settings = parse_settings(f"[health]\nflow = {taken.getsockname()[1]}\n")
        flow = one_of(settings, "flow", None, None)
        _open_health(around, flow, settings, beacon, needed=False)
        assert "flow runs without its health port" in caplog.text
        with pytest.raises(UserError):
            _open_health(around, flow, settings, beacon, needed=True)


def test_an_address_of_another_machine_is_refused(beacon: Beacon) -> None:
    with (
        pytest.raises(UserError, match=r"192\.0\.2\.1:9465 of flow cannot be opened"),
        serve("flow", 9465, "192.0.2.1", beacon),
    ):
        pass


def test_the_port_can_be_turned_off_and_is_free_again_afterwards(beacon: Beacon) -> None:
    with serve("flow", -1, HOST, beacon) as off:
        assert off == -1
        assert not runs("health")
    number = free_port()
    for _ in range(2):
        with serve("flow", number, HOST, beacon):
            assert ask(number, "/healthz")[0] == 200
    assert not runs("health")


def test_systemd_is_told_that_we_have_started_how_we_are_and_that_we_live(
    beacon: Beacon, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.notify.TELL_EVERY_S", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(30.0)
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with telling(beacon, supervised=False):
            assert systemd.recv(1000) == b"WATCHDOG=1\n"  # alive, and not started yet
            beacon.not_ready("no broker")
            eventually(lambda: systemd.recv(1000) == b"WATCHDOG=1\nREADY=1\nSTATUS=no broker\n", what="the start")
            beacon.ready()
            eventually(lambda: b"STATUS=data flows\n" in systemd.recv(1000), what="word that data flows")
            clock.now_s += 1000.0  # the watchdog hears nothing from a dead loop
            eventually(
                lambda: b"STATUS=the main loop has not" in (said := systemd.recv(1000)) and not said.startswith(b"W")
            )


def test_nobody_is_told_where_nobody_listens(beacon: Beacon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with telling(beacon, supervised=False):
        assert not runs("notify")


def test_a_supervisor_hears_how_its_child_is() -> None:
    code = (
        "import threading\nfrom deploy.notify import telling\nfrom ingest.beacon import Beacon\n"
        "beacon = Beacon(); beacon.not_ready('no broker')\n"
        "with telling(beacon, supervised=True): threading.Event().wait()"
    )
    ear, mouth = socket.socketpair()
    ear.settimeout(30.0)
    root = Path(__file__).parents[1]
    with ear, mouth, subprocess.Popen([sys.executable, "-c", code], cwd=root, stdin=mouth.fileno()) as child:
        said = ear.recv(1000)
        child.kill()
    assert json.loads(said.splitlines()[0]) == list(State(alive=True, ready=False, detail="no broker"))


def test_a_container_asks_whether_a_process_lives(
    port: int, beacon: Beacon, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    beacon.beat()
    beacon.not_ready("waits for the broker")
    assert probe.main(port) == 0  # it lives, though nothing flows
    assert "waits for the broker" in capsys.readouterr().out
    assert probe.main(port, "/readyz") == 1
    clock.now_s = 60.0
    assert probe.main(port) == 1
    assert '"alive":false' in capsys.readouterr().out
    assert probe.main(free_port()) == 1
    assert "nobody answers" in capsys.readouterr().out
    done = subprocess.run([sys.executable, "-P", "-m", "deploy.probe", str(port)], capture_output=True, check=False)
    assert done.returncode == 1
