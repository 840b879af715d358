"""The operations of the HTTP API: one row each, of which its routes and its OpenAPI document are made."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request

from deploy.api.archive import Archive
from deploy.api.asks import query_of
from deploy.api.gate import Doorkeeper, body_of
from deploy.api.problems import Problem
from deploy.api.tokens import Keyring, Role, Token
from deploy.page.desk import Desk
from deploy.page.feed import Feed

BASE: Final = "/api/v1"
SEE: Final = f"{BASE}/openapi.json says what is allowed"
READING_MOST: Final = 4  # questions that read stores at the same time
S = TypeVar("S", bound=msgspec.Struct)
R = TypeVar("R")


class Ward(NamedTuple):
    """What operations work with."""

    archive: Archive
    feed: Feed
    desk: Desk
    keyring: Keyring
    doorkeeper: Doorkeeper
    reading: asyncio.Semaphore

    async def read(self, look: Callable[[], R]) -> R:
        """Read stores in a thread; not too many at once."""
        async with self.reading:
            return await asyncio.to_thread(look)


class Reply(NamedTuple):
    """An answer of another status than 200."""

    body: msgspec.Struct
    status: HTTPStatus


class Call(NamedTuple):
    """One request, whoever made it, and what of it has been read."""

    token: Token
    request: Request
    body: bytes

    @property
    def path(self) -> Mapping[str, str]:
        """Variable parts of the path."""
        return self.request.path_params

    def asked(self, kind: type[S]) -> S:
        """Return the query.

        Raises
        ------
        Problem
            Something in it is unknown or malformed.
        """
        try:
            return query_of(kind, self.request.query_params.multi_items())
        except ValueError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"query: {error}; {SEE}") from error

    def said(self, kind: type[S]) -> S:
        """Return the body; one that is left out says nothing.

        Raises
        ------
        Problem
            Something in it is unknown or malformed.
        """
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (ValueError, RecursionError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"body: {error}; {SEE}") from error


Handler = Callable[[Ward, Call], Awaitable[msgspec.Struct | Reply]]


class Operation(NamedTuple):
    """One thing that can be asked or done."""

    name: str
    method: Literal["GET", "POST"]
    path: str  # below BASE; {variable} parts are names
    role: Role
    says: str
    do: Handler
    answer: type[msgspec.Struct]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    commands: bool = False  # the flow is to do it: it may refuse, or take its time

    async def run(self, ward: Ward, request: Request) -> msgspec.Struct | Reply:
        """Do it for whoever asks, if they may.

        Raises
        ------
        Problem
            They may not, or it cannot be done.
        """
        token = ward.doorkeeper.admit(request, self.role)
        call = Call(token, request, await body_of(request) if self.method == "POST" else b"")
        if self.query is None and request.url.query:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{self.name} takes no query; {SEE}")
        return await self.do(ward, call)
