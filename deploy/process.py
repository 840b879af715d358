"""A child process in a session of its own, with a socket as its standard input: by it we hear how it is.

The socket closes when we are gone, however we went: then the child drains. Ctrl-C in the terminal reaches us alone.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from ingest.beacon import State

ROOT = Path(__file__).resolve().parents[1]
READ_BYTES = 65_536


class Process:
    """One run of a program.

    Parameters
    ----------
    argv
        Its command line.
    log
        File for its standard error; None: it goes to ours.
    output
        File for its standard output; None: it goes where its standard error goes, as our own standard output belongs to
        the result.
    """

    def __init__(self, argv: Sequence[str], log: Path | None = None, output: Path | None = None) -> None:
        self._ear, mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._heard = b""
        with mouth, _appended(log) as log_file, _appended(output) as output_file:
            self._popen = subprocess.Popen(  # noqa: S603 - our own program, in this interpreter
                argv,
                stdin=mouth.fileno(),
                stdout=output_file or log_file or sys.stderr,
                stderr=log_file,
                start_new_session=True,
                env=_environment(),
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self._popen.poll() is None

    @property
    def status(self) -> int | None:
        """What it ended with; -9: killed."""
        return self._popen.returncode

    def hear(self) -> State | None:
        """Return the newest that it said of itself since the last time; None: nothing."""
        with suppress(BlockingIOError, ConnectionError):
            while said := self._ear.recv(READ_BYTES):
                self._heard = (self._heard + said)[-READ_BYTES:]
        *lines, self._heard = self._heard.split(b"\n")
        for line in reversed(lines):
            with suppress(msgspec.DecodeError):  # half of a line, where it could not be sent as a whole
                return msgspec.json.decode(line, type=State)
        return None

    def ask_to_end(self) -> None:
        """Ask it to drain."""
        if self.running:
            self._popen.terminate()

    def ended(self, within_s: float) -> bool:
        """Wait for its end."""
        try:
            self._popen.wait(max(within_s, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it with what it started, such as the broker's own process: each child leads a session."""
        self._signal(signal.SIGKILL)

    def halt(self) -> None:
        """Let it and what it started stand still, as a debugger or a machine that is moved does, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after `halt`."""
        self._signal(signal.SIGCONT)

    def close(self) -> int:
        """Wait for its end and let go of it; return its status."""
        status = self._popen.wait()
        self._ear.close()
        return status

    def _signal(self, number: int) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def _environment() -> dict[str, str]:
    """Environment in which a child finds the same femtoward, installed or not, and speaks to us, not to systemd."""
    path = os.environ.get("PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}


@contextmanager
def _appended(path: Path | None) -> Iterator[IO[bytes] | None]:
    """A file opened for appending; closed here, the child keeps its own."""
    if path is None:
        yield None
    else:
        with path.open("ab") as file:
            yield file
