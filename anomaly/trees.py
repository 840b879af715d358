"""Boosted decision trees of one depth, as arrays and as lines of text."""

import textwrap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array


class Trees(NamedTuple):
    """Complete binary trees; node k has the children 2k + 1 (up to the threshold) and 2k + 2 (above it)."""

    feature: NDArray[np.int64]  # (n_trees, 2 ** depth - 1) column that a node asks about
    threshold: Array  # (n_trees, 2 ** depth - 1)
    value: Array  # (n_trees, 2 ** depth) of each leaf
    start: float  # added to every sum

    def total(self, features: Array) -> Array:
        """Sum over the trees, for features of shape ``(n, n_features)``.

        Examples
        --------
        >>> stump = Trees(np.array([[0]]), np.array([[1.5]]), np.array([[-1.0, 2.0]]), 0.5)
        >>> stump.total(np.array([[1.0], [1.6]])).tolist()
        [-0.5, 2.5]
        """
        n_trees, n_inner = self.feature.shape
        tree = np.arange(n_trees)
        each = np.arange(len(features))[:, None]
        node = np.zeros((len(features), n_trees), np.int64)
        for _ in range((n_inner + 1).bit_length() - 1):
            above = features[each, self.feature[tree, node]] > self.threshold[tree, node]
            node = 2 * node + 1 + above
        total: Array = self.value[tree, node - n_inner].sum(axis=-1) + self.start
        return total


def from_text(text: str, depth: int) -> Trees:
    """Trees out of words: the start, and of each tree the features, thresholds and values.

    Examples
    --------
    >>> from_text("0.5 0 1.5 -1 2", 1).total(np.array([[1.0], [1.6]])).tolist()
    [-0.5, 2.5]
    """
    start, *words = (float(word) for word in text.split())
    n_inner = 2**depth - 1
    rows = np.array(words).reshape(-1, 3 * n_inner + 1)
    return Trees(
        rows[:, :n_inner].astype(np.int64),
        np.ascontiguousarray(rows[:, n_inner : 2 * n_inner]),
        np.ascontiguousarray(rows[:, 2 * n_inner :]),
        start,
    )


def as_text(trees: Trees, width: int = 110) -> str:
    """Words that `from_text` reads, in lines."""
    numbers = np.concatenate([trees.feature, trees.threshold, trees.value], axis=-1)
    return textwrap.fill(" ".join(f"{number:.4g}" for number in (trees.start, *numbers.ravel())), width)
