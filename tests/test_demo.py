"""The demo from end to end: real processes, a real broker, the real way; about 40 s for the whole file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from servers import eventually

from dataflows.store import Store, StoreMissing
from deploy.packets import count_packets

ROOT = Path(__file__).parents[1]
KEYS = [
    *("patients", "seconds"),
    *("packets_published", "packets_journalled", "packets_bad", "packets_lost", "packets_repeated"),
    *("vitals_rows", "hr_within_2bpm"),
    *("alarms_expected", "alarms_found", "alarms_false"),
    *("alarms_due", "alarms_due_found", "alarms_due_unknown"),
    *("latency_ms_p50", "latency_ms_p99", "lag_ms_end"),
    *("digest_vitals", "digest_alarms", "digest_beds"),
]
SCENARIO = """
about = "One heart beats, one stops for a while."
[[patients]]
rate_bpm = 72.0
[[patients]]
rate_bpm = 66.0
rhythms = [{ rhythm = "asystole", from_s = 8.0, for_s = 8.0 }]
"""


class Played(NamedTuple):
    """A demo that has ended."""

    folder: Path
    status: int
    result: dict[str, Any]
    err: str


def command(*arguments: object, **more: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - handed on
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def ended(process: "subprocess.Popen[str]", folder: Path) -> Played:
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert out.count("\n") == 1, f"need one JSON object on standard output, got {out!r}; {err}"
    return Played(folder, process.returncode, json.loads(out), err)


def rows(folder: Path, kind: str) -> int:
    try:
        with Store(folder / "main" / "store.sqlite", readonly=True) as store:
            return store.count(kind)
    except StoreMissing:
        return 0


def answer(*arguments: object) -> Any:  # noqa: ANN401 - a JSON object
    process = command(*arguments, "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Played, Played]]:
    """A demo that runs its time, and one whose flow is killed and which is then ended by Ctrl-C; side by side."""
    folder = tmp_path_factory.mktemp("demo")
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO)
    calm, rough = folder / "calm", folder / "rough"
    given = ("--headless", "--json", "--patients", 2, "--scenario", scenario)
    calm_demo = command("demo", *given, "--seconds", 26, "--data-dir", calm)
    rough_demo = command("demo", *given, "--data-dir", rough, env={**os.environ, "FEMTOWARD_NO_MOSQUITTO": "1"})
    try:
        eventually(lambda: rows(rough, "vitals") > 8, 60.0, "vitals")
        kill_flow_of(rough_demo)
        n = rows(rough, "vitals")
        eventually(lambda: rows(calm, "alarm"), 60.0, "the asystole")
        acknowledge_in(calm)
        eventually(lambda: rows(rough, "vitals") > n + 10, 60.0, "vitals after the flow was killed")
        rough_demo.send_signal(signal.SIGINT)
        yield ended(calm_demo, calm), ended(rough_demo, rough)
    finally:
        for process in (calm_demo, rough_demo):
            process.kill()
            process.communicate()


def kill_flow_of(demo: "subprocess.Popen[str]") -> None:
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
    flows = [pid for pid in children if b"--only\0flow" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(flows) == 1
    os.kill(int(flows[0]), signal.SIGKILL)


def acknowledge_in(folder: Path) -> None:
    alarms = answer("alarms", "list", "--data-dir", folder)["alarms"]
    assert [alarm["condition"] for alarm in alarms] == ["asystole"]
    done = answer("alarms", "ack", alarms[0]["id"], "--actor", "nina", "--note", "resuscitating", "--data-dir", folder)
    assert done["done"]


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the flow's process in /proc: needs Linux"
)


def test_the_demo_prints_one_object_with_the_agreed_keys(both: tuple[Played, Played]) -> None:
    for played in both:
        assert list(played.result)[: len(KEYS)] == KEYS
        assert played.result["simulated"] is True
        assert "simulated sensors; not a medical device" in played.err


def test_nothing_is_lost_and_every_heart_is_counted(both: tuple[Played, Played]) -> None:
    calm = both[0]
    assert calm.status == 0, calm.err
    result = calm.result
    assert result["patients"] == 2
    assert result["packets_published"] == result["packets_journalled"] == 2 * 4 * 26
    assert (result["packets_bad"], result["packets_lost"], result["packets_repeated"]) == (0, 0, 0)
    assert result["hr_within_2bpm"] >= 0.99
    assert result["vitals_rows"] >= 2 * 24


def test_the_scripted_event_is_found_and_nothing_else(both: tuple[Played, Played]) -> None:
    result = both[0].result
    assert (result["alarms_expected"], result["alarms_found"], result["alarms_false"]) == (1, 1, 0)


def test_an_alarm_was_acknowledged_by_its_id_while_the_ward_ran(both: tuple[Played, Played]) -> None:
    with Store(both[0].folder / "main" / "store.sqlite", readonly=True) as store:
        alarm = next(event for event in store.alarms() if event.condition == "asystole")
        told = [(event.state, event.actor, event.note) for event in store.history(alarm.id)]
    assert told[0] == ("active", "", "")
    assert ("acknowledged", "nina", "resuscitating") in told


def test_a_killed_flow_comes_back_is_said_and_loses_nothing(both: tuple[Played, Played]) -> None:
    rough = both[1]
    assert rough.status == 1
    assert "wrong: flow ended with status -9; starts again in 0.1 s" in rough.err
    assert (rough.result["packets_lost"], rough.result["packets_repeated"]) == (0, 0)
    with Store(rough.folder / "main" / "store.sqlite", readonly=True) as store:
        assert store.conflict_count() == 0


@pytest.mark.parametrize("shards", [pytest.param(1, marks=pytest.mark.long), 3])
def test_a_replay_gives_the_digests_of_the_live_run(both: tuple[Played, Played], tmp_path: Path, shards: int) -> None:
    for played in both:
        replayed = answer("replay", played.folder, "--data-dir", tmp_path / played.folder.name, "--shards", shards)
        for digest in ("digest_vitals", "digest_alarms", "digest_beds"):
            assert replayed[digest] == played.result[digest]
        assert replayed["conflicts"] == 0


def test_a_replay_into_a_store_that_is_there_is_refused(both: tuple[Played, Played]) -> None:
    process = command("replay", both[0].folder, "--data-dir", both[0].folder)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "holds a store already: give a new folder" in err


def test_the_devices_are_known_with_their_beds(both: tuple[Played, Played]) -> None:
    listed = answer("devices", "list", "--data-dir", both[0].folder)["devices"]
    assert [(one["device"], one["bed"], one["state"]) for one in listed] == [
        ("wearable-0001", "bed-0001", "offline"),
        ("wearable-0002", "bed-0002", "offline"),
    ]


def test_the_journal_is_counted_without_the_flow(both: tuple[Played, Played]) -> None:
    packets = count_packets(both[0].folder / "main" / "journal")
    assert (packets.journalled, packets.repeated) == (2 * 4 * 26, 0)
