"""What a beat looks like: the heart's current dipole in three dimensions as Gaussian waves, for a whole fleet."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.physiology import Beat, Shape

Array = NDArray[np.float64]

BEFORE_S = 0.45  # a P wave begins this long before its R peak at the most
AFTER_S = 0.75  # a T wave is over by then
BREATH_STROKE = 0.05  # the heart's field swells and shrinks by this with the breath; from memory
BREATH_SWAY_RAD = 0.08  # and its axis turns by some 5 degrees (ECG-derived respiration: 3-10, from memory)
_TAIL = 5.0  # a wave is cut at 5 standard deviations, where it is 4e-6 of its height


class Wave(NamedTuple):
    """One Gaussian wave of a beat."""

    offset_s: float  # from the R peak, at RR = 1 s
    width_s: float  # standard deviation, at RR = 1 s
    stretches: bool  # with sqrt(RR), as PQ and QT do; QRS does not
    x: float  # to the left, of the R peak's size
    y: float  # to the head
    z: float  # to the front: Frank's Z, which points to the back, is minus this


# In Frank's axes (X left, Y down, Z back; Frank 1956, Circulation 13:737) the vectors of a normal adult's QRS begin to
# the right and the front (septum), are largest to the left, down and back, and end to the right, up and back; T points
# to the left, down and front (Draper 1964, Circulation 30:853; Silverberg 1964, Am. J. Cardiol.; their angles from
# memory). Angles, widths and signs follow ECGSYN's kernels on three axes (McSharry 2003; Sameni 2007), sizes the MCG
# figures of DOMAIN 1.3: P a tenth and T a third of R. QRS is fixed in time and 90 ms wide, narrower than ECGSYN's. QT
# is 0.40 s at RR = 1 s. The single numbers are from memory.
NORMAL = (
    Wave(-0.160, 0.022, True, 0.065, -0.070, 0.02),
    Wave(-0.030, 0.008, False, -0.10, 0.04, 0.09),
    Wave(0.0, 0.0105, False, 0.62, -0.70, -0.35),
    Wave(0.030, 0.009, False, -0.13, 0.17, -0.25),
    Wave(0.245, 0.050, True, 0.10, -0.09, 0.02),
    Wave(0.285, 0.034, True, 0.14, -0.13, 0.06),
)
# Wide QRS (about 140 ms), another axis, T against QRS.
VENTRICULAR = (
    Wave(0.0, 0.026, False, -0.45, -0.95, 0.35),
    Wave(0.070, 0.028, False, 0.30, 0.45, -0.30),
    Wave(0.320, 0.055, True, 0.15, 0.34, -0.10),
)
# A dying heart: small, and wider still; from memory.
AGONAL = (
    Wave(0.0, 0.050, False, 0.28, -0.35, 0.15),
    Wave(0.140, 0.055, False, -0.12, 0.15, -0.08),
)
# Middle of the P wave by itself.
ATRIUM = (NORMAL[0]._replace(offset_s=0.0),)
# What an ST segment of one R peak adds, between J point and T wave. The current of injury points to the injured wall,
# here the front; from memory.
ST = (Wave(0.085, 0.022, True, 0.35, -0.25, 0.55), Wave(0.140, 0.035, True, 0.50, -0.35, 0.80))
_SHAPES: dict[Shape, tuple[Wave, ...]] = {
    "normal": NORMAL,
    "narrow": NORMAL[1:],
    "ventricular": VENTRICULAR,
    "agonal": AGONAL,
    "atrium": ATRIUM,
}
_NUMBER = {shape: float(number) for number, shape in enumerate(_SHAPES)}
# QT as these waves have it, from the onset of Q to the end of T: a fixed part, and one that stretches with sqrt(RR).
QT_FIXED_S, QT_STRETCHED_S = 0.047, 0.353
QT_LONGEST_RR_S = 1.2
R_DIRECTION = np.array([NORMAL[2].x, NORMAL[2].y, NORMAL[2].z])

_SHORT_S, _LONG_S, _P_S = 0.060, 0.290, 0.122  # half windows of the groups below: QRS, ST and T and what is wide, P


def heart_vectors(
    beats: list[tuple[int, Beat]], sways: Array, starts_s: Array, n_samples: int, rate_hz: float
) -> Array:
    """Sum of all waves of all beats, one row per patient: the ventricles' dipole, and that of the atria.

    Parameters
    ----------
    beats
        Row and beat.
    sways : ndarray, shape (n, 3)
        Rotation vector, rad, by which the heart of each row turns when the lungs are full.
    starts_s : ndarray, shape (n,)
        Time of each row's first sample.
    n_samples, rate_hz
        Length and rate of the rows.

    Returns
    -------
    ndarray, shape (n, 6, n_samples)
        In units of the R peak; ventricles first.
    """
    listed = np.array(
        [
            (row, beat.time_s, beat.settled_rr_s or beat.rr_s, _NUMBER[_shape(beat)], beat.st, beat.t_wave, beat.lungs)
            for row, beat in beats
        ]
    ).reshape(-1, 7)
    tables = [_table(listed[listed[:, 3] == number], waves) for number, waves in enumerate(_SHAPES.values())]
    injured = listed[listed[:, 4] != 0.0]
    if len(injured):
        current = _table(injured, ST)
        current[:, 3:6] *= np.repeat(injured[:, 4], len(ST))[:, None]
        tables.append(current)
    table = np.concatenate(tables)
    full = table[:, 6:7]
    table[:, 3:6] += full * (
        BREATH_STROKE * table[:, 3:6] + np.cross(sways[table[:, 0].astype(np.int64)], table[:, 3:6])
    )
    vectors = np.zeros((6, len(starts_s) * n_samples))
    short, atrial = _TAIL * table[:, 2] <= _SHORT_S, table[:, 7] > 0.0
    _add_waves(vectors[:3], table[short & ~atrial], _SHORT_S, starts_s, rate_hz)
    _add_waves(vectors[:3], table[~short & ~atrial], _LONG_S, starts_s, rate_hz)
    _add_waves(vectors[3:], table[atrial], _P_S, starts_s, rate_hz)
    return np.ascontiguousarray(vectors.reshape(6, len(starts_s), n_samples).transpose(1, 0, 2))


def _shape(beat: Beat) -> Shape:
    """Shape of a beat; a recorded or hand-made one has that of its class."""
    if beat.shape != "normal":
        return beat.shape
    return "ventricular" if beat.kind == "V" else "normal" if beat.atrial else "narrow"


def _table(beats: Array, waves: tuple[Wave, ...]) -> Array:
    """Waves of beats (row, time, RR, shape, ST, T, lungs) as (row, centre, width, x, y, z, lungs, atrial)."""
    wave = np.array(waves, np.float64)
    stretch = np.where(wave[:, 2] > 0.0, np.sqrt(np.minimum(QT_LONGEST_RR_S, beats[:, 2, None])), 1.0)
    table = np.empty((*stretch.shape, 8))
    table[..., 0] = beats[:, 0, None]
    table[..., 1] = beats[:, 1, None] + wave[:, 0] * stretch
    table[..., 2] = wave[:, 1] * stretch
    table[..., 3:6] = wave[:, 3:]
    # T is what comes late and stretches.
    table[..., 3:6] *= np.where((wave[:, 2] > 0.0) & (wave[:, 0] > 0.2), beats[:, 5, None], 1.0)[..., None]
    table[..., 6] = beats[:, 6, None]
    table[..., 7] = [one == ATRIUM[0] or one == NORMAL[0] for one in waves]
    return table.reshape(-1, 8)


def _add_waves(vectors: Array, table: Array, half_s: float, starts_s: Array, rate_hz: float) -> None:
    """Add the waves of `table` (row, centre, width, x, y, z, ...) to `vectors` of shape ``(3, n * n_samples)``."""
    n_samples = vectors.shape[1] // len(starts_s)
    row = table[:, 0].astype(np.int64)
    centre = (table[:, 1] - starts_s[row]) * rate_hz
    index = np.ceil(centre - half_s * rate_hz).astype(np.int64)[:, None] + np.arange(int(2 * half_s * rate_hz))
    height = np.exp(-0.5 * ((index - centre[:, None]) / (table[:, 2, None] * rate_hz)) ** 2)
    inside = (index >= 0) & (index < n_samples)
    at = (row[:, None] * n_samples + index)[inside]
    for axis in range(3):
        # bincount adds in the order of the table, so that a row does not depend on the others.
        vectors[axis] += np.bincount(at, (height * table[:, 3 + axis, None])[inside], minlength=vectors.shape[1])
