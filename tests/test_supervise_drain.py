"""How a supervisor ends its programs: in order, in time, and with nothing left behind."""

import signal
from pathlib import Path

import pytest
from servers import eventually
from supervising import DEAF, POLITE, SPEAKING, program, supervised

from deploy.process import Process
from deploy.supervise import (
    Supervisor,
)


def test_a_stop_drains_in_the_order_of_the_datas_way(tmp_path: Path, supervisors: list[Supervisor]) -> None:
    names, ended = ("ingest", "flow", "couriers"), tmp_path / "ended"
    supervisor = supervised(supervisors, tmp_path, None, *(program(name, POLITE, name, str(ended)) for name in names))
    for name in names:
        eventually((tmp_path / f"{name}.out").read_text)
    assert supervisor.drain() == dict.fromkeys(names, 0)
    assert ended.read_text().split() == list(names)


def test_parts_are_asked_in_turn_even_when_one_does_not_end(tmp_path: Path, supervisors: list[Supervisor]) -> None:
    ended = tmp_path / "ended"
    polite = [program(f"flow-{i}", POLITE, f"flow-{i}", str(ended))._replace(part="flow") for i in range(2)]
    supervisor = supervised(supervisors, tmp_path, None, program("ingest", DEAF), *polite)
    for name in supervisor.children:
        eventually((tmp_path / f"{name}.out").read_text)
    assert supervisor.drain(within_s=0.5, each_s=0.1) == {"ingest": -9, "flow-0": 0, "flow-1": 0}
    assert set(ended.read_text().split()) == {"flow-0", "flow-1"}


def test_what_does_not_end_in_time_is_killed(tmp_path: Path, supervisors: list[Supervisor]) -> None:
    supervisor = supervised(supervisors, tmp_path, None, program("flow", DEAF))
    eventually((tmp_path / "flow.out").read_text)
    assert supervisor.drain(within_s=0.2) == {"flow": -9}


def test_all_that_are_late_are_killed_before_any_is_collected(
    tmp_path: Path, supervisors: list[Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = [program(f"flow-{i}", DEAF)._replace(part="flow") for i in range(3)]
    supervisor = supervised(supervisors, tmp_path, None, *deaf)
    for name in supervisor.children:
        eventually((tmp_path / f"{name}.out").read_text)
    done: list[str] = []
    kill, close = Process.kill, Process.close

    def noted_kill(process: Process) -> None:
        done.append("kill")
        kill(process)

    def noted_close(process: Process) -> int:
        done.append("collect")
        return close(process)

    monkeypatch.setattr(Process, "kill", noted_kill)
    monkeypatch.setattr(Process, "close", noted_close)
    assert supervisor.drain(within_s=0.2) == dict.fromkeys(supervisor.children, -9)
    assert done == ["kill"] * 3 + ["collect"] * 3


@pytest.mark.parametrize(("speaks", "status"), [(True, 0), (False, -signal.SIGTERM)])
def test_what_is_asked_to_end_before_it_could_heed_has_drained(
    tmp_path: Path, supervisors: list[Supervisor], *, speaks: bool, status: int
) -> None:
    loading = program("flow", "import time; print('loading', flush=True); time.sleep(600)")._replace(speaks=speaks)
    supervisor = supervised(supervisors, tmp_path, None, loading)
    eventually((tmp_path / "flow.out").read_text)
    assert supervisor.drain() == {"flow": status}


def test_what_has_spoken_and_ends_by_the_signal_has_not_drained(tmp_path: Path, supervisors: list[Supervisor]) -> None:
    speaking = program("flow", SPEAKING, str(tmp_path / "never"), "")._replace(speaks=True)
    supervisor = supervised(supervisors, tmp_path, None, speaking)
    eventually(lambda: supervisor.tend() == [] and supervisor.children["flow"].ready)
    assert supervisor.drain() == {"flow": -signal.SIGTERM}
