"""What is wrong with a request, as `application/problem+json` (RFC 9457) has it: what came, what to do."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True, rename={"kind": "type"}):
    """Why a request was not done."""

    title: str  # of the status
    status: int
    detail: str  # what came, what is needed, what to do
    kind: str = "about:blank"
    command: str = ""  # id of the command that the flow has refused


class Problem(Exception):
    """A request that is answered with a problem.

    Parameters
    ----------
    status
        Of HTTP.
    detail
        What came, what is needed, what to do.
    headers
        Beside those that every answer has.
    command
        Id of the command that the flow has refused.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, command: str = ""
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.command = status, detail, headers or {}, command

    def response(self) -> Response:
        """Answer that says so."""
        body = ProblemBody(self.status.phrase, self.status, self.detail, command=self.command)
        return Response(msgspec.json.encode(body), self.status, self.headers, MEDIA_TYPE)
