"""What the supervisor counts, for its /metrics."""

from prometheus_client import Counter, Gauge

RESTARTS = Counter("femtoward_restarts", "Times that a part was started again after it had died.", ["part"])
PART_UP = Gauge("femtoward_part_up", "1 while the process of a part runs, else 0.", ["part"])
PART_READY = Gauge("femtoward_part_ready", "1 while data flows through a part, as it says itself, else 0.", ["part"])
