"""Whom Grafana asks InfluxDB as: one who may only read, made by `femtoward provision`; and what the doctor says."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from commandline import Outcome, command_line, refused
from grafana_stub import GrafanaStub
from influx2_stub import ORG, ORG_ID, Influx2Stub
from influx_server import InfluxServer

from dataflows.couriers.policies import POLICIES
from deploy import receivers
from deploy.problem import UserError
from deploy.settings import Grafana, Influx, parse_settings

TOKEN = "glsa_that-must-not-be-seen"  # noqa: S105 - of no server
COURIERS = "couriers-that-must-not-be-seen"
Provision = Callable[..., Outcome]


@pytest.fixture(name="grafana")
def _grafana() -> Iterator[GrafanaStub]:
    with GrafanaStub(TOKEN) as stub:
        yield stub


@pytest.fixture(name="influx2")
def _influx2() -> Iterator[Influx2Stub]:
    with Influx2Stub(COURIERS) as stub:
        yield stub


@pytest.fixture(name="provision")
def _provision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], grafana: GrafanaStub
) -> Provision:
    """Run the command with settings for an InfluxDB, and whom Grafana asks it as."""
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    monkeypatch.setenv("INFLUX_SECRET", COURIERS)
    run = command_line(monkeypatch, capsys)

    def provision(influx: str, *arguments: str, reads: str) -> Outcome:
        config = tmp_path / "femtoward.toml"
        config.write_text(
            f'[influx]\n{influx}\nsecret_env = "INFLUX_SECRET"\n'
            f'[grafana]\nurl = "{grafana.url}"\nsecret_env = "GRAFANA_TOKEN"\n{reads}\n'
        )
        outcome = run("provision", "--config", config, *arguments)
        for secret in (TOKEN, COURIERS):
            assert secret not in outcome.out + outcome.err
        return outcome

    return provision


def of(stub: Influx2Stub) -> str:
    return f'url = "{stub.url}"\norg = "{ORG}"'


def test_an_authorisation_that_may_only_read_the_buckets_is_made_and_its_token_kept(
    grafana: GrafanaStub, influx2: Influx2Stub, provision: Provision, tmp_path: Path
) -> None:
    reads = 'influx_secret_file = "reader"'
    file = tmp_path / "reader"
    shown = provision(of(influx2), "--dry-run", reads=reads)
    assert "create  authorisation femtoward: Grafana reads: may read femtoward/...; its token goes into" in shown.out
    assert not file.exists()
    assert influx2.authorizations == []
    assert provision(of(influx2), reads=reads).status == 0
    [made] = influx2.authorizations
    ids = {bucket["name"]: bucket["id"] for bucket in influx2.buckets}
    assert made["permissions"] == [
        {"action": "read", "resource": {"type": "buckets", "id": ids[f"femtoward/{policy.name}"], "orgID": ORG_ID}}
        for policy in POLICIES
    ]
    assert file.read_text() == "made-here-1\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert grafana.secrets["femtoward-influx"] == {"httpHeaderValue1": "Token made-here-1"}
    again = provision(of(influx2), "--json", reads=reads)
    assert {step["action"] for step in again.json["steps"]} == {"same"}
    assert len(influx2.authorizations) == 1


def test_a_grafana_that_had_the_couriers_token_gets_the_new_one_and_a_lost_one_is_made_again(
    grafana: GrafanaStub, influx2: Influx2Stub, provision: Provision, tmp_path: Path
) -> None:
    provision(of(influx2), reads="")
    assert grafana.secrets["femtoward-influx"] == {"httpHeaderValue1": f"Token {COURIERS}"}
    reads = 'influx_secret_file = "reader"'
    assert "change  data source femtoward: its secrets are written again" in provision(of(influx2), reads=reads).out
    assert grafana.secrets["femtoward-influx"] == {"httpHeaderValue1": "Token made-here-1"}
    (tmp_path / "reader").unlink()
    assert provision(of(influx2), reads=reads).status == 0
    assert grafana.secrets["femtoward-influx"] == {"httpHeaderValue1": "Token made-here-2"}


def test_a_token_that_could_not_be_kept_is_not_made(influx2: Influx2Stub, provision: Provision, tmp_path: Path) -> None:
    refused(provision(of(influx2), reads='influx_secret_file = "nowhere/reader"'), "nowhere/reader cannot be made")
    assert influx2.authorizations == []
    provision(of(influx2), reads="")
    influx2.forbidden = "POST"
    refused(provision(of(influx2), reads='influx_secret_file = "reader"'), "InfluxDB answers 403")
    assert not (tmp_path / "reader").exists()


def test_a_token_of_a_file_or_a_variable_that_is_there_is_taken(
    grafana: GrafanaStub, influx2: Influx2Stub, provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READER", "may-only-read")
    assert provision(of(influx2), reads='influx_secret_env = "READER"').status == 0
    assert grafana.secrets["femtoward-influx"] == {"httpHeaderValue1": "Token may-only-read"}
    assert influx2.authorizations == []


def test_where_no_token_can_be_made_it_is_asked_for(influx2: Influx2Stub, provision: Provision) -> None:
    influx2.version = "v3.0.1"
    influx = f'{of(influx2)}\ntiers = "courier"'
    outcome = provision(influx, "--dry-run", reads='influx_secret_file = "reader"')
    assert outcome.status != 0


@pytest.mark.servers
def test_a_user_of_influxdb_1_is_made_that_may_read_and_nothing_else(
    grafana: GrafanaStub, provision: Provision, tmp_path: Path
) -> None:
    (tmp_path / "influx").mkdir()
    reads = 'influx_user = "grafana"\ninflux_secret_file = "reader"'
    with InfluxServer(tmp_path / "influx", admin=COURIERS) as server:
        server.query(f"CREATE USER root WITH PASSWORD '{COURIERS}' WITH ALL PRIVILEGES")
        influx = f'url = "{server.url}"\napi = "v1"\nuser = "root"'
        assert "create  user grafana: its password goes into" in provision(influx, "--dry-run", reads=reads).out
        first = provision(influx, reads=reads)
        assert first.status == 0, first.err
        password = (tmp_path / "reader").read_text().strip()
        assert grafana.sources["femtoward-influx"]["user"] == "grafana"
        assert grafana.secrets["femtoward-influx"] == {"password": password}
        again = provision(influx, "--json", reads=reads)
        assert {step["action"] for step in again.json["steps"]} == {"same"}
        assert said(server, password, 'SELECT * FROM "forever"."alarm"') == (200, "")
        for statement in ('DROP MEASUREMENT "alarm"', "DROP DATABASE femtoward", "CREATE USER x WITH PASSWORD 'y'"):
            assert (
                "not authorized" in said(server, password, statement)[1]
                or "requires" in said(server, password, statement)[1]
            )
        identity = urllib3.make_headers(basic_auth=f"grafana:{password}")
        url = f"{server.url}/write?db=femtoward"
        assert urllib3.request("POST", url, body=b"x y=1", headers=identity, retries=False).status == 403
        server.query('GRANT ALL ON "femtoward" TO "grafana"')
        assert "change  right to read grafana on femtoward: it has ALL PRIVILEGES" in provision(influx, reads=reads).out
        (tmp_path / "reader").unlink()
        assert "change  user grafana: its password goes into" in provision(influx, reads=reads).out
        assert said(server, (tmp_path / "reader").read_text().strip(), "SELECT * FROM x") == (200, "")
        server.query('GRANT ALL PRIVILEGES TO "grafana"')
        refused(provision(influx, reads=reads), "is an administrator of InfluxDB")
        for user in ("", 'influx_user = "root"\n'):
            refused(provision(influx, reads=f'{user}influx_secret_file = "other"'), "other than influx.user")


def said(server: InfluxServer, password: str, statement: str) -> tuple[int, str]:
    """What InfluxDB answers to the reader."""
    identity = urllib3.make_headers(basic_auth=f"grafana:{password}")
    fields = {"q": statement, "db": "femtoward"}
    answer = urllib3.request("POST", f"{server.url}/query", fields=fields, headers=identity, retries=False)
    document = json.loads(answer.data)
    return answer.status, document.get("error") or document["results"][0].get("error", "")


def test_the_doctor_warns_where_grafana_asks_with_the_couriers_secret(tmp_path: Path) -> None:
    couriers, other = tmp_path / "couriers", tmp_path / "other"
    couriers.write_text("abc\n")
    influx = Influx(url="http://h:1", secret_file=str(couriers))
    own = Grafana(url="http://h:2")
    assert receivers.grafana_asks(own, influx).verdict == "warning"
    assert "write and delete" in receivers.grafana_asks(own, influx).said
    assert receivers.grafana_asks(own, Influx(url="http://h:1")).verdict == "ok"
    apart = Grafana(url="http://h:2", influx_secret_file=str(other))
    assert "run `femtoward provision" in receivers.grafana_asks(apart, influx).said
    other.write_text("abc\n")
    assert receivers.grafana_asks(apart, influx).verdict == "warning"
    other.write_text("only-reads\n")
    assert receivers.grafana_asks(apart, influx).verdict == "ok"
    assert "only-reads" not in receivers.grafana_asks(apart, influx).said
    other.write_text("")
    assert receivers.grafana_asks(apart, influx).verdict == "problem"


def test_a_user_without_a_secret_is_refused() -> None:
    with pytest.raises(UserError, match="influx_user = 'grafana' has no secret"):
        parse_settings('[grafana]\nurl = "http://h:1"\ninflux_user = "grafana"\n')
