"""A scalar gradiometer for open wards: two cells that measure the size of the earth's field, and their difference."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.electronics import Mask, PathState, Reading, SignalPath
from device_sim.noise import noise_init, noise_step

Array = NDArray[np.float64]


class GradiometerState(NamedTuple):
    """What the sensors carry from chunk to chunk."""

    path: PathState
    pink: Array  # (n_sections, n, n_channels, 2)
    balance_pt: Array  # (n, n_channels): taken off the difference when it was started
    gap: NDArray[np.int64]  # (n,): samples until the resonance is found again; 0: locked


@dataclass(frozen=True)
class ScalarGradiometer:
    """Scalar OPM gradiometer: ``|B| near - (1 - mismatch) |B| far + heading -> gains -> low pass, delay -> + noise``.

    A scalar cell measures the length of the field vector, and so hardly cares how it is turned: what is left is the
    heading error, of which the two cells do not have quite the same. The difference keeps
    what the two cells do not share: most of a near source, little of a far one, and of a homogeneous change as much as
    their gains differ (the mismatch of each channel, whose spread is the rejection).

    Parameters
    ----------
    rate_hz
        Sampling rate.
    baseline_m
        From the near cell to the far one.
    noise_pt_cm
        White noise density per length, pT / cm / sqrt(Hz): 0.314 unshielded, 0.018 intrinsic (DOMAIN 1.1).
    knee_hz
        Of the 1/f noise; from memory.
    bandwidth_hz
        About 100 Hz (DOMAIN 1.1).
    delay_s, skew_s
        Of the electronics and between channels; from memory.
    rejection
        Of a homogeneous change, open loop 31 dB = 35 (DOMAIN 1.1), closed loop 500-1000.
    heading_pt
        What the cells' heading errors differ by, from a field along the axis to one across it; Zeeman levels that are
        not evenly spaced make some nT of it in a cell, and pumping from both sides takes most away; from memory.
    range_pt
        Of the difference; from memory.
    earth_pt
        The field that it works in must lie between these; from memory.
    search_s
        Finding the resonance again takes so long; from memory.
    """

    rate_hz: float = 500.0
    baseline_m: float = 0.03
    noise_pt_cm: float = 0.314
    knee_hz: float = 2.0
    bandwidth_hz: float = 100.0
    delay_s: float = 0.006
    skew_s: tuple[float, ...] = (0.0,)
    rejection: float = 35.0
    heading_pt: float = 200.0
    range_pt: float = 50_000.0
    earth_pt: tuple[float, float] = (15e6, 80e6)
    search_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a sensor that cannot be."""
        _ = self.path
        if not (self.noise_pt_cm >= 0.0 and 0.0 < self.knee_hz < self.rate_hz / 2):
            raise ValueError(
                f"noise_pt_cm={self.noise_pt_cm}, knee_hz={self.knee_hz}: need noise >= 0 and a knee in the band"
            )
        if not (self.baseline_m > 0.0 and self.rejection >= 1.0 and self.range_pt > 0.0):
            raise ValueError(
                f"baseline_m={self.baseline_m}, rejection={self.rejection}, range_pt={self.range_pt}: "
                "need a baseline and a range above 0 and a rejection of at least 1"
            )
        if not 0.0 < self.earth_pt[0] < self.earth_pt[1]:
            raise ValueError(f"earth_pt={self.earth_pt}: need 0 < lowest < highest")

    @cached_property
    def path(self) -> SignalPath:
        """Low pass and delay."""
        return SignalPath(self.rate_hz, self.bandwidth_hz, self.delay_s, self.skew_s)

    @property
    def noise_pt(self) -> float:
        """White noise density of the difference, pT / sqrt(Hz)."""
        return self.noise_pt_cm * self.baseline_m * 100.0

    def init(self, first_pt: Array, mismatch: Array) -> GradiometerState:
        """Balanced in a field of shape ``(n, n_channels, 6)`` that has long been there."""
        size, difference = self._sizes(first_pt[..., None], mismatch)
        lost = self._lost(size)[:, 0]
        return GradiometerState(
            self.path.init(np.zeros(first_pt.shape[:2])),
            noise_init(first_pt.shape[:2], self.knee_hz, self.rate_hz),
            difference[..., 0],
            np.where(lost, self._search, 0),
        )

    def step(
        self, state: GradiometerState, field_pt: Array, white: Array, mixing: Array, mismatch: Array
    ) -> tuple[GradiometerState, Reading]:
        """Read a field.

        Parameters
        ----------
        state
            As returned before.
        field_pt : ndarray, shape (n, n_channels, 6, n_samples)
            The whole field vector at the near cell, then at the far one, the earth's field in it.
        white : ndarray, shape (n, n_channels, n_samples)
            Standard normal numbers.
        mixing : ndarray, shape (n, n_channels, n_channels)
            True gains on the diagonal, cross-talk beside it.
        mismatch : ndarray, shape (n, n_channels)
            By how much the far cell's gain is lower than the near one's.
        """
        size, difference = self._sizes(field_pt, mismatch)
        lost = self._lost(size)
        locked = ~lost
        gap, balance = state.gap, state.balance_pt
        troubled = np.flatnonzero((gap > 0) | lost.any(axis=-1))
        if len(troubled):
            gap = gap.copy()
        for row in troubled:
            gap[row] = self._follow(int(gap[row]), lost[row], locked[row])
        difference = difference - balance[..., None]
        difference *= locked[:, None]
        path, seen = self.path.step(state.path, np.matmul(mixing, difference))
        pink, noise = noise_step(state.pink, white, self.knee_hz, self.rate_hz)
        # Without a resonance the output is electronic noise; from memory.
        seen += np.where(locked[:, None], self.noise_pt, 10.0 * self.noise_pt) * noise
        saturated = np.abs(seen) >= self.range_pt
        np.clip(seen, -self.range_pt, self.range_pt, out=seen)
        return GradiometerState(path, pink, balance, gap), Reading(seen, saturated, locked, ~locked)

    @cached_property
    def _search(self) -> int:
        return round(self.search_s * self.rate_hz)

    def _lost(self, size: Array) -> Mask:
        """Where a device has a cell whose field is outside of what it works in, shape (n, n_samples)."""
        low, high = self.earth_pt
        lost: Mask = np.any((size < low) | (size > high), axis=1)
        return lost

    def _follow(self, gap: int, lost: Mask, locked: Mask) -> int:
        """Unlock a device from each loss until the resonance was found again, in place."""
        for at in range(len(lost)):
            if lost[at]:
                gap = self._search
            if gap:
                locked[at] = False
                gap -= 1
        return gap

    def _sizes(self, field_pt: Array, mismatch: Array) -> tuple[Array, Array]:
        """Length of the near cell's field, and the difference of both, shapes (n, n_channels, n_samples)."""
        near = np.sqrt(np.sum(field_pt[..., :3, :] ** 2, axis=-2))
        far = np.sqrt(np.sum(field_pt[..., 3:, :] ** 2, axis=-2))
        heading = self.heading_pt * field_pt[..., 0, :] / np.maximum(near, self.earth_pt[0])
        return near, near - (1.0 - mismatch[..., None]) * far + heading
