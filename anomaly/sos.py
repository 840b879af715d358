"""Causal IIR filters whose delay lines are carried from block to block."""

from dataclasses import dataclass
from typing import NamedTuple

from scipy import signal

from anomaly.kernel import Array


class SosState(NamedTuple):
    """Delay lines carried from block to block."""

    zi: Array  # (n_devices, n_channels, n_sections, 2)


@dataclass(frozen=True)
class SosFilter:
    """Causal IIR filter that gives the same output however a signal is cut.

    Parameters
    ----------
    sos : ndarray, shape (n_sections, 6)
        Second-order sections as from `scipy.signal.butter`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.sin(np.arange(100.0)).reshape(1, 1, -1)
    >>> low = SosFilter(signal.butter(2, 40.0, fs=500.0, output="sos"))
    >>> _, whole = low.step(low.init(x), x)
    >>> state, head = low.step(low.init(x), x[..., :33])
    >>> _, tail = low.step(state, x[..., 33:])
    >>> bool(np.array_equal(whole, np.concatenate([head, tail], axis=-1)))
    True
    """

    sos: Array

    def init(self, first: Array) -> SosState:
        """Steady state for a constant equal to each channel's first sample."""
        return SosState(first[..., :1, None] * signal.sosfilt_zi(self.sos))

    def step(self, state: SosState, block: Array) -> tuple[SosState, Array]:
        """Filter a block of shape ``(n_devices, n_channels, n_samples)``."""
        # scipy wants sections first and returns (output, state); np.moveaxis would cost as much as the filter.
        y, zf = signal.sosfilt(self.sos, block, zi=state.zi.transpose(2, 0, 1, 3))
        return SosState(zf.transpose(1, 2, 0, 3)), y
