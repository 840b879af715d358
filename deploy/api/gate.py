"""What stands before the HTTP API: no answer lacks its headers, no error its words, no body its end."""

import asyncio
import logging
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.api.problems import Problem
from deploy.api.tokens import Keyring, Role, Token

LOG = logging.getLogger("femtoward.api")

LONGEST_BODY: Final = 16_384  # bytes; a note has 1000 characters
LONGEST_TARGET: Final = 8192  # of path and query
SLOW_S: Final = 10.0  # for a body to come
FAILURES: Final = 10  # wrong tokens of one address, at once ...
FORGIVEN_EVERY_S: Final = 6.0  # ... and one more each time
ADDRESSES: Final = 10_000  # that are remembered
POLICY_VIOLATED: Final = 1008
HEADERS: Final = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """ASGI middleware: whatever happens behind it is an answer.

    Parameters
    ----------
    app
        What stands behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and an answer back."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATED, "reason": "there is no WebSocket here"})
            return
        if scope["type"] != "http":
            return
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
                raise Problem(  # noqa: TRY301 - answered as all that is wrong is
                    HTTPStatus.REQUEST_URI_TOO_LONG,
                    f"path and query have over {LONGEST_TARGET} bytes: ask for less",
                )
            await self._app(scope, receive, dressed)
        except Problem as problem:
            await problem.response()(scope, receive, dressed)
        except Exception as error:  # noqa: BLE001 - said without what it was said of: that may be a patient's
            at = traceback.extract_tb(error.__traceback__)[-1]
            LOG.error("%s at %s:%d", type(error).__name__, at.filename, at.lineno or 0)  # noqa: TRY400 - as above
            if not begun:
                said = "something went wrong here: try again; if that stays so, see the log of the page's process"
                await Problem(HTTPStatus.INTERNAL_SERVER_ERROR, said).response()(scope, receive, dressed)


class Doorkeeper:
    """Who may ask: by a token in the header Authorization, whose failures are counted by address.

    A token that is right passes whatever came before it from its address, so that nobody shuts out others behind one
    proxy; one that is wrong costs nothing but a hash.

    Parameters
    ----------
    keyring
        The tokens.
    now_s
        Clock for when failures are forgiven.
    """

    def __init__(self, keyring: Keyring, now_s: Callable[[], float] = time.monotonic) -> None:
        self._keyring, self._now_s = keyring, now_s
        self._failures: OrderedDict[str, float] = OrderedDict()  # when all of an address are forgiven

    def admit(self, request: Request, role: Role) -> Token:
        """Token of whoever asks, if it may do what a role may.

        Raises
        ------
        Problem
            There is none, it is not known, or it may not.
        """
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "no token came: send it as `Authorization: Bearer TOKEN`; `femtoward token NAME` makes one",
                {"WWW-Authenticate": "Bearer"},
            )
        token = self._keyring.whose(text.strip())
        if token is None:
            self.failed(request)
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "the token is not known here: it was taken back, or is another ward's",
                {"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        if not token.may(role):
            raise Problem(
                HTTPStatus.FORBIDDEN, f"{token.name} has the role {token.role}, this needs {role}: use another token"
            )
        return token

    def failed(self, request: Request) -> None:
        """Count a failure of whoever asks.

        Raises
        ------
        Problem
            There were too many.
        """
        now_s, address = self._now_s(), request.client.host if request.client else ""
        forgiven_s = max(self._failures.pop(address, now_s), now_s) + FORGIVEN_EVERY_S
        wait_s = forgiven_s - now_s - FAILURES * FORGIVEN_EVERY_S
        self._failures[address] = min(forgiven_s, now_s + FAILURES * FORGIVEN_EVERY_S)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
        if wait_s > 0.0:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{FAILURES} wrong tokens came from this address: wait, and check the token",
                {"Retry-After": f"{FORGIVEN_EVERY_S:.0f}"},
            )


async def body_of(request: Request, media_type: str = "application/json", longest: int = LONGEST_BODY) -> bytes:
    """Return the body of a request.

    Raises
    ------
    Problem
        It is too long, comes too slowly, or is of another type.
    """
    try:
        async with asyncio.timeout(SLOW_S):
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > longest:
                    raise Problem(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"more than {longest} bytes came: shorten it",
                        {"Connection": "close"},
                    )
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not come in {SLOW_S:g} s: send it anew",
            {"Connection": "close"},
        ) from None
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and given != media_type:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{given[:80]!r} came, need Content-Type: {media_type}")
    return body
