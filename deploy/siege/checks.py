"""What the siege has to show, worked out from what it left: journal, store, replay, InfluxDB, webhooks, truth."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.events import AlarmEvent
from dataflows.store import Store
from deploy.replay import replay
from deploy.score import score_alarms
from deploy.siege.arena import DATABASE, SITE, Arena
from deploy.siege.attacks import Attacks, Kill
from deploy.siege.chronicle import Chronicle
from deploy.siege.floors import BLIND_S, Figures, Played, floors
from deploy.siege.hooks import HooksCheck, check_hooks
from deploy.siege.inventory import check_ledger, lost_of, take_inventory
from deploy.siege.points import Influx, PointsCheck, check_points
from deploy.siege.rows import Difference, check_left, compare, entries, every
from deploy.siege.scripted import never_active
from deploy.siege.witness import Witness
from deploy.truth import truth_at
from device_sim.fleet import who

MOST_SAID: Final = 5
FLOWED_S: Final = 2.5  # before a kill: vitals rows came within this time, and nothing had cut them off


class Findings(NamedTuple):
    """Every figure, and what is wrong in words."""

    packets: int
    acknowledged: int
    acknowledged_lost: int
    repeated: int  # packets in the journal that were there already
    ledger_lost: int
    ledger_balanced: bool
    records: int
    rows: int
    difference: Difference
    alarms: Difference
    removed: int  # rows that the store gave up for want of room
    influx: PointsCheck | None
    webhooks: HooksCheck
    events_expected: int
    events_missed: int
    false_alarms: int
    restarts_s: list[float]
    replay_s: float
    wrong: list[str]


def check(
    arena: Arena,
    witness: Witness,
    chronicle: Chronicle,
    attacks: Attacks,
    tell: Callable[[str], None],
    stopping: threading.Event,
) -> Findings:
    """Work everything out; the ward has stopped, and InfluxDB still runs."""
    folder = arena.folder
    wrong: list[str] = []
    report, truth = arena.files.report(), truth_at(arena.files.truth)
    devices = {who(index, SITE).device for index in range(arena.plan.patients)}
    tell("counting the packets of the journal")
    journal, _ = witness.whole(folder / "whole")
    inventory = take_inventory(journal, SITE, devices)
    acknowledged, lost = lost_of(arena.acked, inventory)
    wrong += _some(lost, "packets that the broker had acknowledged are not in the journal")
    if report.packets_dropped:
        wrong.append(f"devices gave up {report.packets_dropped} packets: they were cut off for too long")
    tell("replaying the journal, without an interruption")
    again = replay(journal, folder / "replay", shards=arena.settings.shards, tell=_silent, stopping=stopping)
    with Store(Path(again.store), readonly=True) as store:
        replayed = entries(store)
        ledger = check_ledger(store, SITE, inventory)
        tell("comparing the points in InfluxDB")
        influx = None
        if arena.influx_gate is not None:
            influx = check_points(Influx(arena.influx_port, DATABASE), every(store))
        events = [row for row in every(store) if isinstance(row, AlarmEvent)]
    tell("comparing rows, webhooks and scripted events")
    with Store(arena.store, readonly=True) as store:
        left = entries(store)
        conflicts = store.conflicts(MOST_SAID)
        n_conflicts = store.conflict_count()
    rows, alarms = compare(chronicle, replayed)
    removed, gone = check_left(chronicle, left)
    wrong += [*rows.words("rows"), *alarms.words("alarm events"), *gone, *_some(ledger.wrong, "ledgers do not balance")]
    if n_conflicts:
        first = conflicts[0]
        wrong.append(
            f"{n_conflicts} rows came twice with different content; the first: {first.kept} and {first.refused}"
        )
    wrong += influx.wrong if influx else []
    webhooks = check_hooks(arena.receiver.receipts, arena.receiver.bodies, events)
    wrong += webhooks.wrong
    end_ns = report.t_start_ns + round(report.seconds * 1e9)
    score = score_alarms(truth, chronicle.alarms, end_ns)
    wrong += _some(
        [f"{alarm.condition} of {alarm.patient} at {alarm.from_ns}..{alarm.to_ns}" for alarm in score.missed],
        "scripted events were not found",
    )
    wall_ns = time.time_ns() - time.monotonic_ns()
    cuts_ns = [(wall_ns + round(begin_s * 1e9), wall_ns + round(end_s * 1e9)) for begin_s, end_s in attacks.cuts]
    expected = [alarm for alarm in truth.alarms if alarm.required and alarm.to_ns <= end_ns]
    wrong += _some(
        [f"{alarm.condition} of {alarm.patient}" for alarm in never_active(expected, chronicle.alarms, cuts_ns)],
        "scripted events were never told as active, though nothing was cut off about their onset",
    )
    patients = {who(index, SITE).patient for index in range(arena.plan.patients)}
    false = sum(event.category == "physiological" and event.patient in patients for event in score.false)
    wrong += floors(
        Played(attacks.script, attacks.done, attacks.asked, attacks.kills, attacks.crowds, chronicle.vitals_s),
        Figures(report.seconds, report.packets_published, acknowledged, score.expected, inventory.full),
    )
    return Findings(
        packets=report.packets_published,
        acknowledged=acknowledged,
        acknowledged_lost=len(lost),
        repeated=inventory.repeated,
        ledger_lost=ledger.lost,
        ledger_balanced=not ledger.wrong,
        records=again.records,
        rows=len(replayed),
        difference=rows,
        alarms=alarms,
        removed=removed,
        influx=influx,
        webhooks=webhooks,
        events_expected=score.expected,
        events_missed=len(score.missed),
        false_alarms=false,
        restarts_s=restarts_s(attacks.kills, attacks.cuts_s, chronicle.vitals_s),
        replay_s=again.wall_s,
        wrong=wrong,
    )


def restarts_s(kills: Sequence[Kill], cuts_s: Sequence[float], vitals_s: Sequence[float]) -> list[float]:
    """Time from each kill of the flow to the first new vitals row, where data came until then and nothing cut it off.

    Parameters
    ----------
    kills
        Of all programs.
    cuts_s
        When something began that kept data from coming.
    vitals_s
        When new vitals rows were seen, ascending.
    """
    at_s = [kill.at_s for kill in kills if kill.whom.startswith("flow")]
    found = []
    for begin_s in at_s:
        flowed = any(begin_s - FLOWED_S < seen_s <= begin_s for seen_s in vitals_s)
        back_s = next((seen_s for seen_s in vitals_s if seen_s > begin_s + BLIND_S), None)
        if flowed and back_s is not None:
            cut = any(begin_s - FLOWED_S < cut_s < back_s for cut_s in cuts_s)
            again = any(begin_s < other_s < back_s for other_s in at_s)
            if not cut and not again:
                found.append(back_s - begin_s)
    return found


def _some(said: list[str], what: str) -> list[str]:
    if not said:
        return []
    more = f", and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
    return [f"{len(said)} {what}: {'; '.join(said[:MOST_SAID])}{more}"]


def _silent(_: str) -> None:
    pass
