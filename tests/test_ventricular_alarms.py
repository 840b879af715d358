"""What is said of a heart that fibrillates or races: not an asystole, whatever the signal is like, but no artefact."""

from typing import Any

import numpy as np

from anomaly.deterioration import QUIET
from dataflows import estimates, findings, fusion
from dataflows.alarms import FALSE, REFUTED
from dataflows.breathing import Breath
from dataflows.courses import Course
from dataflows.events import SECOND_NS, Condition
from dataflows.limits import defaults
from dataflows.rows import Made
from dataflows.rules import RULES
from dataflows.slow_vitals import nothing_told
from dataflows.speakers import sensors_of

NOW = 1_700_000_000 * SECOND_NS
YES, NO = np.array([1]), np.array([0])


def second_of(light: dict[str, Any] | None = None, **heart: Any) -> estimates.Second:  # noqa: ANN401 - columns of any type
    """A second of one patient whose heart and light are as named."""
    nothing = estimates.nothing_measured(1)
    good = {"present": np.array([True]), "quality": np.ones(1), "asystole": YES, "vf": NO, "vt": NO}
    cardiac = nothing.cardiac._replace(**(good | heart))
    return nothing._replace(
        cardiac=cardiac,
        sensors=sensors_of(cardiac),
        optical=nothing.optical._replace(**(light or {})),
        worn=np.array([True]),
    )


def said(light: dict[str, Any] | None = None, **heart: Any) -> dict[Condition, int]:  # noqa: ANN401 - the same
    """What is true of each condition of one patient whose heart and light are as named."""
    second = second_of(light, **heart)
    nan, zero, no = np.full(1, np.nan), np.zeros(1, np.int64), np.zeros(1, np.bool_)
    course = Course(np.full(1, QUIET), zero, no, zero, nan, nan, nan)
    breath = Breath(nan, nan, np.zeros(1), zero, zero, nan, zero, no)
    made = Made(fusion.fused(second), breath, course, nothing_told(1))
    known = findings.evidence(second, made, defaults(1), np.array([NOW]))
    return {rule.condition: int(known.truth[0, column]) for column, rule in enumerate(RULES)}


def pulse(bpm: float) -> dict[str, Any]:
    """Light with a good pulse of late."""
    return {
        "present": np.array([True]),
        "pulse": np.array([bpm]),
        "quality": np.ones(1),
        "last_pulse_ns": np.array([NOW - SECOND_NS]),
    }


def test_a_heart_that_fibrillates_or_races_does_not_stand_still() -> None:
    assert said()["asystole"] == 1
    fibrillates, races = said(vf=YES), said(vt=YES)
    assert (fibrillates["ventricular-fibrillation"], fibrillates["asystole"]) == (1, 0)
    assert (races["ventricular-tachycardia"], races["asystole"]) == (1, 0)
    assert (fibrillates["cannot-analyse"], races["cannot-analyse"]) == (0, 0)


def test_a_poor_signal_hides_neither_and_is_not_alarmed_beside_them() -> None:
    poor = said(vf=YES, quality=np.zeros(1))
    assert (poor["ventricular-fibrillation"], poor["poor-signal"]) == (1, 0)
    assert said(vt=YES, quality=np.zeros(1))["ventricular-tachycardia"] == 1


def test_a_sensor_at_its_end_knows_of_neither() -> None:
    for name in ("saturated", "unlocked", "zeroing"):
        known = said(None, vf=YES, vt=YES, **{name: np.array([True])})
        assert (known["ventricular-fibrillation"], known["ventricular-tachycardia"]) == (-1, -1), name


def test_a_pulse_proves_that_no_heart_fibrillates_and_a_slow_one_that_none_races() -> None:
    assert said(pulse(70.0), vf=YES)["ventricular-fibrillation"] == 0
    assert said(pulse(70.0), vt=YES)["ventricular-tachycardia"] == 0
    assert said(pulse(150.0), vt=YES)["ventricular-tachycardia"] == 1


def test_what_a_pulse_contradicts_as_soon_as_it_begins_was_never_true_and_what_it_contradicts_later_is_over() -> None:
    young, old = np.array([NOW - 3 * SECOND_NS]), np.array([NOW - 20 * SECOND_NS])
    for onset_ns, truth in ((young, REFUTED), (old, FALSE)):
        assert said(pulse(70.0), vf=YES, vf_ns=onset_ns)["ventricular-fibrillation"] == truth
        trusted = pulse(70.0) | {"trust": np.ones(1), "pause_s": np.array([0.9]), "light_share": np.ones(1)}
        assert said(trusted, asystole_ns=onset_ns)["asystole"] == truth


def test_a_racing_heart_may_have_a_slow_pulse() -> None:
    assert said(pulse(70.0), vt=YES, hr=np.array([170.0]))["ventricular-tachycardia"] == 1


def test_irregular_beats_in_fibrillation_are_no_rhythm_of_the_atria() -> None:
    assert said(vf=YES, fibrillation=YES)["atrial-fibrillation"] == -1
