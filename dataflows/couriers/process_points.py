"""Writes how this host's parts are, every ten seconds: each part's /metrics scraped into one point of ``process``.

That a part does not answer is itself the news. What cannot be written is not kept: tomorrow nobody asks whether a
process was ready ten seconds ago.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import urllib3
from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families

from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.outlet import Outlet
from dataflows.couriers.part_metrics import MEASUREMENT, Part, Reading, fields, line, reading, restarts
from dataflows.couriers.schema import RETENTION_OF
from ingest.beacon import Beacon

log = logging.getLogger(__name__)

SCRAPE_S: Final = 2.0  # whoever answers more slowly does not answer
MOST_BYTES: Final = 4_000_000  # of an answer


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process of this host."""

    part: Part
    instance: str  # which of that part
    name: str  # as `femtoward run` calls it
    url: str = ""  # of its /metrics; empty: this process itself


class ProcessOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask, and how often."""

    targets: tuple[Target, ...] = ()
    run_urls: tuple[str, ...] = ()  # of the /metrics of `femtoward run`, which counts restarts
    every_s: float = 10.0


class ProcessPoints:
    """Scrapes and writes; made for a thread of its own.

    Parameters
    ----------
    options
        Whom to ask.
    influx
        Where the points go.
    beacon
        Of this process.
    now_ns
        Wall clock of the points.
    """

    def __init__(
        self,
        options: ProcessOptions,
        influx: InfluxOptions,
        beacon: Beacon,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._options, self._beacon, self._now_ns = options, beacon, now_ns
        self._policy = "" if influx.tiers == "none" else RETENTION_OF[MEASUREMENT].name
        self._outlet = Outlet(influx)
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=SCRAPE_S))
        self._before: dict[Target, Reading] = {}
        self._fails = False

    def run(self, stopping: threading.Event) -> None:
        """Write every so often until `stopping` is set."""
        try:
            while not stopping.wait(self._options.every_s):
                self.write()
        finally:
            self._outlet.close()
            self._http.clear()

    def write(self) -> None:
        """Write one point a part; what goes wrong is said once, and never raised."""
        try:
            answer = self._outlet.send(self.lines(), self._policy)
            said = "" if answer is None else f"{answer.status}: {answer.text}"
        except DeliveryFailed as failure:
            said = failure.reason
        except Exception as error:  # a fault of ours here must not end the couriers
            log.exception("the points of `process` failed in a way that they should not")
            said = repr(error)
        if said and not self._fails:
            log.warning("how the parts are was not written, nor is it kept: %s", said)
        self._fails = bool(said)

    def lines(self) -> list[str]:
        """Ask every part now, and say in line protocol how each is."""
        time_ns = self._now_ns()
        counted = {
            name: times for url in self._options.run_urls for name, times in restarts(self._scraped(url) or ()).items()
        }
        said = []
        for target in self._options.targets:
            now = self._ask(target)
            values = fields(target.part, now, self._before.pop(target, None))
            if not target.url:
                state = self._beacon.state()
                values |= {"alive": int(state.alive), "ready": int(state.ready)}
            if target.name in counted:
                values["restarts"] = counted[target.name]
            if now is not None:
                self._before[target] = now
            said.append(line(target.part, target.instance, values, time_ns))
        return said

    def _ask(self, target: Target) -> Reading | None:
        if not target.url:
            return reading(REGISTRY.collect())
        metrics = self._scraped(target.url)
        return None if metrics is None else reading(metrics)

    def _scraped(self, url: str) -> list[Metric] | None:
        """What a process exports; None: it does not answer, or not with metrics."""
        try:
            response = self._http.request("GET", url, preload_content=False)
            try:
                body = response.read(MOST_BYTES)
            finally:
                response.release_conn()
            return _parsed(body.decode()) if response.status == 200 else None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            log.debug("%s does not say how it is: %s", url, error)
            return None


def _parsed(text: str) -> list[Metric]:
    found: Iterable[Metric] = text_string_to_metric_families(text)
    return list(found)
