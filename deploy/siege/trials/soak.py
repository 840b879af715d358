"""A hundred thousand devices that come and go: what stays of them in memory and in the snapshots."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.body import decode
from dataflows.events import DeviceStatus
from deploy.siege.arena import SITE, Plan
from deploy.siege.trials.gateway import Gateway
from deploy.siege.trials.proc import mb, rss_bytes, snapshot_bytes
from deploy.siege.trials.stand import NOBODY, Stand
from deploy.siege.trials.tape import Tape
from deploy.siege.trials.trial import Outcome, Tell, within
from device_sim.wearable import PACKET_NS
from ingest.codec import encode_birth, encode_bundle
from ingest.topics import bundle_topic, topic_of

HEARTS: Final = 16
PACKETS: Final = 4  # of each device
AT_ONCE: Final = 256  # devices that are there at a time
BUNDLE: Final = 32
WARM: Final = 5000  # devices that come and go before the first measurement: what is bounded has reached its bounds
PARTS: Final = ("ingest", "flow", "couriers")
WITHIN_S: Final = 900.0
SETTLED_S: Final = 20.0  # several snapshots
GROWN: Final = 0.10  # that memory may vary ...
GROWN_MB: Final = 16.0  # ... or so much, as allocators do
SNAPSHOT_MB: Final = 0.1


class Soaking(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial."""

    devices: int
    devices_per_s: float
    rss_before_mb: dict[str, float]  # after the first thousands had come and gone
    rss_after_mb: dict[str, float]
    snapshot_before_mb: float
    snapshot_after_mb: float


@dataclass(frozen=True)
class Soak:
    """Let devices be born, speak and leave, a few hundred at a time."""

    patients: int = 100_000
    seconds: float = SETTLED_S  # that the ward is given to settle
    seed: int = 1

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        tape = Tape(HEARTS, seconds=PACKETS * PACKET_NS // 1_000_000_000, seed=self.seed)
        warm = max(min(WARM, self.patients // 2), 1)
        with Stand(Plan(folder, NOBODY, self.seed, influx=False), gated=False) as stand:
            stand.start(tell)
            begin = time.monotonic()
            self._pass(stand, tape, range(warm), tell)
            before = self._settled(stand, warm - 1, tell)
            resumed = time.monotonic()
            self._pass(stand, tape, range(warm, self.patients), tell)
            spent_s = time.monotonic() - resumed
            after = self._settled(stand, self.patients - 1, tell)
            tell(f"{self.patients} devices came and went in {time.monotonic() - begin:.0f} s")
        (rss_before, snapshot_before), (rss_after, snapshot_after) = before, after
        figures = Soaking(
            devices=self.patients,
            devices_per_s=round((self.patients - warm) / spent_s, 1),
            rss_before_mb=rss_before,
            rss_after_mb=rss_after,
            snapshot_before_mb=snapshot_before,
            snapshot_after_mb=snapshot_after,
        )
        wrong = within("the snapshot", snapshot_after, snapshot_before * (1 + GROWN) + SNAPSHOT_MB, "MB")
        for name, most_mb in rss_before.items():
            limit_mb = max(most_mb * (1 + GROWN), most_mb + GROWN_MB)
            wrong += within(f"memory of {name}", rss_after[name], limit_mb, "MB")
        return Outcome(figures, wrong)

    def _pass(self, stand: Stand, tape: Tape, numbers: range, tell: Tell) -> None:
        """Let some devices come, speak and go."""
        due = 0.0
        with Gateway(stand.broker_port, "soak") as gateway:
            for first in range(numbers.start, numbers.stop, AT_ONCE):
                devices = [_name(number) for number in range(first, min(first + AT_ONCE, numbers.stop))]
                for number, device in enumerate(devices, first):
                    birth = encode_birth(tape.birth(device, f"patient-{number:06d}"))
                    gateway.say(topic_of(SITE, device, "birth"), birth, retain=True)
                self._speak(gateway, tape, devices)
                for device in devices:  # the broker forgets it, and all who listen are told
                    gateway.say(topic_of(SITE, device, "birth"), b"", retain=True)
                stand.tend()
                self._keep_pace(stand, devices[-1])
                if time.monotonic() >= due:
                    due = time.monotonic() + 10.0
                    tell(f"{first + len(devices)} devices have come and gone")
            gateway.settle()

    def _speak(self, gateway: Gateway, tape: Tape, devices: list[str]) -> None:
        t0_ns = time.time_ns() - PACKETS * PACKET_NS
        for number in range(PACKETS):
            for first in range(0, len(devices), BUNDLE):
                packets = [
                    tape.packet(first + place, number, device, "soak", t0_ns + number * PACKET_NS)
                    for place, device in enumerate(devices[first : first + BUNDLE])
                ]
                gateway.say(bundle_topic(SITE, "soak"), encode_bundle("soak", packets))

    def _keep_pace(self, stand: Stand, device: str) -> None:
        """Wait for the flow: what waits in the journal is not what is to be measured."""
        stand.until(lambda: _heard_of(stand, device), "the flow to keep pace", WITHIN_S)

    def _settled(self, stand: Stand, last: int, tell: Tell) -> tuple[dict[str, float], float]:
        """Memory of each part, and size of the snapshots, once all is quiet."""
        stand.until(lambda: _state(stand, _name(last)) == "gone", "the last device to be gone", WITHIN_S, tell)
        stand.lead(self.seconds)
        rss = {name: mb(rss_bytes(stand.pid(name))) for name in stand.parts(*PARTS)}
        snapshot = mb(snapshot_bytes(stand.data_dir / "recovery"))
        tell(f"memory {rss} MB, snapshots {snapshot} MB")
        return rss, snapshot


def _name(number: int) -> str:
    return f"soak-{number:06d}"


def _heard_of(stand: Stand, device: str) -> bool:
    return bool(_state(stand, device))


def _state(stand: Stand, device: str) -> str:
    """State of a device as the store has it; empty: not known."""
    with closing(sqlite3.connect(f"{stand.store.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
        found = db.execute(
            "SELECT body FROM out WHERE kind = 'device' AND second = 0 AND site = ? AND key = ?",
            (SITE, f"{SITE}/{device}"),
        ).fetchone()
    return decode(DeviceStatus, found[0]).state if found else ""
