"""Heart rate variability over five minutes: pNN50, SDNN, and the powers of its slow and its respiratory part."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray, IntArray

KEPT: Final = 512  # intervals: five minutes at 100 /min
WINDOW_S: Final = 300.0  # of the Task Force
UNIT_S: Final = 1e-4  # of a stored interval: far finer than any power needs
LONGEST_S: Final = 3.2  # what is longer is a hole
PLAUSIBLE_S: Final = (0.3, 2.0)
JUMP: Final = 0.2  # an interval that differs by more from the one before is not between two normal beats
LF_HZ: Final = (0.04, 0.15)
HF_HZ: Final = (0.15, 0.40)
NN50_S: Final = 0.05
LEAST: Final = 100  # normal intervals
LEAST_SHARE: Final = 0.8  # of the window's time that they have to fill
STEP_HZ: Final = 1.0 / WINDOW_S

Stored = NDArray[np.int16]


class HrvState(NamedTuple):
    """The newest intervals of each row."""

    rr: Stored  # (n, KEPT) in `UNIT_S`, newest last; negative: not between two normal beats; 0: none, or a hole
    last_ns: IntArray  # (n,) time of the newest beat; 0: none yet


class HrvOut(NamedTuple):
    """Shape (n,) each; NaN where five minutes do not hold enough normal intervals."""

    sdnn_ms: Array
    pnn50: Array  # share of neighbouring normal intervals that differ by more than 50 ms, 0..1
    pnn50_u: Array
    lf_ms2: Array  # power between 0.04 and 0.15 Hz
    lf_u: Array
    hf_ms2: Array  # between 0.15 and 0.40 Hz
    hf_u: Array
    share: Array  # of the window that normal intervals fill, 0..1
    covered: Array  # of the window that any intervals fill, 0..1: less than 1 after a hole, or at first


def init(n: int) -> HrvState:
    """State of rows that have no beat yet."""
    return HrvState(np.zeros((n, KEPT), np.int16), np.zeros(n, np.int64))


def push(state: HrvState, at_ns: IntArray, normal: BoolArray) -> HrvState:
    """Take beats in order of time.

    Parameters
    ----------
    state
        Of ``n`` rows.
    at_ns : ndarray of int, shape (n, m)
        Times of beats, ascending in each row; 0: none. One that is not later than the newest is left out.
    normal : ndarray of bool, shape (n, m)
        Whether a beat came from the sinus node, as far as is known.

    Returns
    -------
    HrvState
        The intervals that end with these beats are stored. One that is implausible, or jumps from the one before, is
        marked as not between normal beats; after a hole the series begins anew.
    """
    rr, last = state.rr.copy(), state.last_ns.copy()
    for column in np.flatnonzero((at_ns > 0).any(axis=0)):
        row = np.flatnonzero(at_ns[:, column] > last)
        interval_s = (at_ns[row, column] - last[row]) / 1e9
        known = (last[row] > 0) & (interval_s < LONGEST_S)
        size = np.where(known, np.rint(interval_s / UNIT_S), 0.0)
        before = np.abs(rr[row, -1].astype(np.float64))
        jumps = (before > 0.0) & (np.abs(size - before) > JUMP * before)
        fits = (interval_s >= PLAUSIBLE_S[0]) & (interval_s <= PLAUSIBLE_S[1])
        signed = np.where(normal[row, column] & fits & ~jumps, size, -size)
        rr[row, :-1] = rr[row, 1:]
        rr[row, -1] = signed.astype(np.int16)
        last[row] = at_ns[row, column]
    return HrvState(rr, last)


def measure(state: HrvState, jitter_ms: Array | float = 0.0) -> HrvOut:
    """Variability of the five minutes before each row's newest beat.

    The powers come from Lomb's periodogram of the normal intervals at the times at which they ended: nothing is
    interpolated where ectopic beats were.

    Parameters
    ----------
    state
        Of ``n`` rows.
    jitter_ms : ndarray, shape (n,), or float
        Standard uncertainty of the time of one beat: what it adds to a power is in that power's uncertainty.

    Notes
    -----
    A power of one window is an estimate of what the heart does on the whole: each line of a periodogram scatters by as
    much as it is, so the uncertainty of a band is the root of half the sum of the squares of its lines. That of pNN50
    is that of a count.

    References
    ----------
    Task Force of the ESC and NASPE 1996, doi:10.1161/01.CIR.93.5.1043, for bands, window and pNN50; Lomb 1976,
    doi:10.1007/BF00648343, for uneven sampling; Laguna, Moody and Mark 1998, doi:10.1109/10.678605, for why.
    """
    size = np.abs(state.rr.astype(np.float64)) * UNIT_S
    # Time before the newest beat at which each interval ended; beyond a hole nothing belongs to the series.
    ended = np.cumsum(size[:, ::-1], axis=-1)[:, ::-1] - size
    holes = np.cumsum((state.rr == 0)[:, ::-1], axis=-1)[:, ::-1]
    inside = (holes == 0) & (ended < WINDOW_S)
    used = (state.rr > 0) & inside
    n = np.count_nonzero(used, axis=-1)
    filled = np.where(used, size, 0.0).sum(axis=-1) / WINDOW_S
    enough = (n >= LEAST) & (filled >= LEAST_SHARE)
    count = np.maximum(n, 1)
    mean = np.where(used, size, 0.0).sum(axis=-1) / count
    away = np.where(used, size - mean[:, None], 0.0)
    sdnn = np.sqrt((away * away).sum(axis=-1) / np.maximum(count - 1, 1))
    pair = used[:, 1:] & used[:, :-1]
    far = pair & (np.abs(np.diff(size, axis=-1)) > NN50_S)
    n_pairs = np.maximum(np.count_nonzero(pair, axis=-1), 1)
    pnn50 = np.count_nonzero(far, axis=-1) / n_pairs
    # One success and one failure more, so that none at all is not certain.
    smoothed = (pnn50 * n_pairs + 1.0) / (n_pairs + 2.0)
    powers = np.full((4, len(n)), np.nan)
    row = np.flatnonzero(enough)
    if len(row):
        powers[:, row] = np.stack(_powers(ended[row], 1e3 * away[row], used[row]))
    lf, hf, lf_square, hf_square = powers
    lf_jitter, hf_jitter = _of_jitter(mean, np.broadcast_to(np.asarray(jitter_ms, np.float64), n.shape))
    return HrvOut(
        sdnn_ms=np.where(enough, 1e3 * sdnn, np.nan),
        pnn50=np.where(enough, pnn50, np.nan),
        pnn50_u=np.where(enough, np.sqrt(smoothed * (1.0 - smoothed) / n_pairs), np.nan),
        lf_ms2=lf,
        lf_u=np.hypot(np.sqrt(0.5 * lf_square), lf_jitter),
        hf_ms2=hf,
        hf_u=np.hypot(np.sqrt(0.5 * hf_square), hf_jitter),
        share=np.minimum(filled, 1.0),
        covered=np.minimum(np.where(inside, size, 0.0).sum(axis=-1) / WINDOW_S, 1.0),
    )


def _of_jitter(mean_s: Array, jitter_ms: Array) -> tuple[Array, Array]:
    """Power that the jitter of beats' times puts into both bands, ms2: that of the difference of two of them."""
    rr = np.maximum(mean_s, PLAUSIBLE_S[0])

    def below(hz: float) -> Array:
        turn = 2.0 * np.pi * hz * rr
        share: Array = (turn - np.sin(turn)) / np.pi
        return share

    total = 2.0 * jitter_ms * jitter_ms
    return total * (below(LF_HZ[1]) - below(LF_HZ[0])), total * (below(HF_HZ[1]) - below(HF_HZ[0]))


def _powers(t_s: Array, x: Array, used: BoolArray) -> tuple[Array, Array, Array, Array]:
    """Power in both bands of series at uneven times, shape ``(n, KEPT)``, and the sum of the squares of its lines.

    `x` is 0 where it is not used.
    """
    bins = np.arange(round(LF_HZ[0] / STEP_HZ), round(HF_HZ[1] / STEP_HZ))
    count = np.count_nonzero(used, axis=-1)
    turn = np.where(used, 2.0 * np.pi * STEP_HZ * t_s, 0.0)
    step = np.exp(1j * turn)
    wave = np.where(used, np.exp(1j * bins[0] * turn), 0.0)
    lf, hf, lf_square, hf_square = (np.zeros(len(x)) for _ in range(4))
    for k in bins:
        # Lomb's offset makes sine and cosine independent at each frequency.
        shifted = wave * np.exp(-0.5j * np.angle((wave * wave).sum(axis=-1)))[:, None]
        c, s = np.ascontiguousarray(shifted.real), np.ascontiguousarray(shifted.imag)
        power = np.square((x * c).sum(axis=-1)) / (c * c).sum(axis=-1)
        power += np.square((x * s).sum(axis=-1)) / (s * s).sum(axis=-1)
        share = power / count  # of the variance
        if k * STEP_HZ < LF_HZ[1]:
            lf += share
            lf_square += share * share
        else:
            hf += share
            hf_square += share * share
        wave = wave * step
    return lf, hf, lf_square, hf_square
