"""The HTTP API as an application: routes out of the table of operations, and whatever goes wrong as a problem."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dataflows.couriers.links import Links
from deploy.api.archive import Archive
from deploy.api.gate import Doorkeeper, Gate
from deploy.api.links import LinkPages
from deploy.api.openapi import document
from deploy.api.operations import BASE, READING_MOST, SEE, Operation, Reply, Ward
from deploy.api.options import ApiOptions
from deploy.api.problems import Problem
from deploy.api.table import OPERATIONS
from deploy.api.tokens import Keyring
from deploy.page.desk import Desk
from deploy.page.feed import Feed

Endpoint = Callable[[Request], Awaitable[Response]]
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}|[*]")


def api(options: ApiOptions, feed: Feed, desk: Desk) -> Starlette:
    """All that is served.

    Raises
    ------
    ValueError, UserError
        There are no tokens, or no secret of links, or they are malformed.
    """
    keyring = Keyring(options.tokens_env, options.tokens_file)
    ward = Ward(Archive(options.rooms), feed, desk, keyring, Doorkeeper(keyring), asyncio.Semaphore(READING_MOST))
    links = LinkPages(ward, Links(options.links)).routes() if options.links else []
    return Starlette(
        routes=[
            *(Route(BASE + op.path, _endpoint(op, ward), methods=[op.method]) for op in OPERATIONS),
            Route(f"{BASE}/openapi.json", _document(), methods=["GET"]),
            *links,
        ],
        middleware=[Middleware(Gate)],
        exception_handlers={Problem: _answer, HTTPException: _of_routes},
    )


def _endpoint(op: Operation, ward: Ward) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if any(_NAME.fullmatch(value) is None for value in request.path_params.values()):
            raise Problem(HTTPStatus.NOT_FOUND, f"names are 1 to 64 of A-Z a-z 0-9 _ -; {SEE}")
        found = await op.run(ward, request)
        reply = found if isinstance(found, Reply) else Reply(found, HTTPStatus.OK)
        return _tagged(request, Response(msgspec.json.encode(reply.body), reply.status, media_type="application/json"))

    return endpoint


def _document() -> Endpoint:
    said = msgspec.json.encode(document(OPERATIONS))

    async def endpoint(request: Request) -> Response:
        return _tagged(request, Response(said, media_type="application/json"))

    return endpoint


def _tagged(request: Request, response: Response) -> Response:
    """Give what was asked a tag by which it need not be sent again."""
    if request.method == "POST":
        return response
    tag = f'"{hashlib.sha256(response.body).hexdigest()[:24]}"'
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


async def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - it is registered for these alone
    return error.response()


async def _of_routes(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - likewise
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.NOT_FOUND:
        return Problem(status, f"there is nothing at {request.url.path[:100]!r}; {SEE}").response()
    return Problem(status, f"{error.detail}; {SEE}", error.headers).response()
