"""InfluxDB's part of `femtoward provision`: retentions and tiers by the means that the server has, whichever it is."""

from collections.abc import Sequence
from typing import Final, Protocol

import urllib3

from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.influxql import identity
from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.provision.influx1 import Influx1
from deploy.provision.influx2 import Influx2
from deploy.provision.influx3 import Influx3
from deploy.provision.plan import Step, due
from deploy.settings import Influx
from deploy.wiring import influx_options

WAIT_S: Final = 5.0
_NEEDLESS: Final = (
    "tiers = 'none': everything goes into the one bucket, which femtoward makes on a 1.x and you on others"
)


class Provisioner(Protocol):
    """One kind of server."""

    def plan(self) -> list[Step]:
        """Compare what it has with what it must have."""
        ...

    def do(self, step: Step) -> None:
        """Do one step of a plan."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


def plan(influx: Influx) -> list[Step]:
    """Compare an InfluxDB with what it must have; nothing is changed.

    Raises
    ------
    UserError
        It cannot be asked, or has no means to do what the settings want of it.
    """
    options = _options(influx)
    if options.tiers == "none":
        return [Step("InfluxDB", options.url, "same", _NEEDLESS)]
    server = _server(options)
    if server is None:
        return [
            Step(
                "InfluxDB", options.url, "same", "a server that makes its databases by itself when they are written to"
            )
        ]
    try:
        return server.plan()
    finally:
        server.close()


def apply(influx: Influx, steps: Sequence[Step]) -> None:
    """Do what a plan says.

    Raises
    ------
    UserError
        The server refuses a step; those before it are done, and a new plan shows what is left.
    """
    wanted = due(steps)
    if not wanted:
        return
    server = _server(_options(influx))
    if server is None:
        return
    try:
        for step in wanted:
            server.do(step)
    finally:
        server.close()


def version(options: InfluxOptions) -> str:
    """Return the version that a server states, as 1.6.7, or nothing; 3.x states it to those only whom it knows.

    Raises
    ------
    UserError
        Nobody answers, or the secret is not there.
    """
    try:
        headers = identity(options, read_secret("influx", options.secret_env, options.secret_file))
        url = f"{options.url.rstrip('/')}/ping"
        answer = urllib3.request("GET", url, timeout=WAIT_S, retries=False, headers=headers)
    except ValueError as error:
        raise UserError(str(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise UserError(
            f"InfluxDB at {options.url} cannot be reached ({error}): start it, or correct influx.url"
        ) from error
    return str(answer.headers.get("X-Influxdb-Version", "")).removeprefix("v")


def _server(options: InfluxOptions) -> Provisioner | None:
    """How to talk to the server; None: there is nothing to talk about."""
    stated = version(options)
    match stated.partition(".")[0]:
        case "1" if stated.startswith(("1.0", "1.1.")):
            raise UserError(f"InfluxDB {stated} at {options.url} is too old: need 1.2 or newer")
        case "1":
            return Influx1(options)
        case "2":
            return Influx2(options)
        case "3":
            return Influx3(options)
        case _ if options.tiers == "server":
            said = f"InfluxDB {stated}" if stated else "what answers"  # such as VictoriaMetrics
            raise UserError(
                f"{said} at {options.url} has neither continuous queries nor tasks: set influx.tiers = 'courier', and "
                "femtoward thins vitals out itself"
            )
        case _:
            return None


def _options(influx: Influx) -> InfluxOptions:
    try:
        return influx_options(influx)
    except ValueError as error:
        raise UserError(f"settings for InfluxDB: {error}") from error
