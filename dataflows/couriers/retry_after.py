"""The Retry-After header of HTTP (RFC 9110, 10.2.3): seconds, or a date."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 3600.0  # a receiver that asks for more is asked again after an hour


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait, at most an hour; None where the header is absent or makes no sense.

    Examples
    --------
    >>> retry_after_s("120"), retry_after_s("1e9"), retry_after_s("soon")
    (120.0, None, None)
    >>> retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", datetime(2015, 10, 21, 7, 27, tzinfo=UTC))
    60.0
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return min(float(header), LONGEST_S)
    try:
        then = parsedate_to_datetime(header)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max((then - (now or datetime.now(UTC))).total_seconds(), 0.0), LONGEST_S)
