"""Processes started by the command line: what refuses to start, what leaves nothing, what goes on without a part."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Outcome, refused
from receiver import SECRET
from servers import eventually
from wards import NO_HEALTH, NOWHERE, ROOT, Process, child, command, reports, start

from deploy.supervise import femtoward


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_couriers_without_a_receiver_refuse_to_start(started: list[Process], tmp_path: Path) -> None:
    (tmp_path / "ward.toml").write_text(NO_HEALTH)
    process = start(started, "run", "--config", tmp_path / "ward.toml", "--only", "couriers")
    out, err = process.communicate(timeout=60)
    refused(Outcome(process.returncode, out, err), "the settings name no courier")


def test_a_ward_whose_courier_has_no_secret_refuses_to_start(started: list[Process], tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    file.write_text(
        f'{NO_HEALTH}[broker]\nurl = "{NOWHERE}"\n[log]\nlevel = "error"\n'
        '[[webhook]]\nname = "nurse"\nurl = "https://example.org/"\nsecret_file = "nowhere"\n'
    )
    process = start(started, "run", "--config", file)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert "femtoward: webhook nurse: the secret cannot be read from" in err
    assert err.splitlines()[-1].startswith("femtoward: couriers refused to start")


def ended_early(process: Process, tmp: Path) -> None:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30.0)
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "femtoward: stopped before the simulation began: there is nothing to sum up"
    assert list(tmp.iterdir()) == []
    assert [pid for pid in Path("/proc").glob("[0-9]*") if str(tmp).encode() in command(pid)] == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc: needs Linux")
@pytest.mark.parametrize("moment", ["loading", "starting"])
def test_a_demo_that_is_stopped_before_it_begins_says_so_and_leaves_nothing(
    started: list[Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = start(started, "demo", "--headless", "--json")

    def handled() -> bool:
        status = Path(f"/proc/{process.pid}/status").read_text().partition("SigCgt:")[2].split()[0]
        return bool(int(status, 16) >> (signal.SIGTERM - 1) & 1)

    if moment == "loading":
        eventually(handled, what="the handler")
    else:
        eventually(lambda: list(tmp_path.glob("*/logs/broker.log")), what="the broker to start")
    ended_early(process, tmp_path)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the couriers in /proc: needs Linux")
def test_a_ward_goes_on_without_its_couriers_and_is_told_so(started: list[Process], tmp_path: Path) -> None:
    file, secret, main = tmp_path / "ward.toml", tmp_path / "secret", tmp_path / "data" / "main"
    secret.write_text(SECRET)
    file.write_text(
        f'{NO_HEALTH}[ward]\ndata_dir = "data"\n[broker]\nurl = "{NOWHERE}"\n'
        '[[webhook]]\nname = "nurse"\nurl = "https://example.org/"\nsecret_file = "secret"\n'
    )
    process = start(started, "run", "--config", file)
    eventually((main / "couriers.sqlite").exists, what="the couriers to start")
    secret.unlink()
    os.kill(child(process, "couriers"), signal.SIGKILL)
    eventually(lambda: any(b"couriers refused to start" in report for report in reports(main)), what="the report")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=15.0)
    assert "couriers refused to start" in err


def test_a_part_ends_when_its_supervisor_is_killed_before_it_has_heard_all(
    started: list[Process], tmp_path: Path
) -> None:
    (tmp_path / "ward.toml").write_text(f'{NO_HEALTH}[broker]\nurl = "{NOWHERE}"\n')
    ear, mouth = socket.socketpair()
    with ear, mouth:
        argv = femtoward("run", "--config", str(tmp_path / "ward.toml"), "--only", "ingest", "--supervised")
        home = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(argv, cwd=tmp_path, stdin=mouth.fileno(), env=home, text=True)
        started.append(process)
        ear.settimeout(60.0)
        assert ear.recv(1, socket.MSG_PEEK)  # it has spoken, and nobody reads it: closing resets the connection
    assert process.wait(20.0) == 0
