"""The siege: its script and its gate by themselves, then a short one for real; about 110 s."""

import http.client
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from conftest import program
from servers import eventually

from deploy.siege.command import SiegeOptions, in_words, run_siege
from deploy.siege.gate import OPEN, Gate, Order, http_answer
from deploy.siege.hooks import check_hooks
from deploy.siege.receiver import Receipt
from deploy.siege.rubbish import Rubbish, plain_birth, plain_packet
from deploy.siege.script import AROUND, script
from ingest.codec import decode_packet, encode_packet
from ingest.packet import BadPacket, Packet
from ingest.topics import Topic, parse_topic

VICTIMS = ("ingest", "flow", "couriers", "broker", "influx")


# The script


def test_the_same_seed_gives_the_same_siege() -> None:
    assert script(7, 20.0, 60, VICTIMS) == script(7, 20.0, 60, VICTIMS) != script(8, 20.0, 60, VICTIMS)


def test_twenty_minutes_kill_everybody_twelve_times_and_do_all_else_again_and_again() -> None:
    attacks = script(1, 20.0, 60, VICTIMS)
    killed = Counter(attack.whom for attack in attacks if attack.kind == "kill")
    assert killed == dict.fromkeys(VICTIMS, 12)
    assert attacks == sorted(attacks)
    assert all(0.0 < attack.at_s <= attack.at_s + attack.for_s <= 1200.0 for attack in attacks)
    often = Counter(attack.kind for attack in attacks)
    assert all(often[kind] >= 18 for kind in AROUND)
    manners = {(attack.kind, attack.manner) for attack in attacks}
    assert {manner for kind, manner in manners if kind == "influx-away"} == {
        *("500", "429", "hang", "half", "deaf", "shut")
    }
    assert {attack.whom for attack in attacks if attack.kind == "broker-away"} == {"devices", "ingest", "both"}
    assert {attack.whom for attack in attacks if attack.kind == "stop"} == {"ingest", "flow", "couriers"}


def test_a_short_siege_has_everything_once() -> None:
    attacks = script(3, 1.25, 5, VICTIMS)
    assert {attack.whom for attack in attacks if attack.kind == "kill"} == set(VICTIMS)
    assert {attack.kind for attack in attacks} == {"kill", *AROUND}


def test_without_influxdb_it_is_not_attacked() -> None:
    attacks = script(1, 5.0, 15, VICTIMS[:-1])
    assert not [attack for attack in attacks if "influx" in (attack.whom + attack.kind)]


# The gate


@pytest.fixture
def upstream() -> Iterator[int]:
    """Port of an HTTP server that answers with the length of what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = str(len(body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
            requests.append(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    requests.clear()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Gates cut."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


requests: list[bytes] = []


def ask(gate: Gate, body: bytes, timeout_s: float = 10.0) -> tuple[int, bytes]:
    """Post to a gate; a status of 0: no answer came."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=timeout_s)
    try:
        connection.request("POST", "/", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def test_an_open_gate_lets_megabytes_through(upstream: int) -> None:
    with Gate(upstream) as gate:
        assert ask(gate, bytes(5_000_000)) == (200, b"5000000")
        assert ask(gate, b"xy") == (200, b"2")


@pytest.mark.parametrize(
    ("order", "answer", "came"),
    [
        (Order("shut"), 0, False),
        (Order("half"), 0, False),
        (Order("deaf"), 0, True),
        (http_answer(500), 500, False),
        (http_answer(429, retry_after_s=2), 429, False),
    ],
)
def test_a_gate_misbehaves_as_it_is_told_and_opens_again(
    upstream: int, order: Order, answer: int, *, came: bool
) -> None:
    with Gate(upstream) as gate:
        gate.obey(order)
        assert ask(gate, bytes(20_000))[0] == answer
        if came:  # the request is on its way, though nobody hears the answer
            eventually(lambda: requests, what="the request to come through")
        assert bool(requests) is came
        gate.obey(OPEN)
        assert ask(gate, b"xyz") == (200, b"3")


def test_a_gate_that_hangs_leaves_connections_standing_and_cuts_them_when_it_opens(upstream: int) -> None:
    with Gate(upstream) as gate, socket.create_connection(("127.0.0.1", gate.port), timeout=10.0) as standing:
        assert ask(gate, b"x") == (200, b"1")
        gate.obey(Order("hang"))
        assert ask(gate, b"x", timeout_s=0.3) == (0, b"")
        standing.settimeout(0.1)
        with pytest.raises(TimeoutError):
            standing.recv(1)
        gate.obey(OPEN)
        standing.settimeout(10.0)
        assert standing.recv(1) == b""


# What is thrown at the ward, and what is read from it


def test_rubbish_never_speaks_for_a_simulated_device() -> None:
    rubbish = Rubbish(random.Random(1), "siege", ["wearable-0001"])  # noqa: S311 - no secret
    birth = plain_birth("wearable-0001", "patient-0001")
    heard = encode_packet(plain_packet("wearable-0001", "b", 1, 1))
    places = Counter[str]()
    for _ in range(3000):
        topic, payload = rubbish.one(heard, 1_700_000_000_000_000_000)
        parsed = parse_topic(topic)
        places[parsed.leaf if isinstance(parsed, Topic) else "none"] += 1
        if topic.endswith("wearable-0001/data"):
            bad = decode_packet(payload, "wearable-0001", birth)
            assert isinstance(bad, BadPacket)
            assert not bad.boot
    assert set(places) == {"birth", "status", "data", "command", "bundle", "none"}
    assert isinstance(decode_packet(heard, "wearable-0001", birth), Packet)


def test_a_webhook_that_comes_twice_is_no_fault_and_one_that_changes_is() -> None:
    def receipt(id_: str, digest: bytes = b"x", *, taken: bool = True) -> Receipt:
        return Receipt(id_, 0, digest, verified=True, taken=taken)

    came = [receipt("s_a_0"), receipt("s_a_1", taken=False), receipt("s_a_0"), receipt("s_a_1"), receipt("s_a_1", b"y")]
    check = check_hooks(came, {}, [])
    assert (check.taken, check.again, check.repeated) == (2, 1, 1)
    assert any("no alarm event" in said or "does not have" in said for said in check.wrong)


# For real


@pytest.mark.servers
def test_nothing_is_lost_in_a_short_siege(tmp_path: Path) -> None:
    program("mosquitto")
    program("influxd")
    said: list[str] = []
    options = SiegeOptions(minutes=1.25, seed=5, patients=8, kills=5, data_dir=tmp_path / "siege")
    result, wrong = run_siege(options, threading.Event(), said.append)
    assert not wrong, "\n".join([*wrong, *said])
    assert result.kills >= 5
    assert result.stops == 1
    assert result.packets > 2000
    assert result.packets_acknowledged == result.packets
    assert (result.acknowledged_lost, result.webhooks_missing, result.webhooks_repeated) == (0, 0, 0)
    assert (result.rows_missing, result.rows_extra, result.rows_different) == (0, 0, 0)
    assert (result.alarms_missing, result.alarms_extra, result.alarms_different) == (0, 0, 0)
    assert result.influx_equal
    assert result.influx_points > 5_000
    assert (result.scripted_events_missed, result.ledger_balanced) == (0, True)
    assert result.scripted_events > 3
    assert json.loads(msgspec.json.encode(result))["kills"] == result.kills
    assert any("0 lost" in line for line in in_words(result))
