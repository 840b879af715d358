"""`femtoward bench` measures what it says: on a real influxd, and with all that it carried read back."""

import json
from collections import Counter

import pytest
from msgspec.json import encode

from dataflows.couriers.line_protocol import points
from deploy.bench import bank, command, writer
from deploy.bench.ward_rows import ward_rows
from deploy.bench.writer import WriterBench, bench_writer


def test_the_rows_of_a_bench_are_those_of_a_ward_and_the_same_each_time() -> None:
    seconds = list(ward_rows(3, 600, 300))
    assert seconds == list(ward_rows(3, 600, 300))
    kinds = Counter(row.kind for rows in seconds for row in rows)
    assert kinds == {"vitals": 900, "wave": 900, "alarm": 3}
    names = Counter(point.measurement for rows in seconds for row in rows for point in points(row))
    assert names == {"vitals": 900, "wave": 900 * 25, "alarm": 3, "strip": 3 * 1250}
    [vitals] = points(seconds[0][0])
    assert len(vitals.fields) == 25


@pytest.mark.servers
def test_the_writer_is_measured_on_what_it_carried() -> None:
    result = bench_writer(patients=5, seconds=20)
    assert result is not None
    assert result.rows > 200
    assert result.fields > 8_000
    assert result.cpu_s > 0
    assert result.points > result.rows


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
    result, wrong = command.run_bench()
    assert wrong == ["100 fields a second on one core: 100,000 are promised"]
    assert {(one.kernel, one.devices) for one in result.bank} == {
        (kernel, devices) for kernel in ("filter", "beats") for devices in (1, 4)
    }
    assert json.loads(encode(result))["writer"]["fields"] == 100
    assert "100 fields a second on one core" in "\n".join(command.in_words(result))
    monkeypatch.setattr(writer, "find", lambda _: None)
    assert bench_writer() is None
    assert "no influxd here" in command.in_words(command.BenchResult(writer=None, bank=()))[0]
