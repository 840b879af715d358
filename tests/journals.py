"""Journals for tests, packed at once and read as a whole, and a disk for them that is soon full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.journal import JournalReader, Record
from ingest.pack import pack_segment, unpacked
from ingest.segments import segments


def everything(path: Path, limit: int = 1000) -> list[Record]:
    """All records of a journal, read so many at once."""
    with JournalReader(path) as reader:
        found: list[Record] = []
        while records := reader.read(reader.first_offset + len(found), limit):
            found += records
        return found


def pack_all(path: Path) -> int:
    """Pack every finished segment; how many."""
    every = segments(path)
    ends = dict(pairwise(every))
    raw = unpacked(path, every[-1])
    for first in raw:
        for _ in pack_segment(path, first, ends[first]):
            pass
    return len(raw)


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A disk of so many MiB, or skip where none may be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to be allowed to mount a small tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
