"""What a process says of itself to whoever started it: to systemd, and to our own supervisor.

systemd gets READY, STATUS and WATCHDOG by the socket that NOTIFY_SOCKET names. The supervisor gets lines of JSON by our
standard input, which is a socket of its own making; it closes when the supervisor is gone, however it went.
"""

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from deploy.signals import STDIN
from ingest.beacon import STARTING, Beacon, State

TELL_EVERY_S: Final = 1.0
SOCKET: Final = "NOTIFY_SOCKET"

Listener = Callable[[State], None]


@contextmanager
def telling(beacon: Beacon, *, supervised: bool) -> Iterator[None]:
    """Tell how this process is, once a second, while the block runs; nothing happens where nobody listens."""
    with ExitStack() as sockets:
        listeners: list[Listener] = []
        if address := os.environ.get(SOCKET):
            listeners.append(_systemd(sockets.enter_context(_to_systemd(address))))
        if supervised and stat.S_ISSOCK(os.fstat(STDIN).st_mode):
            listeners.append(_supervisor(sockets.enter_context(socket.socket(fileno=os.dup(STDIN)))))
        if not listeners:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=_tell, args=(beacon, listeners, over), name="notify", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _tell(beacon: Beacon, listeners: list[Listener], over: threading.Event) -> None:
    while True:
        state = beacon.state()
        for listener in listeners:
            listener(state)
        if over.wait(TELL_EVERY_S):
            return


def _to_systemd(address: str) -> socket.socket:
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        datagrams.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        datagrams.close()
        raise OSError(error.errno, f"{SOCKET} names a socket that cannot be reached: {error.strerror}") from error
    return datagrams


def _systemd(datagrams: socket.socket) -> Listener:
    told = ""

    def tell(state: State) -> None:
        nonlocal told
        said = "WATCHDOG=1\n" if state.alive else ""
        status = f"STATUS={state.detail or 'data flows'}\n"
        if status != told and (told or state.detail != STARTING):  # it has started when it has told anything else
            said += f"READY=1\n{status}"
            told = status
        if said:
            _send(datagrams, said.encode())

    return tell


def _supervisor(stream: socket.socket) -> Listener:
    return lambda state: _send(stream, msgspec.json.encode(state) + b"\n")


def _send(to: socket.socket, said: bytes) -> None:
    """Send without waiting: who does not listen now is told again in a second."""
    try:
        to.send(said, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:  # it is gone or its buffer is full; a supervisor that is gone ends us by our standard input
        return
