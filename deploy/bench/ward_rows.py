"""Rows of a busy ward for benchmarks: vitals and a wave of every patient each second, alarms and strips at times."""

import hashlib
from collections.abc import Iterator

import numpy as np

from dataflows.events import AlarmEvent, Reading, Row, Vitals, Wave

SITE = "bench"
RATE_HZ = 125
STRIP_S = 10
ALARM_EVERY_S = 300  # of each patient
NS = 1_000_000_000


def ward_rows(patients: int, begin_s: int, seconds: int, seed: int = 1) -> Iterator[list[Row]]:
    """Rows of a ward, second by second.

    Parameters
    ----------
    patients
        How many lie there.
    begin_s
        Unix time of the first second.
    seconds
        How long.
    seed
        The same gives the same rows.
    """
    chance = np.random.default_rng(seed)
    beat = np.exp(-0.5 * ((np.arange(RATE_HZ * STRIP_S) % RATE_HZ - 40) / 3.0) ** 2) * 9_000.0
    for second in range(begin_s, begin_s + seconds):
        rows: list[Row] = []
        noise = chance.normal(0.0, 300.0, (patients, RATE_HZ))
        values = chance.normal(0.0, 1.0, (patients, 8))
        for number in range(patients):
            samples = (beat[:RATE_HZ] + noise[number]).astype("<i2").tobytes()
            rows.append(_vitals(number, second, values[number].tolist()))
            rows.append(Wave(SITE, _name(number), second, "mcg", 0.0117, "pT", samples))
            if (second - begin_s + 3 * number) % ALARM_EVERY_S == 0:
                strip = (beat + chance.normal(0.0, 300.0, len(beat))).astype("<i2").tobytes()
                rows.append(_alarm(number, second, strip))
        yield rows


def _name(number: int) -> str:
    return f"patient-{number:04d}"


def _vitals(number: int, second: int, values: list[float]) -> Vitals:
    hr = 70.0 + number % 30 + 2.0 * values[0]
    return Vitals(
        SITE,
        _name(number),
        second,
        Reading(hr, 0.4 + 0.01 * abs(values[1]), 0.97),
        Reading(60_000.0 / hr, 2.1, 0.97),
        Reading(31.0 + values[2], 3.0, 0.9),
        Reading(42.0 + values[3], 3.0, 0.9),
        Reading(hr + 0.1 * values[4], 0.8, 0.95),
        Reading(33.5 + 0.01 * values[5], 0.1, 1.0),
        1.0,
        0.98 - 0.001 * abs(values[6]),
        "",
        "mcg+ppg",
        settling=False,
        late=False,
        clock_offset_ms=12.0 + 0.1 * values[7],
        ward="ward-1",
        deviation=0.1 * values[0],
        news2_min=0.0,
        news2_max=9.0,
        resp=Reading(15.0 + values[1], 0.4, 0.9),
        resp_source="mcg+ppg",
        spo2=Reading(97.0 + 0.1 * values[2], 1.1, 0.95),
        pvc=Reading(0.0, 0.5, 0.9),
        af=0.01,
        vf=0.001,
        vt=0.001,
        pnn50=Reading(12.0 + values[0], 1.9, 0.97),
        lf=Reading(640.0 + values[1], 160.0, 0.97),
        hf=Reading(410.0 + values[2], 90.0, 0.97),
        qt=Reading(382.0 + values[3], 3.4, 0.97),
        qtc=Reading(401.0 + values[4], 3.6, 0.97),
        transit=Reading(224.0 + values[5], 2.3, 0.96),
        alpha=Reading(0.4 + 0.01 * values[1], 0.03, 0.95),
        beta=Reading(0.2 + 0.01 * values[2], 0.02, 0.95),
        seizure=Reading(abs(values[3]), 1.0, 0.95),
        news2_trend=Reading(0.1 * values[6], 0.2, 1.0),
    )


def _alarm(number: int, second: int, strip: bytes) -> AlarmEvent:
    return AlarmEvent(
        SITE,
        hashlib.sha256(f"{number}/{second}".encode()).hexdigest()[:16],
        0,
        _name(number),
        "extreme-tachycardia",
        "physiological",
        "high",
        "missed",
        onset_ns=second * NS - 5 * NS,
        event_ns=second * NS,
        arrival_ns=second * NS + NS // 4,
        value=161.5,
        limit=160.0,
        quality=0.97,
        confidence=0.93,
        algorithm="rate",
        version="1",
        reason="heart rate 161 /min, above 160 /min for 5 s",
        strip=strip,
        strip_scale=0.0117,
        ward="ward-1",
        bed=f"{number:02d}",
    )
