"""The beat detector on a whole ward against sleepecg's, written in C, on one recording after the other."""

import statistics
import time
from typing import Final

import msgspec
import numpy as np
from scipy import signal

from anomaly.beats import BeatDetector
from anomaly.kernel import Array

RATE_HZ: Final = 360.0
DEVICES: Final = 200
SECONDS: Final = 60
PACKET: Final = 90  # samples: 250 ms
REPEATS: Final = 3  # turn and turn about: the median ratio counts
AT_MOST: Final = 1.0


class BeatBench(msgspec.Struct, frozen=True, kw_only=True):
    """CPU for an hour of one lead, in the same run."""

    devices: int
    rate_hz: float
    cpu_s_per_hour: float  # streamed, all devices in a bank
    sleepecg_s_per_hour: float  # whole recordings, one by one
    ratio: float


def bench_beats(devices: int = DEVICES, seconds: int = SECONDS) -> BeatBench | None:
    """Measure both; None where sleepecg is not installed (it is a development dependency)."""
    try:
        from sleepecg.heartbeats import detect_heartbeats  # noqa: PLC0415 - for this comparison alone
    except ImportError:
        return None
    bank = _ward(devices, seconds)
    hours = devices * seconds / 3600.0
    kernel = BeatDetector(RATE_HZ)
    blocks = [np.ascontiguousarray(bank[..., k : k + PACKET]) for k in range(0, bank.shape[-1], PACKET)]
    ours, theirs = [], []
    for _ in range(REPEATS):
        began_s = time.process_time()
        state = kernel.init(blocks[0])
        for block in blocks:
            state, _ = kernel.step(state, block)
        ended_s = time.process_time()
        for lead in bank[:, 0]:
            detect_heartbeats(lead, RATE_HZ)
        ours.append((ended_s - began_s) / hours)
        theirs.append((time.process_time() - ended_s) / hours)
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    return BeatBench(
        devices=devices,
        rate_hz=RATE_HZ,
        cpu_s_per_hour=round(statistics.median(ours), 4),
        sleepecg_s_per_hour=round(statistics.median(theirs), 4),
        ratio=round(ratio, 2),
    )


def _ward(devices: int, seconds: int) -> Array:
    """Simulated leads: QRS, T wave and noise at a rate of each device's own, shape ``(devices, 1, n_samples)``."""
    chance = np.random.default_rng(1)
    n = round(seconds * RATE_HZ)
    t = np.arange(round(0.6 * RATE_HZ)) / RATE_HZ
    wave = np.exp(-0.5 * ((t - 0.1) / 0.012) ** 2) + 0.25 * np.exp(-0.5 * ((t - 0.38) / 0.045) ** 2)
    leads = 0.03 * chance.standard_normal((devices, n))
    for device in range(devices):
        every_s = 60.0 / chance.uniform(50.0, 110.0)
        at = np.cumsum(every_s * chance.normal(1.0, 0.05, int(seconds / every_s) + 8))
        spikes = np.zeros(n)
        spikes[(at[at < seconds - 0.01] * RATE_HZ).astype(np.int64)] = 1.0
        leads[device] += signal.fftconvolve(spikes, wave)[:n]
    return leads[:, None, :]
