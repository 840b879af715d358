"""A gate before a server: a relay for TCP that can be shut, hold its tongue, answer for the server, or cut it short."""

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

HOST: Final = "127.0.0.1"
Manner = Literal["open", "shut", "hang", "answer", "half", "deaf"]
CHUNK: Final = 1 << 16
MOST_WAITING: Final = 1 << 20  # bytes for a side that does not read: the other is not read either, meanwhile
HALF: Final = 700  # bytes that go through before the cut
OBEYS_WITHIN_S: Final = 5.0


class Order(NamedTuple):
    """What the gate does with those who come.

    ``open`` relays. ``shut`` refuses. ``hang`` leaves connections standing, takes new ones, and moves no byte more.
    ``answer`` reads one HTTP request and gives `answer`. ``half`` cuts in the middle of what is sent. ``deaf`` passes
    all on to the server and cuts before its answer comes back: it has happened, and nobody knows.
    """

    manner: Manner = "open"
    answer: bytes = b""


OPEN: Final = Order()


def http_answer(status: int, *, retry_after_s: int | None = None) -> Order:
    """An HTTP server that answers everything with one status."""
    retry = f"Retry-After: {retry_after_s}\r\n" if retry_after_s is not None else ""
    text = f"HTTP/1.1 {status} Siege\r\n{retry}Content-Length: 0\r\nConnection: close\r\n\r\n"
    return Order("answer", text.encode())


@dataclass(eq=False)
class _Side:
    """One of the two sockets of a connection, and what waits to be written to it."""

    sock: socket.socket
    waiting: bytearray
    other: "_Side | None" = None
    client: bool = False
    heard: bytearray = field(default_factory=bytearray)  # of a request that the gate answers itself
    passed: int = 0
    closing: bool = False  # once nothing waits


class Gate(threading.Thread):
    """Relays connections from a port of its own to a server's, in a thread of its own.

    Parameters
    ----------
    target
        The server's port on the loopback.

    Attributes
    ----------
    port
        Where clients find it.
    """

    def __init__(self, target: int) -> None:
        super().__init__(name=f"gate-{target}", daemon=True)
        self._target = target
        self._server = socket.create_server((HOST, 0), backlog=4096)
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ, None)
        self._sides: set[_Side] = set()
        self._order = OPEN
        self._wanted = OPEN
        self._closing = threading.Event()
        self._obeyed = threading.Event()
        self._ear, self._bell = socket.socketpair()
        self._selector.register(self._ear, selectors.EVENT_READ, None)

    def obey(self, order: Order) -> None:
        """Do this from now on; connections that stand are cut, but for those that hang."""
        self._wanted = order
        self._obeyed.clear()
        self._ring()  # after it was cleared: what it wakes sets it
        self._obeyed.wait(OBEYS_WITHIN_S)

    def run(self) -> None:
        """Relay until closed."""
        while not self._closing.is_set():
            if self._wanted is not self._order:
                self._turn(self._wanted)
            self._obeyed.set()
            for key, events in self._selector.select():
                if key.fileobj is self._ear:
                    self._ear.recv(CHUNK)
                elif key.data is None:
                    self._accept()
                elif key.data in self._sides:  # not closed by one before it
                    self._serve(key.data, events)
        self._cut()

    def close(self) -> None:
        """End it."""
        self._closing.set()
        self._ring()
        if self.is_alive():
            self.join()
        self._selector.close()
        self._server.close()
        self._ear.close()
        self._bell.close()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End it."""
        self.close()

    def _ring(self) -> None:
        self._bell.send(b"!")

    def _turn(self, order: Order) -> None:
        if order.manner == "hang":
            for side in self._sides:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(side.sock)
        else:
            self._cut()
        self._order = order

    def _cut(self) -> None:
        for side in list(self._sides):
            self._drop(side)

    def _accept(self) -> None:
        try:
            sock, _ = self._server.accept()
        except OSError:
            return
        manner = self._order.manner
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Side(sock, bytearray(), client=True)
        if manner == "shut":
            sock.close()
            return
        if manner in {"open", "half", "deaf"}:
            try:
                upstream = socket.create_connection((HOST, self._target), timeout=1.0)
            except OSError:
                sock.close()
                return
            upstream.setblocking(False)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.other = _Side(upstream, bytearray(), other=client)
            self._sides.add(client.other)
            self._selector.register(upstream, selectors.EVENT_READ, client.other)
        self._sides.add(client)
        if manner != "hang":
            self._selector.register(sock, selectors.EVENT_READ, client)

    def _serve(self, side: _Side, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._write(side)
            if events & selectors.EVENT_READ and not side.closing:
                self._read(side)
        except OSError:
            self._drop(side)

    def _read(self, side: _Side) -> None:
        data = side.sock.recv(CHUNK)
        if not data:
            self._ended(side)
            return
        if side.other is None:
            self._hear(side, data)
            return
        manner = self._order.manner
        if manner == "deaf" and not side.client:
            self._drop(side)
            return
        if manner == "half":
            data = data[: max(HALF - side.passed, 0)]
            side.passed += len(data)
        side.other.waiting += data
        self._write(side.other)
        if manner == "half" and side.passed >= HALF:
            self._drop(side)
        else:
            self._watch(side)

    def _hear(self, side: _Side, data: bytes) -> None:
        """Listen to someone whom nobody but the gate will answer."""
        side.heard += data
        if _is_whole(side.heard):
            side.waiting += self._order.answer
            side.closing = True
            self._write(side)

    def _write(self, side: _Side) -> None:
        if side.waiting:
            with contextlib.suppress(BlockingIOError):
                sent = side.sock.send(side.waiting)
                del side.waiting[:sent]
        if side.closing and not side.waiting:
            self._drop(side)
            return
        self._watch(side)
        if side.other is not None:
            self._watch(side.other)

    def _watch(self, side: _Side) -> None:
        """Read from a side as long as the other takes it, write to it as long as something waits."""
        if side not in self._sides:
            return
        full = side.other is not None and len(side.other.waiting) > MOST_WAITING
        # Of who hangs up in the middle, the reading half tells.
        wanted = (0 if full or side.closing else selectors.EVENT_READ) | (selectors.EVENT_WRITE if side.waiting else 0)
        if wanted:
            try:
                self._selector.modify(side.sock, wanted, side)
            except KeyError:
                self._selector.register(side.sock, wanted, side)
        else:
            with contextlib.suppress(KeyError):
                self._selector.unregister(side.sock)

    def _ended(self, side: _Side) -> None:
        """One side has said all: the other gets the rest, then both are done."""
        other = side.other
        if other is not None and other.waiting:
            other.closing, other.other = True, None
            side.other = None
            self._watch(other)
        self._drop(side)

    def _drop(self, side: _Side) -> None:
        for one in (side, side.other):
            if one is None or one not in self._sides:
                continue
            self._sides.remove(one)
            with contextlib.suppress(KeyError):
                self._selector.unregister(one.sock)
            one.sock.close()


def _is_whole(request: bytearray) -> bool:
    """Whether an HTTP request has come with all of its body."""
    head, separator, body = bytes(request).partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return len(body) >= int(value)
    return True
