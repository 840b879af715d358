"""The local door: commands get in with the broker down and with ingest down, in order, and rubbish does not."""

from pathlib import Path

import msgspec
import pytest

from ingest import door
from ingest.door import Door, DoorFullError, report, send
from ingest.notices import Removed, Report
from ingest.profile import MAX_PAYLOAD_BYTES
from ingest.segments import RecordKind
from ingest.topics import command_topic, topic_of

TOPIC = command_topic("east", "nurse")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "main" / "door"


def test_letters_come_out_in_the_order_they_went_in_and_stay_until_done(folder: Path) -> None:
    for number in range(5):
        send(folder, TOPIC, b"%d" % number)
    inside = Door(folder)
    assert [letter.payload for letter in inside.take(3)] == [b"0", b"1", b"2"]
    letters = inside.take(3)
    assert [(letter.kind, letter.topic, letter.payload) for letter in letters[:1]] == [
        (RecordKind.COMMAND, TOPIC, b"0")
    ]
    inside.done(letters)
    inside.done(letters)  # a second time does no harm
    assert [letter.payload for letter in inside.take(3)] == [b"3", b"4"]


def test_a_report_carries_who_how_and_what(folder: Path) -> None:
    report(folder, "influx", ok=False, detail="does not answer")
    (letter,) = Door(folder).take(10)
    assert letter.kind is RecordKind.REPORT
    assert msgspec.json.decode(letter.payload, type=Report) == Report("influx", ok=False, detail="does not answer")


def test_only_topics_of_commands_are_let_in(folder: Path) -> None:
    for topic in (topic_of("east", "d1", "data"), "femtoward/v1/east/ward/cmd/", ""):
        with pytest.raises(ValueError, match="no topic of a command: needed"):
            send(folder, topic, b"{}")
    assert not folder.exists()


def test_a_payload_that_is_too_large_is_refused_to_the_sender(folder: Path) -> None:
    with pytest.raises(ValueError, match=f"{MAX_PAYLOAD_BYTES + 1} bytes is too large: at most {MAX_PAYLOAD_BYTES}"):
        send(folder, TOPIC, bytes(MAX_PAYLOAD_BYTES + 1))
    send(folder, TOPIC, bytes(MAX_PAYLOAD_BYTES))
    assert len(Door(folder).take(10)[0].payload) == MAX_PAYLOAD_BYTES


def test_what_is_no_letter_is_ignored_and_counted_and_holds_nothing_up(folder: Path) -> None:
    good = send(folder, TOPIC, b"good")
    (folder / "README").write_text("hello")
    (folder / "00000000000000000000-000000000000.letter").write_bytes(b"rubbish")
    (folder / "00000000000000000001-000000000000.letter").write_bytes(bytes(2 * MAX_PAYLOAD_BYTES))
    (folder / "00000000000000000002-000000000000.letter").mkdir()
    (folder / "00000000000000000003-000000000000.letter").write_bytes(msgspec.msgpack.encode([1, "", b"a tick"]))
    (folder / f".{good.name}.1.tmp").write_bytes(b"half of a letter being writ")
    inside = Door(folder)
    assert [letter.payload for letter in inside.take(1)] == [b"good"]
    assert inside.ignored == 5
    (folder / "README").unlink()
    inside.take(1)
    assert inside.ignored == 4


def test_a_door_where_nobody_collects_fills_up_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_LETTERS", 3)
    for _ in range(3):
        send(folder, TOPIC, b"")
    with pytest.raises(DoorFullError, match=r"3 letters wait .* start ingest"):
        report(folder, "influx", ok=True, detail="")


def test_a_door_full_of_large_letters_says_so_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_BYTES", 3000)
    send(folder, TOPIC, bytes(1500))
    with pytest.raises(DoorFullError, match=r"1 letters wait .* bytes: start ingest"):
        send(folder, TOPIC, bytes(1500))
    send(folder, TOPIC, b"short")


def test_a_report_carries_what_had_to_go(folder: Path) -> None:
    gone = Removed("vitals", 100, 200, 4096, "no room")
    report(folder, "store", ok=False, detail="room runs short", removed=gone)
    (letter,) = Door(folder).take(10)
    assert msgspec.json.decode(letter.payload, type=Report).removed == gone
    old = b'{"reporter":"disk","ok":true,"detail":""}'  # as written before there was anything to remove
    assert msgspec.json.decode(old, type=Report).removed is None
