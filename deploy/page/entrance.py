"""Where a browser gives the access token once, and gets a cookie for it."""

import asyncio
import hmac
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from deploy.page.guard import COOKIE

STATIC: Final = Path(__file__).parent / "static"
LONGEST_BODY: Final = 2048  # bytes
PAUSE_S: Final = 1.0  # after a wrong token: one guess a second, whoever guesses
KEPT_S: Final = 90 * 86_400  # a wall display should not ask every morning


class Entrance:
    """The two requests of it.

    Parameters
    ----------
    token
        The right one; empty: nobody need enter.
    session
        Value of the cookie.
    """

    def __init__(self, token: str, session: str) -> None:
        self._token, self._session = token, session
        self._one_by_one = asyncio.Lock()

    async def show(self, _request: Request) -> Response:
        """Ask for the token."""
        return FileResponse(STATIC / "enter.html") if self._token else RedirectResponse("./", HTTPStatus.SEE_OTHER)

    async def enter(self, request: Request) -> Response:
        """Take the token."""
        given = await _token_in(request)
        async with self._one_by_one:
            if not self._token or not hmac.compare_digest(given.encode(), self._token.encode()):
                await asyncio.sleep(PAUSE_S)
                return RedirectResponse("enter?wrong", HTTPStatus.SEE_OTHER)
        answer = RedirectResponse("./", HTTPStatus.SEE_OTHER)
        secure = request.headers.get("origin", "").startswith("https:")  # as the browser sees it, proxy or not
        answer.set_cookie(COOKIE, self._session, max_age=KEPT_S, httponly=True, samesite="lax", secure=secure)
        return answer


async def _token_in(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
