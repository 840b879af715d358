"""A real InfluxDB 1.x for tests: Debian's influxd on free loopback ports, all its files in a temporary folder."""

import json
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
from conftest import program

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = false
{data}
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{http}"
log-enabled = false
auth-enabled = {auth}
"""


class InfluxServer:
    """One server; `stop` and `start` again on the same ports and data.

    Parameters
    ----------
    folder
        An empty folder.
    admin
        Password of its administrator `root`, whom `query` asks as and whom the first query must make; empty: it lets
        everyone do everything.
    data
        Further lines of the section [data] of its settings.
    """

    def __init__(self, folder: Path, admin: str = "", data: str = "") -> None:
        self._program = program("influxd")
        http, rpc = _free_ports(2)
        self.url = f"http://127.0.0.1:{http}"
        self._config = folder / "influxd.conf"
        self._settings = _CONFIG.format(folder=folder, http=http, rpc=rpc, auth=str(bool(admin)).lower(), data="{data}")
        self.configure(data)
        self._log = folder / "influxd.log"
        self._process: subprocess.Popen[str] | None = None
        identity = urllib3.make_headers(basic_auth=f"root:{admin}") if admin else None
        self._http = urllib3.PoolManager(retries=False, headers=identity)

    def start(self) -> None:
        """Start it and return when it listens."""
        process = subprocess.Popen(
            [self._program, "-config", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"HOME": str(self._config.parent)},
            text=True,
        )
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "Listening on HTTP" in line:
                break
        else:
            process.wait()
            raise RuntimeError(f"influxd did not start:\n{''.join(said)}")
        self._process = process
        # A full pipe would stop the server.
        threading.Thread(target=process.stderr.read, daemon=True).start()

    def configure(self, data: str) -> None:
        """Change the section [data] of its settings, for when it starts next."""
        self._config.write_text(self._settings.format(data=data))

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
            if self._process.stderr is not None:
                self._process.stderr.close()
            self._process = None

    def query(self, text: str, database: str = "femtoward") -> list[dict[str, Any]]:
        """Series that an InfluxQL statement returns: name, tags, columns, values; times in ns."""
        answer = self._http.request("POST", f"{self.url}/query", fields={"q": text, "db": database, "epoch": "ns"})
        result = json.loads(answer.data)["results"][0]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def count(self, source: str, field: str) -> int:
        """How many points of a measurement, named as in a query, have a field."""
        found = self.query(f'SELECT count("{field}") FROM {source}')  # noqa: S608 - our own names
        return int(found[0]["values"][0][1]) if found else 0

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
        self._http.clear()


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
