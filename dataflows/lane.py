"""A lane is one kind of signal on its way through a device: kernel state by the row, estimates by the second."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from dataflows.bank import Bank
from dataflows.estimates import Estimate, FloatArray, IntArray
from dataflows.events import SECOND_NS
from ingest.packet import counts
from ingest.profile import SAMPLE_BYTES, Dtype


class Part(NamedTuple):
    """One stream's share of a lane's block."""

    dtype: Dtype
    n_channels: int


class Lane(Protocol):
    """Kernels of one kind of signal, all of one shape; equal lanes share a bank.

    State is a NamedTuple of arrays, device on axis 0. Nothing here writes to its arguments.
    """

    @property
    def kind(self) -> str:
        """Field of `estimates.Second` that it fills."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """Streams that make up a block, in order."""
        ...

    @property
    def block_len(self) -> int:
        """Samples in a block."""
        ...

    @property
    def rate_hz(self) -> float:
        """Sampling rate."""
        ...

    def init(self, first: FloatArray, t0_ns: IntArray) -> Any:  # noqa: ANN401 - each lane has a state of its own
        """State before the first block, shape (n, n_channels, block_len), which begins at `t0_ns`."""
        ...

    def step(self, state: Any, block: FloatArray, t0_ns: IntArray, flags: IntArray) -> Any:  # noqa: ANN401
        """State after a block."""
        ...

    def estimate(self, state: Any, end_ns: IntArray) -> Estimate:  # noqa: ANN401
        """What is known of the second that ends at `end_ns`: the estimates of `kind`."""
        ...


def block_ns(lane: Lane) -> int:
    """Return the duration of a lane's block."""
    return round(lane.block_len / lane.rate_hz * SECOND_NS)


def times_of(lane: Lane, at: FloatArray, seen: IntArray, t0_ns: IntArray) -> IntArray:
    """Turn sample positions into corrected times; 0 where there is no position.

    Parameters
    ----------
    lane
        Gives the sampling rate.
    at : shape (n, m)
        Positions since a row's first sample; NaN where there is none.
    seen : shape (n,)
        Samples before this block.
    t0_ns : shape (n,)
        When this block began.
    """
    there = ~np.isnan(at)
    offset_ns = np.rint(np.where(there, at - seen[:, None], 0.0) * (SECOND_NS / lane.rate_hz)).astype(np.int64)
    return np.where(there, t0_ns[:, None] + offset_ns, 0)


class Spoke(NamedTuple):
    """One row's part in a round."""

    key: str
    samples: tuple[bytes | None, ...]  # by part; None: this stream did not come
    scales: tuple[float, ...]
    t0_ns: int
    flags: int
    fresh: bool
    bridged: int


class Group:
    """All devices that share a lane, in one bank."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.users = 0  # devices that have this lane
        n_channels = sum(part.n_channels for part in lane.parts)
        template = lane.init(np.zeros((1, n_channels, lane.block_len)), np.zeros(1, np.int64))
        self.bank: Bank[Any] = Bank(template)

    def step(self, round_: Sequence[Spoke]) -> None:
        """Step the rows that spoke, each at most once; the others keep their state."""
        lane, bank = self.lane, self.bank
        block = self._stacked(round_)
        t0_ns = np.array([spoke.t0_ns for spoke in round_], np.int64)
        flags = np.array([spoke.flags for spoke in round_], np.int64)
        fresh = [i for i, spoke in enumerate(round_) if spoke.fresh or spoke.key not in bank]
        if fresh:
            rows = np.array(fresh, np.int64)
            bank.seat([round_[i].key for i in fresh], lane.init(block[rows], t0_ns[rows]))
        for missing in range(max(spoke.bridged for spoke in round_), 0, -1):
            self._bridge([spoke for spoke in round_ if spoke.bridged >= missing], missing)
        keys = [spoke.key for spoke in round_]
        bank.put(keys, lane.step(bank.take(keys), block, t0_ns, flags))

    def _bridge(self, round_: Sequence[Spoke], missing: int) -> None:
        # A block that did not come is one of samples that are not finite: the lane repairs it and says so.
        lane, keys = self.lane, [spoke.key for spoke in round_]
        block = np.full((len(keys), sum(part.n_channels for part in lane.parts), lane.block_len), np.nan)
        t0_ns = np.array([spoke.t0_ns - missing * block_ns(lane) for spoke in round_], np.int64)
        flags = np.array([spoke.flags for spoke in round_], np.int64)
        self.bank.put(keys, lane.step(self.bank.take(keys), block, t0_ns, flags))

    def _stacked(self, round_: Sequence[Spoke]) -> FloatArray:
        blocks = []
        for i, part in enumerate(self.lane.parts):
            shape = (len(round_), part.n_channels, self.lane.block_len)
            nothing = bytes(part.n_channels * self.lane.block_len * SAMPLE_BYTES[part.dtype])
            raw = counts(b"".join(spoke.samples[i] or nothing for spoke in round_), part.dtype)
            # A stream that did not come is not silent: its samples are no numbers.
            scales = np.array([spoke.scales[i] if spoke.samples[i] else np.nan for spoke in round_])
            blocks.append(raw.reshape(shape) * scales[:, None, None])
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
