"""Log odds that are a weighted sum of features and of their products."""

from dataclasses import dataclass

import numpy as np

from anomaly.kernel import Array

CLIP = 4.0  # standard deviations: farther out than the fit has seen, a square would decide alone


@dataclass(frozen=True)
class Logistic:
    """Weights of a logistic model with interactions.

    Parameters
    ----------
    centre, scale : ndarray, shape (n_features,)
        Each feature is taken off its centre, divided by its scale and held within `CLIP`.
    weights : ndarray, shape (n_features + n_features * (n_features + 1) // 2,)
        Of the features, then of their products (in the order of `numpy.triu_indices`).
    bias : float
        Log odds of features that are all at their centre.

    Examples
    --------
    >>> model = Logistic(np.array([0.5, 0.0]), np.array([0.1, 1.0]), np.array([1.0, 0.0, 0.0, 2.0, 0.0]), -1.0)
    >>> model.log_odds(np.array([[0.5, 3.0], [0.6, 3.0]])).round(6).tolist()
    [-1.0, 6.0]
    """

    centre: Array
    scale: Array
    weights: Array
    bias: float

    def __post_init__(self) -> None:
        """Refuse weights that do not fit."""
        n = len(self.centre)
        if self.scale.shape != (n,) or self.weights.shape != (n + n * (n + 1) // 2,):
            raise ValueError(
                f"need scale of shape ({n},) and weights of shape ({n + n * (n + 1) // 2},) for {n} features, "
                f"got {self.scale.shape} and {self.weights.shape}"
            )

    def log_odds(self, features: Array) -> Array:
        """Log odds of features of shape ``(..., n_features)``; the same for a row alone as among others."""
        odds: Array = (expanded((features - self.centre) / self.scale) * self.weights).sum(axis=-1) + self.bias
        return odds


def expanded(z: Array) -> Array:
    """Standardised features within `CLIP`, and their products, along the last axis."""
    z = np.clip(z, -CLIP, CLIP)
    one, other = np.triu_indices(z.shape[-1])
    return np.ascontiguousarray(np.concatenate([z, z[..., one] * z[..., other]], axis=-1))
