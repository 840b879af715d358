"""A histogram of many observations at once: prometheus_client's own takes them one by one."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Latency(Collector):
    """How long things took, counted by the batch.

    Parameters
    ----------
    name, says
        Of the metric.
    bounds_s
        Upper bounds of the buckets, ascending; one without bound follows.
    registry
        Where it is found.

    Examples
    --------
    >>> registry = CollectorRegistry()
    >>> Latency("wait_seconds", "Waiting.", (0.1, 1.0), registry).add(np.array([0.05, 0.3, 0.3, 7.0]))
    >>> [registry.get_sample_value("wait_seconds_bucket", {"le": le}) for le in ("0.1", "1.0", "+Inf")]
    [1, 3, 4]
    """

    def __init__(self, name: str, says: str, bounds_s: Sequence[float], registry: CollectorRegistry = REGISTRY) -> None:
        self._name, self._says = name, says
        self._bounds_s = np.array(bounds_s)
        self._counts = np.zeros(len(bounds_s) + 1, np.int64)
        self._sum_s = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def add(self, took_s: NDArray[np.float64]) -> None:
        """Count how long some things took."""
        # A bucket holds what is equal to its bound.
        counts = np.bincount(np.searchsorted(self._bounds_s, took_s), minlength=len(self._counts))
        with self._lock:
            self._counts += counts
            self._sum_s += float(np.sum(took_s))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Tell the buckets, each with all that is in the lower ones."""
        with self._lock:
            so_far, sum_s = np.cumsum(self._counts).tolist(), self._sum_s
        bounds = [*map(str, self._bounds_s.tolist()), "+Inf"]
        yield HistogramMetricFamily(
            self._name, self._says, buckets=list(zip(bounds, so_far, strict=True)), sum_value=sum_s
        )
