"""Recorded leads streamed through the flow's own cardiac lane, in packets of about 250 ms."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, IntArray
from dataflows.cardiac import Cardiac
from dataflows.cardiac_state import CardiacState
from dataflows.events import SECOND_NS
from dataflows.lane import Part, block_ns
from deploy.evaluate.records import EvaluateError
from ingest.packet import StateFlag

PACKET_S = 0.25
BEGIN_NS = 1_000_000 * SECOND_NS  # corrected time of the first sample


class Moment(NamedTuple):
    """What the lane holds of every record once a second has come."""

    second: int  # since the start, that has just ended
    end_ns: IntArray  # (n,) the end of it
    state: CardiacState


def lane_of(rate_hz: float) -> Cardiac:
    """The lane of one lead without references; `EvaluateError` where it cannot work at this rate."""
    lane = Cardiac(rate_hz, max(1, round(PACKET_S * rate_hz)), Part("f4", 1), Part("f4", 0))
    try:
        lane.init(np.zeros((1, 1, lane.block_len)), np.zeros(1, np.int64))
    except ValueError as error:
        raise EvaluateError(f"the records are sampled at {rate_hz:g} Hz: {error}") from error
    return lane


def seconds(lane: Cardiac, signals: Sequence[Array]) -> Iterator[Moment]:
    """Stream signals as the rows of one bank, and stop at every second.

    Each is held at its last value until the longest has ended; what is known of a second after a record's end is
    for nobody to use.
    """
    n_packets = -(-max(len(x) for x in signals) // lane.block_len)
    length = n_packets * lane.block_len
    bank = np.stack([np.pad(x, (0, length - len(x)), mode="edge") for x in signals])[:, None, :]
    n = len(signals)
    flags = np.full(n, int(StateFlag.LOCKED), np.int64)
    state, second = None, 1
    for k in range(n_packets):
        block = np.ascontiguousarray(bank[..., k * lane.block_len : (k + 1) * lane.block_len])
        t0_ns = np.full(n, BEGIN_NS + k * block_ns(lane), np.int64)
        state = lane.step(lane.init(block, t0_ns) if state is None else state, block, t0_ns, flags)
        while BEGIN_NS + second * SECOND_NS <= t0_ns[0] + block_ns(lane):
            yield Moment(second, np.full(n, BEGIN_NS + second * SECOND_NS, np.int64), state)
            second += 1
