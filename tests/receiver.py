"""A webhook receiver for tests: a real HTTP server in a thread that checks signatures and can misbehave."""

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
WAIT_S = 20.0  # how long a test waits for what must come: a limit for hung tests, not a measurement

Behaviour = int | Literal["hang", "drip", "close", "huge"]  # a number is the status of the answer


class Delivery(NamedTuple):
    """One request that came."""

    id: str
    timestamp: int
    type: str
    data: dict[str, Any]
    verified: bool  # the signature holds by one of the receiver's secrets
    body: bytes
    headers: dict[str, str]


class Receiver:
    """Listens on a free loopback port.

    Parameters
    ----------
    behave
        What to do with a delivery; may wait. By default everything is taken (204).
    secrets
        Those that the receiver knows.
    headers
        Sent with every answer.
    """

    def __init__(
        self,
        behave: Callable[[Delivery], Behaviour] = lambda _: 204,
        secrets: Sequence[str] = (SECRET,),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.deliveries: list[Delivery] = []
        self.behave = behave
        self.headers = headers or {}
        self._keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
        self._came = threading.Condition()
        self._closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def wait_for(self, enough: Callable[[list[Delivery]], bool]) -> list[Delivery]:
        """Return the deliveries once there are enough."""
        with self._came:
            assert self._came.wait_for(lambda: enough(self.deliveries), WAIT_S), f"only {self.deliveries} came"
            return list(self.deliveries)

    def wait_for_ids(self, count: int) -> list[str]:
        """Ids in the order in which they came first, once there are so many."""
        return list(dict.fromkeys(one.id for one in self.wait_for(lambda all_: len({d.id for d in all_}) >= count)))

    def close(self) -> None:
        """Let go of everybody who hangs, and stop."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Close at the end of a `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        said = json.loads(body)
        delivery = Delivery(
            headers["webhook-id"],
            int(headers["webhook-timestamp"]),
            said.get("type", ""),
            said.get("data", {}),
            self._verify(headers, body),
            body,
            headers,
        )
        with self._came:
            self.deliveries.append(delivery)
            self._came.notify_all()
        self._answer(request, self.behave(delivery))

    def _verify(self, headers: dict[str, str], body: bytes) -> bool:
        signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
        wanted = {
            f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}" for key in self._keys
        }
        return not wanted.isdisjoint(headers["webhook-signature"].split())

    def _answer(self, request: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
        try:
            if behaviour == "hang":
                self._closing.wait()
            elif behaviour == "close":
                request.connection.shutdown(socket.SHUT_RDWR)
            elif behaviour == "drip":
                for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: y\r\n" * 1000:
                    request.wfile.write(bytes((byte,)))
                    if self._closing.wait(0.05):
                        return
            elif behaviour == "huge":
                request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
                while not self._closing.is_set():
                    request.wfile.write(b"x" * 65536)
            else:
                assert isinstance(behaviour, int)
                request.send_response(behaviour)
                for name, value in self.headers.items():
                    request.send_header(name, value)
                request.end_headers()
        except OSError:
            pass  # the courier has hung up, as it should on most of these
