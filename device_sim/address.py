"""Where the broker is: `mqtt://` addresses taken apart."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class Address(NamedTuple):
    """Where the broker is, and who we are to it."""

    host: str
    port: int
    user: str | None
    password: str | None


def parse_broker(url: str) -> Address:
    """Take ``mqtt://[user[:password]@]host[:port]`` apart.

    Raises
    ------
    ValueError
        If it is not of that form.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or 1883
    except ValueError:
        port = 0
    if parts.scheme != "mqtt" or not parts.hostname or not port or parts.path not in ("", "/"):
        # The password stays out of the message.
        shown = url.rsplit("@", 1)[-1]
        raise ValueError(
            f"broker {shown!r}: need mqtt://[user[:password]@]host[:port], for example mqtt://127.0.0.1:1883"
        )
    user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
    return Address(parts.hostname, port, user, password)
