"""Who may speak to the ward page: asked of every request before anything else.

A page of another site can make a browser speak to us, and by DNS rebinding even under a name of that site's own. So the
Host has to be an address, localhost or a name that the settings give; whoever changes something or opens a WebSocket
has to come from a page of ours; and where there is a token, the browser has to have shown it.
"""

import hmac
import ipaddress
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "femtoward-page"
OPEN: Final = ("/enter", "/static/")  # without a token: the place where it is given, and what that looks like
READING: Final = frozenset({"GET", "HEAD"})
POLICY_VIOLATED: Final = 1008
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # without any, browsers hide the origin of our own form, too
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _No(NamedTuple):
    status: HTTPStatus
    why: str


class Guard:
    """ASGI middleware that lets pass what may pass.

    Parameters
    ----------
    app
        What is guarded.
    names
        Host names of ours.
    session
        Value of the cookie of a browser that has given the token; empty: no token is asked for.
    """

    def __init__(self, app: ASGIApp, names: tuple[str, ...], session: str) -> None:
        self._app, self._names, self._session = app, frozenset(name.lower() for name in names), session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        no = self._stranger(request) or self._nameless(request)
        if scope["type"] == "websocket":
            if no is None:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": POLICY_VIOLATED, "reason": no.why})
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app
        if no is not None and no.status == HTTPStatus.UNAUTHORIZED and scope["method"] in READING:
            app = RedirectResponse("enter", HTTPStatus.SEE_OTHER)
        elif no is not None:
            app = PlainTextResponse(f"{no.why}\n", no.status)
        await app(scope, receive, dressed)

    def _stranger(self, request: HTTPConnection) -> _No | None:
        """Whether it is meant for somebody else, or comes from another site's page."""
        host = request.headers.get("host", "")
        if not self._ours(host):
            said = f"this is not {host[:100]!r}: call it by its address, or name it in page.names of the settings"
            return _No(HTTPStatus.MISDIRECTED_REQUEST, said)
        if request.scope["type"] == "http" and request.scope["method"] in READING:
            return None
        origin = request.headers.get("origin", "")
        if urlsplit(origin).netloc.lower() != host.lower():
            said = f"a page of {origin[:100]!r} may not speak to {host[:100]!r}"
            return _No(HTTPStatus.FORBIDDEN, f"{said}; a proxy has to pass on the Host that it was asked for")
        return None

    def _nameless(self, request: HTTPConnection) -> _No | None:
        """Whether the token has not been given."""
        path: str = request.scope["path"]
        if not self._session or path == OPEN[0] or path.startswith(OPEN[1]):
            return None
        shown = request.cookies.get(COOKIE, "")
        if hmac.compare_digest(shown.encode(), self._session.encode()):
            return None
        return _No(HTTPStatus.UNAUTHORIZED, "the access token has not been given")

    def _ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name == "localhost" or name in self._names:
            return True
        try:
            ipaddress.ip_address(name)  # nobody can make an address lead elsewhere
        except ValueError:
            return False
        return True
