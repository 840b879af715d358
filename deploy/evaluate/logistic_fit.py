"""Fits the small logistic models of the kernels: penalised maximum likelihood by Newton's method, no chance in it."""

import numpy as np

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.logistic import Logistic, expanded

STEPS = 25
CLOSE = 1e-8


def fitted(features: Array, positive: BoolArray, weight: Array, penalty: float = 0.01) -> Logistic:
    """Fit a model with interactions.

    Parameters
    ----------
    features : ndarray, shape (n_windows, n_features)
        What it is told from.
    positive : ndarray of bool, shape (n_windows,)
        What it shall tell.
    weight : ndarray, shape (n_windows,)
        How much each window counts.
    penalty : float
        On half the sum of the squared weights of the standardised terms, for a mean loss per unit of weight.

    Examples
    --------
    >>> x = np.linspace(-1.0, 1.0, 101)[:, None]
    >>> model = fitted(x, x[:, 0] > 0.2, np.ones(101), penalty=1e-4)
    >>> (model.log_odds(np.array([[0.0], [0.4]])) > 0.0).tolist()
    [False, True]
    """
    centre, scale = features.mean(axis=0), features.std(axis=0)
    terms = expanded((features - centre) / scale)
    spread = terms.std(axis=0)
    spread[spread == 0.0] = 1.0  # what never changes tells nothing
    design = np.concatenate([terms / spread, np.ones((len(terms), 1))], axis=1)
    weight = weight / weight.sum()
    ridge = np.append(np.full(terms.shape[1], penalty), 0.0)
    found = np.zeros(design.shape[1])
    for _ in range(STEPS):
        odds = np.clip(design @ found, -30.0, 30.0)
        chance = 1.0 / (1.0 + np.exp(-odds))
        slope = design.T @ (weight * (chance - positive)) + ridge * found
        curve = (design * (weight * np.maximum(chance * (1.0 - chance), 1e-6))[:, None]).T @ design + np.diag(ridge)
        move = np.linalg.solve(curve, slope)
        found = found - move
        if np.abs(move).max() < CLOSE:
            break
    return Logistic(centre, scale, found[:-1] / spread, float(found[-1]))


def balanced(group: IntArray, label: IntArray) -> Array:
    """Weight of each window: each label weighs the same; within it a record by the root of how many windows it has.

    Examples
    --------
    >>> weight = balanced(np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 0, 1]))
    >>> weight.tolist()
    [0.125, 0.125, 0.125, 0.125, 0.5]
    """
    weight = np.zeros(len(group))
    labels = np.unique(label)
    for one in labels:
        for name in np.unique(group):
            mine = (group == name) & (label == one)
            if mine.any():
                weight[mine] = 1.0 / np.sqrt(mine.sum())
        weight[label == one] /= weight[label == one].sum() * len(labels)
    return weight
