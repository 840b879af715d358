"""The supervisor: what dies comes back, what cannot be mended is said, and a stop drains in order."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import eventually

from deploy.problem import UserError
from deploy.supervise import BAD_SETTINGS, FIRST_WAIT_S, LONGEST_WAIT_S, Program, Supervisor

# Writes its name when it is asked to end; ends when its standard input does.
POLITE = """
import os, signal, sys
def end(*_):
    with open(sys.argv[2], "a") as file:
        file.write(sys.argv[1] + "\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
sys.stdin.read()
end()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


@dataclass
class Clock:
    """A clock that is set by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def program(name: str, code: str, *arguments: str, once: bool = False) -> Program:
    return Program(name, (sys.executable, "-c", code, *arguments), once)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def supervisors() -> Iterator[list[Supervisor]]:
    made: list[Supervisor] = []
    yield made
    for supervisor in made:
        supervisor.kill()


def supervised(made: list[Supervisor], folder: Path, clock: Clock | None, *programs: Program) -> Supervisor:
    supervisor = Supervisor(programs, folder, folder) if clock is None else Supervisor(programs, folder, folder, clock)
    made.append(supervisor)
    supervisor.start_all()
    return supervisor


def until_dead(supervisor: Supervisor, name: str) -> list[str]:
    child = supervisor.children[name]
    eventually(lambda: not child.running, what=f"{name} to end")
    return supervisor.tend()


def test_what_dies_starts_again_each_time_later(tmp_path: Path, clock: Clock, supervisors: list[Supervisor]) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("flow", "raise SystemExit(3)"))
    assert until_dead(supervisor, "flow") == ["flow ended with status 3; starts again in 0.5 s"]
    child = supervisor.children["flow"]
    clock.now_s += FIRST_WAIT_S / 2
    assert supervisor.tend() == []
    assert child.process is None
    clock.now_s += FIRST_WAIT_S / 2
    supervisor.tend()
    assert child.restarts == 1
    assert until_dead(supervisor, "flow") == ["flow ended with status 3; starts again in 1 s"]


def test_a_long_life_forgives_earlier_deaths_and_the_wait_is_bounded(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("flow", "raise SystemExit(3)"))
    child = supervisor.children["flow"]
    child.wait_s = LONGEST_WAIT_S
    until_dead(supervisor, "flow")
    assert child.wait_s == LONGEST_WAIT_S
    clock.now_s = child.due_s
    supervisor.tend()
    clock.now_s += 61.0
    assert until_dead(supervisor, "flow") == ["flow ended with status 3; starts again in 0.5 s"]


def test_refused_settings_are_not_tried_again(tmp_path: Path, clock: Clock, supervisors: list[Supervisor]) -> None:
    code = f"import sys; print('femtoward: ward.shards = 0', file=sys.stderr); sys.exit({BAD_SETTINGS})"
    supervisor = supervised(supervisors, tmp_path, clock, program("flow", code))
    eventually(lambda: not supervisor.children["flow"].running)
    with pytest.raises(UserError, match=r"^flow refused to start: ward.shards = 0$"):
        supervisor.tend()


def test_what_ends_by_itself_is_left_alone(tmp_path: Path, clock: Clock, supervisors: list[Supervisor]) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("simulator", "print('done')", once=True))
    assert until_dead(supervisor, "simulator") == []
    clock.now_s += 1000.0
    assert supervisor.tend() == []
    assert supervisor.children["simulator"].status == 0
    assert (tmp_path / "simulator.out").read_text() == "done\n"


def test_a_stop_drains_in_the_order_of_the_datas_way(tmp_path: Path, supervisors: list[Supervisor]) -> None:
    names, ended = ("ingest", "flow", "couriers"), tmp_path / "ended"
    supervisor = supervised(supervisors, tmp_path, None, *(program(name, POLITE, name, str(ended)) for name in names))
    for name in names:
        eventually((tmp_path / f"{name}.out").read_text)
    assert supervisor.drain() == dict.fromkeys(names, 0)
    assert ended.read_text().split() == list(names)


def test_what_does_not_end_in_time_is_killed(tmp_path: Path, supervisors: list[Supervisor]) -> None:
    supervisor = supervised(supervisors, tmp_path, None, program("flow", DEAF))
    eventually((tmp_path / "flow.out").read_text)
    assert supervisor.drain(within_s=0.2) == {"flow": -9}


def test_children_end_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    child = Program("flow", (sys.executable, "-c", POLITE, "flow", str(ended)))
    code = (
        "import sys, os, pathlib; from deploy.supervise import Program, Supervisor\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        f"s = Supervisor([Program('flow', {child.argv!r})], folder, folder)\n"
        "s.start_all(); print('up', flush=True); sys.stdin.read()"
    )
    outer = Supervisor([program("supervisor", code)], tmp_path, tmp_path)
    outer.start_all()
    eventually(lambda: (tmp_path / "flow.out").exists() and (tmp_path / "flow.out").read_text())
    outer.kill()
    eventually(ended.exists, what="the orphan to end")
