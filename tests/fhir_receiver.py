"""A small FHIR server for tests: a real HTTP server that takes batches and transactions, and judges what it takes."""

import json
from collections.abc import Callable
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from http_stub import HttpStub, Reply, Request

Entry = dict[str, Any]


class FhirReceiver(HttpStub):
    """Keeps resources by their address; `judge` may refuse one, with a status and words."""

    def __init__(self, judge: Callable[[Entry], tuple[int, str] | None] = lambda _: None) -> None:
        self.resources: dict[str, Entry] = {}
        self.order: list[str] = []
        self.judge = judge
        super().__init__(self._take)

    def of(self, kind: str) -> list[Entry]:
        """Resources of a type, in the order in which they came first."""
        return [self.resources[url] for url in dict.fromkeys(self.order) if url.startswith(f"{kind}/")]

    def _take(self, request: Request) -> Reply:
        assert request.headers["content-type"] == "application/fhir+json"
        bundle = json.loads(request.body)
        get_fhir_model_class("Bundle").model_validate_json(request.body)
        answers = [self._put(entry) for entry in bundle["entry"]]
        kind = f"{bundle['type']}-response"
        body = {"resourceType": "Bundle", "type": kind, "entry": [{"response": one} for one in answers]}
        return Reply(200, json.dumps(body))

    def _put(self, entry: Entry) -> Entry:
        url, resource = entry["request"]["url"], entry["resource"]
        assert url == f"{resource['resourceType']}/{resource['id']}"
        device = resource.get("device", {}).get("reference")
        assert device is None or device in self.resources  # a server that checks references
        refused = self.judge(resource)
        if refused is not None:
            status, words = refused
            issue = {"severity": "error", "code": "invalid", "diagnostics": words}
            return {"status": f"{status} Refused", "outcome": {"resourceType": "OperationOutcome", "issue": [issue]}}
        created = url not in self.resources
        self.resources[url] = resource
        self.order.append(url)
        return {"status": "201 Created" if created else "200 OK"}
