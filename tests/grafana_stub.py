"""A Grafana for tests: keeps what it is given and answers as the documentation of its HTTP API says.

The pages are those of docs/sources/developers/http_api in grafana/grafana: dashboard.md, dashboard_versions.md,
folder.md, data_source.md, alerting_provisioning.md. Beyond them: how a data source that was changed meanwhile is
refused (409), and that a rule must name a contact point which exists, as Grafana's code has it.
"""

import base64
import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from http_stub import Listening, body_of

Json = Any
REQUIRED = ("condition", "data", "execErrState", "folderUID", "for", "noDataState", "orgID", "ruleGroup", "title")


class Call(NamedTuple):
    """One request."""

    method: str
    path: str
    body: Json


class Answer(NamedTuple):
    """What is answered."""

    status: int
    body: Json


class GrafanaStub(Listening):
    """Listens on a free loopback port.

    Parameters
    ----------
    token
        The only one that is let in; as a password, that of ``admin``.
    migrates
        Keep dashboards in another form than they were given, as newer versions do.
    """

    def __init__(self, token: str, *, migrates: bool = False) -> None:
        self.calls: list[Call] = []
        self.folders: dict[str, Json] = {}
        self.sources: dict[str, Json] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.boards: dict[str, Json] = {}
        self.versions: dict[str, list[Json]] = {}
        self.contacts: dict[str, Json] = {}
        self.rules: dict[str, Json] = {}
        self.before: Callable[[Call], Answer | None] = lambda _: None  # may change things first, or answer instead
        self._migrates = migrates
        basic = base64.b64encode(f"admin:{token}".encode()).decode()
        self._allowed = {f"Bearer {token}", f"Basic {basic}"}
        super().__init__(self._serve)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = body_of(handler)
        call = Call(handler.command, handler.path.removeprefix("/api"), json.loads(body) if body else None)
        self.calls.append(call)
        if call.path == "/health":
            answer = Answer(200, {"database": "ok", "version": "12.3.0"})
        elif handler.headers.get("Authorization") not in self._allowed:
            answer = Answer(401, {"message": "Invalid API key"})
        else:
            answer = self.before(call) or self._answer(call)
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        handler.send_response(answer.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text.encode())))
        if answer.status == 302:
            handler.send_header("Location", text)
        handler.end_headers()
        handler.wfile.write(text.encode())

    @property
    def writes(self) -> list[Call]:
        """What was to change something."""
        return [call for call in self.calls if call.method != "GET"]

    def _answer(self, call: Call) -> Answer:
        path = call.path.partition("?")[0]
        for pattern, answer in _ROUTES.items():
            method, _, shape = pattern.partition(" ")
            if method == call.method and (match := re.fullmatch(shape, path)):
                return answer(self, call.body, *match.groups())
        return Answer(404, {"message": "Not found"})

    def _get_folder(self, _: Json, uid: str) -> Answer:
        return Answer(200, self.folders[uid]) if uid in self.folders else _missing("folder not found")

    def _post_folder(self, body: Json) -> Answer:
        if body["uid"] in self.folders:
            return Answer(409, {"message": "a folder with that name already exists"})
        self.folders[body["uid"]] = {"id": len(self.folders) + 1, **body, "version": 1, "canSave": True}
        return Answer(200, self.folders[body["uid"]])

    def _put_folder(self, body: Json, uid: str) -> Answer:
        known = self.folders[uid]
        if body.get("version") != known["version"] and not body.get("overwrite"):
            return _mismatch("The folder has been changed by someone else")
        known.update(title=body["title"], version=known["version"] + 1)
        return Answer(200, known)

    def _get_source(self, _: Json, uid: str) -> Answer:
        if uid not in self.sources:
            return _missing("Data source not found")
        held = dict.fromkeys(self.secrets[uid], True)
        return Answer(200, {**self.sources[uid], "secureJsonFields": held})

    def _post_source(self, body: Json) -> Answer:
        if any(body["name"] == other["name"] for other in self.sources.values()):
            return Answer(409, {"message": "data source with the same name already exists"})
        return self._kept_source(body, 1, "Datasource added")

    def _put_source(self, body: Json, uid: str) -> Answer:
        if uid not in self.sources:
            return _missing("Data source not found")
        if self.sources[uid]["readOnly"]:
            return Answer(403, {"message": "Cannot update read-only data source"})
        if body.get("version", self.sources[uid]["version"]) != self.sources[uid]["version"]:
            return Answer(409, {"message": "Datasource has already been updated by someone else"})
        return self._kept_source(body, self.sources[uid]["version"] + 1, "Datasource updated")

    def _kept_source(self, body: Json, version: int, message: str) -> Answer:
        shown = {key: value for key, value in body.items() if key != "secureJsonData"}
        self.secrets.setdefault(body["uid"], {}).update(body.get("secureJsonData", {}))
        more = {"id": 1, "orgId": 1, "typeLogoUrl": "", "database": "", "basicAuth": False, "readOnly": False}
        self.sources[body["uid"]] = {**more, **shown, "version": version}
        return Answer(200, {"datasource": shown, "id": 1, "message": message, "name": body["name"]})

    def _get_board(self, _: Json, uid: str) -> Answer:
        return Answer(200, self.boards[uid]) if uid in self.boards else _missing("Dashboard not found")

    def _post_board(self, body: Json) -> Answer:
        board, uid = body["dashboard"], body["dashboard"].get("uid")
        if not board.get("title") or len(uid) > 40:
            return Answer(400, {"message": "Dashboard title cannot be empty, its uid has 40 characters at most"})
        if body["folderUid"] not in self.folders:
            return Answer(400, {"message": "folder not found"})
        known = self.boards.get(uid)
        if known and not body.get("overwrite") and board.get("version") != known["dashboard"]["version"]:
            if board.get("id") is None:
                return Answer(412, {"message": "A dashboard with the same uid already exists", "status": "name-exists"})
            return _mismatch("The dashboard has been changed by someone else")
        version = known["dashboard"]["version"] + 1 if known else 1
        kept = {**board, "id": known["dashboard"]["id"] if known else len(self.boards) + 1, "version": version}
        if self._migrates:
            kept = {**kept, "schemaVersion": 42, "fiscalYearStartMonth": 0, "preload": False}
        meta = {"folderUid": body["folderUid"], "provisioned": False, "url": f"/d/{uid}"}
        self.boards[uid] = {"dashboard": kept, "meta": meta}
        self.versions.setdefault(uid, []).insert(
            0, {"version": version, "uid": uid, "message": body.get("message", "")}
        )
        said = {"id": kept["id"], "uid": uid, "url": f"/d/{uid}", "status": "success", "version": version, "slug": uid}
        return Answer(200, said)

    def _get_versions(self, _: Json, uid: str) -> Answer:
        listed = self.versions.get(uid, [])
        return Answer(200, {"continueToken": "", "versions": listed} if self._migrates else listed)

    def _get_contacts(self, _: Json) -> Answer:
        return Answer(200, [{"provenance": "api", **one} for one in self.contacts.values()])

    def _post_contact(self, body: Json) -> Answer:
        self.contacts[body["uid"]] = body
        return Answer(202, body)

    def _put_contact(self, body: Json, uid: str) -> Answer:
        if uid not in self.contacts:
            return _missing("contact point not found")
        self.contacts[uid] = body
        return Answer(202, {"message": "contactpoint updated"})

    def _get_rule(self, _: Json, uid: str) -> Answer:
        return Answer(200, self.rules[uid]) if uid in self.rules else Answer(404, "")  # empty, as documented

    def _post_rule(self, body: Json) -> Answer:
        if body["uid"] in self.rules:
            return Answer(409, {"message": "rule with the same uid exists"})
        return self._kept_rule(body, 201)

    def _put_rule(self, body: Json, uid: str) -> Answer:
        return self._kept_rule(body, 200) if uid in self.rules else _missing("rule not found")

    def _kept_rule(self, body: Json, status: int) -> Answer:
        if missing := [name for name in REQUIRED if name not in body]:
            return Answer(400, {"message": f"invalid alert rule: {missing} are required"})
        if body["folderUID"] not in self.folders:
            return Answer(400, {"message": "folder does not exist"})
        receiver = body.get("notification_settings", {}).get("receiver")
        if receiver and receiver not in {one["name"] for one in self.contacts.values()}:
            return Answer(400, {"message": f"receiver {receiver} does not exist"})
        self.rules[body["uid"]] = {**body, "id": len(self.rules) + 1, "provenance": "api", "updated": "2024-01-01"}
        return Answer(status, self.rules[body["uid"]])


def _missing(message: str) -> Answer:
    return Answer(404, {"message": message})


def _mismatch(message: str) -> Answer:
    return Answer(412, {"message": message, "status": "version-mismatch"})


_ROUTES: dict[str, Callable[..., Answer]] = {
    "GET /folders/([^/]+)": GrafanaStub._get_folder,
    "POST /folders": GrafanaStub._post_folder,
    "PUT /folders/([^/]+)": GrafanaStub._put_folder,
    "GET /datasources/uid/([^/]+)": GrafanaStub._get_source,
    "POST /datasources": GrafanaStub._post_source,
    "PUT /datasources/uid/([^/]+)": GrafanaStub._put_source,
    "GET /dashboards/uid/([^/]+)": GrafanaStub._get_board,
    "POST /dashboards/db": GrafanaStub._post_board,
    "GET /dashboards/uid/([^/]+)/versions": GrafanaStub._get_versions,
    "GET /v1/provisioning/contact-points": GrafanaStub._get_contacts,
    "POST /v1/provisioning/contact-points": GrafanaStub._post_contact,
    "PUT /v1/provisioning/contact-points/([^/]+)": GrafanaStub._put_contact,
    "GET /v1/provisioning/alert-rules/([^/]+)": GrafanaStub._get_rule,
    "POST /v1/provisioning/alert-rules": GrafanaStub._post_rule,
    "PUT /v1/provisioning/alert-rules/([^/]+)": GrafanaStub._put_rule,
}
