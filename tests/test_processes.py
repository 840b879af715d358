"""Processes started by the command line: what refuses to start, what goes on without a part, how all of it drains."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Outcome, Run, command_line, refused
from receiver import SECRET
from servers import eventually, mosquitto

from ingest.journal import JournalReader, RecordKind

ROOT = Path(__file__).parents[1]


@pytest.fixture
def femtoward(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in this process."""
    return command_line(monkeypatch, capsys)


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list["subprocess.Popen[str]"], *arguments: object) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    started.append(process)
    return process


def test_couriers_without_a_receiver_refuse_to_start(started: list["subprocess.Popen[str]"]) -> None:
    process = start(started, "run", "--only", "couriers")
    out, err = process.communicate(timeout=60)
    refused(Outcome(process.returncode, out, err), "the settings name no courier")


def test_a_ward_whose_courier_has_no_secret_refuses_to_start(
    started: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    file = tmp_path / "ward.toml"
    file.write_text(
        '[broker]\nurl = "mqtt://127.0.0.1:1"\n[log]\nlevel = "error"\n'
        '[[webhook]]\nname = "nurse"\nurl = "https://example.org/"\nsecret_file = "nowhere"\n'
    )
    process = start(started, "run", "--config", file)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert "femtoward: webhook nurse: the secret cannot be read from" in err
    assert err.splitlines()[-1].startswith("femtoward: couriers refused to start")


def ended_early(process: "subprocess.Popen[str]", tmp: Path) -> None:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30.0)
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "femtoward: stopped before the simulation began: there is nothing to sum up"
    assert list(tmp.iterdir()) == []
    assert [pid for pid in Path("/proc").glob("[0-9]*") if str(tmp).encode() in _command(pid)] == []


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc: needs Linux")
@pytest.mark.parametrize("moment", ["loading", "starting"])
def test_a_demo_that_is_stopped_before_it_begins_says_so_and_leaves_nothing(
    started: list["subprocess.Popen[str]"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
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
def test_a_ward_goes_on_without_its_couriers_and_is_told_so(
    started: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    file, secret, main = tmp_path / "ward.toml", tmp_path / "secret", tmp_path / "data" / "main"
    secret.write_text(SECRET)
    file.write_text(
        '[ward]\ndata_dir = "data"\n[broker]\nurl = "mqtt://127.0.0.1:1"\n'
        '[[webhook]]\nname = "nurse"\nurl = "https://example.org/"\nsecret_file = "secret"\n'
    )
    process = start(started, "run", "--config", file)
    eventually((main / "couriers.sqlite").exists, what="the couriers to start")
    secret.unlink()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (couriers,) = (int(pid) for pid in children if b"--only\0couriers" in _command(Path(f"/proc/{pid}")))
    os.kill(couriers, signal.SIGKILL)

    def reports() -> list[bytes]:
        with JournalReader(main / "journal") as reader:
            return [r.payload for r in reader.read(reader.first_offset, 10_000) if r.kind == RecordKind.REPORT]

    eventually(lambda: any(b"the couriers do not start" in report for report in reports()), what="the report")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=15.0)
    assert "couriers refused to start" in err


@pytest.mark.servers
def test_a_ward_drains_on_sigterm_within_ten_seconds(started: list["subprocess.Popen[str]"], tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    with mosquitto(tmp_path / "broker") as broker:
        (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        file.write_text(
            f'[ward]\ndata_dir = "data"\n[broker]\nurl = "{broker.url}"\n[log]\nformat = "json"\n'
            '[[webhook]]\nname = "nurse"\nurl = "http://127.0.0.1:1/"\nallow_local = true\nsecret_file = "secret"\n'
        )
        process = start(started, "run", "--config", file)
        eventually((tmp_path / "data" / "main" / "journal").exists, what="ingest to start")
        eventually(lambda: any((tmp_path / "data" / "recovery").glob("part-*")), what="the flow to start")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10.0)
    said = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert process.returncode == 0, err
    assert out == ""
    assert said[-1]["message"] == "stopped"
    assert {"ingest starts", "ingest stops"} <= {line["message"] for line in said}
