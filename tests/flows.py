"""Flows as processes of their own over journals that grow meanwhile, and what came of them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec
from wire import Tape, beating, birth_of, packets, played

from dataflows.flow import FlowOptions, run_flow
from dataflows.recovery import committed_offset
from dataflows.store import Store, StoreMissing
from ingest.journal import Journal, Record, RecordKind

# Says where it resumes, and lets a journal of some seconds take some batches; dies with the tests, however they end.
_FLOW = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[2]):
        sys.exit("the tests have ended")
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
import logging
import msgspec
from dataflows.flow import FlowOptions, PeerLostError, run_flow
from ingest.source import JournalSource
build = JournalSource.build_part
def build_part(self, step_id, for_part, resume_state):
    print("resumes", for_part, resume_state, flush=True)
    return build(self, step_id, for_part, resume_state)
JournalSource.build_part = build_part
JournalSource.__init__.__kwdefaults__["batch_size"] = 16
logging.basicConfig(level=logging.INFO)
try:
    run_flow(msgspec.json.decode(sys.argv[1], type=FlowOptions), lambda: bool(stopped))
except PeerLostError as error:
    sys.exit(f"lost: {error}")
"""

Digests = tuple[str, str, str, int, int]


def started(options: FlowOptions, log: Path) -> subprocess.Popen[str]:
    """A flow; what it says goes to a file."""
    with log.open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-c", _FLOW, msgspec.json.encode(options).decode(), str(os.getpid())],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )


def ended(flow: subprocess.Popen[str], within_s: float = 20.0) -> int:
    """Exit status of a flow that is about to end; its output is read up."""
    flow.communicate(timeout=within_s)
    return flow.returncode


def killed(flow: subprocess.Popen[str]) -> None:
    flow.kill()
    flow.communicate()


def resumed_at(flow: subprocess.Popen[str]) -> tuple[str, int | None]:
    """Partition and offset that a flow says it resumes at."""
    assert flow.stdout is not None
    _, partition, offset = flow.stdout.readline().split()
    return partition, None if offset == "None" else int(offset)


def ward(patients: int, seconds: float, *, seed: int = 0) -> list[Record]:
    """Journal of a ward with pauses, a hole and a device that is lost."""
    tape = Tape()
    for i in range(patients):
        tape.birth(birth_of(f"w{i}", f"p{i}"))
    streams = [
        packets(f"w{i}", beating(seconds, 60.0 + 5 * i, [(8.0, 15.0)] if i == 0 else [], seed=seed + i))
        for i in range(patients)
    ]
    del streams[-1][20:40]
    played(tape, streams)
    tape.ticks(12.0)
    return tape.records


def write(folder: Path, records: Sequence[Record], *, wait: Callable[[], bool] = lambda: False) -> None:
    """Write a journal with the arrival times that its records have; ends early once `wait` answers true."""
    arrivals = iter(record.arrival_ns for record in records)
    with Journal(folder, now_ns=lambda: next(arrivals), segment_bytes=200_000) as journal:
        for record in records:
            journal.append([(RecordKind(record.kind), record.topic, record.payload)])
            if record.kind == RecordKind.TICK and wait():
                return


class Growth(threading.Event):
    """Set when journals are whole; after each part of them, writing waits until it is told to go on."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = [threading.Event() for _ in range(parts)]
        self.go_on()

    def go_on(self) -> None:
        """Let the next part be written."""
        next(part for part in self.parts if not part.is_set()).set()


@contextmanager
def growing(journals: dict[Path, Sequence[Record]], speed: float, *, parts: int = 1) -> Iterator[Growth]:
    """Journals that are written so many times faster than real time, in parts of about equal length."""
    whole, over = Growth(parts), threading.Event()

    def feed(folder: Path, records: Sequence[Record]) -> None:
        ticks, told = sum(record.kind == RecordKind.TICK for record in records), count()

        def wait() -> bool:
            part = whole.parts[next(told) * parts // ticks]
            while not part.wait(0.05):
                if over.is_set():
                    return True
            return over.wait(0.25 / speed)

        write(folder, records, wait=wait)

    threads = [threading.Thread(target=feed, args=item) for item in journals.items()]

    def watch() -> None:
        for thread in threads:
            thread.join()
        whole.set()

    watcher = threading.Thread(target=watch)
    for thread in (*threads, watcher):
        thread.start()
    try:
        yield whole
    finally:
        over.set()
        watcher.join()


def eventually(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def rows(options: FlowOptions, partition: str = "main") -> int:
    """Vitals rows so far."""
    try:
        with Store(options.store(partition), readonly=True) as store:
            return store.count("vitals")
    except StoreMissing:
        return 0


def worked_off(options: FlowOptions, records: int, partition: str = "main") -> bool:
    """Whether a journal of so many records has been worked through, and that is committed."""
    return committed_offset(options.data_dir, partition) == records


def digests(options: FlowOptions, partition: str = "main") -> Digests:
    with Store(options.store(partition), readonly=True) as store:
        assert store.conflicts() == []
        vitals, alarms, beds = map(store.digest, ("vitals", "alarm", "bed"))
        return vitals, alarms, beds, store.count("vitals"), store.count("alarm")


def undisturbed(journal: Path, data_dir: Path) -> Digests:
    """What one uninterrupted run over a whole journal gives."""
    options = FlowOptions(data_dir=str(data_dir), stop_at_end=True, journals={"main": str(journal)})
    run_flow(options, lambda: False)
    return digests(options)
