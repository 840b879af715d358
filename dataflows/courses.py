"""How each patient is against what is usual for that patient: minutes gathered from seconds, patterns from minutes."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from anomaly.deterioration import QUIET, Deterioration, DeteriorationState
from anomaly.news2 import UNKNOWN, Observations, news2
from dataflows import tree
from dataflows.bank import Bank, BankImage
from dataflows.estimates import BoolArray, FloatArray, IntArray
from dataflows.events import SECOND_NS

MINUTE_S: Final = 60
ENOUGH: Final = 15  # seconds of a minute in which a vital was measured at rest
DAY_S: Final = 86_400
N_VITALS: Final = 4  # heart rate, breath rate, saturation, skin temperature
KERNEL: Final = Deterioration()


class CourseState(NamedTuple):
    """The minute that is being gathered, and what the minutes before it have shown; one row per patient."""

    minute: IntArray  # unix time in minutes; 0: none yet
    total: FloatArray  # (n, 4) sum of the seconds' values
    number: IntArray  # (n, 4) of how many
    kernel: DeteriorationState
    deviation: FloatArray  # distance of all vitals of the newest minute from what is usual, standard deviations
    low: FloatArray  # least and most that NEWS2 may be, of that minute; NaN: nothing was measured
    high: FloatArray
    urgent: BoolArray
    since_ns: IntArray  # since when the pattern stands; 0: none does
    urgent_ns: IntArray  # since when it is urgent; 0: it is not


class Course(NamedTuple):
    """What is known of n patients, shape (n,) each."""

    pattern: IntArray  # of anomaly.deterioration.PATTERNS; QUIET: none stands
    since_ns: IntArray
    urgent: BoolArray
    urgent_ns: IntArray
    deviation: FloatArray
    news2_min: FloatArray
    news2_max: FloatArray


class Courses:
    """The courses of a shard's patients."""

    def __init__(self) -> None:
        self._bank: Bank[CourseState] = Bank(_nothing(1))

    def admit(self, patient: str) -> None:
        """Begin with what is usual for anybody; a known patient goes on."""
        if patient not in self._bank:
            self._bank.seat([patient], _nothing(1))

    def forget(self, patient: str) -> None:
        """Forget a patient who has left."""
        self._bank.unseat(patient)

    def park(self, patient: str) -> bytes:
        """Forget a patient for whom nothing changes; what is returned is what was known."""
        if patient not in self._bank:
            return b""
        kept = tree.encode(self._bank.take([patient]))
        self._bank.unseat(patient)
        return kept

    def wake(self, patient: str, kept: bytes) -> None:
        """Take up a patient as `park` left him; what another version left is not guessed at."""
        state = tree.decode(_nothing(0), kept) if kept else None
        if state is None or isinstance(state, tree.Mismatch):
            self.admit(patient)
        else:
            self._bank.seat([patient], state)

    def image(self) -> BankImage:
        """Copy everything for a snapshot."""
        return self._bank.image()

    def restore(self, image: BankImage) -> list[str]:
        """Take up a snapshot; return why it could not be."""
        mismatch = self._bank.restore(image) if image.keys else None
        return [f"courses: {mismatch.detail}; what is usual for each patient is learned anew"] if mismatch else []

    def step(self, patients: Sequence[str], second: IntArray, seen: FloatArray) -> Course:
        """Take one closed second of some patients, each once.

        Parameters
        ----------
        patients
            Keys; an unknown one is admitted.
        second : shape (n,)
            Unix time, s.
        seen : shape (n, 4)
            Heart rate, breath rate, saturation, skin temperature at rest; NaN: not measured, or not believed.
        """
        for patient in patients:
            self.admit(patient)
        state = self._bank.take(patients)
        minute = second // MINUTE_S
        over = np.flatnonzero((state.minute > 0) & (minute > state.minute))
        if len(over):
            tree.put(state, over, _closed(tree.take(state, over), minute[over]))  # of rows gathered for this call
        there = np.isfinite(seen)
        state = state._replace(
            minute=np.maximum(minute, state.minute),
            total=state.total + np.where(there, seen, 0.0),
            number=state.number + there,
        )
        self._bank.put(patients, state)
        return Course(
            pattern=state.kernel.pattern,
            since_ns=state.since_ns,
            urgent=state.urgent,
            urgent_ns=state.urgent_ns,
            deviation=state.deviation,
            news2_min=state.low,
            news2_max=state.high,
        )


def _closed(state: CourseState, next_minute: IntArray) -> CourseState:
    """Judge the minute that is over, and begin the next."""
    enough = state.number >= ENOUGH
    seen = np.where(enough, state.total / np.maximum(state.number, 1), np.nan)
    kernel, out = KERNEL.step(state.kernel, seen, (state.minute * MINUTE_S % DAY_S).astype(np.float64))
    # After a hole nothing can be foretold from what was before it.
    hole = (next_minute - state.minute > 1)[:, None]
    last = np.where(hole, np.nan, kernel.baseline.last)
    kernel = kernel._replace(baseline=kernel.baseline._replace(last=last))
    stands = kernel.pattern != QUIET
    end_ns = (state.minute + 1) * MINUTE_S * SECOND_NS
    since_ns = np.where(stands, np.where(state.since_ns > 0, state.since_ns, end_ns), 0)
    urgent_ns = np.where(out.urgent, np.where(state.urgent_ns > 0, state.urgent_ns, end_ns), 0)
    nothing, unknown = np.full(len(seen), np.nan), np.full(len(seen), UNKNOWN, np.int64)
    pair = news2(Observations(seen[:, 1], seen[:, 2], unknown, nothing, seen[:, 0], unknown, nothing, unknown))
    measured = enough[:, :3].any(axis=-1)
    return CourseState(
        minute=next_minute,
        total=np.zeros_like(state.total),
        number=np.zeros_like(state.number),
        kernel=kernel,
        deviation=out.baseline.joint,
        low=np.where(measured, pair.low, np.nan),
        high=np.where(measured, pair.high, np.nan),
        urgent=out.urgent,
        since_ns=since_ns,
        urgent_ns=urgent_ns,
    )


def _nothing(n: int) -> CourseState:
    """State of patients of whom nothing is known."""
    zero, nan = np.zeros(n, np.int64), np.full(n, np.nan)
    return CourseState(
        minute=zero,
        total=np.zeros((n, N_VITALS)),
        number=np.zeros((n, N_VITALS), np.int64),
        kernel=KERNEL.init(n),
        deviation=nan,
        low=nan.copy(),
        high=nan.copy(),
        urgent=np.zeros(n, np.bool_),
        since_ns=zero.copy(),
        urgent_ns=zero.copy(),
    )
