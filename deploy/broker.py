"""A broker for the demo and for tests, on the loopback address only: mosquitto where there is one, else iotcore."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from deploy.problem import UserError
from deploy.signals import stop_by_handler, stop_by_thread
from deploy.supervise import Program

HOST = "127.0.0.1"
# Far above what ingest accepts, so that ingest sees what is too large, and says so; far below what hurts.
MAX_MESSAGE_BYTES = 16 << 20
# A subscriber that acknowledges every 50 ms must not be held to mosquitto's 20 messages under way.
MAX_INFLIGHT = 1000


def mosquitto() -> str | None:
    """Path of mosquitto, which Debian puts where a user's PATH does not look; FEMTOWARD_NO_MOSQUITTO hides it."""
    if os.environ.get("FEMTOWARD_NO_MOSQUITTO"):
        return None
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def kind() -> str:
    """Which broker would be started here."""
    return "mosquitto" if mosquitto() else "iotcore"


def program(folder: Path, port: int) -> Program:
    """Broker on `port` that keeps its files in `folder`."""
    return Program("broker", (sys.executable, "-P", "-m", "deploy.broker", str(folder), str(port)))


def free_port() -> int:
    """Port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def free_port_at(port: int) -> int:
    """Return this port if it is free, else another one."""
    try:
        need_free(port)
    except UserError:
        return free_port()
    return port


def need_free(port: int) -> None:
    """Raise if something uses `port` already.

    Raises
    ------
    UserError
        Naming the port and what to do.
    """
    with socket.socket() as probe:
        # As brokers do: a port whose last connections are still being forgotten by the kernel is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} on {HOST} cannot be used ({error.strerror}): stop what uses it "
                f"(`ss -ltnp 'sport = :{port}'` shows it), or give another --port (without it, a free one is taken)"
            ) from error


def wait_until_open(port: int, within_s: float = 15.0) -> None:
    """Return once something accepts connections on `port`.

    Raises
    ------
    UserError
        Nothing did in time.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((HOST, port), timeout=1.0):
                return
        except OSError:
            threading.Event().wait(0.05)
    raise UserError(
        f"the broker ({kind()}) did not open port {port} within {within_s:g} s: look into broker.log in the data folder"
    )


def mosquitto_settings(folder: Path, port: int) -> str:
    """Settings file for mosquitto."""
    lines = [
        f"listener {port} {HOST}",
        "allow_anonymous true",
        "max_qos 1",
        "set_tcp_nodelay true",
        f"max_inflight_messages {MAX_INFLIGHT}",
        "max_queued_messages 0",  # without this, it drops whatever is queued beyond 1000
        f"message_size_limit {MAX_MESSAGE_BYTES}",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 1",  # what it acknowledged and has not saved, it loses when killed: devices repeat 5 s,
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "connection_messages false",
    ]
    if os.geteuid() == 0:
        lines.append("user root")  # it would change to a user who may not write to the folder
    return "\n".join(lines) + "\n"


def main(folder: Path, port: int) -> int:
    """Run a broker until a signal comes or the supervisor is gone."""
    path = mosquitto()
    if path is None:
        return _iotcore(port)
    settings = folder / "mosquitto.conf"
    settings.write_text(mosquitto_settings(folder, port))
    # Signals that are blocked stay so in mosquitto; a handler is not handed on, and keeps what comes meanwhile.
    early = stop_by_handler()
    process = subprocess.Popen([path, "-c", str(settings)], stdin=subprocess.DEVNULL)  # noqa: S603 - the broker itself
    stopping = stop_by_thread(supervised=True)
    if early.is_set():
        stopping.set()

    def wait() -> None:
        process.wait()
        stopping.set()

    threading.Thread(target=wait, daemon=True).start()
    stopping.wait()
    died = process.poll()
    process.terminate()
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
    return 0 if died is None else 1


def _iotcore(port: int) -> int:
    from iotcore import Broker  # noqa: PLC0415 - not needed where mosquitto is

    with Broker(port=port, listen=HOST, max_payload_size=MAX_MESSAGE_BYTES, max_inflight_count=MAX_INFLIGHT) as broker:
        stopping = stop_by_thread(supervised=True)
        while broker.is_running and not stopping.wait(0.2):
            pass
        return 0 if broker.is_running else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
