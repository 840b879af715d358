"""The compose stack without its containers: its settings and its services' own commands, side by side on this host."""

import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from influx_server import InfluxServer
from servers import eventually, free_port
from stack_broker import DEPLOY, StackBroker
from test_compose import SERVICES
from wards import Process, health, start

from deploy.parts import PARTS

pytestmark = pytest.mark.servers
CONFIG = "/etc/femtoward/femtoward.toml"


class Stack(NamedTuple):
    """What runs, and where."""

    folder: Path
    influx: InfluxServer
    ports: dict[str, int]  # of health by part, and of the page itself
    processes: dict[str, Process]
    token: str  # of the page


def command(service: str, changes: dict[str, str]) -> list[str]:
    """Command of a service of compose, names of its network and paths changed to those of a test."""
    said = SERVICES[service]["command"]
    for old, new in changes.items():
        said = [word.replace(old, new) for word in said]
    return [*said]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    broker = StackBroker(folder / "broker")
    broker.start()
    (folder / "influx").mkdir()
    ports = {name: free_port() for name in (*PARTS, "page itself")}
    with broker, InfluxServer(folder / "influx") as influx:
        changes = {
            "mosquitto:1884": f"127.0.0.1:{broker.inner}",
            "/run/secrets/": f"{broker.secrets}/",
            "/var/lib/femtoward": str(folder / "data"),
            'url = "http://influxdb:8086"\napi = "v2"': f'url = "{influx.url}"\napi = "v1"',  # Debian has a 1.6
            CONFIG: str(folder / "ward.toml"),
            "${FEMTOWARD_PATIENTS:-12}": "2",
        }
        text = (DEPLOY / "femtoward.compose.toml").read_text()
        for old, new in {**changes, "0.0.0.0": "127.0.0.1"}.items():  # noqa: S104 - it is taken out
            text = text.replace(old, new)
        sections = {part.partition("]")[0]: part for part in text.split("\n[")}
        sections["health"] = "health]\nrun = -1\n" + "".join(f"{part} = {ports[part]}\n" for part in PARTS)
        sections["page"] += f"port = {ports['page itself']}\n"
        for container in ("health.hosts", "grafana"):  # there is no Grafana here
            del sections[container]
        (folder / "ward.toml").write_text("\n[".join(sections.values()))
        started: list[Process] = []
        try:
            done = subprocess.run([sys.executable, "-m", "deploy.cli", *command("provision", changes)], check=False)
            assert done.returncode == 0
            processes = {name: start(started, *command(name, changes)) for name in (*PARTS, "fleet")}
            yield Stack(folder, influx, ports, processes, broker.password("page_token"))
        finally:
            for process in started:
                process.kill()
                process.communicate()


def test_the_stack_comes_up_and_carries_the_fleet_to_influxdb(stack: Stack) -> None:
    for part in PARTS:
        eventually(lambda: health(stack.ports[part])[0] == 200, 60.0, f"{part} to be ready")  # noqa: B023 - at once
    eventually(
        lambda: stack.influx.query('SELECT last("hr") FROM "second"."vitals" GROUP BY "patient"'), 60.0, "vitals"
    )

    def alive() -> set[str]:
        found = stack.influx.query('SELECT last("alive") FROM "second"."process" GROUP BY "part"')
        return {series["tags"]["part"] for series in found if series["values"][0][1] == 1}

    eventually(lambda: alive() == set(PARTS), 60.0, "word of every process")


def test_the_page_lets_in_whoever_has_its_token(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.ports['page itself']}/"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    for token, place in (("", "enter"), ("wrong", "enter?wrong"), (stack.token, "")):
        given = urllib.parse.urlencode({"token": token}).encode() if token else None
        asked = urllib.request.Request(f"{url}enter" if token else url, given, {"Origin": url.rstrip("/")})  # noqa: S310 - our own
        with browser.open(asked, timeout=10.0) as answer:
            assert answer.url == url + place


def test_the_doctor_finds_the_stack_well(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "doctor", "--config", str(stack.folder / "ward.toml"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    checks = {line["name"]: line for line in json.loads(done.stdout)["checks"]}
    for name in ("health ports", *(f"part {part}" for part in PARTS), "broker", "broker queue", "influx"):
        assert checks[name]["verdict"] == "ok", checks[name]


def test_the_stack_drains(stack: Stack) -> None:
    for name in ("fleet", "couriers", "page", "flow", "ingest"):
        stack.processes[name].send_signal(signal.SIGTERM)
    for name, process in stack.processes.items():
        assert process.wait(timeout=20.0) == 0, name
