"""What the HTTP API is told at its start."""

import msgspec

from dataflows.couriers.links import LinkOptions
from deploy.page.silence import Room


class ApiOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where it listens, what it shows, and whose tokens it takes."""

    rooms: tuple[Room, ...]
    host: str = "127.0.0.1"
    port: int = 8081
    tokens_env: str = ""  # variable that holds the tokens' TOML
    tokens_file: str = ""  # or the file that does
    links: LinkOptions | None = None  # None: no signed link is taken
