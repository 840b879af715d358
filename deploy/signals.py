"""SIGTERM and Ctrl-C as an event to wait for: the first asks for a drain."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

STDIN = 0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_by_handler() -> threading.Event:
    """Event that a signal sets, for a process whose main thread waits in Python; a second signal ends it at once."""
    stopping = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    for number in STOP_SIGNALS:
        signal.signal(number, handle)
    return stopping


def stop_by_thread(*, supervised: bool) -> threading.Event:
    """Event that a signal sets, for a process whose main thread may be busy outside of Python.

    Python runs signal handlers in the main thread between two of its instructions only, and Bytewax takes Ctrl-C as an
    order to break off. So the signals are blocked, and a thread of their own waits for them.

    Parameters
    ----------
    supervised
        Our standard input is a pipe from a supervisor: when it closes, the supervisor is gone, and so should we be.
    """
    stopping = threading.Event()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def wait_for_signal() -> None:
        signal.sigwait(STOP_SIGNALS)
        stopping.set()

    def wait_for_end_of_input() -> None:
        # Not by sys.stdin: a thread that holds its lock at exit makes Python abort.
        with suppress(ConnectionResetError):  # a supervisor that was killed had not read all that we said
            while os.read(STDIN, 4096):
                pass
        stopping.set()

    threading.Thread(target=wait_for_signal, name="signals", daemon=True).start()
    if supervised:
        threading.Thread(target=wait_for_end_of_input, name="supervisor", daemon=True).start()
    return stopping
