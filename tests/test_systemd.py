"""The service units: systemd accepts them, and what they start is a command that we have."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import which

import msgspec
import pytest
from commandline import Run, refused

from deploy.doctor import examine
from deploy.settings import read_settings
from ingest.door import Door
from ingest.notices import Report

UNITS = Path(__file__).parents[1] / "deploy" / "systemd"
PROGRAM = "/opt/femtoward/.venv/bin/femtoward"
SERVICES = [file.name for file in sorted(UNITS.glob("*.service"))]
ONCE = "femtoward-provision.service"
PARTS = [name for name in SERVICES if name != ONCE]  # those that run for ever


def keys(name: str) -> dict[str, list[str]]:
    """Values by key, whatever the section."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_there_is_a_unit_for_each_part() -> None:
    assert SERVICES == [
        "femtoward-couriers@.service",
        "femtoward-flow@.service",
        "femtoward-ingest@.service",
        "femtoward-page.service",
        ONCE,
    ]


@pytest.mark.skipif(which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for file in UNITS.iterdir():
        # Commands must exist: ours may not be installed there.
        (tmp_path / file.name).write_text(file.read_text().replace(PROGRAM, sys.executable))
    units = [str(tmp_path / name.replace("@", "@main")) for name in SERVICES]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units, str(tmp_path / "femtoward.target")],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "femtoward" in line]
    assert said == []


@pytest.mark.parametrize("name", PARTS)
def test_a_unit_restarts_what_dies_and_leaves_it_time_to_drain(name: str) -> None:
    unit = keys(name)
    wanted = {
        "Type": "notify",
        "Restart": "always",
        "KillSignal": "SIGTERM",
        "TimeoutStopSec": "15",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "StateDirectory": "femtoward",
        "WantedBy": "femtoward.target",
        "StartLimitIntervalSec": "0",
        "RestartSec": "2s",
    }
    assert {key: unit[key] for key in wanted} == {key: [value] for key, value in wanted.items()}
    assert int(unit["WatchdogSec"][0]) >= 3 * 10  # the patience of a beacon


@pytest.mark.parametrize("name", PARTS)
def test_what_a_unit_starts_is_a_command_that_we_have(
    femtoward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    part, unit, config = re.split("[@.]", name.removeprefix("femtoward-"))[0], keys(name), tmp_path / "ward.toml"
    instance = "0" if part == "flow" else "main"
    config.write_text('[ward]\ndata_dir = "data"\n[page]\n')

    def arguments(key: str) -> list[str]:
        program, *given = shlex.split(unit[key][0].removeprefix("-").replace("%i", instance))
        assert program == PROGRAM
        return [str(config) if one == "/etc/femtoward/femtoward.toml" else one for one in given]

    started = arguments("ExecStart")
    assert started[:3] == ["run", "--config", str(config)]
    if part == "page":  # the one that has no instances
        refused(femtoward(*started, "--partition", "main"), "the page shows all partitions")
    else:
        refused(femtoward(*started[:-1], "7"), "on this host are")  # the rest of it is understood

    def told() -> list[tuple[str, bool, str]]:
        door = Door(tmp_path / "data" / "main" / "door")
        letters = door.take(10)
        door.done(letters)
        reports = [msgspec.json.decode(letter.payload, type=Report) for letter in letters]
        return [(report.reporter, report.ok, report.detail.partition(" at ")[0]) for report in reports]

    assert femtoward(*arguments("ExecStartPost")).status == 0
    assert told() == [(part, True, "")]
    refusal = [(part, False, f"{part} refused to start, and its log says why")]
    for result, code, status, said in (
        ("success", "exited", "0", []),
        ("signal", "killed", "KILL", [(part, False, f"{part} ended (signal killed KILL)")]),
        ("watchdog", "dumped", "ABRT", [(part, False, f"{part} ended (watchdog dumped ABRT)")]),
        ("exit-code", "exited", "2", refusal),
        ("exit-code", "exited", "2", []),  # told already
        ("exit-code", "exited", "1", [(part, False, f"{part} ended (exit-code exited 1)")]),
        ("exit-code", "exited", "2", refusal),
    ):
        for variable, value in (("SERVICE_RESULT", result), ("EXIT_CODE", code), ("EXIT_STATUS", status)):
            monkeypatch.setenv(variable, value)
        assert femtoward(*arguments("ExecStopPost")).status == 0
        assert told() == said


def test_the_unit_that_provisions_tries_again_and_is_then_done() -> None:
    unit = keys(ONCE)
    assert shlex.split(unit["ExecStart"][0]) == [PROGRAM, "provision", "--config", "/etc/femtoward/femtoward.toml"]
    assert (unit["Type"], unit["RemainAfterExit"], unit["Restart"]) == (["oneshot"], ["yes"], ["on-failure"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_has_no_privileges(name: str) -> None:
    unit = keys(name)
    assert unit["User"] == ["femtoward"]
    assert (unit["NoNewPrivileges"], unit["ProtectSystem"], unit["CapabilityBoundingSet"]) == (
        ["yes"],
        ["strict"],
        [""],
    )


def test_the_doctor_says_when_the_data_folder_cannot_be_written(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    settings = read_settings(None, data_dir=taken)  # even root cannot write there
    found = next(line for line in examine(settings) if line.name == "data folder")
    assert found.verdict == "problem"
    assert "cannot be written by this user (Not a directory): change its owner or ward.data_dir" in found.said


@pytest.mark.parametrize("name", PARTS)
def test_a_unit_says_where_the_data_must_lie(name: str) -> None:
    assert "data_dir must be absolute, /var/lib/femtoward" in (UNITS / name).read_text()
