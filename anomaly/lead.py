"""One lead out of all channels: where the heart's quick waves add up, whatever way each channel looks at it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array

MEMORY_S = 10.0
UNLIKE = 0.9  # each channel's weight at first over that of the one before it: no two are the same


class LeadState(NamedTuple):
    """What is carried from block to block."""

    weight: Array  # (n_devices, n_channels) of unit length
    along: Array  # (n_devices, n_channels) mean product of each channel's steps with the lead's, forgotten
    last: Array  # (n_devices, n_channels) newest sample


@dataclass(frozen=True)
class SteepLead:
    """The weighted sum of the channels whose steps from sample to sample are largest.

    The weights follow the first principal axis of the channels' steps by one round of the power method in each block.
    Steps, because a QRS is steep: what is slow (breath, drift) may be larger and has no say.

    Parameters
    ----------
    rate_hz
        Sampling rate.

    References
    ----------
    Castells et al. 2007, doi:10.1155/2007/74580, for leads by principal components; differs in: of steps, and followed.
    """

    rate_hz: float

    def init(self, first: Array) -> LeadState:
        """No axis yet; `first` has shape ``(n_devices, n_channels, n_samples)``."""
        n, channels = first.shape[:2]
        each = np.power(UNLIKE, np.arange(channels, dtype=np.float64))
        weight = np.tile(each / np.sqrt((each * each).sum()), (n, 1))
        return LeadState(weight, np.zeros((n, channels)), first[..., 0].copy())

    def step(self, state: LeadState, block: Array) -> tuple[LeadState, Array]:
        """Lead of a block of shape ``(n_devices, n_channels, n_samples)``; shape ``(n_devices, 1, n_samples)``."""
        weight = state.weight
        lead = weight[:, 0, None] * block[:, 0]
        before = weight[:, 0] * state.last[:, 0]
        for c in range(1, block.shape[1]):
            lead = lead + weight[:, c, None] * block[:, c]
            before = before + weight[:, c] * state.last[:, c]
        keep = np.exp(-block.shape[-1] / (self.rate_hz * MEMORY_S))
        if block.shape[1] == 1:
            return LeadState(weight, state.along, block[..., -1].copy()), lead[:, None]
        steps = np.diff(block, axis=-1, prepend=state.last[..., None])
        lead_steps = np.diff(lead, axis=-1, prepend=before[:, None])
        along = keep * state.along + (steps * lead_steps[:, None]).sum(axis=-1)
        length = np.sqrt((along * along).sum(axis=-1, keepdims=True))
        weight = np.where(length > 0.0, along / np.where(length > 0.0, length, 1.0), weight)
        return LeadState(weight, along, block[..., -1].copy()), lead[:, None]
