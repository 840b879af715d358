"""The median of what is there, row by row."""

import numpy as np

from anomaly.kernel import Array, BoolArray


def median(values: Array, used: BoolArray) -> Array:
    """Median of the values used in each row of shape ``(n, k)``; NaN where there is none.

    Examples
    --------
    >>> median(np.array([[3.0, 1.0, 9.0], [4.0, 2.0, 0.0]]), np.array([[True] * 3, [True, True, False]])).tolist()
    [3.0, 3.0]
    """
    ordered = np.sort(np.where(used, values, np.inf), axis=-1)
    n = np.count_nonzero(used, axis=-1)
    row = np.arange(len(values))
    low, high = np.maximum(n - 1, 0) // 2, np.minimum(n // 2, values.shape[-1] - 1)
    return np.where(n > 0, 0.5 * (ordered[row, low] + ordered[row, high]), np.nan)
