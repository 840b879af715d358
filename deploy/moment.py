"""A time as people give it on the command line."""

from datetime import UTC, datetime

from deploy.problem import UserError


def second_of(text: str, option: str) -> int:
    """Unix second of a time: ISO 8601, in UTC where it says no zone, or the number itself.

    Raises
    ------
    UserError
        It is neither.

    Examples
    --------
    >>> second_of("2023-11-14T22:13:20Z", "--since"), second_of("1700000000", "--since")
    (1700000000, 1700000000)
    """
    if text.isdecimal() and len(text) <= 10:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text!r}: need a time such as 2026-05-04T13:30:00Z, or a unix second") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
