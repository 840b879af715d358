"""Reading a head's magnetometers, whichever they are."""

import math
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from device_sim.devices import Head, Kernel
from device_sim.electronics import Reading
from device_sim.gradiometer import GradiometerState, ScalarGradiometer
from device_sim.nv import N_AXES, Nv, NvState
from device_sim.opm import OpmState

Array = NDArray[np.float64]
State = OpmState | GradiometerState | NvState
Nested = TypeVar("Nested")


class Around(NamedTuple):
    """What a magnetometer depends on besides the field; axis 0 is the device."""

    mixing: Array  # (n, n_all, n_all)
    mismatch: Array  # (n, n_all)
    warmth_k: Array  # (n, n_samples): temperature around it, in K above the usual


def whites_of(kernel: Kernel) -> int:
    """Rows of random numbers that a channel needs."""
    return N_AXES if isinstance(kernel, Nv) else 1


def n_whites(head: Head) -> int:
    """Rows of random numbers that a device needs."""
    return head.n_all * whites_of(head.kernel)


def start(kernel: Kernel, first_pt: Array, around: Around, cold: float = 0.0) -> State:
    """Zeroed in a field of shape ``(n, n_all, n_probes)``; `cold` is how cold an NV sensor is, 0 to 1."""
    if isinstance(kernel, Nv):
        return kernel.init(first_pt, around.warmth_k[:, 0], cold)
    if isinstance(kernel, ScalarGradiometer):
        return kernel.init(first_pt, around.mismatch)
    return kernel.init(first_pt)


def read(kernel: Kernel, state: State, field_pt: Array, white: Array, around: Around) -> tuple[State, Reading]:
    """Read a field of shape ``(n, n_all, n_probes, n_samples)`` with random numbers ``(n, n_whites, n_samples)``."""
    if isinstance(kernel, Nv):
        return kernel.read(cast("NvState", state), field_pt, white, around.mixing, around.warmth_k)
    if isinstance(kernel, ScalarGradiometer):
        return kernel.step(cast("GradiometerState", state), field_pt, white, around.mixing, around.mismatch)
    return kernel.step(cast("OpmState", state), field_pt, white, around.mixing)


def restarted(kernel: Kernel, state: State, row: int, first_pt: Array, around: Around, away_s: float) -> State:
    """State of a batch one of whose devices was without power for `away_s` and is started anew.

    Its coils are set, or its balance taken, in the field that is there now; filters and noise begin from nothing, and
    the diamond of an NV sensor has to warm up.
    """
    alone = Around(*(leaf[row : row + 1] for leaf in around))
    cold = 1.0 - math.exp(-away_s / kernel.warming_s) if isinstance(kernel, Nv) else 0.0
    return _seated(state, start(kernel, first_pt[row : row + 1], alone, cold), row)


def _seated(state: Nested, fresh: Nested, row: int) -> Nested:
    """The state of a batch, with the row of one device taken from a state of that device alone."""
    if isinstance(state, tuple) and isinstance(fresh, tuple):
        return cast("Nested", type(state)(*(_seated(old, new, row) for old, new in zip(state, fresh, strict=True))))
    old, new = cast("Array", state), cast("Array", fresh)
    # Devices lie on the axis in which a batch is longer than one; filters have their sections before it.
    axis = next((axis for axis, size in enumerate(old.shape) if size != new.shape[axis]), 0)
    leaf = np.moveaxis(old.copy(), axis, 0)
    leaf[row * new.shape[axis] : (row + 1) * new.shape[axis]] = np.moveaxis(new, axis, 0)
    return cast("Nested", np.moveaxis(leaf, 0, axis))
