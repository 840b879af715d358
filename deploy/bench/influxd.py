"""An InfluxDB of this machine for benchmarks."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from deploy import broker
from deploy.siege.servers import find, influx_config, made


class Influxd(NamedTuple):
    """One that runs."""

    url: str
    pid: int


def program() -> str | None:
    """Path of influxd; None: there is none here."""
    return find("influxd")


@contextmanager
def running(influxd: str, folder: Path) -> Iterator[Influxd]:
    """Run an InfluxDB while the block runs."""
    home, port = made(folder / "influx"), broker.free_port()
    config = influx_config(home, port)
    with (folder / "influxd.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the server that was found
            [influxd, "-config", str(config)], stdout=log, stderr=log, env={**os.environ, "HOME": str(home)}
        )
    try:
        broker.wait_until_open(port)
        yield Influxd(f"http://{broker.HOST}:{port}", process.pid)
    finally:
        process.terminate()
        process.wait()
