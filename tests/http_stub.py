"""A tiny HTTP server for tests that records each request and answers as it is told."""

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self


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


class HttpStub:
    """Listens on a free loopback port; `reply` may be changed at any time."""

    def __init__(self, reply: Callable[[Request], Reply] = lambda _: Reply(204)) -> None:
        self.requests: list[Request] = []
        self.reply = reply
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one write for each answer: two would wait for a delayed acknowledgement

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = Request(self.path, headers, body.decode())
                stub.requests.append(request)
                reply = stub.reply(request)
                self.send_response(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(reply.body.encode())))
                self.end_headers()
                self.wfile.write(reply.body.encode())

            do_GET = do_POST  # noqa: N815 - the server's name

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
