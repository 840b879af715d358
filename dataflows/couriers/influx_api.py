"""The two ways to write to InfluxDB: ``/api/v2/write`` by influxdb-client (1.8, 2.x, 3.x), ``/write`` of older 1.x."""

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlencode

import msgspec
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.influxql import InfluxQL, QueryRefused, create_database, everything, identity
from dataflows.couriers.secret import read_secret

log = logging.getLogger(__name__)

MOST_TEXT: Final = 500  # characters kept of a complaint
_TEXT: Final = "text/plain; charset=utf-8"


class Refusal(NamedTuple):
    """A line that the server names, and what it says of it."""

    line: int  # of the request, from 0
    reason: str


class Answer(NamedTuple):
    """What the server said."""

    status: int
    text: str
    retry_after: str | None
    refusals: tuple[Refusal, ...] = ()  # 3.x: every line that it did not take


class Api(Protocol):
    """One way to write."""

    def write(self, body: bytes, policy: str, *, packed: bool) -> Answer:
        """Send lines to a retention, gzipped or not; "": to the one bucket.

        Raises
        ------
        DeliveryFailed
            The server cannot be reached.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...


def api_of(options: InfluxOptions) -> Api:
    """Return the way to write that the options name.

    Raises
    ------
    ValueError
        The secret is missing, or cannot be one.
    """
    secret = read_secret("influx", options.secret_env, options.secret_file)
    if options.api == "v1":
        return V1(options, secret)
    if not secret.isascii() or not secret.isprintable():  # the client's error would show it
        raise ValueError("influx: the token holds characters that no token has: put the token there, and nothing else")
    return V2(options, secret)


class V2:
    """``/api/v2/write`` by influxdb-client, synchronously: its batching mode loses batches on exit and on errors."""

    def __init__(self, options: InfluxOptions, token: str) -> None:
        self._bucket, self._org, self._token = options.bucket, options.org, token
        self._client = InfluxDBClient(
            url=options.url.rstrip("/"),
            token=token,
            org=options.org,
            timeout=round(options.timeout_s * 1000),
        )
        self._service = WriteService(self._client.api_client)  # type: ignore[no-untyped-call]

    def write(self, body: bytes, policy: str, *, packed: bool) -> Answer:
        """Send lines to the bucket ``BUCKET/POLICY``."""
        try:
            _, status, headers = self._service.post_write_with_http_info(  # type: ignore[no-untyped-call]
                self._org,
                f"{self._bucket}/{policy}" if policy else self._bucket,
                body,
                precision="ns",
                content_encoding="gzip" if packed else "identity",
                content_type=_TEXT,
            )
        except ApiException as error:
            if not error.status:  # the client's way to say that TLS failed
                raise DeliveryFailed(f"InfluxDB cannot be reached: {error.reason}") from error
            headers = error.headers or {}
            return answer_of(error.status, error.body or "", headers.get("Retry-After"), self._token)
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryFailed(f"InfluxDB cannot be reached: {error}") from error
        return Answer(status, "", headers.get("Retry-After"))

    def close(self) -> None:
        """Close connections."""
        self._client.close()  # type: ignore[no-untyped-call]


class V1:
    """``/write`` of InfluxDB 1.x; a database or retention policy that is missing is made."""

    def __init__(self, options: InfluxOptions, password: str) -> None:
        self._url, self._tiers, self._password = options.url.rstrip("/"), options.tiers, password
        self._database, _, self._policy = options.bucket.partition("/")
        self._headers = identity(options, password)
        self._influxql = InfluxQL(options, self._headers)
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=options.timeout_s))

    def write(self, body: bytes, policy: str, *, packed: bool) -> Answer:
        """Send lines to a retention policy of the database."""
        policy = policy or self._policy
        fields = {"db": self._database, "precision": "ns", **({"rp": policy} if policy else {})}
        url = f"{self._url}/write?{urlencode(fields)}"
        headers = {**self._headers, "Content-Type": _TEXT, **({"Content-Encoding": "gzip"} if packed else {})}
        answer = self._post(url, body, headers)
        if "database not found" in answer.text or "retention policy not found" in answer.text:
            self._make()
            answer = self._post(url, body, headers)
        return answer

    def close(self) -> None:
        """Close connections."""
        self._influxql.close()
        self._http.clear()

    def _make(self) -> None:
        try:
            for statement in [create_database(self._database)] if self._tiers == "none" else everything(self._database):
                self._influxql.ask(statement)
        except QueryRefused as error:
            said = str(error).replace(self._password, "***") if self._password else str(error)
            raise DeliveryFailed(f"what is missing cannot be made: {said}; run `femtoward provision`") from None
        log.info("made the database %s and what it keeps for how long", self._database)

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            response = self._http.request("POST", url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryFailed(f"InfluxDB cannot be reached: {error}") from error
        text = response.data.decode(errors="replace")
        return answer_of(response.status, text, response.headers.get("Retry-After"), self._password)


class _Line(msgspec.Struct):
    line_number: int = 0
    error_message: str = ""


class _Complaint(msgspec.Struct):
    error: str = ""  # 1.x, 3.x
    message: str = ""  # 2.x
    data: msgspec.Raw = msgspec.Raw()  # 3.x: its lines


def answer_of(status: int, body: str, retry_after: str | None, secret: str) -> Answer:
    """What a server complains of, out of its JSON or whatever it is; a secret that it repeats is left out."""
    if secret:
        body = body.replace(secret, "***")
    try:
        complaint = msgspec.json.decode(body, type=_Complaint)
    except msgspec.DecodeError:
        return Answer(status, body[:MOST_TEXT], retry_after)
    text = (complaint.message or complaint.error or body)[:MOST_TEXT]
    return Answer(status, text, retry_after, _refusals(complaint.data))


def _refusals(data: msgspec.Raw) -> tuple[Refusal, ...]:
    try:
        found = msgspec.json.decode(data, type=list[_Line] | _Line)
    except msgspec.DecodeError:  # none, or another server's
        return ()
    named = found if isinstance(found, list) else [found]
    return tuple(Refusal(one.line_number - 1, one.error_message) for one in named if one.line_number > 0)
