"""A zero-field SERF magnetometer: what it makes of the field in front of it, and when it loses its lock."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.electronics import PathState, Reading, SignalPath
from device_sim.noise import noise_init, noise_step

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Without the zero-field resonance the output is electronic noise that no longer depends on the field; from memory.
UNLOCKED_NOISE_PT = 2.0


class OpmState(NamedTuple):
    """What the sensors carry from chunk to chunk."""

    path: PathState
    pink: Array  # (n_sections, n, n_channels, 2)
    coil_pt: Array  # (n, n_channels, 3): what the coils add to null the field
    gap: NDArray[np.int64]  # (n,): samples until the coils are set anew; 0: locked


@dataclass(frozen=True)
class Opm:
    """SERF OPM: ``coils -> resonance -> gains and cross-talk -> low pass, delay -> + noise -> range``.

    The resonance is the steady state of Bloch's equations for a cell that is pumped and probed across its sensitive
    axis: ``y = (B + B1 B2 / B0) / (1 + |B|^2 / B0^2)``. A field across it tilts the sensitive axis by ``B1 / B0``: the
    cross-axis projection error (DOMAIN 1.2, Robinson 2022). In closed loop the coils answer the reading, the resonance
    sees ``1 / (1 + loop gain)`` of the field, and the curve's error is as many times smaller; the tilt stays, unless
    the field across is nulled too.

    A field beyond `capture_pt` loses the lock. The coils are then set anew, which takes `zeroing_s`; where they cannot
    reach, it begins again, for ever.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    noise_pt
        White noise density at the output, pT / sqrt(Hz): photon shot noise, so that the low pass does not shape it.
        QZFM 7-15 fT, triaxial below 23 fT (DOMAIN 1.1).
    noise_factors
        Of each channel; one for all, or one per channel.
    knee_hz
        Where 1/f noise equals the white: density = ``noise_pt * sqrt(1 + knee_hz / f)``. 1-5 Hz (DOMAIN 1.2).
    bandwidth_hz
        First order, -3 dB. QZFM 135 Hz.
    delay_s, skew_s
        Of the electronics: 1-10 ms, between channels within 1 ms (DOMAIN 1.1, Elzenheimer 2025).
    range_pt
        Clips at plus and minus this. QZFM 5 nT.
    linewidth_pt
        B0, 15-30 nT (DOMAIN 1.2).
    loop_gain
        Of the closed loop along the sensitive axis; 0: open loop. From memory.
    cross_gain
        Of the closed loop across it: a triaxial sensor nulls all three. From memory.
    capture_pt
        Beyond this field the resonance is lost.
    coil_pt
        The coils reach so far. QZFM 50 nT (DOMAIN 1.1).
    null_share
        Zeroing takes this share of the field away; from memory.
    zeroing_s
        Setting the coils takes so long: seconds (DOMAIN 1.2).

    Examples
    --------
    >>> opm = Opm(noise_pt=0.0)
    >>> field = np.full((1, 1, 3, 500), 50.0)
    >>> _, reading = opm.step(opm.init(0.0 * field[..., 0]), field, np.zeros((1, 1, 500)), np.ones((1, 1, 1)))
    >>> round(float(reading.field_pt[0, 0, -1]), 1)
    50.1
    """

    rate_hz: float = 500.0
    noise_pt: float = 0.015
    noise_factors: tuple[float, ...] = (1.0,)
    knee_hz: float = 2.0
    bandwidth_hz: float = 135.0
    delay_s: float = 0.004
    skew_s: tuple[float, ...] = (0.0,)
    range_pt: float = 5000.0
    linewidth_pt: float = 25_000.0
    loop_gain: float = 0.0
    cross_gain: float = 0.0
    capture_pt: float = 25_000.0
    coil_pt: float = 50_000.0
    null_share: float = 0.9
    zeroing_s: float = 3.0

    def __post_init__(self) -> None:
        """Refuse a sensor that cannot be."""
        _ = self.path
        if not (self.noise_pt >= 0.0 and 0.0 < self.knee_hz < self.rate_hz / 2):
            raise ValueError(
                f"noise_pt={self.noise_pt}, knee_hz={self.knee_hz}: need noise >= 0 and a knee in the band"
            )
        if not (self.range_pt > 0.0 and self.linewidth_pt * (1.0 + self.loop_gain) > 2.0 * self.range_pt):
            # Beyond B0 the curve falls again: within the range it must rise.
            raise ValueError(
                f"linewidth_pt={self.linewidth_pt}: need more than twice range_pt={self.range_pt} > 0, "
                "divided by 1 + loop_gain"
            )
        if not (0.0 <= self.null_share <= 1.0 and self.zeroing_s > 0.0 and self.capture_pt >= self.range_pt):
            raise ValueError(
                f"null_share={self.null_share}, zeroing_s={self.zeroing_s}, capture_pt={self.capture_pt}: "
                "need a share of 0 to 1, a time above 0, and a capture_pt of at least range_pt"
            )

    @cached_property
    def path(self) -> SignalPath:
        """Low pass and delay."""
        return SignalPath(self.rate_hz, self.bandwidth_hz, self.delay_s, self.skew_s)

    @property
    def non_linearity(self) -> float:
        """Largest relative error of the reading within the range, from the resonance's curve."""
        under = (self.range_pt / ((1.0 + self.loop_gain) * self.linewidth_pt)) ** 2
        return under / (1.0 + self.loop_gain + under)

    def init(self, first_pt: Array) -> OpmState:
        """Just zeroed in a field of shape ``(n, n_channels, 3)`` that has long been there."""
        coil = self._zeroed(first_pt)
        rest = first_pt + coil
        lost = np.sum(rest**2, axis=-1).max(axis=-1) > self.capture_pt**2
        still = np.where(lost[:, None], 0.0, self._resonance(rest[..., None])[..., 0])
        return OpmState(
            self.path.init(still),
            noise_init(first_pt.shape[:2], self.knee_hz, self.rate_hz),
            coil,
            np.where(lost, self._zeroing, 0),
        )

    def step(self, state: OpmState, field_pt: Array, white: Array, mixing: Array) -> tuple[OpmState, Reading]:
        """Read a field.

        Parameters
        ----------
        state
            As returned before.
        field_pt : ndarray, shape (n, n_channels, 3, n_samples)
            Field along each channel's true sensitive axis and the two across it.
        white : ndarray, shape (n, n_channels, n_samples)
            Standard normal numbers.
        mixing : ndarray, shape (n, n_channels, n_channels)
            True gains on the diagonal, cross-talk beside it; the unit matrix as calibrated.
        """
        rest = field_pt + state.coil_pt[..., None]
        response = self._resonance(rest)
        n, n_samples = len(field_pt), field_pt.shape[-1]
        locked, zeroing = np.ones((n, n_samples), np.bool_), np.zeros((n, n_samples), np.bool_)
        coil, gap = state.coil_pt, state.gap
        furthest = np.abs(rest).max(axis=(1, 2, 3))
        troubled = np.flatnonzero((state.gap > 0) | (furthest * np.sqrt(3.0) > self.capture_pt))
        if len(troubled):
            coil, gap = coil.copy(), gap.copy()
        for row in troubled:
            coil[row], gap[row], locked[row] = self._search(coil[row], int(gap[row]), field_pt[row], response[row])
            zeroing[row] = ~locked[row]
        path, seen = self.path.step(state.path, np.matmul(mixing, response))
        pink, noise = noise_step(state.pink, white, self.knee_hz, self.rate_hz)
        noise *= self.noise_pt * np.resize(np.array(self.noise_factors), (field_pt.shape[1], 1))
        for row in troubled:
            noise[row] += ~locked[row] * UNLOCKED_NOISE_PT * np.sqrt(self.rate_hz / 2) * white[row]
        seen += noise
        saturated = np.abs(seen) >= self.range_pt
        for row in troubled:
            # Coils that cannot null the field are at their end.
            saturated[row] |= ~locked[row] & (np.abs(field_pt[row]).max(axis=1) > self.coil_pt + self.range_pt)
        np.clip(seen, -self.range_pt, self.range_pt, out=seen)
        return OpmState(path, pink, coil, gap), Reading(seen, saturated, locked, zeroing)

    @cached_property
    def _zeroing(self) -> int:
        return round(self.zeroing_s * self.rate_hz)

    def _zeroed(self, field_pt: Array) -> Array:
        """Field of the coils after they were set in a field."""
        return np.clip(-self.null_share * field_pt, -self.coil_pt, self.coil_pt)

    def _resonance(self, rest_pt: Array) -> Array:
        """Steady response to a field of shape ``(..., 3, n_samples)``, pT."""
        seen = 1.0 / ((1.0 + self.loop_gain) * self.linewidth_pt)
        across = rest_pt[..., 1:, :] * (1.0 / ((1.0 + self.cross_gain) * self.linewidth_pt))
        first, second = across[..., 0, :], across[..., 1, :]
        under = rest_pt[..., 0, :] * seen
        under *= under
        under += first * first
        under += second * second
        under += 1.0 + self.loop_gain
        # (1 + G) (B + B1 B2 / B0) / (G + D): what the loop settles at, with D the width of the resonance.
        response: Array = first * second
        response *= self.linewidth_pt
        response += rest_pt[..., 0, :]
        response *= 1.0 + self.loop_gain
        response /= under
        return response

    def _search(self, coil: Array, gap: int, field: Array, response: Array) -> tuple[Array, int, Mask]:
        """Follow one sensor through losses of lock; its response is put right in place."""
        n_samples = field.shape[-1]
        locked = np.ones(n_samples, np.bool_)
        at = 0
        while at < n_samples:
            if gap:
                end = min(at + gap, n_samples)
                gap -= end - at
                response[:, at:end], locked[at:end] = 0.0, False
                at = end
                if not gap:
                    coil = self._zeroed(field[..., at - 1])
                    rest = field[..., at - 1] + coil
                    gap = self._zeroing if np.sum(rest**2, axis=-1).max() > self.capture_pt**2 else 0
                continue
            rest = field[..., at:] + coil[..., None]
            beyond = np.sum(rest**2, axis=1).max(axis=0) > self.capture_pt**2
            end = at + int(np.argmax(beyond)) if beyond.any() else n_samples
            response[:, at:end] = self._resonance(rest[..., : end - at])
            gap = self._zeroing if end < n_samples else 0
            at = end
        return coil, gap, locked
