"""What breath does to the beats: their interval and their size, on a grid of 4 Hz."""

import numpy as np

from anomaly.intervals import NS_PER_MS, BeatRing
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.slow import GRID_HZ, N_GRID
from anomaly.strip import StripRing, StripState

GRID_NS = round(1e9 / GRID_HZ)
WINDOW_NS = N_GRID * GRID_NS
HOLE_NS = 4_000_000_000  # between beats: no line is drawn across it, a breath may lie in it
REACH_S = 0.08  # of a QRS to either side of its R peak
USUAL = 0.35  # an interval that differs by more from the median one holds an ectopic, missed or invented beat


def beat_series(marks: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> Array:
    """Return intervals and a property of the beats up to a time as series of 4 Hz.

    Between beats a line is drawn; before the first and after the last one it is level. An interval that differs
    by more than 35 % from the median of its window, and a property without a steady interval beside it, are left out.

    Parameters
    ----------
    marks
        Rows of a ring of beats that holds the property in the place of the quality.
    as_of_ns : ndarray of int, shape (n_devices,)
        End of the window of 32 s.
    since_ns : ndarray of int, shape (n_devices,)
        Start of the unbroken evidence; earlier beats are left out.

    Returns
    -------
    ndarray, shape (n_devices, 2, 128)
        Interval in ms, property in its unit; NaN before `since_ns`, in a hole of more than 4 s, and farther than
        that from any beat.
    """
    n = len(as_of_ns)
    start = as_of_ns - WINDOW_NS
    first = np.maximum(start - HOLE_NS, since_ns)
    times = marks.times_ns
    there = (times >= np.maximum(first, 1)[:, None]) & (times <= as_of_ns[:, None])
    before = np.concatenate([np.zeros((n, 1), np.bool_), there[:, :-1]], axis=-1)
    interval = np.diff(times, axis=-1, prepend=0) / NS_PER_MS
    known = there & before
    usual = _median(interval, known)
    steady = known & (np.abs(interval - usual[:, None]) <= USUAL * usual[:, None])
    after = np.concatenate([steady[:, 1:], np.zeros((n, 1), np.bool_)], axis=-1)
    grid = as_of_ns[:, None] - GRID_NS * np.arange(N_GRID - 1, -1, -1)
    # An interval belongs to its middle.
    middle = times - np.rint(0.5 * NS_PER_MS * np.where(known, interval, 0.0)).astype(np.int64)
    series = np.stack(
        [_lines(middle, interval, steady, grid), _lines(times, marks.quality.astype(np.float64), steady | after, grid)],
        axis=1,
    )
    early = grid < np.maximum(since_ns, 0)[:, None]
    series[np.broadcast_to(early[:, None], series.shape)] = np.nan
    return series


def beat_heights(kernel: StripRing, state: StripState, at: Array) -> Array:
    """Return how far the lead goes up and down within 80 ms of each beat.

    Parameters
    ----------
    kernel, state
        The strip, as of a time at which every beat is at least 80 ms old.
    at : ndarray, shape (n_devices, n_beats)
        Input sample positions; NaN where there is none.

    Returns
    -------
    ndarray, shape (n_devices, n_beats)
        Unit of the lead; 0 where there is no beat or no lead.
    """
    heights = np.zeros(at.shape)
    reach = round(REACH_S * kernel.out_hz)
    for column in range(at.shape[1]):
        rows = np.flatnonzero(~np.isnan(at[:, column]))
        if len(rows):
            part = StripState(state.low, state.seen[rows], state.ring[rows])
            lead = kernel.take(part, kernel.number_at(at[rows, column]) - reach, 2 * reach + 1).astype(np.float64)
            heights[rows, column] = np.nan_to_num(lead.max(axis=-1) - lead.min(axis=-1))
    return heights


def _lines(times: IntArray, values: Array, used: BoolArray, grid: IntArray) -> Array:
    """Interpolate linearly from the points used, row by row; NaN in holes, and in a row without points."""
    n = len(times)
    out = np.full(grid.shape, np.nan)
    rows, columns = np.nonzero(used)
    count = np.bincount(rows, minlength=n)
    first = np.cumsum(count) - count
    x, y = times[rows, columns], values[rows, columns]
    # One ascending axis for all rows: each row's times, relative to its grid's start, on a stretch of its own.
    stretch = 4 * WINDOW_NS
    x = x - grid[rows, 0] + rows * stretch
    at = grid - grid[:, :1] + np.arange(n)[:, None] * stretch
    right = np.searchsorted(x, at, side="right")
    ok = count >= 2
    low, high = first[:, None], (first + count)[:, None] - 1
    left = np.clip(right - 1, low, np.maximum(high - 1, low))
    row = np.flatnonzero(ok)
    if not len(row):
        return out
    a, b = left[row], left[row] + 1
    share = np.clip((at[row] - x[a]) / np.maximum(x[b] - x[a], 1), 0.0, 1.0)
    out[row] = y[a] + share * (y[b] - y[a])
    bare = (at[row] >= x[a]) & (at[row] <= x[b]) & (x[b] - x[a] > HOLE_NS)
    bare |= (at[row] < x[low[row]] - HOLE_NS) | (at[row] > x[high[row]] + HOLE_NS)
    out[row] = np.where(bare, np.nan, out[row])
    return out


def _median(values: Array, used: BoolArray) -> Array:
    """Median of the values used in each row; NaN where there are none."""
    ordered = np.sort(np.where(used, values, np.inf), axis=-1)
    count = np.count_nonzero(used, axis=-1)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[:, None] // 2, axis=-1)[:, 0]
    return np.where(count > 0, middle, np.nan)
