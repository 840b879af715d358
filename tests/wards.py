"""Wards run by tests: real processes, their health, and what they leave in the journal."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ingest.journal import JournalReader, RecordKind

ROOT = Path(__file__).parents[1]
NOWHERE = "mqtt://127.0.0.1:1"
NO_HEALTH = "[health]\ningest = -1\nflow = -1\ncouriers = -1\nrun = -1\n"

Process = subprocess.Popen[str]


def start(started: list[Process], *arguments: object) -> Process:
    """Start `femtoward` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    started.append(process)
    return process


def command(process: Path) -> bytes:
    """Command line of a process in /proc."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


def child(ward: Process, part: str) -> int:
    """Number of the process of a part, which runs."""
    children = Path(f"/proc/{ward.pid}/task/{ward.pid}/children").read_text().split()
    found = [int(pid) for pid in children if f"--only\0{part}".encode() in command(Path(f"/proc/{pid}"))]
    assert found, f"no process of {part} runs"
    return found[0]


def reports(partition: Path) -> list[bytes]:
    """Reports in the journal."""
    with JournalReader(partition / "journal") as reader:
        return [r.payload for r in reader.read(reader.first_offset, 100_000) if r.kind == RecordKind.REPORT]


def health(port: int, path: str = "/readyz") -> tuple[int, Any]:
    """Status and what a process says of itself; (0, None): nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10.0) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.loads(refusal.read())
    except OSError:
        return 0, None
