"""Fewer samples a second, the same however a signal is cut: what looks at a band below 40 Hz needs no more."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, IntArray


class DecimatorState(NamedTuple):
    """What is carried from block to block."""

    phase: IntArray  # (n,) samples of the group that is not whole yet
    rest: Array  # (n, n_channels, factor - 1) these samples, right-aligned
    before: Array  # (n, n_channels) what the last whole group gives to the next


@dataclass(frozen=True)
class Decimator:
    """One sample for each group of `factor`: a triangle over this group and the one before.

    The triangle's zeros lie at the new sampling rate and its multiples, where it would fold to 0 Hz.

    Parameters
    ----------
    factor : int
        Samples in a group, 1 or more. A sample stands for the end of its group; it lies ``factor - 1`` samples late.

    Examples
    --------
    >>> kernel = Decimator(2)
    >>> x = np.arange(8.0)[None, None]
    >>> kernel.step(kernel.init(x), x)[1].tolist()
    [[[0.25, 2.0, 4.0, 6.0]]]
    """

    factor: int

    def init(self, first: Array) -> DecimatorState:
        """State as if the first sample had stood for ever."""
        n, channels = first.shape[:2]
        return DecimatorState(
            phase=np.zeros(n, np.int64),
            rest=np.zeros((n, channels, self.factor - 1)),
            before=first[..., 0] * (0.5 * self.factor * (self.factor - 1)),
        )

    def step(self, state: DecimatorState, block: Array) -> tuple[DecimatorState, Array]:
        """Whole groups in a block of shape ``(n_devices, n_channels, n_samples)`` of rows that are all in one phase."""
        phase = int(state.phase[0])
        if (state.phase != phase).any():
            raise ValueError(f"need rows of one phase, got {sorted(set(state.phase.tolist()))}: step them apart")
        d, n_samples = self.factor, block.shape[-1]
        whole = (phase + n_samples) // d
        rest = phase + n_samples - whole * d
        x = np.concatenate([state.rest[..., d - 1 - phase :], block], axis=-1) if phase else block
        kept = np.zeros_like(state.rest)
        if rest:
            kept[..., d - 1 - rest :] = x[..., whole * d :]
        after = np.full(len(block), rest, np.int64)
        if whole == 0:
            return DecimatorState(after, kept, state.before.copy()), x[..., :0]
        groups = x[..., : whole * d].reshape(*x.shape[:2], whole, d)
        weighted, total = groups[..., d - 1].copy(), groups[..., d - 1].copy()
        for k in range(d - 2, -1, -1):
            sample = groups[..., k]
            weighted += (d - k) * sample
            total += sample
        rest_of_it = d * total - weighted
        weighted[..., 0] += state.before
        weighted[..., 1:] += rest_of_it[..., :-1]
        weighted *= 1.0 / (d * d)
        return DecimatorState(after, kept, rest_of_it[..., -1].copy()), weighted
