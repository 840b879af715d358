"""The doctor: each thing that would keep a ward from running is said, with what to do about it."""

import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commandline import Run
from grafana_stub import GrafanaStub
from msgspec.structs import replace
from receiver import SECRET
from servers import free_port, mosquitto

from deploy import receivers
from deploy.grounds import grounds, ports
from deploy.health import serve
from deploy.settings import Broker, Grafana, parse_settings
from deploy.telling import Links, Webhook
from deploy.ward_round import ward_round
from ingest.beacon import Beacon

DAY_ONLY = '[people]\nshift = [{ team = "day", hours = "07:00-19:00" }]\n'
NO_HEALTH = "[health]\ningest = -1\nflow = -1\ncouriers = -1\nrun = -1\n"


@pytest.mark.parametrize(
    ("said", "verdict", "words"),
    [
        ("", None, ""),
        ('[[webhook]]\nname = "a"\nurl = "https://h/"\nrung = 1', "problem", "no webhook of rung 0"),
        ('[[webhook]]\nname = "a"\nurl = "https://h/"\nquiet = "22:00-07:00"', "ok", "at any time, of 1"),
        (
            f'{DAY_ONLY}[[webhook]]\nname = "a"\nurl = "https://h/"\nteam = "day"',
            "problem",
            "nobody of rung 0 is on duty at Mon 00:00: give",
        ),
    ],
)
def test_a_time_at_which_nobody_is_told_is_found(said: str, verdict: str | None, words: str) -> None:
    found = receivers.on_duty(parse_settings(said), datetime(2026, 3, 2, tzinfo=UTC))
    assert (found.verdict if found else None) == verdict
    assert words in (found.said if found else "")


def test_links_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKS", SECRET)
    there = Links(url="https://ward.example/", secret_env="LINKS")  # noqa: S106 - its name
    assert receivers.links(there).verdict == "ok"
    assert receivers.links(replace(there, url="http://localhost/")).verdict == "warning"
    assert receivers.links(Links(url=there.url)).verdict == "problem"


def test_the_doctor_says_what_to_do_about_each_problem(femtoward: Run, tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    file.write_text(f'{NO_HEALTH}[broker]\nurl = "mqtt://127.0.0.1:1"\n[influx]\nurl = "http://127.0.0.1:1"\n')
    outcome = femtoward("doctor", "--config", file, "--json")
    assert outcome.status == 1
    checks = {line["name"]: line for line in outcome.json["checks"]}
    assert checks["python"]["verdict"] == "ok"
    assert checks["data folder"]["verdict"] == "ok"
    assert checks["snapshots"]["said"].startswith("none yet at")
    assert checks["broker"]["verdict"] == checks["influx"]["verdict"] == "problem"
    assert "start a broker there, or correct broker.url" in checks["broker"]["said"]
    lines = femtoward("doctor", "--config", file).out.splitlines()
    assert all(line.split()[0] in {"ok", "warning", "problem"} for line in lines)


def looked_at(settings: str, folder: Path) -> dict[str, tuple[str, str]]:
    """Verdict and words by what was looked at."""
    text = f'[ward]\ndata_dir = "{folder}"\n{settings}'
    return {finding.name: (finding.verdict, finding.said) for finding in grounds(parse_settings(text))}


def test_the_doctor_holds_the_room_that_is_left_against_the_limits(tmp_path: Path) -> None:
    assert looked_at("[journal]\nretain_gb = 0.001\n[disk]\nshort_gb = 0.1\nstop_mb = 8\n", tmp_path)["room"][0] == "ok"
    main = tmp_path / "main"
    main.mkdir()
    (main / "big").write_bytes(bytes(3_000_000))
    quota = "[disk]\nshort_gb = 0.009\nstop_mb = 2\nquota_gb = 0.01\n"
    verdict, said = looked_at(quota, tmp_path)["room"]
    assert verdict == "warning"
    assert said.startswith(f"0.0 GB are left for {main}, things are removed below 0.009 GB")
    (main / "bigger").write_bytes(bytes(6_000_000))
    verdict, said = looked_at(quota, tmp_path)["room"]
    assert verdict == "problem"
    assert "nothing is taken in below 2 MB: make room" in said
    verdict, said = looked_at("[journal]\nretain_gb = 16\n[disk]\nquota_gb = 10\n", tmp_path)["room"]
    assert verdict == "warning"
    assert "the journal may take 16 GB of 10 GB" in said


def test_the_doctor_says_which_health_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        verdict, said = looked_at(NO_HEALTH.replace("flow = -1", f"flow = {port}"), tmp_path)["health ports"]
    assert verdict == "problem"
    assert said.startswith(f"the health port 127.0.0.1:{port} of flow cannot be opened")
    assert looked_at(NO_HEALTH, tmp_path)["health ports"] == ("ok", "127.0.0.1: none is fixed")


def test_the_doctor_asks_every_part_of_a_ward_that_runs() -> None:
    flow, other = Beacon(), Beacon()
    other.ready()

    def found(text: str) -> dict[str, tuple[str, str]]:
        settings = parse_settings(text)
        return {one.name: (one.verdict, one.said) for one in [ports(settings), *ward_round(settings)]}

    assert found(NO_HEALTH)["parts"] == ("ok", "none has a fixed health port")
    with serve("flow", 0, "127.0.0.1", flow) as first, serve("ingest", 0, "127.0.0.1", other) as second:
        text = NO_HEALTH.replace("flow = -1", f"flow = {first}").replace("ingest = -1", f"ingest = {second}")
        assert found(text) == {
            "health ports": ("ok", "127.0.0.1: a ward runs here and has 2 of them"),
            "part ingest": ("ok", "data flow through it"),
            "part flow": ("problem", "no data flow through it: starting"),
        }
        third = NO_HEALTH.replace("flow = -1", f"flow = {first}").replace("ingest = -1", f"ingest = {free_port()}")
        assert found(third)["part ingest"][1].startswith("nobody answers at 127.0.0.1:")
    assert found(text)["parts"] == ("ok", "no ward runs here now")


def test_the_doctor_says_when_snapshots_are_of_other_settings(tmp_path: Path) -> None:
    (tmp_path / "recovery").mkdir()
    made = {"format": 2, "partitions": ["main"], "shards": 3, "homes": [0], "parts": 1}
    (tmp_path / "recovery" / "made-for.json").write_text(json.dumps(made))
    verdict, said = looked_at("shards = 4\n" + NO_HEALTH, tmp_path)["snapshots"]
    assert verdict == "problem"
    assert "shards = 3" in said
    verdict, said = looked_at("shards = 3\n" + NO_HEALTH, tmp_path)["snapshots"]
    assert (verdict, said) == ("ok", f"{tmp_path}/recovery fits 3 shards and main")


def test_the_doctor_reads_every_secret(femtoward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING", SECRET)
    monkeypatch.setenv("MALFORMED", "hunter2")
    webhooks = "".join(
        f'[[webhook]]\nname = "{name}"\nurl = "http://127.0.0.1:1/"\nallow_local = true\nsecret_{how} = "{where}"\n'
        for name, how, where in (("unset", "env", "NOWHERE"), ("odd", "env", "MALFORMED"), ("good", "env", "SIGNING"))
    )
    file = tmp_path / "ward.toml"
    file.write_text(
        '[broker]\nurl = "mqtt://127.0.0.1:1"\nuser = "ward"\nsecret_file = "password"\n'
        f'[influx]\nurl = "http://127.0.0.1:1"\nsecret_env = "NOWHERE"\n{webhooks}'
    )
    outcome = femtoward("doctor", "--config", file, "--json")
    checks = {line["name"]: (line["verdict"], line["said"]) for line in outcome.json["checks"]}
    assert outcome.status == 1
    assert "hunter2" not in outcome.out
    assert {name: verdict for name, (verdict, _) in checks.items() if name.split()[0] in {"influx", "webhook"}} == {
        "influx secret": "problem",
        "influx": "problem",
        "webhook unset": "problem",
        "webhook odd": "problem",
        "webhook good": "warning",
    }
    assert checks["broker secret"][0] == "problem"
    assert "the environment variable NOWHERE is not set" in checks["webhook unset"][1]
    assert "127.0.0.1:1 accepts no connection" in checks["webhook good"][1]
    assert "alarms wait until it does" in checks["webhook good"][1]


def test_the_doctor_tells_receivers_on_this_machine_from_those_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        there = Webhook(name="nurse", url=url, secret_env="SIGNING", allow_local=True)  # noqa: S106 - a variable's name
        assert receivers.webhook(there).verdict == "ok"
        elsewhere = receivers.webhook(replace(there, allow_local=False))
        assert elsewhere.verdict == "problem"
        assert "set allow_local = true" in elsewhere.said
        # A name that leads here is known by where it leads.
        monkeypatch.setattr("dataflows.couriers.post._is_local", lambda _: False)
        assert receivers.webhook(replace(there, allow_local=False)).verdict == "problem"


def test_a_secret_for_nobody_is_said() -> None:
    assert receivers.broker_secret(Broker()) is None
    nobody = receivers.broker_secret(Broker(secret_file="f"))  # noqa: S106 - a file's name
    assert nobody
    assert nobody.verdict == "warning"


@pytest.mark.servers
def test_the_doctor_sends_a_message_there_and_back(femtoward: Run, tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    with mosquitto(tmp_path / "broker") as broker:
        file.write_text(f'{NO_HEALTH}[broker]\nurl = "{broker.url}"\n')
        outcome = femtoward("doctor", "--config", file)
    assert outcome.status == 0, outcome.out
    assert "a message went there and back" in outcome.out


def test_the_doctor_asks_whether_grafana_is_there(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("glsa_1\n")
    with GrafanaStub("glsa_1") as stub:
        here = Grafana(url=stub.url, secret_file=str(tmp_path / "token"))
        assert receivers.grafana(here)[0] == "ok"
        assert "glsa_1" not in receivers.grafana(here).said
        assert receivers.grafana(replace(here, url=f"{stub.url}/elsewhere"))[0] == "warning"
    verdict, said = receivers.grafana(replace(here, url="http://127.0.0.1:1"))
    assert verdict == "warning"
    assert "cannot be reached" in said
    assert receivers.grafana(replace(here, secret_file=""))[0] == "problem"
    assert receivers.grafana(replace(here, secret_file=str(tmp_path / "none")))[0] == "problem"
