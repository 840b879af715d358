"""An NV-diamond magnetometer: two spin resonances, whose difference is the field and whose mean is the temperature."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from device_sim.electronics import Mask, PathState, Reading, SignalPath
from device_sim.noise import noise_init, noise_step

Array = NDArray[np.float64]

SPLITTING_HZ = 2.870e9  # D at room temperature (DOMAIN 1.2)
HZ_PER_PT = 28.03e9 * 1e-12  # gamma (DOMAIN 1.2)
SPLITTING_HZ_PER_K = -74.2e3  # dD/dT at 280-330 K (DOMAIN 1.2, Acosta 2010)
# Photon shot noise of a Lorentzian line read at its steepest: Dreau 2011, Barry 2020; from memory.
_SHOT_NOISE = 4.0 / (3.0 * math.sqrt(3.0))


class NvState(NamedTuple):
    """What the sensors carry from chunk to chunk."""

    path: PathState
    pink: Array  # (n_sections, n, 2 n_channels, 2): of each resonance
    cold: Array  # (n,): share of the microwaves' heating that is still to come
    magnet: Array  # (n, 1): delay line of the magnets' temperature
    balance_pt: Array  # (n, n_channels): taken off the reading when it was started


class NvOut(NamedTuple):
    """What the sensors put out."""

    reading: Reading
    temperature_k: Array  # (n, n_channels, n_samples), of the diamond, from the two resonances' mean
    single_pt: Array  # (n, n_channels, n_samples): what one resonance alone would read as field


@dataclass(frozen=True)
class Nv:
    """Ensemble of NV centres along one axis in the field of a magnet, both resonances tracked at once.

    ``f+- = D(T) + 3 (gamma Bt)^2 / (2 D) +- sqrt((gamma B)^2 + E^2)`` with the magnet's field in ``B`` and the field
    across the axis in ``Bt``. Half the difference gives the field, whatever the temperature does to D; the magnet's own
    drift stays in it.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    bias_pt
        Field of the magnet; 1 mT (DOMAIN 1.1).
    bias_per_k
        Relative drift of the magnet; -0.1 %/K (DOMAIN 1.1).
    magnet_s
        The magnet follows the temperature around it with this time constant; from memory.
    strain_hz
        E; 4-11 MHz (DOMAIN 1.2).
    linewidth_hz, contrast, photons_cps
        Of the resonance, and detected photons per second: they make the shot noise. From memory, chosen for 9 pT/rtHz
        (DOMAIN 1.1, Yu 2024).
    asymmetry
        Contrast of the upper resonance above, of the lower below `contrast`, by this share; from memory.
    knee_hz
        Of the 1/f noise; from memory.
    bandwidth_hz
        DC-200 Hz (DOMAIN 1.1).
    delay_s, skew_s
        Of the lock-in amplifiers, and between channels; from memory.
    range_pt
        How far the microwaves follow; from memory.
    heating_k, warming_s
        How far the microwaves and the laser heat the diamond, and how fast; from memory.

    Examples
    --------
    >>> round(Nv().noise_pt, 1)
    9.0
    """

    rate_hz: float = 500.0
    bias_pt: float = 1e9
    bias_per_k: float = -1e-3
    magnet_s: float = 300.0
    strain_hz: float = 5e6
    linewidth_hz: float = 1e6
    contrast: float = 0.03
    photons_cps: float = 5.378e15
    asymmetry: float = 0.05
    knee_hz: float = 5.0
    bandwidth_hz: float = 200.0
    delay_s: float = 0.006
    skew_s: tuple[float, ...] = (0.0,)
    range_pt: float = 200e6
    heating_k: float = 6.0
    warming_s: float = 120.0

    def __post_init__(self) -> None:
        """Refuse a sensor that cannot be."""
        _ = self.path
        if not 0.0 < self.contrast * (1.0 + abs(self.asymmetry)) < 1.0 or not abs(self.asymmetry) < 1.0:
            raise ValueError(f"contrast={self.contrast}, asymmetry={self.asymmetry}: need both contrasts within 0 to 1")
        if not (self.linewidth_hz > 0.0 and self.photons_cps > 0.0 and 0.0 < self.knee_hz < self.rate_hz / 2):
            raise ValueError(
                f"linewidth_hz={self.linewidth_hz}, photons_cps={self.photons_cps}, knee_hz={self.knee_hz}: "
                "need a width and photons above 0 and a knee in the band"
            )
        if not self.bias_pt > self.range_pt > 0.0:
            # The sign of the field is that of the magnet.
            raise ValueError(f"bias_pt={self.bias_pt}: need more than range_pt={self.range_pt} > 0")
        if not (self.magnet_s > 0.0 and self.warming_s > 0.0 and self.strain_hz >= 0.0):
            raise ValueError(
                f"magnet_s={self.magnet_s}, warming_s={self.warming_s}, strain_hz={self.strain_hz}: "
                "need times above 0 and a strain of at least 0"
            )

    @cached_property
    def path(self) -> SignalPath:
        """Low pass and delay."""
        return SignalPath(self.rate_hz, self.bandwidth_hz, self.delay_s, self.skew_s)

    @property
    def shot_noise_hz(self) -> tuple[float, float]:
        """Density of the upper and the lower resonance's frequency, Hz / sqrt(Hz)."""
        whole = _SHOT_NOISE * self.linewidth_hz / (self.contrast * math.sqrt(self.photons_cps))
        return whole / (1.0 + self.asymmetry), whole / (1.0 - self.asymmetry)

    @property
    def noise_pt(self) -> float:
        """White noise density of the field, pT / sqrt(Hz)."""
        return math.hypot(*self.shot_noise_hz) / 2.0 / HZ_PER_PT / self._slope

    def init(self, first_pt: Array, around_k: Array, cold: float = 0.0) -> NvState:
        """Balanced in a field of shape ``(n, n_channels, 3)`` at a temperature of shape ``(n,)``, in K above the usual.

        `cold` is the share of its own heating that is still to come: 1 just switched on, 0 warm.
        """
        n, n_channels, _ = first_pt.shape
        bias = self.bias_pt * (1.0 + self.bias_per_k * around_k[:, None])
        return NvState(
            self.path.init(np.zeros((n, n_channels))),
            noise_init((n, 2 * n_channels), self.knee_hz, self.rate_hz),
            np.full(n, cold),
            around_k[:, None] * self._pole,
            first_pt[..., 0] + bias - self.bias_pt,
        )

    def step(
        self, state: NvState, field_pt: Array, white: Array, mixing: Array, around_k: Array
    ) -> tuple[NvState, NvOut]:
        """Read a field.

        Parameters
        ----------
        state
            As returned before.
        field_pt : ndarray, shape (n, n_channels, 3, n_samples)
            Field along each channel's NV axis and the two across it, without the magnet's.
        white : ndarray, shape (n, 2 n_channels, n_samples)
            Standard normal numbers: of the upper resonances, then of the lower ones.
        mixing : ndarray, shape (n, n_channels, n_channels)
            True gains on the diagonal, cross-talk beside it.
        around_k : ndarray, shape (n, n_samples)
            Temperature around the diamond, in K above the usual.
        """
        n_channels, n_samples = field_pt.shape[1], field_pt.shape[-1]
        fading = np.exp(-np.arange(1, n_samples + 1) / (self.warming_s * self.rate_hz))
        cold = state.cold[:, None] * fading
        diamond_k = around_k - self.heating_k * cold
        magnet_k, magnet = signal.lfilter([1.0 - self._pole], [1.0, -self._pole], around_k, zi=state.magnet)
        bias = self.bias_pt * (1.0 + self.bias_per_k * magnet_k)
        across = HZ_PER_PT**2 * np.sum(field_pt[..., 1:, :] ** 2, axis=-2)
        middle = SPLITTING_HZ + SPLITTING_HZ_PER_K * diamond_k[:, None] + 1.5 * across / SPLITTING_HZ
        half = np.sqrt((HZ_PER_PT * (field_pt[..., 0, :] + bias[:, None])) ** 2 + self.strain_hz**2)
        pink, noise = noise_step(state.pink, white, self.knee_hz, self.rate_hz)
        up, down = self.shot_noise_hz
        upper_noise, lower_noise = up * noise[:, :n_channels], down * noise[:, n_channels:]
        balance = state.balance_pt[..., None]
        at_start = np.hypot(HZ_PER_PT * (balance + self.bias_pt), self.strain_hz)
        # Noise is added to the resonances behind the low pass: the photons do not know of it.
        path, followed = self.path.step(state.path, half - at_start)
        followed += at_start + 0.5 * (upper_noise - lower_noise)
        seen = np.sqrt(np.maximum(followed**2 - self.strain_hz**2, 0.0)) / HZ_PER_PT - self.bias_pt
        field = np.matmul(mixing, seen - balance)
        saturated = np.abs(field) >= self.range_pt
        np.clip(field, -self.range_pt, self.range_pt, out=field)
        single = (middle + half + upper_noise - SPLITTING_HZ - self._half_hz) / HZ_PER_PT / self._slope
        temperature = (middle + 0.5 * (upper_noise + lower_noise) - SPLITTING_HZ) / SPLITTING_HZ_PER_K
        beyond: Mask = np.any(saturated, axis=1)
        out = NvOut(Reading(field, saturated, ~beyond, beyond), temperature, single)
        return NvState(path, pink, cold[:, -1], magnet, state.balance_pt), out

    @cached_property
    def _half_hz(self) -> float:
        return math.hypot(HZ_PER_PT * self.bias_pt, self.strain_hz)

    @property
    def _slope(self) -> float:
        """How much of a field's change the strain leaves in the half-difference."""
        return HZ_PER_PT * self.bias_pt / self._half_hz

    @property
    def _pole(self) -> float:
        return math.exp(-1.0 / (self.magnet_s * self.rate_hz))
