"""What happens to the patients in one second, gathered from their scripts and hearts for the arrays to work on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.breath import Lungs
from device_sim.course import Levels
from device_sim.events import ActivityEvent, BrainEvent
from device_sim.faults import Fault
from device_sim.physiology import Beat
from device_sim.recording import Recording
from device_sim.script import Episode, Span

Array = NDArray[np.float64]


class Moment(NamedTuple):
    """What happens in a chunk; each list names the row first, and only the rows that it concerns."""

    starts_s: Array  # (n,), time of each row's first sample
    beats: list[tuple[int, Beat]]  # those whose waves reach into the chunk, P waves by themselves among them
    quivering: list[tuple[int, Episode]]  # atrial fibrillation and flutter, ventricular fibrillation
    recorded: list[tuple[int, Recording, float]]  # row, recording, when it began
    pulsed: list[tuple[int, Recording, float]]  # the same of a recorded pulse
    faults: list[tuple[int, Fault]]
    breathing: list[tuple[int, Lungs]]  # rows whose breath is not that of rest
    levels: list[tuple[int, Levels]]  # rows that are not steady, in the middle of the chunk
    activities: list[tuple[int, Span[ActivityEvent]]]
    brains: list[tuple[int, Span[BrainEvent]]]


def moment_at(starts_s: Array) -> Moment:
    """Return a second in which nothing happens yet."""
    return Moment(starts_s, [], [], [], [], [], [], [], [], [])
