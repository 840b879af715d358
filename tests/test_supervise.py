"""The supervisor: what dies comes back, what cannot be mended is said, and a stop drains in order."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from servers import eventually

from deploy.problem import UserError
from deploy.run import NOT_CARRIED, CouriersWord
from deploy.supervise import BAD_SETTINGS, FIRST_WAIT_S, LONGEST_WAIT_S, SETTLED_S, Program, Supervisor
from ingest.door import Door
from ingest.notices import Report

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


# Starts while a file is there, as couriers do with their secret; else it refuses to.
FUSSY = f"""
import os, sys
if not os.path.exists(sys.argv[1]):
    print("femtoward: the secret cannot be read", file=sys.stderr)
    sys.exit({BAD_SETTINGS})
print("ready", flush=True)
sys.stdin.read()
"""


def test_settings_refused_later_take_nobody_down_and_the_ward_is_told(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    secret, door = tmp_path / "secret", tmp_path / "door"
    secret.touch()
    programs = (program("ingest", POLITE, "ingest", str(tmp_path / "ended")), program("couriers", FUSSY, str(secret)))
    supervisor = supervised(supervisors, tmp_path, clock, *programs)
    word = CouriersWord(supervisor, door)
    couriers = supervisor.children["couriers"]

    def told() -> list[tuple[str, bool, str]]:
        word.tell()
        reports = [msgspec.json.decode(letter.payload, type=Report) for letter in Door(door).take(10)]
        return [(report.reporter, report.ok, report.detail) for report in reports]

    eventually((tmp_path / "couriers.out").read_text)
    assert told() == []  # too early to say
    clock.now_s += SETTLED_S
    well, ill = ("couriers", True, ""), ("couriers", False, NOT_CARRIED)
    assert told() == [well]
    secret.unlink()
    assert couriers.process
    couriers.process.kill()
    assert until_dead(supervisor, "couriers") == ["couriers ended with status -9; starts again in 0.5 s"]
    for wait in ("1", "2"):
        clock.now_s = couriers.due_s
        supervisor.tend()
        assert until_dead(supervisor, "couriers") == [
            f"couriers refused to start: the secret cannot be read; starts again in {wait} s"
        ]
        assert told() == [well, ill]
    assert supervisor.children["ingest"].running
    secret.touch()
    clock.now_s = couriers.due_s
    supervisor.tend()
    assert told() == [well, ill]
    clock.now_s += SETTLED_S
    assert told() == [well, ill, well]


def test_a_refusal_by_what_had_run_for_long_is_tried_again(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("flow", f"raise SystemExit({BAD_SETTINGS})"))
    clock.now_s += SETTLED_S
    said = "flow refused to start: it gave no reason; starts again in 0.5 s"
    assert until_dead(supervisor, "flow") == [said]


def test_word_that_cannot_be_left_is_tried_again(tmp_path: Path, clock: Clock, supervisors: list[Supervisor]) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("couriers", "import sys; sys.stdin.read()"))
    door = tmp_path / "door"
    word = CouriersWord(supervisor, door)
    clock.now_s += SETTLED_S
    door.touch()  # a file where the folder should be
    word.tell()
    door.unlink()
    word.tell()
    assert len(Door(door).take(10)) == 1


def test_a_kill_leaves_nothing_that_a_child_had_started(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    supervisor = supervised(supervisors, tmp_path, clock, program("broker", code))
    eventually((tmp_path / "broker.out").read_text)
    grandchild = int((tmp_path / "broker.out").read_text())
    supervisor.kill()
    eventually(lambda: not _alive(grandchild), what="the grandchild to end")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Ended, and not yet collected by whoever adopts orphans here.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


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
