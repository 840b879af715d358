"""The README is true: its device speaks the wire contract, its settings are settings, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from servers import eventually, mosquitto

from deploy.settings import parse_settings
from device_sim.scenario import load_scenario
from ingest.codec import decode_birth, decode_command, decode_packet, decode_status
from ingest.command import SetLimits
from ingest.limits import LIMITS, refusal
from ingest.packet import Packet
from ingest.profile import Birth, Status

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str, holds: str = "") -> str:
    """The first code block in a language that holds some words."""
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if holds in text]
    assert found
    return str(found[0])


@pytest.mark.servers
def test_the_device_of_the_readme_speaks_the_wire_contract(tmp_path: Path) -> None:
    script = tmp_path / "device.py"
    script.write_text(block("python"), encoding="utf-8")
    heard: list[tuple[str, bytes]] = []
    with mosquitto(tmp_path / "broker") as broker:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _client, _data, message: heard.append((message.topic, bytes(message.payload)))
        subscribed: list[int] = []
        client.on_subscribe = lambda *_: subscribed.append(1)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.subscribe("femtoward/v1/home/my-sensor/#", qos=1)
        eventually(lambda: subscribed)
        subprocess.run([sys.executable, str(script), "127.0.0.1", str(broker.port), "1.5"], check=True, timeout=60)
        eventually(lambda: len(heard) == 6)
        client.disconnect()
        client.loop_stop()
    by_leaf = [(topic.rsplit("/", 1)[1], payload) for topic, payload in heard]
    birth = decode_birth(by_leaf[0][1], "my-sensor")
    assert isinstance(birth, Birth)
    packets = [decode_packet(payload, "my-sensor", birth) for leaf, payload in by_leaf if leaf == "data"]
    assert [packet.seq for packet in packets if isinstance(packet, Packet)] == [0, 1, 2]
    statuses = [decode_status(payload) for leaf, payload in by_leaf if leaf == "status"]
    assert [status.state for status in statuses if isinstance(status, Status)] == ["online", "offline"]


def test_the_limits_of_the_readme_are_a_command_within_the_bounds_that_it_tells() -> None:
    command = decode_command(block("json", "set-limits").encode())
    assert isinstance(command, SetLimits)
    assert refusal(command) == ""
    for vital, (_, low, high) in LIMITS.items():
        (row,) = [line for line in README.splitlines() if line.startswith(f"| `{vital}`,")]
        defaults = [f"{edge.default:g}" for edge in (low, high) if edge]
        bounds = [f"{edge.least:g} to {edge.most:g}" if edge else "none" for edge in (low, high)]
        assert f" {' to '.join(defaults)} |" in row
        assert f"| {bounds[0]} | {bounds[1]} |" in row


def test_the_settings_of_the_readme_are_settings() -> None:
    settings = parse_settings(block("toml", "[broker]"))
    assert settings.influx is not None
    assert settings.webhook[0].name == "nurse-station"


def test_the_scenario_of_the_readme_is_a_scenario(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(block("toml", "[[patients]]"), encoding="utf-8")
    assert load_scenario(str(path)).patients


def test_every_command_of_the_readme_exists() -> None:
    from test_cli import COMMANDS  # noqa: PLC0415 - the one list of them

    said = set(re.findall(r"femtoward ([a-z]+) ", README)) - {"is"}
    assert said
    assert said <= COMMANDS


def test_every_file_that_the_readme_points_at_exists() -> None:
    for target in re.findall(r"\]\(([^):]+)\)", README):
        assert (Path(__file__).parents[1] / target.partition("#")[0]).exists(), target
