"""The flow as a cluster of processes: the same digests as one, through kills, drains and changes of size."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from flows import (
    Digests,
    digests,
    ended,
    eventually,
    growing,
    killed,
    resumed_at,
    rows,
    started,
    undisturbed,
    ward,
    worked_off,
    write,
)
from servers import free_port

from dataflows.flow import FlowOptions
from dataflows.recovery import committed_offset, recovery_folder
from ingest.journal import Record

NAMES = ("annex", "main")


@pytest.fixture(scope="module")
def tapes() -> dict[str, list[Record]]:
    return {name: ward(3, 20.0, seed=10 * i) for i, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def alone(tapes: dict[str, list[Record]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digests]:
    """What one process gives that nothing disturbs."""
    folder = tmp_path_factory.mktemp("alone")
    for name, tape in tapes.items():
        write(folder / "in" / name, tape)
    return {name: undisturbed(folder / "in" / name, folder / name) for name in tapes}


def cluster(
    data_dirs: Sequence[Path], locals_: Sequence[Sequence[str]], partitions: Sequence[str]
) -> list[FlowOptions]:
    """Options of each process of a cluster on the loopback."""
    addresses = tuple(f"127.0.0.1:{free_port()}" for _ in data_dirs) if len(data_dirs) > 1 else ()
    return [
        FlowOptions(
            data_dir=str(data_dir),
            partitions=tuple(partitions),
            shards=4,
            addresses=addresses,
            process=process,
            local=tuple(local),
            snapshot_s=0.1,
        )
        for process, (data_dir, local) in enumerate(zip(data_dirs, locals_, strict=True))
    ]


def all_started(options: Sequence[FlowOptions], log: Path) -> list[subprocess.Popen[str]]:
    return [started(one, log / f"{one.process}.log") for one in options]


def all_here(flows: Sequence[subprocess.Popen[str]]) -> None:
    """Wait until each process, which has a partition, has begun to read it."""
    for flow in flows:
        resumed_at(flow)


def drained(flows: Sequence[subprocess.Popen[str]]) -> None:
    """Tell one process to stop: the flow drains as a whole."""
    flows[-1].terminate()
    assert [ended(flow) for flow in flows] == [0] * len(flows)


def test_two_processes_with_a_partition_each_survive_the_death_of_either(
    tapes: dict[str, list[Record]], alone: dict[str, Digests], tmp_path: Path
) -> None:
    hosts = [tmp_path / "a", tmp_path / "b"]  # as on two hosts
    options = cluster(hosts, [["annex"], ["main"]], NAMES)
    own = dict(zip(NAMES, options, strict=True))
    with growing({own[name].journal(name): tape for name, tape in tapes.items()}, 4.0, parts=3) as whole:
        for victim in (0, 1):
            before = [rows(one, name) for name, one in own.items()]
            flows = all_started(options, tmp_path)
            eventually(lambda before=before: all(rows(own[n], n) > b + 4 for n, b in zip(NAMES, before, strict=True)))  # type: ignore[misc]  # a default binds the loop's value
            killed(flows[victim])
            survivor = 1 - victim
            assert ended(flows[survivor], within_s=10.0) == 1
            said = (tmp_path / f"{survivor}.log").read_text()
            assert f"flow process {victim} at 127.0.0.1" in said
            assert "is gone: this process ends, too; all go on from the recovery store at their next start" in said
            assert "Traceback" not in said
            whole.go_on()  # so that every life of the flow finds something new, however far the one before had come
        flows = all_started(options, tmp_path)
        all_here(flows)  # everything may have been worked off before: a process that is told to stop waits for nobody
        eventually(whole.is_set)
    eventually(lambda: all(worked_off(own[name], len(tape), name) for name, tape in tapes.items()))
    drained(flows)
    assert {name: digests(own[name], name) for name in NAMES} == alone
    # Each host knows for its own journal up to where all of the cluster has committed.
    assert {name: committed_offset(own[name].data_dir, name) for name in NAMES} == {n: len(t) for n, t in tapes.items()}


@pytest.mark.long
def test_a_cluster_is_drained_by_one_of_its_processes_and_started_again_and_again(
    tapes: dict[str, list[Record]], alone: dict[str, Digests], tmp_path: Path
) -> None:
    hosts = [tmp_path / "a", tmp_path / "b"]
    options = cluster(hosts, [["annex"], ["main"]], NAMES)
    own = dict(zip(NAMES, options, strict=True))
    with growing({own[name].journal(name): tape for name, tape in tapes.items()}, 4.0, parts=3) as whole:
        for asked in (0, 1):
            before = [rows(one, name) for name, one in own.items()]
            flows = all_started(options, tmp_path)
            eventually(lambda before=before: all(rows(own[n], n) > b + 4 for n, b in zip(NAMES, before, strict=True)))  # type: ignore[misc]  # a default binds the loop's value
            flows[asked].terminate()
            assert [ended(flow) for flow in flows] == [0, 0]
            whole.go_on()
        flows = all_started(options, tmp_path)
        all_here(flows)  # everything may have been worked off before: a process that is told to stop waits for nobody
        eventually(whole.is_set)
    eventually(lambda: all(worked_off(own[name], len(tape), name) for name, tape in tapes.items()))
    drained(flows)
    assert {name: digests(own[name], name) for name in NAMES} == alone


@pytest.mark.long
def test_a_flow_is_spread_over_two_processes_and_taken_back(
    tapes: dict[str, list[Record]], alone: dict[str, Digests], tmp_path: Path
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    one = cluster([a], [NAMES], NAMES)
    two = cluster([a, b], [["annex"], ["main"]], NAMES)
    thirds = {name: len(tape) // 3 for name, tape in tapes.items()}

    def run(options: list[FlowOptions], upto: dict[str, int]) -> None:
        """Feed what is new, and drain."""
        for own in options:
            for name in own.own:
                write(own.journal(name), tapes[name][committed_offset(own.data_dir, name) or 0 : upto[name]])
        flows = all_started(options, tmp_path)
        eventually(lambda: all(worked_off(own, upto[name], name) for own in options for name in own.own))
        drained(flows)

    run(one, thirds)
    b.mkdir()
    shutil.move(a / "main", b / "main")
    recovery_folder(b).mkdir()
    shutil.copy(recovery_folder(a) / "made-for.json", recovery_folder(b))
    shutil.move(recovery_folder(a) / "part-main.sqlite3", recovery_folder(b))
    run(two, {name: 2 * third for name, third in thirds.items()})
    shutil.move(b / "main", a / "main")
    shutil.move(recovery_folder(b) / "part-main.sqlite3", recovery_folder(a))
    run(one, {name: len(tape) for name, tape in tapes.items()})
    assert {name: digests(one[0], name) for name in NAMES} == alone


def test_two_processes_share_one_partition_and_one_folder(
    tapes: dict[str, list[Record]], alone: dict[str, Digests], tmp_path: Path
) -> None:
    options = cluster([tmp_path, tmp_path], [["main"], []], ["main"])
    options = [msgspec.structs.replace(one, workers=2) for one in options]
    write(options[0].journal("main"), tapes["main"])
    flows = all_started(options, tmp_path)
    eventually(lambda: worked_off(options[0], len(tapes["main"])))
    drained(flows)
    assert digests(options[0]) == alone["main"]


def test_a_process_whose_peer_is_not_there_says_so_and_can_be_stopped(tmp_path: Path) -> None:
    options = cluster([tmp_path, tmp_path], [["main"], []], ["main"])
    for one in options:
        flow = started(one, tmp_path / "log")
        other = 1 - one.process
        eventually(lambda other=other: f"waiting for flow process {other} at" in (tmp_path / "log").read_text())  # type: ignore[misc]
        flow.terminate()
        assert ended(flow) == 0


def test_processes_with_different_settings_refuse_each_other_with_words(tmp_path: Path) -> None:
    options = cluster([tmp_path / "a", tmp_path / "b"], [["main"], []], ["main"])
    for one in options:
        Path(one.data_dir).mkdir()
    flows = [
        started(options[0], tmp_path / "0.log"),
        started(msgspec.structs.replace(options[1], shards=3), tmp_path / "1.log"),
    ]
    assert [ended(flow) for flow in flows] == [1, 1]
    for process in (0, 1):
        said = (tmp_path / f"{process}.log").read_text()
        assert "give all processes of a cluster the same settings" in said
