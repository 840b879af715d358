"""Who is getting worse: patterns of a patient's own deviations, gathered until they are no chance."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from anomaly.baseline import DAY_S, VITALS, Baseline, BaselineOut, BaselineState
from anomaly.cusum import Cusum, CusumState, threshold
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.news2 import UNKNOWN, Observations, news2

# Directions in which heart rate, breath rate, saturation and skin temperature go, in a patient's own standard
# deviations, by clinical teaching and not by fit: sepsis; bleeding, with a cold skin; failing lungs; failing heart or
# drugs, in which all slows down.
PATTERNS: Final[tuple[tuple[str, tuple[float, ...]], ...]] = (
    ("infection", (1.0, 1.0, -0.5, 1.0)),
    ("bleeding", (1.0, 1.0, 0.0, -0.5)),
    ("respiratory", (0.5, 1.0, -1.0, 0.0)),
    ("slowing", (-1.0, -1.0, -0.5, -0.5)),
)
QUIET = -1


class DeteriorationState(NamedTuple):
    """Of each patient."""

    baseline: BaselineState
    sums: CusumState  # (n, patterns)
    score: Array  # (n, patterns) running mean of the pattern's deviation
    pattern: IntArray  # (n,) which one stands; `QUIET`: none
    stood_s: Array  # (n,) for how long
    calm_s: Array  # (n,) for how long it has been over
    severe_s: Array  # (n,) for how long the early warning score has called for an urgent answer
    known_s: Array  # (n,) for how long the patient has been measured


class DeteriorationOut(NamedTuple):
    """What one observation says."""

    baseline: BaselineOut
    score: Array  # (n, patterns)
    pattern: IntArray  # (n,) which one stands; `QUIET`: none
    raised: BoolArray  # (n,) it stands since now
    urgent: BoolArray  # (n,) it stands, and what is measured calls for an urgent answer by itself


@dataclass(frozen=True)
class Deterioration:
    """Sequential detector of a patient's own change.

    Each vital's deviation from the personal `Baseline`, freed of what the one before foretold, is standard normal while
    nothing changes. Its projection on each of the `PATTERNS` enters a CUSUM whose threshold follows from the false
    alarms that are allowed. While a pattern stands the baseline is frozen; it is over once its running score has been
    small for `over_s`, or after `most_s`, when what is new has become usual.

    Parameters
    ----------
    baseline
        With observations `every_s` apart.
    shift
        Change of each vital that is looked for, in its own standard deviations.
    false_a_day
        Alarms that are allowed for each patient and day by chance, all patterns together.
    over_s, most_s, over_score
        When a pattern has ended.

    Notes
    -----
    A patient who moves is not at rest: such observations are given as NaN. An observation of a single vital that is far
    off counts as `outlier` standard deviations: an artefact of a minute must not be the whole evidence.
    """

    baseline: Baseline = field(default_factory=Baseline)
    shift: float = 2.0
    false_a_day: float = 0.05
    outlier: float = 3.0
    score_s: float = 1800.0
    over_score: float = 0.7
    over_s: float = 1800.0
    most_s: float = 24.0 * 3600.0
    settle_s: float = 1800.0
    urgent_score: int = 5
    urgent_s: float = 300.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.baseline.priors and len(self.baseline.priors) != len(VITALS):
            raise ValueError(f"need priors of {len(VITALS)} vitals, got {len(self.baseline.priors)}")
        if not (self.shift > 0.0 and 0.0 < self.false_a_day < DAY_S / self.baseline.every_s):
            raise ValueError(f"need shift={self.shift} > 0 and 0 < false_a_day={self.false_a_day} < observations a day")

    def init(self, n: int) -> DeteriorationState:
        """State of patients of whom nothing is known."""
        return DeteriorationState(
            baseline=self.baseline.init(n),
            sums=self._cusum.init(n),
            score=np.zeros((n, len(PATTERNS))),
            pattern=np.full(n, QUIET, np.int64),
            stood_s=np.zeros(n),
            calm_s=np.zeros(n),
            severe_s=np.zeros(n),
            known_s=np.zeros(n),
        )

    def step(self, state: DeteriorationState, seen: Array, day_s: Array) -> tuple[DeteriorationState, DeteriorationOut]:
        """Take one observation of each patient.

        Parameters
        ----------
        state
            Of ``n`` patients.
        seen : ndarray, shape (n, 4)
            Heart rate (1/min), breath rate (1/min), saturation (%), skin temperature (Cel) at rest; NaN: not measured.
        day_s : ndarray, shape (n,)
            Seconds since midnight.
        """
        every_s, quiet = self.baseline.every_s, state.pattern == QUIET
        baseline, out = self.baseline.step(state.baseline, seen, day_s, quiet)
        along, size, foreseen = self._project(np.clip(out.fresh, -self.outlier, self.outlier), out.repeats)
        level, _, _ = self._project(np.clip(out.z, -self.outlier, self.outlier), out.repeats)
        known_s = state.known_s + np.where(~np.isnan(seen).all(axis=-1), every_s, 0.0)
        along = np.where((known_s > self.settle_s)[:, None], along, np.nan)  # at first the baseline is anybody's
        limit = threshold(np.where(size, foreseen, 1.0), DAY_S / every_s / self._false_each)
        sums, (total, passed) = self._cusum.step(state.sums, along, np.where(size, foreseen, 1.0), limit)
        pace = -np.expm1(-every_s / self.score_s)
        score = state.score + pace * np.where(size, np.nan_to_num(level) - state.score, 0.0)

        rows = np.arange(len(seen))
        strongest = np.argmax(np.where(passed, total / np.maximum(limit, 1e-9), -1.0), axis=-1)
        raised = passed.any(axis=-1) & quiet
        stands = np.where(quiet, strongest, state.pattern)
        calm = ~quiet & (score[rows, stands] < self.over_score)
        calm_s = np.where(calm, state.calm_s + every_s, 0.0)
        stood_s = np.where(quiet, 0.0, state.stood_s + every_s)
        over = ~quiet & ((calm_s >= self.over_s) | (stood_s >= self.most_s))
        pattern = np.where(raised, strongest, np.where(over | quiet, QUIET, state.pattern))
        severe = _news2_low(seen) >= self.urgent_score
        sure = (state.severe_s >= self.urgent_s) & ~quiet  # what was urgent stays so for as long as it stands
        severe_s = np.where(severe | sure, state.severe_s + every_s, 0.0)
        fresh = (raised | over)[:, None]
        new = DeteriorationState(
            baseline=baseline,
            sums=CusumState(np.where(fresh, 0.0, sums.sum)),
            score=np.where(over[:, None], 0.0, score),
            pattern=pattern,
            stood_s=np.where(over, 0.0, stood_s),
            calm_s=np.where(over, 0.0, calm_s),
            severe_s=severe_s,
            known_s=known_s,
        )
        return new, DeteriorationOut(out, score, pattern, raised, (pattern != QUIET) & (severe_s >= self.urgent_s))

    def _project(self, x: Array, repeats: Array) -> tuple[Array, BoolArray, Array]:
        """Deviation along each pattern, standard normal; whether it is known; the change of it that is looked for."""
        there = ~np.isnan(x)
        value = np.where(there, x, 0.0)
        # How far the change of a deviation shows in what the one before did not foretell.
        shows = np.sqrt((1.0 - repeats) / (1.0 + repeats))
        weight = self._directions[None] * there[:, None, :]
        length = np.sqrt((weight * weight).sum(axis=-1))
        known = length > 0.0
        unit = weight / np.where(known, length, 1.0)[..., None]
        along = (unit * value[:, None, :]).sum(axis=-1)
        foreseen = self.shift * (unit * np.sign(unit) * shows[:, None, :]).sum(axis=-1)
        return np.where(known, along, np.nan), known, foreseen

    @cached_property
    def _cusum(self) -> Cusum:
        return Cusum(len(PATTERNS))

    @cached_property
    def _directions(self) -> Array:
        return np.array([direction for _, direction in PATTERNS])

    @property
    def _false_each(self) -> float:
        return self.false_a_day / len(PATTERNS)


def _news2_low(seen: Array) -> IntArray:
    """Least NEWS2 that heart rate, breath rate and saturation allow; the skin's temperature is not the core's."""
    nothing, unknown = np.full(len(seen), np.nan), np.full(len(seen), UNKNOWN)
    hr, resp, spo2 = seen[:, 0], seen[:, 1], seen[:, 2]
    return news2(Observations(resp, spo2, unknown, nothing, hr, unknown, nothing, unknown)).low
