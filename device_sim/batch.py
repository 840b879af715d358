"""Patients who wear devices of one kind: their seconds are worked out together, as arrays."""

from collections.abc import Sequence

import numpy as np

from device_sim.bodies import Body, Chances, body_lead, stacked
from device_sim.devices import DEVICES, Device
from device_sim.environment import ROOMS, Grid, random_surroundings
from device_sim.moment import Moment
from device_sim.packing import Packed
from device_sim.physics import Physics, Wear
from device_sim.unit import gradient_lead, random_unit, room_lead

_MOST = 48  # patients at once: what their second takes fits into a processor's cache


class Batch:
    """Some patients of a fleet.

    Parameters
    ----------
    kind
        What they wear.
    members
        Their numbers in the fleet.
    bodies, chances
        Of the whole fleet.
    grid
        The mains.
    """

    def __init__(
        self, kind: Device, members: Sequence[int], bodies: Sequence[Body], chances: Sequence[Chances], grid: Grid
    ) -> None:
        self.kind = kind
        self.members = members
        mine, theirs = [bodies[index] for index in members], [chances[index] for index in members]
        units = [random_unit(one.unit, kind.head) for one in theirs]
        wear = Wear(
            stacked(units),
            np.stack([body_lead(kind.head, unit, body) for unit, body in zip(units, mine, strict=True)]),
            np.stack([room_lead(kind.head, unit) for unit in units]),
            np.stack([gradient_lead(kind.head, unit) for unit in units]),
            stacked([random_surroundings(one.room, ROOMS[kind.room]) for one in theirs]),
        )
        self._physics = Physics(kind, stacked(mine), wear, grid, theirs)
        self._packed: Packed | None = None

    def advance(self, now: Moment) -> None:
        """Work out the next second."""
        self._packed = Packed(self.kind, self._physics.chunk(now))

    @property
    def packed(self) -> Packed:
        """Blocks of the second that was worked out last."""
        if self._packed is None:
            raise RuntimeError("no second was worked out yet: call advance before")
        return self._packed


def batches(worn: Sequence[str], bodies: Sequence[Body], chances: Sequence[Chances], grid: Grid) -> list[Batch]:
    """Batches of a fleet whose patients wear these devices."""
    members: dict[str, list[int]] = {}
    for index, name in enumerate(worn):
        members.setdefault(name, []).append(index)
    return [
        Batch(DEVICES[name], them[first : first + _MOST], bodies, chances, grid)
        for name, them in members.items()
        for first in range(0, len(them), _MOST)
    ]
