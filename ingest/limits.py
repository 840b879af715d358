"""Alarm limits of vitals: the ward's defaults, and within which bounds a patient's own may lie, in one table."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ingest.command import SetLimits, Vital

Own = dict[Vital, tuple[float | None, float | None]]  # a patient's own limits, by vital; None: the ward's default


class Edge(NamedTuple):
    """One limit of a vital."""

    default: float
    least: float  # a patient's own limit lies within these, both included
    most: float


class Limits(NamedTuple):
    """Both limits of a vital; None: it has none on this side."""

    unit: str  # UCUM
    low: Edge | None
    high: Edge | None


# Heart: extreme bradycardia and tachycardia of PhysioNet/CinC 2015 (DOMAIN 2.2). Breath: 8 gives three points of NEWS2
# (DOMAIN 4), and so does 25, which the ill often have for hours: from 30 on it is told. Saturation: below 90 % blood
# loses it steeply; 88 to 92 % are usual for some whose lungs are ill (NEWS2, scale 2). Temperature: of the skin, which
# is no warmer than the core, whose first point of NEWS2 is at 38.1; to one below 28 blood hardly comes.
LIMITS: Final[Mapping[Vital, Limits]] = {
    "hr": Limits("/min", Edge(40.0, 30.0, 60.0), Edge(140.0, 100.0, 180.0)),
    "resp": Limits("/min", Edge(8.0, 5.0, 12.0), Edge(30.0, 20.0, 40.0)),
    "spo2": Limits("%", Edge(90.0, 80.0, 95.0), None),
    "temp": Limits("Cel", Edge(28.0, 20.0, 35.0), Edge(38.1, 36.0, 41.0)),
}


def refusal(command: SetLimits) -> str:
    """Why limits cannot be set; empty: they can.

    Examples
    --------
    >>> refusal(SetLimits(id="c", patient="p1", vital="spo2", low=70.0))
    'a low limit of 70 % came for spo2: need 80 to 95 %, or none for the default of 90 %'
    >>> refusal(SetLimits(id="c", patient="p1", vital="spo2", high=99.0))
    'spo2 has no high limit: leave it out'
    """
    limits = LIMITS[command.vital]
    for side, edge, value in (("low", limits.low, command.low), ("high", limits.high, command.high)):
        if value is None:
            continue
        if edge is None:
            return f"{command.vital} has no {side} limit: leave it out"
        if not edge.least <= value <= edge.most:
            unit = limits.unit
            return (
                f"a {side} limit of {value:g} {unit} came for {command.vital}: need {edge.least:g} to {edge.most:g} "
                f"{unit}, or none for the default of {edge.default:g} {unit}"
            )
    return ""


def in_words(vital: Vital, own: tuple[float | None, float | None]) -> str:
    """Limits that are in force.

    Examples
    --------
    >>> in_words("hr", (45.0, None))
    'hr 45 to 140 /min'
    """
    limits = LIMITS[vital]
    said = []
    for edge, value in zip((limits.low, limits.high), own, strict=True):
        if edge is not None:
            said.append(f"{edge.default:g}" if value is None else f"{value:g}")
    joined = " to ".join(said) if len(said) > 1 else f"from {said[0]}"
    return f"{vital} {joined} {limits.unit}"
