"""The command line: every mistake gets one line that says what came, what was needed and what to do, and status 2."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from commandline import Run, refused
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, device, ledger, vitals
from servers import eventually

import deploy.alarms
from dataflows.events import Answer, Bad, PatientInfo
from dataflows.store import Store
from deploy.alarms import whoami
from ingest.command import Acknowledge, Comment, Mark, Shelve, Unshelve
from ingest.documents import decode_command
from ingest.door import Door
from ingest.packet import BadPacket
from ingest.topics import Topic, parse_topic

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "demo",
    "run",
    "simulate",
    "replay",
    "evaluate",
    "alarms",
    "devices",
    "fhir",
    "check",
    "doctor",
    "siege",
    "bench",
    "provision",
    "token",
}


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """Data folder of a ward with two alarms and two devices."""
    with Store(tmp_path / "main" / "store.sqlite") as store:
        store.put(
            [
                PatientInfo("north", "p1", "bed-1", ("w1",), True, 1),
                vitals("p1", 100),
                alarm("aaaa1111", reason="no heartbeat for 4 s"),
                replace(alarm("aaaa2222", state="ended"), condition="frozen"),
                device(),
                replace(device(), device="w2", patient=""),
                replace(ledger(hour=7), published=10, stored=9, lost=1, quarantined=0),
                replace(ledger(hour=8), published=5, stored=5, lost=0, quarantined=0),
            ]
        )
    return tmp_path


def test_help_lists_every_command_and_none_that_does_not_work(femtoward: Run) -> None:
    outcome = femtoward("--help")
    assert outcome.status == 0
    listed = outcome.out.partition("Commands:")[2].split("\n")
    assert {line.split()[0] for line in listed if line.strip()} == COMMANDS
    assert "not a medical device" in outcome.out
    assert "..." not in outcome.out.partition("Commands:")[2]  # no line is cut off
    for command in COMMANDS:
        assert femtoward(command, "--help").status == 0


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['femtoward', '--help']\n"
        "from deploy import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'scipy', 'bytewax', 'paho', 'rich', 'msgspec', 'influxdb_client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_said(femtoward: Run) -> None:
    assert femtoward("--version").out.startswith("femtoward ")


def test_no_command_shows_the_help_and_is_bad_usage(femtoward: Run) -> None:
    outcome = femtoward()
    assert outcome.status == 2
    assert "Commands:" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dmeo"], "no such command 'dmeo'"),
        (["demo", "--patient", "3"], "no such option: --patient (Possible options: --patients)"),
        (["demo", "--patients", "many"], "'--patients': Input should be a valid integer"),
        (["demo", "--patients", "many"], "'many' came"),
        (["demo", "--patients", "0"], "greater than or equal to 1, '0' came; `femtoward demo --help`"),
        (["demo", "--seconds", "nan"], "greater than or equal to 1, 'nan' came"),
        (["demo", "--port", "70000"], "less than or equal to 65535, '70000' came"),
        (["demo", "--scenario", "stroll"], "scenario 'stroll' is unknown: allowed are"),
        (["demo", "--wfdb", "/nowhere/101"], "record '/nowhere/101': no file /nowhere/101.hea (header)"),
        (["demo", "stray"], "unexpected extra argument(s) (stray)"),
        (["simulate", "--broker", "http://x"], "need mqtt://"),
        (["simulate", "--secret-file", "nowhere"], "--secret-file holds a password: name whose in --broker"),
        (["simulate", "--secret-file", "nowhere", "--broker", "mqtt://a:b@h"], "and no password there"),
        (["simulate", "--secret-file", "nowhere", "--broker", "mqtt://a@h"], "the secret cannot be read from nowhere"),
        (["run", "--watch"], "--watch are said of one part: they go with --only PART"),
        (["simulate", "--speed", "0"], "speed=0.0: need 0 < speed"),
        (["simulate", "--wfdb", "nowhere"], "record 'nowhere': no file nowhere.hea"),
        (
            ["simulate", "--patients", "2", "--pulse", "3=here"],
            "pulse '3=here': there is no patient 3; need 1 <= N <= 2",
        ),
        (["simulate", "--site", "a b"], "site='a b': need 1-64 of A-Z a-z 0-9 _ -"),
        (["run", "--config", "/nowhere.toml"], "no settings file at /nowhere.toml"),
        (["run", "--only", "web"], "--only 'web': need one of ingest, flow, couriers, page"),
        (["run", "--only", "page"], "the settings name no page: add a section [page] or [api]"),
        (["run", "--only", "page", "--process", "1"], "--process 1: only the flow has several; leave it out"),
        (["run", "--only", "page", "--partition", "a"], "--partition 'a': the page shows all partitions on this host"),
        (["run", "--process", "1"], "--partition, --process and --watch are said of one part: they"),
        (["run", "--only", "ingest", "--process", "1"], "--process 1: only the flow has several"),
        (["run", "--only", "flow", "--partition", "main"], "--partition 'main': the flow works for all partitions"),
        (["run", "--only", "flow", "--process", "1"], "--process 1: the processes of the flow on this host are 0"),
        (
            ["run", "--only", "ingest", "--partition", "east"],
            "--partition 'east': the partitions on this host are main",
        ),
        (["siege", "--trial", "nothing"], "--trial 'nothing': need one of restart, "),
        (["alarms", "list", "--partition", "east"], "--partition 'east': the partitions on this host are main"),
        (["replay"], "missing argument 'JOURNAL'"),
        (["replay", "/nowhere", "--data-dir", "new"], "no journal at /nowhere"),
        (["evaluate", "sleep", "new"], "task 'sleep' is unknown: need one of beats"),
        (["evaluate", "beats", "/nowhere"], "no folder /nowhere"),
        (["alarms", "list", "--data-dir", "/nowhere"], "no store at /nowhere/main/store.sqlite"),
        (["alarms", "ack", "--data-dir", "/nowhere"], "missing argument 'ID'"),
        (["devices", "list", "--data-dir", "/a", "--config", "/b"], "--config and --data-dir were both given"),
        (["check", "/nowhere.json"], "/nowhere.json cannot be read (No such file or directory)"),
        (["doctor", "--config", "/nowhere.toml"], "no settings file at /nowhere.toml"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(femtoward: Run, arguments: list[str], said: str) -> None:
    refused(femtoward(*arguments), said)


def test_wrong_settings_are_named_before_anything_starts(femtoward: Run, tmp_path: Path) -> None:
    file = tmp_path / "ward.toml"
    file.write_text("[ward]\nshards = -1\n")
    refused(femtoward("run", "--config", file), f"{file}: ward.shards = -1: expected `int` >= 0")


def test_a_port_in_use_is_named_with_what_to_do(femtoward: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(femtoward("demo", "--port", port), f"port {port} on 127.0.0.1", "in use", f":{port}", "another --port")


def test_a_data_folder_that_holds_a_run_is_not_written_over(femtoward: Run, ward: Path) -> None:
    refused(femtoward("demo", "--data-dir", ward), f"{ward} holds a run already", "give a new --data-dir")
    refused(femtoward("replay", ward, "--data-dir", ward), "no journal at")


def test_no_broker_is_said_with_its_address(femtoward: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_sim.simulate.CONNECT_S", 0.2)
    refused(femtoward("simulate", "--broker", "mqtt://127.0.0.1:1", "--patients", 1), "127.0.0.1:1", "start a broker")


def test_alarms_are_listed_with_where_since_when_and_why(femtoward: Run, ward: Path) -> None:
    outcome = femtoward("alarms", "list", "--data-dir", ward)
    assert outcome.status == 0
    assert len(outcome.out.splitlines()) == 1
    for words in ("aaaa1111", "HIGH", "asystole at bed-1 (p1) since", "active", "no heartbeat for 4 s"):
        assert words in outcome.out
    assert len(femtoward("alarms", "list", "--all", "--data-dir", ward).out.splitlines()) == 2
    listed = femtoward("alarms", "list", "--all", "--json", "--data-dir", ward).json["alarms"]
    assert {event["condition"] for event in listed} == {"asystole", "frozen"}
    assert "strip" not in listed[0]


def test_an_alarm_that_is_not_there_cannot_be_acknowledged(femtoward: Run, ward: Path) -> None:
    refused(femtoward("alarms", "ack", "zzzz", "--data-dir", ward), "no alarm with id 'zzzz'", "alarms list --all")
    refused(femtoward("alarms", "ack", "aaaa", "--data-dir", ward), "2 alarms have an id that begins with 'aaaa'")
    refused(femtoward("alarms", "ack", "aaaa1111", "--actor", "a b", "--data-dir", ward), "is no topic of a command")


def answering(folder: Path, *, done: bool) -> threading.Thread:
    """A flow that answers the next command in the door."""

    def answer() -> None:
        door = Door(folder / "main" / "door")
        eventually(lambda: door.take(1))
        letter = door.take(1)[0]
        command = decode_command(letter.payload)
        topic = parse_topic(letter.topic)
        assert isinstance(command, Acknowledge)
        assert isinstance(topic, Topic)
        with Store(folder / "main" / "store.sqlite") as store:
            store.put([Answer("north", command.id, topic.name, done, f"{command.alarm}: {command.note}", 1)])

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


@pytest.mark.parametrize("done", [True, False])
def test_acknowledging_waits_for_the_answer(femtoward: Run, ward: Path, *, done: bool) -> None:
    thread = answering(ward, done=done)
    outcome = femtoward(
        "alarms", "ack", "aaaa1", "--note", "leads off", "--actor", "nina", "--data-dir", ward, "--json"
    )
    thread.join()
    assert outcome.status == (0 if done else 1)
    assert outcome.json == {"done": done, "answered": True, "detail": "aaaa1111: leads off"}


@pytest.fixture
def two_wards(ward: Path) -> Path:
    """Settings of a ward with two partitions, the second with an alarm and a device of its own."""
    with Store(ward / "east" / "store.sqlite") as store:
        event = replace(alarm("aaaa3333"), site="far", condition="extreme-tachycardia", onset_ns=5)
        store.put(
            [PatientInfo("far", "p1", "bed-9", ("w9",), True, 1), event, replace(device(), site="far", device="w9")]
        )
    file = ward / "ward.toml"
    parts = (("main", "north"), ("east", "far"))
    file.write_text("".join(f'[[partition]]\nname = "{name}"\nsites = ["{site}"]\n' for name, site in parts))
    settings = file.read_text()
    file.write_text(f'[ward]\ndata_dir = "{ward}"\n{settings}')
    return file


def test_alarms_and_devices_of_all_partitions_are_listed_together(femtoward: Run, two_wards: Path) -> None:
    listed = femtoward("alarms", "list", "--config", two_wards).out
    assert [line.split()[0] for line in listed.splitlines()] == ["aaaa3333", "aaaa1111"]  # oldest onset first
    assert "extreme-tachycardia at bed-9 (p1)" in listed
    listed = femtoward("alarms", "list", "--config", two_wards, "--partition", "east").out
    assert [line.split()[0] for line in listed.splitlines()] == ["aaaa3333"]
    devices = femtoward("devices", "list", "--config", two_wards, "--json").json["devices"]
    assert [one["device"] for one in devices] == ["w1", "w2", "w9"]
    assert femtoward("devices", "show", "w9", "--config", two_wards).status == 0
    refused(
        femtoward("devices", "show", "w7", "--config", two_wards), "partition main: no device 'w7'", "east: no device"
    )


def test_an_acknowledgement_goes_to_the_partition_that_has_the_alarm(
    femtoward: Run, two_wards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.alarms, "ANSWER_WITHIN_S", 0.0)
    femtoward("alarms", "ack", "aaaa3333", "--config", two_wards)
    assert len(Door(two_wards.parent / "east" / "door").take(10)) == 1
    assert Door(two_wards.parent / "main" / "door").take(10) == []
    refused(femtoward("alarms", "ack", "aaaa3333", "--config", two_wards, "--partition", "main"), "no alarm with id")
    refused(femtoward("alarms", "ack", "zzzz", "--config", two_wards), "partition main: no alarm", "partition east: no")


def test_each_way_to_answer_an_alarm_is_a_command_at_the_door(
    femtoward: Run, ward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.alarms, "ANSWER_WITHIN_S", 0.0)
    says = ("--actor", "nina", "--data-dir", ward)
    for line in (
        ("shelve", "aaaa1111", "--for", 60, "--note", "suction"),
        ("shelve", "p1/poor-signal", "--for", 600),
        ("unshelve", "p1/poor-signal"),
        ("comment", "aaaa2222", "lead II was off"),
        ("mark", "aaaa2222", "false"),
    ):
        assert femtoward("alarms", *line, *says).status == 1  # nobody answers here
    given = [decode_command(letter.payload) for letter in Door(ward / "main" / "door").take(10)]
    assert [replace(command, id="c") for command in given if not isinstance(command, BadPacket)] == [
        Shelve(id="c", note="suction", patient="p1", condition="asystole", seconds=60),
        Shelve(id="c", patient="p1", condition="poor-signal", seconds=600),
        Unshelve(id="c", patient="p1", condition="poor-signal"),
        Comment(id="c", note="lead II was off", patient="p1", alarm="aaaa2222"),
        Mark(id="c", patient="p1", alarm="aaaa2222", was="false"),
    ]
    refused(femtoward("alarms", "shelve", "p9/poor-signal", "--for", 60, *says), "no patients are called 'p9'")
    refused(femtoward("alarms", "shelve", "p1/hiccups", "--for", 60, *says), "no condition 'hiccups': there are")
    refused(femtoward("alarms", "ack", "p1/poor-signal", *says), "names no alarm: give its id")


def test_no_answer_says_that_the_command_is_kept(femtoward: Run, ward: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy.alarms, "ANSWER_WITHIN_S", 0.0)
    outcome = femtoward("alarms", "ack", "aaaa1111", "--data-dir", ward)
    assert outcome.status == 1
    assert "the command is kept" in outcome.out
    assert len(Door(ward / "main" / "door").take(10)) == 1


def test_the_user_is_named_as_a_topic_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "zoë müller")
    assert whoami() == "zo--m-ller"


def test_devices_are_listed_with_their_packets(femtoward: Run, ward: Path) -> None:
    out = femtoward("devices", "list", "--data-dir", ward).out
    assert "15 published, 14 stored, 1 lost" in out
    assert "bed-1 (p1)" in out
    assert "nobody's" in out
    listed = femtoward("devices", "list", "--json", "--data-dir", ward).json["devices"]
    assert [one["packets"]["published"] for one in listed] == [15, 0]


def test_a_device_is_shown_with_its_sensors_its_noise_and_its_calibration(femtoward: Run, ward: Path) -> None:
    with Store(ward / "main" / "store.sqlite") as store:
        known = {"declared_noise_floor": 0.015, "noise_unit": "pT/sqrt(Hz)", "calibration_expiry_ns": SECOND * NS}
        store.put([replace(device(revision=2), flags="zeroing saturated", **known)])
    lines = femtoward("devices", "show", "w1", "--data-dir", ward).out.splitlines()
    assert "  sensors not all locked, zeroing, saturated" in lines
    assert "  clock corrected by 1.5 ms; noise floor 0.02 pT/sqrt(Hz), declared 0.015" in lines
    assert "  calibration holds until 2023-11-14 22:13 UTC" in lines
    shown = femtoward("devices", "show", "w1", "--json", "--data-dir", ward).json
    assert (shown["flags"], shown["locked"]) == ("zeroing saturated", False)


def test_one_device_is_shown_with_its_hours(femtoward: Run, ward: Path) -> None:
    lines = femtoward("devices", "show", "w1", "--data-dir", ward).out.splitlines()
    assert lines[-3].split()[:3] == ["1970-01-01", "07:00", "10"]
    assert lines[-1] == "  refused messages: none"
    refused(femtoward("devices", "show", "w7", "--data-dir", ward), "no device 'w7' has spoken; these have: w1, w2")


def bad(offset: int, topic: str, reason: str, detail: str) -> Bad:
    return Bad("north", offset, 0, offset * 10**9, topic, reason, detail, 3)


@pytest.fixture
def strange_ward(ward: Path) -> Path:
    """The ward, after messages that it refused."""
    refused_ones = [
        bad(1, "femtoward/v1/north/w1/data", "undecodable", "cut short"),
        bad(2, "femtoward/v1/north/w1/data", "undecodable", "cut shorter"),
        bad(3, "femtoward/v1/north/w1/birth", "bad-birth", "no streams"),
        *(bad(i, "femtoward/v1/north/w9/data", "no-birth", f"birth {i} never came") for i in range(4, 9)),
        bad(10, "femtoward/v1/north/ward/cmd/nina", "bad-command", "came rubbish"),
        bad(11, "femtoward/v1/north/gateway/g1/data", "undecodable", "no bundle"),
        bad(12, "elsewhere", "unknown-topic", "topic 'elsewhere' is none of ours"),
    ]
    with Store(ward / "main" / "store.sqlite") as store:
        store.put(refused_ones)
    return ward


def test_refused_messages_are_counted_beside_each_device(femtoward: Run, strange_ward: Path) -> None:
    lines = femtoward("devices", "list", "--data-dir", strange_ward).out.splitlines()
    assert len(lines) == 4
    assert " 3 refused " in lines[0]
    assert " 0 refused " in lines[1]
    assert lines[2] == "w9               of site north has no birth in force; 5 messages were refused: 5 no-birth"
    assert lines[3].startswith("(no device)")
    assert lines[3].endswith("3 messages were refused: 1 bad-command, 1 undecodable, 1 unknown-topic")
    found = femtoward("devices", "list", "--json", "--data-dir", strange_ward).json
    assert [one["refused"]["messages"] for one in found["devices"]] == [3, 0]
    assert [(one["device"], one["refused"]["messages"]) for one in found["refused_only"]] == [
        ("w9", 5),
        ("(no device)", 3),
    ]


def test_a_device_is_shown_with_why_its_messages_were_refused(femtoward: Run, strange_ward: Path) -> None:
    lines = femtoward("devices", "show", "w1", "--data-dir", strange_ward).out.splitlines()
    assert lines[-3:] == [
        "  refused messages: 3",
        "        2 undecodable, the newest at 1970-01-01 00:00:02Z: cut shorter",
        "        1 bad-birth, the newest at 1970-01-01 00:00:03Z: no streams",
    ]
    shown = femtoward("devices", "show", "w1", "--json", "--data-dir", strange_ward).json
    newest = {"reason": "undecodable", "messages": 2, "newest_ns": 2 * 10**9, "newest_detail": "cut shorter"}
    assert newest in shown["refused"]["reasons"]


@pytest.mark.parametrize("name", ["w9", "north/w9", "(no device)"])
def test_a_name_of_which_everything_was_refused_is_told_why(femtoward: Run, strange_ward: Path, name: str) -> None:
    outcome = femtoward("devices", "show", name, "--data-dir", strange_ward)
    assert outcome.status == 0
    assert "messages were refused" in outcome.out
    assert ("birth 8 never came" in outcome.out) == ("w9" in name)
    assert femtoward("devices", "show", name, "--json", "--data-dir", strange_ward).json["refused"]["messages"] > 0
