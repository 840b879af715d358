"""Where the measurements go: what the couriers are told of an InfluxDB."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

Tiers = Literal["server", "courier", "none"]


class InfluxOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the measurements go."""

    url: str  # http://host:8086
    api: Literal["v2", "v1"] = "v2"  # v1: POST /write, for servers before 1.8
    bucket: str = "femtoward"  # v1: database; v2: what stands before the / of the buckets
    tiers: Tiers = "server"  # who thins vitals out; "none": nobody, and everything goes into the one bucket
    org: str = "-"  # ignored by 1.8 and 3.x
    user: str = ""  # v1 only
    secret_env: str = ""  # variable that holds the token (v2) or the password (v1)
    secret_file: str = ""  # or the file that does
    batch: int = 1_000  # a batch goes when it has so many rows,
    linger_s: float = 0.1  # or when its oldest row has waited so long
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check once."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"influx: url is {self.url!r}, need http://host:8086 or https://...")
        if parts.username or parts.password:
            raise ValueError("influx: url holds a user or a password: use user, and secret_env or secret_file")
        if not self.bucket:
            raise ValueError("influx: bucket is empty, need the name of a bucket (v2) or a database (v1)")
        if self.tiers != "none" and "/" in self.bucket:
            raise ValueError(
                f"influx: bucket is {self.bucket!r}, need a name without /: with tiers = {self.tiers!r} retentions "
                "stand behind it; or set tiers = 'none' to write into that one"
            )
        if self.batch < 1 or self.timeout_s <= 0 or self.linger_s < 0:
            raise ValueError(
                "influx: need batch >= 1, timeout_s > 0 and linger_s >= 0, "
                f"got {self.batch}, {self.timeout_s} and {self.linger_s}"
            )
