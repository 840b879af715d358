"""Device clocks that leap by a day and drift: vitals stay in order and in time, and nobody else notices."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.events import Ledger, Vitals
from dataflows.store import Store, Stored
from deploy.process import Process
from deploy.siege.arena import SITE, Plan
from deploy.siege.inventory import check_ledger, take_inventory
from deploy.siege.trials.clocked import Clock, ClockedOptions, ClockedReport
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell, within
from deploy.siege.trials.watch import Freshness, latencies_ms, quantile, rows_of
from device_sim.fleet import who

DAY_S: Final = 86_400.0
DRIFT_PPM: Final = 300.0  # several times what a watch crystal does
WITHIN_S: Final = 120.0
LATENCY_MS: Final = 3000.0  # a vitals row is never further from the time of its commit


class ClockFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial; latency is the time from the end of a second to the commit of its row."""

    patients: int  # with clocks that are right
    seconds: float
    seconds_missing: dict[str, int]  # by device with a wrong clock
    disordered: int  # rows that came after a later second of the same patient
    conflicts: int
    late: int  # rows marked late
    wrong_ms_p99: float  # latency of patients whose clocks are wrong
    wrong_ms_max: float
    others_ms_p50: float  # of the others
    others_ms_p99: float
    offset_s_max: dict[str, float]  # corrected minus raw time, the largest in size, by device
    refused: int
    ledger_balanced: bool


@dataclass(frozen=True)
class Clocks:
    """Let clocks leap ahead and back by a day, and drift, while samples go on evenly."""

    patients: int = 8
    seconds: float = 90.0
    seed: int = 1
    settled_s: float = 15.0

    @property
    def clocks(self) -> tuple[Clock, ...]:
        """Clocks of the devices."""
        first_s, second_s = self.seconds / 3, 2 * self.seconds / 3
        return (
            Clock(device="clock-ahead", steps=((first_s, DAY_S), (second_s, 0.0))),
            Clock(device="clock-back", steps=((first_s, -DAY_S), (second_s, 0.0))),
            Clock(device="clock-hour", steps=((first_s, 3600.0), (second_s, -3600.0))),
            Clock(device="clock-fast", drift_ppm=DRIFT_PPM),
            Clock(device="clock-slow", drift_ppm=-DRIFT_PPM),
        )

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        with Stand(Plan(folder, self.patients, self.seed, "quiet", influx=False), gated=False) as stand:
            stand.start(tell)
            fresh = Freshness(stand.store)
            rows: list[Stored] = []
            stand.until(lambda: fresh.is_live(self.patients), "everybody's vitals", WITHIN_S, tell)
            stand.lead(self.settled_s, fresh.words, tell)
            devices = self._devices(stand)

            def look() -> str:
                rows.extend(fresh.look())
                return f"{len(rows)} rows so far"

            stand.lead(self.seconds, look, tell)
            stand.until(lambda: not devices.running, "the devices to have said all", WITHIN_S, tell)
            devices.close()
            stand.lead(self.settled_s, look, tell)
            packets = msgspec.json.decode((folder / "clocked.out").read_bytes(), type=ClockedReport).packets
            stand.supervisor.drain(("simulator", "ingest", "flow"))
            mine = [one for one in rows if isinstance(row := one.row, Vitals) and "clock-" in row.patient]
            others = [one for one in rows if one not in mine]
            theirs_ms, others_ms = latencies_ms(stand.store, mine), latencies_ms(stand.store, others)

        ledger = rows_of(stand.store, Ledger)
        names = {clock.device for clock in self.clocks} | {who(index, SITE).device for index in range(self.patients)}
        inventory = take_inventory(stand.journal, SITE, names)
        with Store(stand.store, readonly=True) as store:
            conflicts = store.conflict_count()
            checked = check_ledger(store, SITE, inventory)
        vitals = [row for one in rows if isinstance(row := one.row, Vitals)]
        figures = ClockFigures(
            patients=self.patients,
            seconds=self.seconds,
            seconds_missing={clock.device: self._missing(clock, vitals, packets) for clock in self.clocks},
            disordered=_disordered(vitals),
            conflicts=conflicts,
            late=sum(row.late for row in vitals),
            wrong_ms_p99=round(quantile(theirs_ms, 0.99), 1),
            wrong_ms_max=round(quantile(theirs_ms, 1.0), 1),
            others_ms_p50=round(quantile(others_ms, 0.5), 1),
            others_ms_p99=round(quantile(others_ms, 0.99), 1),
            offset_s_max={clock.device: _offset_s(clock, vitals) for clock in self.clocks},
            refused=sum(row.quarantined for row in ledger),
            ledger_balanced=not checked.wrong,
        )
        return Outcome(figures, [*_judge(figures), *checked.wrong])

    def _devices(self, stand: Stand) -> Process:
        options = ClockedOptions(
            port=stand.broker_port, site=SITE, clocks=self.clocks, seconds=self.seconds, seed=self.seed
        )
        file = stand.folder / "clocked.json"
        file.write_bytes(msgspec.json.encode(options))
        argv = (sys.executable, "-P", "-m", "deploy.siege.trials.clocked", str(file))
        return Process(argv, stand.logs / "clocked.log", stand.folder / "clocked.out")

    def _missing(self, clock: Clock, vitals: Sequence[Vitals], packets: int) -> int:
        """Whole seconds of a device's samples without a row; the first and the last need not be whole."""
        seconds = {row.second for row in vitals if row.patient.endswith(clock.device)}
        return max(packets // 4 - 2 - len(seconds), 0)


def _disordered(vitals: Sequence[Vitals]) -> int:
    newest: dict[str, int] = {}
    count = 0
    for row in vitals:
        count += row.second <= newest.get(row.patient, 0)
        newest[row.patient] = max(row.second, newest.get(row.patient, 0))
    return count


def _offset_s(clock: Clock, vitals: Sequence[Vitals]) -> float:
    offsets = [row.clock_offset_ms / 1e3 for row in vitals if row.patient.endswith(clock.device)]
    return round(max(map(abs, offsets), default=float("nan")), 3)


def _judge(figures: ClockFigures) -> list[str]:
    wrong = [f"{device}: {n} seconds have no vitals row" for device, n in figures.seconds_missing.items() if n]
    if figures.disordered or figures.conflicts or figures.late:
        wrong.append(
            f"{figures.disordered} rows out of order, {figures.conflicts} rows twice with different content, "
            f"{figures.late} rows marked late: none of it should be"
        )
    wrong += within("the latency of a patient whose device's clock is wrong", figures.wrong_ms_max, LATENCY_MS, "ms")
    if figures.refused:
        wrong.append(f"{figures.refused} packets refused")
    return wrong
