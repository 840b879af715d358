"""The devices that a simulated patient can wear: a table of magnetic heads and where each is used."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from device_sim.environment import ROOMS, RoomName
from device_sim.faults import FAULTS, HEATED, FaultName
from device_sim.gradiometer import ScalarGradiometer
from device_sim.helium import Helium
from device_sim.nv import Nv
from device_sim.opm import Opm
from ingest.packet import count_range
from ingest.profile import Dtype, Sensor, Vector

Array = NDArray[np.float64]
Kernel = Opm | Helium | ScalarGradiometer | Nv

X: Vector = (1.0, 0.0, 0.0)
Y: Vector = (0.0, 1.0, 0.0)
Z: Vector = (0.0, 0.0, 1.0)
_PITCH_M = 0.045  # of the chest arrays; from memory
# Metres; x to the patient's left, y to the head, z out of the chest, origin in the middle of the array on its plane.
# The reference stands 20 cm off: at 10 cm its tangential axes still see a sixth of the best channel's R peak.
_REFERENCE_M: Vector = (-0.07, 0.07, 0.17)
# Samples of a multiplexed converter: 80 us between neighbours; from memory. Commercial systems stay within 1 ms
# (DOMAIN 1.1).
_SKEW_S = 80e-6


@dataclass(frozen=True)
class Head:
    """Where the magnetometers of a device sit and what they are.

    Parameters
    ----------
    kind
        What it listens to.
    sensor
        Name on the wire.
    kernel
        The model of one channel, of the references too.
    positions_m, orientations
        Of the channels; a cap's positions count from the middle of the head.
    references_m, reference_orientations
        Of those that see the surroundings only; empty: none.
    scale_pt, dtype
        One count on the wire.
    gain_error
        RMS spread of the true gains. 1.3 % between two methods of calibration (DOMAIN 1.2).
    tilt_rad
        RMS spread of the true axes about the nominal ones: 1 degree; from memory.
    cross_talk
        Share of a neighbour's reading in a channel's, within 6 cm: 1-3 % (DOMAIN 1.2).
    stand_off_m
        How far from the skin the array stands; an arm holds what does not lie on the skin, and does not breathe.
    """

    kind: Literal["mcg", "meg"]
    sensor: Sensor
    kernel: Kernel
    positions_m: tuple[Vector, ...]
    orientations: tuple[Vector, ...]
    references_m: tuple[Vector, ...] = (_REFERENCE_M,) * 3
    reference_orientations: tuple[Vector, ...] = (X, Y, Z)
    scale_pt: float = 0.01
    dtype: Dtype = "i3"
    gain_error: float = 0.013
    tilt_rad: float = 0.02
    cross_talk: float = 0.01
    stand_off_m: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a geometry that has holes."""
        if not self.positions_m or len(self.positions_m) != len(self.orientations):
            raise ValueError(
                f"positions_m has {len(self.positions_m)} entries, orientations {len(self.orientations)}: need one each"
            )
        if len(self.references_m) != len(self.reference_orientations):
            raise ValueError("references_m and reference_orientations: need one each")
        most_pt = self.scale_pt * count_range(self.dtype)[1]
        if most_pt < self.kernel.range_pt:
            raise ValueError(
                f"scale_pt={self.scale_pt}, dtype={self.dtype}: reach {most_pt:g} pT, need the sensor's range of "
                f"{self.kernel.range_pt:g} pT; take a coarser scale or a wider dtype"
            )

    @property
    def n_channels(self) -> int:
        """Channels that listen to the body."""
        return len(self.positions_m)

    @property
    def n_all(self) -> int:
        """Channels, the references too."""
        return len(self.positions_m) + len(self.references_m)

    @property
    def heated(self) -> bool:
        """Whether its cells have a heater: helium and diamond work as warm as they are."""
        return isinstance(self.kernel, (Opm, ScalarGradiometer))

    @property
    def channel_noise_pt(self) -> tuple[float, ...]:
        """White noise density of each channel, references last, pT / sqrt(Hz)."""
        opm = self.kernel.resonance if isinstance(self.kernel, Helium) else self.kernel
        factors = opm.noise_factors if isinstance(opm, Opm) else (1.0,)
        return tuple(opm.noise_pt * factors[channel % len(factors)] for channel in range(self.n_all))

    @property
    def noise_pt(self) -> float:
        """White noise density of the noisiest channel, pT / sqrt(Hz): what one figure for a stream is."""
        return max(self.channel_noise_pt)

    def all_positions_m(self) -> Array:
        """Positions, references last, shape ``(n_all, 3)``."""
        lifted = [(x, y, z + self.stand_off_m) for x, y, z in self.positions_m]
        return np.array([*lifted, *self.references_m])

    def all_orientations(self) -> Array:
        """Nominal sensitive axes, references last, shape ``(n_all, 3)``."""
        return np.array([*self.orientations, *self.reference_orientations])


@dataclass(frozen=True)
class Device:
    """A device: its magnetic head, and the room that it is meant to be in."""

    model: str
    room: RoomName
    head: Head = field(repr=False)

    @property
    def rate_hz(self) -> int:
        """Samples a second of the magnetometers."""
        return round(self.head.kernel.rate_hz)

    @property
    def faults(self) -> tuple[FaultName, ...]:
        """Faults that it can have."""
        return FAULTS if self.head.heated else tuple(name for name in FAULTS if name not in HEATED)

    @property
    def blind(self) -> bool:
        """Whether it cannot work where it is: a zero-field sensor in the earth's field."""
        return ROOMS[self.room].earth and isinstance(self.head.kernel, (Opm, Helium))


def _grid(n: int) -> tuple[Vector, ...]:
    """Square array of `n` times `n` places about the origin."""
    steps = [(k - (n - 1) / 2) * _PITCH_M for k in range(n)]
    return tuple((x, y, 0.0) for y in reversed(steps) for x in steps)


def _skews(n: int) -> tuple[float, ...]:
    """Channels are converted one after the other, the middle one on time."""
    return tuple(_SKEW_S * (k % 8 - 3.5) for k in range(n))


def _triaxial(sites: tuple[Vector, ...]) -> tuple[tuple[Vector, ...], tuple[Vector, ...]]:
    """Positions and orientations of three channels per site; the first looks out of the chest."""
    return tuple(site for site in sites for _ in range(3)), (Z, X, Y) * len(sites)


def _single(sites: tuple[Vector, ...]) -> tuple[tuple[Vector, ...], tuple[Vector, ...]]:
    return sites, (Z,) * len(sites)


def _cap(radius_m: float) -> tuple[tuple[Vector, ...], tuple[Vector, ...]]:
    """Sixteen places on the back of the head, 3.5 cm apart, each looking outwards."""
    places = []
    for up in (-15.0, 5.0, 25.0, 45.0):
        for aside in (-33.0, -11.0, 11.0, 33.0):
            theta, phi = np.radians(up), np.radians(aside)
            # x to the left ear, y to the nose, z to the crown.
            places.append((np.sin(phi) * np.cos(theta), -np.cos(phi) * np.cos(theta), np.sin(theta)))
    outwards = tuple((float(x), float(y), float(z)) for x, y, z in places)
    return tuple((radius_m * x, radius_m * y, radius_m * z) for x, y, z in outwards), outwards


_NEAR = _grid(2)
# Linewidths, knees, loop gains and delays are the models' defaults, with their sources there.
_QUSPIN = Opm(skew_s=_skews(7))  # QZFM Gen-2/Gen-3 (DOMAIN 1.1)
_SERF_9 = Opm(noise_pt=0.012, skew_s=_skews(12))
# Triaxial and closed on all axes: below 23 fT (DOMAIN 1.1); FieldLine HEDscan +-15 nT, DC-300 Hz class.
_CLOSED = Opm(
    rate_hz=1000.0,
    noise_pt=0.020,
    bandwidth_hz=300.0,
    delay_s=0.003,
    skew_s=_skews(15),
    range_pt=15_000.0,
    loop_gain=100.0,
    cross_gain=100.0,
    capture_pt=20_000.0,
)
# Single axis, closed along it only: FieldLine HEDscan class, 15-20 fT/rtHz (DOMAIN 1.1).
_CAP = Opm(
    rate_hz=1000.0,
    noise_pt=0.015,
    bandwidth_hz=300.0,
    delay_s=0.003,
    skew_s=_skews(19),
    range_pt=15_000.0,
    loop_gain=100.0,
    capture_pt=20_000.0,
)
_HELIUM = Helium(axes=(0, 1, 2) * 5, skew_s=_skews(15))
_SCALAR = ScalarGradiometer(skew_s=_skews(9))
_SCALAR_CLOSED = ScalarGradiometer(noise_pt_cm=0.018, rejection=700.0, skew_s=_skews(9))
_NV = Nv(skew_s=_skews(12))  # 9 pT/rtHz (DOMAIN 1.1, Yu 2024)
# 0.46 pT/rtHz, the best of today's (DOMAIN 1.1, Barry 2023): as many times more light and contrast.
_NV_BEST = Nv(photons_cps=1.374e17, contrast=0.12, skew_s=_skews(12))

DEVICES: dict[str, Device] = {
    "reference": Device(
        "femtoward reference wearable", "light-shield", Head("mcg", "opm-serf", _QUSPIN, *_single(_NEAR))
    ),
    "serf-light-shield": Device(
        "SERF array, 9 channels, open loop", "light-shield", Head("mcg", "opm-serf", _SERF_9, *_single(_grid(3)))
    ),
    "serf-room": Device(
        "triaxial SERF array, closed loop", "shielded-room", Head("mcg", "opm-serf", _CLOSED, *_triaxial(_NEAR))
    ),
    # Where it cannot work: it saturates and never finds its lock.
    "serf-open-ward": Device(
        "SERF array, 9 channels, open loop", "open-ward", Head("mcg", "opm-serf", _SERF_9, *_single(_grid(3)))
    ),
    "he4-room": Device(
        "helium-4 array, triaxial", "shielded-room", Head("mcg", "opm-he4", _HELIUM, *_triaxial(_NEAR), scale_pt=0.03)
    ),
    "he4-light-shield": Device(
        "helium-4 array, triaxial", "light-shield", Head("mcg", "opm-he4", _HELIUM, *_triaxial(_NEAR), scale_pt=0.03)
    ),
    "scalar-gradiometer-open-ward": Device(
        "scalar gradiometer array, open loop",
        "open-ward",
        Head("mcg", "opm-scalar", _SCALAR, *_single(_grid(3)), (), (), scale_pt=0.1, dtype="i3"),
    ),
    "scalar-gradiometer-closed-open-ward": Device(
        "scalar gradiometer array, closed loop",
        "open-ward",
        Head("mcg", "opm-scalar", _SCALAR_CLOSED, *_single(_grid(3)), (), (), scale_pt=0.01, dtype="i3"),
    ),
    # A vector sensor in the earth's field cannot be worn: half a degree of breath is 400 nT. An arm holds it.
    "nv-open-ward": Device(
        "NV-diamond array on an arm",
        "open-ward",
        Head("mcg", "nv-ensemble", _NV, *_single(_grid(3)), scale_pt=0.1, dtype="i4", stand_off_m=0.01),
    ),
    "nv-light-shield": Device(
        "NV-diamond array",
        "light-shield",
        Head("mcg", "nv-ensemble", _NV, *_single(_grid(3)), scale_pt=0.1, dtype="i4"),
    ),
    "nv-best-light-shield": Device(
        "NV-diamond array, best of today's",
        "light-shield",
        Head("mcg", "nv-ensemble", _NV_BEST, *_single(_grid(3)), scale_pt=0.1, dtype="i4"),
    ),
    # A head of 9 cm, the cells 15 mm above it; the reference 12 cm higher. From memory.
    "meg-cap": Device(
        "OPM-MEG cap section, 16 channels",
        "shielded-room",
        Head("meg", "opm-serf", _CAP, *_cap(0.105), references_m=((0.0, -0.08, 0.22),) * 3, scale_pt=0.002),
    ),
}

__all__ = ["DEVICES", "ROOMS", "Device", "Head", "Kernel"]
