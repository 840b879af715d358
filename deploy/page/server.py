"""The process that serves the ward page: a web server on one port, and a look into the stores ten times a second."""

import asyncio
import contextlib
import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from deploy.page.connections import Connection
from deploy.page.desk import Desk
from deploy.page.entrance import STATIC, Entrance
from deploy.page.feed import Feed
from deploy.page.guard import Guard
from deploy.page.options import PageOptions
from deploy.page.viewer import TRY_LATER, Viewer
from deploy.problem import UserError
from ingest.beacon import Beacon

LOG = logging.getLogger("femtoward.page")

LOOK_EVERY_S: Final = 0.1
VIEWERS_MOST: Final = 64
CONNECTING_MOST: Final = 256  # that are not taken in yet
LONGEST_MESSAGE: Final = 16_384  # bytes, from a page; a note has 1000 characters
HANG_UP_S: Final = 1  # at the end, pages need no time: they come back by themselves


def run_page(options: PageOptions, stopping: threading.Event, beacon: Beacon) -> None:
    """Serve the page until `stopping` is set.

    Raises
    ------
    UserError
        The port is taken, or the address is none of this machine's.
    """
    with listen(options.host, options.port) as listener:
        LOG.info("the ward page is at %s", address(options.host, listener.getsockname()[1]))
        asyncio.run(_serve(options, listener, stopping, beacon))


def listen(host: str, port: int) -> socket.socket:
    """Open the port.

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
            f"the port {host}:{port} of the ward page cannot be opened ({error.strerror}): end what uses it, or give "
            "another host or port in the section [page]"
        ) from error
    return listener


def address(host: str, port: int) -> str:
    """Where a browser finds it."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def application(options: PageOptions, feed: Feed, desk: Desk) -> Starlette:
    """All that is served."""
    entrance = Entrance(options.token, options.session)
    viewers: set[Viewer] = set()
    edition = _edition()

    async def page(_request: Request) -> Response:
        return FileResponse(STATIC / "ward.html")

    async def live(connection: WebSocket) -> None:
        if len(viewers) >= VIEWERS_MOST:
            await connection.accept()
            await connection.close(TRY_LATER, f"{VIEWERS_MOST} pages are open already: close one")
            return
        viewer = Viewer(connection, feed, desk, edition)
        viewers.add(viewer)
        try:
            await viewer.serve()
        finally:
            viewers.remove(viewer)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/enter", entrance.show, methods=["GET"]),
            Route("/enter", entrance.enter, methods=["POST"]),
            WebSocketRoute("/live", live),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, names=options.names, session=options.session)],
    )


def _edition() -> str:
    """Name what the page is made of now."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


class _Server(uvicorn.Server):
    """Signals are ours to heed, not the web server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


async def _serve(options: PageOptions, listener: socket.socket, stopping: threading.Event, beacon: Beacon) -> None:
    feed = Feed(options.rooms)
    desk = Desk()
    feed.take(await asyncio.to_thread(feed.look))  # whoever comes first sees the ward, not an empty page
    server = _Server(
        uvicorn.Config(
            application(options, feed, desk),
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
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    watching = asyncio.create_task(_watch(feed, desk, stopping, beacon))
    await asyncio.wait((serving, watching), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    await watching


async def _watch(feed: Feed, desk: Desk, stopping: threading.Event, beacon: Beacon) -> None:
    """Look into the stores until it is time to stop."""
    while not stopping.is_set():
        desk.answered(feed.take(await asyncio.to_thread(feed.look)))
        desk.tend()
        beacon.beat()
        if feed.trouble:
            beacon.not_ready(feed.trouble)
        else:
            beacon.ready()
        await asyncio.sleep(LOOK_EVERY_S)
