"""The flow as two processes, either of them killed again and again, against one process that was left alone."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.store import Store
from deploy.replay import replay
from deploy.siege.arena import SITE, Plan
from deploy.siege.inventory import check_ledger, lost_of, take_inventory
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell
from deploy.siege.trials.watch import Freshness
from device_sim.fleet import who

PROCESSES: Final = 2
KINDS: Final = ("vitals", "wave", "alarm", "patient", "device", "ledger", "answer", "bad")
WITHIN_S: Final = 120.0


class Clustering(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial."""

    patients: int
    processes: int
    seconds: float
    kills: int
    live_s_max: float  # from a kill to where everybody's vitals are up to date
    packets_acknowledged: int
    acknowledged_lost: int
    rows: dict[str, int]  # of the cluster's store, by kind
    kinds_different: list[str]  # whose digest is not that of the one process
    conflicts: int
    ledger_balanced: bool


@dataclass(frozen=True)
class Cluster:
    """Run the flow as two processes, kill them in turn, and replay the journal in one process afterwards."""

    patients: int = 24
    seconds: float = 180.0
    seed: int = 1
    quiet_s: float = 10.0  # between a restart and the next kill

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        settings = {"flow": {"processes": PROCESSES}}
        live_s: list[float] = []
        with Stand(Plan(folder, self.patients, self.seed, "siege", influx=False), settings=settings) as stand:
            stand.start(tell)
            fresh = Freshness(stand.store)
            stand.until(lambda: fresh.is_live(self.patients), "everybody's vitals", WITHIN_S, tell)
            names = stand.parts("flow")
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                stand.lead(self.quiet_s, fresh.words, tell)
                name = names[len(live_s) % len(names)]
                stand.kill(name)
                fresh.forget()
                live_s.append(stand.until(lambda: fresh.is_live(self.patients), "the cluster", WITHIN_S, tell))
                tell(f"{name} was killed: everybody is live again after {live_s[-1]:.1f} s")
            stand.supervisor.drain()
            report = stand.files.report()

        tell("replaying the journal in one process")
        devices = {who(index, SITE).device for index in range(self.patients)}
        inventory = take_inventory(stand.journal, SITE, devices)
        acknowledged, lost = lost_of(stand.acked, inventory)
        again = replay(stand.journal, folder / "replay", stand.settings.shards, lambda _: None, threading.Event())
        with Store(stand.store, readonly=True) as ours, Store(Path(again.store), readonly=True) as theirs:
            different = [kind for kind in KINDS if ours.digest(kind) != theirs.digest(kind)]
            rows = {kind: ours.count(kind) for kind in KINDS}
            conflicts = ours.conflict_count()
            ledger = check_ledger(ours, SITE, inventory)
        figures = Clustering(
            patients=self.patients,
            processes=len(names),
            seconds=self.seconds,
            kills=len(live_s),
            live_s_max=round(max(live_s), 2),
            packets_acknowledged=acknowledged,
            acknowledged_lost=len(lost),
            rows=rows,
            kinds_different=different,
            conflicts=conflicts,
            ledger_balanced=not ledger.wrong,
        )
        wrong = [f"{kind}: the cluster's rows are not those of one process" for kind in different]
        if len(names) != PROCESSES:
            wrong.append(f"{len(names)} processes of the flow ran, {PROCESSES} were asked for")
        if lost:
            wrong.append(f"{len(lost)} packets that the broker acknowledged are not in the journal, such as {lost[0]}")
        if conflicts:
            wrong.append(f"{conflicts} rows came twice with different content")
        if report.packets_dropped:
            wrong.append(f"devices gave up {report.packets_dropped} packets")
        return Outcome(figures, [*wrong, *ledger.wrong])
