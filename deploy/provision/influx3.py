"""Provisioning of an InfluxDB 3.x, by its own HTTP API: a database for each retention, made before anything is written.

It makes databases by itself when they are written to, but such as keep for ever; and for how long one keeps can neither
be seen nor changed afterwards (3 Core). So what is there is taken to be as it must be.
"""

from typing import Final, NoReturn

import msgspec
import urllib3

from dataflows.couriers.influx_api import answer_of
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.policies import POLICIES, Policy
from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.provision.plan import Step

_DATABASE: Final = "database"
_PATH: Final = "/api/v3/configure/database"


class _Named(msgspec.Struct):
    name: str = msgspec.field(name="iox::database")


class Influx3:
    """One server of version 3.

    Parameters
    ----------
    options
        Where it is, and the token: an administrator's.
    """

    def __init__(self, options: InfluxOptions) -> None:
        if options.tiers == "server":
            raise UserError(
                f"InfluxDB 3 at {options.url} has neither continuous queries nor tasks: set influx.tiers = 'courier', "
                "and femtoward thins vitals out itself"
            )
        if options.api != "v2":
            raise UserError(f"{options.url} is InfluxDB 3: set influx.api = 'v2'")
        try:
            self._token = read_secret("influx", options.secret_env, options.secret_file)
        except ValueError as error:
            raise UserError(str(error)) from error
        self._url, self._prefix = f"{options.url.rstrip('/')}{_PATH}", options.bucket
        identity = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._http = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(total=options.timeout_s), headers=identity
        )

    def plan(self) -> list[Step]:
        """Compare what it has with what it must have."""
        answer = self._asked("GET", f"{self._url}?format=json")
        try:
            there = {one.name for one in msgspec.json.decode(answer, type=list[_Named])}
        except msgspec.DecodeError as error:
            raise UserError(f"InfluxDB at {self._url} lists its databases in another way: {error}") from error
        return [self._of_database(policy, there) for policy in POLICIES]

    def do(self, step: Step) -> None:
        """Do one step of a plan."""
        policy = next(one for one in POLICIES if self._name(one) == step.name)
        wanted = {"db": step.name, **({"retention_period": f"{policy.hours}h"} if policy.hours else {})}
        self._asked("POST", self._url, msgspec.json.encode(wanted))

    def close(self) -> None:
        """Close connections."""
        self._http.clear()

    def _name(self, policy: Policy) -> str:
        return f"{self._prefix}/{policy.name}"

    def _of_database(self, policy: Policy, there: set[str]) -> Step:
        name = self._name(policy)
        if name in there:
            return Step(_DATABASE, name, "same", f"{policy.words}, if it was made so: it does not say")
        return Step(_DATABASE, name, "create", policy.words)

    def _asked(self, method: str, url: str, body: bytes | None = None) -> bytes:
        headers = {**self._http.headers, "Content-Type": "application/json"}
        try:
            response = self._http.request(method, url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise UserError(f"InfluxDB cannot be asked: {error}") from error
        if response.status >= 300:
            self._refused(response.status, response.data.decode(errors="replace"))
        return response.data

    def _refused(self, status: int, text: str) -> NoReturn:
        said = answer_of(status, text, None, self._token).text
        hint = " (need an administrator's token)" if status in {401, 403} else ""
        raise UserError(f"{_DATABASE}: InfluxDB answers {status}{hint}: {said}")
