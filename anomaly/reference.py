"""Reference sensors regressed out of the sensors over the heart, without taking the heart along."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import signal

from anomaly.kernel import Array
from anomaly.sos import SosFilter, SosState


class ReferenceState(NamedTuple):
    """Delay lines, forgotten covariances and the coefficients in force."""

    high: SosState
    coefficients: Array  # (n_devices, n_channels, n_references) unit of a channel per unit of a reference
    rr: Array  # (n_devices, n_references, n_references) mean products
    pr: Array  # (n_devices, n_channels, n_references)
    pp: Array  # (n_devices, n_channels)
    mass: Array  # (n_devices,) forgotten number of frames learned from


@dataclass(frozen=True)
class ReferenceCanceller:
    """Subtract what the reference channels explain of the primary channels.

    Everything is high-passed first (first order, steady state at the first sample), so that neither an offset nor the
    change of a coefficient times an offset shows in the output. Then, frame by frame, mean products of the channels are
    forgotten exponentially, the frame itself included: an interference that begins is cancelled in the frame in which
    it begins, the very first frame not excepted. From frame to frame the coefficients fade over, unless the step
    explains more than is left in the output: then there is something to learn, not noise to smooth.

    The heart's own field leaks weakly into the references, and where there is nothing else in them a plain regression
    would use that leak to cancel the heart. Hence a ridge of ``(blind * rms of what is left)**2``: a reference is
    believed as far as it is stronger than `blind` times what it cannot explain. With an interference of amplitude A
    (at the references, in units of the heart's) a share ``blind**2 / (A**2 + blind**2)`` of it stays, at worst
    ``blind / 2`` of a heart's amplitude; of the heart, with leak l and no interference, ``l**2 / (l**2 + blind**2)``
    is lost.

    A reference that is dead or absent (constant, or all zero) has coefficient 0.

    Parameters
    ----------
    n_channels, n_references
        Primary channels come first in a block, then references.
    rate_hz
        Sampling rate.
    memory_s
        Time constant of forgetting. The coefficients are geometry and gains, and change slowly.
    frame_s
        One set of coefficients per frame. A block holds a whole number of frames; one that does not is one frame.
    high_hz
        Corner of the high-pass, below the slowest heart.
    blind
        See above.

    Notes
    -----
    The heart is never in the covariance twice: what is left after cancelling is found from the covariance itself, by
    three rounds of shrinking that start from "all is left".
    """

    n_channels: int
    n_references: int
    rate_hz: float
    memory_s: float = 20.0
    frame_s: float = 0.25
    high_hz: float = 0.25
    blind: float = 0.3

    def __post_init__(self) -> None:
        """Refuse shapes and times that make no canceller."""
        if self.n_channels < 1 or self.n_references < 0:
            raise ValueError(f"need n_channels >= 1 and n_references >= 0, got {self.n_channels}, {self.n_references}")
        if not 0.0 < self.frame_s < self.memory_s:
            raise ValueError(f"need 0 < frame_s={self.frame_s} < memory_s={self.memory_s}")
        if not 0.0 < self.high_hz < self.rate_hz / 2.0:
            raise ValueError(f"need 0 < high_hz={self.high_hz} < rate_hz / 2 = {self.rate_hz / 2.0}")
        if not 0.0 < self.blind < 1.0:
            raise ValueError(f"need 0 < blind={self.blind} < 1")

    @cached_property
    def high(self) -> SosFilter:
        """The high-pass that every channel goes through."""
        return SosFilter(signal.butter(1, self.high_hz, "highpass", fs=self.rate_hz, output="sos"))

    def init(self, first: Array) -> ReferenceState:
        """Nothing learned; `first` has shape ``(n_devices, n_channels + n_references, n_samples)``."""
        n, c, r = len(first), self.n_channels, self.n_references
        return ReferenceState(
            high=self.high.init(first),
            coefficients=np.zeros((n, c, r)),
            rr=np.zeros((n, r, r)),
            pr=np.zeros((n, c, r)),
            pp=np.zeros((n, c)),
            mass=np.zeros(n),
        )

    def step(self, state: ReferenceState, block: Array) -> tuple[ReferenceState, Array]:
        """Clean a block of shape ``(n_devices, n_channels + n_references, n_samples)``; the references are left out."""
        return self.step_trusted(state, block, np.ones(len(block)))

    def step_trusted(self, state: ReferenceState, block: Array, trust: Array) -> tuple[ReferenceState, Array]:
        """Clean a block, and learn from a row only as far as it is trusted.

        Parameters
        ----------
        state
            Rows of a state.
        block : ndarray, shape (n_devices, n_channels + n_references, n_samples)
            Finite samples.
        trust : ndarray, shape (n_devices,)
            1: learn from this block. 0 (saturated, zeroing, unlocked, repaired): forget nothing and keep to the
            coefficients in force.
        """
        high, x = self.high.step(state.high, block)
        if self.n_references == 0:
            return state._replace(high=high), x
        frame = round(self.frame_s * self.rate_hz)
        n_samples = block.shape[-1]
        if n_samples % frame:
            frame = n_samples
        state = state._replace(high=high)
        cleaned = []
        for start in range(0, n_samples, frame):
            state, y = self._frame(state, x[..., start : start + frame], trust)
            cleaned.append(y)
        return state, cleaned[0] if len(cleaned) == 1 else np.concatenate(cleaned, axis=-1)

    def _frame(self, state: ReferenceState, x: Array, trust: Array) -> tuple[ReferenceState, Array]:
        primary, reference = x[:, : self.n_channels], x[:, self.n_channels :]
        n_samples = x.shape[-1]
        # One reference at a time: all at once would need a temporary that no cache holds.
        columns = [(x * reference[:, r, None]).sum(axis=-1) for r in range(self.n_references)]
        products = np.stack(columns, axis=-1) / n_samples
        power = (primary * primary).sum(axis=-1) / n_samples
        keep = np.where(trust > 0.0, np.exp(-n_samples / (self.rate_hz * self.memory_s)), 1.0)
        rr = keep[:, None, None] * state.rr + trust[:, None, None] * products[:, self.n_channels :]
        pr = keep[:, None, None] * state.pr + trust[:, None, None] * products[:, : self.n_channels]
        pp = keep[:, None] * state.pp + trust[:, None] * power
        coefficients, left = self._solve(rr, pr, pp)
        mass = keep * state.mass + trust

        step = coefficients - state.coefficients
        y = primary - _explained(coefficients, reference)
        change = _explained(step, reference)
        # Noise in the coefficients fades in; a step that explains more than is left is learning and acts at once.
        changed = (change * change).sum(axis=-1) / n_samples * mass[:, None]
        fade = np.where(changed < left, 1.0, 0.0)[..., None] * (1.0 - np.arange(1, n_samples + 1) / n_samples)
        return ReferenceState(state.high, coefficients, rr, pr, pp, mass), y + fade * change

    def _solve(self, rr: Array, pr: Array, pp: Array) -> tuple[Array, Array]:
        """Coefficients, and the power that they leave (both in sums over the forgotten frames)."""
        values, vectors = np.linalg.eigh(rr)
        values = np.maximum(values, 0.0)[:, None, :]
        # (n, c, 1, r) * (n, 1, r, r): the primary channels along the principal axes of the references.
        along = (pr[:, :, None, :] * np.swapaxes(vectors, 1, 2)[:, None]).sum(axis=-1)
        smallest = 1e-12 * values.max(axis=-1, keepdims=True) + 1e-200
        left = pp
        weight = np.zeros_like(along)
        for _ in range(3):
            # A channel that sees little of the heart is judged like the middle one: the leak is not smaller for it.
            unexplained = np.maximum(left, np.median(left, axis=-1, keepdims=True))[..., None]
            weight = along / (values + np.maximum(self.blind**2 * unexplained, smallest))
            left = np.maximum(pp - (weight * (2.0 * along - values * weight)).sum(axis=-1), 0.0)
        return (weight[:, :, None, :] * vectors[:, None]).sum(axis=-1), left


def _explained(coefficients: Array, reference: Array) -> Array:
    """Field at each primary channel, ``(n, c, r)`` coefficients on ``(n, r, t)`` references; no BLAS across rows."""
    total = coefficients[:, :, 0, None] * reference[:, 0, None]
    for r in range(1, reference.shape[1]):
        total = total + coefficients[:, :, r, None] * reference[:, r, None]
    return total
