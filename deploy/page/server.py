"""The process that serves ward page and HTTP API, a port each, and looks into the stores ten times a second."""

import asyncio
import hashlib
import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from deploy.api.application import api as make_api
from deploy.api.options import ApiOptions
from deploy.page.desk import Desk
from deploy.page.entrance import STATIC, Entrance
from deploy.page.feed import Feed
from deploy.page.guard import Guard
from deploy.page.options import PageOptions
from deploy.page.viewer import TRY_LATER, Viewer
from deploy.page.web import Server, address, listen
from deploy.problem import UserError
from ingest.beacon import Beacon

LOG = logging.getLogger("femtoward.page")

LOOK_EVERY_S: Final = 0.1
VIEWERS_MOST: Final = 64
NOBODY: Final = PageOptions(rooms=())


def run_page(
    page: PageOptions | None, stopping: threading.Event, beacon: Beacon, *, api: ApiOptions | None = None
) -> None:
    """Serve the page, the HTTP API or both until `stopping` is set.

    Raises
    ------
    UserError
        A port is taken, or an address is none of this machine's; the API's tokens or the secret of its links are wrong.
    """
    feed, desk = Feed((page or api or NOBODY).rooms), Desk()
    with ExitStack() as around:
        servers = []
        if api is not None:
            try:
                app = make_api(api, feed, desk)
            except ValueError as error:
                raise UserError(f"settings for the HTTP API: {error}") from error
            listener = around.enter_context(listen(api.host, api.port, "api"))
            servers.append((Server(app), listener))
            LOG.info("the HTTP API is at %sapi/v1", address(api.host, listener.getsockname()[1]))
        if page is not None:
            listener = around.enter_context(listen(page.host, page.port))
            servers.append((Server(application(page, feed, desk)), listener))
            LOG.info("the ward page is at %s", address(page.host, listener.getsockname()[1]))
        asyncio.run(_serve(servers, feed, desk, stopping, beacon))


def application(options: PageOptions, feed: Feed, desk: Desk) -> Starlette:
    """All that the page serves."""
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


async def _serve(
    servers: Sequence[tuple[Server, socket.socket]], feed: Feed, desk: Desk, stopping: threading.Event, beacon: Beacon
) -> None:
    feed.take(await asyncio.to_thread(feed.look))  # whoever comes first sees the ward, not an empty page
    tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
    tasks.append(asyncio.create_task(_watch(feed, desk, stopping, beacon)))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    desk.close()
    for server, _ in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)


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
