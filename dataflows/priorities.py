"""How urgent an alarm is: by harm and haste, by how it goes on, and how long nobody may answer; each in one table."""

from typing import Final, Literal, NamedTuple

from dataflows.events import Condition, Priority

Severity = Literal["death", "injury", "discomfort"]  # what comes of it if nobody answers
Haste = Literal["immediate", "prompt", "delayed"]  # how soon that comes


class Risk(NamedTuple):
    """What happens if nobody answers."""

    severity: Severity
    haste: Haste


# As IEC 60601-1-8 has it in its table 1.
PRIORITY: Final[dict[Risk, Priority]] = {
    Risk("death", "immediate"): "high",
    Risk("death", "prompt"): "high",
    Risk("death", "delayed"): "medium",
    Risk("injury", "immediate"): "high",
    Risk("injury", "prompt"): "medium",
    Risk("injury", "delayed"): "low",
    Risk("discomfort", "immediate"): "medium",
    Risk("discomfort", "prompt"): "low",
    Risk("discomfort", "delayed"): "low",
}
RANK: Final[dict[Priority, int]] = {"low": 1, "medium": 2, "high": 3}
PRIORITIES: Final[tuple[Priority, ...]] = ("low", "low", "medium", "high")  # by rank; 0: none was given yet


class Step(NamedTuple):
    """From when on a condition is of a higher priority; all that is stated must be so."""

    priority: Priority
    after_s: float = 0.0  # since its onset
    least: float = -float("inf")  # of its value
    most: float = float("inf")


STEPS: Final[dict[Condition, tuple[Step, ...]]] = {
    "cannot-analyse": (Step("high", after_s=60.0),),
    "poor-signal": (Step("medium", after_s=300.0),),
    "ventricular-run": (Step("high", least=15.0),),
    "spo2-low": (Step("high", most=85.0),),
    "resp-low": (Step("high", most=5.0),),
    "resp-high": (Step("high", least=40.0),),
}

# An alarm that nobody has answered climbs to level 1, 2 and 3 so long after it was told.
LADDER_S: Final[dict[Priority, tuple[float, ...]]] = {
    "high": (60.0, 120.0, 300.0),
    "medium": (300.0, 900.0, 1800.0),
    "low": (),
}
# One that was acknowledged and goes on is told again after so long.
MAX_AGE_S: Final[dict[Priority, float]] = {"high": 900.0, "medium": 3600.0, "low": 28_800.0}
SHELF_S: Final = 86_400  # the longest time on the shelf
SHELF_LATCHING_S: Final = 120  # of a condition that latches

# What hides others as long as it is signalled: their alarms would say the same, or less.
HIDES: Final[dict[Condition, tuple[Condition, ...]]] = {
    "asystole": ("extreme-bradycardia", "pause", "cannot-analyse"),
    "ventricular-fibrillation": (
        "ventricular-tachycardia",
        "extreme-tachycardia",
        "extreme-bradycardia",
        "atrial-fibrillation",
        "bigeminy",
        "ventricular-run",
        "pause",
        "cannot-analyse",
    ),
    "ventricular-tachycardia": ("extreme-tachycardia", "atrial-fibrillation", "bigeminy", "ventricular-run"),
    "extreme-bradycardia": ("pause",),
    "urgent-deterioration": ("deterioration",),
}
