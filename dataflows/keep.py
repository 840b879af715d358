"""How much the store keeps, and in which order it shrinks when the disk runs short.

By age: vitals, states of beds, waves and refused messages that every courier has delivered (or that no courier of today
carries) go when they are older than `Keep` says, and so do devices that are gone and patients who left when they did so
before the oldest vitals; what is on record (ended alarms, ledger, answers) goes after
`record_days`. By count: refused messages, commit times and conflicts are bounded whatever their age; how many messages
were refused, for which device and why, is counted for good. When the disk runs short (see `ingest.room`): TIGHT,
refused messages and waves go first, then vitals, oldest first, down to the newest ten minutes, but what a courier has
yet to carry is held for a day; DIRE, that too goes, and after it, last of all, alarms that have ended and were
delivered, or were given a day for it; alarms that have not ended never go. Each step at TIGHT or DIRE is reported at
ingest's local door.
"""

import msgspec

DAY_S = 86_400
BAD_MOST = 200_000  # refused messages: a flood of garbage must not fill the disk
BAD_HELD_MOST = 1_000_000  # refused messages, even if a courier has yet to carry them
COMMITS_MOST = 100_000  # commit times, from which latency is read
CONFLICTS_MOST = 10_000  # rows that came again with other content; the first ones say most
TOTALS_MOST = 100_000  # devices and reasons that refusals are counted for apart; the others are counted together
YOUNG_S = 600  # newest vitals and waves, which stay even when the disk is all but full
HELD_S = DAY_S  # what a courier has yet to carry stays for so long even when the disk runs short
FORGOTTEN_S = 7 * DAY_S  # a courier that has not been seen for so long holds nothing any more


class Keep(msgspec.Struct, frozen=True):
    """How long rows are kept, and what counts as a disk that runs short."""

    vitals_days: float = 30.0
    wave_hours: float = 48.0
    bad_days: float = 7.0
    short_bytes: int = 2 << 30  # as in ingest.room.Room
    stop_bytes: int = 64 << 20
    quota_bytes: int = 0
    record_days: float = 400.0  # ended alarms, ledger, answers, removals

    def __post_init__(self) -> None:
        """Refuse what would remove everything or nothing."""
        for name in ("vitals_days", "wave_hours", "bad_days", "record_days"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}: need a number above 0")
        if not 0 <= self.stop_bytes <= self.short_bytes:
            raise ValueError(f"need 0 <= stop_bytes={self.stop_bytes} <= short_bytes={self.short_bytes}")
        if self.quota_bytes and self.quota_bytes <= self.short_bytes:
            raise ValueError(
                f"need quota_bytes={self.quota_bytes} larger than short_bytes={self.short_bytes}, or 0 for none"
            )
