"""Settings: what is wrong is refused, with its place, what came, and what is allowed."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from deploy.parts import everyone, one_of
from deploy.problem import UserError
from deploy.run import programs
from deploy.settings import Settings, parse_settings, read_settings
from deploy.wiring import (
    broker_url,
    courier_options,
    door,
    flow_options,
    ingest_options,
    page_options,
    process_options,
    retain_from,
)

WEBHOOK = '[[webhook]]\nname = "nurse"\nurl = "https://example.org/a"\n'
EAST = '[[partition]]\nname = "east"\nsites = ["a1"]\n'
WEST = '[[partition]]\nname = "west"\nsites = ["a2"]\n'
EXAMPLE = Path(__file__).parents[1] / "deploy" / "femtoward.example.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ward]\nshard = 3", "ward.shard is unknown: did you mean 'shards'?"),
        ("[wrad]\nshards = 3", "wrad is unknown: did you mean 'ward'?"),
        ("[log]\nzzz = 3", "log.zzz is unknown: known here: format, level"),
        ("[ward]\nshards = -1", "ward.shards = -1: expected `int` >= 0"),
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
        ("[journal]\nfloor = 1", "journal.floor is unknown: did you mean 'floor_hours'?"),
        ("[store]\nvitals_days = 0", "store.vitals_days = 0: expected `float` > 0.0"),
        ("[disk]\nstop_mb = 600", "stop_mb = 600 is more than a quarter of short_gb = 2"),
        ("[disk]\nquota_gb = 1", "quota_gb = 1 must be more than short_gb = 2, or 0"),
        ("[health]\nflow = 70000", "health.flow = 70000: expected `int` <= 65535"),
        ("[health]\nflow = 9464", "health port 9464 is that of two processes"),
        ("[health]\nflow = 9474\n" + EAST + WEST, "health port 9474 is that of two processes: a further partition's"),
        ("[health]\nflow = 65530\n[flow]\nprocesses = 2", "health port 65540 is too high"),
        (
            '[flow]\naddresses = ["127.0.0.1:9465", "b:9475"]\n' + EAST,
            "health port 9465 is that of a flow process in the cluster, too: move one of them",
        ),
        ('[flow]\naddresses = ["here"]', "addresses: 'here' is no HOST:PORT"),
        ('[flow]\naddresses = ["a:1", "a:1"]', "are not all different"),
        ('[flow]\naddresses = ["a:1", "b:1"]\nprocess = 2', "reach beyond the 2 of the cluster"),
        (EAST.replace("east", "recovery"), "names that begin with 'recovery' are the flow's own"),
        (EAST + EAST, "partition names ['east', 'east'] are not all different"),
        (EAST + WEST.replace("a2", "a1"), "overlap: a site belongs to one partition"),
        (EAST + WEST.replace("a2", "+"), "overlap: a site belongs to one partition"),
        (EAST + "host = 1", "partition 'east' has host = 1, but the flow has 1 process(es)"),
        ('[ward]\nsites = ["a1"]\n' + EAST, "ward.sites and [[partition]] are both given"),
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
    assert [partition.name for partition in settings.partitions] == ["main"]
    written = tomllib.loads(text)
    for section in ("ward", "broker", "journal", "store", "disk", "health", "flow", "log"):
        assert set(written[section]) == set(msgspec.structs.asdict(getattr(Settings(), section)))


def test_file_names_are_meant_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    file.write_text('[ward]\ndata_dir = "data"\n[broker]\nsecret_file = "password"\nca_file = "/etc/ca.pem"\n')
    with file.open("a") as more:
        more.write('[grafana]\nurl = "http://h:3000"\nsecret_file = "token"\n')
    settings = read_settings(file)
    assert settings.grafana is not None
    assert settings.grafana.secret_file == str(tmp_path / "token")
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


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('url = "grafana:3000"', "no address that can be used here"),
        ('url = "http://h"\ninflux_url = "ftp://h"', "no address that can be used here"),
        ('url = "http://h"\ncontact = "the night shift"', "neither a mail address nor one of a webhook"),
        ('url = "http://h"\ncontact = "https://"', "no address that can be used here"),
        ('url = "http://h"\ntoken = "glsa_1"', "secrets do not belong in this file"),
    ],
)
def test_a_grafana_that_cannot_be_is_refused(said: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        parse_settings(f"[grafana]\n{said}\n")


def test_settings_reach_every_process() -> None:
    text = (
        '[ward]\ndata_dir = "/data"\nsites = ["east"]\nshards = 3\nsnapshot_s = 1.5\n'
        '[broker]\nurl = "mqtts://b"\nclient_id = "c"\nprotocol = "3.1.1"\n'
        "[journal]\nretain_gb = 2.0\nretain_hours = 1.0\nfloor_hours = 0.5\ncompress = false\n"
        "[store]\nvitals_days = 3\n[disk]\nshort_gb = 1\nstop_mb = 8\nquota_gb = 5\n[flow]\nworkers = 2\n"
        '[influx]\nurl = "http://i:8086"\napi = "v1"\nbucket = "db"\n'
        + WEBHOOK
        + 'priorities = ["high"]\nallow_local = true\n'
    )
    settings = parse_settings(text)
    ingest, flow, couriers = ingest_options(settings), flow_options(settings), courier_options(settings)
    assert (ingest.folder, ingest.sites, ingest.client_id, ingest.protocol) == ("/data/main", ("east",), "c", "3.1.1")
    assert (ingest.retain_bytes, ingest.retain_hours) == (2 * 10**9, 1.0)
    assert (ingest.floor_hours, ingest.compress) == (0.5, False)
    assert (ingest.short_bytes, ingest.stop_bytes, ingest.quota_bytes) == (10**9, 8 * 10**6, 5 * 10**9)
    assert (flow.data_dir, flow.shards, flow.snapshot_s) == ("/data", 3, 1.5)
    assert (flow.workers, flow.addresses, flow.process, flow.local) == (2, (), 0, None)
    assert (flow.keep.vitals_days, flow.keep.wave_hours, flow.keep.quota_bytes) == (3.0, 48.0, 5 * 10**9)
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
    with pytest.raises(UserError, match=r"add a section \[influx\], \[\[webhook\]\] or \[fhir\]"):
        courier_options(Settings())


def test_each_partition_has_a_folder_a_session_and_a_door_of_its_own() -> None:
    settings = parse_settings('[ward]\ndata_dir = "/data"\n' + WEBHOOK + EAST + WEST)
    assert [one.name for one in settings.local] == ["east", "west"]
    east, west = ingest_options(settings, "east"), ingest_options(settings, "west")
    assert (east.folder, east.sites, east.client_id) == ("/data/east", ("a1",), "femtoward-ingest-east")
    assert (west.folder, west.sites, west.client_id) == ("/data/west", ("a2",), "femtoward-ingest-west")
    assert courier_options(settings, "west").store == "/data/west/store.sqlite"
    assert str(door(settings, "west")) == "/data/west/door"
    assert flow_options(settings).partitions == ("east", "west")
    with pytest.raises(UserError, match="the partitions on this host are east, west: say which, with --partition NAME"):
        ingest_options(settings)
    with pytest.raises(UserError, match="--partition 'north': the partitions on this host are east, west"):
        courier_options(settings, "north")


def test_a_cluster_on_one_host_divides_the_folders_among_its_processes() -> None:
    settings = parse_settings("[page]\n[flow]\nprocesses = 2\n" + EAST + WEST + "host = 1\n")
    first, second = flow_options(settings, 0), flow_options(settings, 1)
    assert first.addresses == second.addresses == ("127.0.0.1:9380", "127.0.0.1:9381")
    assert (first.process, first.local, second.process, second.local) == (0, ("east",), 1, ("west",))
    assert first.partitions == second.partitions == ("east", "west")
    assert [program.name for program in programs(None, settings)] == [
        "ingest-east",
        "ingest-west",
        "flow-0",
        "flow-1",
        "page",  # one for all partitions here
    ]
    assert [program.bound for program in programs(None, settings)] == [False, False, True, True, False]
    assert [one.health_port for one in everyone(settings)] == [9464, 9474, 9465, 9475, 9467]
    with pytest.raises(UserError, match=r"--process 2: the processes of the flow on this host are 0, 1 "):
        one_of(settings, "flow", None, 2)


def test_a_host_of_a_cluster_runs_what_lies_on_it() -> None:
    text = '[flow]\naddresses = ["a:2101", "b:2101"]\nprocess = 1\n' + WEBHOOK + EAST + WEST + "host = 1\n"
    settings = parse_settings(text)
    assert [one.name for one in settings.local] == ["west"]
    assert [program.name for program in programs(None, settings)] == ["ingest-west", "flow-1", "couriers-west"]
    assert flow_options(settings).process == 1
    assert flow_options(settings).local == ("west",)
    with pytest.raises(UserError, match="the partitions on this host are west"):
        door(settings, "east")


def test_the_page_is_run_where_the_settings_name_it_for_all_partitions_of_the_host() -> None:
    settings = parse_settings("[page]\n" + EAST + WEST)
    *_, page = everyone(settings)
    assert (page.name, page.arguments, page.health_port) == ("page", ("--only", "page"), 9467)
    assert one_of(settings, "page", None, None) == page
    assert [room.name for room in page_options(settings).rooms] == ["east", "west"]
    assert [one.part for one in everyone(parse_settings(EAST))] == ["ingest", "flow"]


@pytest.mark.parametrize(
    ("said", "shards"),
    [
        ("", 1),
        ("[flow]\nworkers = 3\n", 3),
        ("[flow]\nworkers = 2\nprocesses = 2\n" + EAST + WEST, 2),
        (EAST + WEST, 1),
    ],
)
def test_a_worker_has_a_shard_and_no_shard_is_one_too_many(said: str, shards: int) -> None:
    assert flow_options(parse_settings(said)).shards == shards


def test_ports_are_those_of_this_host() -> None:
    here = "[health]\nflow = 9474\n" + EAST + WEST  # west's ingest would have 9474 here
    parse_settings('[flow]\naddresses = ["a:9475", "b:9484"]\n' + here + "host = 1\n")
    many = parse_settings("[flow]\nprocesses = 64\n")
    taken = {one.health_port for one in everyone(many)} | {many.health.run}
    assert not taken & {int(address.rpartition(":")[2]) for address in many.flow.cluster}


def test_retention_asks_for_what_the_flow_has_committed(tmp_path: Path) -> None:
    settings = read_settings(None, data_dir=tmp_path)
    assert retain_from(settings)() is None


def test_couriers_ask_the_parts_of_their_host_and_those_in_containers_of_their_own() -> None:
    influx = '[page]\n[influx]\nurl = "http://i:8086"\n'
    settings = parse_settings(influx)
    options = process_options(settings, settings.partitions[0])
    asked = {target.part: target.url for target in options.targets}
    assert asked == {
        "ingest": "http://127.0.0.1:9464/metrics",
        "flow": "http://127.0.0.1:9465/metrics",
        "couriers": "",  # themselves
        "page": "http://127.0.0.1:9467/metrics",
    }
    assert options.run_urls == ("http://127.0.0.1:9463/metrics",)
    apart = parse_settings(f'{influx}[health]\nhost = "0.0.0.0"\nhosts = {{ ingest = "in", flow = "fl" }}\n')
    options = process_options(apart, apart.partitions[0])
    assert {target.part: target.url for target in options.targets} == {
        **asked,
        "ingest": "http://in:9464/metrics",
        "flow": "http://fl:9465/metrics",
    }
    assert options.run_urls == ("http://127.0.0.1:9463/metrics", "http://fl:9463/metrics", "http://in:9463/metrics")
