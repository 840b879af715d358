"""InfluxQL over HTTP: questions and statements to an InfluxDB 1.x, and the statements that make its retentions."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec
import urllib3

from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.policies import POLICIES, Policy

_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}

Cell = str | int | float | bool | None


class QueryRefused(Exception):
    """The server cannot be asked, or refuses a statement; the message says why."""


class Series(msgspec.Struct):
    """A table of an answer."""

    name: str = ""
    tags: dict[str, str] = {}
    columns: list[str] = []
    values: list[list[Cell]] = []

    def records(self) -> list[dict[str, Cell]]:
        """Rows by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


class _Result(msgspec.Struct):
    series: list[Series] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str = ""


class InfluxQL:
    """``/query`` of InfluxDB 1.x, and of others that understand it.

    Parameters
    ----------
    options
        Where the server is.
    headers
        What tells it who asks; see `identity`.
    """

    def __init__(self, options: InfluxOptions, headers: Mapping[str, str]) -> None:
        self._url = f"{options.url.rstrip('/')}/query"
        self._headers = {**headers, **_FORM}
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=options.timeout_s))

    def ask(self, statement: str, database: str = "") -> list[Series]:
        """Tables that one statement gives, times in ns.

        Raises
        ------
        QueryRefused
            It cannot be asked, or says no.
        """
        form = urlencode({"q": statement, "epoch": "ns", **({"db": database} if database else {})}).encode()
        try:
            response = self._http.request("POST", self._url, body=form, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise QueryRefused(f"InfluxDB cannot be reached: {error}") from error
        try:
            answer = msgspec.json.decode(response.data, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise QueryRefused(f"InfluxDB answers {response.status} and no JSON to {statement!r}") from error
        said = answer.error or next((result.error for result in answer.results if result.error), "")
        if said or response.status != 200:
            raise QueryRefused(f"InfluxDB answers {response.status} to {statement!r}: {said}")
        return [series for result in answer.results for series in result.series]

    def close(self) -> None:
        """Close connections."""
        self._http.clear()


class Kept(NamedTuple):
    """A retention policy as a server has it."""

    name: str
    hours: int  # 0: for ever
    is_default: bool


def identity(options: InfluxOptions, secret: str) -> dict[str, str]:
    """Headers that tell the server who writes or asks."""
    user = f"{options.user}:{secret}" if options.user else None
    headers: dict[str, str] = dict(urllib3.make_headers(basic_auth=user, user_agent="femtoward"))
    if options.api == "v2" and secret:
        headers["authorization"] = f"Token {secret}"
    return headers


def quoted(name: str) -> str:
    """Return a name as InfluxQL takes any name."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """Return a text as InfluxQL takes a string."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def create_database(database: str) -> str:
    """Make a database; one that is there stays as it is."""
    return f"CREATE DATABASE {quoted(database)}"


def create_policy(database: str, policy: Policy) -> str:
    """Make a retention policy; one that is there and the same stays as it is."""
    return _policy("CREATE", database, policy)


def alter_policy(database: str, policy: Policy) -> str:
    """Change a retention policy to what it must be."""
    return _policy("ALTER", database, policy)


def everything(database: str) -> Iterable[str]:
    """Statements that make a database with every retention policy."""
    return [create_database(database), *(create_policy(database, policy) for policy in POLICIES)]


def policies(influx: InfluxQL, database: str) -> dict[str, Kept]:
    """Retention policies that a database has, by name."""
    found = [
        record for series in influx.ask(f"SHOW RETENTION POLICIES ON {quoted(database)}") for record in series.records()
    ]
    return {
        kept.name: kept
        for kept in (
            Kept(str(record["name"]), hours(str(record["duration"])), record["default"] is True) for record in found
        )
    }


def hours(duration: str) -> int:
    """Hours of a duration as InfluxDB 1.x shows it.

    Examples
    --------
    >>> hours("720h0m0s"), hours("0s")
    (720, 0)
    """
    whole, mark, _ = duration.partition("h")
    return int(whole) if mark else 0


def _policy(verb: str, database: str, policy: Policy) -> str:
    lasts = f"{policy.hours}h" if policy.hours else "INF"
    default = " DEFAULT" if policy.is_default else ""
    replication = " REPLICATION 1" if verb == "CREATE" else ""
    return (
        f"{verb} RETENTION POLICY {quoted(policy.name)} ON {quoted(database)} DURATION {lasts}{replication} "
        f"SHARD DURATION {policy.shard_hours}h{default}"
    )
