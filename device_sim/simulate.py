"""Run a simulated ward: make packets ahead of time, publish each when its last sample is taken."""

import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from device_sim.address import parse_broker
from device_sim.fleet import Fleet, FleetOptions, birth_for, who
from device_sim.maker import Maker, Step
from device_sim.publish import LinkPlan, Message, Publisher
from device_sim.recorded_pulse import load_pulse
from device_sim.recording import load_recording
from device_sim.scenario import load_scenario, script_of
from device_sim.standin import placed
from device_sim.truth import TruthLine, encode_line
from device_sim.wearable import PACKET_NS
from device_sim.witness import Witness
from ingest.codec import encode_birth, encode_status
from ingest.profile import NAME_PATTERN, WIRE_VERSION, Birth, Status
from ingest.topics import bundle_topic, topic_of

CONNECT_S = 10.0
DRAIN_S = 8.0  # with connecting and the farewell it stays under 10 s
GATEWAY = "simulator"
_BUNDLE_NS = 25_000_000  # a gateway collects this long
_BUNDLE_PACKETS = 32  # some 100 kB
_POLL_S = 0.02


class SimOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is simulated and where it is published.

    Raises
    ------
    ValueError
        If a value cannot be; the message says what is allowed.
    """

    broker: str = "mqtt://127.0.0.1:1883"  # mqtt://[user[:password]@]host[:port]
    patients: int = 12
    scenario: str = "ward"  # a built-in name, or the path of a TOML file
    seed: int = 1
    seconds: float = 0.0  # 0: for ever
    speed: float = 1.0  # simulated seconds per second; sample times then run away from the clock
    truth: str | None = None  # file for the truth, JSON lines
    acked: str | None = None  # file for what the broker has acknowledged, JSON lines: [device, boot, seq]
    wfdb: tuple[str, ...] = ()  # recorded hearts: paths without extension, or N=PATH for patient N
    pulse: tuple[str, ...] = ()  # recorded pulses, likewise
    site: str = "demo"
    bundles: bool = False  # one client, many devices in a message
    truth_topic: bool = True  # beats on the truth topics too

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is started."""
        parse_broker(self.broker)
        if not 0.0 < self.speed <= 1000.0:
            raise ValueError(f"speed={self.speed}: need 0 < speed <= 1000")
        if not re.match(NAME_PATTERN, self.site):
            raise ValueError(f"site={self.site!r}: need 1-64 of A-Z a-z 0-9 _ -")
        self.fleet()
        load_scenario(self.scenario)
        for record in placed("wfdb", self.wfdb, self.patients).values():
            load_recording(record)
        for record in placed("pulse", self.pulse, self.patients).values():
            load_pulse(record)

    def fleet(self) -> FleetOptions:
        """The part of it that concerns the patients."""
        return FleetOptions(
            patients=self.patients,
            scenario=self.scenario,
            seed=self.seed,
            seconds=self.seconds,
            site=self.site,
            wfdb=self.wfdb,
            pulse=self.pulse,
        )


class _Head(msgspec.Struct, array_like=True):
    """What a packet begins with."""

    version: int
    device: str
    boot: str
    birth: int
    seq: int


_head = msgspec.msgpack.Decoder(_Head)
_to_json = msgspec.json.Encoder()


class Progress(NamedTuple):
    """How far a simulation is."""

    seconds: float
    packets_published: int
    packets_acknowledged: int
    connected: int


class SimReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation has done."""

    patients: int
    devices: int
    packets_published: int
    packets_acknowledged: int
    packets_dropped: int  # given up: a device that is cut off remembers ten minutes
    seconds: float  # simulated
    t_start_ns: int  # unix time of the start
    late_ms_max: float  # a packet left this long after its last sample, at the worst
    reconnects: int
    resent: int  # messages said again after a broken connection, though they had been acknowledged
    truth_path: str | None


def run_simulation(
    options: SimOptions, stopping: threading.Event, progress: Callable[[Progress], None] | None = None
) -> SimReport:
    """Simulate a ward and publish it, until it is over or `stopping` is set; then drain and disconnect.

    Parameters
    ----------
    options
        What and where.
    stopping
        Ends the simulation; what was published is still acknowledged before this returns (at most 10 s).
    progress
        Called about once a second.

    Raises
    ------
    ConnectionError
        If there is no broker at the start; later it is waited for.
    """
    with ExitStack() as files:
        truth, acked = (
            files.enter_context(Path(name).open("wb")) if name else None for name in (options.truth, options.acked)
        )
        births = _births(options, _start_ns(options))
        publisher = Publisher(parse_broker(options.broker), _plans(options, births), options.seed, acked)
        publisher.connect(CONNECT_S, stopping)
        t_start_ns = _start_ns(options)
        begin = time.monotonic() + (t_start_ns - wall_ns()) / 1e9
        fleet = Fleet(options.fleet(), t_start_ns)
        if fleet.births != births:
            # It has become midnight meanwhile, and every device was calibrated anew.
            publisher.greet_anew(_plans(options, fleet.births))
        witness = Witness(options.fleet(), fleet, t_start_ns) if truth else None
        maker = Maker(fleet, round(options.seconds * 1e9 / PACKET_NS) if options.seconds else None)
        maker.start()
        try:
            pace = _Pace(options, publisher, fleet, begin)
            while not stopping.is_set() and (step := pace.next_step(maker, stopping)) is not None:
                pace.play(step, stopping, truth)
                if witness is not None:
                    witness.packets([*step.births, *step.packets])
                    witness.lines(step.lines)
                if progress is not None and step.number % 4 == 3:
                    seconds = (step.number + 1) * PACKET_NS / 1e9
                    progress(Progress(seconds, publisher.published, publisher.acknowledged, publisher.connected))
            maker.stop()
            closing = fleet.closing_lines()
            _write(truth, closing)
            if witness is not None:
                witness.lines(closing)
                _write(truth, [witness.line(whole=pace.played == maker.n_steps)])
        finally:
            maker.stop()
            publisher.close(DRAIN_S)
    return SimReport(
        patients=options.patients,
        devices=options.patients,
        packets_published=publisher.published,
        packets_acknowledged=publisher.acknowledged,
        packets_dropped=publisher.dropped,
        seconds=pace.played * PACKET_NS / 1e9,
        t_start_ns=t_start_ns,
        late_ms_max=1e3 * pace.late_s,
        reconnects=publisher.reconnects,
        resent=publisher.resent,
        truth_path=options.truth,
    )


class _Pace:
    """Plays steps in time: every packet leaves when its last sample was taken."""

    def __init__(self, options: SimOptions, publisher: Publisher, fleet: Fleet, begin: float) -> None:
        self._options = options
        self._publisher = publisher
        self._fleet = fleet
        self._begin = begin
        self._topics = [topic_of(options.site, birth.device, "data") for birth in fleet.births]
        self._status_topics = [topic_of(options.site, birth.device, "status") for birth in fleet.births]
        self._birth_topics = [topic_of(options.site, birth.device, "birth") for birth in fleet.births]
        self._truth_topics = [topic_of(options.site, birth.device, "truth") for birth in fleet.births]
        self.late_s = 0.0
        self.played = 0

    def next_step(self, maker: Maker, stopping: threading.Event) -> Step | None:
        """Next step as soon as it is made; the clients are served meanwhile."""
        while not stopping.is_set():
            try:
                item = maker.steps.get_nowait()
            except queue.Empty:
                self._publisher.turn(time.monotonic() + _POLL_S)
                continue
            if isinstance(item, BaseException):
                raise item
            return item
        return None

    def play(self, step: Step, stopping: threading.Event, truth: BinaryIO | None) -> None:
        """Publish a step's packets and truth."""
        notes = dict(step.notes)
        for device, birth in step.births:
            link = 0 if self._options.bundles else device
            self._publisher.rename(link, Message(self._birth_topics[device], birth))
        for device, status in step.statuses:
            link = 0 if self._options.bundles else device
            self._publisher.tell(link, Message(self._status_topics[device], status))
        bundle: list[bytes] = []
        bundle_due = 0.0
        for device, payload in step.packets:
            due_ns = self._fleet.phase_ns[device] + (step.number + 1) * PACKET_NS
            if self._options.bundles:
                due_ns = -(-due_ns // _BUNDLE_NS) * _BUNDLE_NS
            due = self._begin + due_ns / 1e9 / self._options.speed
            if bundle and (due > bundle_due or len(bundle) == _BUNDLE_PACKETS):
                self._send_bundle(bundle)
                bundle = []
            bundle_due = due
            self._wait(due, stopping)
            if stopping.is_set():
                break
            if self._options.bundles:
                bundle.append(payload)
            else:
                self._publisher.publish(device, Message(self._topics[device], payload), note=self._note(payload))
            if self._options.truth_topic and device in notes:
                link = 0 if self._options.bundles else device
                self._publisher.note(link, Message(self._truth_topics[device], notes.pop(device)))
        if bundle:
            self._send_bundle(bundle)
        self.played = step.number + 1
        _write(truth, step.lines)

    def _wait(self, due: float, stopping: threading.Event) -> None:
        while (now := time.monotonic()) < due and not stopping.is_set():
            self._publisher.turn(min(due, now + _POLL_S))
        self.late_s = max(self.late_s, now - due)

    def _send_bundle(self, payloads: list[bytes]) -> None:
        """Packets go into the bundle as the bytes they are."""
        content = (WIRE_VERSION, GATEWAY, [msgspec.Raw(payload) for payload in payloads])
        message = Message(bundle_topic(self._options.site, GATEWAY), msgspec.msgpack.encode(content))
        note = b"".join(self._note(payload) for payload in payloads)
        self._publisher.publish(0, message, len(payloads), note)

    def _note(self, payload: bytes) -> bytes:
        """Line for the file of what was acknowledged."""
        if self._options.acked is None:
            return b""
        head = _head.decode(payload)
        return _to_json.encode((head.device, head.boot, head.seq)) + b"\n"


def wall_ns() -> int:
    """Unix time now."""
    return time.time_ns()


def _start_ns(options: SimOptions) -> int:
    """When a run that is begun now can start: it takes time to make the patients and their first second."""
    return wall_ns() + 300_000_000 + 3_000_000 * options.patients


def _births(options: SimOptions, t_start_ns: int) -> list[Birth]:
    """What the devices of a fleet that starts then will say of themselves."""
    scenario = load_scenario(options.scenario)
    found = []
    for index in range(options.patients):
        one = who(index, options.site)
        found.append(birth_for(script_of(scenario, index), one, t_start_ns))
    return found


def _plans(options: SimOptions, births: list[Birth]) -> list[LinkPlan]:
    """One client per device, or one for all of them."""
    online = encode_status(Status(state="online", reason="simulated"))
    offline = encode_status(Status(state="offline", reason="simulation ended"))
    cut_off = encode_status(Status(state="offline", reason="connection lost"))
    plans = []
    for birth in births:
        status = topic_of(options.site, birth.device, "status")
        said = Message(topic_of(options.site, birth.device, "birth"), encode_birth(birth))
        greeting = (said, Message(status, online))
        client_id = f"femtoward-sim-{options.site}-{birth.device}"
        plans.append(LinkPlan(client_id, greeting, (Message(status, offline),), Message(status, cut_off)))
    if not options.bundles:
        return plans
    # A client has one last will only: a gateway that is cut off is noticed by its devices' silence.
    greetings = tuple(message for plan in plans for message in plan.greeting)
    farewell = tuple(message for plan in plans for message in plan.farewell)
    return [LinkPlan(f"femtoward-sim-{options.site}-{GATEWAY}", greetings, farewell, None)]


def _write(truth: BinaryIO | None, lines: list[TruthLine]) -> None:
    if truth is not None:
        truth.writelines(encode_line(line) + b"\n" for line in lines)
        truth.flush()
