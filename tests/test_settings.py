"""Settings: what is wrong is refused, with its place, what came, and what is allowed."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from deploy.problem import UserError
from deploy.settings import Settings, parse_settings, read_settings
from deploy.wiring import broker_url, courier_options, flow_options, ingest_options

WEBHOOK = '[[webhook]]\nname = "nurse"\nurl = "https://example.org/a"\n'
EXAMPLE = Path(__file__).parents[1] / "deploy" / "femtoward.example.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ward]\nshard = 3", "ward.shard is unknown: did you mean 'shards'?"),
        ("[wrad]\nshards = 3", "wrad is unknown: did you mean 'ward'?"),
        ("[log]\nzzz = 3", "log.zzz is unknown: known here: format, level"),
        ("[ward]\nshards = 0", "ward.shards = 0: expected `int` >= 1"),
        ('[ward]\nshards = "4"', "ward.shards = '4': expected `int`, got `str`"),
        ("[ward]\nsnapshot_s = nan", "ward.snapshot_s = nan: expected `float` > 0.0"),
        ("[journal]\nretain_gb = inf", "journal.retain_gb = inf: expected `float` <= 1000000.0"),
        ('[log]\nformat = "xml"', "log.format = 'xml': need one of plain, json"),
        ('[broker]\nurl = "http://x"', "'http://x' is no address that can be used here: need mqtt://HOST:PORT"),
        ('[broker]\nurl = "mqtt://x:99999"', "need mqtt://HOST:PORT or mqtts://HOST:PORT with a port of 1 to 65535"),
        ('[broker]\nurl = "mqtt://me:pw@x"', "use user, and secret_env or secret_file"),
        ('[broker]\npassword = "x"', "broker.password is unknown: secrets do not belong in this file"),
        ('[influx]\nurl = "http://x"\ntoken = "x"', "influx.token is unknown: secrets do not belong in this file"),
        ("[influx]", "missing required field `url`"),
        ("influx = 3", "influx = 3: need a section: [influx]"),
        ('[webhook]\nname = "a"', "webhook is a single section, need a list of them: write [[webhook]]"),
        (WEBHOOK + 'priority = ["a"]', "webhook[0].priority is unknown: did you mean 'priorities'?"),
        (WEBHOOK + 'priorities = ["hihg"]', "webhook[0].priorities[0] = 'hihg': need one of high, medium, low"),
        (WEBHOOK + WEBHOOK, "webhook names ['nurse', 'nurse'] are not all different"),
        ("[ward", "ward.toml is not TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_what_came_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse_settings(text, "ward.toml")
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("ward.toml")
    assert "\n" not in str(refusal.value)


def test_nothing_said_gives_the_defaults(tmp_path: Path) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    assert read_settings(None) == Settings()
    assert parse_settings("") == Settings()
    assert Settings().broker.url == "mqtt://127.0.0.1:1883"


def test_the_example_says_the_defaults_and_its_comments_are_settings_too() -> None:
    text = EXAMPLE.read_text()
    assert parse_settings(text) == Settings()
    uncommented = "\n".join(
        line.removeprefix("# ") if "=" in line or "# [" in line else line for line in text.splitlines()
    )
    settings = parse_settings(uncommented[uncommented.index("[ward]") :])
    assert settings.influx is not None
    assert settings.webhook[0].name == "nurse-station"
    assert set(tomllib.loads(text)["ward"]) == set(msgspec.structs.asdict(Settings().ward))


def test_file_names_are_meant_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    file.write_text('[ward]\ndata_dir = "data"\n[broker]\nsecret_file = "password"\nca_file = "/etc/ca.pem"\n')
    settings = read_settings(file)
    assert settings.data_dir == tmp_path / "data"
    assert settings.broker.secret_file == str(tmp_path / "password")
    assert settings.broker.ca_file == "/etc/ca.pem"


def test_a_settings_file_that_is_not_there_or_not_text_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no settings file at"):
        read_settings(tmp_path / "none.toml")
    odd = tmp_path / "odd.toml"
    odd.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot be read"):
        read_settings(odd)
    with pytest.raises(UserError, match="cannot be read"):
        read_settings(tmp_path)


def test_settings_reach_every_process() -> None:
    text = (
        '[ward]\ndata_dir = "/data"\nsites = ["east"]\nshards = 3\nsnapshot_s = 1.5\n'
        '[broker]\nurl = "mqtts://b"\nclient_id = "c"\nprotocol = "3.1.1"\n'
        "[journal]\nretain_gb = 2.0\nretain_hours = 1.0\n"
        '[influx]\nurl = "http://i:8086"\napi = "v1"\nbucket = "db"\n'
        + WEBHOOK
        + 'priorities = ["high"]\nallow_local = true\n'
    )
    settings = parse_settings(text)
    ingest, flow, couriers = ingest_options(settings), flow_options(settings), courier_options(settings)
    assert (ingest.folder, ingest.sites, ingest.client_id, ingest.protocol) == ("/data/main", ("east",), "c", "3.1.1")
    assert (ingest.retain_bytes, ingest.retain_hours) == (2 * 10**9, 1.0)
    assert (flow.data_dir, flow.shards, flow.snapshot_s) == ("/data", 3, 1.5)
    assert str(flow.store("main")) == couriers.store
    assert couriers.influx is not None
    assert (couriers.influx.api, couriers.influx.bucket) == ("v1", "db")
    assert (couriers.webhooks[0].name, couriers.webhooks[0].priorities, couriers.webhooks[0].allow_local) == (
        "nurse",
        ("high",),
        True,
    )


def test_the_password_of_the_broker_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARD_PASSWORD", "p@ss/word")
    settings = parse_settings('[broker]\nurl = "mqtt://b:1884"\nuser = "ward"\nsecret_env = "WARD_PASSWORD"\n')
    assert broker_url(settings) == "mqtt://ward:p%40ss%2Fword@b:1884"
    monkeypatch.delenv("WARD_PASSWORD")
    with pytest.raises(UserError, match="WARD_PASSWORD is not set"):
        broker_url(settings)
    secret = tmp_path / "secret"
    secret.write_text("other\n")
    named = parse_settings(f'[broker]\nurl = "mqtt://b"\nuser = "ward"\nsecret_file = "{secret}"\n')
    assert broker_url(named) == "mqtt://ward:other@b"


def test_couriers_without_anyone_to_carry_to_are_refused() -> None:
    with pytest.raises(UserError, match=r"add a section \[influx\] or \[\[webhook\]\]"):
        courier_options(Settings())
