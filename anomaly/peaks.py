"""Windows that slide along the last axis, and the peaks that dominate theirs: exact however a signal is cut."""

import numpy as np

from anomaly.kernel import Array, IntArray


def moving_sum(x: Array, width: int) -> Array:
    """Sum over each window of `width` samples, shape ``(..., n_samples - width + 1)``.

    The additions of one window are always the same ones in the same order (sums of 1, 2, 4, ... samples), so the
    result has no memory: other than in a carried cumulative sum, a huge sample leaves no rounding behind.

    Examples
    --------
    >>> moving_sum(np.array([1e16, 1.0, 2.0, 3.0, 4.0]), 3).tolist()[-1]
    9.0
    """
    power, part = 1, x
    while not width & power:
        part = part[..., :-power] + part[..., power:]
        power *= 2
    total, reached = part, power
    while 2 * power <= width:
        part = part[..., :-power] + part[..., power:]
        power *= 2
        if width & power:
            piece = part[..., reached:]
            total = total[..., : piece.shape[-1]] + piece
            reached += power
    return total[..., : x.shape[-1] - width + 1]


def moving_max(x: Array, width: int) -> Array:
    """Maximum over each window of `width` samples, shape ``(..., n_samples - width + 1)``.

    Examples
    --------
    >>> moving_max(np.array([1.0, 5.0, 2.0, 3.0, 4.0]), 3).tolist()
    [5.0, 5.0, 4.0]
    """
    power = 1
    while 2 * power <= width:
        x = np.maximum(x[..., :-power], x[..., power:])
        power *= 2
    rest = width - power
    return np.maximum(x[..., : x.shape[-1] - rest], x[..., rest:]) if rest else x


def dominant(x: Array, before: int, after: int) -> tuple[IntArray, IntArray]:
    """Positive samples that no other exceeds from `before` samples earlier to `after` samples later.

    Parameters
    ----------
    x : ndarray, shape (n_devices, before + n_samples + after)
        The feature; only samples ``before .. before + n_samples`` are asked about.

    Returns
    -------
    row, sample : ndarray of int64
        By row and then by time; `sample` counts from ``before``. Of a plateau the first sample is taken.
    """
    n_samples = x.shape[-1] - before - after
    centre = x[:, before : before + n_samples]
    top = moving_max(x, before + after + 1)
    row, sample = np.nonzero((centre == top) & (centre > x[:, before - 1 : before - 1 + n_samples]))
    return row, sample


def parabola(left: Array, middle: Array, right: Array) -> Array:
    """Where between -0.5 and 0.5 the parabola through three equidistant values has its top.

    Examples
    --------
    >>> parabola(*(4.0 - (np.array([-1.0, 0.0, 1.0]) - 0.25) ** 2)[:, None]).tolist()
    [0.25]
    """
    bend = left - 2.0 * middle + right
    offset = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend < 0.0)
    return np.clip(offset, -0.5, 0.5)
