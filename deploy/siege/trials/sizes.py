"""What a ward of so many patients takes: processor, memory, network and disk, part by part."""

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dataflows.disk_full import open_to_read
from dataflows.events import Vitals
from deploy.siege.arena import Plan
from deploy.siege.trials.proc import cpu_s, load, mb, rss_bytes
from deploy.siege.trials.stand import Stand
from deploy.siege.trials.trial import Outcome, Tell
from deploy.siege.trials.watch import Freshness
from ingest.reader import JournalReader
from ingest.segments import RecordKind, packed_path, segment_size, segments

PARTS: Final = ("broker", "ingest", "flow", "couriers", "influx")
LIVE_WITHIN_S: Final = 120.0
HOUR_S: Final = 3600.0
CHUNK: Final = 4096


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the trial, over its time."""

    patients: int
    seconds: float
    packets_a_second: float
    network_kb_a_second: float  # of payloads
    cores: dict[str, float]  # CPU time over time that passed
    memory_mb: dict[str, float]  # at the end
    journal_mb_an_hour_raw: float  # of files as they are written
    journal_mb_an_hour_packed: float  # of files as they are kept; NaN: no segment was finished and packed
    store_mb_a_day: float  # of the file, as it grew
    store_bytes_a_row: dict[str, float]  # of the body, by kind
    store_rows_a_patient_hour: dict[str, float]
    influx_mb_a_day: float  # of its files before it has compacted them: an upper bound
    load: float  # of the machine, see `proc.load`


@dataclass(frozen=True)
class Sizes:
    """Let a quiet ward run, and read what it used."""

    patients: int = 100
    seconds: float = 240.0
    seed: int = 1
    settled_s: float = 30.0  # that it must have been live before anything is counted

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure; nothing is promised, so nothing can be wrong."""
        with Stand(Plan(folder, self.patients, self.seed, scenario="quiet"), gated=False) as stand:
            stand.start(tell)
            fresh = Freshness(stand.store)
            stand.until(lambda: fresh.is_live(self.patients), "vitals of every patient", LIVE_WITHIN_S, tell)
            stand.lead(self.settled_s)
            pids = {name: stand.pid(name) for name in stand.parts(*PARTS)}
            begin, spent = time.monotonic(), {name: cpu_s([pid]) for name, pid in pids.items()}
            store, influx, rows = stand.store.stat().st_size, _size(stand.folder / "influx"), _rows(stand.store)
            with JournalReader(stand.journal) as reader:
                first = reader.end_offset
            stand.lead(self.seconds, lambda: f"{time.monotonic() - begin:.0f} of {self.seconds:.0f} s", tell)
            passed_s = time.monotonic() - begin
            with JournalReader(stand.journal) as reader:
                end = reader.end_offset
            packets, payload = _packets(stand.journal, first, end)
            raw, packed = _journal(stand.journal)
            after = _rows(stand.store)
            hours = passed_s / HOUR_S
            records_an_hour = packets / hours
            figures = Size(
                patients=self.patients,
                seconds=round(passed_s, 1),
                packets_a_second=round(packets / passed_s, 1),
                network_kb_a_second=round(payload / 1e3 / passed_s, 1),
                cores={name: round((cpu_s([pid]) - spent[name]) / passed_s, 3) for name, pid in pids.items()},
                memory_mb={name: mb(rss_bytes(pid)) for name, pid in pids.items()},
                journal_mb_an_hour_raw=round(raw * records_an_hour / 1e6, 1),
                journal_mb_an_hour_packed=round(packed * records_an_hour / 1e6, 1),
                store_mb_a_day=round((stand.store.stat().st_size - store) / 1e6 / hours * 24.0, 1),
                store_bytes_a_row={kind: round(size / count, 1) for kind, (count, size) in after.items()},
                store_rows_a_patient_hour={
                    kind: round((count - rows.get(kind, (0, 0))[0]) / hours / self.patients, 1)
                    for kind, (count, _) in after.items()
                },
                influx_mb_a_day=round((_size(stand.folder / "influx") - influx) / 1e6 / hours * 24.0, 1),
                load=load(),
            )
        return Outcome(figures, [] if after.get(Vitals.kind) else ["there are no vitals"])


def _rows(store: Path) -> Mapping[str, tuple[int, int]]:
    """Rows of a store and bytes of their bodies, by kind."""
    db = open_to_read(store)
    try:
        found = db.execute("SELECT kind, count(*), sum(length(body)) FROM out GROUP BY kind").fetchall()
    finally:
        db.close()
    return {kind: (int(count), int(size)) for kind, count, size in found}


def _packets(journal: Path, offset: int, end: int) -> tuple[int, int]:
    """Packets of a journal from an offset on up to another, and bytes of their payloads."""
    count = size = 0
    with JournalReader(journal) as reader:
        while records := reader.read(offset, min(CHUNK, end - offset)):
            packets = [record for record in records if record.kind == RecordKind.MESSAGE]
            count += len(packets)
            size += sum(len(record.payload) for record in packets)
            offset = records[-1].offset + 1
    return count, size


def _journal(journal: Path) -> tuple[float, float]:
    """Bytes of file for each record, in raw and in packed segments; NaN where there are none."""
    firsts = segments(journal)
    records, size = {False: 0, True: 0}, {False: 0, True: 0}
    for first, end in itertools.pairwise(firsts):  # the newest one still grows
        packed = packed_path(journal, first).exists()
        records[packed] += end - first
        size[packed] += segment_size(journal, first)
    raw, kept = (size[it] / records[it] if records[it] else float("nan") for it in (False, True))
    return raw, kept


def _size(folder: Path) -> int:
    """Bytes of all files of a folder; one that goes meanwhile is no file."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
