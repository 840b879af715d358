"""What is usual for this patient at this hour: a robust personal baseline of each vital, and the distance from it."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray

DAY_S = 86_400.0
TERMS = 3  # mean, cosine and sine of the day
_CLIP_POWER = 0.9205  # mean of min(z**2, 2**2) of a standard normal z


class Prior(NamedTuple):
    """What is known of a vital before the patient is: in the unit in which it is taken, see `Baseline.take`."""

    mean: float
    differs: float  # standard deviation between patients
    swing: float  # amplitude over the day, standard deviation between patients
    spread: float  # standard deviation around the patient's own baseline
    memory_s: float  # time for which a deviation lasts on its own: values nearer than that repeat each other
    drift_a_day: float  # standard deviation of how the baseline itself moves in a day
    is_ratio: bool = False  # taken as a logarithm


# Rates, saturation and skin temperature of adults at rest. Means, spreads and their course over a day: from memory; the
# memory is that of slow autonomic variation, some minutes.
HR = Prior(np.log(72.0), 0.16, 0.08, 0.05, 400.0, 0.03, is_ratio=True)
RESP = Prior(np.log(16.0), 0.16, 0.03, 0.08, 250.0, 0.03, is_ratio=True)
SPO2 = Prior(96.5, 1.2, 0.3, 0.6, 300.0, 0.3)
SKIN = Prior(35.0, 0.6, 0.3, 0.2, 1800.0, 0.15)
VITALS = (HR, RESP, SPO2, SKIN)


class Columns(NamedTuple):
    """The priors of all vitals, shape ``(v,)`` each."""

    mean: Array
    differs: Array
    swing: Array
    spread: Array
    memory_s: Array
    drift_a_day: Array
    is_ratio: BoolArray


class BaselineState(NamedTuple):
    """What is known of each vital of each patient."""

    course: Array  # (n, v, TERMS) mean, cosine and sine
    doubt: Array  # (n, v, TERMS, TERMS) covariance of that
    power: Array  # (n, v) running square of what is left
    weight: Array  # (n, v) independent values that this rests on, the prior's included
    last: Array  # (n, v) newest deviation; NaN: the one before was not there
    common: Array  # (n, v, v) running correlation of the deviations
    paired: Array  # (n,) independent values that the correlation rests on


class BaselineOut(NamedTuple):
    """How far from usual one observation is."""

    usual: Array  # (n, v) what was expected, in the vital's own unit
    low: Array  # (n, v) and the band around it that holds 95 % of usual values
    high: Array
    z: Array  # (n, v) deviation in standard deviations; NaN: not measured
    fresh: Array  # (n, v) part of it that the one before did not foretell, standard normal; NaN: not measured
    repeats: Array  # (n, v) correlation of a deviation with the next one
    joint: Array  # (n,) distance of all vitals together, as many standard deviations; NaN: nothing measured


@dataclass(frozen=True)
class Baseline:
    """Personal, circadian-aware baseline, updated by one observation at a time.

    A vital's usual value is a mean and one harmonic of the day, followed by a Kalman filter whose gain is cut for
    values that stand out (Huber's weight), so that an artefact moves it little and a deterioration slowly. It begins
    with what is usual for anybody, and wide. The joint distance is Mahalanobis', with the patient's own correlations
    shrunk towards none.

    Parameters
    ----------
    every_s
        Time between observations.
    priors
        Of each vital, in the order of the observations.
    huber
        Deviations up to which a value counts fully.
    forget_s
        Memory of the spread and of the correlations.
    prior_values, shrinkage
        Independent values that the prior spread, and the absence of correlation, are worth.

    References
    ----------
    Huber 1964, doi:10.1214/aoms/1177703732; Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4, for shrinkage.
    Differs in: a fixed worth of the target instead of an estimated one, since it has to hold from the first hour on.
    """

    every_s: float = 60.0
    priors: tuple[Prior, ...] = VITALS
    huber: float = 1.5
    forget_s: float = 3.0 * DAY_S
    prior_values: float = 30.0
    shrinkage: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0.0 < self.every_s <= 3600.0:
            raise ValueError(f"need 0 < every_s={self.every_s} <= 3600")
        if not self.priors:
            raise ValueError("need at least one prior: there is no vital to follow")

    @cached_property
    def columns(self) -> Columns:
        """The priors, column by column."""
        return Columns(*(np.array(column) for column in zip(*self.priors, strict=True)))

    def init(self, n: int) -> BaselineState:
        """State of patients of whom nothing is known."""
        prior, v = self.columns, len(self.priors)
        course = np.zeros((n, v, TERMS))
        course[..., 0] = prior.mean
        doubt = np.zeros((n, v, TERMS, TERMS))
        doubt[..., 0, 0] = np.square(prior.differs)
        doubt[..., 1, 1] = doubt[..., 2, 2] = 0.5 * np.square(prior.swing)
        return BaselineState(
            course=course,
            doubt=doubt,
            power=np.broadcast_to(np.square(prior.spread), (n, v)).copy(),
            weight=np.full((n, v), self.prior_values),
            last=np.full((n, v), np.nan),
            common=np.broadcast_to(np.eye(v), (n, v, v)).copy(),
            paired=np.zeros(n),
        )

    def step(
        self, state: BaselineState, seen: Array, day_s: Array, learn: BoolArray
    ) -> tuple[BaselineState, BaselineOut]:
        """Judge one observation of each patient, then learn from it.

        Parameters
        ----------
        state
            Of ``n`` patients.
        seen : ndarray, shape (n, v)
            Vitals in their own units; NaN: not measured.
        day_s : ndarray, shape (n,)
            Seconds since midnight, where the patient is.
        learn : ndarray of bool, shape (n,)
            False freezes a patient's baseline: who is getting worse is not usual.
        """
        prior = self.columns
        value = self._take(seen)
        there = ~np.isnan(value)
        turn = 2.0 * np.pi * day_s / DAY_S
        basis = np.stack([np.ones_like(turn), np.cos(turn), np.sin(turn)], axis=-1)[:, None, :]
        usual = (state.course * basis).sum(axis=-1)
        reach = (state.doubt * basis[..., None, :]).sum(axis=-1)  # covariance of the course with the usual value
        unsure = (reach * basis).sum(axis=-1)
        error = np.where(there, value - usual, 0.0)
        wide = state.power + unsure
        z = error / np.sqrt(wide)

        repeats = np.exp(-self.every_s / prior.memory_s)
        fresh = self._fresh(state.last, z, there, np.broadcast_to(repeats, z.shape))
        correlation = self._shrunk(state)
        joint = _distance(z, there, correlation)
        out = BaselineOut(
            usual=self._give(usual),
            low=self._give(usual - 1.96 * np.sqrt(wide)),
            high=self._give(usual + 1.96 * np.sqrt(wide)),
            z=np.where(there, z, np.nan),
            fresh=fresh,
            repeats=np.broadcast_to(repeats, z.shape).copy(),
            joint=np.where(there.any(axis=-1), joint, np.nan),
        )
        return self._learned(state, z, reach, (wide, error), there & learn[:, None], there), out

    def _learned(
        self,
        state: BaselineState,
        z: Array,
        reach: Array,
        judged: tuple[Array, Array],
        learn: BoolArray,
        there: BoolArray,
    ) -> BaselineState:
        prior, (wide, error) = self.columns, judged
        # Values nearer to each other than their memory repeat each other: each is worth this share of one of its own.
        worth = np.tanh(0.5 * self.every_s / prior.memory_s)
        trust = np.where(learn, np.minimum(1.0, self.huber / np.maximum(np.abs(z), 1e-9)), 0.0)
        noise = state.power / worth
        gain = reach / (noise + wide - state.power)[..., None]
        course = state.course + gain * (trust * error)[..., None]
        doubt = state.doubt - trust[..., None, None] * gain[..., :, None] * reach[..., None, :]
        moves = np.square(prior.drift_a_day) * self.every_s / DAY_S * np.array([1.0, 0.25, 0.25])[:, None]
        doubt = doubt + (moves.T[..., None] * np.eye(TERMS))
        pace = worth / np.minimum(state.weight, self.forget_s / self.every_s * worth)
        square = np.minimum(np.square(z), 4.0) / _CLIP_POWER * wide - (wide - state.power)
        power = state.power + np.where(learn, pace * (square - state.power), 0.0)
        floor, most = np.square(0.3 * prior.spread), np.square(3.0 * prior.spread)
        both = np.where(learn, np.clip(z, -2.5, 2.5), 0.0)
        pair = both[:, :, None] * both[:, None, :]
        whole = learn.all(axis=-1)
        share = np.min(worth) / np.minimum(state.paired + 1.0, self.forget_s / self.every_s * np.min(worth))
        common = state.common + np.where(whole, share, 0.0)[:, None, None] * (pair - state.common)
        return BaselineState(
            course=course,
            doubt=doubt,
            power=np.clip(power, floor, most),
            weight=state.weight + np.where(learn, worth, 0.0),
            last=np.where(there, z, np.nan),
            common=common,
            paired=state.paired + np.where(whole, np.min(worth), 0.0),
        )

    def _fresh(self, last: Array, z: Array, there: BoolArray, repeats: Array) -> Array:
        """What the deviation before did not foretell: its innovation as a first-order process."""
        first = np.isnan(last)
        foretold = np.where(first, 0.0, repeats * np.where(first, 0.0, last))
        width = np.where(first, 1.0, np.sqrt(1.0 - repeats * repeats))
        return np.where(there, (z - foretold) / width, np.nan)

    def _shrunk(self, state: BaselineState) -> Array:
        """Correlation matrices, each towards none by as much as little is known of it."""
        scale = np.sqrt(np.maximum(np.diagonal(state.common, axis1=-2, axis2=-1), 1e-6))
        own = state.common / (scale[:, :, None] * scale[:, None, :])
        share = (state.paired / (state.paired + self.shrinkage))[:, None, None]
        eye = np.eye(own.shape[-1])
        shrunk: Array = np.where(eye > 0.0, 1.0, share * own)
        return shrunk

    def _take(self, seen: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            taken = np.where(self.columns.is_ratio, np.log(np.maximum(seen, 1e-3)), seen)
        return np.where(np.isfinite(seen), taken, np.nan)

    def _give(self, value: Array) -> Array:
        given: Array = np.where(self.columns.is_ratio, np.exp(np.where(self.columns.is_ratio, value, 0.0)), value)
        return given


def _distance(z: Array, there: BoolArray, correlation: Array) -> Array:
    """Mahalanobis distance of the vitals that are there, as the standard normal value that is as improbable."""
    both = there[:, :, None] & there[:, None, :]
    eye = np.eye(z.shape[-1])
    matrix = np.where(both, correlation, eye)
    known = np.where(there, z, 0.0)
    solved = np.linalg.solve(matrix, known[..., None])[..., 0]
    square = np.maximum((known * solved).sum(axis=-1), 0.0)
    count = np.maximum(there.sum(axis=-1), 1)
    # Wilson and Hilferty 1931: the cube root of a chi-squared over its degrees of freedom is nearly normal.
    spread = 2.0 / (9.0 * count)
    joint: Array = (np.cbrt(square / count) - (1.0 - spread)) / np.sqrt(spread)
    return joint
