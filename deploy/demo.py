"""`femtoward demo`: a broker, a simulated ward and the whole way behind it, on this machine, for a while."""

import contextlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from deploy import broker
from deploy.problem import Stopped, UserError
from deploy.run import programs
from deploy.screen import Screen
from deploy.sections import Health, Page
from deploy.settings import PARTITION, Broker, Settings, Ward
from deploy.simulate import SimulationFiles, arguments, sim_options
from deploy.supervise import Program, Supervisor, femtoward
from deploy.verdict import DemoResult, judge
from deploy.watcher import Watcher
from deploy.wiring import door
from device_sim.fleet import who
from device_sim.simulate import SimOptions
from ingest.codec import encode_command
from ingest.command import Admit
from ingest.door import send
from ingest.journal import JournalReader, RecordKind
from ingest.notices import LinkNotice
from ingest.topics import command_topic

NOTICE = "simulated sensors; not a medical device"
LOOK_EVERY_S = 0.25
READY_WITHIN_S = 30.0
SITE = "demo"
ORDER = ("simulator", "ingest", "flow", "couriers", "page", "broker")
PAGE_PORT = 8080


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo was asked for."""

    patients: int = 12
    seconds: float | None = None  # None: until Ctrl-C
    scenario: str = "ward"
    wfdb: tuple[str, ...] = ()
    pulse: tuple[str, ...] = ()
    seed: int = 1
    data_dir: Path | None = None  # None: a temporary folder, removed at the end
    port: int | None = None  # None: a free one
    headless: bool = False
    as_json: bool = False


def run_demo(options: DemoOptions, stopping: threading.Event) -> tuple[DemoResult, list[str]]:
    """Run the demo until its time is over, or until `stopping` is set; return the result and what was wrong.

    Raises
    ------
    UserError
        It cannot run so.
    Stopped
        `stopping` was set before the simulation had begun.
    """
    _sim_options(options, options.port or 1, None)  # refused before anything is started
    if options.port is not None:
        broker.need_free(options.port)
    _go_on_unless(stopping)
    with (
        _folder(options.data_dir) as folder,
        Screen.of(headless=options.headless, result_on_stdout=options.as_json, notice=NOTICE) as screen,
    ):
        return _Demo(options, folder, screen, stopping).run()


class _Demo:
    """One run: children, store, screen."""

    def __init__(self, options: DemoOptions, folder: Path, screen: Screen, stopping: threading.Event) -> None:
        self._options, self._folder, self._screen, self._stopping = options, folder, screen, stopping
        self._port = options.port or broker.free_port()
        self._files = SimulationFiles(folder / "truth.jsonl", folder / "logs" / "simulator.out")
        self._watcher = Watcher(folder / PARTITION / "store.sqlite")
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "broker").mkdir(exist_ok=True)
        # Without anybody to look, the page would but take its share of the machine.
        self._page = None if options.headless else Page(port=broker.free_port_at(PAGE_PORT))
        self._settings, config = _settings(folder, self._port, self._page)
        given = arguments(_sim_options(options, self._port, self._files.truth))
        simulator = Program("simulator", femtoward("simulate", *given, "--json", "--supervised"), once=True)
        children = [*programs(config, self._settings), broker.program(folder / "broker", self._port), simulator]
        self._supervisor = Supervisor(
            sorted(children, key=lambda program: ORDER.index(program.name)), folder / "logs", folder / "logs"
        )

    def run(self) -> tuple[DemoResult, list[str]]:
        try:
            self._start()
            _go_on_unless(self._stopping)
            self._admit()
            self._supervisor.start("simulator")
            self._watch(self._over, None)
            self._screen.say(time.time_ns(), "draining: simulator, ingest, flow")
            statuses = self._supervisor.drain()
        finally:
            self._supervisor.kill()
        killed = [f"{name} ended with status {status}" for name, status in statuses.items() if status]
        result, wrong = judge(self._folder, self._files, kept=self._options.data_dir is not None)
        return result, [*self._screen.troubles, *killed, *wrong]

    def _start(self) -> None:
        self._screen.say(time.time_ns(), f"starting {broker.kind()} on port {self._port}, ingest and flow")
        _go_on_unless(self._stopping)
        if self._page is not None:
            self._say_page(self._page)
        self._supervisor.start("broker")
        broker.wait_until_open(self._port)
        for program in self._supervisor.programs:
            if program.name not in {"broker", "simulator"}:
                self._supervisor.start(program.name)
        # What comes before ingest has subscribed is lost, and what waits for the flow to start is late.
        ready = READY_WITHIN_S
        self._watch(
            self._subscribed, f"ingest did not reach the broker within {ready:g} s: look into {self._log('ingest')}"
        )
        self._watch(self._flowing, f"the flow did not start within {ready:g} s: look into {self._log('flow')}")

    def _say_page(self, page: Page) -> None:
        where = f"http://{page.host}:{page.port}/"
        taken = "" if page.port == PAGE_PORT else f" ({PAGE_PORT} is taken)"
        self._screen.page = where
        self._screen.say(time.time_ns(), f"the ward page is at {where}{taken}")

    def _admit(self) -> None:
        """Give the patients their beds, as a ward clerk would."""
        for index in range(self._options.patients):
            one = who(index, SITE)
            command = Admit(
                id=f"admit-{one.patient}", patient=one.patient, device=one.device, ward=one.ward, bed=one.bed
            )
            send(door(self._settings), command_topic(SITE, "demo"), encode_command(command))

    def _watch(self, done: Callable[[], bool], overdue: str | None) -> None:
        """Keep children and screen going until `done`, a stop, or (with a message for that) too late."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not done() and not self._stopping.is_set():
            for said in self._supervisor.tend():
                self._screen.trouble(time.time_ns(), said)
            self._screen.show(self._watcher.rows(), time.time_ns())
            if overdue and time.monotonic() > deadline:
                raise UserError(overdue)
            self._stopping.wait(LOOK_EVERY_S)

    def _over(self) -> bool:
        child = self._supervisor.children["simulator"]
        return child.process is None

    def _flowing(self) -> bool:
        # The flow makes its store with the first row; its recovery store is there as soon as it runs.
        return any((self._folder / "recovery").glob("part-*.sqlite3"))

    def _subscribed(self) -> bool:
        journal = self._folder / PARTITION / "journal"
        if not journal.is_dir():
            return False
        with JournalReader(journal) as reader:
            records = reader.read(reader.first_offset, 1000)
        links = [record.payload for record in records if record.kind == RecordKind.LINK]
        return any(msgspec.json.decode(link, type=LinkNotice).up for link in links)

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"


def _go_on_unless(stopping: threading.Event) -> None:
    if stopping.is_set():
        raise Stopped("stopped before the simulation began: there is nothing to sum up")


def _sim_options(options: DemoOptions, port: int, truth: Path | None) -> SimOptions:
    return sim_options(
        broker=f"mqtt://{broker.HOST}:{port}",
        patients=options.patients,
        scenario=options.scenario,
        seed=options.seed,
        seconds=options.seconds or 0.0,
        truth=str(truth) if truth else None,
        wfdb=options.wfdb,
        pulse=options.pulse,
        site=SITE,
    )


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is None:
        folder = Path(tempfile.mkdtemp(prefix="femtoward-demo-"))
        try:
            yield folder
        except (Stopped, KeyboardInterrupt):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # After any other error it stays: the message points into its logs.
        shutil.rmtree(folder, ignore_errors=True)
        return
    if (wanted / PARTITION).exists():
        raise UserError(f"{wanted} holds a run already: give a new --data-dir, or remove {wanted} first")
    try:
        wanted.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{wanted} cannot be made ({error.strerror}): give a --data-dir that can be written") from error
    yield wanted.absolute()


def _settings(folder: Path, port: int, page: Page | None) -> tuple[Settings, Path]:
    """Settings of the demo's ward, also as a file: `femtoward alarms --config` and the children read them there."""
    protocol: Literal["5", "3.1.1"] = (
        "5" if broker.kind() == "mosquitto" else "3.1.1"
    )  # as iotcore speaks it by default
    settings = Settings(
        ward=Ward(data_dir=str(folder)),
        broker=Broker(url=f"mqtt://{broker.HOST}:{port}", protocol=protocol),
        health=Health(ingest=-1, flow=-1, couriers=-1, page=-1, run=-1),  # a demo beside a ward must not take its ports
        page=page,
    )
    path = folder / "femtoward.toml"
    path.write_text(
        f"# Written by `femtoward demo`.\n[ward]\ndata_dir = {json.dumps(str(folder))}\n\n"
        f"[broker]\nurl = {json.dumps(settings.broker.url)}\nprotocol = {json.dumps(protocol)}\n\n"
        "[health]\ningest = -1\nflow = -1\ncouriers = -1\npage = -1\nrun = -1\n"
        + (f"\n[page]\nport = {page.port}\n" if page else ""),
        encoding="utf-8",
    )
    return settings, path
