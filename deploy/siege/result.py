"""The siege's one JSON object, and the same in words."""

from pathlib import Path
from typing import Final

import msgspec

from deploy.siege.arena import Plan
from deploy.siege.attacks import Attacks
from deploy.siege.checks import Findings

NOTICE: Final = "simulated sensors; not a medical device"


class SiegeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The siege's one JSON object; null: could not be measured."""

    kills: int
    packets: int  # published by simulated devices
    acknowledged_lost: int
    rows_missing: int
    rows_extra: int
    rows_different: int
    alarms_missing: int
    alarms_extra: int
    alarms_different: int
    influx_equal: bool | None  # null: there is no InfluxDB on this machine
    webhooks_missing: int
    webhooks_repeated: int  # that a receiver which keeps ids would show twice
    scripted_events_missed: int
    ledger_balanced: bool
    restart_s_max: float | None  # from a kill of the flow to the first new vitals row, where data came at all
    minutes: float
    seed: int
    patients: int
    flow_processes: int
    attacks: int
    stops: int  # SIGSTOP and SIGCONT
    packets_acknowledged: int
    packets_repeated: int  # in the journal, removed by their sequence numbers
    packets_lost: int  # as the ledger has it
    records: int  # in the journal
    rows: int
    rows_removed: int  # by the store, because the disk was full
    influx_points: int
    webhooks: int
    webhooks_again: int  # with the same id and body: passed over by a receiver that keeps ids
    webhooks_missing_high: int
    scripted_events: int
    restarts_measured: int
    replay_s: float
    crowd_min: int | None  # of 1,000 clients at once, the broker let in so many at the worst
    false_alarms: int  # physiological ones of simulated patients that nothing in the script explains
    data_dir: str | None
    simulated: bool


def in_words(result: SiegeResult) -> list[str]:
    """Summary for people."""
    r = result
    restart = "not measured" if r.restart_s_max is None else f"{r.restart_s_max:.1f} s at the worst"
    influx = {None: "not there", True: "equal", False: "NOT equal"}[r.influx_equal]
    rows = f"{r.rows_missing} missing, {r.rows_extra} extra, {r.rows_different} different"
    alarms = f"{r.alarms_missing} missing, {r.alarms_extra} extra, {r.alarms_different} different"
    events = f"{r.scripted_events_missed} of {r.scripted_events} scripted events missed"
    packets = f"{r.packets} published, {r.packets_acknowledged} acknowledged, of these {r.acknowledged_lost} lost"
    kept = f"kept in {r.data_dir}" if r.data_dir else "was temporary; --data-dir DIR keeps it"
    return [
        f"{r.patients} patients, {r.minutes:g} min, {r.kills} kills, {r.attacks} attacks; {NOTICE}",
        f"packets   {packets}, {r.packets_repeated} came again",
        f"rows      {r.rows} against an undisturbed replay: {rows}",
        f"alarms    {alarms}, {r.false_alarms} false; {events}",
        f"InfluxDB  {r.influx_points} points, {influx}",
        f"webhooks  {r.webhooks} taken, {r.webhooks_missing} missing, {r.webhooks_repeated} repeated",
        f"ledger    {'balances' if r.ledger_balanced else 'does NOT balance'}, {r.packets_lost} packets lost",
        f"restart   {restart}, from a kill of the flow to the first new vitals row",
        f"data      {kept}",
    ]


def result_of(found: Findings, minutes: float, plan: Plan, attacks: Attacks, folder: Path | None) -> SiegeResult:
    """The one object, out of everything that was found."""
    return SiegeResult(
        kills=len(attacks.kills),
        packets=found.packets,
        acknowledged_lost=found.acknowledged_lost,
        rows_missing=len(found.difference.missing),
        rows_extra=len(found.difference.extra),
        rows_different=len(found.difference.different),
        alarms_missing=len(found.alarms.missing),
        alarms_extra=len(found.alarms.extra),
        alarms_different=len(found.alarms.different),
        influx_equal=None if found.influx is None else not found.influx.wrong,
        webhooks_missing=len(found.webhooks.missing),
        webhooks_repeated=found.webhooks.repeated,
        scripted_events_missed=found.events_missed,
        ledger_balanced=found.ledger_balanced,
        restart_s_max=round(max(found.restarts_s), 2) if found.restarts_s else None,
        minutes=minutes,
        seed=plan.seed,
        patients=plan.patients,
        flow_processes=plan.processes,
        attacks=len(attacks.done),
        stops=attacks.stops,
        packets_acknowledged=found.acknowledged,
        packets_repeated=found.repeated,
        packets_lost=found.ledger_lost,
        records=found.records,
        rows=found.rows,
        rows_removed=found.removed,
        influx_points=found.influx.points if found.influx else 0,
        webhooks=found.webhooks.taken,
        webhooks_again=found.webhooks.again,
        webhooks_missing_high=found.webhooks.missing_high,
        scripted_events=found.events_expected,
        restarts_measured=len(found.restarts_s),
        replay_s=found.replay_s,
        crowd_min=min((one.clients for one in attacks.crowds), default=None),
        false_alarms=found.false_alarms,
        data_dir=str(folder) if folder else None,
        simulated=True,
    )
