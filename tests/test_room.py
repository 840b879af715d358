"""Room: what is left of disk and quota, and the order in which things shrink; a real disk that is full."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import small_disk

from ingest.room import EASE, Room, Stage

MB = 1 << 20


@given(
    left=st.integers(-10, 5000),
    more=st.integers(0, 5000),
    stop=st.integers(0, 1000),
    short=st.integers(1000, 4000),
    before=st.sampled_from(Stage),
)
def test_less_room_is_never_a_better_stage_and_a_better_one_needs_an_eighth_more(
    left: int, more: int, stop: int, short: int, before: Stage
) -> None:
    room = Room(Path(), short_bytes=short, stop_bytes=stop)
    assert room.stage(left) >= room.stage(left + more)
    assert room.stage(left, before) >= room.stage(left)
    if room.stage(left, before) < before:
        assert room.stage(left - max(left, 0) // (EASE + 1)) < before


def test_a_quota_counts_what_lies_under_the_folder(tmp_path: Path) -> None:
    room = Room(tmp_path / "main", short_bytes=100, stop_bytes=10, quota_bytes=1000)
    assert room.left() == 1000  # nothing there yet
    (tmp_path / "main" / "journal").mkdir(parents=True)
    (tmp_path / "main" / "journal" / "a").write_bytes(bytes(600))
    (tmp_path / "main" / "b").write_bytes(bytes(350))
    (tmp_path / "main" / "c").symlink_to("b")
    (tmp_path / "elsewhere").write_bytes(bytes(5000))
    assert 0 < room.left() <= 50
    assert room.stage(room.left()) is Stage.TIGHT
    (tmp_path / "main" / "b").write_bytes(bytes(5000))
    assert room.left() < 0
    assert room.stage(room.left()) is Stage.FULL


def test_without_a_quota_the_disk_counts(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail * disk.f_frsize
    left = Room(tmp_path / "not" / "yet", short_bytes=1, stop_bytes=1).left()
    assert abs(left - free) < free / 2 + MB  # others write meanwhile
    assert Room(tmp_path, short_bytes=1, stop_bytes=1, quota_bytes=1 << 60).left() < 1 << 59


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"short_bytes": 10, "stop_bytes": 11}, "stop_bytes=11"),
        ({"short_bytes": 10, "stop_bytes": -1}, "stop_bytes=-1"),
        ({"short_bytes": 10, "stop_bytes": 1, "quota_bytes": 10}, "quota_bytes=10"),
    ],
)
def test_bounds_that_contradict_each_other_are_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Room(Path(), **wrong)


def test_a_small_disk_runs_full_step_by_step(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        room = Room(disk, short_bytes=3 * MB, stop_bytes=MB // 4)
        seen = [room.stage(room.left())]
        for number in range(32):
            (disk / f"{number}").write_bytes(bytes(MB // 8 - 4096))
            seen.append(room.stage(room.left(), seen[-1]))
    assert list(dict.fromkeys(seen)) == list(Stage)
