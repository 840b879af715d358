"""What the pulse says of an alarm, in simulated patients: it confirms, or chest compressions drive it."""

from pathlib import Path

from dataflows.events import AlarmEvent
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
