"""The servers of a siege: where they are found, and what they are told."""

import os
import shutil
from pathlib import Path

from deploy import broker


def find(program: str) -> str | None:
    """Path of a server, which Debian puts where a user's PATH may not look."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def made(folder: Path) -> Path:
    """Return a folder, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mosquitto_config(folder: Path, port: int) -> Path:
    """Write settings for mosquitto, and return their file."""
    path = made(folder) / "mosquitto.conf"
    path.write_text(broker.mosquitto_settings(folder, port))
    return path


def influx_config(home: Path, port: int) -> Path:
    """Write settings for an InfluxDB 1.x, and return their file."""
    path = home / "influxd.conf"
    path.write_text(
        f"""reporting-disabled = true
bind-address = "{broker.HOST}:{broker.free_port()}"
[meta]
dir = "{home}/meta"
[data]
dir = "{home}/data"
wal-dir = "{home}/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "{broker.HOST}:{port}"
log-enabled = false
[logging]
level = "error"
"""
    )
    return path
