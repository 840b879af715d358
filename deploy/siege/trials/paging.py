"""From a condition that has come true to a webhook received: how long that takes on a whole ward."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.couriers.bodies import message_id
from dataflows.events import AlarmEvent
from deploy.siege.arena import Plan
from deploy.siege.trials.influx_away import latencies
from deploy.siege.trials.proc import load
from deploy.siege.trials.script import Episode, write_scenario
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell, within
from deploy.siege.trials.watch import Freshness, quantile, rows_of

P50_MS: Final = 150.0
P99_MS: Final = 500.0
REPEAT_S: Final = 120.0  # each heart pauses so often
PAUSE_S: Final = 7.0  # an alarm 4 s after its last beat, and its end 2 s after the next
HEARTS: Final = 60  # in the script: more patients than that take them in turn
SETTLED_S: Final = 20.0
WITHIN_S: Final = 180.0


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial, in ms from the arrival of the packet that made an event to the receipt of its webhook."""

    patients: int
    seconds: float
    alarms: int  # that were raised
    raised_ms_p50: float
    raised_ms_p99: float
    raised_ms_max: float
    events: int  # raised, ended and all between
    events_ms_p50: float
    events_ms_p99: float
    undelivered: int
    load: float  # of the machine, see `proc.load`


@dataclass(frozen=True)
class Paging:
    """Let hearts pause one after the other, and receive what is told of it."""

    patients: int = 200
    seconds: float = 240.0
    seed: int = 1

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        offsets = [SETTLED_S + number * (REPEAT_S - PAUSE_S - SETTLED_S) / HEARTS for number in range(HEARTS)]
        hearts = [[Episode("asystole", offset, offset + PAUSE_S)] for offset in offsets]
        scenario = write_scenario(folder / "scenario.toml", "Hearts that pause.", hearts, REPEAT_S)
        plan = Plan(folder, self.patients, self.seed, scenario, influx=False)
        with Stand(plan, gated=False) as stand:
            stand.start(tell)
            fresh = Freshness(stand.store)
            stand.until(lambda: fresh.is_live(self.patients), "everybody's vitals", WITHIN_S, tell)
            stand.lead(SETTLED_S, fresh.words, tell)
            begin_ns = time.time_ns()
            stand.lead(self.seconds, fresh.words, tell)
            end_ns, busy = time.time_ns(), load()
            stand.supervisor.drain(("simulator", "ingest", "flow"))
            stand.lead(2.0)
            receipts = list(stand.receiver.receipts)

        events = rows_of(stand.store, AlarmEvent)
        raised = [event for event in events if event.change in {"raised", "retriggered"} and event.priority == "high"]
        pages, every = (latencies(some, receipts, begin_ns, end_ns) for some in (raised, events))
        came = {receipt.id for receipt in receipts if receipt.taken}
        figures = Pages(
            patients=self.patients,
            seconds=self.seconds,
            alarms=len(pages),
            raised_ms_p50=round(quantile(pages, 0.5), 1),
            raised_ms_p99=round(quantile(pages, 0.99), 1),
            raised_ms_max=round(max(pages, default=float("nan")), 1),
            events=len(every),
            events_ms_p50=round(quantile(every, 0.5), 1),
            events_ms_p99=round(quantile(every, 0.99), 1),
            undelivered=sum(message_id(event) not in came for event in events),
            load=busy,
        )
        return Outcome(figures, _judge(figures))


def _judge(figures: Pages) -> list[str]:
    wrong = within("half of the pages take up to", figures.raised_ms_p50, P50_MS, "ms")
    wrong += within("99 of 100 pages take up to", figures.raised_ms_p99, P99_MS, "ms")
    if figures.undelivered:
        wrong.append(f"{figures.undelivered} alarm events did not reach the receiver")
    return wrong
