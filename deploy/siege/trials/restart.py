"""How long the ward is without new vitals when its flow is killed."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.events import Vitals
from deploy.siege.arena import Plan
from deploy.siege.trials.proc import cpu_s, load
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell, within
from deploy.siege.trials.watch import Freshness, Watch, quantile

PROMISED_S: Final = 5.0
LIVE_WITHIN_S: Final = 240.0  # a ward of hundreds takes its time to come on


class Restarts(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial; times in s from the SIGKILL."""

    patients: int
    snapshot_s: float
    kills: int
    first_row_s: list[float]  # to the first new vitals row in the store, of each kill
    first_row_s_median: float
    first_row_s_max: float
    first_row_cpu_s: list[float]  # CPU time of the new process up to there: what is left where nobody else computes
    live_s_median: float  # to where every patient has new rows, as young as they were before
    live_s_max: float
    load: float  # of the machine, see `proc.load`
    promised_s: float = PROMISED_S


@dataclass(frozen=True)
class Restart:
    """Kill the flow in different phases of the interval between its snapshots, and wait for the next new row."""

    patients: int = 300
    seconds: float = 3.0  # between two snapshots
    seed: int = 1
    kills: int = 5
    settled_s: float = 10.0  # that it must have been live before it is killed

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        settings = {"ward": {"snapshot_s": self.seconds}}
        plan = Plan(folder, self.patients, self.seed, scenario="quiet", influx=False)
        first_s, live_s, spent_s = [], [], []
        with Stand(plan, settings=settings, gated=False) as stand:
            stand.start(tell)
            fresh = Freshness(stand.store)
            for number in range(self.kills):
                stand.until(lambda: fresh.is_live(self.patients), "vitals of every patient", LIVE_WITHIN_S, tell)
                stand.lead(max(self.settled_s, 2 * self.seconds) + self.seconds * number / self.kills)
                watch = Watch(stand.store, Vitals)
                watch.last_id = fresh.watch.last_id
                at = time.monotonic()
                stand.kill("flow")
                watch.skip()  # what it had committed
                stand.until(lambda w=watch: bool(w.news(1)), "a new vitals row", LIVE_WITHIN_S, tell)  # type: ignore[misc]
                first_s.append(round(time.monotonic() - at, 3))
                spent_s.append(round(cpu_s([stand.pid("flow")]), 2))
                fresh.forget()
                stand.until(lambda: fresh.is_live(self.patients), "the flow to catch up", LIVE_WITHIN_S, tell)
                live_s.append(round(time.monotonic() - at, 3))
                watch.close()
                tell(
                    f"kill {number + 1} of {self.kills}: first new row after {first_s[-1]} s, live after {live_s[-1]} s"
                )
        figures = Restarts(
            patients=self.patients,
            snapshot_s=self.seconds,
            kills=self.kills,
            first_row_s=first_s,
            first_row_s_median=round(quantile(first_s, 0.5), 3),
            first_row_s_max=max(first_s),
            first_row_cpu_s=spent_s,
            live_s_median=round(quantile(live_s, 0.5), 3),
            live_s_max=max(live_s),
            load=load(),
        )
        return Outcome(
            figures, within("the longest time to the first new row", figures.first_row_s_max, PROMISED_S, "s")
        )
