"""A stop drains within ten seconds: also with the broker gone, InfluxDB hanging, the flow far behind, the disk full."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from receiver import SECRET
from servers import eventually, mosquitto
from wards import NO_HEALTH, NOWHERE, Process, start

from ingest.journal import Journal, RecordKind

QUOTA = "[disk]\nshort_gb = 0.0099\nstop_mb = 2\nquota_gb = 0.01\n"


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.servers
def test_a_ward_drains_on_sigterm_within_ten_seconds(started: list[Process], tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    with mosquitto(tmp_path / "broker") as broker:
        (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        file.write_text(
            f'{NO_HEALTH}[ward]\ndata_dir = "data"\n[broker]\nurl = "{broker.url}"\n[log]\nformat = "json"\n'
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


@contextmanager
def mute_server() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


def far_behind(partition: Path) -> None:
    """A journal with a day's worth of work."""
    with Journal(partition / "journal") as journal:
        for _ in range(20):
            journal.append([(RecordKind.MESSAGE, "femtoward/v1/north/w1/data", b"\x93\x01" * 20)] * 10_000)


def full(partition: Path) -> None:
    """A folder that has taken all of its quota."""
    partition.mkdir(parents=True)
    (partition / "big").write_bytes(bytes(9_000_000))


@pytest.mark.parametrize("trouble", ["far-behind", pytest.param("full", marks=pytest.mark.long)])
def test_a_ward_in_trouble_drains_within_ten_seconds(started: list[Process], tmp_path: Path, trouble: str) -> None:
    """The broker is gone and InfluxDB hangs in every case."""
    main, secret = tmp_path / "data" / "main", tmp_path / "secret"
    (far_behind if trouble == "far-behind" else full)(main)
    secret.write_text(SECRET)
    with mute_server() as influx:
        (tmp_path / "ward.toml").write_text(
            f'{NO_HEALTH}[ward]\ndata_dir = "data"\n[broker]\nurl = "{NOWHERE}"\n'
            f'[influx]\nurl = "http://127.0.0.1:{influx}"\n'
            f'[[webhook]]\nname = "nurse"\nurl = "http://127.0.0.1:{influx}/"\nallow_local = true\n'
            f'secret_file = "secret"\n{QUOTA if trouble == "full" else ""}'
        )
        process = start(started, "run", "--config", tmp_path / "ward.toml")
        eventually((main / "journal").exists, what="ingest to start")
        eventually((main / "couriers.sqlite").exists, what="the couriers to start")
        eventually((main / "store.sqlite").exists, what="the flow to start")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10.0)
    assert process.returncode == 0, err
    assert out == ""
    assert "stopped" in err.splitlines()[-1]
