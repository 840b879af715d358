"""Webhook receivers that fail in every way, on real sockets."""

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from servers import free_port

WAYS: Final = ("refuse", "hang", "drip", "500", "410", "redirect", "huge", "certificate")
CHUNK: Final = b"x" * 65536


class Misbehaving:
    """All ways to fail, by the path that is asked for.

    Parameters
    ----------
    folder
        Where a certificate is made that nobody trusts.
    """

    def __init__(self, folder: Path) -> None:
        self.came: Counter[str] = Counter()
        self.over = threading.Event()
        self._closed = free_port()
        self._servers = [_Server(self, None), _Server(self, _certificate(folder))]

    def url(self, way: str) -> str:
        """Address of a receiver that fails in one way."""
        if way == "refuse":
            return f"http://127.0.0.1:{self._closed}/"
        secure = way == "certificate"
        return f"{'https' if secure else 'http'}://127.0.0.1:{self._servers[secure].server_address[1]}/{way}"

    def __enter__(self) -> Self:
        """Listen."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up on all."""
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def take(self, connection: socket.socket) -> None:
        """Read a request, and fail."""
        way = connection.recv(65536).split()[1].decode().strip("/")
        self.came[way] += 1
        if way == "hang":
            self.over.wait()
        elif way == "drip":
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000:
                connection.sendall(bytes((byte,)))
                if self.over.wait(0.1):
                    return
        elif way == "huge":
            connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 1000000000000\r\n\r\n")
            while not self.over.is_set():
                connection.sendall(CHUNK)
        else:
            status = {"redirect": "307 Over There\r\nLocation: http://127.0.0.1/"}.get(way, f"{way} No")
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 512
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: Misbehaving, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._owner, self._tls = owner, tls

    def finish_request(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's shape
        assert isinstance(request, socket.socket)
        with contextlib.suppress(OSError, IndexError):  # whoever gives up on us has hung up
            if self._tls is not None:
                with self._tls.wrap_socket(request, server_side=True) as secured:
                    self._owner.take(secured)
            else:
                self._owner.take(request)


def _certificate(folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made = [*make, "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    return tls
