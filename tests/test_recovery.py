"""The recovery store: what it says is committed is never more than what a restart asks for; a wrong one is refused."""

import os
import pickle
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from flows import (
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

from dataflows.flow import FlowError, FlowOptions, run_flow
from dataflows.parts import prepare
from dataflows.recovery import (
    MADE_FOR,
    Progress,
    check_parts,
    committed_offset,
    made_for,
    progress,
    recovery_folder,
    resume_epoch,
)
from ingest.journal import Journal, JournalError, JournalReader, Record, RecordKind


@pytest.fixture(scope="module")
def tape() -> list[Record]:
    return ward(4, 24.0)


def test_no_restart_after_a_kill_asks_for_less_than_what_was_said_to_be_committed(
    tape: list[Record], tmp_path: Path
) -> None:
    journal = tmp_path / "main" / "journal"
    options = FlowOptions(data_dir=str(tmp_path), snapshot_s=0.05)
    chance = random.Random(5)  # noqa: S311 - the same instants each time
    said: list[int | None] = [committed_offset(tmp_path, "main")]
    with growing({journal: tape}, 6.0) as whole:
        for life in range(4):
            flow = started(options, tmp_path / "log")
            _, resumed = resumed_at(flow)
            assert resumed == said[-1], life  # not a snapshot earlier, and not one later
            before = rows(options)
            until = before + chance.randrange(4, 16)
            while rows(options) < until:
                said.append(committed_offset(tmp_path, "main"))
            killed(flow)
            said.append(committed_offset(tmp_path, "main"))
        known = [offset for offset in said if offset is not None]
        assert said[: len(said) - len(known)] == [None] * (len(said) - len(known))
        assert known == sorted(known)
        assert len(set(known)) > 4  # it goes on in every life of the flow
        flow = started(options, tmp_path / "log")
        assert resumed_at(flow) == ("main", said[-1])
        eventually(whole.is_set)
    eventually(lambda: worked_off(options, len(tape)))
    flow.terminate()
    assert ended(flow) == 0
    assert committed_offset(tmp_path, "main") == len(tape)
    assert digests(options) == undisturbed(journal, tmp_path / "once")


def test_a_part_alone_says_how_far_all_have_come_at_least(tape: list[Record], tmp_path: Path) -> None:
    options = FlowOptions(data_dir=str(tmp_path / "a"), partitions=("main", "annex"), snapshot_s=0.05)
    for name in options.partitions:
        write(options.journal(name), tape[:100])
    run_flow(options, lambda: True)
    assert committed_offset(options.data_dir, "annex") == committed_offset(options.data_dir, "main") == 100
    moved = recovery_folder(tmp_path / "b")
    moved.mkdir(parents=True)
    for name in (MADE_FOR, "part-annex.sqlite3"):
        shutil.copy(recovery_folder(options.data_dir) / name, moved)
    assert committed_offset(tmp_path / "b", "annex") == 100
    assert committed_offset(tmp_path / "b", "main") is None


def test_a_store_that_cannot_be_read_or_understood_says_nothing(tape: list[Record], tmp_path: Path) -> None:
    assert committed_offset(tmp_path / "nowhere", "main") is None
    options = FlowOptions(data_dir=str(tmp_path))
    write(options.journal("main"), tape[:50])
    run_flow(options, lambda: True)
    part = recovery_folder(tmp_path) / "part-main.sqlite3"
    assert committed_offset(tmp_path, "main") == 50
    assert committed_offset(tmp_path, "another") is None
    for strange in (pickle.dumps(os.getcwd), pickle.dumps(-1), pickle.dumps(True), pickle.dumps("50"), b"", None):
        with closing(sqlite3.connect(part)) as connection, connection:
            connection.execute("UPDATE snaps SET ser_change = ? WHERE step_id = 'femtoward.journal'", (strange,))
        assert committed_offset(tmp_path, "main") is None
    part.write_bytes(b"no database at all" * 1000)
    assert committed_offset(tmp_path, "main") is None
    part.unlink()
    assert committed_offset(tmp_path, "main") is None


@pytest.mark.parametrize(
    ("executions", "frontiers", "epoch"),
    [
        ({}, {}, None),
        ({0: (1, 1)}, {}, 1),  # nothing finished yet
        ({1: (3, 11)}, {(1, 0): 13, (1, 1): 12, (1, 2): 13}, 12),
        ({1: (3, 11)}, {(1, 0): 13, (1, 2): 13}, 11),  # a worker that has said nothing is where it began
        ({1: (1, 5), 2: (2, 9)}, {(1, 0): 9, (2, 0): 14, (2, 1): 15}, 14),  # the last execution counts
    ],
)
def test_the_epoch_to_resume_is_the_least_of_the_last_executions_frontiers(
    executions: dict[int, tuple[int, int]], frontiers: dict[tuple[int, int], int], epoch: int | None
) -> None:
    assert resume_epoch(Progress(1, {0: 1}, executions, frontiers)) == epoch


def test_where_parts_lie_elsewhere_the_commits_of_those_here_count() -> None:
    assert resume_epoch(Progress(3, {0: 7, 2: 8}, {0: (1, 1)}, {(0, 0): 20})) == 9
    assert resume_epoch(Progress(3, {0: 0}, {0: (1, 1)}, {(0, 0): 20})) is None


def test_every_partition_gets_a_part_of_its_own(tmp_path: Path) -> None:
    names = ("main", "annex", "icu")
    whole = prepare(tmp_path, names, 4, names, first=True)
    assert len(set(whole.homes)) == 3
    assert len(list(tmp_path.glob("part-*.sqlite3"))) == whole.parts >= 3
    assert prepare(tmp_path, names, 4, ["annex"], first=False) == whole == made_for(tmp_path)
    assert sorted(progress(tmp_path).commits) == list(range(whole.parts))


def test_a_store_for_other_shards_partitions_or_version_is_refused_with_words(tmp_path: Path) -> None:
    run_flow(FlowOptions(data_dir=str(tmp_path), shards=2), lambda: True)
    with pytest.raises(
        FlowError, match=r"shards = 2 .*this flow has shards = 3 .*start it with those settings, or rem"
    ):
        run_flow(FlowOptions(data_dir=str(tmp_path), shards=3), lambda: True)
    with pytest.raises(FlowError, match=r"partitions \['main'\]; this flow .*\['annex', 'main'\]"):
        run_flow(FlowOptions(data_dir=str(tmp_path), shards=2, partitions=("main", "annex")), lambda: True)
    file = recovery_folder(tmp_path) / MADE_FOR
    file.write_bytes(msgspec.json.encode({"partitions": ["main"], "shards": 2}))  # as version 1 wrote it
    with pytest.raises(FlowError, match="is of version 1, this is version 2: run it with the femtoward that made it"):
        run_flow(FlowOptions(data_dir=str(tmp_path), shards=2), lambda: True)
    file.write_bytes(b"{")
    with pytest.raises(FlowError, match=r"is damaged .* put it back from a copy"):
        run_flow(FlowOptions(data_dir=str(tmp_path), shards=2), lambda: True)


def test_parts_that_do_not_belong_together_are_refused_with_words(tmp_path: Path) -> None:
    whole = prepare(tmp_path, ["main", "annex"], 4, ["main", "annex"], first=True)
    main, annex = whole.homes[whole.partitions.index("main")], whole.homes[whole.partitions.index("annex")]
    rest = {index: 50 for index in range(whole.parts) if index != annex}
    check_parts(whole, {"a": rest, "b": {annex: 49}})
    with pytest.raises(FlowError, match=r"part-annex.sqlite3 .* is missing in a: start every process"):
        check_parts(whole, {"a": rest})
    with pytest.raises(FlowError, match=r"part-main.sqlite3 .* lies in b and in another folder"):
        check_parts(whole, {"a": rest, "b": {annex: 50, main: 50}})
    with pytest.raises(FlowError, match=r"part-annex.sqlite3 .* is new or older than the others .*move it here"):
        check_parts(whole, {"a": rest, "b": {annex: 0}})


def test_a_part_that_was_removed_is_not_replaced_by_an_empty_one(tape: list[Record], tmp_path: Path) -> None:
    options = FlowOptions(data_dir=str(tmp_path), partitions=("main", "annex"), snapshot_s=0.01)
    with growing({options.journal("main"): tape, options.journal("annex"): tape[:200]}, 100.0) as whole:
        run_flow(options, whole.is_set)
    (recovery_folder(tmp_path) / "part-annex.sqlite3").unlink()
    with pytest.raises(FlowError, match=r"part-annex.sqlite3 .* is new or older than the others"):
        run_flow(options, lambda: True)


def test_without_a_recovery_store_the_flow_begins_at_the_oldest_record_left(tape: list[Record], tmp_path: Path) -> None:
    options = FlowOptions(data_dir=str(tmp_path))
    with Journal(options.journal("main"), segment_bytes=20_000, retain_bytes=1) as journal:
        for record in tape[:300]:
            journal.append([(RecordKind(record.kind), record.topic, record.payload)])
    with JournalReader(options.journal("main")) as reader:
        assert reader.first_offset > 0
    run_flow(options, lambda: True)
    assert committed_offset(tmp_path, "main") == 300


def test_the_journal_of_another_store_is_refused_before_anything_runs(tape: list[Record], tmp_path: Path) -> None:
    options = FlowOptions(data_dir=str(tmp_path))
    write(options.journal("main"), tape[:60])
    run_flow(options, lambda: True)
    shutil.rmtree(options.journal("main"))
    write(options.journal("main"), tape[:40])
    with pytest.raises(JournalError, match="ends at offset 40, but partition 'main' is to go on at 60"):
        run_flow(options, lambda: True)
