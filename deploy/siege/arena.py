"""One real stand in one folder: broker, InfluxDB, webhook receiver, a ward's processes, a fleet, gates between them."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec

from deploy import broker
from deploy.problem import UserError
from deploy.run import programs
from deploy.settings import PARTITION, Settings, read_settings
from deploy.siege.gate import Gate
from deploy.siege.receiver import Receiver
from deploy.siege.servers import find, influx_config, made, mosquitto_config
from deploy.simulate import SimulationFiles, sim_options
from deploy.supervise import FIRST_WAIT_S, Program, Supervisor
from deploy.wiring import door
from device_sim.fleet import who
from ingest.codec import encode_command
from ingest.command import Admit
from ingest.door import send
from ingest.journal import JournalReader, RecordKind
from ingest.notices import LinkNotice
from ingest.topics import command_topic

SITE: Final = "siege"
DATABASE: Final = "femtoward"
WEBHOOK: Final = "siege"
READY_WITHIN_S: Final = 60.0
LOOK_EVERY_S: Final = 0.05
KILLED_WITHIN_S: Final = 10.0
QUOTA_GB: Final = 32.0
SHORT_GB: Final = 0.2
STOP_MB: Final = 40
# In which order they are asked to finish.
ORDER: Final = ("simulator", "ingest", "flow", "couriers", "broker", "influx")
SERVERS: Final = ("broker", "influx")


class Plan(NamedTuple):
    """Who is besieged."""

    folder: Path
    patients: int
    seed: int = 1
    scenario: str = "siege"
    influx: bool = True
    processes: int = 1  # of the flow


class Arena:
    """Starts everything, keeps it going, and hands out what an attack takes hold of.

    Parameters
    ----------
    plan
        Folder, patients, servers.

    Attributes
    ----------
    device_gate, ward_gate, influx_gate
        Before the broker, for the devices and for ingest; before InfluxDB.
    receiver
        Takes webhooks.
    supervisor
        Of all child processes; a program's name is one of `ORDER`.
    settings
        Of the ward.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        mosquitto = find("mosquitto")
        if mosquitto is None:
            raise UserError("a siege needs mosquitto, with its persistence: install it (Debian: apt install mosquitto)")
        influxd = find("influxd") if plan.influx else None
        self.folder = plan.folder
        self.logs = made(plan.folder / "logs")
        self.broker_port = broker.free_port()
        self.influx_port = broker.free_port()
        self.device_gate, self.ward_gate = Gate(self.broker_port), Gate(self.broker_port)
        self.influx_gate = Gate(self.influx_port) if influxd else None
        self.receiver = Receiver(os.urandom(32))
        self.files = SimulationFiles(plan.folder / "truth.jsonl", self.logs / "simulator.out")
        self.acked = plan.folder / "acked.jsonl"
        self.config = self._write_config()
        self.settings: Settings = read_settings(self.config)
        children = [
            Program("broker", (mosquitto, "-c", str(mosquitto_config(plan.folder / "broker", self.broker_port)))),
            *programs(self.config, self.settings),
            self._simulator(),
        ]
        if influxd:
            home = made(plan.folder / "influx")
            config = influx_config(home, self.influx_port)
            children.append(Program("influx", ("/usr/bin/env", f"HOME={home}", influxd, "-config", str(config))))
        self.supervisor = Supervisor(
            sorted(children, key=lambda child: _place(child.name)), log_dir=self.logs, output_dir=self.logs
        )

    @property
    def data_dir(self) -> Path:
        """Where the ward keeps its data."""
        return self.settings.data_dir

    @property
    def partition_dir(self) -> Path:
        """Folder of the one partition: journal, store, cursors, door."""
        return self.settings.folder(PARTITION)

    @property
    def store(self) -> Path:
        """The ward's store."""
        return self.partition_dir / "store.sqlite"

    @property
    def journal(self) -> Path:
        """The ward's journal."""
        return self.partition_dir / "journal"

    @property
    def victims(self) -> tuple[str, ...]:
        """Programs that can be killed: they are started again."""
        return tuple(program.name for program in self.supervisor.programs if not program.once)

    @property
    def bound(self) -> tuple[str, ...]:
        """Programs that fall and rise together: the processes of a cluster."""
        return tuple(program.name for program in self.supervisor.programs if program.bound)

    def start(self, tell: Callable[[str], None] = lambda _: None, look: Callable[[str], None] = lambda _: None) -> None:
        """Start servers, gates, ward and fleet, each once what it needs is there.

        Raises
        ------
        UserError
            Something did not come up; the message says which log says why.
        """
        for gate in (self.device_gate, self.ward_gate, self.influx_gate):
            if gate is not None:
                gate.start()
        self.receiver.start()
        tell(f"starting {', '.join(program.name for program in self.supervisor.programs)}")
        for name in SERVERS:
            if name in self.victims:
                self.supervisor.start(name)
        broker.wait_until_open(self.broker_port)
        if self.influx_gate is not None:
            broker.wait_until_open(self.influx_port)
        for program in self.supervisor.programs:
            if program.name not in {*SERVERS, "simulator"}:
                self.supervisor.start(program.name)
        # What comes before ingest has subscribed is lost, and what waits for the flow to start is late.
        self.wait(self.subscribed, "ingest to reach the broker (see logs/ingest.log)", look=look)
        self.wait(self._flowing, "the flow to start (see logs/flow.log)", look=look)
        for index in range(self.plan.patients):
            one = who(index, SITE)
            command = Admit(
                id=f"admit-{one.patient}", patient=one.patient, device=one.device, ward=one.ward, bed=one.bed
            )
            send(door(self.settings), command_topic(SITE, "siege"), encode_command(command))
        self.supervisor.start("simulator")

    def tend(self) -> list[str]:
        """Start again what died, soon: a siege has no time for patience; return what died, in words."""
        for child in self.supervisor.children.values():
            child.wait_s = FIRST_WAIT_S
        return self.supervisor.tend()

    def wait(
        self,
        done: Callable[[], bool],
        what: str,
        within_s: float = READY_WITHIN_S,
        look: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep everything going until `done`; `look` hears what died.

        Raises
        ------
        UserError
            It takes too long.
        """
        deadline = time.monotonic() + within_s
        while not done():
            for said in self.tend():
                look(said)
            if time.monotonic() > deadline:
                raise UserError(f"waited {within_s:g} s in vain for {what}; everything lies in {self.folder}")
            self.receiver.closing.wait(LOOK_EVERY_S)

    def kill(self, name: str) -> bool:
        """End a program and all that it started at once (SIGKILL); False: it was dead already."""
        child = self.supervisor.children.get(name)
        if child is None or child.process is None or not child.running:
            return False
        child.process.kill()
        child.process.ended(KILLED_WITHIN_S)
        return True

    def halt(self, name: str) -> Callable[[], None] | None:
        """Stop a program where it stands (SIGSTOP), and return what lets it go on; None: it does not run."""
        child = self.supervisor.children.get(name)
        if child is None or child.process is None or not child.running:
            return None
        child.process.halt()
        return child.process.go_on

    def subscribed(self) -> bool:
        """Whether ingest has ever reached the broker."""
        if not self.journal.is_dir():
            return False
        with JournalReader(self.journal) as reader:
            records = reader.read(reader.first_offset, 1000)
        links = [record.payload for record in records if record.kind == RecordKind.LINK]
        return any(msgspec.json.decode(link, type=LinkNotice).up for link in links)

    def _flowing(self) -> bool:
        return any((self.data_dir / "recovery").glob("part-*.sqlite3"))

    def close(self) -> None:
        """End everything at once."""
        self.supervisor.kill()
        for gate in (self.device_gate, self.ward_gate, self.influx_gate):
            if gate is not None:
                gate.close()
        self.receiver.close()

    def __enter__(self) -> Self:
        """Return it, not yet started."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End everything."""
        self.close()

    def _simulator(self) -> Program:
        options = sim_options(
            broker=f"mqtt://{broker.HOST}:{self.device_gate.port}",
            patients=self.plan.patients,
            scenario=self.plan.scenario,
            seed=self.plan.seed,
            truth=str(self.files.truth),
            acked=str(self.acked),
            site=SITE,
            truth_topic=False,
        )
        file = self.folder / "fleet.json"
        file.write_bytes(msgspec.json.encode(options))
        return Program("simulator", (sys.executable, "-P", "-m", "deploy.siege.fleet", str(file)), once=True)

    def _write_config(self) -> Path:
        secret = self.folder / "webhook.secret"
        secret.write_text(self.receiver.secret)
        secret.chmod(0o600)
        sections: dict[str, dict[str, object]] = {
            "ward": {"data_dir": str(self.folder / "data")},
            "broker": {"url": f"mqtt://{broker.HOST}:{self.ward_gate.port}"},
            "disk": {"quota_gb": QUOTA_GB, "short_gb": SHORT_GB, "stop_mb": STOP_MB},
            "health": {"ingest": 0, "flow": 0, "couriers": 0, "run": -1},
        }
        if self.plan.processes > 1:
            sections["flow"] = {"processes": self.plan.processes}
        if self.influx_gate is not None:
            url = f"http://{broker.HOST}:{self.influx_gate.port}"
            sections["influx"] = {"url": url, "api": "v1", "bucket": DATABASE, "timeout_s": 5.0}
        text = "# Written by `femtoward siege`.\n"
        for name, section in sections.items():
            text += f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
        text += (
            f'[[webhook]]\nname = "{WEBHOOK}"\nurl = {json.dumps(self.receiver.url)}\nsecret_file = "webhook.secret"\n'
            "allow_local = true\ntimeout_s = 3.0\n"
        )
        path = self.folder / "femtoward.toml"
        path.write_text(text, encoding="utf-8")
        return path


def _place(name: str) -> int:
    """Place of a program in the order of finishing; several flow processes are called flow-0, flow-1, ..."""
    return next((index for index, one in enumerate(ORDER) if name == one or name.startswith(f"{one}-")), len(ORDER))
