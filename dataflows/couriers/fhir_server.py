"""A FHIR server: bundles are posted to its base address, and what it says of each entry is read."""

import time
from typing import Final, NamedTuple

import msgspec
import urllib3

from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.fhir_options import FhirOptions
from dataflows.couriers.retry_after import retry_after_s
from dataflows.couriers.secret import read_secret
from dataflows.fhir.bundles import MEDIA_TYPE, encode
from dataflows.fhir.resources import Bundle

MOST_BYTES: Final = 4_000_000  # of an answer: some servers send every resource back
MOST_TEXT: Final = 300  # characters kept of a complaint
UNFIT: Final = frozenset({400, 412, 413, 422})  # what was sent is at fault; all else may pass later
_HINTS: Final = {
    401: " (check the token)",
    403: " (the token may not write here)",
    404: " (url must be the base address of a FHIR server)",
    405: " (url must be the base address of a FHIR server)",
}


class Unfit(NamedTuple):
    """A bundle that the server refuses as a whole."""

    reason: str


class _Issue(msgspec.Struct, frozen=True):
    diagnostics: str = ""
    severity: str = ""


class _Outcome(msgspec.Struct, frozen=True):
    issue: tuple[_Issue, ...] = ()


class _Response(msgspec.Struct, frozen=True):
    status: str
    outcome: _Outcome | None = None


class _Entry(msgspec.Struct, frozen=True):
    response: _Response


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    resource_type: str
    entry: tuple[_Entry, ...] = ()


class FhirServer:
    """One server, used by one thread at a time.

    Raises
    ------
    ValueError
        The secret is missing, or cannot be one.
    """

    def __init__(self, options: FhirOptions) -> None:
        self._url, self._timeout_s = options.url.rstrip("/"), options.timeout_s
        secret = read_secret("fhir", options.secret_env, options.secret_file)
        if not secret.isascii() or not secret.isprintable():  # the error of who sends it would show it
            raise ValueError(
                "fhir: the token holds characters that no token has: put the token there, and nothing else"
            )
        self._headers = {
            "Content-Type": MEDIA_TYPE,
            "Accept": MEDIA_TYPE,
            "Prefer": "return=minimal",
            "User-Agent": "femtoward",
            **({"Authorization": f"Bearer {secret}"} if secret else {}),
        }
        self._pool = urllib3.PoolManager(num_pools=1, retries=False, timeout=urllib3.Timeout(total=self._timeout_s))

    def post(self, bundle: Bundle) -> list[str] | Unfit:
        """Send a bundle, and return of each entry why it was refused, "" where it was taken; or of the whole.

        Raises
        ------
        DeliveryFailed
            It is not known to be taken; send it again later.
        """
        status, body, retry_after = self._exchange(encode(bundle))
        if status in UNFIT:
            return Unfit(f"{status}: {_complaint(body)}")
        if not 200 <= status < 300:
            hint = " (redirects are not followed: correct the url)" if 300 <= status < 400 else _HINTS.get(status, "")
            said = f"the FHIR server answers {status}{hint}: {_complaint(body)}"
            raise DeliveryFailed(said, retry_after_s(retry_after))
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError:
            answer = None
        if answer is None or answer.resource_type != "Bundle" or len(answer.entry) != len(bundle.entry):
            raise DeliveryFailed(
                f"the FHIR server answers {status}, but not with a Bundle of {len(bundle.entry)} answers: url must be "
                "the base address of a FHIR server that takes batches and transactions"
            )
        return [_refusal(entry.response) for entry in answer.entry]

    def close(self) -> None:
        """Close connections."""
        self._pool.clear()

    def _exchange(self, body: bytes) -> tuple[int, bytes, str | None]:
        deadline_s = time.monotonic() + self._timeout_s
        try:
            response = self._pool.request(
                "POST", self._url, body=body, headers=self._headers, redirect=False, preload_content=False
            )
            try:
                read = bytearray()
                while part := response.read1(65_536):
                    read += part
                    if len(read) > MOST_BYTES or time.monotonic() > deadline_s:  # who drips must not hold us
                        response.close()
                        raise DeliveryFailed("the FHIR server's answer is too long, or takes too long")
                return response.status, bytes(read), response.headers.get("Retry-After")
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryFailed(f"the FHIR server cannot be reached: {error}") from error


def _refusal(response: _Response) -> str:
    """Why an entry was refused; "" where it was taken.

    Raises
    ------
    DeliveryFailed
        It may be taken later.
    """
    code = response.status[:3]
    if code.startswith("2"):
        return ""
    why = "; ".join(issue.diagnostics for issue in response.outcome.issue) if response.outcome else ""
    said = f"{response.status}: {why}"[:MOST_TEXT]
    if code.isdecimal() and int(code) in UNFIT:
        return said
    raise DeliveryFailed(f"the FHIR server answers for one entry {said}")


def _complaint(body: bytes) -> str:
    try:
        said = "; ".join(issue.diagnostics for issue in msgspec.json.decode(body, type=_Outcome).issue)
    except msgspec.DecodeError:
        said = ""
    return (said or body.decode(errors="replace"))[:MOST_TEXT]
