"""The broker's configuration that ships, run by a real mosquitto: who may do what, and what it keeps."""

import os
import random
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from servers import eventually, start_mosquitto
from stack_broker import DEPLOY, INGEST, Client, StackBroker, make_secrets

from deploy.broker_checks import QUEUED, broker
from deploy.settings import parse_settings
from deploy.simulate import broker_of, sim_options, simulate
from ingest.inbox import Inbox
from ingest.mqtt import IngestOptions, Link
from ingest.topics import SUBSCRIPTIONS, bundle_topic, command_topic, topic_of

pytestmark = pytest.mark.servers
OWN, OTHER = topic_of("icu-east", "opm-1", "data"), topic_of("icu-east", "opm-2", "data")
SUCCESS = {"Success", "No matching subscribers"}
REFUSED = "Not authorized"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackBroker]:
    broker = StackBroker(tmp_path_factory.mktemp("stack"))
    broker.start()
    with broker:
        yield broker


@pytest.fixture(scope="module")
def passwords(stack: StackBroker) -> dict[str, str]:
    """Logins that came while the broker ran: a reload, not a restart, lets them in."""
    with stack.ingest() as before:
        passwords = stack.add("opm-1", "opm-2", "nurse-station-1", "gateway-1")
        acl = stack.folder / "acl"
        # The examples in the access list are meant to be used.
        lines = acl.read_text().splitlines()
        acl.write_text("\n".join(line[1:] if line.startswith(("#user", "#topic")) else line for line in lines) + "\n")
        stack.reload()
        before.caught_up()
        assert before.gone is None
    return passwords


@pytest.fixture
def device(stack: StackBroker, passwords: dict[str, str]) -> Iterator[Client]:
    with Client(stack.outer, "opm-1", passwords["opm-1"], client_id="opm-1") as client:
        yield client


def test_a_device_publishes_below_its_own_name_and_nowhere_else(
    stack: StackBroker, device: Client, passwords: dict[str, str]
) -> None:
    forbidden = [
        OWN,
        topic_of("icu-east", "opm-1", "birth"),
        command_topic("icu-east", "opm-2"),
        command_topic("icu-east", "nurse-station-1"),
        bundle_topic("icu-east", "opm-2"),
        "femtoward/v1/opm-2",
        "opm-2",
        "$SYS/broker/version",
    ]

    def answer(topic: str) -> str:  # a client of its own for each: mosquitto 2.0.11 cuts off whom it has refused
        with Client(stack.outer, "opm-2", passwords["opm-2"]) as intruder:
            return intruder.publish(topic)

    with stack.ingest() as ingest:
        assert ingest.subscribe("femtoward/v1/#") == "Granted QoS 1"
        for leaf in ("birth", "status", "data", "truth"):
            assert device.publish(topic_of("icu-east", "opm-1", leaf)) in SUCCESS
        assert {topic: answer(topic) for topic in forbidden} == dict.fromkeys(forbidden, REFUSED)
        assert device.publish(OWN, b"last") in SUCCESS
        eventually(lambda: (OWN, b"last") in ingest.messages, what="the last message")
        assert {topic.split("/")[3] for topic, _ in ingest.messages} == {"opm-1"}


def test_a_device_reads_nothing_not_even_its_own(stack: StackBroker, device: Client, passwords: dict[str, str]) -> None:
    with Client(stack.outer, "opm-2", passwords["opm-2"]) as curious, stack.ingest() as ingest:
        ingest.subscribe("femtoward/v1/#")
        for topic in ("#", "femtoward/v1/#", OTHER, OWN, "$SYS/#"):
            curious.subscribe(topic)
        device.publish(OWN, b"secret")
        curious.publish(OTHER, b"mine")
        eventually(lambda: (OTHER, b"mine") in ingest.messages, what="ingest to get both")
        curious.caught_up()
        assert curious.messages == []


@pytest.mark.parametrize("five", [True, False])
@pytest.mark.parametrize("listener", ["inner", "outer"])
def test_nobody_comes_in_without_his_password(stack: StackBroker, listener: str, *, five: bool) -> None:
    port = stack.inner if listener == "inner" else stack.outer
    for login, password in ((None, ""), (INGEST, "wrong"), (INGEST, ""), ("unknown", "x"), ("", "")):
        with Client(port, login, password, client_id="somebody", five=five) as stranger:
            assert str(stranger.greeted) == "Not authorized", (login, password)


def test_whose_login_is_taken_away_is_cut_off_and_stays_out(stack: StackBroker, passwords: dict[str, str]) -> None:
    password = stack.add("opm-lost")["opm-lost"]
    stack.reload()
    with Client(stack.outer, "opm-lost", password) as lost, Client(stack.outer, "opm-1", passwords["opm-1"]) as other:
        removed = make_secrets(stack.secrets, "--remove", "opm-lost")
        assert (removed.returncode, removed.stdout) == (0, "removed opm-lost\n")
        stack.reload()
        eventually(lambda: lost.gone is not None, what="the lost device to be cut off")
        assert other.publish(OWN) in SUCCESS
    with Client(stack.outer, "opm-lost", password) as again:
        assert str(again.greeted) == REFUSED
    assert make_secrets(stack.secrets, "--remove", "opm-lost").returncode == 2


def test_no_device_can_take_the_session_of_ingest(stack: StackBroker, passwords: dict[str, str]) -> None:
    with stack.ingest(client_id="femtoward-ingest-main", lasting=True) as ingest:
        ingest.subscribe(OWN)
        with Client(stack.outer, "opm-1", passwords["opm-1"], client_id="femtoward-ingest-main") as device:
            device.publish(OWN, b"still here")
            eventually(lambda: (OWN, b"still here") in ingest.messages, what="ingest to hear of it")
        assert ingest.gone is None


def test_staff_command_under_their_own_name_and_a_gateway_speaks_for_its_devices(
    stack: StackBroker, passwords: dict[str, str]
) -> None:
    def answer(login: str, topic: str) -> str:
        with Client(stack.outer, login, passwords[login]) as client:
            return client.publish(topic)

    station, gateway = "nurse-station-1", "gateway-1"
    assert answer(station, command_topic("icu-east", station)) in SUCCESS
    for topic in (command_topic("icu-east", "another"), command_topic("icu-west", station), OWN):
        assert answer(station, topic) == REFUSED, topic
    assert answer(gateway, bundle_topic("icu-east", gateway)) in SUCCESS
    assert answer(gateway, topic_of("icu-east", "opm-7", "birth")) in SUCCESS
    for topic in (bundle_topic("icu-east", "gateway-2"), command_topic("icu-east", gateway), OWN):
        assert answer(gateway, topic) == REFUSED, topic


def test_the_simulator_speaks_for_the_demo_alone(stack: StackBroker) -> None:
    def answer(topic: str) -> str:
        with Client(stack.inner, "simulator", stack.password("simulator_password")) as fleet:
            return fleet.publish(topic)

    assert answer(topic_of("demo", "wearable-0001", "data")) in SUCCESS
    assert answer(bundle_topic("demo", "simulator")) in SUCCESS
    assert answer(command_topic("demo", "simulator")) == REFUSED
    assert answer(OWN) == REFUSED


def test_whoever_publishes_with_qos_2_is_cut_off(tmp_path: Path) -> None:
    # A broker that has not been reloaded: mosquitto 2.0.11 then forgets its max_qos, which does no harm.
    stack = StackBroker(tmp_path)
    password = stack.add("opm-1")["opm-1"]
    stack.start()
    with stack, stack.ingest() as ingest:
        ingest.subscribe(OWN, qos=2)
        for five, said in ((True, "QoS not supported"), (False, "Unspecified error")):
            for qos in (1, 2):
                with Client(stack.outer, "opm-1", password, five=five) as device:
                    answer = device.publish(OWN, b"%d" % qos, qos=qos)
            assert answer == said
        ingest.caught_up()
        assert ingest.messages == [(OWN, b"1")] * 2


def test_what_is_too_large_for_ingest_reaches_it_and_what_is_larger_still_is_cut_off(
    stack: StackBroker, device: Client
) -> None:
    with stack.ingest() as ingest:
        ingest.subscribe(OWN)
        assert device.publish(OWN, bytes(1_500_000)) in SUCCESS
        eventually(lambda: ingest.messages, what="the large one")
        device.publish(OWN, bytes(3_000_000))
        assert device.gone is not None


class Ingest:
    """The link of ingest on the stack's broker."""

    def __init__(self, stack: StackBroker, folder: Path) -> None:
        self.inbox = Inbox(100_000, 1 << 30, 1000, 0.0)
        url = f"mqtt://{INGEST}:{stack.password('ingest_password')}@127.0.0.1:{stack.inner}"
        folder.mkdir(exist_ok=True)
        self.link = Link(IngestOptions(folder=str(folder), broker=url), self.inbox, random.Random(1))  # noqa: S311
        self.came: list[bytes] = []
        self.link.start()
        eventually(lambda: self.link.serving, what="ingest to be served")

    def take(self) -> list[bytes]:
        """Acknowledge what has come, as after a commit; return all of it so far."""
        arrivals = self.inbox.take(0.0)
        self.link.acknowledge(arrivals)
        self.came += [arrival.payload for arrival in arrivals if arrival.topic == OWN]
        return self.came

    def stop(self) -> None:
        """Disconnect once the broker has the acknowledgements."""
        self.inbox.close()
        assert self.link.stop(10.0)


def test_what_waits_for_ingest_is_kept_however_much_and_over_a_restart(tmp_path: Path) -> None:
    stack = StackBroker(tmp_path / "stack")
    password = stack.add("opm-1")["opm-1"]
    stack.start()
    with stack:
        Ingest(stack, tmp_path / "ingest").stop()
        said = [b"%d" % i for i in range(3000)]
        with Client(stack.outer, "opm-1", password) as device:
            device.publish(topic_of("icu-east", "opm-1", "birth"), b"birth", retain=True)
            infos = [device.paho.publish(OWN, payload, qos=1) for payload in said]
            eventually(lambda: all(info.mid in device.answered for info in infos), what="all acknowledgements")
        stack.restart()
        ingest = Ingest(stack, tmp_path / "ingest")
        eventually(lambda: len(ingest.take()) >= len(said), what="all that waited")
        ingest.stop()
        assert ingest.came == said
        again = Ingest(stack, tmp_path / "ingest")  # what was acknowledged does not come twice
        with stack.ingest() as other:
            other.subscribe(SUBSCRIPTIONS[0])
            eventually(lambda: other.messages, what="the birth, retained over the restart")
        assert again.take() == []
        again.stop()


def test_the_doctor_is_content_with_this_broker(stack: StackBroker) -> None:
    settings = parse_settings(
        f'[broker]\nurl = "mqtt://127.0.0.1:{stack.inner}"\nuser = "{INGEST}"\n'
        f'secret_file = "{stack.secrets}/ingest_password"\n'
    )
    assert [(one.name, one.verdict) for one in broker(settings)] == [("broker", "ok"), ("broker queue", "ok")]


def test_the_doctor_finds_out_a_broker_that_forgets_what_waits(tmp_path: Path) -> None:
    with start_mosquitto(tmp_path, extra="max_queued_messages 1000") as forgetful:
        found = list(broker(parse_settings(f'[broker]\nurl = "{forgetful.url}"\n')))
    assert [(one.name, one.verdict) for one in found] == [("broker", "ok"), ("broker queue", "problem")]
    assert f"of {QUEUED} messages for a session that was away, 1000 came" in found[1].said
    assert "set max_queued_messages 0" in found[1].said


def test_the_simulator_comes_in_by_the_password_in_a_file(stack: StackBroker) -> None:
    url = broker_of(f"mqtt://simulator@127.0.0.1:{stack.inner}", stack.secrets / "simulator_password")
    with stack.ingest() as ingest:
        ingest.subscribe("femtoward/v1/demo/+/data")
        report = simulate(sim_options(broker=url, patients=2, seconds=1.0), threading.Event(), lambda _: None)
        ingest.caught_up()
    assert report.packets_acknowledged == report.packets_published > 0
    assert len({topic for topic, _ in ingest.messages}) == 2


def test_the_health_check_of_the_container_asks_by_its_own_login(stack: StackBroker) -> None:
    program = which("mosquitto_sub")
    if program is None:
        pytest.skip("mosquitto_sub is not installed: install Debian's package mosquitto-clients to run this test")
    asked = [program, "-p", str(stack.inner), "-t", "$SYS/broker/version", "-C", "1", "-W", "4"]
    done = subprocess.run(
        asked, env={**os.environ, "XDG_CONFIG_HOME": str(stack.secrets)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout[:9]) == (0, "mosquitto"), done.stderr


def certify(certificate: Path, key: Path) -> None:
    """Write a certificate for this host over what is there, trusted by whoever holds it."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    named = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *named], check=True, capture_output=True)


def test_devices_come_in_by_tls_and_only_so_and_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    if which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificate for this test")
    stack = StackBroker(tmp_path / "stack", devices="devices-tls.conf")
    certificate, key, before = stack.secrets / "tls_certificate", stack.secrets / "tls_key", tmp_path / "before"
    certify(certificate, key)
    password = stack.add("opm-1")["opm-1"]
    stack.start()
    with stack:
        with Client(stack.outer, "opm-1", password, authority=certificate) as device:
            assert device.publish(OWN) in SUCCESS
        with Client(stack.outer, "opm-1", "wrong", authority=certificate) as stranger:
            assert str(stranger.greeted) == REFUSED
        with Client(stack.outer, "opm-1", password) as clear:
            assert clear.greeted is None
        before.write_bytes(certificate.read_bytes())
        certify(certificate, key)
        stack.reload()
        with Client(stack.outer, "opm-1", password, authority=certificate) as device:
            assert device.publish(OWN) in SUCCESS
        old = ssl.create_default_context(cafile=before)
        with socket.create_connection(("127.0.0.1", stack.outer)) as line, pytest.raises(ssl.SSLCertVerificationError):
            old.wrap_socket(line, server_hostname="localhost")


def test_secrets_are_made_once_and_stay(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    assert make_secrets(secrets).returncode == 0
    made = {file.name: file.read_text() for file in secrets.iterdir()}
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert all(len(text) >= 32 for text in made.values())
    assert len(set(made.values())) == len(made)
    again = make_secrets(secrets)
    assert (again.returncode, again.stdout) == (0, "")
    assert {file.name: file.read_text() for file in secrets.iterdir()} == made
    assert make_secrets(secrets, "opm-1").stdout.startswith("opm-1 ")
    for name, said in (
        ("opm-1", "opm-1 has a login"),
        ("ward", "it would give commands"),
        ("gateway", "is no name for a login"),
        ("a/b", "is no name for a login"),
        ("+", "is no name for a login"),
        ("", "is no name for a login"),
        ("-x", "is no name for a login"),
        ("x" * 65, "is no name for a login"),
    ):
        refused = make_secrets(secrets, name)
        assert refused.returncode == 2, name
        assert said in refused.stderr


def test_the_queue_that_the_doctor_tries_is_beyond_what_mosquitto_keeps_by_itself() -> None:
    assert QUEUED > 1000
    assert "max_queued_messages 0\n" in (DEPLOY / "mosquitto" / "mosquitto.conf").read_text()
