"""The local door: commands and reports that reach the journal with the broker down, and wait with ingest down.

A letter is a file in the partition's folder `door/`. Whoever sends returns only when it is on disk; ingest journals
letters in the order of their names and removes them after the commit. When ingest dies between the two, a letter is
journalled twice: a command is known by its id, and a report says the same again. When the sender dies, the letter is
there as a whole or not at all.
"""

import contextlib
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ingest.durable import replace_file
from ingest.notices import Removed, Report
from ingest.profile import MAX_PAYLOAD_BYTES
from ingest.segments import RecordKind
from ingest.topics import Topic, parse_topic

log = logging.getLogger(__name__)

MAX_LETTERS: Final = 10_000
MAX_BYTES: Final = 64 << 20  # of all letters: ingest being down must not fill the disk
_NAME = re.compile(r"\d{20}-[0-9a-f]{12}\.letter")
_FRAME_BYTES = 1024  # of a file beside the payload, at most


class Letter(NamedTuple):
    """One letter, read."""

    path: Path
    kind: RecordKind
    topic: str
    payload: bytes


class _Sheet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What stands in the file."""

    kind: RecordKind
    topic: str
    payload: bytes


class DoorFullError(Exception):
    """Too many letters wait: ingest has been down for long, or reads another folder."""


def send(folder: Path | str, topic: str, payload: bytes) -> Path:
    """Leave a command for ingest; it is on disk when this returns.

    Parameters
    ----------
    folder
        The partition's folder `door`; made where missing.
    topic
        As over MQTT: ``topics.command_topic(site, actor)``.
    payload
        The encoded command; what it says is checked when it is read from the journal.

    Raises
    ------
    ValueError
        No topic for commands, or a payload beyond ``packet.MAX_PAYLOAD_BYTES``.
    DoorFullError
        Too many letters wait, or too large ones.
    """
    parsed = parse_topic(topic)
    if not isinstance(parsed, Topic) or parsed.leaf != "command":
        raise ValueError(f"{topic[:120]!r} is no topic of a command: needed femtoward/v1/SITE/ward/cmd/ACTOR")
    return _leave(Path(folder), _Sheet(RecordKind.COMMAND, topic, payload))


def report(folder: Path | str, reporter: str, *, ok: bool, detail: str, removed: Removed | None = None) -> Path:
    """Leave word of how some part of the system is and what had to go; `folder` and what is raised as with `send`."""
    said = msgspec.json.encode(Report(reporter, ok, detail, removed))
    return _leave(Path(folder), _Sheet(RecordKind.REPORT, "", said))


class Door:
    """Ingest's side of the door.

    Parameters
    ----------
    folder
        The partition's folder `door`; made where missing.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._strange: set[str] = set()
        self._decode: Callable[[bytes], _Sheet] = msgspec.msgpack.Decoder(_Sheet).decode

    @property
    def ignored(self) -> int:
        """Files lying in the door that are no letters, or could not be read as such."""
        return len(self._strange)

    def take(self, limit: int) -> list[Letter]:
        """Return the oldest letters, at most `limit`; they stay until `done`."""
        names = {file.name for file in self.folder.iterdir() if not file.name.startswith(".")}
        letters: list[Letter] = []
        strange = {name for name in names if not _NAME.fullmatch(name)}
        for name in sorted(names - strange):
            if len(letters) == limit:
                break
            letter = self._read(self.folder / name)
            if letter is None:
                strange.add(name)
            else:
                letters.append(letter)
        for name in sorted(strange - self._strange):
            log.warning("door: ignored a file", extra={"event": "door-ignored", "file": name[:120]})
        self._strange = strange
        return letters

    def done(self, letters: Iterable[Letter]) -> None:
        """Remove letters that are in the journal."""
        for letter in letters:
            letter.path.unlink(missing_ok=True)

    def _read(self, path: Path) -> Letter | None:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_PAYLOAD_BYTES + _FRAME_BYTES + 1)
            sheet = self._decode(content)
        except (OSError, msgspec.DecodeError):
            return None
        if sheet.kind not in {RecordKind.COMMAND, RecordKind.REPORT} or len(sheet.payload) > MAX_PAYLOAD_BYTES:
            return None
        return Letter(path, sheet.kind, sheet.topic, sheet.payload)


def _sizes(folder: Path) -> list[int]:
    sizes = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # ingest removes letters meanwhile
                sizes.append(entry.stat(follow_symlinks=False).st_size)
    return sizes


def _leave(folder: Path, sheet: _Sheet) -> Path:
    if len(sheet.payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload of {len(sheet.payload)} bytes is too large: at most {MAX_PAYLOAD_BYTES}")
    folder.mkdir(parents=True, exist_ok=True)
    waiting = _sizes(folder)
    if len(waiting) >= MAX_LETTERS or sum(waiting) + len(sheet.payload) > MAX_BYTES:
        raise DoorFullError(
            f"{len(waiting)} letters wait in {folder}, {sum(waiting)} bytes: "
            "start ingest for this partition, or name its own folder"
        )
    path = folder / f"{time.time_ns():020d}-{secrets.token_hex(6)}.letter"
    replace_file(path, msgspec.msgpack.encode(sheet))
    return path
