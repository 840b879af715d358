"""What a beat looks like: the heart's current dipole in three dimensions as Gaussian waves, for a whole fleet."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.physiology import Beat

Array = NDArray[np.float64]

BEFORE_S = 0.45  # a P wave begins this long before its R peak at the most
AFTER_S = 0.75  # a T wave is over by then
_TAIL = 5.0  # a wave is cut at 5 standard deviations, where it is 4e-6 of its height


class Wave(NamedTuple):
    """One Gaussian wave of a beat."""

    offset_s: float  # from the R peak, at RR = 1 s
    width_s: float  # standard deviation, at RR = 1 s
    stretches: bool  # with sqrt(RR), as PQ and QT do; QRS does not
    x: float  # to the left, of the R peak's size
    y: float  # to the head
    z: float  # to the front


# Angles, widths and signs follow ECGSYN's kernels on three axes (McSharry 2003; Sameni 2007), sizes the MCG figures of
# DOMAIN 1.3: P a tenth and T a third of R. QRS is fixed in time and 90 ms wide, narrower than ECGSYN's. QT is 0.40 s at
# RR = 1 s. The single numbers are from memory.
NORMAL = (
    Wave(-0.160, 0.022, True, 0.065, -0.070, 0.02),
    Wave(-0.030, 0.008, False, -0.10, 0.04, 0.09),
    Wave(0.0, 0.0105, False, 0.62, -0.70, 0.35),
    Wave(0.030, 0.009, False, -0.13, 0.17, -0.25),
    Wave(0.245, 0.050, True, 0.10, -0.09, 0.02),
    Wave(0.285, 0.034, True, 0.14, -0.13, 0.06),
)
WITHOUT_ATRIUM = NORMAL[1:]
# Wide QRS (about 140 ms), another axis, T against QRS.
VENTRICULAR = (
    Wave(0.0, 0.026, False, -0.45, -0.95, 0.35),
    Wave(0.070, 0.028, False, 0.30, 0.45, -0.30),
    Wave(0.320, 0.055, True, 0.15, 0.34, -0.10),
)
R_DIRECTION = np.array([NORMAL[2].x, NORMAL[2].y, NORMAL[2].z])
# f-waves: 4-9 Hz (DOMAIN 1.3), about 5 % of R; from memory.
F_WAVE_SIZE = np.array([0.035, 0.030, 0.02])

_SHORT_S, _LONG_S = 0.060, 0.290  # half windows of the two groups below: QRS and the others


_KINDS = (NORMAL, WITHOUT_ATRIUM, VENTRICULAR)


def heart_vectors(
    beats: list[tuple[int, Beat]], strengths: Array, starts_s: Array, n_samples: int, rate_hz: float
) -> Array:
    """Sum of all waves of all beats, one row per patient.

    Parameters
    ----------
    beats
        Row and beat.
    strengths : ndarray, shape (n,)
        What the beats of each row are multiplied by.
    starts_s : ndarray, shape (n,)
        Time of each row's first sample.
    n_samples, rate_hz
        Length and rate of the rows.

    Returns
    -------
    ndarray, shape (n, 3, n_samples)
        In units of the R peak.
    """
    listed = np.array(
        [(row, beat.time_s, beat.rr_s, 2.0 if beat.kind == "V" else float(not beat.atrial)) for row, beat in beats]
    ).reshape(-1, 4)
    tables = [_table(listed[listed[:, 3] == kind], waves) for kind, waves in enumerate(_KINDS)]
    table = np.concatenate(tables)
    table[:, 3:] *= strengths[table[:, 0].astype(np.int64), None]
    vectors = np.zeros((3, len(starts_s) * n_samples))
    short = _TAIL * table[:, 2] <= _SHORT_S
    for group, half_s in ((table[short], _SHORT_S), (table[~short], _LONG_S)):
        _add_waves(vectors, group, half_s, starts_s, rate_hz)
    return np.ascontiguousarray(vectors.reshape(3, len(starts_s), n_samples).transpose(1, 0, 2))


def _table(beats: Array, waves: tuple[Wave, ...]) -> Array:
    """Waves of beats (row, time, RR, kind) of one kind as (row, centre, width, x, y, z)."""
    wave = np.array(waves, np.float64)
    stretch = np.where(wave[:, 2] > 0.0, np.sqrt(np.minimum(1.2, beats[:, 2, None])), 1.0)
    table = np.empty((*stretch.shape, 6))
    table[..., 0] = beats[:, 0, None]
    table[..., 1] = beats[:, 1, None] + wave[:, 0] * stretch
    table[..., 2] = wave[:, 1] * stretch
    table[..., 3:] = wave[:, 3:]
    return table.reshape(-1, 6)


def _add_waves(vectors: Array, table: Array, half_s: float, starts_s: Array, rate_hz: float) -> None:
    """Add the waves of `table` (row, centre, width, x, y, z) to `vectors` of shape ``(3, n * n_samples)``."""
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


def fibrillation(t_s: Array, rate_hz: Array, start: Array) -> Array:
    """Atrial f-waves in units of the R peak, shape ``(n, 3, n_samples)``, at times of shape ``(n, n_samples)``.

    A tone with its second harmonic whose frequency swings about `rate_hz` and whose size waxes and wanes.
    """
    turn = 2.0 * np.pi * t_s
    phase = (
        2.0 * np.pi * (rate_hz[:, None] * t_s + start[:, None]) + 1.5 * np.sin(0.31 * turn) + 0.8 * np.sin(0.83 * turn)
    )
    size = 1.0 + 0.35 * np.sin(0.23 * turn + 1.0)
    wave = size * (np.sin(phase) + 0.35 * np.sin(2.0 * phase))
    turned = size * (np.cos(phase) + 0.35 * np.sin(2.0 * phase + 0.7))
    return np.stack([F_WAVE_SIZE[0] * wave, F_WAVE_SIZE[1] * turned, F_WAVE_SIZE[2] * wave], axis=1)
