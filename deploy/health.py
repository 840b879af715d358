"""The health port of a process: /healthz (alive), /readyz (data flows) and /metrics (OpenMetrics), in a thread.

Answers are made from the beacon and the counters, so that a process which hangs still says that it hangs.
"""

import logging
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, version
from socketserver import TCPServer
from typing import Final

import msgspec
from prometheus_client import REGISTRY, Gauge, Info
from prometheus_client.exposition import choose_encoder

from deploy.problem import UserError
from ingest.beacon import Beacon, State

LOG = logging.getLogger("femtoward.health")

OFF: Final = -1
REQUEST_S: Final = 5.0  # whoever asks more slowly is left
AT_ONCE: Final = 8  # requests
LOOK_EVERY_S: Final = 0.5  # for the order to stop

ALIVE = Gauge("femtoward_alive", "1 while the main loop of this process goes round, else 0.")
READY = Gauge("femtoward_ready", "1 while data flows through this process, else 0.")
BUILD = Info("femtoward_build", "What runs in this process.")


@contextmanager
def serve(part: str, port: int, host: str, beacon: Beacon) -> Iterator[int]:
    """Answer on a port while the block runs; yields the port, or -1 where it is turned off.

    Parameters
    ----------
    part
        What this process is called.
    port
        TCP port; 0: a free one, -1: none.
    host
        Address to listen on.
    beacon
        What is asked.

    Raises
    ------
    UserError
        The port is taken, or the address is none of this machine's.
    """
    if port == OFF:
        yield OFF
        return
    try:
        server = _Server(host, port, partial(_Handler, part, beacon))
    except OSError as error:
        raise _taken(part, port, host, error) from error
    ALIVE.set_function(lambda: beacon.state().alive)
    READY.set_function(lambda: beacon.state().ready)
    BUILD.info({"part": part, "version": _version()})
    address = server.server_address
    LOG.info("health of %s at http://%s:%d/readyz", part, host, address[1])
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_EVERY_S,), name="health", daemon=True)
    thread.start()
    try:
        yield int(address[1])
    finally:
        server.stop()
        thread.join()


def need_free(part: str, port: int, host: str) -> None:
    """Refuse a port on which `serve` could not listen now.

    Raises
    ------
    UserError
        The port is taken, or the address is none of this machine's.
    """
    if port <= 0:
        return
    try:
        _Server(host, port, BaseHTTPRequestHandler).server_close()
    except OSError as error:
        raise _taken(part, port, host, error) from error


def _taken(part: str, port: int, host: str, error: OSError) -> UserError:
    return UserError(
        f"the health port {host}:{port} of {part} cannot be opened ({error.strerror}): end what uses it, or give "
        "another one, 0 for any, or -1 for none in the section [health]"
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a drain waits for nobody who asks how it goes
    request_queue_size = AT_ONCE

    def __init__(self, host: str, port: int, handler: "partial[_Handler] | type[BaseHTTPRequestHandler]") -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._room = threading.BoundedSemaphore(AT_ONCE)
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        TCPServer.server_bind(self)

    def process_request(self, request: "socket.socket | tuple[bytes, socket.socket]", client_address: object) -> None:
        """Answer in a thread, or hang up where too many ask at once."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: "socket.socket | tuple[bytes, socket.socket]", client_address: object
    ) -> None:
        """Answer one request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the server's signature
        """Say a fault of ours; that someone hung up is none."""
        if not isinstance(sys.exception(), OSError):
            LOG.exception("a health request of %s failed", client_address)  # noqa: LOG004 - called by a handler

    def stop(self) -> None:
        """End the loop at once."""
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes it
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_S
    server_version = "femtoward"
    sys_version = ""

    def __init__(self, part: str, beacon: Beacon, *connection: object) -> None:
        self._part, self._beacon = part, beacon
        super().__init__(*connection)  # type: ignore[arg-type]  # passed on as the server gives it

    def do_GET(self) -> None:
        """Answer; a body is never read, and each connection serves one request."""
        state = self._beacon.state()
        match self.path.partition("?")[0]:
            case "/healthz":
                self._tell(state, well=state.alive)
            case "/readyz":
                self._tell(state, well=state.ready)
            case "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, kind, encode(REGISTRY))
            case _:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"here are /healthz, /readyz and /metrics\n")

    do_HEAD = do_GET  # noqa: N815 - the server's name

    def log_message(self, form: str, *arguments: object) -> None:
        """Keep requests out of the log, unless it is a debugging one."""
        LOG.debug(form, *arguments)

    def _tell(self, state: State, *, well: bool) -> None:
        said = msgspec.json.encode({"part": self._part, **state._asdict()})
        self._answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, "application/json", said + b"\n")

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _version() -> str:
    try:
        return version("femtoward")
    except PackageNotFoundError:
        return "not installed"
