"""`femtoward run`: a part that is killed comes back, alone or with its cluster, and health says what flows."""

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Outcome, refused
from servers import eventually, free_port, mosquitto
from wards import NO_HEALTH, NOWHERE, Process, child, health, reports, start

from ingest.door import Door


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the flow in /proc: needs Linux")
@pytest.mark.servers
def test_a_killed_flow_comes_back_and_health_says_what_flows(started: list[Process], tmp_path: Path) -> None:
    file, run, ingest, flow = tmp_path / "ward.toml", free_port(), 0, free_port()
    with mosquitto(tmp_path / "broker") as broker:
        file.write_text(
            f'[ward]\ndata_dir = "data"\n[broker]\nurl = "{broker.url}"\n'
            f"[health]\nrun = {run}\ningest = {ingest}\nflow = {flow}\n"
        )
        process = start(started, "run", "--config", file)
        eventually(lambda: health(run)[0] == 200, what="the ward to be ready")
        assert health(flow) == (200, {"part": "flow", "alive": True, "ready": True, "detail": ""})
        killed = child(process, "flow")
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: health(run)[0] == 503, what="the ward not to be ready")
        eventually(lambda: health(run)[0] == 200, what="the ward to be ready again")
        assert child(process, "flow") != killed
        died = b'"reporter":"flow","ok":false,"detail":"flow ended with status -9 at '
        eventually(lambda: any(died in report for report in reports(tmp_path / "data" / "main")), what="the report")
        with urllib.request.urlopen(f"http://127.0.0.1:{run}/metrics", timeout=10.0) as answer:
            assert b'femtoward_restarts_total{part="flow"} 1.0' in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10.0) == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the flow in /proc: needs Linux")
def test_a_cluster_of_two_processes_falls_and_rises_together(started: list[Process], tmp_path: Path) -> None:
    file, data, run = tmp_path / "ward.toml", tmp_path / "data", free_port()
    file.write_text(
        f'{NO_HEALTH.replace("run = -1", f"run = {run}")}[ward]\ndata_dir = "data"\n[broker]\nurl = "{NOWHERE}"\n'
        f'[flow]\nprocesses = 2\naddresses = ["127.0.0.1:{free_port()}", "127.0.0.1:{free_port()}"]\n'
        '[[partition]]\nname = "east"\nsites = ["e"]\n[[partition]]\nname = "west"\nsites = ["w"]\nhost = 1\n'
    )
    process = start(started, "run", "--config", file)

    def flows() -> bool:
        _, said = health(run)
        return bool(said) and "ingest-east: no" in said["detail"] and "flow" not in said["detail"]  # it has no broker

    eventually(flows, what="the flow to run")
    both = [child(process, "flow\0--process\0" + index) for index in "01"]
    os.kill(both[1], signal.SIGKILL)
    eventually(lambda: not flows(), what="the flow to fall")
    eventually(flows, what="the flow to rise")
    again = [child(process, "flow\0--process\0" + index) for index in "01"]
    assert not set(both) & set(again)
    for name in ("east", "west"):
        partition = data / name
        eventually(lambda: any(b'"flow-1","ok":false' in said for said in reports(partition)), what="the report")  # noqa: B023
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10.0)
    assert process.returncode == 0, err
    assert "Traceback" not in err, err


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the flow in /proc: needs Linux")
def test_one_part_that_is_watched_comes_back_and_the_ward_hears_of_it(started: list[Process], tmp_path: Path) -> None:
    file, port = tmp_path / "ward.toml", free_port()
    ports = NO_HEALTH.replace("flow = -1", f"flow = {port}")
    file.write_text(f'{ports}[ward]\ndata_dir = "data"\n[broker]\nurl = "{NOWHERE}"\n')
    process = start(started, "run", "--config", file, "--only", "flow", "--watch")

    def lives() -> bool:
        return health(port, "/healthz")[0] == 200

    def told() -> list[bytes]:  # left for ingest, which is not here
        return [letter.payload for letter in Door(tmp_path / "data" / "main" / "door").take(10)]

    eventually(lives, what="the flow to live")
    killed = child(process, "flow")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: any(b"flow ended with status -9" in said for said in told()), what="the word")
    eventually(lives, what="the flow to live again")
    assert child(process, "flow") != killed
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30.0) == 0


def test_a_health_port_that_is_taken_refuses_the_start(started: list[Process], tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(
            f'[ward]\ndata_dir = "data"\n[broker]\nurl = "{NOWHERE}"\n[log]\nlevel = "error"\n'
            f"[health]\nrun = 0\ningest = 0\ncouriers = 0\nflow = {port}\n"
        )
        for more in ((), ("--only", "flow")):
            process = start(started, "run", "--config", file, *more)
            out, err = process.communicate(timeout=60)
            said = f"the health port 127.0.0.1:{port} of flow cannot be opened (Address already in use)"
            refused(Outcome(process.returncode, out, err), said)


def test_a_stop_in_the_first_moments_is_a_drain_like_any_other(started: list[Process], tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    file.write_text(f'{NO_HEALTH}[ward]\ndata_dir = "data"\n[broker]\nurl = "{NOWHERE}"\n')
    process = start(started, "run", "--config", file)
    assert process.stderr is not None
    assert any("started ingest" in line for line in process.stderr)  # it has not yet loaded what heeds the signal
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20.0)
    assert process.returncode == 0, err
