"""How fast a sensor's own noise floor grows against its own history: a slope and its uncertainty."""

import numpy as np

from anomaly.kernel import Array, IntArray


def growth(day: Array, level: Array, stay: IntArray) -> tuple[Array, Array]:
    """Slope of a level over days, the same wherever the sensor is, each place with a level of its own.

    A straight line by least squares within every stay: a room that is noisier than the one before is no ageing. What
    the line leaves repeats itself (a ward is noisier by day), and the uncertainty is widened by as much.

    Parameters
    ----------
    day : ndarray, shape (n, k)
        When each level was taken, days.
    level : ndarray, shape (n, k)
        Logarithm of the noise floor; NaN: none.
    stay : ndarray of int, shape (n, k)
        Places, by number: levels of one number belong together.

    Returns
    -------
    tuple of ndarray, shape (n,)
        Slope per day and its standard uncertainty; NaN where fewer than four levels determine them.

    Examples
    --------
    >>> day = np.arange(12.0)[None] / 4.0
    >>> stay = (day > 1.5).astype(np.int64)
    >>> slope, u = growth(day, 0.02 * day + 0.7 * stay, stay)
    >>> round(float(slope[0]), 6), bool(u[0] < 1e-9)
    (0.02, True)
    """
    there = ~np.isnan(level)
    together = (stay[:, :, None] == stay[:, None, :]) & there[:, None, :]
    number = np.maximum(together.sum(axis=-1), 1)

    def within(x: Array) -> Array:
        known = np.where(there, x, 0.0)
        mean = (together * known[:, None, :]).sum(axis=-1) / number
        centred: Array = np.where(there, known - mean, 0.0)
        return centred

    t, y = within(day), within(np.where(there, level, 0.0))
    spread = (t * t).sum(axis=-1)
    stays = np.where(there, 1.0 / number, 0.0).sum(axis=-1)
    free = there.sum(axis=-1) - stays - 1.0
    known = (free >= 1.0) & (spread > 0.0)
    safe = np.where(known, spread, 1.0)
    slope = (t * y).sum(axis=-1) / safe
    left = np.where(there, y - slope[:, None] * t, 0.0)
    power = (left * left).sum(axis=-1)
    repeats = np.clip((left[:, 1:] * left[:, :-1]).sum(axis=-1) / np.where(power > 0.0, power, 1.0), 0.0, 0.9)
    wider = (1.0 + repeats) / (1.0 - repeats)
    u = np.sqrt(power / np.maximum(free, 1.0) / safe * wider)
    return np.where(known, slope, np.nan), np.where(known, u, np.nan)
