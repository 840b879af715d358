"""Many devices in one call against one call for each: the ratio that banks are built for."""

import statistics
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np
from scipy import signal

from anomaly.beats import BeatDetector
from anomaly.kernel import Array
from anomaly.sos import SosFilter
from dataflows.bank import Bank

RATE_HZ: Final = 500.0
CHANNELS: Final = 3
BLOCK: Final = 125  # samples: 250 ms
DEVICES: Final = (1, 10, 100, 1000)
REPEATS: Final = 7  # the median counts, and CPU time: machines are shared
S = TypeVar("S")


class BankBench(msgspec.Struct, frozen=True, kw_only=True):
    """What a block of every device costs."""

    kernel: str
    devices: int
    one_by_one_us: float  # a device
    bank_us: float  # a device, gathered and scattered
    faster: float  # times


class _Kernel(Protocol[S]):
    def init(self, first: Array) -> S: ...
    def step(self, state: S, block: Array) -> tuple[S, object]: ...


def bench_bank() -> list[BankBench]:
    """Measure a filter of four sections and the beat detector."""
    sos = signal.butter(4, [5.0, 30.0], "bandpass", fs=RATE_HZ, output="sos")
    return [
        one
        for devices in DEVICES
        for one in (_measured("filter", SosFilter(sos), devices), _measured("beats", BeatDetector(RATE_HZ), devices))
    ]


def _measured(name: str, kernel: _Kernel[S], devices: int) -> BankBench:
    chance = np.random.default_rng(1)
    block = chance.normal(0.0, 1.0, (devices, CHANNELS, BLOCK))
    keys = [str(number) for number in range(devices)]
    bank: Bank[S] = Bank(kernel.init(block))
    bank.seat(keys, kernel.init(block))
    alone = [kernel.init(block[number : number + 1]) for number in range(devices)]

    def together() -> None:
        state, _ = kernel.step(bank.take(keys), block)
        bank.put(keys, state)

    def apart() -> None:
        for number, state in enumerate(alone):
            alone[number], _ = kernel.step(state, block[number : number + 1])

    apart_s, together_s = _median_s(apart), _median_s(together)
    return BankBench(
        kernel=name,
        devices=devices,
        one_by_one_us=round(apart_s / devices * 1e6, 2),
        bank_us=round(together_s / devices * 1e6, 2),
        faster=round(apart_s / together_s, 1),
    )


def _median_s(work: Callable[[], None]) -> float:
    work()  # loads what is loaded once
    took = []
    for _ in range(REPEATS):
        began_s = time.process_time()
        work()
        took.append(time.process_time() - began_s)
    return statistics.median(took)
