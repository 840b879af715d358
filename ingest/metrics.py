"""What ingest counts, for /metrics: one object for each series; touched once for each group, never for each message."""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("femtoward_ingest_messages", "Messages committed to the journal and acknowledged.")
BYTES = Counter("femtoward_ingest_bytes", "Payload bytes of the messages committed to the journal.")
COMMITS = Counter("femtoward_ingest_commits", "Transactions of the journal.")
COMMIT_SECONDS = Histogram(
    "femtoward_ingest_commit_seconds",
    "What a transaction of the journal took (seconds).",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
LINK_UP = Gauge("femtoward_ingest_link_up", "1 while the broker is connected and subscribed to, else 0.")
QUEUED = Gauge("femtoward_ingest_queued", "Messages received and not yet committed.")
OFFSET = Gauge("femtoward_journal_offset", "Offset of the journal's next record.")
JOURNAL_BYTES = Gauge("femtoward_journal_bytes", "What the journal's segments take on disk (bytes).")
ROOM_BYTES = Gauge("femtoward_room_bytes", "Room left for the data folder (bytes).")
ROOM_STAGE = Gauge("femtoward_room_stage", "0 roomy, 1 short, 2 tight, 3 dire, 4 full: then nothing is taken in.")
REFUSALS = Counter("femtoward_journal_refusals", "Attempts to write the journal that failed; none was acknowledged.")
