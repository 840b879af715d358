"""Two devices that flood the ward, and what the other patients notice of it."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.events import OVER, AlarmEvent, Ledger, Vitals
from dataflows.store import Stored
from deploy.process import Process
from deploy.siege.arena import SITE, Plan
from deploy.siege.trials.flooder import QUIET_S, THEIRS, FloodOptions, FloodReport
from deploy.siege.trials.proc import load
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell, within
from deploy.siege.trials.watch import Freshness, latencies_ms, quantile, rows_of, unbalanced

PROMISED_MS: Final = 250.0  # one packet period
DEVICES: Final = ("flood-1", "flood-2")
WITHIN_S: Final = 120.0
ENDED_WITHIN_S: Final = 120.0  # the alarm, after the flood


class Flooding(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial; latency is the time from the end of a second to the commit of its row."""

    patients: int  # that do not flood
    times: float
    flood_s: float
    before_ms_p50: float
    before_ms_p99: float
    before_ms_max: float
    during_ms_p50: float
    during_ms_p99: float
    during_ms_max: float
    added_ms_p99: float
    added_ms_max: float
    flood_packets: int  # that the broker acknowledged
    flood_stored: int
    flood_quarantined: int
    flood_lost: int
    alarms: int  # of flooding
    alarms_ended: int
    ledger_balanced: bool
    load_before: float  # of the machine, see `proc.load`
    load_during: float
    promised_ms: float = PROMISED_MS


@dataclass(frozen=True)
class Flood:
    """Let two devices publish at fifty times their rate, and compare the others' vitals with those before."""

    patients: int = 12
    seconds: float = 60.0
    seed: int = 1
    times: float = 50.0  # their rate
    settled_s: float = 20.0  # before anything is measured

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        plan = Plan(folder, self.patients, self.seed, "quiet", influx=False)
        with Stand(plan, gated=False) as stand:
            stand.start(tell)
            fresh = Freshness(stand.store)
            stand.until(lambda: fresh.is_live(self.patients), "everybody's vitals", WITHIN_S, tell)
            stand.lead(self.settled_s, fresh.words, tell)
            rows: list[Stored] = []
            begin_s = time.time()
            stand.lead(self.seconds, lambda: _gather(fresh, rows), tell)
            tell(f"{', '.join(DEVICES)} flood: {self.times:g} times their rate for {self.seconds:g} s")
            load_before = load()
            flooders = self._flooders(stand)
            stand.lead(self.seconds + 2 * QUIET_S, lambda: _gather(fresh, rows), tell)
            stand.until(lambda: not flooders.running, "the flooders to have said all", WITHIN_S, tell)
            flooders.close()
            said = msgspec.json.decode((folder / "flooders.out").read_bytes(), type=FloodReport)
            load_during = load()
            tell("the flood is over")
            stand.until(lambda: _is_through(fresh, rows, said.end_ns), "the vitals of that time", WITHIN_S, tell)
            settled_s = stand.until(lambda: _ended(stand) or _alarms(stand) == [], "the alarm to end", ENDED_WITHIN_S)
            tell(f"its alarm ended within {settled_s:.0f} s")
            stand.supervisor.drain(("simulator", "ingest", "flow"))
            before = latencies_ms(stand.store, _between(rows, begin_s, said.begin_ns / 1e9))
            # What waits when the flood ends belongs to it.
            during = latencies_ms(stand.store, _between(rows, said.begin_ns / 1e9, said.end_ns / 1e9 + QUIET_S))

        ledger = rows_of(stand.store, Ledger)
        theirs = [row for row in ledger if row.device in DEVICES]
        alarms = _alarms(stand)
        figures = Flooding(
            patients=self.patients,
            times=self.times,
            flood_s=round((said.end_ns - said.begin_ns) / 1e9, 1),
            before_ms_p50=round(quantile(before, 0.5), 1),
            before_ms_p99=round(quantile(before, 0.99), 1),
            before_ms_max=round(quantile(before, 1.0), 1),
            during_ms_p50=round(quantile(during, 0.5), 1),
            during_ms_p99=round(quantile(during, 0.99), 1),
            during_ms_max=round(quantile(during, 1.0), 1),
            added_ms_p99=round(quantile(during, 0.99) - quantile(before, 0.99), 1),
            added_ms_max=round(quantile(during, 1.0) - quantile(before, 1.0), 1),
            flood_packets=sum(said.packets.values()),
            flood_stored=sum(row.stored for row in theirs),
            flood_quarantined=sum(row.quarantined for row in theirs),
            flood_lost=sum(row.lost for row in theirs),
            alarms=sum(event.change in {"raised", "retriggered"} for event in alarms),
            alarms_ended=sum(event.state == "ended" for event in alarms),
            ledger_balanced=not unbalanced(ledger),
            load_before=load_before,
            load_during=load_during,
        )
        return Outcome(figures, _judge(figures))

    def _flooders(self, stand: Stand) -> Process:
        options = FloodOptions(
            port=stand.broker_port, site=SITE, devices=DEVICES, times=self.times, seconds=self.seconds, seed=self.seed
        )
        file = stand.folder / "flooders.json"
        file.write_bytes(msgspec.json.encode(options))
        argv = (sys.executable, "-P", "-m", "deploy.siege.trials.flooder", str(file))
        return Process(argv, stand.logs / "flooders.log", stand.folder / "flooders.out")


def _judge(figures: Flooding) -> list[str]:
    wrong = within("the delay added to the slowest hundredth", figures.added_ms_p99, PROMISED_MS, "ms")
    wrong += within("the delay added to the slowest", figures.added_ms_max, PROMISED_MS, "ms")
    if not figures.alarms:
        wrong.append("no alarm says that devices flood")
    if figures.alarms_ended < figures.alarms:
        wrong.append(f"{figures.alarms - figures.alarms_ended} alarms of flooding stand although the flood is over")
    if not figures.flood_quarantined:
        wrong.append("the flooders were not throttled: nothing of theirs was refused")
    if figures.flood_stored + figures.flood_quarantined != figures.flood_packets or figures.flood_lost:
        wrong.append(
            f"of {figures.flood_packets} packets of the flooders {figures.flood_stored} are stored, "
            f"{figures.flood_quarantined} refused and {figures.flood_lost} lost: that does not add up"
        )
    if not figures.ledger_balanced:
        wrong.append("the ledger does not balance")
    return wrong


def _gather(fresh: Freshness, rows: list[Stored]) -> str:
    """Take in the new rows of those who do not flood."""
    rows += [one for one in fresh.look() if isinstance(row := one.row, Vitals) and not row.patient.startswith(THEIRS)]
    return f"{len(rows)} rows so far"


def _between(rows: Iterable[Stored], from_s: float, to_s: float) -> list[Stored]:
    """Rows whose seconds lie wholly within some time."""
    return [one for one in rows if isinstance(row := one.row, Vitals) and from_s <= row.second <= to_s - 1]


def _is_through(fresh: Freshness, rows: list[Stored], end_ns: int) -> bool:
    """Whether every patient's vitals are past the flood."""
    _gather(fresh, rows)
    newest = {row.patient: row.second for one in rows if isinstance(row := one.row, Vitals)}
    return min(newest.values(), default=0) > end_ns / 1e9 + QUIET_S


def _alarms(stand: Stand) -> list[AlarmEvent]:
    return [event for event in rows_of(stand.store, AlarmEvent) if event.condition == "flooding"]


def _ended(stand: Stand) -> bool:
    newest = {event.id: event.state for event in _alarms(stand)}
    return all(state in OVER for state in newest.values())
