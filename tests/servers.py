"""Real servers for tests, on free loopback ports, with everything of theirs in one folder."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from conftest import program

PATIENCE_S = 30.0


def eventually(predicate: Callable[[], object], timeout_s: float = PATIENCE_S, what: str = "") -> None:
    """Wait until `predicate` holds; the one place in the tests that polls. Fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s in vain for {what or predicate}")
        time.sleep(0.01)


def free_port() -> int:
    """Return a TCP port that was free on the loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


@dataclass
class Broker:
    """A mosquitto of our own: a context manager that stops it at the end."""

    folder: Path
    port: int
    config: Path
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        with (self.folder / "mosquitto.log").open("ab") as output:
            self.process = subprocess.Popen(
                [program("mosquitto"), "-c", str(self.config)], stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        eventually(lambda: answers(self.port) or self.process.poll() is not None, what="mosquitto to listen")
        if self.process.poll() is not None:
            pytest.fail(f"mosquitto ended at once: {(self.folder / 'mosquitto.log').read_text()[-500:]}")

    def stop(self) -> None:
        """End it as its administrator would; with persistence it writes its sessions down."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End it and start it again on the same port."""
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        """Return the broker, already started."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop it."""
        self.stop()


def start_mosquitto(
    folder: Path,
    port: int | None = None,
    *,
    anonymous: bool = True,
    persistent: bool = False,
    message_size_limit: int = 20_000_000,
    extra: str = "",
) -> Broker:
    """Start a mosquitto that keeps all messages for sessions that are away.

    Parameters
    ----------
    folder
        For its configuration, log and database; made where missing.
    port
        Loopback port; None: a free one.
    anonymous
        Let clients in without a password; False lets nobody in, unless `extra` names a password file.
    persistent
        Keep sessions over a restart: written down every second, and at `Broker.stop`; not at `Broker.kill`.
    message_size_limit
        Larger payloads are refused by the broker (bytes).
    extra
        More lines for its configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port() if port is None else port
    config = folder / "mosquitto.conf"
    lines = [
        f"listener {port} 127.0.0.1",
        f"allow_anonymous {str(anonymous).lower()}",
        "max_queued_messages 0",
        "max_inflight_messages 1000",
        f"message_size_limit {message_size_limit}",
        "set_tcp_nodelay true",
    ]
    if persistent:
        lines += [
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
        ]
    if os.geteuid() == 0:
        lines.append("user root")  # else it gives up root, and with it the folder
    config.write_text("\n".join([*lines, extra, ""]))
    broker = Broker(folder, port, config)
    broker.start()
    return broker


@contextmanager
def mosquitto(folder: Path, **options: object) -> Iterator[Broker]:
    """Start and stop a mosquitto around a block."""
    with start_mosquitto(folder, **options) as broker:  # type: ignore[arg-type]  # the same options, passed on
        yield broker
