"""How a part is, out of its /metrics: the fields of the measurement ``process``, by one table.

Counters are written as they stand; a part that starts again counts from nought. Latency is that of the time between two
scrapes, out of the difference of a histogram's buckets.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from prometheus_client import Metric

from dataflows.couriers.line_protocol import escape_tag

MEASUREMENT: Final = "process"
TAGS: Final = ("instance", "part")
LATENCY: Final = "femtoward_vitals_latency_seconds"
RESTARTS: Final = "femtoward_restarts_total"

Part = Literal["ingest", "flow", "couriers", "page"]
Value = int | float


class Source(NamedTuple):
    """A field and the samples that it is the sum of."""

    field: str
    metric: str
    parts: tuple[Part, ...]  # a process may export metrics of code that it has only loaded
    type: Literal["integer", "float"]
    words: str


_ALL: Final[tuple[Part, ...]] = ("ingest", "flow", "couriers", "page")
SOURCES: Final = (
    Source("alive", "femtoward_alive", _ALL, "integer", "1 while its main loop goes round; 0 too where nobody answers"),
    Source("ready", "femtoward_ready", _ALL, "integer", "1 while data flows through it"),
    Source("messages", "femtoward_ingest_messages_total", ("ingest",), "integer", "committed to the journal"),
    Source("journal_bytes", "femtoward_journal_bytes", ("ingest",), "integer", "bytes that the journal takes"),
    Source("room_bytes", "femtoward_room_bytes", ("ingest",), "integer", "bytes left for the data folder"),
    Source("behind_s", "femtoward_flow_behind_seconds", ("flow",), "float", "s, age of the record worked on"),
    Source("rows", "femtoward_store_rows_total", ("flow",), "integer", "written to the store"),
    Source("bad_messages", "femtoward_bad_messages_total", ("flow",), "integer", "messages refused"),
    Source(
        "backlog_rows", "femtoward_courier_backlog_rows", ("couriers",), "integer", "rows that wait, of all couriers"
    ),
    Source("courier_failing", "femtoward_courier_failing", ("couriers",), "integer", "couriers that cannot deliver"),
)
QUANTILES: Final[Mapping[str, float]] = {"latency_ms_p50": 0.5, "latency_ms_p99": 0.99}  # ms, of the flow


class Reading(NamedTuple):
    """What a part says of itself at one time: sums of samples by name, buckets of its latency by upper bound (s)."""

    sums: Mapping[str, float]
    latency: Mapping[float, float]


def reading(metrics: Iterable[Metric]) -> Reading:
    """Read what a part exports."""
    sums: dict[str, float] = {}
    latency: dict[float, float] = {}
    for metric in metrics:
        for sample in metric.samples:
            if sample.name == f"{LATENCY}_bucket":
                bound = float(sample.labels["le"])
                latency[bound] = latency.get(bound, 0.0) + sample.value
            elif math.isfinite(sample.value):
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return Reading(sums, latency)


def restarts(metrics: Iterable[Metric]) -> dict[str, int]:
    """How often each process was started again, by its name, out of what `femtoward run` exports."""
    return {
        sample.labels["part"]: int(sample.value)
        for metric in metrics
        for sample in metric.samples
        if sample.name == RESTARTS
    }


def fields(part: Part, now: Reading | None, before: Reading | None) -> dict[str, Value]:
    """Fields of one part's point; of a part that does not answer, that it is not alive.

    Examples
    --------
    >>> fields("flow", None, None)
    {'alive': 0, 'ready': 0}
    >>> fields("flow", Reading({"femtoward_alive": 1.0, "femtoward_flow_behind_seconds": 0.25}, {}), None)
    {'alive': 1, 'ready': 0, 'behind_s': 0.25}
    """
    said: dict[str, Value] = {"alive": 0, "ready": 0}
    if now is None:
        return said
    for source in SOURCES:
        if part in source.parts and source.metric in now.sums:
            value = now.sums[source.metric]
            said[source.field] = int(value) if source.type == "integer" else value
    if part == "flow" and before is not None:
        passed = _since(now.latency, before.latency)
        for field, share in QUANTILES.items():
            value = quantile(passed, share)
            if math.isfinite(value):
                said[field] = round(value * 1000, 3)
    return said


def quantile(buckets: Mapping[float, float], share: float) -> float:
    """Value below which a share of the observations lies, straight lines being drawn within a bucket.

    Of the bucket without an upper bound, the lower bound; NaN where nothing was observed.

    Parameters
    ----------
    buckets
        By upper bound: how many observations lie at or below it.
    share
        0..1.

    Examples
    --------
    >>> quantile({0.25: 50.0, 0.5: 100.0, math.inf: 100.0}, 0.75)
    0.375
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return math.nan
    wanted, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted and buckets[bound] > below:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (wanted - below) / (buckets[bound] - below)
        low, below = bound, buckets[bound]
    return low


def line(part: Part, instance: str, said: Mapping[str, Value], time_ns: int) -> str:
    """One point in line protocol."""
    text = ",".join(f"{name}={value!r}{'i' if isinstance(value, int) else ''}" for name, value in said.items())
    return f"{MEASUREMENT},instance={escape_tag(instance)},part={part} {text} {time_ns}"


def _since(now: Mapping[float, float], before: Mapping[float, float]) -> Mapping[float, float]:
    """What was observed between two readings; a part that has started again counted all of it since."""
    passed = {bound: count - before.get(bound, 0.0) for bound, count in now.items()}
    return now if any(count < 0 for count in passed.values()) else passed
