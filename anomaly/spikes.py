"""Sharp transients of a brain: what all channels together do that the rhythm of late does not."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray, IntArray

HALF_S: Final = 0.03  # a sample is held against those so long before and after it: a spike is about 70 ms wide
MEMORY_S: Final = 20.0
LEARN_S: Final = 10.0  # before which nothing is known of the rhythm
SHARP: Final = 7.0  # standard deviations of the distance of noise: a sharp transient
CALM: Final = 2.0  # beyond it a sample teaches less
APART_S: Final = 0.25  # samples that are nearer belong to one transient
RIDGE: Final = 1e-3  # of the mean variance of a channel


class SpikeState(NamedTuple):
    """What is carried from block to block."""

    tail: Array  # (n, n_channels, 2 * half) newest samples
    products: Array  # (n, n_channels, n_channels) sum of products of the sharpness of channels, forgotten
    mass: Array  # (n,) samples in it
    seen: IntArray  # (n,) samples stepped
    last: IntArray  # (n,) place of the newest sharp sample; far in the past: none


class SpikesOut(NamedTuple):
    """Of one block."""

    begins: BoolArray  # (n, n_samples) a transient begins here, `delay` samples late
    known: BoolArray  # (n,) enough was learned


@dataclass(frozen=True)
class SpikeWatch:
    """Tell sharp transients by their Mahalanobis distance from the rhythm.

    A channel's sharpness is a sample minus the mean of those 30 ms before and after it. What the channels do together
    of late (their covariance, over 20 s) is usual: a rhythm, however strong, has few directions and is soon known; a
    spike comes from a place of its own. A sample that is far off teaches less, so that spikes do not become usual.

    Parameters
    ----------
    rate_hz
        About 100 Hz.

    It is an index of sharp transients, no diagnosis.

    References
    ----------
    Wilson & Hilferty 1931, doi:10.1073/pnas.17.12.684, for a limit that fits any number of channels.
    """

    rate_hz: float

    @property
    def delay(self) -> int:
        """Samples by which a transient is told late."""
        return round(HALF_S * self.rate_hz)

    def init(self, first: Array) -> SpikeState:
        """Nothing known yet; `first` has shape ``(n_devices, n_channels, n_samples)``."""
        n, channels = first.shape[:2]
        return SpikeState(
            tail=np.repeat(first[..., :1], 2 * self.delay, axis=-1),
            products=np.zeros((n, channels, channels)),
            mass=np.zeros(n),
            seen=np.zeros(n, np.int64),
            last=np.full(n, -(10**12)),
        )

    def step(self, state: SpikeState, block: Array) -> tuple[SpikeState, SpikesOut]:
        """Take a block of shape ``(n_devices, n_channels, n_samples)``: one round of learning each."""
        half, n_samples = self.delay, block.shape[-1]
        wide = np.concatenate([state.tail, block], axis=-1)
        sharp = wide[..., half:-half] - 0.5 * (wide[..., : -2 * half] + wide[..., 2 * half :])
        known = state.seen >= LEARN_S * self.rate_hz
        distance = self._distance(state, sharp)
        weight = 1.0 / np.maximum(1.0, np.where(known[:, None], distance, 1.0) / CALM)
        keep = np.exp(-n_samples / (MEMORY_S * self.rate_hz))
        weighted = sharp * weight[:, None]
        products = keep * state.products
        for c in range(block.shape[1]):  # one channel at a time: all at once would need a temporary that no cache holds
            products[:, c] += (weighted[:, c, None] * sharp).sum(axis=-1)
        place = state.seen[:, None] + np.arange(n_samples)
        # By Wilson and Hilferty the cube root of a mean of so many squares is nearly normal.
        variance = 2.0 / (9.0 * block.shape[1])
        over = known[:, None] & (distance > (1.0 - variance + SHARP * np.sqrt(variance)) ** 3)
        far = np.full((len(block), 1), -(10**12))
        newest = np.maximum.accumulate(np.where(over, place, far), axis=-1)
        before = np.maximum(np.concatenate([far, newest[:, :-1]], axis=-1), state.last[:, None])
        begins = over & (place - before > APART_S * self.rate_hz)
        state = SpikeState(
            tail=wide[..., -2 * half :].copy(),
            products=products,
            mass=keep * state.mass + n_samples,
            seen=state.seen + n_samples,
            last=np.maximum(newest[:, -1], state.last),
        )
        return state, SpikesOut(begins, known)

    def _distance(self, state: SpikeState, sharp: Array) -> Array:
        """Squared distance of each sample from what is usual, over the number of channels."""
        channels = sharp.shape[1]
        usual = state.products / np.maximum(state.mass, 1.0)[:, None, None]
        mean = usual[:, np.arange(channels), np.arange(channels)].mean(axis=-1)
        eye: NDArray[np.float64] = np.eye(channels)
        inverse = np.linalg.inv(usual + (RIDGE * mean + np.where(mean > 0.0, 0.0, 1.0))[:, None, None] * eye)
        total = np.zeros((len(sharp), sharp.shape[-1]))
        for c in range(channels):
            total += sharp[:, c] * (inverse[:, c, :, None] * sharp).sum(axis=1)
        distance: Array = total / channels
        return distance
