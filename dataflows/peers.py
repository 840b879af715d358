"""The other processes of the flow's cluster: met before it starts, watched while it runs.

Bytewax by itself waits for its peers deaf to signals, asks nothing of them, and may hang when one is cut off. So each
pair of processes first meets on the address that Bytewax will use, tells each other what they have, and keeps that
connection: it tells when a peer dies (its end of the connection goes with it), falls silent, or is told to stop.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from dataflows.recovery import FlowError

PATIENCE_S: Final = 10.0  # a peer silent for so long is gone
GRACE_S: Final = 2.0  # from a peer's end to ours
BEAT_S: Final = 1.0
LOOK_S: Final = 0.2
SAY_S: Final = 5.0  # between lines about whom we wait for
HELLO_BYTES: Final = 1 << 16
BEAT, READY, STOP, BYE = 1, 2, 3, 4  # one byte each
HEAD_START_S: Final = 0.1

log = logging.getLogger(__name__)


class PeerLostError(Exception):
    """Another process of the cluster is gone: this one ends, too, and both go on at their next start."""


class Hello(msgspec.Struct, frozen=True):
    """What a process tells the others of itself."""

    process: int
    settings: str  # in words; the same for all
    folder: str  # of its recovery store
    parts: dict[int, int]  # in that folder: index -> epoch committed last


class Peers:
    """Connections to the other processes.

    Parameters
    ----------
    addresses
        HOST:PORT of every process, in order.
    mine
        Of this process.
    stopping
        Whether this process was told to stop.
    beat
        Called while others are waited for: this process lives.
    reads
        Whether it reads a journal: its source then tells that it lives. One that reads none beats as it watches.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        mine: Hello,
        stopping: Callable[[], bool],
        beat: Callable[[], None] = lambda: None,
        *,
        reads: bool = True,
    ) -> None:
        self._addresses, self._mine, self._told, self._beat = tuple(addresses), mine, stopping, beat
        self._reads = reads
        self._links: dict[int, socket.socket] = {}
        self._hellos: dict[int, Hello] = {}
        self._stopped_by = ""
        self._over, self._gone = threading.Event(), threading.Event()
        self._lost = ""  # which peer, in words

    def stopping(self) -> bool:
        """Whether this process or any other was told to stop: a flow ends as a whole."""
        return bool(self._stopped_by) or self._told()

    def lost(self, within_s: float = 0.0) -> str:
        """Which peer is gone, in words; empty if none is, nor within some time."""
        self._gone.wait(within_s)
        return self._lost

    def meet(self) -> dict[str, dict[int, int]] | None:
        """Wait until all are there and agree; return the parts in each folder, or None when told to stop before.

        Raises
        ------
        FlowError
            The address is taken, or a process has other settings.
        """
        said_s = 0.0
        while not self._told():
            with self._listening() as listener:
                while len(self._links) < len(self._addresses) - 1 and not self._told():
                    self._beat()
                    self._call()
                    self._answer(listener)
                    self._drop_dead()
                    if time.monotonic() - said_s > SAY_S and (away := self._away()):
                        log.info("waiting for %s", away)
                        said_s = time.monotonic()
            # Bytewax listens there from now on: nobody may start it before all have let go.
            if not self._told() and self._all_ready():
                log.info("all %d processes of the flow are here", len(self._addresses))
                return self._found()
            self._close()
        self._close()
        return None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the others while the flow runs; the last look decides whether it ended well."""
        watch = threading.Thread(target=self._watch, name="peers", daemon=True)
        watch.start()
        # Bytewax calls the processes before it in the list, and again only after a second: let those listen first.
        self._gone.wait(HEAD_START_S * self._mine.process)
        try:
            yield
            self._send(BYE)
        finally:
            self._over.set()
            watch.join(PATIENCE_S)
            self._close()

    # Meeting

    @contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        host, port = _host_port(self._addresses[self._mine.process])
        try:
            listener = socket.create_server((host, port), backlog=len(self._addresses))
        except OSError as error:
            raise FlowError(
                f"the flow's address {host}:{port} cannot be used ({error.strerror or error}): stop what uses it, or "
                "give this host's address in flow.addresses"
            ) from error
        listener.settimeout(LOOK_S)
        with listener:
            yield listener

    def _call(self) -> None:
        for process in range(self._mine.process):
            if process in self._links:
                continue
            try:
                link = socket.create_connection(_host_port(self._addresses[process]), timeout=LOOK_S)
            except OSError:
                continue
            self._greet(link)

    def _answer(self, listener: socket.socket) -> None:
        with suppress(TimeoutError):
            self._greet(listener.accept()[0])

    def _greet(self, link: socket.socket) -> None:
        """Exchange who we are; a stranger is let go."""
        link.settimeout(GRACE_S)
        try:
            link.sendall(msgspec.json.encode(self._mine) + b"\n")
            hello = msgspec.json.decode(_line(link), type=Hello)
        except (OSError, msgspec.DecodeError):
            link.close()
            return
        if hello.settings != self._mine.settings or not 0 <= hello.process < len(self._addresses):
            link.close()
            raise FlowError(
                f"flow process {hello.process} has {hello.settings}, this one, {self._mine.process}, has "
                f"{self._mine.settings}: give all processes of a cluster the same settings"
            )
        if hello.process == self._mine.process:
            link.close()
            raise FlowError(f"two processes of the cluster have flow.process = {hello.process}: number them 0, 1, ...")
        if (older := self._links.pop(hello.process, None)) is not None:
            older.close()  # it died while others were waited for, and is back
        self._links[hello.process], self._hellos[hello.process] = link, hello

    def _drop_dead(self) -> None:
        for process, link in list(self._links.items()):
            link.setblocking(False)
            try:
                gone = link.recv(1, socket.MSG_PEEK) == b""
            except BlockingIOError:
                continue
            except OSError:
                gone = True
            if gone:
                self._links.pop(process).close()

    def _all_ready(self) -> bool:
        self._send(READY)
        for link in self._links.values():
            link.settimeout(PATIENCE_S)
            try:
                if link.recv(1) != bytes([READY]):
                    return False
            except OSError:
                return False
        return True

    def _away(self) -> str:
        away = [i for i in range(len(self._addresses)) if i != self._mine.process and i not in self._links]
        return ", ".join(f"flow process {i} at {self._addresses[i]}" for i in away)

    def _found(self) -> dict[str, dict[int, int]]:
        found: dict[str, dict[int, int]] = {}
        for hello in (self._mine, *self._hellos.values()):
            parts = found.setdefault(hello.folder, {})  # which processes may share; some looked before all was made
            parts |= {index: max(epoch, parts.get(index, 0)) for index, epoch in hello.parts.items()}
        return found

    # Watching

    def _watch(self) -> None:
        heard = dict.fromkeys(self._links, time.monotonic())
        beat_s, told = 0.0, False
        with selectors.DefaultSelector() as selector:
            for process, link in self._links.items():
                link.setblocking(False)
                selector.register(link, selectors.EVENT_READ, process)
            while not self._over.is_set() and not self._lost and selector.get_map():
                for key, _ in selector.select(LOOK_S):
                    heard[key.data] = time.monotonic()
                    if self._hear(key.data):
                        selector.unregister(key.fileobj)
                        del heard[key.data]
                now_s = time.monotonic()
                if self.stopping() and not told:
                    told = True
                    self._send(STOP)
                if now_s - beat_s > BEAT_S:
                    beat_s = now_s
                    self._live()
                for process, heard_s in heard.items():
                    if now_s - heard_s > PATIENCE_S:
                        self._lose(process, "is silent")
        if self._lost and not self._over.wait(GRACE_S):
            # Bytewax has not noticed, and a worker that waits for what never comes cannot be ended otherwise.
            log.error("%s: this process ends, too; all go on from the recovery store at their next start", self._lost)
            logging.shutdown()
            os._exit(1)

    def _live(self) -> None:
        self._send(BEAT)
        if not self._reads:
            self._beat()

    def _hear(self, process: int) -> bool:
        """Take what a peer says; True: it has said good-bye."""
        try:
            said = self._links[process].recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        if STOP in said and not self._stopped_by:
            self._stopped_by = f"flow process {process}"
            log.info("%s was told to stop: the whole flow drains", self._stopped_by)
        if BYE in said:
            return True
        if not said:
            self._lose(process, "is gone")
        return False

    def _lose(self, process: int, how: str) -> None:
        self._lost = self._lost or f"flow process {process} at {self._addresses[process]} {how}"
        self._gone.set()

    def _send(self, message: int) -> None:
        for link in self._links.values():
            with suppress(OSError):  # who is gone is noticed when listening
                link.sendall(bytes([message]))

    def _close(self) -> None:
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._hellos.clear()


def _line(link: socket.socket) -> bytes:
    """Read up to a line's end, and nothing after it."""
    got = bytearray()
    while len(got) < HELLO_BYTES:
        byte = link.recv(1)
        if byte in {b"", b"\n"}:
            break
        got += byte
    return bytes(got)


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
