"""What the pulse says of an alarm, in simulated patients: it confirms, or chest compressions drive it."""

from pathlib import Path

import numpy as np
import pytest

from dataflows.estimates import nothing_measured
from dataflows.events import SECOND_NS, AlarmEvent
from dataflows.witnesses import keeps_step
from deploy.evaluate.played import T0_NS, played

ARREST_S, COMPRESSED_S = 18.0, 26.0


def alarms_of(scenario: str, seconds: float, condition: str) -> list[tuple[str, float, str]]:
    """State, second and reason of the alarms of one patient."""
    events: list[AlarmEvent] = played(scenario, 1, seconds).alarms
    return [(e.state, (e.event_ns - T0_NS) / 1e9, e.reason) for e in events if e.condition == condition]


def written(folder: Path, patient: str) -> str:
    path = folder / "one.toml"
    path.write_text(f'about = "one patient"\n[[patients]]\n{patient}\n')
    return str(path)


def test_the_pulse_of_chest_compressions_ends_no_asystole() -> None:
    (raised,) = alarms_of("asystole-light", 45.0, "asystole")
    assert raised[0] == "active"
    assert ARREST_S + 4.0 <= raised[1] < COMPRESSED_S
    assert "no heartbeat" in raised[2]
    assert "and no pulse" in raised[2]


def test_a_pulse_that_says_the_same_stands_in_the_reason(tmp_path: Path) -> None:
    rhythm = 'rhythms = [{ rhythm = "bradycardia", from_s = 8.0, rate_bpm = 32.0 }]'
    raised, *_ = alarms_of(written(tmp_path, rhythm), 26.0, "extreme-bradycardia")
    assert raised[0] == "active"
    assert "and so the pulse" in raised[2]


@pytest.mark.parametrize(
    ("unsteady", "trust", "moving", "since_s", "against"),
    [
        (0.1, 0.9, False, 4.0, True),
        (0.1, 0.9, False, 20.0, False),  # it may be the tachycardia's own pulse
        (0.1, 0.9, True, 4.0, False),
        (0.1, 0.4, False, 4.0, False),
        (0.9, 0.9, False, 4.0, False),
        (float("nan"), 0.9, False, 4.0, False),
    ],
)
def test_a_pulse_that_keeps_step_contradicts_a_ventricular_tachycardia_that_has_just_begun(
    *, unsteady: float, trust: float, moving: bool, since_s: float, against: bool
) -> None:
    second, now = nothing_measured(1), np.array([T0_NS])
    light = second.optical._replace(
        present=np.array([True]), trust=np.array([trust]), unsteady=np.array([unsteady]), light_share=np.ones(1)
    )
    second = second._replace(
        optical=light,
        motion=second.motion._replace(moving=np.array([moving])),
        cardiac=second.cardiac._replace(vt_ns=now - round(since_s * SECOND_NS)),
    )
    assert keeps_step(second, now)[0] == against
