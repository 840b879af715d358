"""A helium-4 magnetometer: parametric resonance in a cell at room temperature, closed on all three axes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device_sim.electronics import Reading
from device_sim.opm import Opm, OpmState

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Helium:
    """Helium-4 OPM with three axes: the coils hold the cell at zero field, and their current is the reading.

    The metastable atoms live for a millisecond, so that the resonance is wide (and its range with it), fast, and
    noisier than a SERF's. There is no heater and none of its faults; what can fail is the discharge.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    noise_pt
        White noise density of the two good axes, pT / sqrt(Hz): below 50 fT (DOMAIN 1.1, Mag4Health).
    third_axis
        How much noisier the third axis, along the light, is; "worse" (DOMAIN 1.1), the figure from memory.
    axes
        Which axis of its cell each channel is: 0 and 1 are good, 2 is the third.
    knee_hz
        Of the 1/f noise; from memory.
    bandwidth_hz
        -3 dB; DC-2 kHz (DOMAIN 1.1), or what the sampling leaves of it.
    delay_s, skew_s
        Of the electronics; from memory.
    range_pt
        200 nT (DOMAIN 1.1).
    linewidth_pt, loop_gain
        Of the resonance and of the loop; from memory.
    coil_pt
        The coils reach so far; from memory.
    restrike_s
        A discharge that went out is struck again within this time; from memory.
    """

    rate_hz: float = 1000.0
    noise_pt: float = 0.045
    third_axis: float = 4.0
    axes: tuple[int, ...] = (0, 1, 2)
    knee_hz: float = 3.0
    bandwidth_hz: float = 350.0
    delay_s: float = 0.002
    skew_s: tuple[float, ...] = (0.0,)
    range_pt: float = 200_000.0
    linewidth_pt: float = 40_000.0
    loop_gain: float = 50.0
    coil_pt: float = 250_000.0
    restrike_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a sensor that cannot be."""
        if not self.axes or not set(self.axes) <= {0, 1, 2}:
            raise ValueError(f"axes={self.axes}: need 0, 1 or 2 for each channel")
        if not self.third_axis >= 1.0:
            raise ValueError(f"third_axis={self.third_axis}: need at least 1")
        _ = self.resonance

    @cached_property
    def resonance(self) -> Opm:
        """The same steady state of Bloch's equations as a SERF's, with helium's numbers."""
        return Opm(
            rate_hz=self.rate_hz,
            noise_pt=self.noise_pt,
            noise_factors=tuple(self.third_axis if axis == 2 else 1.0 for axis in self.axes),
            knee_hz=self.knee_hz,
            bandwidth_hz=self.bandwidth_hz,
            delay_s=self.delay_s,
            skew_s=self.skew_s,
            range_pt=self.range_pt,
            linewidth_pt=self.linewidth_pt,
            loop_gain=self.loop_gain,
            cross_gain=self.loop_gain,
            capture_pt=1.5 * self.range_pt,
            coil_pt=self.coil_pt,
            zeroing_s=self.restrike_s,
        )

    @property
    def non_linearity(self) -> float:
        """Largest relative error of the reading within the range."""
        return self.resonance.non_linearity

    def init(self, first_pt: Array) -> OpmState:
        """Just zeroed in a field of shape ``(n, n_channels, 3)``."""
        return self.resonance.init(first_pt)

    def step(self, state: OpmState, field_pt: Array, white: Array, mixing: Array) -> tuple[OpmState, Reading]:
        """Read a field: shapes as in `Opm.step`."""
        return self.resonance.step(state, field_pt, white, mixing)
