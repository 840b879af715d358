"""A real VictoriaMetrics for tests: Debian's package on a free loopback port, all its files in a temporary folder.

It takes ``/api/v2/write`` as InfluxDB 2 does, keeps times in ms, turns text into 0, and answers no InfluxQL.
"""

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import urllib3
from conftest import program
from servers import PATIENCE_S, answers, eventually, free_port


class Sample(NamedTuple):
    """One number that it keeps."""

    name: str  # measurement_field
    labels: tuple[tuple[str, str], ...]
    time_ms: int


class VictoriaServer:
    """One server, started by `with`.

    Parameters
    ----------
    folder
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [
            program("victoria-metrics"),
            f"-storageDataPath={folder}",
            f"-httpListenAddr=127.0.0.1:{self._port}",
            "-retentionPeriod=100y",
            "-loggerLevel=ERROR",
        ]
        self._http = urllib3.PoolManager(retries=False)

    def samples(self) -> dict[Sample, float]:
        """Everything that it keeps."""
        self._http.request("GET", f"{self.url}/internal/force_flush")
        answer = self._http.request("POST", f"{self.url}/api/v1/export", fields={"match[]": '{__name__!=""}'})
        found = {}
        for line in answer.data.decode().splitlines():
            series = json.loads(line)
            labels = tuple(sorted((name, text) for name, text in series["metric"].items() if name != "__name__"))
            for time_ms, value in zip(series["timestamps"], series["values"], strict=True):
                found[Sample(series["metric"]["__name__"], labels, time_ms)] = value
        return found

    def __enter__(self) -> Self:
        """Start it, and return when it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(lambda: answers(self._port) or self._process.poll() is not None, what="victoria-metrics to listen")
        assert self._process.poll() is None, "victoria-metrics ended at once"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._http.clear()
