"""Reading a head's magnetometers, whichever they are."""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from device_sim.devices import Head, Kernel
from device_sim.electronics import Reading
from device_sim.gradiometer import GradiometerState, ScalarGradiometer
from device_sim.nv import N_AXES, Nv, NvState
from device_sim.opm import OpmState

Array = NDArray[np.float64]
State = OpmState | GradiometerState | NvState


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


def start(kernel: Kernel, first_pt: Array, around: Around) -> State:
    """Zeroed in a field of shape ``(n, n_all, n_probes)``."""
    if isinstance(kernel, Nv):
        return kernel.init(first_pt, around.warmth_k[:, 0])
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
