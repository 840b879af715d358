"""The one shape every streaming computation has: ``init`` and a pure ``step``."""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

S = TypeVar("S")
Out_co = TypeVar("Out_co", covariant=True)


class Kernel(Protocol[S, Out_co]):
    """A streaming computation over a bank of devices.

    Axis 0 of every array is the device; the last axis of a block is time. State is a NamedTuple of arrays (or of
    such NamedTuples), each with the device on axis 0, so that rows can be gathered and scattered. ``step`` is pure:
    it never writes to its arguments.
    """

    def init(self, first: Array) -> S:
        """State before `first`, the first block of each device, is stepped."""
        ...

    def step(self, state: S, block: Array) -> tuple[S, Out_co]:
        """Consume one block of each device."""
        ...
