"""Where a browser gives the access token once, and gets a cookie for it."""

import asyncio
import hmac
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from deploy.page.guard import COOKIE

STATIC: Final = Path(__file__).parent / "static"
LONGEST_BODY: Final = 2048  # bytes
PAUSE_S: Final = 1.0  # after a wrong token; the guess takes up a place meanwhile
PLACES: Final = 8
OF_ONE_ADDRESS: Final = 2  # behind a proxy all have one
SLOW_S: Final = 5.0  # for a form to come
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
        self._guessing = Counter[str]()  # by address

    async def show(self, _request: Request) -> Response:
        """Ask for the token."""
        return FileResponse(STATIC / "enter.html") if self._token else RedirectResponse("./", HTTPStatus.SEE_OTHER)

    async def enter(self, request: Request) -> Response:
        """Take the token, unless too many try at once: in a second, so many guesses at most as there are places."""
        address = request.client.host if request.client else ""
        if self._guessing.total() >= PLACES or self._guessing[address] >= OF_ONE_ADDRESS:
            said = "others are trying tokens at this moment: try again in some seconds\n"
            return PlainTextResponse(said, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "2"})
        self._guessing[address] += 1
        try:
            right = await self._is_right(request)
        finally:
            self._guessing[address] -= 1
            self._guessing += Counter()  # forget those who have gone
        if not right:
            return RedirectResponse("enter?wrong", HTTPStatus.SEE_OTHER)
        answer = RedirectResponse("./", HTTPStatus.SEE_OTHER)
        secure = request.headers.get("origin", "").startswith("https:")  # as the browser sees it, proxy or not
        answer.set_cookie(COOKIE, self._session, max_age=KEPT_S, httponly=True, samesite="lax", secure=secure)
        return answer

    async def _is_right(self, request: Request) -> bool:
        try:
            given = await asyncio.wait_for(_token_in(request), SLOW_S)
        except TimeoutError:
            return False
        if self._token and hmac.compare_digest(given.encode(), self._token.encode()):
            return True
        await asyncio.sleep(PAUSE_S)
        return False


async def _token_in(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
