"""Tiny HTTP servers for tests: one that does as it is told with each request, and one that records and answers."""

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self


class Listening:
    """Listens on a free loopback port, from when it is made to the end of a `with`.

    Parameters
    ----------
    serve
        Reads each request, of whatever method, and answers it.
    """

    def __init__(self, serve: Callable[[BaseHTTPRequestHandler], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one write for each answer: two would wait for a delayed acknowledgement

            def do_GET(self) -> None:
                serve(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the server's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Self:
        """Close at the end of a `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self._server.shutdown()
        self._server.server_close()


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    """What a request carries."""
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


class Request(NamedTuple):
    """What came; a gzipped body is unpacked."""

    path: str
    headers: dict[str, str]
    body: str


class Reply(NamedTuple):
    """What to answer."""

    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class HttpStub(Listening):
    """Records each request; `reply` may be changed at any time."""

    def __init__(self, reply: Callable[[Request], Reply] = lambda _: Reply(204)) -> None:
        self.requests: list[Request] = []
        self.reply = reply
        super().__init__(self._serve)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = body_of(handler)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = Request(handler.path, headers, body.decode())
        self.requests.append(request)
        reply = self.reply(request)
        handler.send_response(reply.status)
        for name, value in reply.headers:
            handler.send_header(name, value)
        if reply.status != 204:
            handler.send_header("Content-Length", str(len(reply.body.encode())))
        handler.end_headers()
        handler.wfile.write(reply.body.encode())
