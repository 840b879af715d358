"""Pairing what was found with what was annotated, one to one."""

import numpy as np

from anomaly.kernel import Array


def match(annotated: Array, detected: Array, window: float) -> tuple[Array, Array]:
    """Pair each annotation with at most one detection, no farther than `window`, nearest pairs first.

    Both in ascending order. Returns the index of the partner of each annotation, and of each detection; -1 for none.

    Examples
    --------
    >>> match(np.array([100.0, 200.0]), np.array([90.0, 104.0, 250.0]), 54.0)
    (array([1, 2]), array([-1,  0,  1]))
    """
    first = np.searchsorted(detected, annotated - window, side="left")
    last = np.searchsorted(detected, annotated + window, side="right")
    beat = np.repeat(np.arange(len(annotated)), last - first)
    found = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)] or [np.zeros(0, np.int64)])
    found = found.astype(np.int64)
    near = np.argsort(np.abs(detected[found] - annotated[beat]), kind="stable")
    of_beat = np.full(len(annotated), -1)
    of_found = np.full(len(detected), -1)
    for k in near:
        if of_beat[beat[k]] < 0 and of_found[found[k]] < 0:
            of_beat[beat[k]], of_found[found[k]] = found[k], beat[k]
    return of_beat, of_found
