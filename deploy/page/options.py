"""What the ward page is told at its start."""

import hashlib
import hmac

import msgspec

from deploy.page.silence import Room
from deploy.sections import is_loopback

SHORTEST_TOKEN = 16  # characters: whoever guesses must not be lucky


class PageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where it listens, what it shows, and who may see it.

    Raises
    ------
    ValueError
        Others on the network could see it without a token, or the token is too short.
    """

    rooms: tuple[Room, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()  # by which browsers may call it, beside addresses and localhost
    token: str = ""  # that a browser has to give once; empty: none

    def __post_init__(self) -> None:
        """Refuse to be open to a network."""
        if not self.token and not is_loopback(self.host):
            raise ValueError(
                f"host = {self.host!r} lets others on the network in: name a file or a variable that holds an access "
                "token, with secret_file or secret_env"
            )
        if self.token and len(self.token) < SHORTEST_TOKEN:
            raise ValueError(
                f"the access token has {len(self.token)} characters, need {SHORTEST_TOKEN} at least: "
                "`openssl rand -hex 16` makes one"
            )

    @property
    def session(self) -> str:
        """What a browser shows that has given the token; it tells nothing of the token, and outlives a restart."""
        return hmac.new(self.token.encode(), b"femtoward ward page", hashlib.sha256).hexdigest() if self.token else ""
