"""A heart that calls for an alarm in the midst of a second is not kept waiting, and nothing else is said early."""

import numpy as np
import pytest
from shards import of, one_patient, rows_of
from wire import SECOND_NS, T0_NS, beating

from dataflows.bank import Bank
from dataflows.cardiac import Cardiac
from dataflows.cardiac_state import CardiacState
from dataflows.early import OF_HEART, suspected
from dataflows.events import AlarmEvent
from dataflows.lane import Part
from dataflows.limits import HR, defaults

LANE = Cardiac(500.0, 125, Part("i2", 1), Part("i2", 0))


@pytest.mark.parametrize(
    ("bpm", "condition", "n_beats"), [(35.0, "extreme-bradycardia", 5), (160.0, "extreme-tachycardia", 17)]
)
def test_a_rate_beyond_its_limit_is_told_within_a_second_of_the_beat_that_shows_it(
    bpm: float, condition: str, n_beats: int
) -> None:
    rows = of(AlarmEvent, rows_of(one_patient(beating(3.5 + n_beats * 60.0 / bpm + 2.0, bpm))))
    raised = next(event for event in rows if event.condition == condition)
    assert 0 < raised.arrival_ns - raised.onset_ns < 0.8 * SECOND_NS
    # The detector learns for 3 s; the n-th beat after that shows the rate.
    beats = 0.4 + 60.0 / bpm * np.arange(60)
    assert raised.onset_ns - T0_NS == pytest.approx(beats[beats > 3.0][n_beats - 1] * 1e9, abs=30e6)


def bank(beats_s: list[float], end_s: float, *, blind: bool = False) -> Bank[CardiacState]:
    """One device whose newest beats are these."""
    state = LANE.init(np.zeros((1, 1, 125)), np.array([T0_NS]))
    times = state.ring.times_ns.copy()
    times[0, -len(beats_s) :] = T0_NS + np.rint(np.array(beats_s) * 1e9).astype(np.int64)
    seated: Bank[CardiacState] = Bank(LANE.init(np.zeros((1, 1, 125)), np.zeros(1, np.int64)))
    end_ns = np.array([T0_NS + round(end_s * SECOND_NS)])
    ring = state.ring._replace(times_ns=times)
    seated.seat(["w"], state._replace(ring=ring, end_ns=end_ns, blind=np.array([blind])))
    return seated


def named(seated: Bank[CardiacState]) -> set[str]:
    likely = suspected(seated, ["w"], defaults(1)[:, HR])
    return {name for name, is_so in zip(OF_HEART, likely[0].tolist(), strict=True) if is_so}


def test_only_what_is_news_is_looked_at() -> None:
    steady = [float(k) for k in range(10, 40)]
    slow = [*steady, 41.7, 43.4, 45.1, 46.8]
    assert named(bank(steady, 39.3)) == set()
    assert named(bank(slow, 47.3)) == {"extreme-bradycardia"}
    assert named(bank([*slow, 48.5, 50.2, 51.9], 52.0)) == set(), "a whole second has judged it by now"
    assert named(bank(steady, 43.5)) == {"asystole"}
    assert named(bank(steady, 47.0)) == set()


def test_a_blind_sensor_is_not_looked_at() -> None:
    assert named(bank([float(k) for k in range(10, 40)], 43.5, blind=True)) == set()
