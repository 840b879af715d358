"""What came of a demo: its figures, and what of them is wrong."""

import math
from pathlib import Path

import msgspec

from dataflows.cardiac_second import AS_OF_LAG_NS
from dataflows.events import AlarmEvent, Vitals
from dataflows.store import Commit, Store, StoreMissing
from deploy.packets import count_packets
from deploy.problem import UserError
from deploy.score import lag_ms, score_alarms, score_latency, score_rates
from deploy.settings import PARTITION
from deploy.simulate import SimulationFiles
from deploy.table import clock
from deploy.truth import truth_at

READ_AT_ONCE = 5000
MOST_SAID = 10


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's one JSON object; NaN, where there was nothing to judge, becomes null."""

    patients: int
    seconds: float
    packets_published: int
    packets_journalled: int
    packets_bad: int
    packets_lost: int  # published and not in the journal
    packets_repeated: int  # in the journal more than once
    vitals_rows: int
    hr_within_2bpm: float  # share of the settled patient-seconds
    alarms_expected: int
    alarms_found: int
    alarms_false: int
    alarms_due: int  # clinically, whatever hides them from a sensor: of conditions that this flow knows
    alarms_due_found: int
    alarms_due_unknown: int  # clinically due, of conditions that have no detector here yet
    latency_ms_p50: float
    latency_ms_p99: float
    lag_ms_end: float
    digest_vitals: str
    digest_alarms: str
    digest_beds: str
    hr_seconds: int  # settled patient-seconds that were judged
    wfdb_hr_error_bpm_median: float | None
    data_dir: str | None  # None: it was temporary
    simulated: bool


def judge(folder: Path, files: SimulationFiles, *, kept: bool) -> tuple[DemoResult, list[str]]:
    """Work out the figures; return them and, in words, what is wrong.

    Parameters
    ----------
    folder
        The demo's data.
    files
        What the simulator left.
    kept
        The folder stays.
    """
    report, truth = files.report(), truth_at(files.truth)
    intake_end_ns = report.t_start_ns + round(report.seconds * 1e9)
    packets = count_packets(folder / PARTITION / "journal")
    try:
        store = Store(folder / PARTITION / "store.sqlite", readonly=True)
    except StoreMissing as error:
        raise UserError(f"the flow never ran: look into {folder / 'logs' / 'flow.log'}") from error
    with store:
        vitals, events, commits = _vitals(store), _events(store), store.committed()
        bad, conflicts = store.count("bad"), store.conflict_count()
        digests = [store.digest(kind) for kind in ("vitals", "alarm", "bed")]
    rates = score_rates(truth, (row for _, row in vitals), intake_end_ns, AS_OF_LAG_NS)
    recorded = score_rates(truth, (row for _, row in vitals), intake_end_ns, AS_OF_LAG_NS, truth.recorded)
    # What the end of the simulation itself sets off is no false alarm.
    alarms = score_alarms(truth, [event for event in events if event.arrival_ns <= intake_end_ns], intake_end_ns)
    latency = score_latency(vitals, commits)
    result = DemoResult(
        patients=len(truth.patients),
        seconds=report.seconds,
        packets_published=report.packets_published,
        packets_journalled=packets.journalled,
        packets_bad=bad,
        packets_lost=report.packets_published - packets.distinct,
        packets_repeated=packets.repeated,
        vitals_rows=len(vitals),
        hr_within_2bpm=round(rates.share, 5),
        alarms_expected=alarms.expected,
        alarms_found=alarms.found,
        alarms_false=len(alarms.false),
        alarms_due=alarms.due,
        alarms_due_found=alarms.due_found,
        alarms_due_unknown=len(alarms.unknown),
        latency_ms_p50=round(latency.p50_ms, 1),
        latency_ms_p99=round(latency.p99_ms, 1),
        lag_ms_end=round(lag_ms(_newest(vitals, commits, intake_end_ns), truth, intake_end_ns), 1),
        digest_vitals=digests[0],
        digest_alarms=digests[1],
        digest_beds=digests[2],
        hr_seconds=rates.seconds,
        wfdb_hr_error_bpm_median=round(recorded.error_bpm_median, 3) if truth.recorded else None,
        data_dir=str(folder) if kept else None,
        simulated=True,
    )
    wrong = [f"{conflicts} rows came twice with different content"] if conflicts else []
    if result.packets_lost:
        wrong.append(f"{result.packets_lost} packets were published and are not in the journal")
    wrong += _some([f"no alarm came: {a.condition} of {a.patient} from {clock(a.from_ns)} on" for a in alarms.missed])
    wrong += _some([f"an alarm too many: {e.condition} of {e.patient} at {clock(e.onset_ns)}" for e in alarms.false])
    return result, wrong


def in_words(result: DemoResult) -> list[str]:
    """Summary for people."""
    r = result
    share = "nothing to judge" if math.isnan(r.hr_within_2bpm) else f"{100 * r.hr_within_2bpm:.2f} %"
    kept = f"kept in {r.data_dir}" if r.data_dir else "was temporary; --data-dir DIR keeps it"
    packets = f"{r.packets_published} published, {r.packets_journalled} journalled, {r.packets_bad} bad"
    waits = f"p50 {r.latency_ms_p50:g} ms, p99 {r.latency_ms_p99:g} ms"
    scripted = f"{r.alarms_found} of {r.alarms_expected} scripted events found, {r.alarms_false}"
    clinically = f"{r.alarms_due_found} of {r.alarms_due} due found; {r.alarms_due_unknown} more without a detector yet"
    said = [
        f"{r.patients} patients, {r.seconds:g} s; simulated sensors; not a medical device",
        f"packets     {packets}, {r.packets_lost} lost, {r.packets_repeated} repeated",
        f"heart rate  within 2 bpm of the truth: {share} of {r.hr_seconds} settled patient-seconds",
        f"alarms      {scripted} false",
        f"            {clinically}",
        f"latency     {waits} from newest sample to committed row; lag at the end {r.lag_ms_end:g} ms",
        f"digests     vitals {r.digest_vitals[:16]}  alarms {r.digest_alarms[:16]}  beds {r.digest_beds[:16]}",
        f"data        {kept}",
    ]
    if r.wfdb_hr_error_bpm_median is not None:
        said.insert(3, f"            median error against the record's annotations: {r.wfdb_hr_error_bpm_median:g} bpm")
    return said


def _some(said: list[str]) -> list[str]:
    return said if len(said) <= MOST_SAID else [*said[:MOST_SAID], f"and {len(said) - MOST_SAID} more like that"]


def _vitals(store: Store) -> list[tuple[int, Vitals]]:
    return [(id_, row) for id_, row in _all(store, "vitals") if isinstance(row, Vitals)]


def _events(store: Store) -> list[AlarmEvent]:
    return [row for _, row in _all(store, "alarm") if isinstance(row, AlarmEvent)]


def _all(store: Store, kind: str) -> list[tuple[int, object]]:
    found: list[tuple[int, object]] = []
    after = 0
    while rows := store.read(after, READ_AT_ONCE, (kind,)):
        found += [(stored.id, stored.row) for stored in rows]
        after = rows[-1].id
    return found


def _newest(vitals: list[tuple[int, Vitals]], commits: list[Commit], at_ns: int) -> dict[str, int]:
    last_id = max((commit.last_id for commit in commits if commit.at_ns <= at_ns), default=0)
    newest: dict[str, int] = {}
    for id_, row in vitals:
        if id_ <= last_id:
            newest[row.patient] = max(newest.get(row.patient, row.second), row.second)
    return newest
