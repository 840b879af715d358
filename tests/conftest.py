"""Fixtures for every test: real programs, recorded signals, hypothesis profiles."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commandline import Run, command_line
from hypothesis import HealthCheck, settings

from ingest.room import Room

if TYPE_CHECKING:
    from deploy.supervise import Supervisor

# Deadlines are timing assertions in disguise; the machine is shared.
settings.register_profile("femtoward", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
settings.load_profile("femtoward")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write the golden recordings anew")
    parser.addoption("--long", action="store_true", help="run what takes minutes too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes unless it is asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with --long"))


def program(name: str) -> str:
    """Path of a real server, or skip; where FEMTOWARD_REQUIRE_SERVERS is set, a missing one fails."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        if os.environ.get("FEMTOWARD_REQUIRE_SERVERS"):
            pytest.fail(
                f"{name} is not installed and FEMTOWARD_REQUIRE_SERVERS is set: install Debian's package {name}"
            )
        pytest.skip(f"{name} is not installed: install Debian's package {name} to run this test")
    return path


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of the recorded signals: FEMTOWARD_RECORDINGS, or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("FEMTOWARD_RECORDINGS", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no recorded signals at {folder}: set FEMTOWARD_RECORDINGS to the folder that holds mitdb, bidmc, ..."
        )
    return folder


@pytest.fixture
def supervisors() -> Iterator["list[Supervisor]"]:
    """Supervisors that a test makes: whatever becomes of it, none of their programs is left."""
    made: list[Supervisor] = []
    yield made
    for supervisor in made:
        supervisor.kill()


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much room is on the disk: a test may change it."""
    room = [10 << 30]
    monkeypatch.setattr(Room, "left", lambda _: room[0])
    return room


@pytest.fixture
def femtoward(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in this process."""
    return command_line(monkeypatch, capsys)
