"""A web server of ours: its port, and how it treats those who connect; signals are not its to heed."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from deploy.page.connections import Connection
from deploy.problem import UserError

CONNECTING_MOST: Final = 256  # that are not taken in yet
LONGEST_MESSAGE: Final = 16_384  # bytes, from a page; a note has 1000 characters
HANG_UP_S: Final = 1  # at the end, pages need no time: they come back by themselves


class Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it.

    Parameters
    ----------
    app
        What it serves.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level=logging.WARNING,  # who opens a page is no news
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                http=Connection,
                timeout_graceful_shutdown=HANG_UP_S,
                ws="websockets-sansio",
                ws_max_size=LONGEST_MESSAGE,
                ws_per_message_deflate=False,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def listen(host: str, port: int, section: str = "page") -> socket.socket:
    """Open the port that a section of the settings names.

    Raises
    ------
    UserError
        It is taken, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(CONNECTING_MOST)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UserError(
            f"the port {host}:{port} of the ward {section} cannot be opened ({error.strerror}): end what uses it, or "
            f"give another host or port in the section [{section}]"
        ) from error
    return listener


def address(host: str, port: int) -> str:
    """Where a browser finds it."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
