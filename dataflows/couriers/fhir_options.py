"""What the courier to a FHIR server is told."""

from urllib.parse import urlsplit

import msgspec


class FhirOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where resources go, and how many."""

    url: str  # base address of the server, such as https://host/fhir
    secret_env: str = ""  # variable that holds a bearer token
    secret_file: str = ""  # or the file that does
    every_s: int = 60  # of each patient the vitals of one second in so many go out; 0: none do
    alarms: bool = True
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check once."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise ValueError("fhir: url must be https://host/path (or http://), without user or password")
        if parts.query or parts.fragment:
            raise ValueError(f"fhir: url is {self.url!r}, need the server's base address, without ? and #")
        if self.every_s < 0 or self.timeout_s <= 0:
            raise ValueError(f"fhir: need every_s >= 0 and timeout_s > 0, got {self.every_s} and {self.timeout_s}")
        if not self.every_s and not self.alarms:
            raise ValueError("fhir: every_s = 0 and alarms = false leave nothing to carry: set one of them")
