"""`femtoward bench` measures what it says: on a real influxd, and with all that it carried read back."""

import json
from collections import Counter

import pytest
from msgspec.json import encode

from dataflows.couriers.line_protocol import points
from dataflows.couriers.schema import MEASUREMENTS
from deploy.bench import bank, command, thinning, waves, writer
from deploy.bench.heartbeats import BeatBench, bench_beats
from deploy.bench.thinning import ThinningBench, bench_thinning
from deploy.bench.ward_rows import ward_rows
from deploy.bench.waves import WaveBench, bench_waves
from deploy.bench.writer import WriterBench, bench_writer


def test_the_rows_of_a_bench_are_those_of_a_ward_and_the_same_each_time() -> None:
    seconds = list(ward_rows(3, 600, 300))
    assert seconds == list(ward_rows(3, 600, 300))
    kinds = Counter(row.kind for rows in seconds for row in rows)
    assert kinds == {"vitals": 900, "wave": 900, "alarm": 3}
    names = Counter(point.measurement for rows in seconds for row in rows for point in points(row))
    assert names == {"vitals": 900, "wave": 900 * 25, "alarm": 3, "strip": 3 * 1250}
    [vitals] = points(seconds[0][0])
    [measurement] = MEASUREMENTS["vitals"]
    assert set(vitals.fields) == {field.name for field in measurement.fields}


@pytest.mark.servers
def test_the_writer_is_measured_on_what_it_carried() -> None:
    result = bench_writer(patients=5, seconds=20)
    assert result is not None
    assert result.rows > 200
    assert result.fields > 8_000
    assert result.cpu_s > 0
    assert result.points > result.rows


@pytest.mark.servers
def test_waves_are_found_by_a_query_and_vitals_thinned_out_both_ways() -> None:
    behind = bench_waves(patients=3, seconds=3)
    assert behind is not None
    assert behind.seconds == 2
    assert 0 < behind.median_s <= behind.max_s
    minute, hour = bench_thinning(patients=2, seconds=900)
    assert (minute.measurement, hour.measurement) == ("vitals_1m", "vitals_1h")
    assert minute.rows == hour.rows == 1800
    assert minute.courier_us > 0


def test_beats_are_measured_beside_sleepecg() -> None:
    result = bench_beats(devices=3, seconds=4)
    assert result is not None
    assert result.ratio > 0.0
    assert result.cpu_s_per_hour > 0.0
    assert result.sleepecg_s_per_hour > 0.0


def test_a_bench_is_one_object_and_says_what_falls_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank, "DEVICES", (1, 4))
    monkeypatch.setattr(bank, "REPEATS", 1)
    slow = WriterBench(
        rows=10,
        points=10,
        fields=100,
        cpu_s=1.0,
        wall_s=2.0,
        fields_per_core_s=100,
        fields_per_wall_s=50,
        times_real_time=1.0,
    )
    monkeypatch.setattr(command, "bench_writer", lambda: slow)
    late = WaveBench(patients=100, seconds=20, median_s=0.3, max_s=1.5, load=20.0)
    monkeypatch.setattr(command, "bench_waves", lambda: late)
    tier = ThinningBench(
        measurement="vitals_1m",
        rows=9,
        influxd_us=11.0,
        courier_us=14.0,
        influxd_cores=0.11,
        influxd_pass_s=6.6,
        courier_cores=0.014,
    )
    monkeypatch.setattr(command, "bench_thinning", lambda: (tier,))
    dear = BeatBench(devices=200, rate_hz=360.0, cpu_s_per_hour=0.06, sleepecg_s_per_hour=0.05, ratio=1.2)
    monkeypatch.setattr(command, "bench_beats", lambda: dear)
    result, wrong = command.run_bench()
    assert wrong == [
        "100 fields a second on one core: 100,000 are promised",
        "waves were 1.5 s behind: at most 1 s are promised",
        "beats cost 1.2 times what sleepecg's cost: at most 1 is promised",
    ]
    said = "\n".join(command.in_words(result))
    assert "0.3 s (median), 1.5 s at most, at a load of 20" in said
    assert "sleepecg 0.05 s: 1.2 of that" in said
    assert "1,000 patients: 11.0% of a core in strokes of 6.6 s, or 1.4%" in said
    assert {(one.kernel, one.devices) for one in result.bank} == {
        (kernel, devices) for kernel in ("filter", "beats") for devices in (1, 4)
    }
    assert json.loads(encode(result))["writer"]["fields"] == 100
    assert "100 fields a second on one core" in "\n".join(command.in_words(result))
    for module in (writer, waves, thinning):
        monkeypatch.setattr(module, "program", lambda: None)
    assert bench_writer() is None
    assert bench_waves() is None
    assert bench_thinning() == ()
    nothing = command.BenchResult(writer=None, waves=None, thinning=(), bank=())
    assert "no influxd here" in command.in_words(nothing)[0]
