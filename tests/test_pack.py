"""Packing: what comes out is what went in, to the bit, for readers who look on, and whenever it is cut short."""

import shutil
import sqlite3
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import everything, pack_all
from strategies import packet_of, wearable

from ingest import group as group_module
from ingest import pack
from ingest.bundle import encode_bundle
from ingest.codec import encode_packet
from ingest.group import decode_group, encode_group
from ingest.journal import Journal, JournalError, JournalReader, NotAJournalError, RecordKind
from ingest.pack import pack_segment, tidy, unpacked
from ingest.packet import Block
from ingest.planes import Run, join, split
from ingest.segments import Record, packed_path, segment_path, segments
from ingest.topics import bundle_topic, topic_of

DATA = topic_of("east", "w1", "data")
Item = tuple[RecordKind, str, bytes]

payloads = st.binary(max_size=200)
topics = st.sampled_from([DATA, bundle_topic("east", "g1"), "", "anything/at all \n\0ü"])
items = st.tuples(st.sampled_from(RecordKind), topics, payloads)


def packet(seq: int, seed: int) -> bytes:
    """A packet of a wearable whose sensors are noisy about a slow wave."""
    rng = np.random.default_rng(seed)
    birth = wearable()
    blocks = []
    for index, stream in enumerate(birth.streams):
        wave = 1000 * np.sin(np.arange(stream.block_len) / 9) + rng.normal(0, 30, (stream.n_channels, stream.block_len))
        width = {"i2": "<i2", "i4": "<i4"}[stream.dtype]
        blocks.append(Block(index, seq * stream.block_len, 1, 0.0, wave.astype(width).tobytes()))
    made = packet_of(birth, seq)
    return encode_packet(type(made)(1, made.device, made.boot, made.birth, seq, made.t0_ns, 0, tuple(blocks)))


def journal_of(path: Path, count: int, segment_bytes: int = 8000) -> list[Item]:
    """A journal of packets with a tick after each fourth; what was appended."""
    appended: list[Item] = []
    with Journal(path, segment_bytes=segment_bytes) as journal:
        for number in range(count):
            now: list[Item] = [(RecordKind.MESSAGE, DATA, packet(number, number % 7))]
            if number % 4 == 3:
                now.append((RecordKind.TICK, "", b""))
            journal.append(now)
            appended += now
    return appended


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@given(
    appends=st.lists(st.lists(items, min_size=1, max_size=7), min_size=1, max_size=8),
    clock=st.lists(st.integers(0, 10**12), min_size=12, max_size=12),
    segment_bytes=st.integers(1, 900),
    limit=st.integers(1, 9),
    compress=st.booleans(),
    start=st.integers(0, 100),
)
def test_any_records_cut_and_packed_in_any_way_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    appends: list[list[Item]],
    clock: list[int],
    segment_bytes: int,
    limit: int,
    compress: bool,  # noqa: FBT001 - hypothesis names it
    start: int,
) -> None:
    path = tmp_path_factory.mktemp("journal")
    moments = iter(clock)
    with Journal(path, segment_bytes=segment_bytes, now_ns=lambda: next(moments)) as journal:
        for append in appends:
            journal.append(append)
        raw = everything(path)
        if compress:
            pack_all(path)
            assert unpacked(path, journal.first) == []
        assert everything(path, limit) == raw
        with JournalReader(path) as reader:
            assert (reader.first_offset, reader.end_offset) == (0, len(raw))
            assert reader.read(start, limit) == raw[start : start + limit]
    shutil.rmtree(path)
    assert [record.payload for record in raw if record.kind != RecordKind.TICK] == [
        payload for append in appends for kind, _, payload in append if kind is not RecordKind.TICK
    ]
    assert [record.offset for record in raw] == list(range(len(raw)))
    assert all(one.arrival_ns < two.arrival_ns for one, two in pairwise(raw))


@given(
    pieces=st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=120)), max_size=8),
    same=st.integers(0, 60),
    tail=st.binary(max_size=20),
)
def test_bytes_taken_apart_anywhere_are_put_together_again(
    pieces: list[tuple[bytes, bytes]], same: int, tail: bytes
) -> None:
    data, runs = b"", []
    for gap, run in [*pieces, *[(b"g", bytes(range(48)))] * same]:
        data += gap
        runs.append(Run(len(data), len(run)))
        data += run
    assert join(split(data + tail, runs)) == data + tail


@given(st.sampled_from([2, 3, 4]), st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=40))
def test_samples_of_every_width_come_back_at_the_ends_of_their_range(width: int, values: list[int]) -> None:
    top = (1 << 8 * width) - 1
    ramp = b"".join((i % 3).to_bytes(width, "little") for i in range(200))
    data = b"".join((value & top).to_bytes(width, "little") for value in [0, top, top >> 1, *values]) + ramp
    assert join(split(data, [Run(0, len(data))])) == data


def test_bundles_and_json_and_rubbish_come_back_too() -> None:
    birth = wearable()
    bundle = encode_bundle("g1", [packet_of(birth, seq) for seq in range(3)])
    many = [
        (DATA, packet(1, 1)),
        (DATA, encode_packet(packet_of(birth), "json")),
        (DATA, packet(2, 2)[:-5]),
        (DATA, b""),
        (DATA, b"{"),
        (bundle_topic("east", "g1"), bundle),
        (bundle_topic("east", "g1"), bundle[:-1]),
        ("elsewhere", packet(3, 3)),
    ]
    records = [Record(5 + i, 10**18 + i, 0, topic, payload) for i, (topic, payload) in enumerate(many)]
    assert decode_group(encode_group(records)) == records


def test_packed_packets_take_less_than_half(path: Path) -> None:
    journal_of(path, 400, segment_bytes=1 << 18)
    before = [segment_path(path, first).stat().st_size for first in segments(path)[:-1]]
    pack_all(path)
    after = [packed_path(path, first).stat().st_size for first in segments(path)[:-1]]
    assert sum(after) < sum(before) / 2


def test_a_reader_in_the_middle_of_a_raw_segment_reads_on_when_it_is_packed(path: Path) -> None:
    journal_of(path, 40)
    expected = everything(path)
    with JournalReader(path) as reader:
        found = reader.read(0, 2)
        assert pack_all(path) > 2
        assert not segment_path(path, 0).exists()
        while records := reader.read(len(found), 3):
            found += records
    assert found == expected


def test_packing_cut_short_at_any_group_leaves_the_raw_segment_and_is_done_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "GROUP_RECORDS", 8)
    journal_of(path, 60, segment_bytes=100_000)
    expected = everything(path)
    end = segments(path)[1]
    for steps in range(4):
        packing = pack_segment(path, 0, end)
        for _ in range(steps):
            next(packing)
        packing.close()
        assert segments(path, packed=False)[0] == 0
        assert not list(path.glob("*.pack.tmp"))
        assert everything(path) == expected
    assert pack_all(path) >= 1
    assert everything(path) == expected


def test_what_a_crash_leaves_between_naming_and_removing_is_tidied_up(path: Path) -> None:
    journal_of(path, 40)
    expected = everything(path)
    kept = {first: segment_path(path, first).read_bytes() for first in segments(path)}
    pack_all(path)
    first, *_, newest = segments(path)
    segment_path(path, first).write_bytes(kept[first])  # packed and not removed yet
    (path / f"{first:020d}.pack.tmp").write_bytes(b"half of ")
    assert everything(path) == expected
    assert unpacked(path, newest) == []
    tidy(path, newest)
    assert segments(path, packed=False) == [newest]
    assert not list(path.glob("*.pack.tmp"))
    assert everything(path) == expected


def test_a_journal_of_the_first_format_is_read_and_becomes_one_of_the_second_when_packed(path: Path) -> None:
    journal_of(path, 40)
    (path / "format").write_text("femtoward journal 1\n")
    expected = everything(path)
    with Journal(path):
        assert (path / "format").read_text() == "femtoward journal 1\n"
    pack_all(path)
    # A reader that knows the first format only takes this for a journal of another one.
    assert (path / "format").read_text() == "femtoward journal 2\n"
    assert everything(path)[: len(expected)] == expected
    (path / "format").write_text("femtoward journal 3\n")
    with pytest.raises(NotAJournalError, match="another format"):
        JournalReader(path)


def test_a_damaged_group_is_named_and_the_others_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "GROUP_RECORDS", 8)
    journal_of(path, 60, segment_bytes=100_000)
    pack_all(path)
    with sqlite3.connect(packed_path(path, 0)) as connection:
        connection.execute("UPDATE pack SET body = CAST(x'00' || substr(body, 2) AS BLOB) WHERE first = 8")
    connection.close()
    with JournalReader(path) as reader:
        assert len(reader.read(0, 8)) == 8
        with pytest.raises(JournalError, match=r"is damaged \(the group that holds offset 8 has another checksum\)"):
            reader.read(8, 1)
        assert reader.read(16, 1)[0].offset == 16


def test_a_group_that_would_not_come_out_as_it_went_in_is_not_packed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal_of(path, 40)
    expected = everything(path)
    monkeypatch.setattr(pack, "decode_group", lambda body: group_module.decode_group(body)[:-1])
    with pytest.raises(JournalError, match="does not come out as it went in; it stays as it is"):
        pack_all(path)
    assert everything(path) == expected


def test_a_segment_with_a_hole_is_not_packed(path: Path) -> None:
    journal_of(path, 40)
    end = segments(path)[1]
    with sqlite3.connect(segment_path(path, 0)) as connection:
        connection.execute("DELETE FROM record WHERE offset = 1")
    connection.close()
    with pytest.raises(JournalError, match="has a hole at offset"):
        list(pack_segment(path, 0, end))
    assert segment_path(path, 0).exists()


def test_the_arrival_time_goes_on_after_a_packed_segment(path: Path) -> None:
    journal_of(path, 40)
    last = everything(path)[-1]
    newest = segments(path)[-1]
    pack_all(path)
    for file in path.glob(f"{newest:020d}*"):
        file.unlink()  # a crash came before the newest one was there
    before = everything(path)[-1]
    torn = segment_path(path, newest)
    torn.write_bytes(b"")
    with Journal(path, now_ns=lambda: 0) as journal:
        assert journal.append([(RecordKind.TICK, "", b"")]) == range(newest, newest + 1)
    assert everything(path)[-1].arrival_ns == before.arrival_ns + 1 < last.arrival_ns
