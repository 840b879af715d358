"""InfluxDB out of reach: what alarms notice of it, what the backlog costs, and how fast it is worked off."""

import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.couriers.bodies import message_id
from dataflows.couriers.cursors import Cursors
from dataflows.events import AlarmEvent, Vitals
from dataflows.store import Store
from deploy.problem import UserError
from deploy.siege.arena import Plan
from deploy.siege.gate import OPEN, Order
from deploy.siege.receiver import Receipt
from deploy.siege.trials.proc import load, mb, rss_bytes
from deploy.siege.trials.script import Episode, write_scenario
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell, within
from deploy.siege.trials.watch import Freshness, quantile, rows_of

SLOWER_AT_MOST: Final = 1.10  # alarms during the outage, against before
FASTER_AT_LEAST: Final = 20.0  # than real time
GROWN_MB: Final = 16.0  # that the couriers' memory may vary
COURIER: Final = "influx"
COURIERS: Final = "couriers"
SETTLED_S: Final = 20.0
REPEAT_S: Final = 30.0
PAUSE_S: Final = 7.0  # of a heart: an alarm 4 s after its last beat, and its end 2 s after the next
WITHIN_S: Final = 120.0
DRAINED_S: Final = 5.0  # behind: as in quiet times
DRAIN_WITHIN_S: Final = 300.0
EDGE_S: Final = 5.0  # alarms this close to a phase's edges belong to none


class InfluxAbsence(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial; latency is from the arrival of the packet that made an alarm to the webhook's receipt."""

    patients: int
    away_s: float
    alarms_before: int
    alarms_during: int
    before_ms_p50: float
    before_ms_p99: float
    during_ms_p50: float
    during_ms_p99: float
    slower: float  # p99 during over p99 before
    alarms_undelivered: int
    backlog_s: float  # how far behind InfluxDB was in the end
    backlog_rows: int
    retry_s: float  # from its return to the first rows that it took
    drain_s: float  # and from there until it had all
    drain_times_real_time: float
    rss_before_mb: float  # of the couriers
    rss_during_mb: float  # at the most
    rss_end_mb: float  # when the backlog was largest
    rss_drain_mb: float  # at the most while it was worked off
    rss_after_mb: float
    load_before: float  # of the machine, see `proc.load`
    load_during: float


class _Memory:
    """Memory of the couriers, the most of it in a phase."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._due = 0.0
        self.most_mb = 0.0

    def look(self) -> str:
        """Read it, once a second."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + 1.0
            with suppress(UserError, FileNotFoundError):  # they have died, and start again
                self.most_mb = max(self.most_mb, self.now_mb())
        return f"couriers take {self.most_mb:.1f} MB at the most"

    def now_mb(self) -> float:
        """Read it now, of whichever process runs them."""
        return mb(rss_bytes(self._stand.pid(COURIERS)))


@dataclass(frozen=True)
class InfluxAway:
    """Make InfluxDB unreachable, first refusing, then silent, while hearts pause again and again."""

    patients: int = 40
    seconds: float = 600.0
    seed: int = 1
    before_s: float = 300.0  # no longer than the outage

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        # Each patient's heart stops at another time, so that alarms come all the while.
        offsets = [number * (REPEAT_S - PAUSE_S) / 14 for number in range(15)]
        hearts = [[Episode("asystole", offset, offset + PAUSE_S)] for offset in offsets]
        scenario = write_scenario(folder / "scenario.toml", "Hearts that pause.", hearts, REPEAT_S)
        with Stand(Plan(folder, self.patients, self.seed, scenario)) as stand:
            gate = stand.influx_gate
            if gate is None:
                raise UserError("this trial needs influxd: install it (Debian: apt install influxdb)")
            stand.start(tell)
            fresh = Freshness(stand.store)
            stand.until(lambda: fresh.is_live(self.patients), "everybody's vitals", WITHIN_S, tell)
            stand.until(lambda: self._behind(stand)[0] < DRAINED_S, "InfluxDB to have them", WITHIN_S, tell)
            stand.lead(SETTLED_S, fresh.words, tell)

            begin_ns = time.time_ns()
            memory = _Memory(stand)
            rss_before = self._lead(stand, fresh, memory, min(self.before_s, self.seconds), tell)
            gone_ns, load_before = time.time_ns(), load()
            tell(f"InfluxDB is out of reach for {self.seconds:g} s")
            gate.obey(Order("shut"))
            rss_refused = self._lead(stand, fresh, memory, self.seconds / 2, tell)
            gate.obey(Order("hang"))
            rss_hung = self._lead(stand, fresh, memory, self.seconds / 2, tell)
            rss_end = memory.now_mb()
            backlog_s, backlog_rows = self._behind(stand)
            gate.obey(OPEN)
            back_ns, load_during = time.time_ns(), load()
            tell(f"InfluxDB is there again, {backlog_s:.0f} s and {backlog_rows} rows behind")

            memory.most_mb = 0.0
            retry_s = stand.until(lambda: self._moved(stand, backlog_rows), "the first rows", WITHIN_S, tell)
            behind_s = self._behind(stand)[0]
            drain_s = stand.until(lambda: self._drained(stand, memory), "the backlog", DRAIN_WITHIN_S, tell)
            rss_drain = memory.most_mb
            stand.lead(SETTLED_S, fresh.words, tell)
            rss_after = memory.now_mb()
            stand.supervisor.drain(("simulator", "ingest", "flow"))
            stand.lead(2.0)
            receipts = list(stand.receiver.receipts)

        events = rows_of(stand.store, AlarmEvent)
        before, during = latencies(events, receipts, begin_ns, gone_ns), latencies(events, receipts, gone_ns, back_ns)
        came = {receipt.id for receipt in receipts}
        figures = InfluxAbsence(
            patients=self.patients,
            away_s=self.seconds,
            alarms_before=len(before),
            alarms_during=len(during),
            before_ms_p50=round(quantile(before, 0.5), 1),
            before_ms_p99=round(quantile(before, 0.99), 1),
            during_ms_p50=round(quantile(during, 0.5), 1),
            during_ms_p99=round(quantile(during, 0.99), 1),
            slower=round(quantile(during, 0.99) / quantile(before, 0.99), 3) if before else float("nan"),
            alarms_undelivered=sum(message_id(event) not in came for event in events),
            backlog_s=round(backlog_s, 1),
            backlog_rows=backlog_rows,
            retry_s=round(retry_s, 2),
            drain_s=round(drain_s, 2),
            drain_times_real_time=round((behind_s + drain_s) / max(drain_s, 0.05), 1),
            rss_before_mb=rss_before,
            rss_during_mb=max(rss_refused, rss_hung),
            rss_end_mb=rss_end,
            rss_drain_mb=rss_drain,
            rss_after_mb=rss_after,
            load_before=load_before,
            load_during=load_during,
        )
        return Outcome(figures, _judge(figures))

    def _lead(self, stand: Stand, fresh: Freshness, memory: _Memory, seconds: float, tell: Tell) -> float:
        """Let time pass; return the most memory that the couriers took."""
        memory.most_mb = 0.0
        stand.lead(seconds, lambda: f"{fresh.words()}; {memory.look()}", tell)
        return memory.most_mb

    def _behind(self, stand: Stand) -> tuple[float, int]:
        """How old the oldest vitals row is that InfluxDB has not got (s), and how many rows lie from there on."""
        settled = self._settled(stand)
        with Store(stand.store, readonly=True) as store:
            first = store.read(settled, 1, (Vitals.kind,))
            rows = store.last_id() - settled
        row = first[0].row if first else None
        return (time.time() - row.second - 1 if isinstance(row, Vitals) else 0.0), rows

    def _settled(self, stand: Stand) -> int:
        with closing(Cursors(stand.partition_dir / "couriers.sqlite")) as cursors:
            return cursors.settled(COURIER)

    def _moved(self, stand: Stand, rows: int) -> bool:
        return self._behind(stand)[1] < rows

    def _drained(self, stand: Stand, memory: _Memory) -> bool:
        memory.look()
        return self._behind(stand)[0] < DRAINED_S


def latencies(events: Iterable[AlarmEvent], receipts: Iterable[Receipt], from_ns: int, to_ns: int) -> list[float]:
    """Time from the arrival of what caused an event to the receipt of its webhook, in ms, of events of some time."""
    first: dict[str, int] = {}
    for receipt in receipts:
        if receipt.taken:
            first.setdefault(receipt.id, receipt.at_ns)
    edge_ns = round(EDGE_S * 1e9)
    return [
        (first[id_] - event.arrival_ns) / 1e6
        for event in events
        if from_ns + edge_ns <= event.arrival_ns < to_ns - edge_ns and (id_ := message_id(event)) in first
    ]


def _judge(figures: InfluxAbsence) -> list[str]:
    wrong = []
    if not figures.slower <= SLOWER_AT_MOST:
        wrong.append(
            f"the slowest hundredth of alarms took {figures.during_ms_p99} ms during the outage and "
            f"{figures.before_ms_p99} ms before: more than {SLOWER_AT_MOST:g} times"
        )
    if figures.alarms_undelivered:
        wrong.append(f"{figures.alarms_undelivered} alarm events did not reach the receiver")
    if not figures.drain_times_real_time >= FASTER_AT_LEAST:
        wrong.append(
            f"the backlog was worked off at {figures.drain_times_real_time} times real time: {FASTER_AT_LEAST:g} "
            "are promised"
        )
    most = max(figures.rss_during_mb, figures.rss_drain_mb)
    return wrong + within("the couriers' memory, grown by", most - figures.rss_before_mb, GROWN_MB, "MB")
