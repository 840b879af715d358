"""The tasks of `femtoward evaluate`, by name.

A task is a module with ``evaluate(request, tell)``, which returns its report (a `msgspec.Struct` tagged with the task's
name), and ``as_text(report)``. It is imported when it is asked for.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Protocol, cast

import msgspec

from deploy.evaluate.request import Request, Tell

TASKS: Final[Mapping[str, str]] = {
    "beats": "QRS detection by the rules of EC57, on annotated WFDB records",
    "classes": "ventricular and supraventricular beats by the rules of EC57, on annotated WFDB records",
    "deterioration": "who gets worse, in simulated days of vitals; needs no folder, its records are seeds",
    "af": "atrial fibrillation, by duration on WFDB records with rhythm marks, by strip on those of CinC 2017",
    "alarms": "bedside alarms told true from false, on records of PhysioNet/CinC 2015 with ALARMS.csv",
    "faults": "every fault of every simulated device named in time; needs no folder, its records are seeds",
    "scenarios": "the whole flow on simulated wards, against what was due; needs no folder, its records are scenarios",
    "delays": "how long after it happens an alarm comes, simulated; needs no folder, its records are seeds",
    "rates": "heart rates of simulated wearables of every kind; needs no folder, its records are kinds of wearables",
    "vitals": "breath rate, QT and pulse transit of simulated wearables; needs no folder, its records are wearables",
    "resp": "breath rate from light and ECG against two annotators, on BIDMC recordings",
    "vf": "fibrillation, flutter and tachycardia of the ventricles, on WFDB records with rhythm labels",
}
SIMULATED: Final = frozenset(  # these need no folder
    {"delays", "deterioration", "faults", "rates", "scenarios", "vitals"}
)


class Task(Protocol):
    """A task's module."""

    def evaluate(self, request: Request, tell: Tell) -> msgspec.Struct:
        """Measure."""
        ...

    def as_text(self, report: Any) -> str:  # noqa: ANN401 - each task has a report of its own
        """Tell people what was measured."""
        ...


def task(name: str) -> Task:
    """Module of a task; `KeyError` where there is none of this name."""
    if name not in TASKS:
        raise KeyError(name)
    return cast("Task", import_module(f"deploy.evaluate.{name}"))
