"""What the flow and the couriers count, for /metrics: touched once for each batch, never for each row or sample.

Figures about a run, not results of it: nothing that is computed may depend on them.
"""

from prometheus_client import Counter, Gauge, Histogram

from dataflows.latency import Latency

RECORDS = Counter("femtoward_flow_records", "Journal records worked through.")
BEHIND = Gauge("femtoward_flow_behind_seconds", "Age of the journal record that is worked on (seconds).")
CATCHING_UP = Gauge("femtoward_flow_catching_up", "1 while the flow works through what came before it started, else 0.")
BAD = Counter("femtoward_bad_messages", "Messages refused.", ["reason"])

ROWS = Counter("femtoward_store_rows", "Rows written to the store.", ["kind"])
CONFLICTS = Counter("femtoward_store_conflicts", "Rows that came again with other content; the first one stays.")
PUT_SECONDS = Histogram(
    "femtoward_store_put_seconds",
    "What a transaction of the store took (seconds).",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
VITALS_LATENCY = Latency(
    "femtoward_vitals_latency_seconds",
    "From the newest sample of a vitals row to its commit (seconds).",
    (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0),
)

BACKLOG = Gauge("femtoward_courier_backlog_rows", "Rows of the store that a courier has yet to deliver.", ["courier"])
DELIVERED = Counter("femtoward_courier_delivered", "Rows that a courier has delivered.", ["courier"])
FAILING = Gauge("femtoward_courier_failing", "1 while a courier cannot deliver, else 0.", ["courier"])
DEAD = Counter("femtoward_courier_dead_letters", "Rows that a courier was refused for good.", ["courier"])
PAGE_SECONDS = Histogram(
    "femtoward_page_latency_seconds",
    "From the arrival of what made an alarm event to its receiver's answer, of events that were tried once (seconds).",
    buckets=(0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0, 60.0),
)
