"""The broker out of reach, for devices and ward alike: no second may be missing, and what is over must not page."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.events import AlarmEvent, Ledger, Vitals
from deploy.siege.arena import SITE, Plan
from deploy.siege.gate import OPEN, Order
from deploy.siege.trials.aftermath import Edges, cases, gaps, judge_fates, wrongly_marked
from deploy.siege.trials.script import write_scenario
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell
from deploy.siege.trials.watch import Freshness, rows_of, unbalanced
from device_sim.fleet import who
from device_sim.truth import PatientLine, read_truth

TAIL_S: Final = 3.0  # so long do we look on when all is over
WITHIN_S: Final = 120.0
LEAST_S: Final = 45.0  # a shorter outage leaves no room for a condition that is over long before its end


class BrokerAbsence(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial."""

    patients: int
    away_s: float
    seconds_expected: int  # patients' seconds, from each one's first row to the end
    seconds_missing: int
    seconds_late: int
    seconds_wrongly_marked: int  # late and not marked, or marked and not late
    missed_expected: int  # conditions that were over long before the broker came back ...
    missed_recorded: int  # ... of which so many are recorded as missed
    missed_said: int  # ... and the receiver of webhooks was told so
    holding_expected: int  # conditions that had to page, as they still held or were there before ...
    holding_paged: int  # ... and did
    first_row_s: float  # from the broker's return to the first new vitals row
    live_s: float  # to where everybody's vitals are up to date; a device waits 15 s at most before it tries again
    lost: int  # packets, by the ledger
    ledger_balanced: bool


@dataclass(frozen=True)
class BrokerAway:
    """Shut the way to the broker for everybody, and open it again."""

    patients: int = 14
    seconds: float = 120.0
    seed: int = 1
    begin_s: float = 35.0  # of the run: then the broker goes
    after_s: float = 25.0  # what still holds goes on so long after it has come back

    def __post_init__(self) -> None:
        """Refuse what proves nothing."""
        if self.seconds < LEAST_S or self.patients < 1:
            raise ValueError(f"need seconds={self.seconds} >= {LEAST_S:g} and patients={self.patients} >= 1")

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure."""
        some = cases(self.begin_s, self.seconds, self.after_s)
        scenario = write_scenario(folder / "scenario.toml", "The broker goes.", [case.episodes for case in some])
        with Stand(Plan(folder, self.patients, self.seed, scenario, influx=False)) as stand:
            stand.start(tell)
            fresh = Freshness(stand.store)
            gone_s = _begin_ns(stand) / 1e9 + self.begin_s
            stand.lead(gone_s - time.time(), fresh.words, tell)
            _obey(stand, Order("shut"))
            tell(f"the broker is out of reach for {self.seconds:g} s")
            stand.lead(gone_s + self.seconds - time.time(), fresh.words, tell)
            _obey(stand, OPEN)
            back_ns = time.time_ns()
            tell("the broker is there again")
            fresh.forget()
            first_s = stand.until(lambda: bool(fresh.look()), "a vitals row", WITHIN_S, tell)
            live_s = first_s + stand.until(lambda: fresh.is_live(self.patients), "everybody's vitals", WITHIN_S, tell)
            edges = Edges(round(gone_s * 1e9), back_ns, time.time_ns())
            tell(f"first row after {first_s:.1f} s, everybody is live after {live_s:.1f} s")
            stand.lead(max(self.after_s + TAIL_S - live_s, TAIL_S), fresh.words, tell)
            stand.supervisor.drain(("simulator", "ingest", "flow"))
            stand.lead(1.0)  # for the couriers to bring the last events
            told = {receipt.id for receipt in stand.receiver.receipts if receipt.taken}

        patients = [(who(index, SITE).patient, some[index % len(some)]) for index in range(self.patients)]
        fates = judge_fates(patients, rows_of(stand.store, AlarmEvent), told)
        vitals, ledger = rows_of(stand.store, Vitals), rows_of(stand.store, Ledger)
        expected, missing = gaps(vitals)
        marked, lost, uneven = wrongly_marked(vitals, edges), sum(row.lost for row in ledger), unbalanced(ledger)
        wrong = list(fates.wrong)
        if missing:
            wrong.append(f"{missing} of {expected} seconds have no vitals row")
        if marked:
            some_said = ", ".join(f"{row.patient}/{row.second} late={row.late}" for row in marked[:3])
            wrong.append(f"{len(marked)} seconds are marked wrongly, such as {some_said}")
        if lost or uneven:
            wrong.append(f"the ledger knows of {lost} lost packets, and {len(uneven)} of its hours do not add up")
        figures = BrokerAbsence(
            patients=self.patients,
            away_s=self.seconds,
            seconds_expected=expected,
            seconds_missing=missing,
            seconds_late=sum(row.late for row in vitals),
            seconds_wrongly_marked=len(marked),
            missed_expected=fates.missed,
            missed_recorded=fates.recorded,
            missed_said=fates.said,
            holding_expected=fates.held,
            holding_paged=fates.paged,
            first_row_s=round(first_s, 3),
            live_s=round(live_s, 3),
            lost=lost,
            ledger_balanced=not uneven,
        )
        return Outcome(figures, wrong)


def _obey(stand: Stand, order: Order) -> None:
    for gate in (stand.device_gate, stand.ward_gate):
        gate.obey(order)


def _begin_ns(stand: Stand) -> int:
    """When the first device took its first sample."""
    truth = stand.files.truth
    stand.until(lambda: truth.is_file() and truth.stat().st_size > 0, "the fleet to begin", WITHIN_S)
    return next(line.from_ns for line in read_truth(truth) if isinstance(line, PatientLine))
