"""Rhythms without single beats: the quivering of atria and ventricles as a current dipole that turns in space."""

import numpy as np
from numpy.typing import NDArray

from device_sim.events import RhythmName
from device_sim.rhythms import FLUTTER_HZ
from device_sim.script import Episode

Array = NDArray[np.float64]

# f-waves: 4-9 Hz (DOMAIN 1.3), about 5 % of R; flutter waves twice that. From memory.
F_WAVE_SIZE = np.array([0.035, 0.030, 0.02])
FLUTTER_SIZE = np.array([0.03, -0.10, 0.03])
# Ventricular fibrillation: 3-7 Hz, chirped (DOMAIN 1.3), at first a third to half of a QRS, finer in minutes. Memory.
VF_SIZE = np.array([0.26, -0.28, 0.16])
# Wavelets: rate, how far it swings, how often a second.
VF_WAVELETS = ((4.6, 1.0, 0.17), (5.4, 1.1, 0.23), (4.1, 0.7, 0.31))
VF_FINER_S, VF_FINEST = 240.0, 0.35
ATRIAL: tuple[RhythmName, ...] = ("atrial-fibrillation", "atrial-flutter")
QUIVERING: tuple[RhythmName, ...] = (*ATRIAL, "ventricular-fibrillation")
_EDGE_S = 0.3  # it takes this long to set in and to stop


def quivering(episode: Episode, t_s: Array, f_wave_hz: float, start: float) -> Array:
    """Dipole of an episode in which atria or ventricles quiver, in units of the R peak.

    Parameters
    ----------
    episode
        Atrial fibrillation or flutter, or ventricular fibrillation.
    t_s : ndarray, shape (n_samples,)
        Times.
    f_wave_hz, start
        The patient's own: rate of the f-waves, and a phase in turns.

    Returns
    -------
    ndarray, shape (3, n_samples)
    """
    within = np.clip((t_s - episode.from_s) / _EDGE_S, 0.0, 1.0) * np.clip((episode.to_s - t_s) / _EDGE_S, 0.0, 1.0)
    if episode.rhythm == "atrial-flutter":
        return within * atrial_flutter(t_s)
    if episode.rhythm == "ventricular-fibrillation":
        return within * ventricular_fibrillation(t_s, episode.from_s, start)
    return within * atrial_fibrillation(t_s, f_wave_hz, start)


def atrial_fibrillation(t_s: Array, rate_hz: float, start: float) -> Array:
    """f-waves: a tone with its second harmonic whose frequency swings about `rate_hz` and whose size comes and goes."""
    turn = 2.0 * np.pi * t_s
    phase = 2.0 * np.pi * (rate_hz * t_s + start) + 1.5 * np.sin(0.31 * turn) + 0.8 * np.sin(0.83 * turn)
    size = 1.0 + 0.35 * np.sin(0.23 * turn + 1.0)
    wave = size * (np.sin(phase) + 0.35 * np.sin(2.0 * phase))
    turned = size * (np.cos(phase) + 0.35 * np.sin(2.0 * phase + 0.7))
    return F_WAVE_SIZE[:, None] * np.stack([wave, turned, wave])


def atrial_flutter(t_s: Array) -> Array:
    """Saw teeth, slow up and steep down, that the beats are locked to."""
    phase = 2.0 * np.pi * FLUTTER_HZ * t_s
    wave = np.sin(phase) + 0.45 * np.sin(2.0 * phase) + 0.2 * np.sin(3.0 * phase)
    turned = np.cos(phase) + 0.45 * np.cos(2.0 * phase)
    return FLUTTER_SIZE[:, None] * np.stack([turned, wave, wave])


def ventricular_fibrillation(t_s: Array, from_s: float, start: float) -> Array:
    """Wavelets that are chirped between 3 and 7 Hz, come and go, differ from axis to axis, and grow finer with time."""
    turn = 2.0 * np.pi * t_s
    finer = np.maximum(VF_FINEST, np.exp(-np.maximum(t_s - from_s, 0.0) / VF_FINER_S))
    waves = []
    for number, (rate_hz, swing_hz, slow_hz) in enumerate(VF_WAVELETS):
        # The phase's swing is that of the frequency over the rate of the swing.
        swing = (
            0.7 * np.sin(slow_hz * turn + 2.0 * number) / slow_hz + 0.3 * np.sin(2.6 * slow_hz * turn) / 2.6 / slow_hz
        )
        phase = 2.0 * np.pi * (rate_hz * t_s + (number + 1) * start) + swing_hz * swing
        size = 1.0 + 0.4 * np.sin((0.21 + 0.06 * number) * turn + 1.7 * number)
        waves.append(size * (np.sin(phase) + 0.25 * np.sin(2.0 * phase + 0.5)))
    first, second, third = waves
    mixed = np.stack([first + 0.5 * second, 0.8 * first + 0.6 * third, second + 0.5 * third])
    return VF_SIZE[:, None] * finer * mixed
