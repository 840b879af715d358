"""What ten thousand known devices cost that say nothing."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.events import AlarmEvent, DeviceStatus
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

PROMISED: Final = 0.08  # of one core, ingest, flow and couriers together, once devices are parked
HEARTS: Final = 16  # different ones
PACKETS: Final = 8  # of each device: two seconds
AT_ONCE: Final = 256  # devices that are introduced together
BUNDLE: Final = 32
SECOND_NS: Final = 1_000_000_000
PARTS: Final = ("ingest", "flow", "couriers")
QUIET_S: Final = 45.0  # after the last packet: contact is lost, and everybody has been told
WITHIN_S: Final = 900.0


class Idleness(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial; a share is CPU time of ingest, flow and couriers together over time that passed.

    The supervisor, `femtoward run`, is not in it: here the trial itself starts and watches the parts.
    """

    devices: int
    load_s: float  # to make them known
    fresh_share_without_run: float  # of one core, as soon as all is quiet
    parked_after_s: float  # of silence
    parked_share_without_run: float
    shares_by_part: dict[str, float]  # of the second
    rss_mb: dict[str, float]
    snapshot_mb: float
    promised: float = PROMISED


@dataclass(frozen=True)
class Idle:
    """Make devices known, let them fall silent, and count CPU time, at once and when they have been parked."""

    patients: int = 10_000
    seconds: float = 60.0  # of each measurement
    seed: int = 1
    parked_s: float = 660.0  # of silence before the second one

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        with Stand(Plan(folder, NOBODY, self.seed), gated=False) as stand:
            stand.start(tell)
            begin = time.monotonic()
            self._introduce(stand, tell)
            silent_s = time.monotonic()
            watch = Watch(stand.store, AlarmEvent)
            load_s = time.monotonic() - begin
            tell(f"{self.patients} devices are known after {load_s:.0f} s")
            lost = 0

            def told() -> bool:
                nonlocal lost
                lost += sum(
                    isinstance(one.row, AlarmEvent) and one.row.condition == "lost-contact" for one in watch.news()
                )
                return lost >= self.patients

            stand.until(told, "everybody's lost contact", WITHIN_S, tell)
            stand.lead(QUIET_S, lambda: f"{len(stand.receiver.receipts)} webhooks so far", tell)
            fresh = self._shares(stand, tell)
            tell(f"share of one core as soon as all is quiet: {_together(fresh)}; {fresh}")
            wait_s = silent_s + self.parked_s - time.monotonic()
            stand.lead(max(wait_s, 0.0), lambda: f"{time.monotonic() - silent_s:.0f} s of silence", tell)
            parked = self._shares(stand, tell)
            tell(f"share after parking ({self.parked_s / 60:.0f} min of silence): {_together(parked)}; {parked}")
            figures = Idleness(
                devices=self.patients,
                load_s=round(load_s, 1),
                fresh_share_without_run=_together(fresh),
                parked_after_s=self.parked_s,
                parked_share_without_run=_together(parked),
                shares_by_part=parked,
                rss_mb={name: mb(rss_bytes(stand.pid(name))) for name in stand.parts(*PARTS)},
                snapshot_mb=mb(snapshot_bytes(stand.data_dir / "recovery")),
            )
        what = (
            f"the share of one core after parking ({self.parked_s / 60:.0f} min of silence), without `femtoward run`,"
        )
        return Outcome(figures, within(what, figures.parked_share_without_run, PROMISED, ""))

    def _introduce(self, stand: Stand, tell: Tell) -> None:
        """Births and some packets of every device, as fast as the flow takes them."""
        tape = Tape(HEARTS, seconds=PACKETS * PACKET_NS // SECOND_NS, seed=self.seed)
        due = 0.0
        with Gateway(stand.broker_port, "idle") as gateway:
            for first in range(0, self.patients, AT_ONCE):
                numbers = range(first, min(first + AT_ONCE, self.patients))
                for number in numbers:
                    birth = tape.birth(_name(number), f"patient-{number:05d}")
                    gateway.say(topic_of(SITE, _name(number), "birth"), encode_birth(birth), retain=True)
                begin_ns = time.time_ns() - PACKETS * PACKET_NS
                for place in range(PACKETS):
                    t0_ns = begin_ns + place * PACKET_NS
                    packets = [tape.packet(number, place, _name(number), "idle", t0_ns) for number in numbers]
                    for start in range(0, len(packets), BUNDLE):
                        bundle = encode_bundle("idle", packets[start : start + BUNDLE])
                        gateway.say(bundle_topic(SITE, "idle"), bundle)
                known = numbers.stop
                stand.until(lambda known=known: _known(stand) >= known, "the devices to be known", WITHIN_S, tell)  # type: ignore[misc]  # mypy cannot infer it
                if time.monotonic() >= due:
                    due = time.monotonic() + 10.0
                    tell(f"{known} devices are known")
            gateway.settle()

    def _shares(self, stand: Stand, tell: Tell) -> dict[str, float]:
        """CPU time of each part over time that passed."""
        pids = {name: stand.pid(name) for name in stand.parts(*PARTS)}
        before, begin = {name: cpu_s([pid]) for name, pid in pids.items()}, time.monotonic()
        # Nothing of ours may run meanwhile but what must: a look now and then.
        stand.receiver.closing.wait(self.seconds)
        passed_s = time.monotonic() - begin
        for said in stand.tend():
            tell(said)
        return {name: round((cpu_s([pid]) - before[name]) / passed_s, 4) for name, pid in pids.items()}


def _together(shares: dict[str, float]) -> float:
    return round(sum(shares.values()), 4)


def _name(number: int) -> str:
    return f"idle-{number:05d}"


def _known(stand: Stand) -> int:
    with Store(stand.store, readonly=True) as store:
        return store.count(DeviceStatus.kind)
