"""A ward page for tests: a store that the test writes as the flow would, and the server that shows it."""

import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from servers import answers, eventually, free_port

from dataflows.events import AlarmEvent, Answer, Condition, PatientInfo, Priority, Reading, Row, Vitals, Wave
from dataflows.store import Store
from deploy.page.server import run_page
from deploy.settings import parse_settings
from deploy.wiring import api_options, page_options
from ingest.beacon import Beacon
from ingest.command import Acknowledge, Comment, Mark, Shelve, Unshelve
from ingest.documents import decode_command
from ingest.door import Door

ROOT = Path(__file__).parents[1]
SITE = "north"
NS = 1_000_000_000
NO = Reading()
OfAlarm = Acknowledge | Shelve | Unshelve | Comment | Mark


def key(index: int) -> str:
    """Name of a bed to the page."""
    return f"main/{SITE}/p{index:02}"


def rate_of(index: int) -> float:
    """Heart rate of a patient."""
    return 60.0 + index % 40


def patient(index: int, *, admitted: bool = True, revision: int = 1) -> PatientInfo:
    return PatientInfo(SITE, f"p{index:02}", f"bed-{index:02}", (f"w{index}",), admitted, revision)


def vitals(index: int, second: int, hr: float | None = None, quality: float = 0.95, reason: str = "") -> Vitals:
    rate = rate_of(index) if hr is None else hr
    pulse, temp = Reading(rate_of(index) + 1.0, 0.7, 0.9), Reading(33.4 + index % 7 / 10, 0.05, 1.0)
    hr_reading = Reading(rate, 0.4 + index % 5 / 10, 0.9)
    rmssd = Reading(38.0, 6.0, 0.8)
    settling, late = False, False
    return Vitals(
        *(SITE, f"p{index:02}", second, hr_reading, NO, rmssd, NO, pulse, temp),
        *(1.0, quality, reason, "mcg+ppg", settling, late),
        resp=Reading(12.0 + index % 9, 0.6, 0.8),
    )


def wave(index: int, second: int, *, beating: bool = True) -> Wave:
    """One second of a lead that looks like a heart."""
    t = second % 86_400 + np.arange(125) / 125
    phase = (t * rate_of(index) / 60.0) % 1.0
    beat = [(0.18, 0.025, 5.0), (0.285, 0.008, -6.0), (0.30, 0.010, 50.0), (0.32, 0.010, -11.0), (0.52, 0.05, 12.0)]
    heart = sum(size * np.exp(-(((phase - at) / width) ** 2)) for at, width, size in beat)
    noise = np.random.default_rng(second).normal(0.0, 0.6, 125)
    samples = (heart if beating else 0.0) + noise
    return Wave(SITE, f"p{index:02}", second, "mcg", 0.01, "pT", np.rint(samples / 0.01).astype("<i2").tobytes())


def alarm(
    index: int,
    condition: Condition = "asystole",
    priority: Priority = "high",
    reason: str = "no heartbeat for 4 s",
    *,
    event_ns: int | None = None,
) -> AlarmEvent:
    """An alarm that is raised now."""
    now_ns = time.time_ns() if event_ns is None else event_ns
    return AlarmEvent(
        site=SITE,
        id=f"alarm-{index}-{condition}",
        step=0,
        patient=f"p{index:02}",
        condition=condition,
        category="physiological",
        priority=priority,
        state="active",
        onset_ns=now_ns - 4 * NS,
        event_ns=now_ns,
        arrival_ns=now_ns,
        value=0.0,
        limit=math.nan,
        quality=0.9,
        confidence=0.8,
        algorithm="beats",
        version="1",
        reason=reason,
    )


def ended(event: AlarmEvent) -> AlarmEvent:
    return replace(event, step=event.step + 1, state="ended", event_ns=time.time_ns())


def becoming(event: AlarmEvent, command: OfAlarm, now_ns: int) -> AlarmEvent:
    """What a command makes of an alarm."""
    event = replace(event, step=event.step + 1)
    match command:
        case Acknowledge():
            return replace(event, state="acknowledged", change="acknowledged")
        case Shelve():
            return replace(event, state="shelved", change="shelved", until_ns=now_ns + command.seconds * NS)
        case Unshelve():
            return replace(event, state="active", change="unshelved", until_ns=0)
        case Comment():
            return replace(event, change="commented")
        case Mark():
            return replace(event, change="marked", mark=command.was)


@dataclass
class Flow:
    """What stands in for ingest and the flow: it writes the store and answers what comes in by the door."""

    folder: Path
    beds: int
    partition: str = "main"
    age_s: int = 0  # of the newest that is known
    silent: set[int] = field(default_factory=set)  # beds of which no more is heard
    stopped: set[int] = field(default_factory=set)  # hearts
    extra: dict[int, Vitals] = field(default_factory=dict)  # instead of the usual vitals, their second is set

    def __post_init__(self) -> None:
        """Admit the patients; a few seconds of theirs are known already."""
        self.store = Store(self.folder / self.partition / "store.sqlite")
        self.door = Door(self.folder / self.partition / "door")
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.put(*(patient(index) for index in range(self.beds)))
        self.standing: dict[str, AlarmEvent] = {}
        end_s = int(time.time()) - self.age_s
        for second in range(end_s - 12, end_s):
            self.beat(second)

    def put(self, *rows: Row) -> None:
        with self._lock:
            self.store.put(rows)

    def raise_(self, event: AlarmEvent) -> AlarmEvent:
        """Raise an alarm."""
        self.standing[event.id] = event
        self.put(event)
        return event

    def beat(self, second: int) -> None:
        """Close a second of every bed."""
        rows: list[Row] = []
        for index in set(range(self.beds)) - self.silent:
            own = self.extra.get(index)
            rows.append(replace(own, second=second) if own else vitals(index, second))
            rows.append(wave(index, second, beating=index not in self.stopped))
        self.put(*rows)

    def live(self) -> None:
        """Close each second as it passes, from now on."""
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    def _live(self) -> None:
        second = int(time.time())
        while not self._over.wait(max(0.0, second + 1.3 - time.time())):
            self.beat(second)
            second += 1

    def commands(self) -> list[tuple[str, OfAlarm]]:
        """What lies in the door, with who sent it; it is gone afterwards."""
        letters = self.door.take(100)
        self.door.done(letters)
        found = []
        for letter in letters:
            command = decode_command(letter.payload)
            assert isinstance(command, OfAlarm)
            found.append((letter.topic.rpartition("/")[2], command))
        return found

    def answer(self, done: bool = True, detail: str = "") -> None:  # noqa: FBT001, FBT002 - as the row has it
        """Do what came in, as the flow would."""
        for actor, command in self.commands():
            now_ns = time.time_ns()
            if done and (meant := self._meant(command)) is not None:
                event = becoming(meant, command, now_ns)
                self.raise_(replace(event, actor=actor, note=command.note, event_ns=now_ns, arrival_ns=now_ns))
            self.put(Answer(SITE, command.id, actor, done, detail, now_ns))

    def _meant(self, command: OfAlarm) -> AlarmEvent | None:
        if not isinstance(command, (Shelve, Unshelve)):
            return self.standing.get(command.alarm)
        place = (command.patient, command.condition)
        found = (event for event in self.standing.values() if (event.patient, event.condition) == place)
        return next(found, None)

    def close(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self.store.close()


@dataclass
class Server:
    """The page of a ward: in a thread, which is there at once, or apart, as `femtoward run --only page`."""

    folder: Path
    port: int
    more: str = ""
    apart: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        settings = f'[ward]\ndata_dir = "{self.folder}"\n[health]\npage = -1\n[page]\nport = {self.port}\n{self.more}'
        if not self.apart:
            self.stopping.clear()
            given = parse_settings(settings)
            arguments = (page_options(given), self.stopping, Beacon())
            self.thread = threading.Thread(target=run_page, args=arguments, kwargs={"api": api_options(given)})
            self.thread.start()
            eventually(lambda: answers(self.port), what="the page to be served")
            return
        config = self.folder / "page.toml"
        config.write_text(settings)
        with (self.folder / "page.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", "run", "--only", "page", "--config", str(config)],
                cwd=ROOT,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        ended_early = self.process
        eventually(lambda: answers(self.port) or ended_early.poll() is not None, what="the page to be served")
        assert ended_early.poll() is None, (self.folder / "page.log").read_text()

    def kill(self) -> None:
        """End it as a crash would, if it is apart."""
        if self.thread is not None:
            self.stopping.set()
            self.thread.join()
            return
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as a supervisor would; return its status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=10)


@contextmanager
def flow(folder: Path, beds: int, partition: str = "main", age_s: int = 0) -> Iterator[Flow]:
    """Have a ward with some beds."""
    one = Flow(folder, beds, partition, age_s)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def server(folder: Path, more: str = "", *, apart: bool = False) -> Iterator[Server]:
    """Serve the page of a ward."""
    one = Server(folder, free_port(), more, apart)
    one.start()
    try:
        yield one
    finally:
        one.kill()
