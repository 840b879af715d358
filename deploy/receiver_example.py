"""A receiver of femtoward's webhooks, small enough to be copied: it takes what is signed, young and new, once each.

Run it with ``WEBHOOK_SECRET=whsec_... uvicorn --factory deploy.receiver_example:app``, and put what has to happen into
`show`. It keeps the ids that it took in memory: a receiver that may be restarted keeps them where they outlive it.
"""

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TOLERANCE_S: Final = 300.0  # of the clocks on both sides
REMEMBERED: Final = 100_000  # ids
MOST_BYTES: Final = 1 << 20
MOST_DIGITS: Final = 12  # of a time in seconds
TAKEN, MALFORMED, NOT_SIGNED, TOO_LARGE = 204, 400, 401, 413


class Receiver:
    """Verifies deliveries and passes each one on once.

    Parameters
    ----------
    secrets
        One or more of whsec_<base64>, parted by spaces: while they are rotated, any may sign.
    take
        Called with the body of each new event. When it raises, the event is not taken, and comes again.
    now_s
        Wall clock.
    """

    def __init__(self, secrets: str, take: Callable[[bytes], None], now_s: Callable[[], float] = time.time) -> None:
        self._keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets.split()]
        self._take, self._now_s = take, now_s
        self._taken: dict[str, None] = {}

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Take a delivery, or not; the status to answer."""
        id_, sent, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        is_time = sent.isascii() and sent.isdecimal() and len(sent) <= MOST_DIGITS
        if not id_ or not is_time or abs(self._now_s() - int(sent)) > TOLERANCE_S:
            return MALFORMED  # not signed now: it may be a replay
        signed = b".".join((id_.encode(), sent.encode(), body))
        ours = [f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in self._keys]
        # As bytes: of text, only ASCII can be compared so.
        if not any(hmac.compare_digest(one.encode(), own.encode()) for one in signatures.split() for own in ours):
            return NOT_SIGNED
        if id_ not in self._taken:
            self._take(body)
            self._taken[id_] = None
            while len(self._taken) > REMEMBERED:
                del self._taken[next(iter(self._taken))]
        return TAKEN


def show(body: bytes) -> None:
    """Do what has to be done with an event."""
    print(body.decode())  # noqa: T201 - it is an example


def app(receiver: Receiver | None = None) -> Starlette:
    """The receiver as a web application."""
    receives = receiver or Receiver(os.environ["WEBHOOK_SECRET"], show)

    async def hook(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return Response(status_code=TOO_LARGE)
        return Response(status_code=await run_in_threadpool(receives.receive, request.headers, body))

    return Starlette(routes=[Route("/alarms", hook, methods=["POST"])])
