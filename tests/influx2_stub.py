"""A stand-in for InfluxDB 2.7 that answers as its documented API does, and records calls.

Only what `femtoward provision` uses: see "InfluxDB OSS v2 API", /api/v2/orgs, /api/v2/buckets, /api/v2/tasks,
/api/v2/authorizations.
"""

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from http_stub import Listening, body_of

OPTIONS = r'^option task = \{name: "((?:[^"\\]|\\.)*)", every: (\w+), offset: (\w+)\}'
ORG, ORG_ID = "clinic", "00000000000000aa"


class Call(NamedTuple):
    """One request that came."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]


class Influx2Stub(Listening):
    """Listens on a free loopback port.

    Parameters
    ----------
    token
        Whoever does not send it is not let in.
    version
        What it says that it is.
    """

    def __init__(self, token: str, version: str = "v2.7.11") -> None:
        self.token, self.version = token, version
        self.calls: list[Call] = []
        self.buckets: list[dict[str, Any]] = [_bucket(1, "_monitoring", [], "system"), _bucket(2, "other", [])]
        self.tasks: list[dict[str, Any]] = []
        self.authorizations: list[dict[str, Any]] = []
        self.forbidden: str = ""  # a method that the token may not use
        super().__init__(self._serve)

    @property
    def changes(self) -> list[Call]:
        """Calls that change something."""
        return [call for call in self.calls if call.method != "GET"]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        body = body_of(handler)
        call = Call(handler.command, path, dict(parse_qsl(query)), json.loads(body) if body else {})
        if path == "/ping":
            status, answer = 204, {}
        elif handler.headers.get("Authorization") != f"Token {self.token}":
            status, answer = 401, {"code": "unauthorized", "message": "unauthorized access"}
        elif call.method == self.forbidden:
            status, answer = 403, {"code": "forbidden", "message": f"write:orgs/{ORG_ID}/buckets is unauthorized"}
        else:
            self.calls.append(call)
            status, answer = self._answer(call)
        text = json.dumps(answer).encode() if status != 204 else b""
        handler.send_response(status)
        handler.send_header("X-Influxdb-Version", self.version)
        handler.send_header("X-Influxdb-Build", "OSS")
        handler.send_header("Content-Type", "application/json; charset=utf-8")
        if status != 204:
            handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def _answer(self, call: Call) -> tuple[int, dict[str, Any]]:
        _, _, _, kind, *rest = call.path.split("/")
        if call.query.get("org", ORG) != ORG or call.body.get("org", ORG) != ORG:
            return 404, {"code": "not found", "message": 'organization name "nobody" not found'}
        if kind == "orgs":
            return 200, {"links": _links(call), "orgs": [{"id": ORG_ID, "name": ORG}]}
        if kind == "authorizations":
            return self._new_authorization(call.body)
        things = self.buckets if kind == "buckets" else self.tasks
        if call.method == "GET":
            page = _page(things, call.query)
            return 200, {"links": _links(call, full=len(page) == int(call.query.get("limit", "20"))), kind: page}
        if call.method == "PATCH":
            thing = next(one for one in things if one["id"] == rest[0])
            thing |= {name: value for name, value in call.body.items() if value is not None}
            return 200, thing
        return self._new_task(call.body) if kind == "tasks" else self._new_bucket(call.body)

    def _new_bucket(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if any(one["name"] == body["name"] for one in self.buckets):
            return 422, {"code": "conflict", "message": f"bucket with name {body['name']} already exists"}
        assert body["orgID"] == ORG_ID
        self.buckets.append(_bucket(len(self.buckets) + 1, body["name"], body["retentionRules"]))
        return 201, self.buckets[-1]

    def _new_authorization(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        number = len(self.authorizations) + 1
        made = {**body, "id": f"{number:016x}", "token": f"made-here-{number}", "status": "active"}
        self.authorizations.append(made)
        return 201, made

    def _new_task(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        found = re.search(OPTIONS, body["flux"], re.MULTILINE)
        assert found, "a task must state its options"
        name, every, offset = found.groups()
        self.tasks.append(
            {
                "id": f"{len(self.tasks) + 1:016x}",
                "orgID": ORG_ID,
                "org": ORG,
                "name": name,
                "status": body["status"],
                "flux": body["flux"],
                "every": every,
                "offset": offset,
                "description": body.get("description", ""),
            }
        )
        return 201, self.tasks[-1]


def _links(call: Call, *, full: bool = False) -> dict[str, str]:
    return {"self": call.path, **({"next": f"{call.path}?offset=20"} if full else {})}


def _bucket(number: int, name: str, rules: list[dict[str, Any]], type_: str = "user") -> dict[str, Any]:
    return {"id": f"{number:016x}", "orgID": ORG_ID, "type": type_, "name": name, "retentionRules": rules, "labels": []}


def _page(things: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    """Things after the one that the query names, so many as it asks for: 20 buckets, or 100 tasks, unless it says."""
    ids = [thing["id"] for thing in things]
    begin = ids.index(query["after"]) + 1 if "after" in query else 0
    return things[begin : begin + int(query.get("limit", "20"))]
