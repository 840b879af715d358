"""`femtoward provision` against a Grafana that keeps what it is given: made once, kept so, and what is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commandline import Outcome, Run, command_line, refused
from grafana_stub import Answer, Call, GrafanaStub
from influx2_stub import ORG, Influx2Stub
from influx_server import InfluxServer

from deploy.grafana import rules
from deploy.grafana.files import BOARDS

TOKEN = "glsa_that-must-not-be-seen"  # noqa: S105 - of no server
INFLUX_TOKEN = "influx-that-must-not-be-seen"  # noqa: S105 - of no server
CONTACT = "ops@clinic.example"
WHATS = {"folder", "data source", "dashboard", "contact point", "alert rule"}
Provision = Callable[..., Outcome]


@pytest.fixture(name="stub", params=[False, True], ids=["keeps-as-given", "migrates"])
def _stub(request: pytest.FixtureRequest) -> Iterator[GrafanaStub]:
    with GrafanaStub(TOKEN, migrates=request.param) as stub:
        yield stub


@pytest.fixture(name="one")
def _one() -> Iterator[GrafanaStub]:
    with GrafanaStub(TOKEN) as stub:
        yield stub


@pytest.fixture(name="run")
def _run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_line(monkeypatch, capsys)


@pytest.fixture(name="influx2")
def _influx2() -> Iterator[Influx2Stub]:
    with Influx2Stub(INFLUX_TOKEN) as stub:
        yield stub


@pytest.fixture(name="provision")
def _provision(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, influx2: Influx2Stub) -> Provision:
    """Run the command with settings for a Grafana."""
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    monkeypatch.setenv("INFLUX_TOKEN", INFLUX_TOKEN)

    def provision(
        url: str,
        *arguments: str,
        grafana: str = f'contact = "{CONTACT}"',
        knows: str = 'secret_env = "GRAFANA_TOKEN"',
    ) -> Outcome:
        config = tmp_path / "femtoward.toml"
        config.write_text(
            f'[influx]\nurl = "{influx2.url}"\norg = "{ORG}"\nsecret_env = "INFLUX_TOKEN"\n'
            f'[grafana]\nurl = "{url}"\n{knows}\n{grafana}\n'
        )
        outcome = run("provision", "--config", config, *arguments)
        assert TOKEN not in outcome.out + outcome.err
        assert INFLUX_TOKEN not in outcome.out + outcome.err
        return outcome

    return provision


def steps(outcome: Outcome) -> dict[tuple[str, str], str]:
    """What is to be done of Grafana's part, by what and name."""
    listed = outcome.json["steps"]
    return {(step["what"], step["name"]): step["action"] for step in listed if step["what"] in WHATS}


def test_everything_is_made_by_the_calls_of_the_documentation(one: GrafanaStub, provision: Provision) -> None:
    outcome = provision(one.url, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    assert set(steps(outcome).values()) == {"create"}
    assert [(call.method, call.path) for call in one.writes] == [
        ("POST", "/folders"),
        ("POST", "/datasources"),
        *[("POST", "/dashboards/db")] * len(BOARDS),
        ("POST", "/v1/provisioning/contact-points"),
        *[("POST", "/v1/provisioning/alert-rules")] * len(rules.rules()),
    ]
    assert sorted(one.boards) == [f"femtoward-{name}" for name in ("alarms", "devices", "patient", "pipeline", "ward")]
    assert {board["meta"]["folderUid"] for board in one.boards.values()} == {"femtoward"}
    assert {rule["notification_settings"]["receiver"] for rule in one.rules.values()} == {"femtoward"}
    assert one.contacts["femtoward-contact"]["settings"] == {"addresses": CONTACT}


def test_a_second_run_changes_nothing(stub: GrafanaStub, provision: Provision) -> None:
    first = provision(stub.url, "--json")
    assert first.status == 0, first.err
    made = len(stub.writes)
    again = provision(stub.url, "--json")
    assert again.status == 0, again.err
    assert set(steps(again).values()) == {"same"}
    assert steps(again).keys() == steps(first).keys()
    assert len(stub.writes) == made


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(one: GrafanaStub, provision: Provision) -> None:
    outcome = provision(one.url, "--dry-run")
    assert outcome.status == 0, outcome.err
    assert "create  dashboard femtoward-ward" in outcome.out.splitlines()
    assert one.writes == []
    assert provision(one.url, "--dry-run", "--json").json["dry_run"] is True


def test_what_someone_changed_is_said_and_put_right(
    stub: GrafanaStub, provision: Provision, influx2: Influx2Stub
) -> None:
    provision(stub.url)
    stub.boards["femtoward-ward"]["dashboard"]["title"] = "Ours"
    stub.boards["femtoward-ward"]["dashboard"]["version"] = 7
    stub.versions["femtoward-ward"].insert(0, {"version": 7, "message": "made it ours"})
    stub.folders["femtoward"]["title"] = "Theirs"
    stub.sources["femtoward-influx"]["url"] = "http://elsewhere.example"
    stub.contacts["femtoward-contact"]["settings"] = {"addresses": "nobody@clinic.example"}
    stub.rules["femtoward-lag"]["for"] = "1h"
    shown = provision(stub.url, "--dry-run")
    for said in (
        "change  dashboard femtoward-ward: title is 'Ours', not 'femtoward Ward'",
        "change  folder femtoward: title is 'Theirs', not 'femtoward'",
        f"change  data source femtoward: url is 'http://elsewhere.example', not '{influx2.url}'",
        "change  contact point femtoward: settings.addresses is 'nobody@clinic.example', not 'ops@clinic.example'",
        "change  alert rule femtoward-lag: for is '1h', not '2m'",
    ):
        assert said in shown.out
    made = len(stub.writes)
    assert provision(stub.url).status == 0
    assert [(call.method, call.path) for call in stub.writes[made:]] == [
        ("PUT", "/folders/femtoward"),
        ("PUT", "/datasources/uid/femtoward-influx"),
        ("POST", "/dashboards/db"),
        ("PUT", "/v1/provisioning/contact-points/femtoward-contact"),
        ("PUT", "/v1/provisioning/alert-rules/femtoward-lag"),
    ]
    assert set(steps(provision(stub.url, "--json")).values()) == {"same"}


def test_a_dashboard_in_another_folder_is_moved_back(one: GrafanaStub, provision: Provision) -> None:
    provision(one.url)
    one.boards["femtoward-ward"]["meta"]["folderUid"] = ""
    assert "change  dashboard femtoward-ward: it lies in the folder ''" in provision(one.url).out
    assert one.boards["femtoward-ward"]["meta"]["folderUid"] == "femtoward"


def test_a_change_in_between_is_no_ones_loss(one: GrafanaStub, provision: Provision) -> None:
    provision(one.url)
    one.boards["femtoward-ward"]["dashboard"]["title"] = "Ours"
    one.versions["femtoward-ward"].insert(0, {"version": 1, "message": "made it ours"})

    def meanwhile(call: Call) -> Answer | None:
        if call.path == "/dashboards/db":
            one.boards["femtoward-ward"]["dashboard"]["version"] += 1
        return None

    one.before = meanwhile
    outcome = provision(one.url)
    assert outcome.status == 1
    assert outcome.err.startswith("wrong: /dashboards/db was made or changed by someone else meanwhile (412, ")
    assert "run `femtoward provision --dry-run`" in outcome.err
    assert one.boards["femtoward-ward"]["dashboard"]["title"] == "Ours"


def test_grafana_keeps_the_secrets_and_gets_them_again_on_demand(one: GrafanaStub, provision: Provision) -> None:
    provision(one.url)
    assert one.secrets["femtoward-influx"] == {"httpHeaderValue1": f"Token {INFLUX_TOKEN}"}
    assert INFLUX_TOKEN not in json.dumps(one.sources)
    one.secrets["femtoward-influx"]["httpHeaderValue1"] = "an old one"
    assert set(steps(provision(one.url, "--json")).values()) == {"same"}
    assert "its secrets are written again" in provision(one.url, "--secrets").out
    assert one.secrets["femtoward-influx"] == {"httpHeaderValue1": f"Token {INFLUX_TOKEN}"}
    one.secrets["femtoward-influx"] = {}
    assert "httpHeaderValue1 is missing" in provision(one.url).out


@pytest.mark.servers
def test_both_servers_are_made_ready_once_and_an_influxdb_1_is_asked_with_user_and_password(
    one: GrafanaStub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    monkeypatch.setenv("INFLUX_PASSWORD", INFLUX_TOKEN)
    (tmp_path / "influx").mkdir()
    config = tmp_path / "femtoward.toml"
    with InfluxServer(tmp_path / "influx") as server:
        config.write_text(
            f'[influx]\nurl = "{server.url}"\napi = "v1"\nuser = "reader"\nbucket = "wards"\n'
            f'secret_env = "INFLUX_PASSWORD"\n[grafana]\nurl = "{one.url}"\nsecret_env = "GRAFANA_TOKEN"\n'
            'influx_url = "http://db:8086"\n'
        )
        first = run("provision", "--config", config, "--json")
        assert first.status == 0, first.err
        assert {step["what"] for step in first.json["steps"]} > {"database", "retention policy", "dashboard"}
        again = run("provision", "--config", config, "--json")
        assert {step["action"] for step in again.json["steps"]} == {"same"}
    source = one.sources["femtoward-influx"]
    assert (source["user"], source["url"]) == ("reader", "http://db:8086")
    assert source["jsonData"] == {"dbName": "wards", "version": "InfluxQL", "httpMode": "POST", "timeInterval": "1s"}
    assert one.secrets["femtoward-influx"] == {"password": INFLUX_TOKEN}


def test_without_a_contact_rules_go_the_way_that_grafana_has(one: GrafanaStub, provision: Provision) -> None:
    provision(one.url, grafana="")
    assert one.contacts == {}
    assert all("notification_settings" not in rule for rule in one.rules.values())


def test_a_contact_that_the_settings_no_longer_name_is_taken_out_of_the_rules(
    stub: GrafanaStub, provision: Provision
) -> None:
    provision(stub.url)
    stub.rules["femtoward-room"]["notification_settings"] = {"receiver": "their own"}
    outcome = provision(stub.url, grafana="")
    assert (
        "change  alert rule femtoward-lag: it tells the contact point femtoward, and the settings name no"
        in outcome.out
    )
    assert "notification_settings" not in stub.rules["femtoward-lag"]
    assert stub.rules["femtoward-room"]["notification_settings"] == {"receiver": "their own"}
    assert set(steps(provision(stub.url, "--json", grafana="")).values()) == {"same"}


def test_a_webhook_can_be_told(one: GrafanaStub, provision: Provision) -> None:
    provision(one.url, grafana='contact = "https://clinic.example/hook"')
    contact = one.contacts["femtoward-contact"]
    assert (contact["type"], contact["settings"]) == ("webhook", {"url": "https://clinic.example/hook"})


def test_a_user_with_a_password_is_let_in_too(one: GrafanaStub, provision: Provision) -> None:
    assert provision(one.url, grafana='user = "admin"').status == 0
    assert one.boards


def test_a_wrong_token_is_said(provision: Provision) -> None:
    with GrafanaStub("another") as stub:
        refused(provision(stub.url), "does not know us (401)", "grafana.secret_env")
        assert [call.method for call in stub.calls] == ["GET"]


def test_a_grafana_that_is_away_is_said(provision: Provision) -> None:
    with GrafanaStub(TOKEN) as stub:
        url = stub.url
    refused(provision(url), f"Grafana at {url} cannot be reached", "start it, or correct grafana.url")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(200, "<html>please log in</html>"), "no Grafana, or a login stands before it"),
        (Answer(302, "http://127.0.0.1:1/login"), "cannot be reached"),
        (Answer(403, {"message": "You'll need additional permissions"}), "needs the role Admin"),
        (Answer(500, {"message": "database is locked"}), "database is locked"),
        (Answer(502, "a message of the gateway"), "no Grafana, or a login stands before it"),
        (Answer(200, [1, 2]), "need an object"),
        (Answer(400, {"message": "bad request"}), "refuses /folders/femtoward with 400: 'bad request'"),
    ],
)
def test_what_is_no_grafana_or_refuses_is_said(
    one: GrafanaStub, provision: Provision, answer: Answer, said: str
) -> None:
    one.before = lambda _: answer
    refused(provision(one.url), said)


def test_what_a_file_of_grafana_holds_is_left_to_it_and_said(one: GrafanaStub, provision: Provision) -> None:
    provision(one.url)
    one.sources["femtoward-influx"].update(readOnly=True, url="http://elsewhere.example")
    one.boards["femtoward-ward"]["meta"]["provisioned"] = True
    one.boards["femtoward-ward"]["dashboard"]["title"] = "Older"
    one.versions["femtoward-ward"].clear()
    one.rules["femtoward-lag"].update(provenance="file", folderUID="another")
    one.rules["femtoward-room"].update({"provenance": "file", "for": "1h"})
    one.contacts["femtoward-contact"].update(provenance="file", settings={"addresses": "night@clinic.example"})
    made = len(one.writes)
    outcome = provision(one.url)
    assert outcome.status == 0
    assert len(one.writes) == made
    left = "left to the provisioning file of Grafana that it comes from, which differs"
    assert f"same    data source femtoward: {left}: url is 'http://elsewhere.example'" in outcome.out
    assert f"same    dashboard femtoward-ward: {left}: title is 'Older'" in outcome.out
    assert f"same    contact point femtoward: {left}: settings.addresses is" in outcome.out
    assert f"same    alert rule femtoward-room: {left}: for is '1h', not '5m'" in outcome.out
    assert "same    alert rule femtoward-lag\n" in outcome.out


def test_settings_that_name_nothing_to_provision_are_refused(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "femtoward.toml"
    config.write_text("")
    refused(run("provision", "--config", config), "name no InfluxDB: add a section [influx]")


def test_dashboards_for_one_bucket_are_refused(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "femtoward.toml"
    config.write_text('[influx]\nurl = "http://h:1"\ntiers = "none"\n[grafana]\nurl = "http://h:2"\n')
    refused(run("provision", "--config", config), "where the dashboards would find nothing")


def test_a_grafana_without_a_secret_is_refused(provision: Provision) -> None:
    refused(provision("http://127.0.0.1:1", knows=""), "grafana: no secret is named: set grafana.secret_env")


def test_a_secret_that_is_not_there_is_said(provision: Provision) -> None:
    outcome = provision("http://127.0.0.1:1", knows='secret_env = "NOWHERE"')
    refused(outcome, "grafana: the environment variable NOWHERE")
