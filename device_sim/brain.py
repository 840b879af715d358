"""What a brain, its eyes and its neck send out: current dipoles in a head, by script, for a cap to turn into field."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.events import BrainEvent
from device_sim.script import Span
from device_sim.tones import Tones, evaluate, gaussian_tones, stack

Array = NDArray[np.float64]

# Metres from the middle of the head: x to the left ear, y to the nose, z to the crown; a head is a sphere of 9 cm. A
# dipole along the radius gives no field, so all of these lie across it. Places and moments from memory, the moments so
# that a cap sees alpha of 0.3-1 pT and spikes of 0.5-3 pT (DOMAIN 1.3; 10 nA m at 6 cm are 0.28 pT).
HEAD_M = 0.09


class Source(NamedTuple):
    """Where a dipole lies, and what it points to before it is laid across the radius."""

    place_m: tuple[float, float, float]
    towards: tuple[float, float, float]
    moment_am: float  # rms of a rhythm, peak of an event


SOURCES: dict[str, tuple[Source, ...]] = {
    "alpha": (
        Source((0.022, -0.064, 0.018), (0.1, 0.2, 1.0), 12e-9),
        Source((-0.025, -0.062, 0.022), (-0.1, 0.3, 1.0), 11e-9),
    ),
    "beta": (
        Source((0.042, 0.002, 0.054), (0.2, 1.0, -0.1), 4e-9),
        Source((-0.044, -0.002, 0.052), (-0.2, 1.0, 0.1), 4e-9),
    ),
    "blinks": (
        Source((0.030, 0.076, -0.010), (0.0, 0.1, 1.0), 400e-9),
        Source((-0.030, 0.076, -0.010), (0.0, 0.1, 1.0), 400e-9),
    ),
    "muscle": (
        Source((0.058, -0.040, -0.035), (0.0, 0.5, 1.0), 15e-9),
        Source((-0.058, -0.040, -0.035), (0.0, 0.5, 1.0), 15e-9),
    ),
    "spikes": (Source((0.046, -0.034, 0.030), (-0.3, 0.5, 1.0), 180e-9),),
}
_IDLE = {"alpha": 0.25, "beta": 0.5}  # of the rhythms while nothing is scripted; from memory
ALPHA_HZ, ALPHA_WIDTH_HZ = (9.0, 11.0), 0.5
BETA_HZ, BETA_WIDTH_HZ = (18.0, 24.0), 1.5
MUSCLE_BAND_HZ = (20.0, 150.0)
BLINK_S, BLINKS_PER_MIN = 0.09, 15.0
SPIKE_S, SLOW_WAVE_S, SPIKES_PER_MIN = 0.018, 0.09, 6.0  # a spike of some 70 ms, and the slow wave after it
_EDGE_S = 1.0
_N_TONES = 6
_MUSCLE_TONES = 40


class Brain(NamedTuple):
    """A head's own rhythms; axis 0 is the patient, after stacking."""

    alpha: Tones  # (n, 2, n_tones), rms 1
    beta: Tones  # (n, 2, n_tones)
    muscle: Tones  # (n, 2, n_tones)
    start: Array  # (n,), turns


def random_brain(rng: Generator) -> Brain:
    """One head, without the leading axis."""
    alpha_hz, beta_hz = rng.uniform(*ALPHA_HZ), rng.uniform(*BETA_HZ)
    middle, width = sum(MUSCLE_BAND_HZ) / 2.0, (MUSCLE_BAND_HZ[1] - MUSCLE_BAND_HZ[0]) / 4.0
    return Brain(
        alpha=stack([gaussian_tones(rng, _N_TONES, alpha_hz, ALPHA_WIDTH_HZ, 1.0) for _ in range(2)]),
        beta=stack([gaussian_tones(rng, _N_TONES, beta_hz, BETA_WIDTH_HZ, 1.0) for _ in range(2)]),
        muscle=stack([gaussian_tones(rng, _MUSCLE_TONES, middle, width, 1.0) for _ in range(2)]),
        start=np.array(rng.uniform()),
    )


def source_places_m() -> Array:
    """Where the dipoles lie, shape ``(n_sources, 3)``."""
    return np.array([source.place_m for kind in SOURCES.values() for source in kind])


def source_axes() -> Array:
    """Unit vectors of the dipoles, laid across the radius, shape ``(n_sources, 3)``."""
    outwards = source_places_m()
    outwards /= np.sqrt(np.sum(outwards**2, axis=-1, keepdims=True))
    towards = np.array([source.towards for kind in SOURCES.values() for source in kind])
    across = towards - np.sum(towards * outwards, axis=-1, keepdims=True) * outwards
    axes: Array = across / np.sqrt(np.sum(across**2, axis=-1, keepdims=True))
    return axes


def brain_moments(brain: Brain, row: int, spans: Sequence[Span[BrainEvent]], t_s: Array) -> Array:
    """Moments of the dipoles of one head.

    Parameters
    ----------
    brain, row
        Heads, and which of them.
    spans
        What is scripted for this head at these times.
    t_s : ndarray, shape (n_samples,)
        Times.

    Returns
    -------
    ndarray, shape (n_sources, n_samples)
        A m along `source_axes`, in the order of `source_places_m`.
    """
    moments = []
    start = float(brain.start[row])
    for kind, sources in SOURCES.items():
        mine = [span for span in spans if span.event.brain == kind]
        if kind in ("blinks", "spikes"):
            shape = _blink if kind == "blinks" else _spike
            wave = np.zeros(len(t_s))
            for span in mine:
                for at in instants(span, start, float(t_s[0]) - 1.0, float(t_s[-1]) + 1.0):
                    wave += span.event.size * shape(t_s - at)
            waves = [wave] * len(sources)
        else:
            size = np.full(len(t_s), _IDLE.get(kind, 0.0))
            for span in mine:
                size = size + (span.event.size - size) * _edges(span, t_s)
            tones: Tones = getattr(brain, kind)
            heads = Tones(*(leaf[row] for leaf in tones))
            waves = list(size * evaluate(heads, np.broadcast_to(t_s, (len(sources), len(t_s)))))
        moments += [source.moment_am * wave for source, wave in zip(sources, waves, strict=True)]
    return np.stack(moments)


def instants(span: Span[BrainEvent], start: float, from_s: float, to_s: float) -> list[float]:
    """Times of the blinks or spikes of an event that lie in ``[from_s, to_s)``; no two waits are the same."""
    usual = BLINKS_PER_MIN if span.event.brain == "blinks" else SPIKES_PER_MIN
    every_s = 60.0 / (span.event.per_min or usual)
    first = max(0, int((from_s - span.from_s) / every_s) - 1)
    after = max(0, int((min(to_s, span.to_s) - span.from_s) / every_s) + 1)
    at = [
        span.from_s + every_s * (k + 0.5 + 0.4 * float(np.sin(2.7 * k + 2.0 * np.pi * start)))
        for k in range(first, after)
    ]
    return [one for one in at if from_s <= one < min(to_s, span.to_s)]


def _edges(span: Span[BrainEvent], t_s: Array) -> Array:
    rise = np.clip((t_s - span.from_s) / _EDGE_S, 0.0, 1.0)
    within: Array = np.minimum(rise, np.clip((span.to_s - t_s) / _EDGE_S, 0.0, 1.0))
    return within


def _blink(since_s: Array) -> Array:
    wave: Array = np.exp(-0.5 * (since_s / BLINK_S) ** 2)
    return wave


def _spike(since_s: Array) -> Array:
    wave: Array = np.exp(-0.5 * (since_s / SPIKE_S) ** 2) - 0.35 * np.exp(
        -0.5 * ((since_s - 2.0 * SLOW_WAVE_S) / SLOW_WAVE_S) ** 2
    )
    return wave
