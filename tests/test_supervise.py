"""The supervisor: what dies comes back, what cannot be mended is said, and a stop drains in order."""

import os
import re
import signal
import sys
from pathlib import Path

import msgspec
import pytest
from servers import eventually
from supervising import DEAF, POLITE, SPEAKING, Clock, killed, program, supervised, until_dead

from deploy.problem import UserError
from deploy.supervise import (
    BAD_SETTINGS,
    FELLOWS_S,
    FIRST_WAIT_S,
    HANGS_S,
    LOADING_S,
    LONGEST_WAIT_S,
    SETTLED_S,
    Program,
    Supervisor,
)
from deploy.word import PartsWord
from ingest.door import Door
from ingest.notices import Report


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_dies_starts_again_each_time_later(tmp_path: Path, clock: Clock, supervisors: list[Supervisor]) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("flow", "raise SystemExit(3)"))
    assert until_dead(supervisor, "flow") == ["flow ended with status 3; starts again in 0.1 s"]
    child = supervisor.children["flow"]
    clock.now_s += FIRST_WAIT_S / 2
    assert supervisor.tend() == []
    assert child.process is None
    clock.now_s += FIRST_WAIT_S / 2
    supervisor.tend()
    assert child.restarts == 1
    assert until_dead(supervisor, "flow") == ["flow ended with status 3; starts again in 0.2 s"]


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
    assert until_dead(supervisor, "flow") == ["flow ended with status 3; starts again in 0.1 s"]


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


def told(word: PartsWord, *doors: Path) -> list[tuple[str, bool, str]]:
    """Reports that lie in the doors now, which must hold the same, and are taken out."""
    word.tell()
    found = []
    for folder in doors:
        door = Door(folder)
        letters = door.take(10)
        door.done(letters)
        reports = [msgspec.json.decode(letter.payload, type=Report) for letter in letters]
        found.append([(report.reporter, report.ok, report.detail) for report in reports])
    assert all(one == found[0] for one in found)
    return found[0]


def test_settings_refused_later_take_nobody_down_and_the_ward_is_told(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    secret, door = tmp_path / "secret", tmp_path / "door"
    secret.touch()
    fussy = program("couriers", FUSSY, str(secret))._replace(part="couriers")
    programs = (program("ingest", POLITE, "ingest", str(tmp_path / "ended")), fussy)
    supervisor = supervised(supervisors, tmp_path, clock, *programs)
    word = PartsWord(supervisor, [door])
    couriers = supervisor.children["couriers"]
    eventually((tmp_path / "couriers.out").read_text)
    assert told(word, door) == []  # too early to say
    clock.now_s += SETTLED_S
    assert told(word, door) == [("ingest", True, ""), ("couriers", True, "")]
    secret.unlink()
    assert couriers.process
    couriers.process.kill()
    assert until_dead(supervisor, "couriers") == ["couriers ended with status -9; starts again in 0.1 s"]
    ((reporter, ok, detail),) = told(word, door)
    assert (reporter, ok) == ("couriers", False)
    assert re.match(r"couriers ended with status -9 at \d{4}-.*Z; started again, restart 1; alarms and vitals", detail)
    for wait in ("0.2", "0.4"):
        clock.now_s = couriers.due_s
        supervisor.tend()
        assert until_dead(supervisor, "couriers") == [
            f"couriers refused to start: the secret cannot be read; starts again in {wait} s"
        ]
        ((_, ok, detail),) = told(word, door)
        assert not ok
        assert detail.startswith("couriers refused to start at ")
    assert supervisor.children["ingest"].running
    secret.touch()
    clock.now_s = couriers.due_s
    supervisor.tend()
    assert told(word, door) == []
    clock.now_s += SETTLED_S
    assert told(word, door) == [("couriers", True, "")]


def test_every_partition_is_told_what_died(tmp_path: Path, clock: Clock, supervisors: list[Supervisor]) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("flow", "raise SystemExit(3)"))
    doors = [tmp_path / "east", tmp_path / "west"]
    word = PartsWord(supervisor, doors)
    until_dead(supervisor, "flow")
    ((reporter, ok, _),) = told(word, *doors)
    assert (reporter, ok) == ("flow", False)
    assert told(word, *doors) == []


STUCK = '[false, false, "the main loop is stuck"]'


@pytest.mark.parametrize("says", [STUCK, "", "rubbish"])
def test_what_hangs_is_killed_and_starts_again(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor], says: str
) -> None:
    stuck = tmp_path / "stuck"
    speaking = program("flow", SPEAKING, str(stuck), says)._replace(speaks=True)
    supervisor = supervised(supervisors, tmp_path, clock, speaking)
    child = supervisor.children["flow"]
    eventually(lambda: supervisor.tend() == [] and child.ready, what="a sign of life")
    stuck.touch()
    eventually((tmp_path / "flow.out").read_text, what="it to be stuck")
    assert supervisor.tend() == []  # hears what it had said before
    for _ in range(10):  # our own absence would be forgiven
        clock.now_s += HANGS_S / 10
        assert supervisor.tend() == []
    clock.now_s += 1.0
    assert killed(supervisor) == ["flow ended with status -9; starts again in 0.1 s"]
    assert child.hangs == 1


def test_silence_while_we_were_away_ourselves_is_forgiven(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    supervisor = supervised(
        supervisors, tmp_path, clock, program("flow", SPEAKING, str(tmp_path / "never"), "")._replace(speaks=True)
    )
    child = supervisor.children["flow"]
    eventually(lambda: supervisor.tend() == [] and child.ready)
    assert child.process
    os.kill(child.process.pid, signal.SIGSTOP)
    clock.now_s += 1000.0
    assert supervisor.tend() == []
    assert child.running


def test_what_never_speaks_is_given_time_to_load(tmp_path: Path, clock: Clock, supervisors: list[Supervisor]) -> None:
    mute = program("flow", "import sys; sys.stdin.read()")._replace(speaks=True)
    supervisor = supervised(supervisors, tmp_path, clock, mute)
    clock.now_s += LOADING_S
    assert supervisor.tend() == []
    clock.now_s += 1.0
    assert killed(supervisor) == ["flow ended with status -9; starts again in 0.1 s"]


def test_the_processes_of_a_cluster_fall_and_rise_together(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    pair = [program(f"flow-{i}", DEAF)._replace(part="flow", bound=True) for i in range(2)]
    supervisor = supervised(supervisors, tmp_path, clock, *pair)
    first, second = supervisor.children.values()
    assert first.process
    first.process.kill()
    assert until_dead(supervisor, "flow-0") == ["flow-0 ended with status -9; starts again in 0.1 s"]
    clock.now_s += 1.0
    assert supervisor.tend() == []
    assert first.process is None  # it waits for the other one
    clock.now_s += FELLOWS_S
    assert killed(supervisor) == ["flow-1 ended with status -9; starts again in 0.1 s"]
    clock.now_s += 0.1
    supervisor.tend()
    assert first.running
    assert second.running
    assert (first.restarts, second.restarts) == (1, 1)


def test_a_refusal_by_what_had_run_for_long_is_tried_again(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor]
) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("flow", f"raise SystemExit({BAD_SETTINGS})"))
    clock.now_s += SETTLED_S
    said = "flow refused to start: it gave no reason; starts again in 0.1 s"
    assert until_dead(supervisor, "flow") == [said]


def test_word_that_cannot_be_left_is_tried_again(
    tmp_path: Path, clock: Clock, supervisors: list[Supervisor], caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = supervised(supervisors, tmp_path, clock, program("couriers", "import sys; sys.stdin.read()"))
    door = tmp_path / "door"
    word = PartsWord(supervisor, [door])
    clock.now_s += SETTLED_S
    door.touch()  # a file where the folder should be
    word.tell()
    word.tell()
    assert caplog.text.count("the ward cannot be told how couriers is") == 1
    door.unlink()
    assert told(word, door) == [("couriers", True, "")]


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
