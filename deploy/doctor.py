"""`femtoward doctor`: what would keep a ward from running here, one line for each thing looked at."""

import importlib.metadata
import os
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from deploy import receivers
from deploy.broker import kind, mosquitto
from deploy.broker_checks import WAIT_S, broker
from deploy.grounds import grounds
from deploy.influx_limits import influx_limits
from deploy.settings import Influx, Settings
from deploy.ward_round import ward_round

PACKAGES = (
    "bytewax",
    "influxdb-client",
    "iotcore",
    "msgspec",
    "numpy",
    "paho-mqtt",
    "prometheus-client",
    "rich",
    "scipy",
    "starlette",
    "typer",
    "uvicorn",
    "websockets",
    "wfdb",
)
SLOW_FSYNC_MS = 20.0
# Before this there was no femtoward: a clock that says so has never been set.
EARLIEST_S = 1_750_000_000


class Line(NamedTuple):
    """One thing looked at."""

    name: str
    verdict: Literal["ok", "warning", "problem"]
    said: str  # what was found and, unless it is well, what to do


def examine(settings: Settings) -> Iterator[Line]:
    """Look at one thing after the other."""
    yield _python()
    yield _packages()
    yield _clock()
    yield _cores()
    yield from _disk(settings.data_dir)
    for finding in grounds(settings):
        yield Line(*finding)
    for finding in ward_round(settings):
        yield Line(*finding)
    yield _demo_broker()
    if verdict := receivers.broker_secret(settings.broker):
        yield Line("broker secret", *verdict)
    for finding in broker(settings):
        yield Line(*finding)
    if settings.influx:
        yield from _of_influx(settings.influx)
    if settings.grafana:
        yield Line("grafana", *receivers.grafana(settings.grafana))
        if settings.influx:
            yield Line("grafana asks", *receivers.grafana_asks(settings.grafana, settings.influx))
    yield from _of_people(settings)
    if settings.fhir:
        yield Line("fhir", *receivers.fhir(settings.fhir))


def _python() -> Line:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return Line("python", "ok", version)
    return Line("python", "problem", f"{version}: Bytewax runs on 3.11 and 3.12 only: install one of them")


def _packages() -> Line:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Line(
            "packages", "problem", f"missing: {', '.join(missing)}: `pip install -r requirements.txt` brings them"
        )
    return Line("packages", "ok", ", ".join(found))


def _clock() -> Line:
    now_s = time.time()
    said = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now_s))
    if now_s < EARLIEST_S:
        return Line("clock", "problem", f"{said} has passed long ago: set the clock, best by NTP")
    return Line("clock", "ok", f"{said}; whether it is disciplined cannot be seen from here")


def _cores() -> Line:
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n < 2:
        return Line("cores", "warning", "1: ingest and flow share it; give them 2 for more than a few patients")
    return Line("cores", "ok", str(n))


def _disk(data_dir: Path) -> Iterator[Line]:
    folder = next(f for f in (data_dir.absolute(), *data_dir.absolute().parents) if f.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=folder):  # a mode allows what a read-only mount does not
            pass
    except OSError as error:
        said = f"{folder} cannot be written by this user ({error.strerror}): change its owner or ward.data_dir"
        yield Line("data folder", "problem", said)
        return
    yield Line("data folder", "ok", str(data_dir.absolute()))
    try:
        fsync_ms = _fsync_ms(folder)
    except OSError as error:
        yield Line("disk", "problem", f"writing to {folder} fails ({error.strerror}): make room or use another disk")
        return
    if fsync_ms > SLOW_FSYNC_MS:
        said = f"a synchronous write takes {fsync_ms:.1f} ms: acknowledgements wait for it; use a local SSD"
        yield Line("disk", "warning", said)
    else:
        yield Line("disk", "ok", f"a synchronous write takes {fsync_ms:.1f} ms")


def _fsync_ms(folder: Path) -> float:
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(9):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def _demo_broker() -> Line:
    if path := mosquitto():
        return Line("demo broker", "ok", f"mosquitto ({path})")
    return Line("demo broker", "ok", f"{kind()}, which comes along; with mosquitto installed, that would be used")


def _of_influx(influx: Influx) -> Iterator[Line]:
    if verdict := receivers.influx_secret(influx):
        yield Line("influx secret", *verdict)
    answers = _influx(influx.url)
    yield answers
    if answers.verdict == "ok":
        yield Line("influx setup", *receivers.influx_setup(influx))
        if verdict := influx_limits(influx):
            yield Line("influx series", *verdict)


def _of_people(settings: Settings) -> Iterator[Line]:
    for webhook in settings.webhook:
        yield Line(f"webhook {webhook.name}", *receivers.webhook(webhook))
    if verdict := receivers.on_duty(settings):
        yield Line("on duty", *verdict)
    if settings.links:
        yield Line("links", *receivers.links(settings.links))


def _influx(url: str) -> Line:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/ping", timeout=WAIT_S) as answer:  # noqa: S310 - settings admit http(s) only
            version = answer.headers.get("X-Influxdb-Version", "of a version it does not state")
        return Line("influx", "ok", f"{url} answers, InfluxDB {version}")
    except urllib.error.HTTPError as error:
        return Line(
            "influx", "warning", f"{url} answers its ping with {error.code}: is it InfluxDB, and the right port?"
        )
    except OSError as error:
        return Line("influx", "problem", f"{url} cannot be reached ({error}): start it, or correct influx.url")
