"""An NV-diamond magnetometer: four axes of two resonances each; their differences are the field, their mean heat."""

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
# The four axes of NV centres in a channel's frame, shape (4, 3): the crystal is cut so that each of them stands at 54.7
# degrees to the sensitive axis, which comes first.
AXES = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]) / math.sqrt(3.0)
N_AXES = 4
# Direction of the magnet: its projections on the four axes are as 6 : 2 : -3 : -5, so that at 1 mT the eight lines lie
# at least 3.8 MHz apart and each can be followed by itself (as Schloss 2018, Phys. Rev. Applied 10:034044, does).
MAGNET = np.array([16.0, 6.0, 2.0]) / math.sqrt(296.0)
# Photon shot noise of a Lorentzian line read at its steepest: Dreau 2011, Barry 2020; from memory.
_SHOT_NOISE = 4.0 / (3.0 * math.sqrt(3.0))


class NvState(NamedTuple):
    """What the sensors carry from chunk to chunk."""

    path: PathState  # of 4 n rows: device by device, axis by axis
    pink: Array  # (n_sections, n, n_whites, 2): of the resonances
    cold: Array  # (n,): share of its own heating that is still to come
    magnet: Array  # (n, 1): delay line of the magnets' temperature
    balance_pt: Array  # (n, 4, n_channels): field along each axis when it was started, the magnet's in it


class NvOut(NamedTuple):
    """What the sensors put out."""

    reading: Reading
    temperature_k: Array  # (n, n_channels, n_samples), of the diamond, from the mean of all resonances
    single_pt: Array  # (n, n_channels, n_samples): what the first axis' upper resonance alone would read as field


class _Lines(NamedTuple):
    """The resonances of all axes, shape (n, 4, n_channels, n_samples), and what is read of them."""

    middle_hz: Array | None  # mean of a pair, against D, with its noise; none where nobody asks for it
    half_hz: Array  # half the difference, with its noise and before the low pass
    seen_pt: Array  # field along each axis as it is read
    state: NvState


@dataclass(frozen=True)
class Nv:
    """Ensemble of NV centres along four axes in the field of a magnet, all eight resonances tracked at once.

    On each axis ``f+- = D(T) + 3 (gamma Bt)^2 / (2 D) +- sqrt((gamma B)^2 + E^2)`` with the field along the axis in
    ``B`` and that across it in ``Bt``, the magnet's in both. Half the difference gives the field along the axis,
    whatever the temperature does to D; the four together give the field vector by weighted least squares, of which the
    component along the sensitive axis is put out. The mean of all eight gives the temperature, once the shift by the
    measured field is taken off. The magnet's own drift stays in the field.

    Second order in ``Bt``; what the full Hamiltonian adds at 1 mT is some kHz (Lonard 2025, arXiv 2504.20750), which a
    calibration takes off.

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
        Of a resonance, and detected photons per second: they make the shot noise. From memory, chosen for 9 pT/rtHz
        (DOMAIN 1.1, Yu 2024).
    asymmetry
        Contrast of the upper resonances above, of the lower below `contrast`, by this share; from memory.
    axis_contrast
        Contrast of each axis against `contrast`: light and microwaves are polarised, and drive the axes unlike; from
        memory.
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
    magnet_heating_k
        How far they heat the magnet behind it; from memory.

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
    contrast: float = 0.015
    photons_cps: float = 2.297e16
    asymmetry: float = 0.05
    axis_contrast: tuple[float, float, float, float] = (1.0, 0.9, 0.8, 0.95)
    knee_hz: float = 5.0
    bandwidth_hz: float = 200.0
    delay_s: float = 0.006
    skew_s: tuple[float, ...] = (0.0,)
    range_pt: float = 200e6
    heating_k: float = 6.0
    warming_s: float = 120.0
    magnet_heating_k: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a sensor that cannot be."""
        _ = self.path
        most = self.contrast * max(self.axis_contrast) * (1.0 + abs(self.asymmetry))
        if not (0.0 < most < 1.0 and abs(self.asymmetry) < 1.0 and min(self.axis_contrast) > 0.0):
            raise ValueError(
                f"contrast={self.contrast}, asymmetry={self.asymmetry}, axis_contrast={self.axis_contrast}: "
                "need all contrasts within 0 to 1"
            )
        if not (self.linewidth_hz > 0.0 and self.photons_cps > 0.0 and 0.0 < self.knee_hz < self.rate_hz / 2):
            raise ValueError(
                f"linewidth_hz={self.linewidth_hz}, photons_cps={self.photons_cps}, knee_hz={self.knee_hz}: "
                "need a width and photons above 0 and a knee in the band"
            )
        if not np.min(np.abs(self._bias_pt)) > self.range_pt > 0.0:
            # The sign of the field is that of the magnet.
            raise ValueError(
                f"bias_pt={self.bias_pt}: need more than {1.0 / np.min(np.abs(AXES @ MAGNET)):.3g} times "
                f"range_pt={self.range_pt} > 0, so that no axis' field changes its sign"
            )
        if not (self.magnet_s > 0.0 and self.warming_s > 0.0 and self.strain_hz >= 0.0):
            raise ValueError(
                f"magnet_s={self.magnet_s}, warming_s={self.warming_s}, strain_hz={self.strain_hz}: "
                "need times above 0 and a strain of at least 0"
            )

    @cached_property
    def path(self) -> SignalPath:
        """Low pass and delay."""
        return SignalPath(self.rate_hz, self.bandwidth_hz, self.delay_s, self.skew_s)

    @cached_property
    def shot_noise_hz(self) -> Array:
        """Density of each axis' upper and lower resonance, Hz / sqrt(Hz), shape ``(4, 2)``."""
        contrasts = self.contrast * np.array(self.axis_contrast)[:, None]
        contrasts = contrasts * np.array([1.0 + self.asymmetry, 1.0 - self.asymmetry])
        density: Array = _SHOT_NOISE * self.linewidth_hz / (contrasts * math.sqrt(self.photons_cps))
        return density

    @cached_property
    def axis_noise_pt(self) -> Array:
        """White noise density of the field along each axis, pT / sqrt(Hz), shape ``(4,)``."""
        along = HZ_PER_PT * np.abs(self._bias_pt)
        slope = along / np.hypot(along, self.strain_hz)
        noise: Array = np.hypot(self.shot_noise_hz[:, 0], self.shot_noise_hz[:, 1]) / 2.0 / HZ_PER_PT / slope
        return noise

    @cached_property
    def weights(self) -> Array:
        """From the fields along the four axes to that along the sensitive one, shape ``(4,)``: weighted least squares.

        Four fields make three components: what is left of the noise is the least that any such sum can have.
        """
        weighted = AXES.T / self.axis_noise_pt**2
        weights: Array = np.linalg.solve(weighted @ AXES, weighted)[0]
        return weights

    @property
    def noise_pt(self) -> float:
        """White noise density of the field, pT / sqrt(Hz)."""
        return math.sqrt(float(np.sum((self.weights * self.axis_noise_pt) ** 2)))

    @property
    def drift_pt_k(self) -> float:
        """What a kelvin at the magnet adds to the reading, pT / K."""
        return self.bias_per_k * self.bias_pt * float(MAGNET[0])

    def init(self, first_pt: Array, around_k: Array, cold: float = 0.0, *, thermometry: bool = False) -> NvState:
        """Balanced in a field of shape ``(n, n_channels, 3)`` at a temperature of shape ``(n,)``, in K above the usual.

        `cold` is the share of its own heating that is still to come: 1 just switched on, 0 warm. With `thermometry`
        the state is one for `step`, else for `read`.
        """
        n_whites = N_AXES * first_pt.shape[1] * (2 if thermometry else 1)
        n, n_channels, _ = first_pt.shape
        magnet_k = around_k - self.magnet_heating_k * cold
        bias = self.bias_pt * (1.0 + self.bias_per_k * magnet_k)
        whole = first_pt + bias[:, None, None] * MAGNET
        return NvState(
            self.path.init(np.zeros((N_AXES * n, n_channels))),
            noise_init((n, n_whites), self.knee_hz, self.rate_hz),
            np.full(n, cold),
            magnet_k[:, None] * self._pole,
            _along(whole[..., None])[..., 0],
        )

    def read(
        self, state: NvState, field_pt: Array, white: Array, mixing: Array, around_k: Array
    ) -> tuple[NvState, Reading]:
        """Read a field.

        Parameters
        ----------
        state
            As returned before.
        field_pt : ndarray, shape (n, n_channels, 3, n_samples)
            Field along each channel's sensitive axis and the two across it, without the magnet's.
        white : ndarray, shape (n, 4 n_channels, n_samples)
            Standard normal numbers, axis by axis.
        mixing : ndarray, shape (n, n_channels, n_channels)
            True gains on the diagonal, cross-talk beside it.
        around_k : ndarray, shape (n, n_samples)
            Temperature around the diamond, in K above the usual.
        """
        lines = self._lines(state, field_pt, white, around_k)
        return lines.state, self._reading(lines, mixing)

    def step(
        self, state: NvState, field_pt: Array, white: Array, mixing: Array, around_k: Array
    ) -> tuple[NvState, NvOut]:
        """Read a field and the diamond's temperature: shapes as in `read`, but twice as many random numbers."""
        lines = self._lines(state, field_pt, white, around_k)
        if lines.middle_hz is None:
            raise ValueError(f"white has {white.shape[1]} rows per device: need 8 per channel, 4 more than to `read`")
        # The mean of the four pairs is D and (gamma |B|)^2 / D, and the four fields give |B|.
        size = 0.75 * np.sum((lines.seen_pt + lines.state.balance_pt[..., None]) ** 2, axis=1)
        mean = np.mean(lines.middle_hz, axis=1) - (HZ_PER_PT**2 / SPLITTING_HZ) * size
        first = math.hypot(HZ_PER_PT * float(self._bias_pt[0]), self.strain_hz)
        single = (lines.middle_hz[:, 0] + lines.half_hz[:, 0] - first) / HZ_PER_PT
        return lines.state, NvOut(self._reading(lines, mixing), mean / SPLITTING_HZ_PER_K, single)

    def _lines(self, state: NvState, field_pt: Array, white: Array, around_k: Array) -> _Lines:
        n, n_channels, _, n_samples = field_pt.shape
        fading = np.exp(-np.arange(1, n_samples + 1) / (self.warming_s * self.rate_hz))
        cold = state.cold[:, None] * fading
        magnet_k, magnet = signal.lfilter(
            [1.0 - self._pole], [1.0, -self._pole], around_k - self.magnet_heating_k * cold, zi=state.magnet
        )
        bias = self.bias_pt * (1.0 + self.bias_per_k * magnet_k)
        whole = field_pt + bias[:, None, None] * MAGNET[:, None]
        along = _along(whole)
        half = HZ_PER_PT * along
        half *= half
        half += self.strain_hz**2
        np.sqrt(half, out=half)
        pink, noise = noise_step(state.pink, white, self.knee_hz, self.rate_hz)
        half_noise, mean_noise = self._noises(noise.reshape(n, -1, n_channels, n_samples))
        balance = state.balance_pt[..., None]
        at_start = np.hypot(HZ_PER_PT * balance, self.strain_hz)
        # Noise is added to the resonances behind the low pass: the photons do not know of it.
        path, followed = self.path.step(state.path, (half - at_start).reshape(N_AXES * n, n_channels, n_samples))
        followed = followed.reshape(half.shape) + at_start
        followed += half_noise
        followed *= followed
        followed -= self.strain_hz**2
        np.maximum(followed, 0.0, out=followed)
        seen = np.sqrt(followed, out=followed)
        seen *= np.sign(self._bias_pt)[:, None, None] / HZ_PER_PT
        seen -= balance
        after = NvState(path, pink, cold[:, -1], magnet, state.balance_pt)
        if mean_noise is None:
            return _Lines(None, half, seen, after)
        across = np.sum(whole**2, axis=-2)[:, None] - along**2
        warm = (SPLITTING_HZ_PER_K * (around_k - self.heating_k * cold))[:, None, None]
        middle = warm + (1.5 * HZ_PER_PT**2 / SPLITTING_HZ) * across + mean_noise
        return _Lines(middle, half + half_noise, seen, after)

    def _noises(self, noise: Array) -> tuple[Array, Array | None]:
        """Noise of half the difference and of the mean of each pair, Hz, from noise of shape ``(n, 4 or 8, ...)``.

        The noise of two resonances is two independent normal numbers. They are drawn turned: the first is all that
        half the difference has, and the second only the mean needs, which nobody asks for who wants the field alone.
        """
        upper, lower = self.shot_noise_hz[:, :1, None], self.shot_noise_hz[:, 1:, None]
        both = np.hypot(upper, lower)
        first, second = noise[:, :N_AXES], noise[:, N_AXES:]
        half = 0.5 * both * first
        if not second.shape[1]:
            return half, None
        return half, ((upper**2 - lower**2) * first + 2.0 * upper * lower * second) / (2.0 * both)

    def _reading(self, lines: _Lines, mixing: Array) -> Reading:
        parts = self.weights[:, None, None] * lines.seen_pt
        field = np.matmul(mixing, parts[:, 0] + parts[:, 1] + parts[:, 2] + parts[:, 3])
        saturated = np.abs(field) >= self.range_pt
        np.clip(field, -self.range_pt, self.range_pt, out=field)
        beyond: Mask = np.any(saturated, axis=1)
        return Reading(field, saturated, ~beyond, beyond)

    @cached_property
    def _bias_pt(self) -> Array:
        """The magnet's field along each axis, shape ``(4,)``."""
        along: Array = self.bias_pt * (AXES @ MAGNET)
        return along

    @property
    def _pole(self) -> float:
        return math.exp(-1.0 / (self.magnet_s * self.rate_hz))


def _along(field_pt: Array) -> Array:
    """Fields ``(n, n_channels, 3, n_samples)`` along the four axes, shape ``(n, 4, n_channels, n_samples)``."""
    x, y, z = np.moveaxis(field_pt, -2, 0)
    together, apart = y + z, y - z
    n, n_channels, _, n_samples = field_pt.shape
    along = np.empty((n, N_AXES, n_channels, n_samples))
    np.add(x, together, out=along[:, 0])
    np.subtract(x, together, out=along[:, 1])
    np.subtract(apart, x, out=along[:, 2])
    np.add(apart, x, out=along[:, 3])
    along *= np.array([1.0, 1.0, 1.0, -1.0])[:, None, None] / math.sqrt(3.0)
    return along
