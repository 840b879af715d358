"""Spans of truth as lanes to be drawn: rhythms, faults, events, and the windows in which alarms are due."""

from collections.abc import Iterable
from typing import NamedTuple

from device_sim.truth import AlarmLine, EventLine, FaultLine, RhythmLine, TruthLine


class Lane(NamedTuple):
    """One span."""

    kind: str  # rhythm, fault, alarm (due), may (be alarmed), or the kind of an event
    name: str
    from_s: float
    to_s: float


def lanes_of(lines: Iterable[TruthLine], t_start_ns: int, end_s: float) -> list[Lane]:
    """Spans of one patient's truth, rhythms first, alarms last; sinus rhythm is left out."""
    found: list[Lane] = []
    for line in lines:
        match line:
            case RhythmLine(rhythm=name) if name != "sinus":
                kind = "rhythm"
            case FaultLine(fault=name):
                kind = "fault"
            case EventLine(name=name, what=what):
                kind = what
            case AlarmLine(condition=name):
                kind = "alarm" if line.required or line.due else "may"
            case _:
                continue
        start, end = (min(end_s, max(0.0, (at - t_start_ns) / 1e9)) for at in (line.from_ns, line.to_ns))
        found.append(Lane(kind, name, start, end))
    order = {"rhythm": 0, "fault": 2, "alarm": 3, "may": 4}
    return sorted(found, key=lambda lane: (order.get(lane.kind, 1), lane.kind, lane.from_s))
