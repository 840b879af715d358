"""Carries rows to InfluxDB: through influxdb-client to 1.8, 2.x and 3.x, and to ``/write`` of older 1.x servers."""

import gzip
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from dataflows.couriers.carrier import DeliveryFailed
from dataflows.couriers.cursors import Refused
from dataflows.couriers.line_protocol import SCHEMA, lines
from dataflows.couriers.retry_after import retry_after_s
from dataflows.couriers.secret import read_secret
from dataflows.events import Ledger
from dataflows.store import Stored

MOST_LINES = 5_000  # in one request: InfluxData recommends 5,000 to 10,000; more costs memory and gains nothing
GZIP_LEVEL = 1  # line protocol repeats itself: more costs time and saves little
HERE = frozenset(
    {"localhost", "127.0.0.1", "::1"}
)  # to this machine nothing is gzipped: both ends would pay for nothing
MOST_TEXT = 500  # characters kept of a complaint


class InfluxOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the measurements go."""

    url: str  # http://host:8086
    api: Literal["v2", "v1"] = "v2"  # v1: POST /write, for servers before 1.8
    bucket: str = "femtoward"  # v1: database, or database/retention policy
    org: str = "-"  # ignored by 1.8 and 3.x
    user: str = ""  # v1 only
    secret_env: str = ""  # variable that holds the token (v2) or the password (v1)
    secret_file: str = ""  # or the file that does
    batch: int = 1_000  # rows at most; what there is goes at once
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check once."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"influx: url is {self.url!r}, need http://host:8086 or https://...")
        if parts.username or parts.password:
            raise ValueError("influx: url holds a user or a password: use user, and secret_env or secret_file")
        if not self.bucket:
            raise ValueError("influx: bucket is empty, need the name of a bucket (v2) or a database (v1)")
        if self.batch < 1 or self.timeout_s <= 0:
            raise ValueError(f"influx: need batch >= 1 and timeout_s > 0, got {self.batch} and {self.timeout_s}")


class Answer(NamedTuple):
    """What the server said."""

    status: int
    text: str
    retry_after: str | None


class InfluxCourier:
    """A courier (see `carrier.Courier`): one lane, batches, and the cursor moves after 204.

    Points have deterministic tags and times: what is sent again after a crash overwrites itself.
    """

    name = "influx"
    kinds = tuple(sorted({measurement.row.kind for measurement in SCHEMA}))
    revised = (Ledger.kind,)

    def __init__(self, options: InfluxOptions) -> None:
        self.batch = options.batch
        secret = read_secret("influx", options.secret_env, options.secret_file)
        self._packs = urlsplit(options.url).hostname not in HERE
        self._server = V1(options, secret) if options.api == "v1" else V2(options, secret)

    def lane(self, row: Stored) -> str:  # noqa: ARG002 - the protocol's shape
        """One for all."""
        return ""

    def give_up_s(self, row: Stored) -> None:
        """Never: what is not written waits in the store."""

    def deliver(self, rows: Sequence[Stored]) -> list[Refused]:
        """Write every row; those that the server refuses for what they say are returned, the others are written.

        Requests follow each other, so that no older row overwrites a newer one; but while the server works on one, the
        next is made.
        """
        refused: list[Refused] = []
        n_rows = 0
        under_way: _UnderWay | None = None
        for chunk in _chunks(rows):
            if under_way is not None:
                refused += under_way.wait()
            n_rows += len(chunk)
            under_way = _UnderWay(self._write, chunk)
        if under_way is not None:
            refused += under_way.wait()
        if refused and len(refused) == n_rows and not all(_too_old(row.reason) for row in refused):
            # Not the rows then, but what we send them to; newer rows join the batch, and one that passes settles it.
            raise DeliveryFailed(f"InfluxDB refuses every row: {refused[0].reason}")
        return refused

    def close(self) -> None:
        """Close connections."""
        self._server.close()

    def _write(self, chunk: "_Chunk") -> list[Refused]:
        said = [line for _, row_lines in chunk for line in row_lines]
        text = "\n".join(said).encode()
        answer = self._server.write(gzip.compress(text, GZIP_LEVEL) if self._packs else text, packed=self._packs)
        if answer.status == 204:
            return []
        if answer.status not in {400, 413, 422}:
            raise DeliveryFailed(_failure(answer), retry_after_s(answer.retry_after))
        dropped = re.search(r"dropped=(\d+)", answer.text)
        if len(chunk) == 1 or (_too_old(answer.text) and dropped and int(dropped[1]) == len(said)):
            return [Refused(stored, f"{answer.status}: {answer.text}") for stored, _ in chunk]
        # Servers word it differently, and some write nothing of a batch that holds a bad line: halving finds it.
        half = len(chunk) // 2
        return [*self._write(chunk[:half]), *self._write(chunk[half:])]


_Chunk = Sequence[tuple[Stored, list[str]]]


def _chunks(rows: Sequence[Stored]) -> Iterator[_Chunk]:
    """Rows with their lines, so many at once as one request holds; rows without lines are left out."""
    chunk: list[tuple[Stored, list[str]]] = []
    n_lines = 0
    for stored in rows:
        said = lines(stored.row)
        if chunk and n_lines + len(said) > MOST_LINES:
            yield chunk
            chunk, n_lines = [], 0
        if said:
            chunk.append((stored, said))
            n_lines += len(said)
    if chunk:
        yield chunk


class _UnderWay:
    """A chunk that a thread of its own writes; a daemon, so that a server that hangs holds up no end of the process."""

    def __init__(self, write: Callable[[_Chunk], list[Refused]], chunk: _Chunk) -> None:
        self._outcome: queue.SimpleQueue[list[Refused] | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(write, chunk), name="write to InfluxDB", daemon=True).start()

    def wait(self) -> list[Refused]:
        """What the server refused of it; raises what the writing raised."""
        outcome = self._outcome.get()
        if not isinstance(outcome, Exception):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # its traceback holds this frame and the whole chunk: that ring would wait for the collector

    def _run(self, write: Callable[[_Chunk], list[Refused]], chunk: _Chunk) -> None:
        try:
            self._outcome.put(write(chunk))
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._outcome.put(error)


class V2:
    """``/api/v2/write`` by influxdb-client, synchronously: its batching mode loses batches on exit and on errors."""

    def __init__(self, options: InfluxOptions, token: str) -> None:
        self._bucket, self._org = options.bucket, options.org
        self._client = InfluxDBClient(
            url=options.url.rstrip("/"),
            token=token,
            org=options.org,
            timeout=round(options.timeout_s * 1000),
        )
        self._service = WriteService(self._client.api_client)  # type: ignore[no-untyped-call]

    def write(self, body: bytes, *, packed: bool) -> Answer:
        """Send lines, gzipped or not."""
        try:
            _, status, headers = self._service.post_write_with_http_info(  # type: ignore[no-untyped-call]
                self._org,
                self._bucket,
                body,
                precision="ns",
                content_encoding="gzip" if packed else "identity",
                content_type="text/plain; charset=utf-8",
            )
        except ApiException as error:
            if not error.status:  # the client's way to say that TLS failed
                raise DeliveryFailed(f"InfluxDB cannot be reached: {error.reason}") from error
            headers = error.headers or {}
            return Answer(error.status, _text(error.body), headers.get("Retry-After"))
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryFailed(f"InfluxDB cannot be reached: {error}") from error
        return Answer(status, "", headers.get("Retry-After"))

    def close(self) -> None:
        """Close connections."""
        self._client.close()  # type: ignore[no-untyped-call]


class V1:
    """``/write`` of InfluxDB 1.x; a database that is missing is made."""

    def __init__(self, options: InfluxOptions, password: str) -> None:
        self._url = options.url.rstrip("/")
        self._database, _, self._policy = options.bucket.partition("/")
        self._headers = urllib3.make_headers(
            basic_auth=f"{options.user}:{password}" if options.user else None, user_agent="femtoward"
        )
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=options.timeout_s))

    def write(self, body: bytes, *, packed: bool) -> Answer:
        """Send lines, gzipped or not."""
        fields = {"db": self._database, "precision": "ns", **({"rp": self._policy} if self._policy else {})}
        url = f"{self._url}/write?{urlencode(fields)}"
        headers = {**self._headers, "Content-Type": "text/plain; charset=utf-8"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        answer = self._post(url, body, headers)
        if answer.status == 404 and "database not found" in answer.text:
            name = self._database.replace("\\", "\\\\").replace('"', '\\"')
            form = urlencode({"q": f'CREATE DATABASE "{name}"'}).encode()
            self._post(
                f"{self._url}/query", form, {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
            )
            answer = self._post(url, body, headers)
        return answer

    def close(self) -> None:
        """Close connections."""
        self._http.clear()

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            response = self._http.request("POST", url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryFailed(f"InfluxDB cannot be reached: {error}") from error
        return Answer(
            response.status, _text(response.data.decode(errors="replace")), response.headers.get("Retry-After")
        )


class _Complaint(msgspec.Struct):
    error: str = ""  # 1.x, 3.x
    message: str = ""  # 2.x


def _text(body: str | None) -> str:
    """What a server complains of, out of its JSON or whatever it is."""
    try:
        complaint = msgspec.json.decode(body or "", type=_Complaint)
    except msgspec.DecodeError:
        return (body or "")[:MOST_TEXT]
    return (complaint.message or complaint.error or body or "")[:MOST_TEXT]


def _failure(answer: Answer) -> str:
    hint = _HINTS.get(answer.status, "")
    return f"InfluxDB answers {answer.status}{hint}: {answer.text}"


_HINTS = {
    401: " (check the token or the password)",
    403: " (the token or user may not write here)",
    404: " (check bucket, org and api; api = 'v1' serves InfluxDB before 1.8)",
}


def _too_old(text: str) -> bool:
    return "beyond retention policy" in text
