"""A receiver of webhooks that can misbehave, and remembers everything that it was told and what it took."""

import base64
import hashlib
import hmac
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

Behaviour = int | Literal["hang", "slow", "close", "down"]  # a number is the status of the answer
TAKEN: Final = 204
SLOW_S: Final = 2.0
HANG_S: Final = 60.0


class Receipt(NamedTuple):
    """One request that came."""

    id: str
    at_ns: int
    digest: bytes  # of the body
    verified: bool
    taken: bool  # we said so


class Receiver:
    """Listens on a free loopback port; `behave` says what it does with the next request.

    Parameters
    ----------
    key
        The secret that both know.
    """

    def __init__(self, key: bytes) -> None:
        self.behaviour: Behaviour = TAKEN
        self.receipts: list[Receipt] = []
        self.bodies: dict[str, bytes] = {}  # of each id, as it came first
        self._key = key
        self._lock = threading.Lock()
        self.closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Whoever was killed while he spoke to us has hung up: that is what a siege is."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/alarms"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="receiver", daemon=True
        )

    @property
    def secret(self) -> str:
        """The secret as settings have it."""
        return f"whsec_{base64.b64encode(self._key).decode()}"

    def behave(self, behaviour: Behaviour) -> None:
        """Do this with every request from now on."""
        self.behaviour = behaviour

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self.closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Listen."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self.close()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        behaviour = self.behaviour
        if behaviour == "down":
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        body = request.rfile.read(int(request.headers["Content-Length"]))
        id_ = request.headers["webhook-id"]
        if behaviour == "slow":
            self.closing.wait(SLOW_S)
            behaviour = TAKEN
        taken = behaviour == TAKEN
        with self._lock:
            self.receipts.append(
                Receipt(id_, time.time_ns(), hashlib.sha256(body).digest(), self._verified(request, id_, body), taken)
            )
            self.bodies.setdefault(id_, body)
        self._answer(request, behaviour)

    def _verified(self, request: BaseHTTPRequestHandler, id_: str, body: bytes) -> bool:
        signed = b".".join((id_.encode(), request.headers["webhook-timestamp"].encode(), body))
        wanted = f"v1,{base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()}"
        return wanted in request.headers["webhook-signature"].split()

    def _answer(self, request: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
        if behaviour == "hang":
            self.closing.wait(HANG_S)
        elif behaviour == "close":
            request.wfile.write(b"HTTP/1.1 2")
            request.connection.shutdown(socket.SHUT_RDWR)
        elif isinstance(behaviour, int):
            request.send_response(behaviour)
            request.send_header("Content-Length", "0")
            request.end_headers()
