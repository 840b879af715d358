"""Samples that are no numbers are replaced before any filter sees them, and counted."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, IntArray


class RepairState(NamedTuple):
    """The value that stands in for the next bad sample."""

    last: Array  # (n_devices, n_channels), unit of the signal


class RepairOut(NamedTuple):
    """A block that holds numbers only."""

    block: Array  # (n_devices, n_channels, n_samples)
    n_bad: IntArray  # (n_devices,) samples replaced, over all channels


@dataclass(frozen=True)
class Repair:
    """Hold the last good value through NaN, infinity and values no sensor can give.

    One NaN that reaches an IIR filter stays in its delay line for good, so this stands first in every chain.

    Parameters
    ----------
    limit
        A sample beyond ``+-limit`` is as bad as an infinite one: its square would overflow further on. Unit of the
        signal.

    Examples
    --------
    >>> repair = Repair()
    >>> x = np.array([[[1.0, np.nan, np.inf, 4.0]]])
    >>> state, out = repair.step(repair.init(x), x)
    >>> out.block[0, 0], out.n_bad
    (array([1., 1., 1., 4.]), array([2]))
    """

    limit: float = 1e12

    def __post_init__(self) -> None:
        """Refuse a limit that lets nothing or everything through."""
        if not 0.0 < self.limit < 1e100:
            raise ValueError(f"need 0 < limit < 1e100 so that squares stay finite, got {self.limit=}")

    def init(self, first: Array) -> RepairState:
        """Stand-in for each channel: its first good value in `first`, 0 where there is none."""
        good = np.abs(first) <= self.limit  # NaN compares false
        at = np.argmax(good, axis=-1)[..., None]
        value = np.take_along_axis(first, at, axis=-1)[..., 0]
        return RepairState(np.where(np.take_along_axis(good, at, axis=-1)[..., 0], value, 0.0))

    def step(self, state: RepairState, block: Array) -> tuple[RepairState, RepairOut]:
        """Replace the bad samples of a block of shape ``(n_devices, n_channels, n_samples)``."""
        good = np.abs(block) <= self.limit
        if good.all():  # a bad row elsewhere gives the good rows the same numbers by the longer way
            return RepairState(block[..., -1].copy()), RepairOut(block, np.zeros(len(block), np.int64))
        # Position 0 is the value carried in; every sample points at the newest good one at or before it.
        source = np.maximum.accumulate(np.where(good, np.arange(1, block.shape[-1] + 1), 0), axis=-1)
        whole = np.take_along_axis(np.concatenate([state.last[..., None], block], axis=-1), source, axis=-1)
        n_bad = np.count_nonzero(~good, axis=(1, 2)).astype(np.int64)
        return RepairState(whole[..., -1].copy()), RepairOut(whole, n_bad)
