"""Breath rate out of many slow series at once: what each says of every rate, followed over time."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from anomaly.kernel import Array, BoolArray
from anomaly.slow import GRID_HZ, N_GRID

N_FFT = 512
FIRST, LAST = 8, 97  # bins of the spectrum that are rates
HEARD = (4, 129)  # bins that a rate has to stand out of, 1.9 to 60 per minute: slower is drift, faster the heart
STEP_BPM = 60.0 * GRID_HZ / N_FFT
RATES = np.arange(FIRST, LAST) * STEP_BPM  # 1/min: 3.75 to 45
N_RATES = len(RATES)
LOBE = 1.5 * N_FFT / N_GRID  # bins that a steady tone fills, behind a Hann window
LEAST_SHARE = 0.75  # of the window, from which on a series says anything
MOST_SHARE = 0.97  # of the power in one tone: no series is surer
EVERY_S = 2  # seconds from one look to the next
N_DRIFT = 3  # half waves in a window, up to which it is drift: under 2.9 per minute
HEARTS_OWN_BPM = 10.0  # intervals have slow waves of their own (0.1 Hz and slower): of these the power is discounted


def evidence(series: Array, own_bpm: Array, n_eff: float = 8.0) -> Array:
    """Tell how much likelier each rate makes a series than noise does: a logarithm, 0 where nothing is said.

    A breath of rate f is a tone in noise of unknown strength: with the share s of the power that lies at f, the
    logarithm of the likelihood is ``-n_eff / 2 log(1 - s)`` (Bretthorst 1988). A series that breath does not move has
    no tone and says little at any rate, so that no weights are needed.

    Parameters
    ----------
    series : ndarray, shape (n_devices, n_series, 128)
        The last 32 s at 4 Hz; NaN where there is nothing. A series of which less than 24 s is there says nothing.
    own_bpm : ndarray, shape (n_series,)
        Rate under which a series moves by itself: power at f counts ``f**2 / (f**2 + own_bpm**2)``. 0: it does not.
    n_eff
        Independent values in a window: it holds 16 to 50 beats, and their noise is not independent.

    Returns
    -------
    ndarray, shape (n_devices, n_series, n_rates)
        By rate, as in `RATES`.

    Examples
    --------
    >>> t = np.arange(128) / 4.0
    >>> series = np.sin(2.0 * np.pi * t * 18.0 / 60.0).reshape(1, 1, 128)
    >>> bool(abs(RATES[np.argmax(evidence(series, np.zeros(1))[0, 0])] - 18.0) < 0.5)
    True

    References
    ----------
    Bretthorst, Bayesian Spectrum Analysis and Parameter Estimation, 1988, doi:10.1007/978-1-4684-9399-3. Differs from
    it in: a Hann window, the noise taken from 2 to 60 per minute only, and `n_eff` instead of the number of samples.
    """
    there = np.isfinite(series)
    share = np.count_nonzero(there, axis=-1) / N_GRID
    flat = _without_drift(np.where(there, series, 0.0), there)
    spectrum = np.fft.rfft(flat * signal.windows.hann(N_GRID), N_FFT, axis=-1)[..., slice(*HEARD)]
    hz2 = (np.arange(*HEARD) * STEP_BPM) ** 2
    power = (spectrum.real**2 + spectrum.imag**2) * (hz2 / (hz2 + (own_bpm * own_bpm)[:, None]))
    total = power.sum(axis=-1)
    part = power[..., FIRST - HEARD[0] : LAST - HEARD[0]] * LOBE / np.where(total > 0.0, total, np.inf)[..., None]
    said = -0.5 * n_eff * np.log1p(-np.minimum(part, MOST_SHARE))
    return np.where((share >= LEAST_SHARE)[..., None], said, 0.0)


class BreathState(NamedTuple):
    """What is believed of the rate."""

    belief: NDArray[np.float32]  # (n_devices, n_rates) sums to 1
    heard: BoolArray  # (n_devices,) any look said anything


class BreathOut(NamedTuple):
    """The rate as it is believed; every array has shape (n_devices,)."""

    rate_bpm: Array  # median of the belief
    u: Array  # half of what its middle 68 % span, and 1 % of the rate, which wanders in the window; 1/min
    quality: Array  # belief within 15 % of the rate (at least 1.5 per minute): the chance that it is that


@dataclass(frozen=True)
class BreathTracker:
    """Follow the rate of every row: a hidden Markov model over the rates of `RATES`, forwards only.

    Every `EVERY_S` the belief spreads (a rate wanders), returns a little to what is usual (anything may have happened),
    and is multiplied by what all series together say. Windows overlap, so one look of many counts `temper` only; the
    first, which brings a whole window, `first_temper`.

    Parameters
    ----------
    wander_bpm
        Standard deviation of the change of the rate from look to look.
    surprise
        Share of the belief that returns to the usual at each look: with 0.01 a rate is forgotten in about three
        minutes without evidence.
    usual_bpm, usual_spread
        Median of adults' rates in hospital and standard deviation of their logarithm; wide enough for 6 and for 40
        per minute. From memory.
    temper
        Weight of one look: 2 s of a window that is 32 s long, of which the Hann window makes about 20.
    first_temper
        Weight of the first look that says anything.

    Notes
    -----
    The parameters stand on a plateau. On 14 recordings of the BIDMC collection, looked at every 2 s, the mean absolute
    error of 243 choices (`n_eff` of `evidence` 6 to 10, wander 0.3 to 0.7, surprise 0.003 to 0.03, spread 0.3 to 0.5,
    temper 0.08 to 0.12) lies between 0.80 and 1.08 per minute with light alone, and between 0.67 and 0.74 with light
    and ECG. The best choice on one half of the recordings has 0.67 to 1.01 and 0.55 to 0.87 on the other half (odd and
    even, first and second, both ways).

    References
    ----------
    Charlton et al., Breathing rate estimation from the electrocardiogram and photoplethysmogram: a review, IEEE Rev
    Biomed Eng 11 (2018), doi:10.1109/RBME.2017.2763681, for which modulations there are. Karlen et al., IEEE Trans
    Biomed Eng 60 (2013), doi:10.1109/TBME.2013.2246160, for fusing three of them. Differs from both in: likelihoods
    are multiplied where they take the mean of rates; the rate is followed from window to window.
    """

    wander_bpm: float = 0.5
    surprise: float = 0.01
    usual_bpm: float = 17.0
    usual_spread: float = 0.4
    temper: float = 0.1
    first_temper: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no model."""
        if not (self.wander_bpm > 0.0 and 0.0 < self.surprise < 1.0 and 0.0 < self.temper <= self.first_temper <= 1.0):
            raise ValueError(
                f"need wander_bpm > 0, 0 < surprise < 1 and 0 < temper <= first_temper <= 1, got {self.wander_bpm=}, "
                f"{self.surprise=}, {self.temper=}, {self.first_temper=}"
            )
        if not (RATES[0] < self.usual_bpm < RATES[-1] and self.usual_spread > 0.0):
            raise ValueError(
                f"need {RATES[0]} < usual_bpm={self.usual_bpm} < {RATES[-1]} and usual_spread={self.usual_spread} > 0"
            )

    @cached_property
    def usual(self) -> Array:
        """Belief before anything was heard."""
        chance = np.exp(-0.5 * (np.log(RATES / self.usual_bpm) / self.usual_spread) ** 2)
        usual: Array = chance / chance.sum()
        return usual

    @cached_property
    def _passes(self) -> tuple[int, float]:
        """How often the belief is smoothed over three rates, and with which share of each neighbour."""
        variance = (self.wander_bpm / STEP_BPM) ** 2
        n = max(1, int(np.ceil(variance / 0.6)))
        return n, variance / (2.0 * n)

    def init(self, first: Array) -> BreathState:
        """Nothing heard yet; `first` has one row per device."""
        belief = np.repeat(self.usual[None].astype(np.float32), len(first), axis=0)
        return BreathState(belief, np.zeros(len(first), np.bool_))

    def step(self, state: BreathState, said: Array) -> tuple[BreathState, BreathOut]:
        """Look once more.

        Parameters
        ----------
        state
            Before.
        said : ndarray, shape (n_devices, n_rates)
            Sum of the `evidence` of all series.
        """
        belief = state.belief.astype(np.float64)
        n_passes, share = self._passes
        for _ in range(n_passes):
            wide = np.concatenate([belief[:, :1], belief, belief[:, -1:]], axis=-1)
            belief = belief + share * (wide[:, :-2] - 2.0 * belief + wide[:, 2:])
        belief = (1.0 - self.surprise) * belief + self.surprise * self.usual
        most = said.max(axis=-1, keepdims=True)
        temper = np.where(state.heard, self.temper, self.first_temper)[:, None]
        belief = belief * np.exp(temper * (said - most))
        belief = (belief / belief.sum(axis=-1, keepdims=True)).astype(np.float32)
        state = BreathState(belief, state.heard | (most[:, 0] > 0.0))
        return state, self.out(state)

    def out(self, state: BreathState) -> BreathOut:
        """Return the rate that a state believes in."""
        belief = state.belief.astype(np.float64)
        sums = np.cumsum(belief / belief.sum(axis=-1, keepdims=True), axis=-1)
        low, rate, high = (_quantile(sums, share) for share in (0.16, 0.5, 0.84))
        near = np.abs(RATES - rate[:, None]) <= np.maximum(0.15 * rate, 1.5)[:, None]
        return BreathOut(rate, np.hypot(0.5 * (high - low), 0.01 * rate), np.where(near, belief, 0.0).sum(axis=-1))


def _quantile(sums: Array, share: float) -> Array:
    """Rate below which a share of the belief lies, every bin's share being spread evenly over it."""
    bin_ = np.minimum(np.count_nonzero(sums < share, axis=-1), N_RATES - 1)[:, None]
    above = np.take_along_axis(sums, bin_, axis=-1)[:, 0]
    below = np.where(bin_[:, 0] > 0, np.take_along_axis(sums, np.maximum(bin_ - 1, 0), axis=-1)[:, 0], 0.0)
    inside = (share - below) / np.maximum(above - below, 1e-12)
    rate: Array = RATES[bin_[:, 0]] + STEP_BPM * (np.minimum(np.maximum(inside, 0.0), 1.0) - 0.5)
    return rate


@cache
def _drifts() -> Array:
    """Half waves that are no breath, orthonormal; shape (N_DRIFT, 128)."""
    waves = np.cos(np.pi * np.arange(1, N_DRIFT + 1)[:, None] * (np.arange(N_GRID) + 0.5) / N_GRID)
    drifts: Array = waves / np.sqrt((waves * waves).sum(axis=-1, keepdims=True))
    return drifts


def _without_drift(x: Array, there: BoolArray) -> Array:
    """Take the mean, the slope and half waves away; 0 where nothing is there."""
    n = np.maximum(np.count_nonzero(there, axis=-1), 1)[..., None]
    t = np.where(there, np.arange(N_GRID) - (N_GRID - 1) / 2.0, 0.0)
    t = np.where(there, t - t.sum(axis=-1, keepdims=True) / n, 0.0)
    x = np.where(there, x - x.sum(axis=-1, keepdims=True) / n, 0.0)
    slope = (t * x).sum(axis=-1, keepdims=True) / np.maximum((t * t).sum(axis=-1, keepdims=True), 1e-30)
    x = x - slope * t
    for wave in _drifts():
        x = x - (x * wave).sum(axis=-1, keepdims=True) * wave
    return np.where(there, x, 0.0)
