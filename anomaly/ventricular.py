"""Ventricular fibrillation, flutter and tachycardia by the shape of the last seconds, for a bank of devices."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.logistic import Logistic
from anomaly.sos import SosFilter, SosState
from anomaly.ventricular_features import GRID_HZ, NAMES, WINDOW_S, features
from anomaly.ventricular_model import DISORDER, FIBRILLATION, VENTRICULAR

ROUNDING = 1e-10  # of the sample itself
N_JOINED = 3  # windows, a second apart
MODELS = (VENTRICULAR, FIBRILLATION, DISORDER)


class VentricularState(NamedTuple):
    """What is carried from block to block."""

    seen: IntArray  # (n,) samples
    band: SosState
    ring: NDArray[np.float32]  # (n, n_channels, WINDOW_S * GRID_HZ); sample k of the grid stands at k mod its length
    odds: Array  # (n, 3, N_JOINED - 1) log odds of the windows before, newest last; NaN: none


class VentricularOut(NamedTuple):
    """Decisions that fell due in one block, one a second; `m` depends on the block's length only."""

    at: Array  # (n, m) samples since the row's first: the last one looked at; NaN where nothing fell due
    ventricular: Array  # (n, m) probability of fibrillation, flutter or tachycardia of the ventricles; NaN: no signal
    fibrillation: Array  # (n, m) of fibrillation or flutter, if it is no tachycardia
    disorder: Array  # (n, m) of fibrillation or flutter, if it is one of the three
    quick: Array  # (n, m, 3) the same three by the last 3 s alone
    rate_hz: Array  # (n, m) of the wave, where its spectrum peaks, (lower) median of the leads
    level: Array  # (n, m) rms of the last 3 s, likewise, in the unit of the signal
    leads: Array  # (n, m, n_channels, n_features) of the last 3 s, in the order of `NAMES`; NaN: no signal


@dataclass(frozen=True)
class VentricularDetector:
    """Tells once a second what the last 5 s look like: a train of beats, tachycardia or fibrillation of the ventricles.

    Each channel passes a band of 1 to 30 Hz and is thinned to 100 Hz. Every second the last 3 s of each lead give its
    features (see `anomaly.ventricular_features`), which have neither unit nor sign, and from them log odds; those of
    the leads are averaged, and then those of the last three windows, which together are 5 s long. It looks at shape and
    not at beats: a wave without pauses has none to find.

    Parameters
    ----------
    rate_hz : float
        Sampling rate, 100 to 2000 Hz.

    Notes
    -----
    Blocks may be cut anywhere, and may differ in length. A decision needs no look-ahead: it falls due with the last
    sample of its window, but the filter delays the signal by some 30 ms.

    With each record of vfdb left out in turn of a fit to the others and mitdb, and without the record whose labels are
    disputed, fibrillation against neither has Se 98.4, Sp 99.3 %, ventricular against the rest 95.3, 97.3; by one
    window alone 98.0, 99.1 and 95.2, 97.1; by one of 5 s 98.5, 99.2 and 94.9, 97.6. Fibrillation and tachycardia are
    told from each other far less well: a fifth of the one is called the other, and half of that the one.

    The model is fitted by `deploy.evaluate.fit_vf`, which says on what, and measured by ``femtoward evaluate vf`` with
    each record left out of what its own windows are judged by.

    Examples
    --------
    A second after the wave has filled the window it is told; beats are told apart:

    >>> t = np.arange(8 * 250) / 250.0
    >>> wave = np.sin(2 * np.pi * (4.6 * t + 0.2 * np.sin(1.5 * t))) * (1.0 + 0.3 * np.sin(2.0 * t))
    >>> bank = np.stack([wave, np.exp(-0.5 * ((t % 0.8 - 0.4) / 0.02) ** 2)])[:, None]
    >>> kernel = VentricularDetector(250.0)
    >>> _, out = kernel.step(kernel.init(bank), bank)
    >>> (out.fibrillation[:, -2] > 0.5).tolist()
    [True, False]
    """

    rate_hz: float

    def __post_init__(self) -> None:
        """Refuse what cannot be thinned."""
        if not GRID_HZ <= self.rate_hz <= 2000.0:
            raise ValueError(f"need {GRID_HZ:g} <= rate_hz={self.rate_hz} <= 2000 to tell rhythms: resample the signal")

    def init(self, first: Array) -> VentricularState:
        """State of rows that have seen nothing; filters are settled on the first sample of `first`."""
        n, channels = first.shape[:2]
        return VentricularState(
            seen=np.zeros(n, np.int64),
            band=self._band.init(first),
            ring=np.zeros((n, channels, _KEPT), np.float32),
            odds=np.full((n, len(MODELS), N_JOINED - 1), np.nan),
        )

    def step(self, state: VentricularState, block: Array) -> tuple[VentricularState, VentricularOut]:
        """Decisions that fall due in a block of shape ``(n_devices, n_channels, n_samples)``."""
        n, _, n_samples = block.shape
        band, x = self._band.step(state.band, block)
        ratio = self.rate_hz / GRID_HZ
        # As in a strip: sample k of the grid is the one nearest to k / GRID_HZ, wherever packets are cut.
        first = np.ceil((state.seen - 0.5) / ratio).astype(np.int64)
        number = first[:, None] + np.arange(int(n_samples / ratio) + 2)
        place = np.floor(number * ratio + 0.5).astype(np.int64) - state.seen[:, None]
        # What is left of a constant is rounding, not a signal.
        x = np.where(np.abs(x) > ROUNDING * np.abs(block), x, 0.0)
        new = np.take_along_axis(x, np.minimum(place, n_samples - 1)[:, None], axis=-1).astype(np.float32)

        m = int(n_samples / self.rate_hz) + 1
        shapes = [(n, m)] * 4 + [(n, m, len(MODELS)), (n, m), (n, m), (n, m, block.shape[1], len(NAMES))]
        out = VentricularOut(*(np.full(shape, np.nan) for shape in shapes))
        second = round(GRID_HZ)
        # Numbers of the first samples behind each window.
        ends = (first // second + 1)[:, None] * second + second * np.arange(m)
        due = (ends >= _KEPT) & (np.floor((ends - 1) * ratio + 0.5) < (state.seen + n_samples)[:, None])
        row, slot = np.nonzero(due)
        if len(row):
            end = ends[row, slot]
            out.at[row, slot] = np.floor((end - 1) * ratio + 0.5)
            looked, rate_hz, level = _looked_at(state.ring[row], new[row], end, first[row])
            out.leads[row, slot], out.rate_hz[row, slot], out.level[row, slot] = looked, rate_hz, level
            out.quick[row, slot] = np.stack([fused(model, looked) for model in MODELS], axis=-1)
        odds = state.odds
        for k in np.flatnonzero(due.any(axis=0)):
            odds = _joined(odds, due[:, k], out, int(k))

        ring = state.ring.copy()
        row, column = np.nonzero(place < n_samples)
        # A block longer than the ring writes some places twice: only the newest may stay.
        newest = number[row, column] >= (first + np.count_nonzero(place < n_samples, axis=-1) - _KEPT)[row]
        row, column = row[newest], column[newest]
        ring[row, :, number[row, column] % _KEPT] = new[row, :, column]
        return VentricularState(state.seen + n_samples, band, ring, odds), out

    @cached_property
    def _band(self) -> SosFilter:
        """What fibrillation and beats are made of."""
        high = signal.butter(2, 1.0, "highpass", fs=self.rate_hz, output="sos")
        low = signal.butter(4, 30.0, fs=self.rate_hz, output="sos")
        return SosFilter(np.concatenate([high, low]))


_KEPT = round(WINDOW_S * GRID_HZ)


def fused(model: Logistic, leads: Array) -> Array:
    """Log odds: the mean of the leads that have a signal; NaN where none has.

    Parameters
    ----------
    model
        Gives the log odds of one lead.
    leads : ndarray, shape (n, n_channels, n_features)
        Features of each lead; NaN where it has no signal.
    """
    usable = np.isfinite(leads[..., 0])
    odds = np.where(usable, model.log_odds(np.where(usable[..., None], leads, 0.0)), 0.0)
    return _mean(odds, usable)


def _mean(values: Array, there: BoolArray) -> Array:
    """Mean along axis 1 of what is there, added in this order, however many rows there are; NaN of nothing."""
    total = np.where(there[:, 0], values[:, 0], 0.0)
    for k in range(1, values.shape[1]):
        total = total + np.where(there[:, k], values[:, k], 0.0)
    many = np.count_nonzero(there, axis=1)
    return np.where(many > 0, total / np.maximum(many, 1), np.nan)


def _joined(odds: Array, due: BoolArray, out: VentricularOut, slot: int) -> Array:
    """Join the window of one slot with those before it in `out`, and make its quick log odds probabilities."""
    now = out.quick[:, slot]
    recent = np.concatenate([odds, now[..., None]], axis=-1)
    for k, field in enumerate((out.ventricular, out.fibrillation, out.disorder)):
        joined = _mean(recent[:, k], np.isfinite(recent[:, k]))
        # A lead that has no signal any more says nothing of the past either.
        field[:, slot] = np.where(np.isfinite(now[:, k]), probability(joined), np.nan)
    out.quick[:, slot] = probability(now)
    return np.where(due[:, None, None], recent[..., 1:], odds)


def probability(odds: Array) -> Array:
    """Turn log odds into a probability."""
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def _looked_at(
    ring: NDArray[np.float32], new: NDArray[np.float32], end: IntArray, first: IntArray
) -> tuple[Array, Array, Array]:
    """Features, rate and level of windows that end before sample `end`; `new` begins at sample `first`."""
    n, channels, _ = ring.shape
    number = (end[:, None] - _KEPT + np.arange(_KEPT))[:, None]
    held = np.take_along_axis(ring, number % _KEPT, axis=-1)
    fresh = np.take_along_axis(new, np.clip(number - first[:, None, None], 0, new.shape[-1] - 1), axis=-1)
    windows = np.where(number < first[:, None, None], held, fresh).astype(np.float64)
    found = features(windows.reshape(n * channels, _KEPT))
    usable = found.usable.reshape(n, channels)
    leads = np.where(usable[..., None], found.values.reshape(n, channels, -1), np.nan)
    return leads, _middle(found.rate_hz, usable), _middle(found.level, usable)


def _middle(values: Array, usable: BoolArray) -> Array:
    """Lower median of the leads that have a signal."""
    ordered = np.sort(np.where(usable, values.reshape(usable.shape), np.inf), axis=-1)
    place = (np.maximum(np.count_nonzero(usable, axis=-1), 1) - 1) // 2
    middle = np.take_along_axis(ordered, place[:, None], axis=-1)[:, 0]
    return np.where(usable.any(axis=-1), middle, np.nan)
