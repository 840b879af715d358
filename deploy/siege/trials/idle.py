"""What ten thousand known devices cost that say nothing, minute by minute from their last word on."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.couriers.cursors import seen
from dataflows.events import AlarmEvent, DeviceStatus, Vitals
from dataflows.store import Store
from deploy.siege.arena import SITE, Plan
from deploy.siege.trials.gateway import Gateway
from deploy.siege.trials.proc import cpu_s, mb, rss_bytes, snapshot_bytes
from deploy.siege.trials.stand import NOBODY, Stand
from deploy.siege.trials.tape import Tape
from deploy.siege.trials.trial import Outcome, Tell, within
from deploy.siege.trials.watch import Watch
from device_sim.wearable import PACKET_NS
from ingest.codec import encode_birth, encode_bundle
from ingest.topics import bundle_topic, topic_of

PROMISED: Final = 0.08  # of one core, ingest, flow and couriers together, once everybody has been told
MINUTE_S: Final = 60.0
LEAST: Final = 3  # minutes that are counted after that
HEARTS: Final = 16  # different ones
PACKETS: Final = 8  # of each device: two seconds
AT_ONCE: Final = 256  # devices that are introduced together
BUNDLE: Final = 32
SECOND_NS: Final = 1_000_000_000
PARTS: Final = ("ingest", "flow", "couriers")
WITHIN_S: Final = 900.0


class Idleness(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial; a share is CPU time of ingest, flow and couriers together over time that passed.

    The supervisor, `femtoward run`, is not in it: here the trial itself starts and watches the parts.
    """

    devices: int
    lost: int  # devices of which contact was lost, and said
    load_s: float  # to make them known
    told_minutes: int  # of silence until every courier has carried everything
    shares_without_run: tuple[float, ...]  # of one core, in each minute of silence, the first one first
    share_without_run: float  # the highest after everybody was told
    shares_by_part: dict[str, tuple[float, ...]]
    rss_mb: dict[str, float]
    snapshot_mb: float
    promised: float = PROMISED


@dataclass(frozen=True)
class Idle:
    """Make devices known, let all of them fall silent at once, and count CPU time."""

    patients: int = 10_000
    seconds: float = 720.0  # of silence: longer than it takes until every device is parked
    seed: int = 1

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        with Stand(Plan(folder, NOBODY, self.seed), gated=False) as stand:
            stand.start(tell)
            begin = time.monotonic()
            tape = Tape(HEARTS, seconds=PACKETS * PACKET_NS // SECOND_NS, seed=self.seed)
            with Gateway(stand.broker_port, "idle") as gateway:
                self._introduce(stand, tape, gateway, tell)
                load_s = time.monotonic() - begin
                tell(f"{self.patients} devices are known after {load_s:.0f} s")
                _speak(gateway, tape, range(self.patients), PACKETS)
                gateway.settle()
            watch, lost = Watch(stand.store, AlarmEvent), set[str]()
            minutes: list[dict[str, float]] = []
            told = 0
            while len(minutes) < max(self.seconds / MINUTE_S, told + LEAST) and len(minutes) * MINUTE_S < WITHIN_S:
                minutes.append(_shares(stand, tell))
                tell(f"share of one core in minute {len(minutes)} of silence: {_together(minutes[-1])}; {minutes[-1]}")
                lost |= _lost(watch)
                if not told and len(lost) >= self.patients and not _backlog(stand):
                    told = len(minutes)
                    tell(f"everybody has been told after {told} minutes")
            shares = tuple(map(_together, minutes))
            figures = Idleness(
                devices=self.patients,
                lost=len(lost),
                load_s=round(load_s, 1),
                told_minutes=told,
                shares_without_run=shares,
                share_without_run=max(shares[told:], default=float("nan")),
                shares_by_part={name: tuple(minute[name] for minute in minutes) for name in minutes[-1]},
                rss_mb={name: mb(rss_bytes(stand.pid(name))) for name in stand.parts(*PARTS)},
                snapshot_mb=mb(snapshot_bytes(stand.data_dir / "recovery")),
            )
        if not told:
            return Outcome(figures, [f"after {len(minutes)} minutes not everybody has been told"])
        what = "the highest share of one core after everybody was told, without `femtoward run`,"
        return Outcome(figures, within(what, figures.share_without_run, PROMISED, ""))

    def _introduce(self, stand: Stand, tape: Tape, gateway: Gateway, tell: Tell) -> None:
        """Births and some packets of every device, as fast as the flow takes them."""
        due = 0.0
        for first in range(0, self.patients, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, self.patients))
            for number in numbers:
                birth = tape.birth(_name(number), f"patient-{number:05d}")
                gateway.say(topic_of(SITE, _name(number), "birth"), encode_birth(birth), retain=True)
            for place in range(PACKETS):
                _speak(gateway, tape, numbers, place, ago=PACKETS - place)
            known = numbers.stop
            stand.until(lambda known=known: _known(stand) >= known, "the devices to be known", WITHIN_S, tell)  # type: ignore[misc]  # mypy cannot infer it
            if time.monotonic() >= due:
                due = time.monotonic() + 10.0
                tell(f"{known} devices are known")
        gateway.settle()


def _speak(gateway: Gateway, tape: Tape, numbers: range, place: int, ago: int = 1) -> None:
    """One packet of each device, `ago` packets before now."""
    t0_ns = time.time_ns() - ago * PACKET_NS
    packets = [tape.packet(number, place, _name(number), "idle", t0_ns) for number in numbers]
    for start in range(0, len(packets), BUNDLE):
        gateway.say(bundle_topic(SITE, "idle"), encode_bundle("idle", packets[start : start + BUNDLE]))


def _shares(stand: Stand, tell: Tell) -> dict[str, float]:
    """CPU time of each part over time that passed, in a minute."""
    pids = {name: stand.pid(name) for name in stand.parts(*PARTS)}
    before, begin = {name: cpu_s([pid]) for name, pid in pids.items()}, time.monotonic()
    # Nothing of ours may run meanwhile but what must: a look now and then.
    stand.receiver.closing.wait(MINUTE_S)
    passed_s = time.monotonic() - begin
    for said in stand.tend():
        tell(said)
    return {name: round((cpu_s([pid]) - before[name]) / passed_s, 4) for name, pid in pids.items()}


def _lost(watch: Watch) -> set[str]:
    """Patients of whom it is news that contact was lost."""
    rows = [stored.row for news in iter(watch.news, []) for stored in news]
    return {row.patient for row in rows if isinstance(row, AlarmEvent) and row.condition == "lost-contact"}


def _backlog(stand: Stand) -> int:
    """Rows that some courier has yet to carry; who thins vitals out holds those of an hour that is not over."""
    with Store(stand.store, readonly=True) as store:
        couriers = [one for one in seen(stand.partition_dir / "couriers.sqlite") if one.kinds != (Vitals.kind,)]
        return sum(store.waiting(one.settled, one.kinds) for one in couriers)


def _together(shares: dict[str, float]) -> float:
    return round(sum(shares.values()), 4)


def _name(number: int) -> str:
    return f"idle-{number:05d}"


def _known(stand: Stand) -> int:
    with Store(stand.store, readonly=True) as store:
        return store.count(DeviceStatus.kind)
